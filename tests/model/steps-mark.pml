/* SPDX-License-Identifier: MIT */
/* descent_by_mark(), of a child that has called exec, and of a start with a copy of the same mark. */
:: d_step { at[p] == Mark && ANY_MARK -> pass_by() }
:: d_step { at[p] == Mark && !ANY_MARK ->
	if
	:: path == 0 || path != remembered[p] -> at[p] = MarkedFileIsGone
	:: else -> see(path); at[p] = (seen_pid[p] == pid_of[1] && seen_stamp[p] == 1 -> MarkIsRecorded : MarkIsNot)
	fi }
:: d_step { at[p] == MarkedFileIsGone ->
	if
	:: (MARK_LIVES && HAS_ANCESTOR(1)) || IS_LATE -> pass_by()
	:: else -> at[p] = Open
	fi }
:: d_step { at[p] == MarkIsRecorded ->
	if
	:: MARK_LIVES || IS_LATE || KEEPS_FLOCK -> pass_by()
	:: else -> at[p] = Open
	fi }
:: d_step { at[p] == MarkIsNot ->
	if
	:: LIVING_ANCESTOR || ANCESTOR_MAPS || IS_LATE -> pass_by()
	:: else -> at[p] = Open
	fi }
