/* SPDX-License-Identifier: MIT */
/* lockfile_wait(): TakeFlock blocks for who waits. */
:: d_step { at[p] == Announce ->
	if
	:: path != 0 -> hint_waiters[path] = true
	:: else
	fi;
	at[p] = Open }
:: d_step { at[p] == Linger && !SEES_LIVING -> at[p] = Judge }
:: d_step { at[p] == Linger && SEES_LIVING -> close_file(); at[p] = Watch }
:: d_step { at[p] == Watch && (!SEES_LIVING || path == 0 || record_pid[path] != seen_pid[p] ||
	record_stamp[path] != seen_stamp[p]) -> at[p] = Announce }
