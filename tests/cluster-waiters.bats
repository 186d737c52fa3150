#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# A start that waits in the cluster and loses its place takes a new one, whatever happens to it or to the cluster. On one member of etcd.

# shellcheck disable=SC2016,SC2030,SC2031 # $ is for the shell inside; every test is a subshell
load test_helper
load cluster/etcd
load cluster/gateway
load cluster/hosts
load cluster/proxy

# Prints the key that came last into the queue.
last_key() { etcdctl get --prefix "$NAME/" --keys-only --sort-by=CREATE | grep . | tail -n 1; }

has_another_key() { queue_is "$1" && [[ $(last_key) != "$2" ]]; }

@test "one whose lease somebody ends, the holder ending before its next renewal, gets in, and says with --verbose what happened" {
	local key
	hold_on web1 sh -c "$STAYS" "$ORACLE"
	begin_on web2 --ttl 60 --wait --verbose flock -n "$ORACLE" echo alone
	poll queue_is 2
	key=$(last_key)
	etcdctl lease revoke "${key#*/}"
	kill -TERM "$COMMAND"
	poll process_has_ended "$KEEPER"
	assert_ends_with 0
	[[ $(<"$BATS_TEST_TMPDIR/web2.out") == alone ]]
	grep -qE "Z \[[0-9]+\] Lost the place in the queue, waiting for a new one, at etcd:$key\.\.\.$" "$BATS_TEST_TMPDIR/web2.err"
	grep -q "Acquired lock at etcd:$NAME/" "$BATS_TEST_TMPDIR/web2.err"
	run ! grep -q ^exlock "$BATS_TEST_TMPDIR/web2.err"
}

@test "one whose lease somebody ends takes a new place while the name is held, and others come first" {
	local key holder
	hold_on web1 sh -c "$STAYS" "$ORACLE"
	holder=$COMMAND
	begin_on web2 --wait sh -c 'echo 2 >>"$0"' "$BATS_TEST_TMPDIR/order"
	poll queue_is 2
	key=$(last_key)
	begin_on web3 --wait sh -c 'echo 3 >>"$0"' "$BATS_TEST_TMPDIR/order"
	poll queue_is 3
	etcdctl lease revoke "${key#*/}"
	poll queue_is 3
	kill -TERM "$holder"
	poll queue_is 0
	[[ $(<"$BATS_TEST_TMPDIR/order") == $'3\n2' && ! -s $BATS_TEST_TMPDIR/web2.err ]]
}

@test "an outage of any length ends no start that waits; its own limit and a signal do" {
	local waiter limited signalled
	proxy_start way=0
	hold_on web1 sh -c "$STAYS" "$ORACLE"
	local holder=$COMMAND
	export ENDPOINTS=${WAY[way]}
	begin_on web2 --wait flock -n "$ORACLE" echo alone
	waiter=$KEEPER
	begin_on web3 --timeout 9 touch "$BATS_TEST_TMPDIR/started"
	limited=$KEEPER
	begin_on web4 --wait touch "$BATS_TEST_TMPDIR/started"
	signalled=$KEEPER
	poll queue_is 4
	proxy_tell way refuse
	# Longer than a lease, and all that a start takes to give up at its beginning.
	read -r -t 12 <><(:) || :
	ends_with 1 "$limited"
	[[ $(<"$BATS_TEST_TMPDIR/web3.err") == "$(refusal "$NAME" "$COMMAND on web1")" ]]
	kill -TERM "$signalled"
	ends_with 143 "$signalled"
	run ! process_has_ended "$waiter"
	[[ ! -s $BATS_TEST_TMPDIR/web2.err ]]
	queue_is 1
	proxy_tell way pass
	poll queue_is 2
	kill -TERM "$holder"
	ends_with 0 "$waiter"
	[[ $(<"$BATS_TEST_TMPDIR/web2.out") == alone ]]
	file_is_gone "$BATS_TEST_TMPDIR/started"
}

@test "a start that has not been in the queue yet fails in an outage, also with --wait" {
	proxy_start way=0
	proxy_tell way refuse
	ENDPOINTS=${WAY[way]} run -125 on web1 --wait touch "$BATS_TEST_TMPDIR/started"
	[[ $output == "exlock: etcd: ${WAY[way]}: "*" (nothing is started)" ]]
	file_is_gone "$BATS_TEST_TMPDIR/started"
}

@test "where a gateway answers as no etcd does, one that waits asks for a new place now and then, until its limit" {
	hold_on web1 sh -c "$STAYS" "$ORACLE"
	gateway_start /v3/kv/range=404
	run -1 on web2 --timeout 3 touch "$BATS_TEST_TMPDIR/started"
	[[ $output == "$(refusal "$NAME" "$COMMAND on web1")" ]]
	(($(grep -c /v3/kv/txn "$ASKED") > 3))
	(($(grep -c /v3/kv/txn "$ASKED") < 20))
	file_is_gone "$BATS_TEST_TMPDIR/started"
	queue_is 1
}
