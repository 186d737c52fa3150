# SPDX-License-Identifier: MIT
# exlock-launch --replace ends a job: the holder, what it has started, and whatever else keeps the lock. --older-than spares a young one.

# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154 # $ is for the shell inside; every test is a subshell; run sets $output

load test_helper
load hostile

setup() {
	clean_environment
	ENDLATER=()
	LOCK=$(lock_file n)
	OUT=$BATS_TEST_TMPDIR/job.out
	: >"$OUT"
}

teardown() {
	end_processes
	remove_public_place
}

# launch_job COMMAND...: a launcher in the background, under name n, whose job says "ready PID" as often as COUNT says, once by default. Sets HOLDER, and
# WORKER to the first PID.
launch_job() {
	OUT=$BATS_TEST_TMPDIR/job.out
	: >"$OUT"
	"$LAUNCH" "${OPTIONS[@]}" -n n "$@" >"$OUT" 2>&1 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	await_ready "${COUNT:-1}"
	read -r _ WORKER <"$OUT"
}

is_ready() { (($(grep -c ready "$OUT") >= $1)); }

await_ready() {
	local pid
	poll is_ready "$1"
	while read -r _ pid; do ENDLATER+=("$pid"); done <"$OUT"
}

assert_ended() {
	local pid
	for pid; do process_has_ended "$pid" || { echo "$pid lives"; return 1; }; done
}

# Says nothing when it gets SIGTERM, and goes on.
STUBBORN='import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", os.getpid(), flush=True)
while True: signal.pause()'

@test "the worker of a script is ended with it, whatever the scope, before the command starts" {
	local scope
	for scope in process tree; do
		OPTIONS=(-s "$scope")
		launch_job sh -c '"$1"; echo after' sh "$HELPERS/hold"
		run -0 "$LAUNCH" --replace -n n sh -c '[ ! -e "/proc/$1" ] || grep -q "^State:.Z" "/proc/$1/status"; echo "in $?"' sh "$WORKER"
		[[ ${lines[0]} == "exlock-launch: replaced pid $HOLDER and 1 other process of its job, which ended when asked" ]] || { echo "$output"; false; }
		[[ ${lines[1]} == "in 0" && ${#lines[@]} == 2 ]]
		assert_ended "$HOLDER" "$WORKER"
	done
}

@test "a worker that does not end when asked is killed after the time given, though its parent has ended" {
	launch_job sh -c '/usr/bin/python3 -c "$1" & exec "$2"' sh "$STUBBORN" "$HELPERS/hold"
	COUNT=2 && await_ready 2
	run -0 "$LAUNCH" --replace=0.3 -n n echo in
	[[ ${lines[0]} == "exlock-launch: replaced pid $HOLDER and 1 other process of its job, of which some had to be killed" && ${lines[1]} == in ]]
	while read -r _ WORKER; do assert_ended "$WORKER"; done <"$OUT"
}

@test "what a script starts to tidy up when it is asked to end may end by itself, and is waited for" {
	launch_job bash -c 'trap "\"\$1\" 0.3; echo tidied >\"\$2\"; exit" TERM; echo ready $$; while :; do read -r -t 0.05 || :; done' \
		bash "$(command -v sleep)" "$BATS_TEST_TMPDIR/tidied"
	run -0 "$LAUNCH" --replace -n n cat "$BATS_TEST_TMPDIR/tidied"
	[[ ${lines[0]} == *"which ended when asked" && ${lines[1]} == tidied ]]
}

@test "children of children are ended, too, and those that began a session of their own" {
	COUNT=3
	launch_job sh -c 'sh -c "\"\$1\" & setsid \"\$1\" & wait" sh "$1" & exec "$1"' sh "$HELPERS/hold"
	run -0 "$LAUNCH" --replace -n n echo in
	[[ ${lines[0]} == "exlock-launch: replaced pid $HOLDER and 3 other processes of its job, which ended when asked" && ${lines[1]} == in ]] ||
		{ echo "$output"; false; }
	while read -r _ WORKER; do assert_ended "$WORKER"; done <"$OUT"
}

@test "what has another parent by now is left alone, and is named" {
	COUNT=2
	launch_job sh -c 'setsid --fork "$1"; exec "$1"' sh "$HELPERS/hold"
	local left
	left=$(grep -v " $HOLDER\$" "$OUT")
	left=${left#ready }
	poll eval '[[ $(ps -o ppid= -p '"$left"') -ne $HOLDER ]]'
	run -0 "$LAUNCH" --replace -n n echo in
	[[ ${lines[0]} == "exlock-launch: replaced pid $HOLDER, which ended when asked; left alone: pid $left, which has another parent by now" ]] ||
		{ echo "$output"; false; }
	kill -0 "$left"
}

@test "in scope tree such a process keeps the lock, so it is ended" {
	COUNT=2
	OPTIONS=(-s tree)
	launch_job sh -c 'setsid --fork "$1"; exec "$1"' sh "$HELPERS/hold"
	run -0 "$LAUNCH" --replace -n n echo in
	[[ ${lines[0]} == "exlock-launch: replaced pid $HOLDER and 1 other process of its job, which ended when asked" && ${lines[1]} == in ]] ||
		{ echo "$output"; false; }
}

@test "a daemon whose parent left by _exit is replaced, without a start that was refused before" {
	local how
	for how in daemon double single; do
		rm -f "$BATS_TEST_TMPDIR/ready"
		EXCLUSIVELOCK_NAME=n guarded "$HELPERS/daemonize" "$how" _exit "$BATS_TEST_TMPDIR/ready" 3>&-
		poll file_has_content "$BATS_TEST_TMPDIR/ready"
		DAEMON=$(<"$BATS_TEST_TMPDIR/ready")
		ENDLATER+=("$DAEMON")
		run -0 "$LAUNCH" --replace -n n echo in
		[[ ${lines[0]} == "exlock-launch: replaced pid $DAEMON, which ended when asked" && ${lines[1]} == in ]] || { echo "$output"; false; }
		assert_ended "$DAEMON"
	done
}

# A process that keeps the flock of the lock file by a descriptor that it inherited, when the one that took it has ended. Sets WORKER.
start_keeper() {
	: >"$BATS_TEST_TMPDIR/keeper"
	"$@" flock --nonblock "$LOCK" setsid --fork "$HELPERS/hold" >"$BATS_TEST_TMPDIR/keeper" 3>&-
	poll grep -q ready "$BATS_TEST_TMPDIR/keeper"
	read -r _ WORKER <"$BATS_TEST_TMPDIR/keeper"
	ENDLATER+=("$WORKER")
}

@test "a process that keeps the flock by a descriptor, and is in no record, is replaced" {
	start_keeper
	run -0 "$LAUNCH" --replace -n n echo in
	[[ ${lines[0]} == "exlock-launch: replaced pid $WORKER, which ended when asked" && ${lines[1]} == in ]] || { echo "$output"; false; }
}

@test "another user's process that keeps it so is not: nobody is asked to end, 125" {
	make_public_place
	place_launcher "$PLACE"
	LOCK=$(lock_file n)
	OUT=$BATS_TEST_TMPDIR/job.out
	: >"$OUT"
	: >"$LOCK"
	start_keeper as_attacker
	run -125 "$LAUNCH" --replace -n n echo in
	[[ $output == *"is held by pid $WORKER, and that is another user's process, which the lock file does not name: not replaced, nothing is started" ]]
	kill -0 "$WORKER"
}

@test "from what it has started no such process ends its own ancestor" {
	run -0 flock --nonblock "$LOCK" sh -c '"$1" -r -n n echo in; echo alive' sh "$LAUNCH"
	[[ ${lines[*]} == *alive ]] || { echo "$output"; false; }
}

# A program of USER's with a child of root's. Sets WORKER to the child's PID.
MIXED='import os, signal, sys
user = int(sys.argv[1])
child = os.fork()
if child:
    os.setresgid(user, user, user); os.setresuid(user, user, user)
    print("ready", child, flush=True)
signal.pause()'

@test "where a process of the job may not be signalled nobody is, and it is named" {
	make_public_place
	place_launcher "$PLACE"
	LOCK=$(lock_file n)
	OUT=$BATS_TEST_TMPDIR/job.out
	: >"$OUT"
	launch_job /usr/bin/python3 -c "$MIXED" 65534
	run -125 as_user "$PLACE/exlock-launch" --replace -n n echo in
	[[ $output == *"is held by pid $WORKER, and it may not be asked to end: not replaced, nothing is started" ]] || { echo "$output"; false; }
	kill -0 "$HOLDER"
}

@test "a stranger's lock file ends no process of root's that a process of the stranger's has started" {
	setup_hostile
	place_launcher "$PLACE"
	/usr/bin/python3 -c "$MIXED" 65533 >"$BATS_TEST_TMPDIR/mixed" 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	poll grep -q ready "$BATS_TEST_TMPDIR/mixed"
	read -r _ WORKER <"$BATS_TEST_TMPDIR/mixed"
	ENDLATER+=("$WORKER")
	plant "$HOLDER\n"
	stamp_for "$HOLDER"
	run -125 "$LAUNCH" --replace -n job echo in
	[[ $output == *"is held by pid $WORKER, and it may not be asked to end: not replaced, nothing is started" ]] || { echo "$output"; false; }
	kill -0 "$WORKER"
	kill -0 "$HOLDER"
}

@test "at the limit of processes nobody is asked to end, since nobody could be killed" {
	make_public_place
	place_launcher "$PLACE"
	OUT=$BATS_TEST_TMPDIR/job.out
	as_user "$PLACE/exlock-launch" -n n "$HELPERS/hold" >"$OUT" 3>&- &
	ENDLATER+=("$!")
	await_ready 1
	read -r _ WORKER <"$OUT"
	run -125 as_user prlimit --nproc=1:1 "$PLACE/exlock-launch" --replace -n n echo in
	[[ $output == *"there is no process to be had that would end it after SECONDS: not replaced, nothing is started" ]]
	kill -0 "$WORKER"
}

@test "a frozen holder is not killed for nothing: it is named, and goes on when it is thawed" {
	local freezer=/sys/fs/cgroup/freezer
	[[ $EUID -eq 0 && -e $freezer/tasks ]] || skip "needs root, and the freezer of cgroups version 1"
	launch_job "$HELPERS/hold"
	freezer+=/exlock.$HOLDER
	mkdir "$freezer"
	echo "$HOLDER" >"$freezer/tasks"
	echo FROZEN >"$freezer/freezer.state"
	poll grep -q FROZEN "$freezer/freezer.state"
	run timeout 60 "$LAUNCH" --replace=0.1 -n n echo in
	echo THAWED >"$freezer/freezer.state"
	echo "$HOLDER" >"${freezer%/*}/tasks"
	rmdir "$freezer"
	[[ $status == 125 && $output == *"is held by pid $HOLDER, and it does not run, so it could not end: "*": not replaced, nothing is started" ]]
	kill -0 "$HOLDER"
}

@test "that the holder has ended is said, too, where the command cannot be run" {
	printf '\0\0' >"$BATS_TEST_TMPDIR/broken"
	chmod 755 "$BATS_TEST_TMPDIR/broken"
	launch_job "$HELPERS/hold"
	run -126 "$LAUNCH" --replace -n n "$BATS_TEST_TMPDIR/broken"
	[[ ${lines[1]} == "exlock-launch: $BATS_TEST_TMPDIR/broken: Exec format error; the job that it replaces has ended, and nothing is started" ]]
	assert_ended "$HOLDER"
}

@test "that the holder has ended is said, too, where the lock cannot be taken then" {
	launch_job sh -c 'trap "rm -f \"$1\"; mkdir \"$1\"; exit" TERM; echo ready $$; while :; do read -r _ || :; done' sh "$LOCK" <&2
	run -125 "$LAUNCH" --replace -n n echo in
	# The rm and the mkdir are of the job, if they are seen.
	[[ ${lines[0]} == "exlock-launch: --replace: pid $HOLDER "*" ended, but nothing is started" && ${lines[1]} == "exlock: $LOCK: "* ]] || { echo "$output"; false; }
}

@test "with --older-than a younger holder is not replaced: the start is refused, or waits, as without --replace" {
	launch_job "$HELPERS/hold"
	run -3 "$LAUNCH" --replace --older-than=1h -E 3 -n n echo in
	[[ $output == "$(refusal n "$HOLDER")" ]]
	run -1 "$LAUNCH" --replace --older-than 1d -t 0.05 -n n echo in
	[[ $output == "$(refusal n "$HOLDER")" ]]
	run -0 "$LAUNCH" --replace --older-than 2m -f -n n sh -c 'echo "$EXCLUSIVELOCK_HOLDER"'
	[[ $output == "$HOLDER" ]]
	kill -0 "$HOLDER"
}

@test "with --older-than a holder that has run that long is replaced" {
	launch_job "$HELPERS/hold"
	# shellcheck disable=SC2317 # poll calls it
	is_old() { (($(ps -o etimes= -p "$HOLDER") >= 1)); }
	poll is_old
	run -0 "$LAUNCH" --replace --older-than 0.5s -n n echo in
	[[ ${lines[0]} == "exlock-launch: replaced pid $HOLDER, which ended when asked" && ${lines[1]} == in ]]
}

@test "with --older-than the time counts from when the holder got the lock, not from when it began to wait for it" {
	launch_job "$HELPERS/hold"
	"$LAUNCH" --wait -n n "$HELPERS/hold" >"$BATS_TEST_TMPDIR/waiter" 3>&- &
	WAITER=$!
	ENDLATER+=("$WAITER")
	# shellcheck disable=SC2317 # poll calls it
	is_old() { (($(ps -o etimes= -p "$WAITER") >= 3)); }
	poll is_old
	kill "$HOLDER"
	poll grep -q ready "$BATS_TEST_TMPDIR/waiter"
	run -1 "$LAUNCH" --replace --older-than 3s -n n echo in
	[[ $output == "$(refusal n "$WAITER")" ]] || { echo "$output"; false; }
	kill -0 "$WAITER"
}

@test "--older-than needs --replace, and a time" {
	run -125 "$LAUNCH" --older-than 1h -n n echo in
	[[ $output == "exlock-launch: --older-than needs --replace (see exlock-launch --help)" ]]
	for time in soon 1w h "" 1.5.5 -1; do
		run -125 "$LAUNCH" -r --older-than="$time" -n n echo in
		[[ $output == "exlock-launch: --older-than='$time': must be a time, as in 2, 0.5, 5m, 2h or 1d" ]]
	done
}

# Whether process PID waits for a flock.
is_waiting() { grep -qE -- "-> FLOCK +ADVISORY +WRITE $1 " /proc/locks; }
has_flock() { grep -qE -- ": FLOCK +ADVISORY +WRITE $1 " /proc/locks; }
is_stopped() { grep -q '^State:.T' "/proc/$1/status"; }
has_ended_children() { ! pgrep -r R,S,D,T,t,I -P "$1" >/dev/null; }

@test "a start that was in line before the one that replaces gets the lock, and is not ended: it is not of the job" {
	COUNT=2
	# Without exec: the child that is between fork and exec then would keep the flock from the holder, which holds by its record after that.
	launch_job sh -c '/usr/bin/python3 -c "$1" & "$2"; :' sh "$STUBBORN" "$HELPERS/hold"
	# It began before the one that waits, and looks for the job after that.
	sh -c 'kill -STOP $$; exec "$@"' sh "$LAUNCH" --replace=0.3 -n n echo in >"$BATS_TEST_TMPDIR/new" 2>&1 3>&- &
	NEW=$!
	ENDLATER+=("$NEW")
	poll is_stopped "$NEW"
	"$LAUNCH" --wait -n n "$HELPERS/hold" >"$BATS_TEST_TMPDIR/waiter" 3>&- &
	WAITER=$!
	ENDLATER+=("$WAITER")
	poll is_waiting "$WAITER"
	kill -CONT "$NEW"
	poll grep -q ready "$BATS_TEST_TMPDIR/waiter"
	poll has_ended_children "$NEW"
	kill "$WAITER"
	wait "$WAITER"
	wait "$NEW"
	[[ $(<"$BATS_TEST_TMPDIR/new") == *"of which some had to be killed"*in ]] || { cat "$BATS_TEST_TMPDIR/new"; false; }
}

@test "of two starts that replace a holder neither ends the other: one gets in after the other" {
	OPTIONS=(--close -P)
	launch_job /usr/bin/python3 -c "$STUBBORN"
	"$LAUNCH" --replace=60 -n n echo first >"$BATS_TEST_TMPDIR/first" 2>&1 3>&- &
	FIRST=$!
	ENDLATER+=("$FIRST")
	poll has_flock "$FIRST"
	run -0 "$LAUNCH" --replace=0.1 -n n echo second
	[[ ${lines[1]} == second ]]
	wait "$FIRST"
	[[ $(<"$BATS_TEST_TMPDIR/first") == *first ]]
}

@test "a start whose turn comes is no member of the job, though the list of locks did not have its flock when it was read" {
	command -v strace >/dev/null || skip "needs strace"
	OPTIONS=(--close -P)
	launch_job /usr/bin/python3 -c "$STUBBORN"
	"$LAUNCH" --replace=60 -n n echo first >"$BATS_TEST_TMPDIR/first" 2>&1 3>&- &
	FIRST=$!
	ENDLATER+=("$FIRST")
	poll has_flock "$FIRST"
	run -0 strace -f -qq -o /dev/null -P /proc/locks -e trace=openat -e inject=openat:error=ENOENT "$LAUNCH" --replace=0.1 -n n echo second
	[[ ${lines[0]} == "exlock-launch: replaced pid $HOLDER, which had to be killed" && ${lines[1]} == second ]] || { echo "$output"; false; }
	wait "$FIRST"
	[[ $(<"$BATS_TEST_TMPDIR/first") == *first ]]
}

# A program of root's that becomes USER, maps the lock file, and has a child of root's.
MAPPER='import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + 3 * [ctypes.c_int] + [ctypes.c_long]
def map(path): assert libc.mmap(None, 4096, 0, 1, os.open(path, os.O_RDONLY), 0) != 2 ** 64 - 1
'

@test "whoever has the holder's user does not bring root's processes into the job by mapping the file" {
	make_public_place
	LOCK=$(lock_file n)
	OUT=$BATS_TEST_TMPDIR/job.out
	launch_job setpriv --reuid=65534 --regid=65534 --clear-groups "$HELPERS/hold"
	/usr/bin/python3 -c "$MAPPER${MIXED/signal.pause()/if child: map(\"$LOCK\"); print(\"mapped\", flush=True)
signal.pause()}" 65534 >"$BATS_TEST_TMPDIR/mapper" 3>&- &
	ENDLATER+=("$!")
	poll grep -q mapped "$BATS_TEST_TMPDIR/mapper"
	read -r _ WORKER <"$BATS_TEST_TMPDIR/mapper"
	ENDLATER+=("$WORKER")
	run -125 "$LAUNCH" --replace -n n echo in
	[[ $output == *"is held by pid $WORKER, and it may not be asked to end: not replaced, nothing is started" ]] || { echo "$output"; false; }
	kill -0 "$WORKER"
	kill -0 "$HOLDER"
}

@test "where the holder changes all the time a start that replaces looks again: it is not in doubt who holds" {
	local round
	for _ in one two; do
		bash -c 'while [[ -e $2 ]]; do "$1" -n n true; done' bash "$LAUNCH" "$OUT" >/dev/null 2>&1 3>&- &
		ENDLATER+=("$!")
	done
	for round in {1..40}; do
		run "$LAUNCH" -q --replace=1 -n n true
		[[ $status != 125 ]] || { echo "$round: $output"; false; }
	done
}
