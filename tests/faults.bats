#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Every system call of the constructor, the exit handler and the launcher fails in turn, transfers less, is the last one before
# a SIGKILL, or lasts until somebody else has started. The calls come from a trace, so a new one needs nothing here.
# EXLOCK_FAULTS=all: with every error that it can return, once and from then on; otherwise with some of them.
# shellcheck disable=SC2153 # the helper sets it

load test_helper

setup() {
	clean_environment
	# With few processes to look at, the calls are few, and nearly the same each time.
	INSIDE=(unshare --pid --fork --kill-child --mount-proc)
	[[ $EUID -eq 0 ]] || INSIDE+=(--user --map-root-user)
	"${INSIDE[@]}" true 2>/dev/null || INSIDE=()
}

teardown() {
	remove_public_place
}

# In each SITUATION, whatever fails: exclusive and running, refused, 125, or running with a warning; afterwards the lock is free.
assert_bears_faults() {
	local situation
	for situation in "$@"; do
		mkdir "$BATS_TEST_TMPDIR/$situation"
		run "${INSIDE[@]}" "$HELPERS/faulty" "${PLACE:-$BATS_TEST_TMPDIR/$situation}" "$SHIM" "$BUILT_LAUNCH" "$situation" \
			${EXLOCK_FAULTS:+"$EXLOCK_FAULTS"}
		[[ $status -ne 88 ]] || skip "needs ptrace(2), on x86-64"
		[[ $status -eq 0 ]] || { echo "$output"; return 1; }
		echo "# ${lines[-1]}" >&3
	done
}

@test "whatever system call fails at a free lock, a program is exclusive or does not run" {
	assert_bears_faults fresh stale
}

@test "whatever system call fails, a program with a derived name, a log, or without an input is exclusive or does not run" {
	assert_bears_faults derived no-input
}

@test "whatever system call fails over another user's stale file, a program is exclusive or does not run" {
	make_public_place
	cp "$BUILD/tests/faulty" "$BUILD/tests/subject" "$PLACE"
	assert_bears_faults foreign
}

@test "whatever system call fails, nothing runs beside a holder" {
	assert_bears_faults held held-by-record held-by-peer held-by-daemon
}

@test "whatever system call fails, only a program that was warned or told runs beside a holder" {
	assert_bears_faults unguarded held-unguarded held-flagged
}

@test "whatever system call fails, a waiting program gets its turn alone, or gives up, in a bounded time" {
	assert_bears_faults timeout timeout-record turn turn-record
}

@test "whatever system call fails, a program does not run before its predecessor is gone" {
	assert_bears_faults dying-turn ${EXLOCK_FAULTS:+dying}
}

@test "whatever system call fails at the end of a program for which another one waits, that one gets its turn" {
	assert_bears_faults waiter
}

@test "whatever system call fails, a descendant of the holder runs as if untouched" {
	assert_bears_faults descendant descendant-lost descendant-tree
}

@test "whatever system call fails, processes that share the lock after a fork keep it, and free it in the end" {
	assert_bears_faults worker leave last
}

@test "whatever system call fails, a holder that calls exec goes on holding" {
	assert_bears_faults exec exec-tree tree
}

@test "whatever system call of the launcher fails, the command is exclusive or does not run" {
	assert_bears_faults hop hop-bare hop-held
}

@test "the test of faults sees a program that nothing guards" {
	SHIM='' run "${INSIDE[@]}" "$HELPERS/faulty" "$BATS_TEST_TMPDIR" "" "$BUILT_LAUNCH" fresh
	[[ $status -ne 88 ]] || skip "needs ptrace(2), on x86-64"
	[[ $status -eq 1 && $output == *"in main, and another one is, too"* ]]
}
