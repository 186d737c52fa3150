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
	assert_ends_with 125
	flock -n "$ORACLE" true
	grep -q deleted "$BATS_TEST_TMPDIR/web1.err"
}
