#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What a command has started ends with it, however it hides. On one member of etcd.

# shellcheck disable=SC2016,SC2030,SC2031 # $ is for the shell inside; every test is a subshell
load test_helper
load cluster/etcd
load cluster/hosts

# begin_family PROGRAM [OPTION...]: a command, with OPTIONs for the launcher, has PROGRAM for a child, which takes the oracle over
# and has said "ready" as well.
begin_family() {
	local program=$1
	shift
	hold_on web1 --ttl 60 "$@" sh -c 'exec 9>"$0"; flock -n 9 || exit 9
		$1 & echo "ready $$"; exec sleep 1000' "$ORACLE" "$program"
	poll said_ready_twice
}
said_ready_twice() { [[ $(grep -c ready "$BATS_TEST_TMPDIR/web1.out") == 2 ]]; }

# The lock is lost, and nobody of the command's is left.
assert_all_killed() {
	etcdctl del --prefix "$NAME/"
	assert_ends_with 123
	grep -qF 'the lock was lost: the command was killed' "$BATS_TEST_TMPDIR/web1.err"
	flock -n "$ORACLE" true
}

# Ends whoever still has the oracle open, if the test has failed.
teardown() {
	local file
	rm -f "$BATS_TEST_TMPDIR/hop"
	for file in /proc/[0-9]*/task/*/fd/9; do
		if [[ $(readlink "$file" 2>/dev/null) == "$ORACLE" ]]; then ENDLATER+=("$(cut -d/ -f3 <<<"$file")"); fi
	done
	end_processes
}

@test "a descendant whose main thread has ended is killed with the others" {
	begin_family "$HELPERS/leaderless"
	assert_all_killed
}

@test "with --scope tree it is waited for" {
	hold_on web1 --scope tree sh -c 'exec 9>"$0"; "$1" & echo "ready $$"' "$ORACLE" "$HELPERS/leaderless"
	poll said_ready_twice
	poll process_is_gone "$COMMAND"
	assert_held_by web1
	kill -0 "$KEEPER"
	ENDLATER+=("$(pgrep -P "$(pgrep -P "$KEEPER")")")
	kill -KILL "${ENDLATER[-1]}"
	assert_ends_with 0
}

# One that is another process all the time. It goes on for as long as its file is there.
begin_hopper() {
	touch "$BATS_TEST_TMPDIR/hop"
	begin_family "$HELPERS/hopper $BATS_TEST_TMPDIR/hop $1"
}

@test "a descendant that forks and exits all the time is killed with the others" {
	begin_hopper 0
	assert_all_killed
}

@test "so is one that sleeps a little in between, and when it is the keeper that kills" {
	begin_hopper 300
	find_warden
	kill -KILL "$WARDEN"
	assert_ends_with 123
	flock -n "$ORACLE" true
}
