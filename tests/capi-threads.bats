# SPDX-License-Identifier: MIT
# libexclusivelock in programs with threads, and in programs that get signals.

# shellcheck disable=SC2016,SC2030,SC2031 # for another shell; every test is a subshell

load test_helper

setup() {
	clean_environment
	THREADS=${EXLOCK_API:-$HELPERS/api}threads
	[[ -x $THREADS ]] || skip "libexclusivelock was not built"
	ENDLATER=()
}

teardown() {
	end_processes
	remove_public_place
}

# Starts apithreads with the arguments in the background until it says "waiting", or something is wrong; sets WAITER.
start_waiting() {
	: >"$BATS_TEST_TMPDIR/out.${*//\//}"
	"$THREADS" "$@" >"$BATS_TEST_TMPDIR/out.${*//\//}" 2>&1 3>&- &
	WAITER=$!
	ENDLATER+=("$WAITER")
	poll grep -q . "$BATS_TEST_TMPDIR/out.${*//\//}"
	grep -q waiting "$BATS_TEST_TMPDIR/out.${*//\//}"
}

@test "threads that wait for one lock of their process all get their turn, one at a time" {
	run -0 "$THREADS" queue n
	[[ $output == "ready "* ]]
}

@test "while a thread waits, another one's try and die are told who holds the lock" {
	start_holder EXCLUSIVELOCK_NAME=n "$HELPERS/hold"
	run -1 "$THREADS" die n
	[[ $output == "$(refusal n "$HOLDER")" ]]
	start_waiting others n
	kill "$HOLDER"
	wait "$WAITER"
}

@test "a wait that could only wait for itself is refused" {
	run -0 "$THREADS" own n
	[[ $output == "ready "* ]]
}

@test "a thread that has the pthread_t of the one that took the lock, and that has ended, waits like any other" {
	run -0 "$THREADS" succeed n
	[[ $output == "ready "* ]]
}

@test "in a program with much thread-local storage a wait has stack enough" {
	start_holder EXCLUSIVELOCK_NAME=n "$HELPERS/hold"
	run -0 "$HELPERS/apistorage" shortly n
	[[ $output == "ready "* ]]
}

@test "a program that has no lock ends under a seccomp filter that kills, its output written" {
	[[ ! ${TSAN_OPTIONS-} ]] || skip "ThreadSanitizer makes system calls of its own"
	run -0 "$THREADS" confined n
	[[ $output == "ready "* ]]
}

@test "another user's process cannot disturb a wait at the moment when it ends" {
	command -v strace >/dev/null || skip "needs strace"
	start_holder EXCLUSIVELOCK_NAME=n "$HELPERS/hold"
	# Whatever has a name that the kernel chose gets more datagrams than its queue takes.
	/usr/bin/python3 -c 'import re, socket, sys
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sender.setblocking(False)
print("ready", flush=True)
while True:
    for name in re.findall("@([0-9a-f]{5})$", open("/proc/net/unix").read(), re.M):
        try:
            for _ in range(1000):
                sender.sendto(b"x", b"\0" + name.encode())
        except OSError:
            pass' >"$BATS_TEST_TMPDIR/flood" 3>&- &
	ENDLATER+=("$!")
	poll grep -q ready "$BATS_TEST_TMPDIR/flood"
	: >"$BATS_TEST_TMPDIR/out"
	strace -f -qq -o "$BATS_TEST_TMPDIR/trace" -e trace=sendmsg,flock -e inject=sendmsg:delay_enter=300000 "$THREADS" once n \
		>"$BATS_TEST_TMPDIR/out" 3>&- &
	WAITER=$!
	ENDLATER+=("$WAITER")
	poll grep -q 'flock([0-9]*, LOCK_EX *\($\|<unf\)' "$BATS_TEST_TMPDIR/trace"
	kill "$HOLDER"
	wait "$WAITER"
	grep -q '^ready ' "$BATS_TEST_TMPDIR/out"
}

@test "a signal handler interrupts a wait if it was installed without SA_RESTART, with a limit and without" {
	[[ ! ${TSAN_OPTIONS-} ]] || skip "ThreadSanitizer runs no handler during a system call that it does not know"
	start_holder EXCLUSIVELOCK_NAME=n "$HELPERS/hold"
	run -0 "$THREADS" interrupt n
	[[ $output == "ready "* ]]
}

@test "a wait uses no signal of the program's: its handlers, its mask and what is pending stay as they are, and the limit holds" {
	start_holder EXCLUSIVELOCK_NAME=n "$HELPERS/hold"
	run -0 "$THREADS" signals n
	[[ $output == "ready "* ]]
}

@test "a program may close all its descriptors while a thread waits" {
	start_holder EXCLUSIVELOCK_NAME=n "$HELPERS/hold"
	start_waiting close-all n
	kill "$HOLDER"
	wait "$WAITER"
}

@test "threads and processes get the lock in the order in which they came" {
	local first lines=()
	: >"$BATS_TEST_TMPDIR/order"
	"$HELPERS/api" hold n >"$BATS_TEST_TMPDIR/holder" 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	poll grep -q ready "$BATS_TEST_TMPDIR/holder"
	for ((first = 1; first <= 30; first += 5)); do
		start_waiting line n "$(lock_file n)" "$first" $((first + 4)) "$BATS_TEST_TMPDIR/order"
	done
	kill "$HOLDER"
	for first in "${ENDLATER[@]:1}"; do
		wait "$first"
	done
	mapfile -t lines <"$BATS_TEST_TMPDIR/order"
	[[ ${lines[*]} == "$(echo {1..30})" ]] || { echo "${lines[*]}"; false; }
}

@test "Ctrl-C ends a wait in a Python program at once" {
	start_holder EXCLUSIVELOCK_NAME=n "$HELPERS/hold"
	cat >"$BATS_TEST_TMPDIR/wait.py" <<-'END'
		import ctypes, os, sys
		lib = ctypes.CDLL(sys.argv[1], use_errno=True)
		lib.exclusivelock_wait.argtypes = ctypes.c_char_p, ctypes.c_double
		lib.exclusivelock_wait.restype = ctypes.c_void_p
		print("ready", flush=True)
		try:
		    lib.exclusivelock_wait(b"n", float(sys.argv[2]))
		    print("went on")
		except KeyboardInterrupt:
		    print("interrupted")
	END
	local limit
	for limit in -1 600; do
		/usr/bin/python3 -c 'import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
os.execv(sys.executable, [sys.executable] + sys.argv[1:])' "$BATS_TEST_TMPDIR/wait.py" "$BUILD/libexclusivelock.so.1" "$limit" \
			>"$BATS_TEST_TMPDIR/python" 3>&- &
		WAITER=$!
		ENDLATER+=("$WAITER")
		poll has_threads 3
		kill -INT "$WAITER"
		wait "$WAITER"
		[[ $(<"$BATS_TEST_TMPDIR/python") == ready*interrupted ]]
	done
}

has_threads() {
	grep -qs "^Threads:.$1$" "/proc/$WAITER/status"
}

@test "on an overlay file system, where a mapping keeps nothing, a wait ends with a lock that keeps others out" {
	local layered='mount -t tmpfs none /mnt; mkdir /mnt/lower /mnt/upper /mnt/work
		mount -t overlay -o lowerdir=/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/work none "$EXCLUSIVELOCK_DIR"'
	needs_mount_namespace
	in_mount_namespace "$layered" 2>/dev/null || skip "no overlay file system here"
	run -0 in_mount_namespace "$layered"'
		until_word() { n=0; until grep -q "$1" "$2" || [ $((n += 1)) = 1000 ]; do sleep 0.01; done; }
		"$1" hold n >"$2/holder" 3>&- & holder=$!
		until_word ready "$2/holder"
		"$1" wait-hold n >"$2/waiter" 3>&- & waiter=$!
		until_word "Threads:.3$" "/proc/$waiter/status" 2>/dev/null || :
		kill $holder; until_word released "$2/holder"; until_word ready "$2/waiter"
		"$1" hold n || echo "status $?"
		flock --nonblock "$3" true || echo "flock: $?"
		kill $waiter; wait $waiter; kill -KILL $holder
		"$1" again n && echo free' "${THREADS%threads}" "$BATS_TEST_TMPDIR" "$(lock_file n)" 3>&-
	[[ ${lines[*]} == "refused EAGAIN status 3 flock: 1 free" ]] || { echo "$output"; false; }
}

@test "on an overlay file system a thread that waits is kept out when the program has closed all descriptors" {
	local layered='mount -t tmpfs none /mnt; mkdir /mnt/lower /mnt/upper /mnt/work
		mount -t overlay -o lowerdir=/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/work none "$EXCLUSIVELOCK_DIR"'
	needs_mount_namespace
	in_mount_namespace "$layered" 2>/dev/null || skip "no overlay file system here"
	run -0 in_mount_namespace "$layered"'; "$1" lose n' "$THREADS" 3>&-
	[[ $output == "ready "* ]]
}

@test "where no thread can be started, a wait for a lock that somebody holds is refused with EAGAIN" {
	make_public_place
	cp "$BUILD/libexclusivelock.so.1" "${THREADS%threads}" "$PLACE"
	LD_LIBRARY_PATH=$PLACE "$PLACE/api" hold n >"$BATS_TEST_TMPDIR/holder" 3>&- &
	ENDLATER+=("$!")
	poll grep -q ready "$BATS_TEST_TMPDIR/holder"
	run -3 as_user prlimit --nproc=1 env LD_LIBRARY_PATH="$PLACE" "$PLACE/api" wait n 60
	[[ $output == "refused EAGAIN" ]]
	kill -KILL "${ENDLATER[-1]}"
	wait "${ENDLATER[-1]}" || :
	run -0 as_user prlimit --nproc=1 env LD_LIBRARY_PATH="$PLACE" "$PLACE/api" wait n 60
}

@test "a wait that ends when the program has no descriptor to spare gives back what it has got" {
	local spare
	ulimit -n 200
	for spare in 0 1 2 3; do
		start_holder EXCLUSIVELOCK_NAME=n "$HELPERS/hold"
		start_waiting descriptors n "$spare"
		kill "$HOLDER"
		poll grep -q ready "$BATS_TEST_TMPDIR/out.descriptors n $spare"
		assert_free n
		kill -KILL "$WAITER"
	done
}

@test "what is no number is EINVAL, NULL has no path, and errno is as it was where nothing is wrong" {
	run -0 "$THREADS" arguments n
	[[ $output == "ready "* ]]
}
