# SPDX-License-Identifier: MIT
# What becomes of a command while members of the cluster come and go.

# shellcheck disable=SC2034 # hosts.bash reads it

load test_helper
load cluster/etcd
load cluster/hosts

setup_file() {
	etcd_needed || return 0
	etcd_start 3
}

teardown() {
	etcd_each member_signal CONT
	end_processes
}

# Member N dies, others go on without it, and it comes back.
lose_for_a_while() {
	member_end "$1"
	poll find_leader
	member_start "$1"
	poll member_is_healthy "$1"
}

@test "the command goes on undisturbed while the member that its keeper talks to, and then the leader, dies and comes back" {
	# An election takes a second or so. That has to fit in.
	CLUSTER_TTL=6
	hold_on web1 --ttl "$CLUSTER_TTL" sh -c "$STAYS" "$ORACLE"
	lose_for_a_while 0
	poll find_leader
	lose_for_a_while "$LEADER"
	lease_passes
	assert_held_by web1
	[[ ! -s $BATS_TEST_TMPDIR/web1.err ]]
	kill -TERM "$KEEPER"
	assert_ends_with 143
	assert_next_is_alone
}

@test "an endpoint that is dead from the start does not matter, neither to the holder nor to those that it keeps out" {
	ENDPOINTS=http://127.0.0.1:$(free_ports 1),$ETCDCTL_ENDPOINTS
	hold_on web1 sh -c "$STAYS" "$ORACLE"
	lease_passes
	assert_held_by web1
}

@test "without a majority the command is asked to end, killed before the lease ends, and the next host's begins when the members are back" {
	# A third of it is what the command has to say that it was asked, on a machine that has other things to do.
	hold_on web1 --ttl 6 sh -c "$STUBBORN" "$ORACLE"
	member_signal STOP 0
	member_signal STOP 1
	assert_ends_with 123
	process_is_gone "$COMMAND"
	grep -q asked "$BATS_TEST_TMPDIR/web1.out"
	grep -q "^exlock: " "$BATS_TEST_TMPDIR/web1.err"
	flock -n "$ORACLE" true
	member_signal CONT 0
	member_signal CONT 1
	poll member_is_healthy 2
	assert_next_is_alone
}

@test "a command whose key somebody deletes is killed also where the member that would tell of it hangs" {
	local others=${ETCDCTL_ENDPOINTS#*,}
	hold_on web1 --ttl 6 sh -c "$STUBBORN" "$ORACLE"
	member_signal STOP 0
	poll env ETCDCTL_ENDPOINTS="$others" etcdctl del --prefix "$NAME/"
	poll process_has_ended "$KEEPER"
	assert_ends_with 123
	grep -q deleted "$BATS_TEST_TMPDIR/web1.err"
	flock -n "$ORACLE" true
}

# Prints an address of a nameserver that hears questions and never answers. It ends with the test.
silent_nameserver() {
	/usr/bin/python3 -c 'import random, socket, threading
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
address = "127.%d.%d.%d" % tuple(random.randrange(1, 255) for _ in range(3))
server.bind((address, 53))
print(address, flush=True)
threading.Event().wait()' >"$BATS_TEST_TMPDIR/nameserver" 3>&- &
	ENDLATER+=("$!")
	poll file_has_content "$BATS_TEST_TMPDIR/nameserver"
}

@test "an endpoint whose name no nameserver answers for does not keep a start from asking the others" {
	[[ $EUID -eq 0 ]] || skip "needs root"
	needs_mount_namespace
	silent_nameserver
	printf 'nameserver %s\noptions timeout:30 attempts:1\n' "$(<"$BATS_TEST_TMPDIR/nameserver")" >"$BATS_TEST_TMPDIR/resolv.conf"
	echo 'hosts: dns' >"$BATS_TEST_TMPDIR/nsswitch.conf"
	# shellcheck disable=SC2016 # the shell's in there
	run -0 in_mount_namespace 'mount --bind "$1/resolv.conf" /etc/resolv.conf; mount --bind "$1/nsswitch.conf" /etc/nsswitch.conf
		shift; exec "$@"' "$BATS_TEST_TMPDIR" "$LAUNCH" --cluster="silent.example:1,${ETCDCTL_ENDPOINTS##*http://}" -n "$NAME" echo in
	[[ $output == in ]]
}
