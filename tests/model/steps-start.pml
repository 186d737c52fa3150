/* SPDX-License-Identifier: MIT */
/* The constructor takes the lock: lockfile_try(), attempt(), resume(), holder_find() with replace(). */
/* claim_open_or_create(), flopen() */
:: d_step { at[p] == Open ->
	forget_seen();
	tries = tries + (role[p] == Prober);
	assert(tries <= 3);
	if
	:: path == 0 -> at[p] = Create
	:: else -> open_file(); at[p] = TakeFlock
	fi }
:: d_step { at[p] == Create ->
	if
	:: path != 0 -> at[p] = Open
	:: else -> create_file(); open_file(); created[p] = true; at[p] = TakeFlock
	fi }
:: d_step { at[p] == TakeFlock && (flocked[FILE] == 0 || role[p] != Waiter || own[p]) ->
	if
	:: flocked[FILE] == 0 -> flocked[FILE] = fd[p]; at[p] = CheckPath
	:: else -> close_file(); at[p] = Busy
	fi }
:: d_step { at[p] == CheckPath ->
	if
	:: SAME_FILE -> at[p] = Judge
	:: else -> close_file(); at[p] = (created[p] -> Create : Open)
	fi }
/* claim_judge() */
:: d_step { at[p] == Judge && RECORD_IS_FREE ->
	lock_record();
	see(FILE);
	created[p] = created[p] && (CREATED_FOR_EVER || seen_pid[p] == 0);
	at[p] = Decide }
:: d_step { at[p] == Decide && (seen_pid[p] != 0 || created[p]) ->
	if
	:: SEES_OWN -> unlock_record(); at[p] = Keep
	:: !(SEES_OWN) && IS_OTHER && SEES_LIVING -> held()
	:: else ->
		if
		:: SEES_HINT(MAPPED_HINT) -> find_mapper(FILE)
		:: else
		fi;
		if
		:: other[p] -> held()
		:: else -> at[p] = Write
		fi
	fi }
/* Empty, and not created by us: a peer may be about to write. After some time it is taken for nobody's. */
:: d_step { at[p] == Decide && seen_pid[p] == 0 && !created[p] && (role[p] != Prober || !ACCEPTS_EMPTY) -> close_file(); at[p] = AGAIN_STEP }
:: d_step { at[p] == Decide && seen_pid[p] == 0 && !created[p] && ACCEPTS_EMPTY -> at[p] = Write }
/* record_write() first takes the last word of the one before away, which is of no use to anybody then. */
:: d_step { at[p] == Write ->
	unhint_left();
	record_pid[FILE] = pid_of[p];
	record_stamp[FILE] = BAD_STAMP;
	at[p] = Stamp }
:: d_step { at[p] == Stamp -> record_stamp[FILE] = p; at[p] = LastLook }
:: d_step { at[p] == LastLook ->
	if
	:: STILL_THERE -> unlock_record(); at[p] = Keep
	:: else -> close_file(); at[p] = AGAIN_STEP
	fi }
/* attempt(), keep(), await_predecessor() */
:: d_step { at[p] == Keep ->
	remembered[p] = FILE;
	map[p] = fd[p];
	fd[p] = 0;
	if
	:: SEES_OWN -> enter()
	:: else -> at[p] = (created[p] || SEES_HINT(LEFT_HINT) || NO_ENDINGS -> Tombs : Endings)
	fi }
:: d_step { at[p] == Endings -> set[p] = ENDINGS; at[p] = AwaitEndings }
:: d_step { at[p] == AwaitEndings && (set[p] & (ENDINGS)) == 0 -> set[p] = 0; at[p] = Tombs }
:: d_step { at[p] == Tombs ->
	find_tombstone();
	if
	:: other[p] == 0 -> enter()
	:: else -> at[p] = AwaitTomb
	fi }
:: d_step { at[p] == AwaitTomb && life[other[p]] == GONE -> at[p] = Tombs }
:: d_step { at[p] == AwaitTomb && life[other[p]] != GONE && role[p] != Waiter -> at[p] = GiveUp }
:: d_step { at[p] == GiveUp ->
	if
	:: path == remembered[p] -> open_file(); at[p] = GiveUpLook
	:: else -> at[p] = GiveUpFlock
	fi }
:: d_step { at[p] == GiveUpLook && (DELETES_UNLOCKED || RECORD_IS_FREE) ->
	if
	:: DELETES_UNLOCKED
	:: else -> lock_record()
	fi;
	at[p] = (path == FILE -> GiveUpName : GiveUpFlock) }
:: d_step { at[p] == GiveUpLook && !DELETES_UNLOCKED && !RECORD_IS_FREE -> at[p] = GiveUpFlock }
:: d_step { at[p] == GiveUpName ->
	if
	:: path != 0 -> unlink_path()
	:: else
	fi;
	at[p] = GiveUpFlock }
:: d_step { at[p] == GiveUpFlock -> close_file(); give_up(map[p]); at[p] = Refused }
/* judge_busy(). Shorter than our patience, or not. */
:: d_step { at[p] == Busy && !again[p] ->
	if
	:: path == 0 -> at[p] = Open
	:: else -> see(path); remembered[p] = path; at[p] = JudgeBusy
	fi }
:: d_step { at[p] == JudgeBusy ->
	if
	:: SEES_OWN -> again[p] = true; at[p] = Open
	:: !(SEES_OWN) && SEES_LIVING -> at[p] = Refused
	:: else -> at[p] = BusyDead
	fi }
:: d_step { at[p] == BusyDead -> at[p] = Open }
:: d_step { at[p] == BusyDead -> at[p] = Find }
#ifdef PINS
/* pinned_look(), pinned_take(), keep_by_record(). OTHER is who took the flock. */
:: d_step { at[p] == BusyDead && path != 0 && path == remembered[p] && flocked[path] && !EACH_PROCESS(HAS_PATH_OPEN) ->
	other[p] = OPENER(flocked[path]);
	at[p] = PinnedOpen }
:: d_step { at[p] == PinnedOpen ->
	created[p] = false;
	if
	:: path == remembered[p] -> open_file(); at[p] = PinnedJudge
	:: else -> other[p] = 0; at[p] = Open
	fi }
:: d_step { at[p] == PinnedJudge && RECORD_IS_FREE ->
	see(FILE);
	if
	:: seen_pid[p] == 0 || (IS_OTHER && SEES_LIVING) || path != FILE -> close_file(); other[p] = 0; at[p] = Open
	:: else -> lock_record(); at[p] = PinnedWrite
	fi }
:: d_step { at[p] == PinnedWrite ->
	unhint_left();
	record_pid[FILE] = pid_of[p];
	record_stamp[FILE] = BAD_STAMP;
	at[p] = PinnedStamp }
:: d_step { at[p] == PinnedStamp -> record_stamp[FILE] = p; unlock_record(); at[p] = PinnedCheck }
:: d_step { at[p] == PinnedCheck ->
	if
	:: NO_TAKER_CHECK || (flocked[FILE] && OPENER(flocked[FILE]) == other[p]) -> at[p] = PinnedKeep
	:: else -> at[p] = PinnedTakeBack
	fi }
:: d_step { at[p] == PinnedTakeBack && RECORD_IS_FREE ->
	if
	:: record_pid[FILE] == pid_of[p] -> record_pid[FILE] = 0; record_stamp[FILE] = 0
	:: else
	fi;
	close_file();
	other[p] = 0;
	at[p] = Open }
:: d_step { at[p] == PinnedKeep && MODE_IS_FREE(FILE) ->
	if
	:: flocked[FILE] == 0 -> flocked[FILE] = fd[p]
	:: else -> seen_hints[p] = hints[FILE]; set_hint(MAPPED_HINT)
	fi;
	seen_hints[p] = 0;
	other[p] = 0;
	at[p] = Keep }
#endif
/* resume(): tries again; or, with the flock a child's, lockfile_share() */
:: d_step { at[p] == Busy && again[p] -> at[p] = Open }
:: d_step { at[p] == Busy && again[p] && (RESUME_GIVES_UP || EACH_PROCESS(KEEPS_MAPPING)) ->
	if
	:: path == remembered[p] -> open_file(); seen_hints[p] = hints[path]; map[p] = fd[p]; owners[fd[p]]++; at[p] = ShareHint
	:: else -> enter()
	fi }
:: d_step { at[p] == ShareHint && MODE_IS_FREE(FILE) -> set_hint(MAPPED_HINT); close_file(); enter() }
/* holder_find() */
:: d_step { at[p] == Find ->
	if
	:: path == 0 -> at[p] = Refused
	:: else ->
		see(path);
		remembered[p] = path;
		find_mapper(path);
		at[p] = (SEES_LIVING || other[p] == 0 -> Refused : FoundMapper)
	fi }
:: d_step { at[p] == FoundMapper -> at[p] = Refused }
:: d_step { at[p] == FoundMapper -> at[p] = Replace }
:: d_step { at[p] == Refused ->
	assert(!own[p] && role[p] != Prober && role[p] != Child);
	at[p] = Die }
:: d_step { at[p] == Replace ->
	if
	:: path == remembered[p] ->
		if
		:: fd[p] == 0 -> open_file()
		:: else
		fi;
		at[p] = ReplaceLock
	:: else -> at[p] = AFTER_REPLACE
	fi }
:: d_step { at[p] == ReplaceLock && RECORD_IS_FREE ->
	if
	:: SAME_RECORD && KEEPS_LOCK(other[p]) -> lock_record(); seen_hints[p] = hints[FILE]; at[p] = ReplaceWrite
	:: else -> close_file(); at[p] = AFTER_REPLACE
	fi }
:: d_step { at[p] == ReplaceWrite ->
	unhint_left();
	record_pid[FILE] = pid_of[other[p]];
	record_stamp[FILE] = BAD_STAMP;
	at[p] = ReplaceStamp }
:: d_step { at[p] == ReplaceStamp ->
	record_stamp[FILE] = other[p];
	given_up[p] = (leaving[p] -> 2 : 0);
	close_file();
	at[p] = AFTER_REPLACE }
