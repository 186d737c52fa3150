/* SPDX-License-Identifier: MIT */
/* lockfile_wait(): TakeFlock blocks for who waits. */
#ifndef STALE_HINTS
:: d_step { at[p] == Announce && (path == 0 || MODE_IS_FREE(path)) ->
	if
	:: path != 0 -> hints[path] = hints[path] | WAITERS_HINT
	:: else
	fi;
	at[p] = Open }
#else
:: d_step { at[p] == Announce ->
	if
	:: path != 0 -> open_file(); seen_hints[p] = hints[path]; at[p] = AnnounceHint
	:: else -> at[p] = Open
	fi }
:: d_step { at[p] == AnnounceHint -> set_hint(WAITERS_HINT); close_file(); at[p] = Open }
#endif
/* watch_holder(): the flock was given up again, for a holder that has called exec wants it back. */
:: d_step { at[p] == Watch && (path == 0 || other[p] || !SEES_LIVING || record_pid[path] != seen_pid[p] || record_stamp[path] != seen_stamp[p]) ->
	other[p] = 0;
	at[p] = Announce }
/* keep_turn(), which takes a second at most. */
:: d_step { at[p] == KeepTurn -> close_file(); at[p] = Watch }
:: d_step { at[p] == KeepTurn && (path != FILE || !SAME_RECORD || !(STILL_HELD)) ->
	other[p] = 0;
	if
	:: path != FILE -> close_file(); at[p] = Announce
	:: else -> at[p] = Judge
	fi }
