# SPDX-License-Identifier: MIT
# Hosts that are simulated: each has a name, a lock directory, and its own way to the cluster.

# shellcheck shell=bash disable=SC2034,SC2154 # read by the topics; set by bats

# As short as a lease may be: what is waited for here is mostly its end.
CLUSTER_TTL=2

# What a topic has that does not say otherwise: one member of etcd.
setup_file() {
	etcd_needed || return 0
	etcd_start 1
}
setup() { cluster_environment; }
teardown() { end_processes; }
teardown_file() { etcd_end; }

cluster_environment() {
	clean_environment
	ENDLATER=()
	NAME=job$BATS_TEST_NUMBER
	ORACLE=$BATS_TEST_TMPDIR/oracle
	: >"$ORACLE"
	export EXCLUSIVELOCK_CLUSTER_TTL=$CLUSTER_TTL
}

# on HOST [OPTION...] COMMAND...: the launcher on that host; by way of ENDPOINTS, if that is set, else of all members. Not a
# function of bats' own: where it runs in the background, its PID is the launcher's.
on() {
	local host=$1
	shift
	mkdir -p "$BATS_TEST_TMPDIR/$host"
	exec env EXCLUSIVELOCK_DIR="$BATS_TEST_TMPDIR/$host" EXCLUSIVELOCK_CLUSTER_HOST="$host" \
		"$LAUNCH" --cluster="${ENDPOINTS:-$ETCDCTL_ENDPOINTS}" -n "$NAME" "$@"
}

# hold_on HOST [OPTION...] COMMAND...: the same in the background, until it has said "ready PID". Sets KEEPER, and COMMAND to that PID.
hold_on() {
	begin_on "$@"
	poll grep -qs ^ready "$BATS_TEST_TMPDIR/$1.out"
	read -r _ COMMAND _ <"$BATS_TEST_TMPDIR/$1.out"
}

# begin_on HOST [OPTION...] COMMAND...: just in the background. Sets KEEPER.
begin_on() {
	: >"$BATS_TEST_TMPDIR/$1.out"
	(on "$@") >"$BATS_TEST_TMPDIR/$1.out" 2>"$BATS_TEST_TMPDIR/$1.err" </dev/null 3>&- &
	KEEPER=$!
	ENDLATER+=("$KEEPER")
}

# What a command is: it takes the oracle, which its descendants keep as well, says "ready PID", and stays.
# shellcheck disable=SC2016 # the command's shell's
STAYS='exec 9>"$0"; flock -n 9 || { echo overlap; exit 9; }; echo "ready $$"; exec sleep 1000'
# The same, with a descendant, and neither heeds SIGTERM.
# shellcheck disable=SC2016
STUBBORN='trap "echo asked" TERM; exec 9>"$0"; flock -n 9 || { echo overlap; exit 9; }
	(trap "" TERM; sleep 1000) & echo "ready $$"; while :; do wait; done'

# Sets CHILD to the only child of process PID.
find_child() {
	read -r CHILD _ <<<"$(<"/proc/$1/task/$1/children")"
	[[ -n $CHILD ]]
}

# Sets WARDEN to the process between the last keeper begun and its command.
find_warden() {
	find_child "$KEEPER"
	WARDEN=$CHILD
}

# Process PID, started by this test, ends with STATUS.
ends_with() {
	local status=0
	wait "$2" || status=$?
	((status == $1)) || { echo "ended with $status" && false; }
}

# The last one begun does.
assert_ends_with() { ends_with "$1" "$KEEPER"; }

# assert_not_let_in WORD [OPTION...]: nothing is started, and the message names the endpoint and says WORD.
assert_not_let_in() {
	local word=$1
	shift
	run -125 on web1 "$@" touch "$BATS_TEST_TMPDIR/started"
	[[ $output == "exlock: "*"$ETCDCTL_ENDPOINTS: "*"$word"* ]]
	file_is_gone "$BATS_TEST_TMPDIR/started"
}

# The one that holds is on HOST; nobody else gets in.
assert_held_by() {
	run -1 on web9 touch "$BATS_TEST_TMPDIR/intruder"
	[[ $output == "$(refusal "$NAME" "$COMMAND on $1")" ]]
	file_is_gone "$BATS_TEST_TMPDIR/intruder"
}

# The next one gets in, waiting for it, and finds nobody of the last one's.
assert_next_is_alone() {
	run -0 on web9 -t 30 flock -n "$ORACLE" echo alone
	[[ $output == alone ]]
}

# A lease passes: what would go wrong without one that is renewed has gone wrong by then.
lease_passes() { read -r -t "$CLUSTER_TTL" <><(:) || :; }

# COUNT starts are in the queue of NAME, with the one that holds.
queue_is() {
	[[ $(etcdctl get --prefix "$NAME/" --keys-only | grep -c .) -eq $1 ]]
}
