/* SPDX-License-Identifier: MIT */
/* tests/peers/exclusive.py, and flock(1) of util-linux. */
:: d_step { at[p] == PythonCreate ->
	if
	:: path != 0 -> at[p] = PythonOpen
	:: else -> create_file(); open_file(); at[p] = PythonLock
	fi }
:: d_step { at[p] == PythonOpen ->
	if
	:: path == 0 -> at[p] = Die
	:: else -> open_file(); at[p] = PythonLock
	fi }
:: d_step { at[p] == PythonLock && record_locked[FILE] == NOBODY ->
	lock_record();
	see(FILE);
	at[p] = (PEER_IS_LOST -> Die : PythonJudge) }
:: d_step { at[p] == PythonJudge ->
	at[p] = (seen_pid[p] != 0 && PID_LIVES(seen_pid[p]) -> Die : PythonWrite) }
:: d_step { at[p] == PythonWrite ->
	record_pid[FILE] = pid_of[p];
	record_stamp[FILE] = 0;
	close_file();
	enter();
	at[p] = PythonInside }
/* The end of its locked block, not of the process. */
:: d_step { at[p] == PythonInside -> inside[p] = 0; at[p] = PythonUnlink }
:: d_step { at[p] == PythonUnlink ->
	if
	:: path != 0 && (PEER_GAP || flocked[path] == 0 || role[OPENER(flocked[path])] != Flock) -> unlink_path()
	:: else
	fi;
	at[p] = Die }
:: d_step { at[p] == FlockOpen ->
	if
	:: path == 0 -> create_file()
	:: else
	fi;
	open_file();
	at[p] = FlockTake }
:: d_step { at[p] == FlockTake && flocked[FILE] == 0 ->
	flocked[FILE] = fd[p];
	if
	:: PEER_IS_LOST || MEETS_EXEC || MEETS_RECORD -> at[p] = Die
	:: else -> enter(); at[p] = FlockInside
	fi }
/* --nonblock */
:: d_step { at[p] == FlockTake && flocked[FILE] != 0 -> at[p] = Die }
:: d_step { at[p] == FlockInside -> at[p] = Die }
