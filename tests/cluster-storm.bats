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

@test "the storm goes on beside a process whose name is in no encoding, and when a member falls silent in the middle of an answer" {
	local name=$'\xff' pid
	cp /bin/sleep "$BATS_TEST_TMPDIR/$name"
	"$BATS_TEST_TMPDIR/$name" 1000 3>&- &
	pid=$!
	poll process_is_named "$pid" "$name"
	run /usr/bin/python3 -c 'import os, socket, sys, threading
sys.path.insert(0, sys.argv[1])
import members, processes
assert processes.family_of(os.getppid())[0] == os.getppid()
listener = socket.create_server(("127.0.0.1", 0))
def serve():
    while True:
        client = listener.accept()[0]
        client.recv(4096)
        client.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        client.close()
threading.Thread(target=serve, daemon=True).start()
silent = members.Members("/nowhere")
silent.folders, silent.clients = ["/nowhere"], ["http://127.0.0.1:%d" % listener.getsockname()[1]]
assert silent.revisions("storm/") is None
assert not silent.are_healthy()
assert silent.leader() == 0' "$SOURCE/tests/cluster"
	kill "$pid"
	((status == 0))
}

process_is_named() { [[ $(<"/proc/$1/comm") == "$2" ]]; }

@test "the storm sees that two run at once where etcdctl's process is killed" {
	# Which of the launchers is killed is chance: the storm goes on until it was one that held.
	for _ in {1..8}; do
		run storm 4 etcdctl lock --ttl '{ttl}' storm
		[[ $output != *"overlap: "* ]] || break
	done
	((status == 1))
	[[ $output == *"overlap: "* ]]
}
