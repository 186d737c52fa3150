#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# A leader of the cluster whose disk hangs: it goes on answering renewals, and nothing else, while the others elect a new one.

# shellcheck disable=SC2030,SC2031,SC2034 # every test is a subshell; hosts.bash reads some

load test_helper
load cluster/disk
load cluster/etcd
load cluster/hosts

setup_file() {
	etcd_needed || return 0
	disk_needed || return 0
	etcd_start 3
	put_on_disk 0 || lacks "needs to mount a file system that is in a file" || return 0
}

teardown() {
	thaw
	end_processes
}

# Member 0 leads.
lead() {
	local id
	poll find_leader
	id=$(etcdctl member list | sed -n 's/^\([0-9a-f]*\), started, m0,.*/\1/p')
	[[ $LEADER == 0 ]] || ETCDCTL_ENDPOINTS=$(<"$ETCD/$LEADER/client") etcdctl move-leader "$id"
	poll member_leads 0
}

freeze() {
	coproc FREEZER { exec /usr/bin/python3 "$BATS_TEST_DIRNAME/cluster/freeze.py" "$(<"$ETCD/0/pid")" "$ETCD/0/data" 3>&-; }
	read -r word <&"${FREEZER[0]}" && [[ $word == frozen ]]
}

thaw() {
	[[ -n ${FREEZER_PID-} ]] || return 0
	local input=${FREEZER[1]}
	unset FREEZER_PID
	exec {input}>&-
	poll member_is_healthy 0
}

@test "a command whose keeper asks a leader with a frozen disk alone has ended before the next host's begins" {
	local others=${ETCDCTL_ENDPOINTS#*,}
	lead
	ENDPOINTS=$(<"$ETCD/0/client") hold_on web1 --ttl 5 sh -c "$STUBBORN" "$ORACLE"
	freeze
	ENDPOINTS=$others assert_next_is_alone
	# The disk is frozen yet.
	kill -0 "$FREEZER_PID"
	assert_ends_with 123
	flock -n "$ORACLE" true
}

@test "one whose keeper knows all members goes on" {
	lead
	hold_on web1 --ttl 9 sh -c "$STAYS" "$ORACLE"
	freeze
	# What hangs is the write of the leader's own log. The others can write once they have a new leader.
	poll others_write
	CLUSTER_TTL=10 lease_passes
	kill -0 "$FREEZER_PID"
	ENDPOINTS=${ETCDCTL_ENDPOINTS#*,} assert_held_by web1
	[[ ! -s $BATS_TEST_TMPDIR/web1.err ]]
	# The old leader may ask for the end of leases that it has not renewed. That is etcd's fault, and ends the command.
	thaw
	CLUSTER_TTL=2 lease_passes
	if process_has_ended "$COMMAND"; then
		assert_ends_with 123
		grep -qF 'etcd has ended the lease (the lock was lost: the command was killed)' "$BATS_TEST_TMPDIR/web1.err"
	else
		assert_held_by web1
	fi
}

others_write() { ETCDCTL_ENDPOINTS=${ETCDCTL_ENDPOINTS#*,} etcdctl put any value; }
