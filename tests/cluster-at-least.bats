#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# --at-least: the name stays taken in the cluster for so long after the start, though the launcher ends with the command. So the same line in the
# crontab of several hosts runs once. On one member of etcd.

# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # $ is for the shell inside; every test is a subshell; hosts.bash sets some
load test_helper
load cluster/etcd
load cluster/hosts
load cluster/proxy

ctl() { TZ=UTC EXCLUSIVELOCK_CLUSTER=$ETCDCTL_ENDPOINTS "$BUILD/exlockctl" --cluster "$@"; }

# What a start under NAME says while the name of one that has ended on HOST stays taken.
has_run() { echo "$(refusal_start "$NAME" | sed 's/is already running/has already run/') (pid * on $1), and its name is still held."; }

# A start on HOST is refused because the command has run on OTHER.
assert_has_run() {
	run -1 on "$1" touch "$BATS_TEST_TMPDIR/intruder"
	# shellcheck disable=SC2053 # a pattern
	[[ $output == $(has_run "$2") ]] || { echo "$output" && return 1; }
	file_is_gone "$BATS_TEST_TMPDIR/intruder"
}

@test "the launcher ends with the command, and the name stays taken until the time is over" {
	local began=$SECONDS
	run -0 on web1 --at-least 6 sh -c 'echo in; exit 0'
	[[ $output == in ]]
	[[ -z $(ls -A "$BATS_TEST_TMPDIR/web1") ]]
	queue_is 1
	assert_has_run web2 web1
	# On its own host as well.
	assert_has_run web1 web1
	run -1 on web2 --quiet touch "$BATS_TEST_TMPDIR/intruder"
	[[ $output == '' ]]
	run -0 on web2 --wait echo later
	[[ $output == later ]]
	((SECONDS - began >= 5))
	queue_is 0
}

# Runs on HOST what the manual's line for a crontab says, with a job of this test.
crontab_of() {
	local line
	line=$(sed -n 's/^0 3 \* \* \*  root  //p' "$SOURCE/man/exlock-cluster.7.scd" | sed "s|-n nightly|-n $NAME|; s|/opt/nightly|$BATS_TEST_TMPDIR/nightly $1|
		s|--cluster=[^ ]*|--cluster=$ETCDCTL_ENDPOINTS|")
	[[ $line == *" $1" ]]
	mkdir -p "$BATS_TEST_TMPDIR/$1"
	env PATH="$BUILD:$PATH" EXCLUSIVELOCK_DIR="$BATS_TEST_TMPDIR/$1" EXCLUSIVELOCK_CLUSTER_HOST="$1" sh -c "$line"
}

@test "the manual's line in the crontabs of several hosts, whose clocks differ by more than the job takes, runs the job once" {
	local host
	printf '#!/bin/sh\necho "$1" >>%q\n' "$BATS_TEST_TMPDIR/ran" >"$BATS_TEST_TMPDIR/nightly"
	chmod +x "$BATS_TEST_TMPDIR/nightly"
	# One after the other: the first has ended before the next one begins.
	for host in web1 web2 web3 web4 web5; do
		run -0 crontab_of "$host"
		[[ $output == '' ]]
	done
	[[ $(<"$BATS_TEST_TMPDIR/ran") == web1 ]]
}

@test "a command that fails frees the name at once, and with --even-on-failure it does not" {
	run -7 on web1 --at-least 60 sh -c 'exit 7'
	queue_is 0
	run -143 on web1 --at-least 60 sh -c 'kill $$'
	queue_is 0
	run -7 on web1 --at-least 60 --even-on-failure sh -c 'exit 7'
	assert_has_run web2 web1
	NAME=$NAME-killed run -143 on web1 --at-least 60 --even-on-failure sh -c 'kill $$'
	NAME=$NAME-killed assert_has_run web2 web1
}

@test "a command that runs for longer frees the name when it ends" {
	hold_on web1 --at-least 1 "$HELPERS/hold"
	lease_passes
	kill -TERM "$COMMAND"
	assert_ends_with 0
	queue_is 0
}

@test "a keeper that is killed, before its command ends or with it, leaves the name for no longer than the lease" {
	hold_on web1 --at-least 60 sh -c "$STAYS" "$ORACLE"
	kill -KILL "$KEEPER"
	assert_next_is_alone
	hold_on web2 --at-least 60 "$HELPERS/hold"
	kill -STOP "$KEEPER"
	kill -TERM "$COMMAND"
	poll process_has_ended "$COMMAND"
	kill -KILL "$KEEPER"
	assert_next_is_alone
}

@test "those that wait come after it, whoever they are" {
	local began=$SECONDS holder
	hold_on web1 --at-least 5 "$HELPERS/hold"
	holder=$KEEPER
	begin_on web2 --wait echo second
	poll queue_is 2
	kill -TERM "$COMMAND"
	ends_with 0 "$holder"
	etcdctl lock "$NAME" echo third >"$BATS_TEST_TMPDIR/third" 3>&- &
	ENDLATER+=("$!")
	poll queue_is 3
	poll file_has_content "$BATS_TEST_TMPDIR/web2.out"
	((SECONDS - began >= 4))
	poll grep -q third "$BATS_TEST_TMPDIR/third"
}

@test "with --flag a start runs beside it, and is told who it was" {
	run -0 on web1 --at-least 60 sh -c 'echo $$'
	local pid=$output
	run -0 on web2 --flag sh -c 'echo "$EXCLUSIVELOCK_HELD $EXCLUSIVELOCK_HOLDER $EXCLUSIVELOCK_HOLDER_HOST"'
	[[ $output == "1 $pid web1" ]]
}

@test "the machine's own lock is free when the command has ended" {
	run -0 on web1 --at-least 60 true
	EXCLUSIVELOCK_DIR=$BATS_TEST_TMPDIR/web1 run -0 "$LAUNCH" -n "$NAME" echo in
	[[ $output == in ]]
}

@test "exlockctl says that it is done, and until when the name is held" {
	[[ -x $BUILD/exlockctl ]] || skip "exlockctl was not built: no jansson"
	run -0 on web1 --at-least 60 true
	run -0 ctl list
	[[ $'\n'$output =~ $'\n'"$NAME"\ +"done, held until 20"[0-9-]+\ [0-9:]+\ +web1\ + ]]
	run -0 ctl status "$NAME"
	run -0 ctl --json list
	[[ $output == *'"state": "done"'* ]]
}

@test "where no member answers at the end the status is the command's, and the name stays taken for as long as the lease" {
	proxy_start way=0
	ENDPOINTS=${WAY[way]} hold_on web1 --ttl 4 --at-least 60 "$HELPERS/hold"
	proxy_tell way drop
	kill -TERM "$COMMAND"
	assert_ends_with 0
	queue_is 1
	run -1 on web2 true
	[[ $output == "$(refusal "$NAME" "$COMMAND on web1")" ]]
	grep -qF '(the name is not held for all of --at-least: it is free when the lease has ended)' "$BATS_TEST_TMPDIR/web1.err"
	poll queue_is 0
}

@test "where the answers are lost at the end the name is held all the same" {
	local request lost=0
	proxy_start way=0
	for request in /v3/lease/grant /v3/kv/txn; do
		NAME=$NAME${request##*/}
		ENDPOINTS=${WAY[way]} hold_on web1 --at-least 60 "$HELPERS/hold"
		proxy_tell way lose "$request"
		kill -TERM "$COMMAND"
		assert_ends_with 0
		proxy_tell way count
		[[ $ANSWER == *" $((++lost))" ]]
		[[ ! -s $BATS_TEST_TMPDIR/web1.err ]] || { cat "$BATS_TEST_TMPDIR/web1.err"; false; }
		assert_has_run web2 web1
	done
}

@test "somebody who deletes the key frees the name" {
	run -0 on web1 --at-least 60 true
	etcdctl del --prefix "$NAME/"
	run -0 on web2 true
}

@test "the environment has both options, and the command gets neither" {
	EXCLUSIVELOCK_CLUSTER_AT_LEAST=60 EXCLUSIVELOCK_CLUSTER_EVEN_ON_FAILURE=1 run -9 on web1 sh -c 'env | grep -E "AT_LEAST|FAILURE"; exit 9'
	[[ $output == '' ]]
	assert_has_run web2 web1
}

@test "values that cannot be understood are errors" {
	local value
	for value in 0 -1 86401 2d x; do
		run -125 on web1 --at-least "$value" touch "$BATS_TEST_TMPDIR/intruder"
		[[ $output == "exlock: EXCLUSIVELOCK_CLUSTER_AT_LEAST='$value': must be a time of a day at most, as in 600, 10m or 2h" ]]
	done
	EXCLUSIVELOCK_CLUSTER_EVEN_ON_FAILURE=yes run -125 on web1 --at-least 1 touch "$BATS_TEST_TMPDIR/intruder"
	[[ $output == "exlock: EXCLUSIVELOCK_CLUSTER_EVEN_ON_FAILURE='yes': must be 0 or 1" ]]
	run -125 on web1 --even-on-failure touch "$BATS_TEST_TMPDIR/intruder"
	[[ $output == "exlock: EXCLUSIVELOCK_CLUSTER_EVEN_ON_FAILURE='1': goes with --at-least" ]]
	run -125 "$LAUNCH" --at-least 1 touch "$BATS_TEST_TMPDIR/intruder"
	[[ $output == "exlock-launch: --at-least needs --cluster (see exlock-launch --help)" ]]
	file_is_gone "$BATS_TEST_TMPDIR/intruder"
}
