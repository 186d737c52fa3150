#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Whose tombstone decides: the last instant of a holder is waited for beside whatever other sockets have its names, an ended process' is not,
# and none makes an ancestor the holder but root's, this user's, or that of the user whose file it was.
# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154 # every test is a subshell; run sets $stderr

load test_helper
load hostile

# For the attacker: sockets under the names of the lock file's tombstones, of a living process and of one that has ended.
NAMES=$TOMBSTONE_NAMES'
kept = []
def raise_living(*places):
    for place in places:
        kept.append(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        kept[-1].bind(names[place])
        kept[-1].listen(4096)
# A child of the ended process keeps them, as long as the attacker itself is there.
def raise_ended(*places):
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writer)
        raise_living(*places)
        if os.fork() == 0:
            os.read(reader, 1)
        os._exit(0)
    os.close(reader)
    kept.append(writer)
    os.waitpid(pid, 0)
'

setup() {
	setup_hostile
	place_launcher "$PLACE"
	cp "$BUILD/tests/linger" "$BUILD/tests/lastfork" "$PLACE"
}

# A program that holds until it is ended, whose last child then keeps all that it had. Sets CHILD.
leave_last_child() {
	"$@" env LD_PRELOAD="$SHIM" "$PLACE/lastfork" 2>"$BATS_TEST_TMPDIR/lastfork" 3>&- &
	ENDLATER+=("$!")
	poll grep -q ready "$BATS_TEST_TMPDIR/lastfork"
	kill -TERM "$(sed -n 's/^ready //p' "$BATS_TEST_TMPDIR/lastfork")"
	wait "$!"
	poll grep -q child "$BATS_TEST_TMPDIR/lastfork"
	CHILD=$(sed -n 's/^child //p' "$BATS_TEST_TMPDIR/lastfork")
	ENDLATER+=("$CHILD")
}

# A program that has given the lock back, and is not quite gone before its output, at descriptor $output_end, is read.
start_lingering() {
	hold_before_lingering
	give_back
}

hold_before_lingering() {
	rm -f "$BATS_TEST_TMPDIR/output"
	mkfifo "$BATS_TEST_TMPDIR/output"
	exec {output_end}<>"$BATS_TEST_TMPDIR/output"
	env LD_PRELOAD="$SHIM" "$PLACE/linger" >"$BATS_TEST_TMPDIR/output" 2>"$BATS_TEST_TMPDIR/lingering" 3>&- &
	LINGERING=$!
	ENDLATER+=("$LINGERING")
	poll grep -qs ready "$BATS_TEST_TMPDIR/lingering"
}

give_back() {
	kill -TERM "$LINGERING"
	poll output_has_begun
}

output_has_begun() { read -r -t 0 -u "$output_end"; }

let_it_end() {
	cat <&"$output_end" >/dev/null 3>&- &
	ENDLATER+=("$!")
	wait "$LINGERING"
	exec {output_end}<&-
}

# Every entry sees that PID has not ended: both users' starts, the launcher, the C API, and exlockctl.
assert_all_wait_for() {
	assert_refused_as "$1" root
	assert_refused_as "$1" as_user
	run -1 "$LAUNCH" -n job echo in
	[[ $output == "$(refusal job "$1")" ]]
	run -3 "$BUILD/tests/api" hold job
	[[ $output == "refused EAGAIN" ]]
	run -0 "$BUILD/tests/api" holder job
	[[ $output == "$1 "* ]] || { echo "holder $output"; false; }
	run -0 "$BUILD/exlockctl" status job
	[[ $output == "job: still held, ending, by pid $1 of "* ]] || { echo "$output"; false; }
	EXCLUSIVELOCK_ON_HELD=wait EXCLUSIVELOCK_TIMEOUT=0.1 assert_refused_as "$1" root
}

@test "a holder's last instant is waited for beside the socket that a child of an earlier one keeps" {
	chmod 755 "$LOCKS"
	leave_last_child root
	start_lingering
	chmod 1777 "$LOCKS"
	file_is_gone "$LOCK"
	assert_all_wait_for "$LINGERING"
	let_it_end
	kill -0 "$CHILD"
	assert_runs_as root
	assert_runs_as as_user
}

@test "a holder's last instant is waited for beside another user's sockets of ended processes" {
	start_attacking "${NAMES}raise_ended(0, 1, 2)"
	start_lingering
	file_is_gone "$LOCK"
	assert_all_wait_for "$LINGERING"
	let_it_end
	run -1 "$BUILD/exlockctl" status job
	[[ $output == "job: free" ]]
	assert_runs_as root
	assert_runs_as as_user
}

@test "sockets of ended processes on all names cost a stale file, and let nobody in before the holder has ended" {
	start_attacking "${NAMES}raise_ended(0, 1, 2, 3)"
	assert_runs_as root
	file_has_content "$LOCK"
	start_lingering
	assert_refused_as "$LINGERING" root
	assert_refused_as "$LINGERING" as_user
	let_it_end
	assert_runs_as root
	assert_runs_as as_user
}

@test "every living process' socket is waited for, whatever name it has" {
	start_lingering
	start_attacking "${NAMES}raise_ended(2); raise_living(1)"
	assert_all_wait_for "$LINGERING"
	let_it_end
	assert_all_wait_for "$ATTACKER"
	kill -KILL "$ATTACKER"
	poll process_has_ended "$ATTACKER"
	assert_runs_as root
}

@test "a waiter enters when the last living process has ended, and not before" {
	hold_before_lingering
	start_attacking "${NAMES}raise_ended(0); raise_living(1)"
	give_back
	file_is_gone "$LOCK"
	env EXCLUSIVELOCK_ON_HELD=wait LD_PRELOAD="$SHIM" "$HELPERS/stages" 7 >"$BATS_TEST_TMPDIR/waiter" 2>&1 3>&- &
	WAITER=$!
	ENDLATER+=("$WAITER")
	poll file_is_there "$LOCK"
	assert_refused_as '*' root
	kill -KILL "$ATTACKER"
	poll process_has_ended "$ATTACKER"
	assert_refused_as '*' root
	[[ ! -s $BATS_TEST_TMPDIR/waiter ]]
	let_it_end
	# Not by "run": what it starts is no parent of the waiter.
	status=0
	wait "$WAITER" || status=$?
	[[ $status -eq 7 ]]
}

# Runs the guarded program as USER below a process that has raised a tombstone in the name of user RAISER.
start_below() {
	local raiser=$1
	shift
	/usr/bin/python3 -c "import os, signal, socket, subprocess, sys
lock = '$LOCK'
${NAMES}
os.seteuid($raiser)
raise_living(0)
os.seteuid(0)
print(os.getpid(), flush=True)
sys.exit(subprocess.run(sys.argv[1:]).returncode)" "$@" timeout 20 env LD_PRELOAD="$SHIM" "$HELPERS/stages" 7
}

@test "another user's socket makes nobody's ancestor the holder; root's and one's own do" {
	for who in "${VICTIMS[@]}"; do
		[[ $who == root ]] && as=(env) || as=(setpriv --reuid=65534 --regid=65534 --clear-groups)
		run -1 start_below 65533 "${as[@]}"
		[[ ${lines[1]} == "$(refusal job "${lines[0]}")" && ${#lines[@]} == 2 ]]
		run -7 start_below 0 "${as[@]}"
	done
	run -7 start_below 65534 "${as[@]}"
	run -1 start_below 65534 env
	# Not in a private directory either: there it is no tombstone at all, and the program holds.
	chmod 755 "$LOCKS"
	run -7 start_below 65533 env
}

@test "the socket of the user whose file it was makes an ancestor the holder" {
	plant '999999999\n'
	run -7 start_below 65533 env
	[[ $output != *"already running"* ]]
}
