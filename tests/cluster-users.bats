# SPDX-License-Identifier: MIT
# A cluster that knows users and their passwords.

# shellcheck disable=SC2030,SC2031 # every test is a subshell

load test_helper
load cluster/etcd
load cluster/hosts

setup_file() {
	etcd_needed || return 0
	etcd_start 1 http --bcrypt-cost 4 --auth-token-ttl 1
	etcdctl user add root:toor
	etcdctl user grant-role root root
	etcdctl role add jobs
	etcdctl role grant-permission jobs readwrite --prefix=true job
	etcdctl user add nightly:s3cret
	etcdctl user grant-role nightly jobs
	etcdctl auth enable
	export ETCDCTL_USER=nightly:s3cret
}

as_root() { ETCDCTL_USER=root:toor etcdctl "$@"; }

setup() {
	cluster_environment
	echo s3cret >"$BATS_TEST_TMPDIR/password"
}

@test "a user with a password from a file gets in, keeps others out, and outlives the token" {
	hold_on web1 --cluster-user nightly --password-file "$BATS_TEST_TMPDIR/password" sh -c "$STAYS" "$ORACLE"
	# A token is good for a second here.
	lease_passes
	lease_passes
	run -1 on web2 --cluster-user nightly --password-file "$BATS_TEST_TMPDIR/password" echo in
	[[ $output == "$(refusal "$NAME" "$COMMAND on web1")" ]]
}

@test "the password may come from the environment; the command does not get it, nor is it in any command line" {
	export EXCLUSIVELOCK_CLUSTER_USER=nightly EXCLUSIVELOCK_CLUSTER_PASSWORD=s3cret
	hold_on web1 sh -c "$STAYS" "$ORACLE"
	run ! grep -z ^EXCLUSIVELOCK_CLUSTER_PASSWORD "/proc/$COMMAND/environ"
	run ! grep -z s3cret "/proc/$KEEPER/cmdline"
}

@test "a wrong password, an unknown user and no user at all get nobody in" {
	echo wrong >"$BATS_TEST_TMPDIR/wrong"
	assert_not_let_in auth --cluster-user nightly --password-file "$BATS_TEST_TMPDIR/wrong"
	assert_not_let_in auth --cluster-user nobody --password-file "$BATS_TEST_TMPDIR/password"
	assert_not_let_in user
}

@test "a user who may not write the name is told so" {
	NAME=other
	assert_not_let_in "permission denied" --cluster-user nightly --password-file "$BATS_TEST_TMPDIR/password"
}

@test "when the password changes and its file with it, a command that runs goes on, and waits for no new start" {
	as_root user add rotating:first
	as_root user grant-role rotating jobs
	echo first >"$BATS_TEST_TMPDIR/password"
	hold_on web1 --ttl 4 --cluster-user rotating --password-file "$BATS_TEST_TMPDIR/password" sh -c "$STAYS" "$ORACLE"
	# It takes back the tokens that were given for the old one.
	echo second | as_root user passwd rotating --interactive=false
	echo second >"$BATS_TEST_TMPDIR/password"
	CLUSTER_TTL=5 lease_passes
	kill -0 "$COMMAND"
	run -1 on web2 --cluster-user rotating --password-file "$BATS_TEST_TMPDIR/password" echo in
	[[ $output == "$(refusal "$NAME" "$COMMAND on web1")" ]]
	[[ ! -s $BATS_TEST_TMPDIR/web1.err ]]
}

@test "a role with the prefix of the locks is enough for a start, for one that waits, and for exlockctl" {
	as_root role add prefixed
	as_root role grant-permission prefixed --prefix=true readwrite exlock/
	as_root user add prefixed:s3cret
	as_root user grant-role prefixed prefixed
	export EXCLUSIVELOCK_CLUSTER_PREFIX=exlock/ EXCLUSIVELOCK_CLUSTER_USER=prefixed
	export EXCLUSIVELOCK_CLUSTER_PASSWORD_FILE=$BATS_TEST_TMPDIR/password
	hold_on web1 sh -c "$STAYS" "$ORACLE"
	begin_on web2 --wait flock "$ORACLE" echo alone
	poll is_waited_for
	run -0 "$BUILD/exlockctl" --cluster="$ETCDCTL_ENDPOINTS" list
	[[ ${#lines[@]} == 3 ]]
	kill -TERM "$COMMAND"
	poll grep -q alone "$BATS_TEST_TMPDIR/web2.out"
}

is_waited_for() { "$BUILD/exlockctl" --cluster="$ETCDCTL_ENDPOINTS" --json status "$NAME" | grep -q '"waiting": 1'; }
