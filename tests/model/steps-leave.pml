/* SPDX-License-Identifier: MIT */
/* The exit handler gives the lock back: lockfile_leave(). Until its process is gone the program is still inside: its buffers are
   flushed and its sockets closed after this. The file stays open until then, as FD. */
/* open_own() */
:: d_step { at[p] == Leave ->
	leaving[p] = true;
	if
	:: path == 0 || path != remembered[p] -> at[p] = Rest
	:: else -> open_file(); see(path); at[p] = LeaveJudge
	fi }
:: d_step { at[p] == LeaveJudge ->
	awaited[p] = LEAVES_TO_WAITERS && SEES_HINT(WAITERS_HINT) && HAS_WAITERS;
	at[p] = (IS_OTHER && SEES_LIVING -> Rest : Raise) }
:: d_step { at[p] == Raise -> tomb[p] = HAS_TOMBSTONES; at[p] = Release }
/* No socket is to be had: the kernel gives up what there is. */
:: d_step { at[p] == Raise && TOMBSTONES_FAIL -> at[p] = (awaited[p] -> HandOn : Rest) }
:: d_step { at[p] == Release -> given_up[p] = 1; give_up(map[p]); at[p] = (awaited[p] -> Heir : TakeBack) }
/* flock(FD) */
:: d_step { at[p] == TakeBack ->
	if
	:: flocked[FILE] == 0 -> flocked[FILE] = fd[p]; at[p] = MAPPED_STEP
	:: else -> at[p] = (again[p] -> MAPPED_STEP : Heir)
	fi }
/* has_heir(). Who waits may wake up after our last look. */
:: d_step { at[p] == Heir -> at[p] = (OTHER_HAS_FLOCK -> MAPPED_STEP : HandOn) }
/* holder_hand_on(): who has the flock is a process forked from this one, or a contender, for an instant. */
:: d_step { at[p] == HandOn ->
	again[p] = true;
	if
	:: path == 0 -> at[p] = (awaited[p] -> Rest : TakeBack)
	:: path != 0 && record_pid[path] != pid_of[p] -> at[p] = Rest
	:: else -> seen_pid[p] = record_pid[path]; seen_stamp[p] = record_stamp[path]; at[p] = WatchFlock
	fi }
:: d_step { at[p] == WatchFlock && !awaited[p] && (path == 0 || flocked[path] == 0) -> at[p] = TakeBack }
:: d_step { at[p] == WatchFlock && (awaited[p] || (path != 0 && flocked[path] != 0)) ->
	find_mapper(remembered[p]);
	at[p] = (other[p] && HANDS_ON -> Replace : Rest) }
/* A mapper that does not stay: it is about to call exec, or to end. The grace is over. */
:: d_step { at[p] == WatchFlock && path != 0 && flocked[path] != 0 && GRACE_ENDS -> at[p] = Rest }
/* holder_hand_on_mapped() */
:: d_step { at[p] == HandOnMapped ->
	find_mapper(remembered[p]);
	if
	:: other[p] && path != 0 -> seen_pid[p] = record_pid[path]; seen_stamp[p] = record_stamp[path]; at[p] = Replace
	:: other[p] && path == 0 -> at[p] = Rest
	:: else -> at[p] = LAST_STEP
	fi }
/* leave_word() */
:: d_step { at[p] == Word && HAS_FAMILY && !LEFT_WITH_FAMILY -> at[p] = Rest }
:: d_step { at[p] == Word && (!HAS_FAMILY || LEFT_WITH_FAMILY) && MODE_IS_FREE(FILE) -> set_hint(LEFT_HINT); at[p] = Rest }
/* await_family(): the kernel may take a forked process' mapping before its other files (several threads, a reader of its maps). */
:: d_step { at[p] == Family -> set[p] = ENDINGS; at[p] = AwaitFamily }
:: d_step { at[p] == AwaitFamily && (set[p] & (ENDINGS)) == 0 -> set[p] = 0; at[p] = Delete }
/* delete(): a peer that does not let go of the short lock. A stale file is harmless. */
:: d_step { at[p] == Delete && !DELETES_UNLOCKED && !RECORD_IS_FREE -> close_file(); at[p] = Rest }
:: d_step { at[p] == Delete && (DELETES_UNLOCKED || RECORD_IS_FREE) ->
	see(FILE);
	if
	:: DELETES_UNLOCKED
	:: else -> lock_record()
	fi;
	if
	:: SAME_INODE && seen_pid[p] != 0 && !(IS_OTHER && SEES_LIVING) -> at[p] = Unlink
	:: else -> close_file(); at[p] = Rest
	fi }
:: d_step { at[p] == Unlink ->
	given_up[p] = 2;
	unlock_record();
	if
	:: path != 0 -> unlink_path()
	:: else
	fi;
	at[p] = Rest }
:: d_step { at[p] == Rest -> at[p] = Die }
