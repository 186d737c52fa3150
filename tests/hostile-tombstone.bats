#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The tombstone's name is an abstract socket's, which anybody can take, and connect to. In a directory that only its owner may write to
# that hinders nobody; in one that all may write to, starts are refused, in bounded time. It never lets two in.
# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154 # every test is a subshell; run sets $stderr

load test_helper
load hostile

# For the attacker: the names of the lock file's tombstones, and what to do with them.
NAMES=$TOMBSTONE_NAMES'
kept = []
def open_socket():
    kept.append(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK))
    return kept[-1]
def squat(backlog):
    for name in names:
        squatter = open_socket()
        squatter.bind(name)
        squatter.listen(backlog)
def flood():
    for name in names:
        try:
            while True:
                open_socket().connect(name)
                kept.pop().close()
        except (BlockingIOError, ConnectionRefusedError):
            pass
'

setup() {
	setup_hostile
	cp "$BUILD/tests/linger" "$PLACE"
}

end_attacker() {
	kill -KILL "$ATTACKER"
	poll process_has_ended "$ATTACKER"
}

# Starts a program that has given the lock back, and is not quite gone before its output, at descriptor $output_end, is read.
start_lingering() {
	start_lingering_under
	poll file_is_gone "$LOCK"
}

# The same, started by COMMAND (none: by this user).
start_lingering_under() {
	mkfifo "$BATS_TEST_TMPDIR/output"
	exec {output_end}<>"$BATS_TEST_TMPDIR/output"
	"$@" env LD_PRELOAD="$SHIM" "$PLACE/linger" >"$BATS_TEST_TMPDIR/output" 2>"$BATS_TEST_TMPDIR/lingering" 3>&- &
	LINGERING=$!
	ENDLATER+=("$LINGERING")
	poll grep -q ready "$BATS_TEST_TMPDIR/lingering"
	kill -TERM "$LINGERING"
	poll output_has_begun
}

output_has_begun() { read -r -t 0 -u "$output_end"; }

let_it_end() {
	cat <&"$output_end" >/dev/null 3>&- &
	ENDLATER+=("$!")
	wait "$LINGERING"
}

@test "squatters on every name, with full queues, keep nobody out of a directory that only its owner may write to" {
	chmod 755 "$LOCKS"
	start_attacking "${NAMES}squat(0); flood()"
	assert_runs_as root
	# Root could raise no tombstone, so its file stays: stale, and harmless.
	file_has_content "$LOCK"
	assert_runs_as root
	end_attacker
	assert_runs_as root
	file_is_gone "$LOCK"
}

@test "in a directory for all, squatters with full queues have every start refused, in bounded time, until they are gone" {
	start_attacking "${NAMES}squat(0); flood()"
	assert_refused_as '' root
	assert_refused_as '' as_user
	EXCLUSIVELOCK_ON_HELD=wait EXCLUSIVELOCK_TIMEOUT=0.3 assert_refused_as '' root
	end_attacker
	assert_runs_as root
	start_attacking "${NAMES}squat(10)"
	assert_refused_as "$ATTACKER" as_user
	# The squatter may be an ancestor, or say so: its descendants pass no more than others.
	end_attacker
	assert_runs_as as_user
}

@test "a program whose tombstones' names are all taken leaves a stale file, which hinders nobody later on" {
	for who in "${VICTIMS[@]}"; do
		: >"$BATS_TEST_TMPDIR/holder"
		"$who" env LD_PRELOAD="$SHIM" "$HELPERS/hold" >"$BATS_TEST_TMPDIR/holder" 3>&- &
		poll grep -q ready "$BATS_TEST_TMPDIR/holder"
		read -r _ HOLDER <"$BATS_TEST_TMPDIR/holder"
		ENDLATER+=("$HOLDER")
		start_attacking "${NAMES}squat(10)"
		kill -TERM "$HOLDER"
		poll process_has_ended "$HOLDER"
		[[ $(<"$LOCK") == "$HOLDER" ]]
		end_attacker
		assert_runs_as as_user
		assert_runs_as root
		file_is_gone "$LOCK"
	done
}

@test "who floods the tombstone of a program that is just ending lets nobody in before it has ended, nor keeps anybody out after it" {
	for mode in 1777 755; do
		chmod "$mode" "$LOCKS"
		start_lingering
		assert_refused_as "$LINGERING" root
		start_attacking "${NAMES}flood()"
		# The queue may not be full yet.
		assert_refused_as '*' root
		let_it_end
		assert_runs_as root
		end_attacker
		rm "$BATS_TEST_TMPDIR/output"
	done
}

@test "a user's program over root's stale file keeps root out until it is gone, where root would not believe its tombstone" {
	chmod 755 "$LOCKS"
	printf '999999999\n' >"$LOCK"
	start_lingering_under setpriv --reuid=65534 --regid=65534 --clear-groups
	assert_refused_as "$LINGERING" root
	let_it_end
	assert_runs_as root
}
