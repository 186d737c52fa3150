#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# A renewal of the lease counts once a majority of the cluster stands behind it. etcd before 3.4.31 and 3.5.13 answers renewals from the
# memory of one process, which may have lost its lead without knowing it.

# shellcheck disable=SC2030,SC2031,SC2034 # every test is a subshell; hosts.bash reads some

load test_helper
load cluster/etcd
load cluster/gateway
load cluster/hosts

# The command ends before the next host's begins, and its lease was never moved on.
assert_not_renewed() {
	ENDPOINTS='' assert_next_is_alone
	assert_ends_with 123
	poll flock -n "$ORACLE" true
}

@test "a command whose renewals are answered, and nothing else, has ended before the next host's begins" {
	gateway_start /v3/lease/keepalive=again /v3/kv/range=silent
	hold_on web1 sh -c "$STUBBORN" "$ORACLE"
	assert_not_renewed
	(($(grep -c /keepalive "$ASKED") > 1))
	grep -q asked "$BATS_TEST_TMPDIR/web1.out"
	grep -q "$ENDPOINTS: no answer in time" "$BATS_TEST_TMPDIR/web1.err"
}

@test "a renewal does not count if the leader has changed before the next read" {
	gateway_start '/v3/lease/keepalive=s/"raft_term":"/"raft_term":"1/'
	hold_on web1 --ttl 3 sh -c "$STUBBORN" "$ORACLE"
	assert_not_renewed
	# It is repeated soon, but not without end.
	(($(grep -c /keepalive "$ASKED") > 3))
	(($(grep -c /keepalive "$ASKED") < 100))
}

@test "nor does one that does not say in which term it was" {
	gateway_start '/v3/lease/keepalive=s/raft_term/draft_term/'
	hold_on web1 --ttl 3 sh -c "$STUBBORN" "$ORACLE"
	assert_not_renewed
	(($(grep -c /keepalive "$ASKED") < 20))
}

key_is_gone() { [[ -z $(etcdctl get --keys-only "$1") ]]; }

@test "a start that waits is not let in by such renewals, and takes its place again when its lease has ended" {
	hold_on web1 sh -c "$STAYS" "$ORACLE"
	local holder=$COMMAND key
	gateway_start '/v3/lease/keepalive=s/"raft_term":"/"raft_term":"1/'
	begin_on web2 --ttl 3 --wait flock -n "$ORACLE" echo alone
	poll queue_is 2
	key=$(etcdctl get --prefix "$NAME/" --keys-only --sort-by=CREATE | grep . | tail -n 1)
	poll key_is_gone "$key"
	poll queue_is 2
	kill -TERM "$holder"
	poll grep -q alone "$BATS_TEST_TMPDIR/web2.out"
}
