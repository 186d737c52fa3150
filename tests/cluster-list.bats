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

# put_keys COUNT SIZE PREFIX: keys PREFIX0... with values of SIZE bytes, by transactions of up to 100 and a megabyte.
put_keys() {
	/usr/bin/python3 - "$ETCDCTL_ENDPOINTS" "$@" <<-'PYTHON'
		import base64, json, sys, urllib.request
		url, count, size, prefix = sys.argv[1:]
		coded = lambda text: base64.b64encode(text.encode()).decode()
		step = max(1, min(100, 1000000 // int(size)))
		for at in range(0, int(count), step):
		    puts = [{"request_put": {"key": coded(prefix + "%06d" % n), "value": coded("v" * int(size))}}
		            for n in range(at, min(at + step, int(count)))]
		    urllib.request.urlopen(urllib.request.Request(url + "/v3/kv/txn", json.dumps({"success": puts}).encode())).read()
	PYTHON
}

@test "without a prefix of its own list finds the lock among megabytes and thousands of keys of others', whose values it does not read" {
	unset EXCLUSIVELOCK_CLUSTER_PREFIX
	# They sort before it: it is on the third page.
	put_keys 8 1000000 a/large
	put_keys 4500 10 a/small
	hold_on web1 "$HELPERS/hold"
	lists "$NAME +held +web1 +$COMMAND "
	run ! lists a/
	run -0 ctl --cluster status "$NAME"
	etcdctl del --prefix a/ >/dev/null
}

@test "as many wait as there are, however many that is" {
	hold_on web1 "$HELPERS/hold"
	/usr/bin/python3 - "$ETCDCTL_ENDPOINTS" "$EXCLUSIVELOCK_CLUSTER_PREFIX$NAME/" <<-'PYTHON'
		import base64, json, sys, urllib.request
		url, prefix = sys.argv[1:]
		def ask(path, body):
		    return urllib.request.urlopen(urllib.request.Request(url + path, json.dumps(body).encode())).read()
		for n in range(200):
		    lease = 1000000 + n
		    ask("/v3/lease/grant", {"ID": str(lease), "TTL": "60"})
		    key = base64.b64encode((prefix + "%x" % lease).encode()).decode()
		    ask("/v3/kv/put", {"key": key, "value": "", "lease": str(lease)})
	PYTHON
	run -0 ctl --cluster status "$NAME"
	[[ $output == *", 200 waiting: $HELPERS/hold" ]]
	ctl --cluster list >all
	[[ $(grep -cE "^$NAME +waiting " all) == 200 && $(grep -cE "^$NAME +held " all) == 1 ]]
}

@test "a key without a lease below the name is named: by a start, which nothing is started by, by one that waits, and by status" {
	local key=$EXCLUSIVELOCK_CLUSTER_PREFIX$NAME/config
	etcdctl put "$key" value
	run -125 on web1 touch intruder
	[[ $output == "exlock: etcd: the key $key has no lease: "*"(nothing is started)" ]]
	run -125 timeout 20 "$LAUNCH" --cluster --wait -n "$NAME" touch intruder
	[[ $output == *"the key $key has no lease: "* ]]
	run -0 ctl --cluster status "$NAME"
	[[ $output == "$NAME: not to be had while there is the key $key, which is no lock's" ]]
	[[ $(ctl --cluster --json status "$NAME") == *'"state": "blocked"'*'"key": "'"$key"'"'* ]]
	file_is_gone intruder
	etcdctl del "$key"
	hold_on web1 "$HELPERS/hold"
	# Behind the holder it is nobody's, until its turn comes.
	etcdctl put "$key" value
	run -1 on web2 true
	[[ $output == "$(refusal "$NAME" "$COMMAND on web1")" ]]
	lists "$NAME +held +web1 "
	begin_on web2 --wait true
	poll process_has_ended "$KEEPER"
	assert_ends_with 125
	grep -q "the key $key has no lease" web2.err
}

@test "a name that stays taken after its command has ended is said to be done, and until when" {
	local lease key=$EXCLUSIVELOCK_CLUSTER_PREFIX$NAME/1a2b
	lease=$(etcdctl lease grant 60)
	lease=${lease#lease }
	etcdctl put --lease "${lease%% *}" "$key" '{"state":"done","host":"web1","pid":7,"start":"2026-01-02T03:04:05Z","command":"./nightly"}'
	run -0 ctl --cluster status "$NAME"
	[[ $output =~ ^"$NAME: done, held until 20"[0-9-]+\ [0-9:]+"; run by pid 7 on web1 since 2026-01-02 03:04:05: ./nightly"$ ]]
	lists "$NAME +done, held until 20[0-9-]+ [0-9:]+ +web1 +7 "
	ctl --cluster --json status "$NAME" | grep -qE '"until": "20[0-9-]+T[0-9:]+Z"'
	run -1 on web2 true
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
