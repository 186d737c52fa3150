#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The lock file is swapped between any two calls of a start or an end. Whatever the attacker does: nothing is written through it, no
# start hangs or crashes, and each one runs, is refused, or says why it cannot. With EXLOCK_SWAPS=all, every attack there is.
# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154 # every test is a subshell; run sets $stderr

load test_helper
load hostile

ALL='symlink dangling hardlink fifo folder empty stale pid remove chmod truncate write'

setup() {
	setup_hostile
	cp "$BUILD/tests/swap" "$BUILD/tests/swapper" "$PLACE"
	swap none 0 remove@never || skip "may not trace"
	touch -d @1000000000 "$SECRET"
}

# The attack, before every call in turn, on a victim of user UID that finds START in the lock file's place (see swap.c).
swap() {
	timeout 300 "$PLACE/swap" "$SHIM" "$LOCK" "$LAIR" "$SECRET" "$1" "$2" "$3" "$HELPERS/stages" 7
}

# The same for each of the attacks named; the result has to have the form of PATTERN.
assert_survives() {
	local start=$1 uid=$2 pattern=$3 attack
	shift 3
	[[ ${EXLOCK_SWAPS:-} != all ]] || eval "set -- $ALL"
	for attack; do
		run -0 swap "$start" "$uid" "$attack"
		# The attack came before, between and after: there were many calls.
		# shellcheck disable=SC2053 # a pattern
		[[ $output == $pattern && ${output%% *} -gt 20 ]] || { echo "$attack: $output"; return 1; }
	done
}

@test "root's start and end survive every attack where the attacker's stale file was first" {
	assert_survives mine 0 '*' symlink hardlink pid
}

@test "a user's start and end survive every attack where the attacker's stale file was first" {
	assert_survives mine 65534 '*' hardlink fifo write
}

@test "a start and an end survive every attack where there was no file" {
	assert_survives none 0 '*' symlink
	assert_survives none 65534 '*' stale
}

@test "a file that its owner takes away between two calls is one less, not an error" {
	for uid in 0 65534; do
		assert_survives mine "$uid" '* ran, 0 refused, 0 errors' remove
	done
}

@test "over root's own stale file no attack has an effect, so that every start runs, and alone" {
	assert_survives root 0 '* ran, 0 refused, 0 errors' symlink
	assert_survives root 65534 '* ran, 0 refused, 0 errors' remove
}

@test "a file that is replaced again and again while it is judged refuses in the end, and is not followed for ever" {
	# Of this call every look at the file makes one.
	for uid in 0 65534; do
		run -0 swap mine "$uid" stale@pread64
		[[ $output == "0 ran, 1 refused, 0 errors" ]] || { echo "$uid: $output"; false; }
	done
}

@test "while somebody swaps the file as fast as possible, every start ends, in one of the three ways" {
	start_attacker "$PLACE/swapper" "$LOCK" "$LAIR" "$SECRET"
	for who in "${VICTIMS[@]}"{,,,,,,,,,,,,,,,,,,,}; do
		run --separate-stderr start_as "$who"
		case $status in
		7) [[ $output == constructor*destructor* && $stderr == "" ]] ;;
		1) [[ $output == "" && $stderr == "$(refusal_start job)"* ]] ;;
		125) [[ $output == "" && $stderr == "exlock: $LOCK: "* ]] ;;
		*) false ;;
		esac || { echo "$who: $status: $output $stderr"; false; }
	done
	assert_secret_kept
	file_is_gone "$LAIR/nowhere"
}
