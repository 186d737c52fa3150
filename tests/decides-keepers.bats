# SPDX-License-Identifier: MIT
# Who keeps the lock where the record does not say: by what other processes do, nobody but root, the file's owner and the holder's own children
# decides. What a stranger does costs a look at most.
# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154 # every test is a subshell; run sets $output

load test_helper
load hostile

setup() {
	setup_hostile
	READY=$PLACE/ready
	BUILT=$BUILD/tests
}

MAP='file = open(lock); mapping = mmap.mmap(file.fileno(), 0, mmap.MAP_SHARED, 0)'

# Starts a program under the lock that becomes a daemon once it is told to by go_on, its parent leaving by HOW, exit or kill. Sets HOLDER.
start_daemon_to_be() {
	start_holder /usr/bin/python3 -c 'import os, signal, sys, time
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
print("ready", os.getpid(), flush=True)
signal.sigwait({signal.SIGUSR1})
parent = os.getpid()
if os.fork() == 0:
    while os.getppid() == parent:
        time.sleep(0.001)
    with open(sys.argv[2] + ".new", "w") as file:
        print(os.getpid(), file=file)
    os.rename(sys.argv[2] + ".new", sys.argv[2])
    signal.pause()
sys.exit(0) if sys.argv[1] == "exit" else os.kill(os.getpid(), signal.SIGKILL)' "$1" "$READY"
}

go_on() {
	kill -USR1 "$HOLDER"
	poll file_has_content "$READY"
	DAEMON=$(<"$READY")
	ENDLATER+=("$DAEMON")
	poll process_has_ended "$HOLDER"
}

@test "a stranger who maps the file before a daemon's parent leaves by exit() does not get into the record" {
	start_daemon_to_be exit
	start_attacking "$MAP"
	go_on
	[[ $(<"$LOCK") == "$DAEMON" ]]
}

@test "a stranger who maps the file of a daemon whose parent was killed is not written into it by the next start" {
	start_daemon_to_be kill
	start_attacking "$MAP"
	go_on
	assert_refused_as "$DAEMON" root
	[[ $(<"$LOCK") == "$DAEMON" ]]
}

@test "a stranger who maps the file and has the flock refuses, is named, and is not recorded" {
	printf '999999999\n' >"$LOCK"
	start_attacking "$MAP
fcntl.flock(file, fcntl.LOCK_EX)"
	assert_refused_as "$ATTACKER" root
	[[ $(<"$LOCK") == 999999999 ]]
}

@test "a child that shares the memory of a holder that leaves keeps the lock, and is recorded" {
	guarded "$BUILT/clonevm" "$READY" 3>&-
	poll file_has_content "$READY"
	ENDLATER+=("$(<"$READY")")
	assert_refused_as "$(<"$READY")" root
	[[ $(<"$LOCK") == "$(<"$READY")" ]]
}

# A process of user WHO's creates the file, and stops before it writes its PID. Sets CREATOR.
start_creator() {
	: >"$BATS_TEST_TMPDIR/creator"
	"$@" /usr/bin/python3 -c 'import os, signal, sys
file = open(sys.argv[1], "x")
print("ready", os.getpid(), flush=True)
signal.pause()' "$LOCK" >"$BATS_TEST_TMPDIR/creator" 3>&- &
	ENDLATER+=("$!")
	poll grep -q ready "$BATS_TEST_TMPDIR/creator"
	read -r _ CREATOR <"$BATS_TEST_TMPDIR/creator"
	ENDLATER+=("$CREATOR")
}

@test "an empty file is not taken while its creator has it open, who is named, and is taken when that has ended" {
	local who
	for who in root as_user; do
		start_creator "$who"
		assert_refused_as "$CREATOR" "$who"
		assert_refused_as "$CREATOR" root
		kill -KILL "$CREATOR"
		poll process_has_ended "$CREATOR"
		assert_runs_as "$who"
	done
}

@test "another user who has an empty file open does not keep its owner out" {
	: >"$LOCK"
	start_attacking 'file = open(lock)'
	assert_runs_as root
}

# Starts a holder, lets somebody read its command line so slowly that its memory outlives it, and kills it.
kill_pinned_holder() {
	start_holder "$@"
	"$BUILT/pins" "$HOLDER" >"$BATS_TEST_TMPDIR/pins" 3>&- &
	PINS=$!
	ENDLATER+=("$PINS")
	poll sh -c 'kill -0 "$1" 2>/dev/null && ! grep -q ready "$2"; [ $? -ne 0 ]' sh "$PINS" "$BATS_TEST_TMPDIR/pins"
	grep -q ready "$BATS_TEST_TMPDIR/pins" || skip "nobody may handle page faults here"
	kill -KILL "$HOLDER"
	wait "$HOLDER" || :
	run -1 flock --nonblock "$LOCK" true
}

@test "a contender that looks how its own mapping shows is taken by no other one for the keeper, and stays out beside the daemon" {
	[[ $EUID -eq 0 ]] || skip "needs root"
	command -v strace >/dev/null || skip "needs strace"
	needs_real_library
	needs_mount_namespace
	export SHIM LAUNCH BUILT
	cd "$PLACE"
	mkdir one two
	# The daemon is of a user who gets into no record, and so is the one whose file has the number of the lock file. The first contender is stopped
	# where it maps the lock file to compare both.
	cat >daemon.py <<-'PYTHON'
		import os, signal
		if os.fork() == 0:
		    os.setresgid(4321, 4321, 4321)
		    os.setresuid(4321, 4321, 4321)
		    print(os.getpid(), flush=True)
		signal.pause()
	PYTHON
	run -0 in_mount_namespace 'mount -t tmpfs none one; mount -t tmpfs none two
		export EXCLUSIVELOCK_DIR=$PWD/one
		exec 2>/dev/null # the shell says who was killed
		env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=job /usr/bin/python3 daemon.py >daemon 2>&1 3>&- & parent=$!
		until [ -s daemon ]; do sleep 0.01; done
		kill -KILL "$parent"; wait "$parent" || :
		touch two/other
		"$BUILT/mapper" 65534 "$PWD/two/other" sleep 60 >stranger 2>&1 3>&- & stranger=$!
		until grep -qs two/other "/proc/$stranger/maps"; do sleep 0.01; done
		# On a busy machine its time may be used up before it comes there.
		until grep -qs -e "--- stopped" trace; do
			: >first
			strace -qq -o trace -e trace=munmap -e inject=munmap:retval=0:signal=SIGSTOP:when=1 \
				"$LAUNCH" -n job echo in >first 2>&1 3>&- & tracer=$!
			until grep -qs -e "--- stopped" trace || [ -s first ]; do sleep 0.01; done
		done
		read -r contender <"/proc/$tracer/task/$tracer/children" || :
		kill -KILL "$tracer"; wait "$tracer" || :
		until grep -q "^State:.T (stopped)" "/proc/$contender/status"; do sleep 0.01; done
		grep -c one/ "/proc/$contender/maps"
		"$LAUNCH" -n job echo in 2>&1 || echo "ended with $?"
		kill -CONT "$contender"
		while [ -e "/proc/$contender" ]; do sleep 0.01; done
		cat first
		kill $(cat daemon "/proc/$stranger/task/$stranger/children"); wait'
	HOLDER=$(<daemon)
	[[ $output == "1"$'\n'"$(refusal job "$HOLDER")"$'\nended with 1\n'"$(refusal job "$HOLDER")" ]] || { echo "$output"; false; }
}

@test "the lock of a killed holder whose memory somebody looks at is taken, and kept, though the flock is busy" {
	needs_sight_of_all
	kill_pinned_holder "$BUILT/hold"
	start_holder "$BUILT/hold"
	[[ $(<"$LOCK") == "$HOLDER" ]]
	assert_refused_as "$HOLDER" root
	kill -KILL "$PINS"
	wait "$PINS" || :
	assert_refused_as "$HOLDER" root
	assert_refused_as "$HOLDER" as_user
	kill -TERM "$HOLDER"
	wait "$HOLDER"
	assert_runs_as root
}

@test "a program that took the lock so may become a daemon, which keeps it" {
	needs_sight_of_all
	local how
	for how in exit _exit exit_group; do
		rm -f "$READY"
		kill_pinned_holder "$BUILT/hold"
		guarded "$BUILT/daemonize" single "$how" "$READY" 3>&-
		poll file_has_content "$READY"
		DAEMON=$(<"$READY")
		ENDLATER+=("$DAEMON")
		kill -KILL "$PINS"
		wait "$PINS" || :
		assert_refused_as "$DAEMON" root
		kill -KILL "$DAEMON"
		poll process_has_ended "$DAEMON"
		assert_runs_as root
	done
}

@test "beside a forked child that keeps the lock the memory of its killed parent lets nobody in" {
	kill_pinned_holder /usr/bin/python3 -c 'import os, signal, sys
if os.fork() == 0:
    with open(sys.argv[1], "w") as file:
        print(os.getpid(), file=file)
    signal.pause()
while not os.path.getsize(sys.argv[1]):
    pass
print("ready", os.getpid(), flush=True)
signal.pause()' "$BATS_TEST_TMPDIR/child" <"$(: >"$BATS_TEST_TMPDIR/child"; echo /dev/null)"
	CHILD=$(<"$BATS_TEST_TMPDIR/child")
	ENDLATER+=("$CHILD")
	assert_refused_as "$CHILD" root
	assert_refused_as "$CHILD" as_user
}

@test "flock(1) beside a dead record refuses, is named, and gets into no record" {
	printf '999999999\n' >"$LOCK"
	flock --no-fork "$LOCK" "$BUILT/hold" >"$BATS_TEST_TMPDIR/flock" 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	poll grep -q ready "$BATS_TEST_TMPDIR/flock"
	assert_refused_as "$HOLDER" root
	[[ $(<"$LOCK") == 999999999 ]]
}

# What COMMAND opens at its start and end, under the shim, in $BATS_TEST_TMPDIR/trace.
traced() {
	command -v strace >/dev/null || skip "no strace"
	strace -o /dev/null true 2>/dev/null || skip "nobody may be traced here"
	strace -o "$BATS_TEST_TMPDIR/trace" -e trace=openat,read,ppoll,readlink,readlinkat -E LD_PRELOAD="$SHIM" "$@" 3>&-
}

opened() { grep -c "$1" "$BATS_TEST_TMPDIR/trace" || :; }

@test "a hint in a stranger's file costs a start and an end no look at anybody's memory, nor at /proc/locks" {
	plant '999999999\n'
	as_attacker chmod 1755 "$LOCK"
	traced true
	[[ $(opened '/maps"') == 0 && $(opened '/proc/locks"') == 0 ]]
}

@test "a daemon's parent finds its child from above, and looks at no stranger's memory" {
	printf '0\n' >"$LOCK"
	start_attacking "$MAP"
	traced "$BUILT/daemonize" single exit "$READY"
	poll file_has_content "$READY"
	DAEMON=$(<"$READY")
	ENDLATER+=("$DAEMON")
	[[ $(<"$LOCK") == "$DAEMON" ]]
	# At each look, and once more when it is recorded.
	(($(opened '/maps"') == $(opened "/proc/$DAEMON/maps\"")))
}

@test "a program of a tree looks at its own children's memory at its end, and at nobody else's" {
	export EXCLUSIVELOCK_SCOPE=tree
	printf '0\n' >"$LOCK"
	start_attacking "$MAP"
	traced bash -c '/bin/true; /bin/true & wait; exit 0'
	[[ $(opened "/proc/$ATTACKER/maps") == 0 ]]
	(($(opened '/maps"') <= 4)) || { grep -c maps "$BATS_TEST_TMPDIR/trace"; false; }
}

@test "a stranger's process that hangs in its end costs nothing at the end of a program with children, and hardly anything at a start" {
	mkfifo "$BATS_TEST_TMPDIR/stdin"
	: >"$BATS_TEST_TMPDIR/stuck"
	exec {stdin}<>"$BATS_TEST_TMPDIR/stdin"
	as_attacker "$BUILT/stuck" <"$BATS_TEST_TMPDIR/stdin" >"$BATS_TEST_TMPDIR/stuck" 3>&- {stdin}>&- &
	ENDLATER+=("$!")
	STUCK_PARENT=$!
	poll sh -c 'grep -q ready "$0" || ! kill -0 "$1"' "$BATS_TEST_TMPDIR/stuck" "$STUCK_PARENT"
	grep -q ready "$BATS_TEST_TMPDIR/stuck" || skip "no user namespaces"
	read -r _ stuck <"$BATS_TEST_TMPDIR/stuck"
	traced bash -c '/bin/true; exit 0'
	[[ $(opened "/proc/$stuck/") == 0 ]]
	printf '2147483647\n' >"$LOCK"
	traced true
	# Until three looks have found it asleep.
	(($(opened "/proc/$stuck/stat") <= 8)) || { grep "/proc/$stuck/" "$BATS_TEST_TMPDIR/trace"; false; }
}

@test "a stranger's process that does not get through its exec keeps no start waiting that follows a killed holder" {
	local who
	[[ $EUID -eq 0 ]] || skip "needs root, for a file system of its own"
	mkfifo "$BATS_TEST_TMPDIR/stdin"
	: >"$BATS_TEST_TMPDIR/inexec"
	exec {stdin}<>"$BATS_TEST_TMPDIR/stdin"
	"$BUILT/inexec" <"$BATS_TEST_TMPDIR/stdin" >"$BATS_TEST_TMPDIR/inexec" 3>&- {stdin}>&- &
	ENDLATER+=("$!")
	INEXEC=$!
	poll sh -c 'grep -q ready "$0" || ! kill -0 "$1"' "$BATS_TEST_TMPDIR/inexec" "$INEXEC"
	grep -q ready "$BATS_TEST_TMPDIR/inexec" || skip "no FUSE"
	for who in "${VICTIMS[@]}"; do
		printf '2147483647\n' >"$LOCK"
		run -7 start_as "$who"
	done
	kill -0 "$INEXEC"
}

FLOCKS='import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (9000, 9000))
other = open(lock + ".other", "w")
flocks = []
for i in range(8000):
    file = open(lock + ".other")
    fcntl.flock(file, fcntl.LOCK_SH)
    flocks.append(file)'

@test "so is it by the launcher, and the command keeps it when it goes on in a child" {
	needs_sight_of_all
	kill_pinned_holder "$BUILT/hold"
	: >"$BATS_TEST_TMPDIR/holder.out"
	"$LAUNCH" -n job "$BUILT/steps" list leave hold >"$BATS_TEST_TMPDIR/holder.out" 2>&1 3>&- &
	ENDLATER+=("$!")
	poll grep -q ready "$BATS_TEST_TMPDIR/holder.out"
	HOLDER=$(sed -n 's/^ready //p' "$BATS_TEST_TMPDIR/holder.out")
	ENDLATER+=("$HOLDER")
	run ! grep "$LOCK" "$BATS_TEST_TMPDIR/holder.out"
	assert_refused_as "$HOLDER" root
	kill -KILL "$PINS"
	wait "$PINS" || :
	assert_refused_as "$HOLDER" root
	kill -KILL "$HOLDER"
	poll process_has_ended "$HOLDER"
	assert_runs_as root
}

@test "behind thousands of flocks of a stranger's such a holder's lock is taken, too, but not beside flock(1)" {
	needs_sight_of_all
	start_attacking "$FLOCKS"
	kill_pinned_holder "$BUILT/hold"
	start_holder "$BUILT/hold"
	assert_refused_as "$HOLDER" root
	kill -KILL "$HOLDER" "$PINS"
	poll process_has_ended "$HOLDER"
	poll flock --nonblock "$LOCK" true
	flock --no-fork "$LOCK" "$BUILT/hold" >"$BATS_TEST_TMPDIR/flock" 3>&- &
	ENDLATER+=("$!")
	poll grep -q ready "$BATS_TEST_TMPDIR/flock"
	assert_refused_as '*' root
}

@test "thousands of flocks of a stranger's make no end read all of them, again and again" {
	start_attacking "$FLOCKS"
	printf '999999999\n' >"$LOCK"
	chmod 1645 "$LOCK"
	traced true
	# An eighth of a megabyte each time, in pieces of a page.
	(($(opened '^read.*FLOCK') <= 80)) || { opened '^read.*FLOCK'; false; }
}
