/* SPDX-License-Identifier: MIT */
/* How a process ends: by itself, or by SIGKILL. The kernel takes away one thing after another. */
:: d_step { at[p] == Die ->
	forget();
	inside[p] = (role[p] == Flock -> 0 : inside[p]);
	at[p] = Dying;
	if
	:: HAS_NOTHING -> be_gone()
	:: else -> life[p] = ENDING
	fi }
:: d_step { at[p] == Dying && fd[p] != 0 -> close_file() }
:: d_step { at[p] == Dying && inside[p] != 0 && FILES_TURN -> inside[p] = 0 }
:: d_step { at[p] == Dying && map[p] != 0 && MAPPING_TURN -> give_up(map[p]) }
:: d_step { at[p] == Dying && tomb[p] && TOMBSTONE_TURN -> tomb[p] = false }
:: d_step { at[p] == Dying && HAS_NOTHING -> be_gone() }
#ifdef PINS
/* Somebody looks at its memory: it has ended, but for its mapping. */
:: d_step { at[p] == Dying && tomb[p] && fd[p] == 0 && inside[p] == 0 -> tomb[p] = false }
:: d_step { at[p] == Dying && map[p] != 0 && fd[p] == 0 && inside[p] == 0 && !tomb[p] -> life[p] = GONE; at[p] = Pinned }
:: d_step { at[p] == Pinned -> give_up(map[p]); be_gone() }
#endif
/* SIGKILL, at any step. */
:: d_step { life[p] == LIVES && at[p] != Die && kills < KILLS && role[p] != Prober -> kills++; at[p] = Die }
