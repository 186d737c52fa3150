#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The benchmark runs: not what it measures, for the machine has other things to do.
# shellcheck disable=SC2154 # set by bats

load test_helper

setup() {
	clean_environment
	[[ -z $EXLOCK_PRELOAD_FIRST ]] || skip "it measures the library alone"
}

# Runs cases; each prints a table, and what is to be reached is said of each.
bench() {
	run --separate-stderr /usr/bin/python3 -B "$SOURCE/tests/bench/bench.py" "$BUILD" --smoke "$@"
	[[ $status -eq 0 && $stderr == "" ]] || { printf '%s\n' "$status" "$stderr"; false; }
}

@test "the benchmark measures a start and end, a refusal and a descendant, beside who else locks" {
	bench start refused descendant
	for row in bare 'empty library' libexlock.so exlock-launch 'libexlock.so, refused' 'libexlock.so, a child'; do
		grep -qE "^$row  +[0-9]+ " <<<"$output" || { echo "no $row: $output"; false; }
	done
	command -v flock >/dev/null || skip "no flock"
	grep -q '^flock -n ' <<<"$output"
	[[ $(grep -cE ' (reached|missed)$' <<<"$output") -eq 4 ]]
}

@test "the benchmark measures what waits, what rushes in, and what is heavy" {
	bench queue rush files threads descriptors
	for row in 'libexlock.so +3' 'exlock-launch +1' '20 lock files' '1,000 threads'; do
		grep -qE "^$row  +[0-9]+ " <<<"$output" || { echo "no $row: $output"; false; }
	done
	grep -qE '^at a time, of many starts in one instant +1.00 +1.00 +reached$' <<<"$output"
}

@test "the benchmark counts system calls and instructions" {
	command -v strace >/dev/null || skip "no strace"
	strace -o /dev/null true 2>/dev/null || skip "nobody may be traced here"
	bench counts
	grep -qE '^libexlock.so +1 +1 +[0-9]+ +[0-9]+ ' <<<"$output"
}

@test "the benchmark draws its picture" {
	command -v gnuplot >/dev/null || skip "no gnuplot"
	bench start --picture "$BATS_TEST_TMPDIR/start.svg"
	grep -q 'exlock-launch' "$BATS_TEST_TMPDIR/start.svg"
}

@test "the benchmark names its cases, and refuses others" {
	run -2 /usr/bin/python3 -B "$SOURCE/tests/bench/bench.py" "$BUILD" --smoke nonsense
	[[ $output == *"no such case: nonsense; there are start disk refused"* ]]
}
