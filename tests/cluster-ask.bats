#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What is asked of a cluster, and what it answers: options, refusals, flags, waits, and errors. On one member of etcd.

# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # $ is for the shell inside; every test is a subshell
load test_helper
load cluster/etcd
load cluster/hosts

setup() {
	cluster_environment
	cd "$BATS_TEST_TMPDIR" || return
}

# The launcher alone, with ARGUMENTS.
launch() { "$LAUNCH" -n "$NAME" "$@"; }

# Prints what is in the queue of NAME, keys and values.
queue() { etcdctl get --prefix "$NAME/" "$@"; }

@test "a start is refused where another host holds the name, and the words say who it is and where" {
	hold_on web1 "$HELPERS/hold"
	run -1 on web2 touch intruder
	[[ $output == "$(refusal "$NAME" "$COMMAND on web1")" ]]
	file_is_gone intruder
	run -75 on web2 -E 75 touch intruder
	run -1 on web2 -q touch intruder
	[[ $output == "" ]]
	file_is_gone intruder
	[[ -z $(ls -A web2) ]]
}

@test "when the holder has ended the name is free, and nothing of it is left" {
	hold_on web1 "$HELPERS/hold"
	kill -TERM "$COMMAND"
	wait "$KEEPER"
	[[ -z $(queue) && -z $(ls -A web1) && ! -s web1.err ]]
	run -0 on web2 echo in
	[[ $output == in ]]
}

@test "no byte of a host's name or of the lock's can drive a terminal" {
	NAME=$'job\e[1m' hold_on $'we\tb' "$HELPERS/hold"
	NAME=$'job\e[1m' run -1 on web2 true
	[[ $output == "$(refusal 'job\033[1m' "$COMMAND on we\\011b")" ]]
}

@test "a name may hold any bytes" {
	local name=$'\xff/ %\n"\\'
	NAME=$name hold_on web1 "$HELPERS/hold"
	NAME=$name run -1 on web2 true
	NAME=x run -0 on web2 true
}

@test "with --flag the command runs beside the holder of another host, and is told who that is" {
	hold_on web1 "$HELPERS/hold"
	run -0 on web2 --flag sh -c 'env | grep -E "^(EXCLUSIVELOCK_(HELD|HOLDER|HOLDER_HOST|FENCE|PID|INSTANCE)|LD_PRELOAD)=" | sort; ls -A "$EXCLUSIVELOCK_DIR"'
	[[ $output == "EXCLUSIVELOCK_HELD=1"$'\n'"EXCLUSIVELOCK_HOLDER=$COMMAND"$'\n'EXCLUSIVELOCK_HOLDER_HOST=web1 ]]
	run -0 on web3 --flag sh -c 'echo "${EXCLUSIVELOCK_HELD-}"' 
	[[ $output == 1 ]]
	kill -TERM "$COMMAND"
	wait "$KEEPER"
	run -0 on web2 --flag sh -c 'echo "${EXCLUSIVELOCK_HELD-no}" "${EXCLUSIVELOCK_FENCE:+fenced}"'
	[[ $output == "no fenced" ]]
}

@test "a start that waits for another host's lock is refused when its time is over" {
	hold_on web1 "$HELPERS/hold"
	run -1 on web2 --timeout 0.2 touch intruder
	[[ $output == "$(refusal "$NAME" "$COMMAND on web1")" ]]
	run -1 on web2 -t 0 touch intruder
	file_is_gone intruder
	[[ $(queue --keys-only | grep -c .) == 1 ]]
}

@test "a start that waits and is ended by a signal leaves the queue, and ends as a command would" {
	hold_on web1 "$HELPERS/hold"
	local signal
	for signal in TERM INT HUP; do
		(exec env --default-signal=INT "$LAUNCH" --cluster="$ETCDCTL_ENDPOINTS" -d "$LOCKS" -w -n "$NAME" touch intruder) 3>&- &
		KEEPER=$!
		ENDLATER+=("$KEEPER")
		poll queue_is 2
		kill -"$signal" "$KEEPER"
		ends_with $((128 + $(kill -l "$signal"))) "$KEEPER"
		queue_is 1
		[[ -z $(ls -A "$LOCKS") ]]
	done
	file_is_gone intruder
}

@test "with --verbose both locks are reported, the cluster's by its key" {
	EXCLUSIVELOCK_LOG=$PWD/log NAME=other run -0 on web2 true
	[[ $output == "" ]]
	grep -qE 'Z \[[0-9]+\] Acquired lock at etcd:other/[0-9a-f]+\.\.\.$' log
	grep -qE 'Z \[[0-9]+\] Released lock at etcd:other/[0-9a-f]+\.\.\.$' log
	grep -q "Acquired lock at $(lock_file other "$PWD/web2")\.\.\.$" log
	run -0 on web1 --verbose true
	[[ $output == *"Acquired lock at etcd:$NAME/"* ]]
}

@test "without --cluster the endpoints in the environment do nothing" {
	EXCLUSIVELOCK_CLUSTER=127.0.0.1:1 run -0 launch sh -c 'echo "${EXCLUSIVELOCK_FENCE-none}"'
	[[ $output == none ]]
}

@test "--cluster takes its endpoints from the environment; without any it says so" {
	EXCLUSIVELOCK_CLUSTER=$ETCDCTL_ENDPOINTS run -0 launch --cluster sh -c 'echo "${EXCLUSIVELOCK_FENCE:+fenced}"'
	[[ $output == fenced ]]
	run -125 launch --cluster touch intruder
	[[ $output == "exlock-launch: --cluster needs the cluster's endpoints: --cluster=HOST:PORT,... or EXCLUSIVELOCK_CLUSTER" ]]
	file_is_gone intruder
}

# refused_value VARIABLE VALUE WORDS
refused_value() {
	run -125 env "EXCLUSIVELOCK_CLUSTER=${ETCDCTL_ENDPOINTS}" "EXCLUSIVELOCK_$1=$2" "$LAUNCH" --cluster -n "$NAME" touch intruder
	[[ $output == "exlock: EXCLUSIVELOCK_$1='$2': "*"$3"* ]] || { echo "$output" && return 1; }
	file_is_gone intruder
	[[ -z $(ls -A "$LOCKS") ]]
}

@test "a value that cannot be understood is an error that names the variable and the value" {
	local endpoints
	for endpoints in user:secret@host:1 http://host/path ',' 'a:1,' '' "$(printf 'h:1,%.0s' {1..16})h:1"; do
		[[ -z $endpoints ]] || refused_value CLUSTER "$endpoints" 'must be HOST:PORT'
	done
	refused_value CLUSTER_TTL 1 'must be a number of seconds from 2 to 86400'
	refused_value CLUSTER_TTL 86401 'must be'
	refused_value CLUSTER_TTL 2.5 'must be'
	refused_value CLUSTER_CACERT "$PWD/none" 'No such file'
	refused_value CLUSTER_CERT /etc/passwd 'belong together'
	refused_value CLUSTER_KEY /etc/passwd 'belong together'
	refused_value CLUSTER_USER root 'has no password'
	EXCLUSIVELOCK_CLUSTER_USER=root refused_value CLUSTER_PASSWORD_FILE "$PWD/none" 'No such file'
	head -c 300 /dev/zero | tr '\0' x >long
	EXCLUSIVELOCK_CLUSTER_USER=root refused_value CLUSTER_PASSWORD_FILE "$PWD/long" 'more than a password'
	EXCLUSIVELOCK_CLUSTER_USER=root run -125 env EXCLUSIVELOCK_CLUSTER_PASSWORD="$(<long)" "$LAUNCH" --cluster=h:1 true
	[[ $output == *"CLUSTER_PASSWORD='...': is too long"* ]]
	refused_value CLUSTER_HOST "$(<long)" 'is too long'
}

@test "endpoints may have blanks around their commas" {
	run -0 "$LAUNCH" --cluster=" 127.0.0.1:1 ,	$ETCDCTL_ENDPOINTS " -n "$NAME" echo in
	[[ $output == in ]]
}

@test "--cluster-prefix is put before the name, and exlockctl has it, too" {
	hold_on web1 --cluster-prefix "$BATS_TEST_NUMBER/" "$HELPERS/hold"
	[[ -n $(etcdctl get --prefix "$BATS_TEST_NUMBER/$NAME/") && -z $(queue) ]]
	run -0 "$BUILD/exlockctl" --cluster="$ETCDCTL_ENDPOINTS" --cluster-prefix="$BATS_TEST_NUMBER/" status "$NAME"
	run -1 "$BUILD/exlockctl" --cluster="$ETCDCTL_ENDPOINTS" status "$NAME"
	run -125 launch --cluster-prefix x true
	[[ $output == *"--cluster-prefix needs --cluster"* ]]
}

@test "a cluster that does not answer is an error that names each endpoint and why, and nothing is started" {
	run -125 timeout 60 "$LAUNCH" --cluster='127.0.0.1:1,http://[::1]:1/' -n "$NAME" touch intruder
	[[ $output == "exlock: etcd: http://127.0.0.1:1: "*"connect"*"; http://[::1]:1: "*" (nothing is started)" ]]
	file_is_gone intruder
	[[ -z $(ls -A "$LOCKS") ]]
}

# Prints a port where connections are made, and nothing is ever answered. It ends with the test.
silent_port() {
	/usr/bin/python3 -c 'import socket, threading
server = socket.socket()
server.bind(("127.0.0.1", 0))
server.listen(64)
print(server.getsockname()[1], flush=True)
threading.Event().wait()' >port 3>&- &
	ENDLATER+=("$!")
	poll file_has_content port
}

# Sets TOOK to the microseconds that COMMAND takes.
timed() {
	local begin=${EPOCHREALTIME/[.,]/}
	"$@"
	TOOK=$((${EPOCHREALTIME/[.,]/} - begin))
}

@test "a member that takes the connection and says nothing is an error in a bounded time, and beside one that answers costs a fraction of that" {
	local silent failure
	silent_port
	silent=http://127.0.0.1:$(<port)
	timed run -125 timeout 60 "$LAUNCH" --cluster="$silent" -n "$NAME" touch intruder
	[[ $output == "exlock: etcd: $silent: no answer in time (nothing is started)" ]]
	file_is_gone intruder
	failure=$TOOK
	timed run -0 launch --cluster="$silent,$ETCDCTL_ENDPOINTS" echo in
	[[ $output == in ]]
	((TOOK < failure / 8)) || { echo "$TOOK us, a failure $failure" && false; }
}

@test "what is no etcd is an error, and is asked but once" {
	/usr/bin/python3 -c 'import http.server
class Stranger(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.send_error(404)
server = http.server.HTTPServer(("127.0.0.1", 0), Stranger)
print(server.server_port, flush=True)
server.serve_forever()' >port 2>asked 3>&- &
	ENDLATER+=("$!")
	poll file_has_content port
	run -125 launch --cluster="127.0.0.1:$(<port)" touch intruder
	[[ $output == "exlock: etcd: http://127.0.0.1:$(<port): does not answer as etcd's JSON gateway (/v3) does (nothing is started)" ]]
	[[ $(grep -c POST asked) == 1 ]]
}

@test "a dead endpoint before a living one does no harm" {
	run -0 launch --cluster="127.0.0.1:1,${ETCDCTL_ENDPOINTS#http://}" echo in
	[[ $output == in ]]
}

@test "with EXCLUSIVELOCK_ON_ERROR=run a start that reaches no cluster runs under the machine's lock, and has no fence" {
	EXCLUSIVELOCK_ON_ERROR=run run -0 timeout 60 "$LAUNCH" --cluster=127.0.0.1:1 -n "$NAME" \
		sh -c 'echo "${EXCLUSIVELOCK_FENCE-unfenced} $(($$ == EXCLUSIVELOCK_PID))"; ls "$EXCLUSIVELOCK_DIR"'
	[[ $output == *"(running under this machine's lock alone, as EXCLUSIVELOCK_ON_ERROR says)"$'\n'"unfenced 1"$'\n'"$(basename "$(lock_file "$NAME")")" ]]
}

@test "the key has the recipe's form, and its value says host, PID, start and command" {
	export EXCLUSIVELOCK_CLUSTER_PREFIX=exlock/
	hold_on web1 "$HELPERS/hold" two\ words $'\e'
	run -0 etcdctl get --prefix "exlock/$NAME/"
	[[ ${lines[0]} =~ ^exlock/$NAME/[0-9a-f]+$ ]]
	/usr/bin/python3 -c 'import json, sys, datetime
value = json.loads(sys.argv[1])
assert value["host"] == "web1" and value["pid"] == int(sys.argv[2])
assert value["command"] == sys.argv[3] + " two words \\033"
datetime.datetime.strptime(value["start"], "%Y-%m-%dT%H:%M:%SZ")' "${lines[1]}" "$COMMAND" "$HELPERS/hold"
	EXCLUSIVELOCK_CLUSTER_PREFIX='' run -0 on web2 true
}

@test "the command does not see the password, nor does its keeper's environment show it" {
	export EXCLUSIVELOCK_CLUSTER_PASSWORD=geheim
	hold_on web1 "$HELPERS/hold"
	local pid
	for pid in "$COMMAND" "$KEEPER"; do
		run ! grep -qa geheim "/proc/$pid/environ" "/proc/$pid/cmdline"
	done
}

@test "a start within the command, of the same name, is no second one" {
	run -0 on web1 sh -c '"$0" --cluster -n "$EXCLUSIVELOCK_NAME" sh -c "echo \$EXCLUSIVELOCK_NAME"' "$LAUNCH"
	[[ $output == "$NAME" ]]
}

@test "a start within one that holds the name on its machine alone is an error" {
	run -125 launch sh -c '"$0" --cluster="$1" -n "$EXCLUSIVELOCK_NAME" touch intruder' "$LAUNCH" "$ETCDCTL_ENDPOINTS"
	[[ $output == *"held by an ancestor of this process, on this machine alone"* ]]
	file_is_gone intruder
}

@test "a start within another name's command takes its own lock, and has its own fence" {
	run -0 on web1 sh -c 'echo "$EXCLUSIVELOCK_FENCE"; "$0" --cluster -n "inner$1" sh -c "echo \$EXCLUSIVELOCK_FENCE"; "$0" -n local sh -c "echo \${EXCLUSIVELOCK_FENCE-none}"' "$LAUNCH" "$NAME"
	((lines[1] > lines[0]))
	[[ ${lines[2]} == none ]]
}

@test "--replace is no word for a cluster" {
	run -125 launch --cluster="$ETCDCTL_ENDPOINTS" --replace touch intruder
	[[ $output == *"--replace and --cluster do not go together"* ]]
}

@test "a build without the keeper says how to come by it" {
	place_launcher "$PWD"
	run -125 ./exlock-launch --cluster=h:1 -n "$NAME" touch intruder
	[[ $output == *"--cluster needs exlock-keeper"*"-Dcluster=enabled"* ]]
	file_is_gone intruder
	run -0 ./exlock-launch -n "$NAME" true
}

@test "a keeper whose libraries are missing is an error, and no command that was not found" {
	# In the place of libcurl, as in an installation that is half removed.
	needs_mount_namespace
	local library
	library=$(ldd "$BUILD"/exlock-keeper.so | sed -n 's/.*libcurl[^ ]* => \([^ ]*\).*/\1/p')
	# shellcheck disable=SC2016 # the shell's in there
	run -125 in_mount_namespace 'mount --bind /dev/null "$1"; shift; exec "$@"' "$(realpath "$library")" "$LAUNCH" --cluster=h:1 -n "$NAME" touch intruder
	[[ $output == "exlock-launch: "*"libcurl"*": nothing is started" ]]
	file_is_gone intruder
	run -0 launch true
}

@test "only exlock-launch calls the keeper" {
	run -125 "$BUILD/exlock-keeper"
	run -125 "$BUILD/exlock-keeper" --file=/bin/true -- true
	[[ $output == *"the lock was not kept: nothing is started" ]]
	run -125 "$BUILD/exlock-keeper" --what
}

@test "who deletes the key, or ends the lease, ends the command" {
	local lease
	hold_on web1 "$HELPERS/hold"
	etcdctl del --prefix "$NAME/"
	ends_with 123 "$KEEPER"
	grep -qF "exlock: etcd: somebody has deleted the lock's key (the lock was lost: the command was killed)" web1.err
	process_has_ended "$COMMAND"
	hold_on web1 "$HELPERS/hold"
	lease=$(queue --keys-only | sed -n "s|^$NAME/||p")
	etcdctl lease revoke "$lease"
	ends_with 123 "$KEEPER"
	grep -qF "exlock: etcd: etcd has ended the lease (the lock was lost: the command was killed)" web1.err
	process_has_ended "$COMMAND"
	[[ -z $(ls -A web1) ]]
}
