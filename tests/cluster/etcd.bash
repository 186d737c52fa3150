# SPDX-License-Identifier: MIT
# An etcd for a topic: one member or three, of Debian's package, on free ports of the loopback. It lies in $ETCD, a folder for
# each member, so that every test of the topic, and the storm, finds each and can end it and start it again: $ETCD/N/run starts it,
# N/pid is its PID, N/client its URL.

# shellcheck shell=bash disable=SC2034,SC2154 # read by the topics; set by bats

# An election in half a second: so a lease may be as short as one (etcd grants none shorter than one and a half elections).
ETCD_HEARTBEAT_MS=50
ETCD_ELECTION_MS=500

etcd_needed() {
	local program
	for program in etcd etcdctl curl; do
		command -v "$program" >/dev/null || lacks "needs $program (Debian: etcd-server, etcd-client, curl)" || return
	done
}

# etcd_start COUNT [SCHEME [OPTION...]]: a healthy cluster of COUNT members that serve SCHEME (http). Sets ETCD, where $ETCD/curlrc
# may be already, and exports what etcdctl wants.
etcd_start() {
	local tries count=$1 scheme=${2:-http}
	shift "$(($# < 2 ? $# : 2))"
	etcd_make_folder
	for ((tries = 0; tries < 5; tries++)); do
		etcd_describe "$count" "$scheme" "$@"
		etcd_each member_start
		poll etcd_has_settled
		if etcd_each member_is_healthy; then return 0; fi
		# Somebody was faster at one of the ports.
		etcd_each member_end
	done
	cat "$ETCD"/*/log >&2
	return 1
}

# Not on a disk: each write is synced. Debian's version cannot leave that out.
etcd_make_folder() {
	local place=$BATS_RUN_TMPDIR
	[[ ! -w /dev/shm ]] || place=/dev/shm
	export ETCD=${ETCD:-$(mktemp -d "$place/exlock-etcd.XXXXXX")}
	[[ -e $ETCD/curlrc ]] || : >"$ETCD/curlrc"
}

# Prints COUNT ports that nobody has, below those that the kernel gives to clients: so they stay free while a member is away.
free_ports() {
	/usr/bin/python3 -c 'import random, socket, sys
held = {}
while len(held) < int(sys.argv[1]):
    port = random.randrange(10000, 32000)
    try:
        held.setdefault(port, socket.socket()).bind(("127.0.0.1", port))
    except OSError:
        held.pop(port).close()
print(*held)' "$1"
}

# Writes what each member is started with.
etcd_describe() {
	local n ports peers=() clients=() count=$1 scheme=$2 all arguments
	shift 2
	read -ra ports <<<"$(free_ports $((2 * count)))"
	for ((n = 0; n < count; n++)); do
		peers[n]=http://127.0.0.1:${ports[2 * n]}
		clients[n]=$scheme://127.0.0.1:${ports[2 * n + 1]}
		all+=,m$n=${peers[n]}
	done
	for ((n = 0; n < count; n++)); do
		rm -rf "${ETCD:?}/$n"
		mkdir "$ETCD/$n"
		echo "${clients[n]}" >"$ETCD/$n/client"
		arguments=(--name "m$n" --data-dir "$ETCD/$n/data" --initial-cluster "${all#,}" --listen-peer-urls "${peers[n]}"
			--initial-advertise-peer-urls "${peers[n]}" --listen-client-urls "${clients[n]}"
			--advertise-client-urls "${clients[n]}" --heartbeat-interval "$ETCD_HEARTBEAT_MS"
			--election-timeout "$ETCD_ELECTION_MS" --logger zap --log-outputs stderr --log-level warn "$@")
		# GOMAXPROCS: the members share the machine with other topics.
		printf '#!/bin/sh\necho $$ >%q/pid\nexec env GOMAXPROCS=1 etcd%s >>%q/log 2>&1\n' "$ETCD/$n" \
			"$(printf ' %q' "${arguments[@]}")" "$ETCD/$n" >"$ETCD/$n/run"
	done
	export ETCDCTL_API=3 ETCDCTL_ENDPOINTS
	ETCDCTL_ENDPOINTS=$(IFS=, && echo "${clients[*]}")
}

# etcd_each COMMAND...: COMMAND for each member, whose number comes last.
etcd_each() {
	local file
	for file in "$ETCD"/*/run; do
		file=${file%/run}
		"$@" "${file##*/}" || return
	done
}

# Starts member N, or starts it again.
member_start() {
	rm -f "$ETCD/$1/pid"
	sh "$ETCD/$1/run" </dev/null 3>&- &
	disown
	poll file_has_content "$ETCD/$1/pid"
}

member_runs() { ! process_has_ended "$(<"$ETCD/$1/pid")"; }

# All serve, or one could not start.
etcd_has_settled() {
	etcd_each member_is_healthy || ! etcd_each member_runs
}

# member_signal SIGNAL N
member_signal() {
	local pid
	pid=$(<"$ETCD/$2/pid")
	if grep -qsF "$ETCD/" "/proc/$pid/cmdline"; then kill -"$1" "$pid"; fi
}

# Kills member N, and waits until its ports are free.
member_end() {
	member_signal KILL "$1"
	poll process_has_ended "$(<"$ETCD/$1/pid")"
}

# member_ask PATH BODY N: what it answers.
member_ask() {
	curl --silent --max-time 2 --config "$ETCD/curlrc" "$(<"$ETCD/$3/client")$1" ${2:+--data "$2"}
}

# Whether member N serves, and has a leader.
member_is_healthy() {
	[[ $(member_ask /health '' "$1") == *true* ]]
}

member_leads() {
	local answer
	answer=$(member_ask /v3/maintenance/status '{}' "$1")
	[[ $answer =~ '"member_id":"'([0-9]+) && $answer == *'"leader":"'"${BASH_REMATCH[1]}"* ]]
}

# Sets LEADER to the number of the member that leads.
find_leader() {
	local n
	for n in $(etcd_each echo); do
		if member_leads "$n"; then LEADER=$n && return 0; fi
	done
	return 1
}

# Ends all members and removes what they leave.
etcd_end() {
	[[ -n ${ETCD-} ]] || return 0
	etcd_each member_end
	rm -rf "${ETCD:?}"
}
