#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# exlockctl looks at a cluster's locks.

# shellcheck disable=SC2016 # $ is for the shell inside
load test_helper
load cluster/etcd
load cluster/hosts

setup_file() {
	etcd_needed || return 0
	[[ -x $BUILD/exlockctl ]] || lacks "exlockctl was not built: no jansson" || return 0
	etcd_start 1
}

setup() {
	cluster_environment
	export EXCLUSIVELOCK_CLUSTER=$ETCDCTL_ENDPOINTS EXCLUSIVELOCK_CLUSTER_PREFIX=$BATS_TEST_NUMBER/
	cd "$BATS_TEST_TMPDIR" || return
}

ctl() { TZ=UTC "$BUILD/exlockctl" "$@"; }

waits() { [[ $(ctl --cluster --json status "$NAME") == *'"waiting": '"$1"* ]]; }

@test "list shows who holds, on which host, and who waits; and nothing that is no lock's" {
	hold_on web1 "$HELPERS/hold" an argument
	begin_on web2 --wait true
	poll waits 1
	etcdctl put "${EXCLUSIVELOCK_CLUSTER_PREFIX}config/deadbeef" value
	run -0 ctl --cluster list
	[[ ${#lines[@]} == 3 ]]
	[[ ${lines[0]} =~ ^NAME\ +STATE\ +HOST\ +PID\ +SINCE\ +COMMAND$ ]]
	[[ ${lines[1]} =~ ^$NAME\ +held\ +web1\ +$COMMAND\ +20[0-9-]+\ [0-9:]+\ \ "$HELPERS/hold an argument"$ ]]
	[[ ${lines[2]} =~ ^$NAME\ +waiting\ +web2\ +[0-9]+\ .*\ true$ ]]
	[[ $(ctl --cluster --names list) == "$NAME" ]]
	kill -TERM "$COMMAND"
	wait "$KEEPER"
}

@test "status tells of one lock, by its exit status as well" {
	run -1 ctl --cluster status "$NAME"
	[[ $output == "$NAME: free" ]]
	hold_on web1 "$HELPERS/hold"
	run -0 ctl --cluster="$ETCDCTL_ENDPOINTS" status "$NAME"
	[[ $output =~ ^"$NAME: held by pid $COMMAND on web1 since 20"[0-9-]+\ [0-9:]+": $HELPERS/hold"$ ]]
	begin_on web2 --wait true
	poll waits 1
	run -0 ctl --cluster status "$NAME"
	[[ $output == *", 1 waiting: $HELPERS/hold" ]]
	# A longer name is another one's.
	run -1 ctl --cluster status "${NAME%?}"
	run -1 ctl --cluster status "$NAME/x"
	run -1 ctl --cluster status ""
}

@test "a name is not to be had while one is held that begins with it and a slash, and status says so" {
	local long=$NAME/part
	NAME=$long hold_on web1 "$HELPERS/hold"
	run -1 on web2 true
	[[ $output == "$(refusal "$long" "$COMMAND on web1")" ]]
	run -0 ctl --cluster status "$NAME"
	[[ $output == "$NAME: not to be had while a longer name is held: $long: held by pid $COMMAND on web1 since "*": $HELPERS/hold" ]]
	[[ $(ctl --cluster --json status "$NAME") == *'"name": "'"$long"'"'* ]]
	begin_on web2 --wait true
	poll lists "$NAME +waiting +web2 "
	lists "$long +held +web1 "
	run -1 ctl --cluster status "$NAME/p"
	kill -TERM "$COMMAND"
	ends_with 0 "$KEEPER"
}

# A line of the list begins with what PATTERN matches.
lists() { ctl --cluster list | grep -qE "^$1"; }

@test "JSON has the same, and null where something is not known" {
	local fence
	hold_on web1 sh -c 'echo "ready $$ $EXCLUSIVELOCK_FENCE"; exec sleep 1000'
	read -r _ _ fence <web1.out
	NAME=other hold_on web1 "$HELPERS/hold"
	ctl --cluster --json list >all
	ctl --cluster --json status "$NAME" >one
	ctl --cluster --json status nobody >none || :
	/usr/bin/python3 - "$NAME" "$fence" <<-'PYTHON'
		import json, sys
		entries = json.load(open("all"))
		assert [entry["name"] for entry in entries] == [sys.argv[1], "other"], entries
		entry = json.load(open("one"))
		assert entry == entries[0]
		assert entry["state"] == "held" and entry["held"] is True and entry["host"] == "web1" and entry["waiting"] == 0
		assert entry["fence"] == int(sys.argv[2]) and entry["command"].startswith("sh -c ") and entry["since"].endswith("Z")
		none = json.load(open("none"))
		assert none["held"] is False and none["state"] == "free" and none["pid"] is None
		assert none.keys() == entry.keys()
	PYTHON
}

@test "what etcdctl holds is seen, though it does not say who it is" {
	etcdctl lock "$EXCLUSIVELOCK_CLUSTER_PREFIX$NAME" -- sh -c 'echo "ready $$"; exec sleep 1000' >out 3>&- &
	ENDLATER+=("$!")
	poll grep -q ready out
	ENDLATER+=("$(sed -n 's/ready //p' out)")
	run -0 ctl --cluster status "$NAME"
	[[ $output == "$NAME: held by a client that does not say who it is" ]]
	run -0 ctl --cluster list
	[[ ${lines[1]} =~ ^$NAME\ +held\ +-\ +-\ +-\ +-$ ]]
}

@test "a value that another program has written cannot break the list" {
	local lease value
	for value in '[1]' '{"pid":-5,"host":7}' '{"pid":1e9,"start":"now"}' 'x{' "{\"host\":\"$(printf 'h%.0s' {1..500})\",\"command\":\"\\u001b\"}"; do
		lease=$(etcdctl lease grant 60)
		lease=${lease#lease }
		# As in a queue's keys: without the zeros that etcdctl shows.
		printf -v lease %x "0x${lease%% *}"
		etcdctl put --lease "$lease" "$EXCLUSIVELOCK_CLUSTER_PREFIX$NAME/$lease" -- "$value"
	done
	run -0 ctl --cluster list
	[[ ${#lines[@]} == 6 && $output != *$'\e'* ]]
	ctl --cluster --json list | /usr/bin/python3 -m json.tool >/dev/null
	run -1 on web1 true
}

@test "what cannot be asked is an error" {
	run -125 timeout 60 "$BUILD/exlockctl" --cluster=127.0.0.1:1 list
	[[ $output == "exlockctl: etcd: http://127.0.0.1:1: "*connect* ]]
	run -125 env -u EXCLUSIVELOCK_CLUSTER "$BUILD/exlockctl" --cluster list
	[[ $output == *"--cluster needs the cluster's endpoints"* ]]
	run -125 ctl --cluster wait "$NAME"
	[[ $output == *"--cluster goes with list and status" ]]
	run -125 ctl --cluster path "$NAME"
}
