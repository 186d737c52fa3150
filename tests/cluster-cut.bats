# SPDX-License-Identifier: MIT
# A host whose network to the cluster is cut, slow, or loses answers: by a proxy between them.

# shellcheck disable=SC2030,SC2031 # every test is a subshell

load test_helper
load cluster/etcd
load cluster/hosts
load cluster/proxy

setup_file() {
	etcd_needed || return 0
	export BATS_TEST_TIMEOUT=60
	etcd_start 1
}

# A stubborn command on HOST, by way of WAY, which then has TREATMENT. The next host's finds nothing of it.
cut_while_it_runs() {
	ENDPOINTS=${WAY[way]} hold_on web1 sh -c "$STUBBORN" "$ORACLE"
	proxy_tell way "$1"
	assert_next_is_alone
	assert_ends_with 123
	grep -q "${WAY[way]}: " "$BATS_TEST_TMPDIR/web1.err"
}

@test "when a host is cut off, its command and all descendants are dead before the next host's starts" {
	proxy_start way=0
	cut_while_it_runs drop
}

@test "so they are when its requests arrive and the answers are lost" {
	proxy_start way=0
	cut_while_it_runs mute
}

@test "so they are when its connections are refused" {
	proxy_start way=0
	cut_while_it_runs refuse
}

@test "a slow network, a member that does not answer, a lost answer, and a cut for less than the lease leave the command undisturbed" {
	local name=$NAME oracle=$ORACLE host
	local -A COMMANDS ways
	# There has to be time for what is tried again, on a machine that has other things to do.
	CLUSTER_TTL=4
	proxy_start slow=0 away=0 other=0 lost=0 cut=0
	ways=([slow]=${WAY[slow]} [away]="${WAY[away]},${WAY[other]}" [lost]=${WAY[lost]} [cut]=${WAY[cut]})
	proxy_tell slow delay 40
	for host in "${!ways[@]}"; do
		NAME=$name-$host ORACLE=$oracle-$host
		ENDPOINTS=${ways[$host]} hold_on "$host" --ttl "$CLUSTER_TTL" sh -c "$STAYS" "$ORACLE"
		COMMANDS[$host]=$COMMAND
	done
	proxy_tell lost lose /v3/lease/keepalive
	proxy_tell away drop
	proxy_tell cut drop
	read -r -t 1 <><(:) || :
	proxy_tell cut pass
	lease_passes
	proxy_tell lost count
	[[ $ANSWER == *" 1" ]]
	for host in "${!ways[@]}"; do
		NAME=$name-$host COMMAND=${COMMANDS[$host]}
		assert_held_by "$host"
	done
}

# The answer to REQUEST is lost on the way to a start. The start gets in, or through; there is one command; the next start gets in at once.
lose_answer() {
	local request=$1
	shift
	proxy_tell way lose "$request"
	ENDPOINTS=${WAY[way]} run -0 on web1 "$@" flock -n "$ORACLE" echo in
	[[ ${lines[-1]} == in ]]
	proxy_tell way count
	[[ $ANSWER == *" 1" ]]
	queue_is 0
	run -0 on web9 flock -n "$ORACLE" echo in
}

@test "a start whose lease is granted without its hearing of it gets in" {
	proxy_start way=0
	lose_answer /v3/lease/grant
}

@test "a start whose key is made without its hearing of it does not wait for itself" {
	proxy_start way=0
	lose_answer /v3/kv/txn
}

@test "a start that waits and whose key is made without its hearing of it does not wait for itself" {
	proxy_start way=0
	lose_answer /v3/kv/txn --wait
}

@test "an end whose answer is lost leaves nothing behind" {
	proxy_start way=0
	lose_answer /v3/lease/revoke
}

@test "a waiter whose watch is lost gets its turn" {
	proxy_start way=0
	hold_on web1 sh -c "$STAYS" "$ORACLE"
	ENDPOINTS=${WAY[way]} begin_on web2 --wait flock -n "$ORACLE" echo alone
	poll queue_is 2
	proxy_tell way refuse
	proxy_tell way pass
	kill -TERM "$COMMAND"
	poll grep -q alone "$BATS_TEST_TMPDIR/web2.out"
}

@test "where no member can be reached nothing is started, and the message names each endpoint" {
	local dead
	dead=http://127.0.0.1:$(free_ports 1)
	proxy_start way=0 other=0
	proxy_tell way drop
	proxy_tell other mute
	ENDPOINTS=$dead,${WAY[way]},${WAY[other]} run -125 on web1 touch "$BATS_TEST_TMPDIR/started"
	[[ $output == *"$dead: "* && $output == *"${WAY[way]}: "* && $output == *"${WAY[other]}: "* ]]
	file_is_gone "$BATS_TEST_TMPDIR/started"
}

# The last lease of NAME has at least SECONDS left.
lease_has_left() {
	local key
	key=$(etcdctl get --prefix "$NAME/" --keys-only | head -n 1)
	[[ $(etcdctl lease timetolive "${key##*/}") =~ remaining\(([0-9]+)s ]] && ((BASH_REMATCH[1] >= $1))
}

lease_has_less_than() { ! lease_has_left "$1"; }

was_asked() { [[ $(grep -cx asked "$BATS_TEST_TMPDIR/web1.out") -eq $1 ]]; }

@test "a command that has outlived one outage is asked to end at the next one, too" {
	proxy_start way=0
	ENDPOINTS=${WAY[way]} hold_on web1 --ttl 10 sh -c "$STUBBORN" "$ORACLE"
	proxy_tell way drop
	poll was_asked 1
	proxy_tell way pass
	# Not only renewed: renewals go on.
	poll lease_has_left 8
	poll lease_has_less_than 8
	poll lease_has_left 8
	proxy_tell way drop
	poll was_asked 2
	poll process_has_ended "$KEEPER"
	assert_ends_with 123
	flock -n "$ORACLE" true
}
