#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The launcher's exit status with a cluster: 125 says that nothing was started, 123 that the command was ended because the lock was lost. Any
# other is the command's own. On one member of etcd.

# shellcheck disable=SC2016,SC2030,SC2031 # $ is for the shell inside; every test is a subshell
load test_helper
load cluster/etcd
load cluster/hosts
load cluster/proxy

teardown() {
	kill -CONT "${STOPPED[@]}" 2>/dev/null || :
	end_processes
}

# A command that was asked to end, and does by WORDS of shell, while its member is cut off. Its launcher ends with STATUS.
ends_when_asked() {
	proxy_start way=0
	ENDPOINTS=${WAY[way]} hold_on web1 --ttl 4 sh -c "trap 'echo asked; $1' TERM"'; echo "ready $$"; while :; do sleep 1000 & wait; done'
	proxy_tell way drop
	assert_ends_with "$2"
	proxy_tell way pass
	grep -q asked "$BATS_TEST_TMPDIR/web1.out"
	grep -qF ' (the lease was about to end: the command was asked to end)' "$BATS_TEST_TMPDIR/web1.err"
}

@test "a command that is asked to end, and ends with 0 while it holds the lock, keeps its status" {
	ends_when_asked 'exit 0' 0
}

@test "with another status it was not done, and the launcher's says that the lock was lost" {
	ends_when_asked 'exit 3' 123
}

@test "so it does if the command dies of the signal" {
	ends_when_asked 'trap - TERM; kill -TERM $$' 123
}

lease_is_renewed() {
	[[ $(etcdctl lease timetolive "$LEASE") =~ remaining\(([0-9]+)s ]] && ((BASH_REMATCH[1] >= 5))
}

lease_is_older() { ! lease_is_renewed; }

@test "a command that was asked to end, and whose lease was renewed after all, keeps any status; the request is told" {
	proxy_start way=0
	ENDPOINTS=${WAY[way]} hold_on web1 --ttl 6 sh -c 'trap "echo asked" TERM; trap "kill \$!; exit 3" USR1; echo "ready $$"; while :; do sleep 1000 & wait; done'
	LEASE=$(etcdctl get --prefix "$NAME/" --keys-only | sed -n "s|^$NAME/||p")
	proxy_tell way drop
	poll grep -q asked "$BATS_TEST_TMPDIR/web1.out"
	proxy_tell way pass
	# Not only renewed: renewals go on, so the keeper knows of the first.
	poll lease_is_renewed
	poll lease_is_older
	poll lease_is_renewed
	kill -USR1 "$COMMAND"
	assert_ends_with 3
	grep -qF ' (the lease was about to end: the command was asked to end)' "$BATS_TEST_TMPDIR/web1.err"
}

@test "a command that has ended while it held the lock keeps its status, though its keeper hears of it when the lease is over" {
	local status
	for status in 0 3; do
		hold_on web1 --ttl 5 sh -c "trap 'kill \$!; exit $status' USR1"'; echo "ready $$"; while :; do sleep 1000 & wait; done'
		STOPPED=("$KEEPER")
		kill -STOP "$KEEPER"
		kill -USR1 "$COMMAND"
		poll process_has_ended "$COMMAND"
		poll queue_is 0
		kill -CONT "$KEEPER"
		assert_ends_with "$status"
	done
}

@test "whatever becomes of a start that waits, its status says that nothing was started" {
	hold_on web1 "$HELPERS/hold"
	local holder=$COMMAND
	begin_on web2 --wait touch "$BATS_TEST_TMPDIR/started"
	poll queue_is 2
	find_warden
	kill -KILL "$WARDEN"
	assert_ends_with 125
	grep -qF "exlock: exlock-keeper: the command's warden was killed (nothing is started)" "$BATS_TEST_TMPDIR/web2.err"
	poll queue_is 1
	# As for any process that somebody kills.
	begin_on web2 --wait touch "$BATS_TEST_TMPDIR/started"
	poll queue_is 2
	find_warden
	find_child "$WARDEN"
	kill -KILL "$CHILD"
	assert_ends_with 137
	poll queue_is 1
	kill -TERM "$holder"
	file_is_gone "$BATS_TEST_TMPDIR/started"
}

@test "the command's own status may be any of these" {
	local status
	for status in 1 123 125 126 127; do
		run "-$status" on web1 sh -c "exit $status"
		[[ $output == '' ]]
	done
}
