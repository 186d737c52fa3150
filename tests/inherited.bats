# SPDX-License-Identifier: MIT
# Which process keeps a lock by an open descriptor that it inherited: a command without the shim, and what flock(1) runs. No record names it.
# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154 # every test is a subshell; run sets $output

load test_helper
load hostile

setup() {
	clean_environment
	LOCK=$(lock_file job)
	export EXCLUSIVELOCK_NAME=job
}

teardown() {
	end_processes
	remove_public_place
}

# Prints "ready PID" once the process that was started has ended, and what remains is a child of it. The argument BUSY makes that work all the
# time; TWO gives it a child of its own, whose PID it prints, too.
DAEMON='import os, signal, sys
how = sys.argv[1:]
parent = os.getpid()
if os.fork():
    os._exit(0)
os.setsid()
while os.getppid() == parent:
    pass
child = os.fork() if "two" in how else 0
if "two" not in how or child:
    print("ready", os.getpid(), child, flush=True)
while "busy" in how:
    pass
signal.pause()'

# Sets HOLDER, and CHILD, as COMMAND prints them.
start() {
	: >"$BATS_TEST_TMPDIR/daemon"
	"$@" >"$BATS_TEST_TMPDIR/daemon" 3>&- &
	poll grep -q ready "$BATS_TEST_TMPDIR/daemon"
	read -r _ HOLDER CHILD <"$BATS_TEST_TMPDIR/daemon"
	ENDLATER+=("$!" "$HOLDER" "$CHILD")
}

# A daemon of a command that loads no shim.
start_daemon() {
	start "$LAUNCH" -P -n job /usr/bin/python3 -c "$DAEMON" "$@"
}

end_daemon() {
	kill -KILL "$HOLDER"
	poll process_has_ended "$HOLDER"
}

assert_status() {
	run -0 "$BUILD/exlockctl" status job
	[[ $output == "job: held by $1"* ]] || { echo "$output"; false; }
}

@test "a daemon that keeps the flock by a descriptor is named by exlockctl, by a refused start, and from then on in the record, for peers" {
	local how
	for how in idle busy; do
		start_daemon "$how"
		assert_status "pid $HOLDER of"
		assert_refused job "$HOLDER"
		[[ $(<"$LOCK") == "$HOLDER" ]]
		run -1 timeout 10 "$SOURCE/tests/peers/exclusive.py" job
		[[ $output == "$(refusal job "$HOLDER")" ]]
		end_daemon
		assert_free job
	done
}

@test "a start is refused at once: it does not try the busy flock for a quarter of a second" {
	command -v strace >/dev/null || skip "needs strace"
	start_daemon idle
	run -1 strace -qq -o "$BATS_TEST_TMPDIR/trace" -e trace=flock -E LD_PRELOAD="$SHIM" true
	[[ $output == "$(refusal job "$HOLDER")" ]]
	(($(grep -c flock "$BATS_TEST_TMPDIR/trace") <= 20)) || { grep -c flock "$BATS_TEST_TMPDIR/trace"; false; }
}

@test "the launcher names it, too, and so does a start that runs beside it" {
	start_daemon idle
	run -1 "$LAUNCH" -n job true
	[[ $output == "$(refusal job "$HOLDER")" ]]
	run -0 "$LAUNCH" -f -n job sh -c 'echo "$EXCLUSIVELOCK_HOLDER"'
	[[ $output == "$HOLDER" ]]
}

@test "of two processes that keep it the one that is left is named when the other has ended" {
	start_daemon two
	assert_refused job "$HOLDER"
	end_daemon
	assert_status "pid $CHILD of"
	assert_refused job "$CHILD"
	HOLDER=$CHILD
	end_daemon
	assert_free job
}

@test "a process that only has the file open is not taken for the holder, whichever of both began first" {
	local decoy='import os, signal, sys; file = os.open(sys.argv[1], os.O_RDONLY); print("ready", flush=True); signal.pause()'
	printf '999999999\n' >"$LOCK"
	/usr/bin/python3 -c "$decoy" "$LOCK" >"$BATS_TEST_TMPDIR/before" 3>&- &
	ENDLATER+=("$!")
	poll grep -q ready "$BATS_TEST_TMPDIR/before"
	start_daemon idle
	/usr/bin/python3 -c "$decoy" "$LOCK" >"$BATS_TEST_TMPDIR/after" 3>&- &
	ENDLATER+=("$!")
	poll grep -q ready "$BATS_TEST_TMPDIR/after"
	assert_status "pid $HOLDER of"
	assert_refused job "$HOLDER"
}

@test "a child of it is not refused by its own parent's lock, nor waits for it, with our marks or without" {
	local marks no_marks="-u EXCLUSIVELOCK_INSTANCE -u EXCLUSIVELOCK_PID -u EXCLUSIVELOCK_LOCKFILE"
	for marks in "" "$no_marks" "$no_marks EXCLUSIVELOCK_ON_HELD=wait EXCLUSIVELOCK_TIMEOUT=20"; do
		: >"$BATS_TEST_TMPDIR/out"
		"$LAUNCH" -P -n job setsid --fork sh -c '
			while [ "$(ps -o ppid= -p $$)" -eq "$1" ]; do :; done
			env $4 LD_PRELOAD="$2" EXCLUSIVELOCK_NAME=job sh -c "echo passed" >"$3" 2>&1' sh $$ "$SHIM" "$BATS_TEST_TMPDIR/out" "$marks" 3>&-
		poll file_has_content "$BATS_TEST_TMPDIR/out"
		[[ $(<"$BATS_TEST_TMPDIR/out") == passed ]] || { cat "$BATS_TEST_TMPDIR/out"; false; }
		poll flock --nonblock "$LOCK" true
	done
}

@test "a shell that took the flock by itself refuses, is named, and is in nobody's way once it has let go of it" {
	mkfifo "$BATS_TEST_TMPDIR/stdin"
	printf '999999999\n' >"$LOCK"
	bash -c 'exec 9<"$1"; flock 9; echo "ready $$"; read -r _ <"$2"; flock -u 9; echo free; read -r _ <"$2"' \
		bash "$LOCK" "$BATS_TEST_TMPDIR/stdin" >"$BATS_TEST_TMPDIR/shell" 3>&- &
	ENDLATER+=("$!")
	poll grep -q ready "$BATS_TEST_TMPDIR/shell"
	read -r _ HOLDER <"$BATS_TEST_TMPDIR/shell"
	assert_status "pid $HOLDER of"
	assert_refused job "$HOLDER"
	echo >"$BATS_TEST_TMPDIR/stdin"
	poll grep -q free "$BATS_TEST_TMPDIR/shell"
	run -0 "$LAUNCH" -n job echo in
	[[ $output == in ]]
	kill -0 "$HOLDER"
}

@test "a stranger's daemon that has the flock refuses and is named, and gets into no record" {
	setup_hostile
	printf '999999999\n' >"$LOCK"
	start as_attacker flock --nonblock "$LOCK" /usr/bin/python3 -c "$DAEMON"
	assert_status "pid $HOLDER of"
	assert_refused_as "$HOLDER" root
	[[ $(<"$LOCK") == 999999999 ]]
	end_daemon
	# Nor does one with a descriptor as the launcher hands it over.
	start as_attacker /usr/bin/python3 -c 'import fcntl, os, signal, sys
file = fcntl.fcntl(os.open(sys.argv[1], os.O_RDONLY), fcntl.F_DUPFD, 1000)
fcntl.flock(file, fcntl.LOCK_EX)
print("ready", os.getpid(), 0, flush=True)
signal.pause()' "$LOCK"
	assert_refused_as "$HOLDER" root
	[[ $(<"$LOCK") == 999999999 ]]
}

@test "another user may not look: the refusal names nobody, and exlockctl says that the process cannot be seen" {
	setup_hostile
	start_daemon idle
	chmod 755 "$BATS_TEST_TMPDIR"
	cp "$BUILD/exlockctl" "$PLACE"
	run -0 as_user "$PLACE/exlockctl" status job
	[[ $output == "job: held by a process that cannot be seen from here"* ]]
	assert_refused_as '' as_user
	# Once somebody who sees it has been refused, everybody is told.
	assert_refused_as "$HOLDER" root
	assert_refused_as "$HOLDER" as_user
}
