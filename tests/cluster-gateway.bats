# SPDX-License-Identifier: MIT
# A gateway to the cluster that is slow, refuses some requests, or says what cannot be understood.

# shellcheck disable=SC2030,SC2031,SC2034 # every test is a subshell; hosts.bash reads some

load test_helper
load cluster/etcd
load cluster/gateway
load cluster/hosts

@test "a command whose key somebody deletes is killed also where the watch on it has died without a word" {
	gateway_start /v3/watch=silent
	hold_on web1 sh -c "$STUBBORN" "$ORACLE"
	etcdctl del --prefix "$NAME/"
	poll process_has_ended "$KEEPER"
	assert_ends_with 123
	flock -n "$ORACLE" true
	grep -q deleted "$BATS_TEST_TMPDIR/web1.err"
}

@test "where renewals are refused at once they are tried again now and then, until the lease is over" {
	gateway_start /v3/lease/keepalive=404
	hold_on web1 --ttl 3 sh -c "$STUBBORN" "$ORACLE"
	ENDPOINTS='' assert_next_is_alone
	assert_ends_with 123
	grep -q "/v3) does" "$BATS_TEST_TMPDIR/web1.err"
	(($(grep -c /keepalive "$ASKED") < 20))
}

@test "so are those of a start that waits, which is not let in without a lease" {
	hold_on web1 sh -c "$STAYS" "$ORACLE"
	local holder=$COMMAND
	gateway_start /v3/lease/keepalive=404
	begin_on web2 --ttl 3 -t 4 flock -n "$ORACLE" echo alone
	assert_ends_with 1
	(($(grep -c /keepalive "$ASKED") < 30))
	kill -TERM "$holder"
}

# A start with OPTIONS that gets no answer before its lease is over. Its tries leave nothing behind.
start_too_slow() {
	run -125 timeout 25 "$LAUNCH" --cluster="$ENDPOINTS" --ttl 2 -n "$NAME" "$@" touch "$BATS_TEST_TMPDIR/started"
	[[ $output == "exlock: etcd: "*" (nothing is started)" ]]
	[[ $output == *slow* || $output == *"no answer in time"* ]]
	file_is_gone "$BATS_TEST_TMPDIR/started"
	queue_is 0
}

@test "a start whose lease is shorter than the cluster takes to answer gives up in a bounded time, and says so" {
	gateway_start /v3/kv/txn=4s
	start_too_slow
}

@test "so does one that would wait for the lock, however long" {
	gateway_start /v3/kv/txn=4s
	start_too_slow --wait
	start_too_slow -t 1
}

@test "where the holder's key cannot be understood nothing is started beside it" {
	hold_on web1 sh -c "$STAYS" "$ORACLE"
	gateway_start '/v3/kv/txn=s/"key":"/"key":"?/'
	run -125 on web2 --wait touch "$BATS_TEST_TMPDIR/started"
	[[ $output == "exlock: etcd: etcd's answer cannot be understood (nothing is started)" ]]
	file_is_gone "$BATS_TEST_TMPDIR/started"
	gateway_start '/v3/kv/range=s/"key":"/"key":"?/'
	run -1 on web2 touch "$BATS_TEST_TMPDIR/started"
}

@test "where one of the keys cannot be understood exlockctl says so, and lists no part of them" {
	[[ -x $BUILD/exlockctl ]] || skip "exlockctl was not built: no jansson"
	hold_on web1 sh -c "$STAYS" "$ORACLE"
	gateway_start '/v3/kv/range=s/"key":"/"key":"?/'
	run -125 "$BUILD/exlockctl" --cluster="$ENDPOINTS" list
	[[ $output == "exlockctl: etcd: etcd's answer cannot be understood" ]]
	run -125 "$BUILD/exlockctl" --cluster="$ENDPOINTS" --json status "$NAME"
	[[ $output == "exlockctl: etcd: etcd's answer cannot be understood" ]]
}
