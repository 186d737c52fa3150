# SPDX-License-Identifier: MIT
# Five hosts and what can happen to them and to the members of their cluster, for EXLOCK_CLUSTER_STORM_SECONDS seconds (default: 15): see
# cluster/storm.py and cluster/disturbances.py.

load test_helper
load cluster/disk
load cluster/etcd

setup_file() {
	etcd_needed || return 0
	etcd_start 3
	# Without such disks none is frozen.
	if disk_can_be_had; then etcd_each put_on_disk; fi
}

setup() { clean_environment; }

teardown() {
	if [[ -z ${BATS_TEST_COMPLETED-} ]]; then tail -n 30 "$BATS_TEST_TMPDIR"/said "$BATS_TEST_TMPDIR"/storm/log "$BATS_TEST_TMPDIR"/storm/errors; fi
}

teardown_file() { etcd_end; }

# storm SECONDS LAUNCHER...
storm() {
	local seconds=$1
	shift
	/usr/bin/python3 "$SOURCE/tests/cluster/storm.py" "$BATS_TEST_TMPDIR/storm" "$ETCD" "$seconds" 2 "$HELPERS" "$@" 2>&1 3>&- |
		tee "$BATS_TEST_TMPDIR/said"
	return "${PIPESTATUS[0]}"
}

@test "in a storm over five hosts and their cluster no two run at once, and a name is never lost for longer than a lease" {
	run -0 storm "${EXLOCK_CLUSTER_STORM_SECONDS:-15}" "$LAUNCH" --cluster='{endpoints}' --ttl '{ttl}' -n storm
	printf '# %s\n' "${lines[-1]}" >&3
}

@test "the storm sees that two run at once where etcdctl's process is killed" {
	# Which of the launchers is killed is chance: the storm goes on until it was one that held.
	for _ in {1..8}; do
		run storm 4 etcdctl lock --ttl '{ttl}' storm
		[[ $output != *"overlap: "* ]] || break
	done
	((status == 1))
	[[ $output == *"overlap: "* ]]
}
