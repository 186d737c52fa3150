# SPDX-License-Identifier: MIT
# libexclusivelock, the lock for programs that can be changed.

# shellcheck disable=SC2016,SC2030,SC2031 # for another shell; every test is a subshell

load test_helper

setup() {
	clean_environment
	API=${EXLOCK_API:-$HELPERS/api}
	[[ -x $API ]] || skip "libexclusivelock was not built"
	ENDLATER=()
}

teardown() {
	end_processes
	remove_public_place
}

# Starts api with the arguments in the background until it says "ready"; sets HOLDER, and OUT to its output.
start_api() {
	OUT=$BATS_TEST_TMPDIR/out.$1
	: >"$OUT"
	"$API" "$@" >"$OUT" 2>&1 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	poll grep -q ready "$OUT"
}

@test "what the program holds refuses a guarded one, and the message names it" {
	start_api hold n
	assert_refused n "$HOLDER"
}

@test "a guarded program that holds refuses the API's try, with EWOULDBLOCK" {
	start_holder EXCLUSIVELOCK_NAME=n "$HELPERS/hold"
	run -3 "$API" hold n
	[[ $output == "refused EAGAIN" ]]
}

@test "Python and the API exclude one another" {
	start_api hold n
	run -1 /usr/bin/python3 "$BATS_TEST_DIRNAME/peers/exclusive.py" n
	kill "$HOLDER"
	poll grep -q released "$OUT"
	/usr/bin/python3 "$BATS_TEST_DIRNAME/peers/exclusive.py" n >"$BATS_TEST_TMPDIR/python" 3>&- &
	ENDLATER+=("$!")
	poll grep -q ready "$BATS_TEST_TMPDIR/python"
	run -3 "$API" hold n
	[[ $output == "refused EAGAIN" ]]
}

@test "after a release the name is free and no file is left while the program goes on, and errno is as it was" {
	start_api hold n
	kill "$HOLDER"
	poll grep -q released "$OUT"
	file_is_gone "$(lock_file n)"
	assert_free n
	kill -0 "$HOLDER"
}

@test "a second acquire of one name in one process is refused, and possible again after the release" {
	run -0 "$API" again n
}

# Starts api as the command of a launcher, or under the preload: COMMAND... api ARG...
start_under() {
	local words=("$@")
	OUT=$BATS_TEST_TMPDIR/out
	: >"$OUT"
	"${words[@]}" >"$OUT" 2>&1 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	poll grep -q ready "$OUT"
}

@test "under the preload or the launcher of the same name a program joins its own lock, which is free when both have let go" {
	local way under
	for way in preload launcher static; do
		case $way in
		preload) under=(env "LD_PRELOAD=$SHIM" EXCLUSIVELOCK_NAME=n) ;;
		launcher) under=("$LAUNCH" -n n) ;;
		static) under=("$LAUNCH" -P -n n) ;;
		esac
		start_under "${under[@]}" "$API" hold n
		kill "$HOLDER"
		poll grep -q released "$OUT"
		assert_refused n "$HOLDER"
		kill "$HOLDER"
		wait "$HOLDER"
		run -0 env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=n true
		# In one process it is taken once, and the release leaves it to the guard.
		run -5 "${under[@]}" "$API" again n
		start_under "${under[@]}" "$API" die n
		kill "$HOLDER"
		wait "$HOLDER"
		start_under "${under[@]}" "$API" forever n
		kill -KILL "$HOLDER"
		wait "$HOLDER" || :
	done
}

@test "a program that a guarded one has started is refused by that one's lock" {
	run -3 env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=n sh -c '"$0" hold n; exit $?' "$API"
	[[ $output == "refused EAGAIN" ]]
}

@test "without a name it is the program's path, as under the preload" {
	start_api hold ''
	[[ -e $(lock_file "$(readlink -f "$API")") ]]
	run -1 env LD_PRELOAD="$SHIM" "$API" hold other
	[[ $output == "$(refusal "$(readlink -f "$API")" "$HOLDER")" ]]
}

@test "wait gets the lock when the holder releases it, when it ends, and when it is killed" {
	local signal
	for signal in TERM KILL; do
		start_api hold n
		"$API" wait n >"$BATS_TEST_TMPDIR/waiter" 3>&- &
		WAITER=$!
		poll grep -q '^State:.S' "/proc/$WAITER/status"
		kill -"$signal" "$HOLDER"
		wait "$WAITER"
		grep -q ready "$BATS_TEST_TMPDIR/waiter"
		kill -KILL "$HOLDER" 2>/dev/null || :
	done
}

@test "wait gives up when its time is over, with ETIMEDOUT" {
	start_holder EXCLUSIVELOCK_NAME=n "$HELPERS/hold"
	run -3 "$API" wait n 0.02
	[[ $output == "refused ETIMEDOUT" ]]
}

@test "die prints the sentence of a refused start and exits with 1" {
	start_api forever n
	run -1 "$API" die n
	[[ $output == "$(refusal n "$HOLDER")" ]]
	run -125 env EXCLUSIVELOCK_DIR=/nowhere "$API" die n
	[[ $output == "exlock: n: No such file or directory" ]]
}

@test "die in a process that holds the lock already names that process" {
	run -1 "$API" die-twice n
	[[ $output == $(refusal n '*') ]]
}

@test "the holder is told by its PID, nobody by 0, and what cannot be judged by errno" {
	start_api hold n
	[[ $("$API" holder n) == "$HOLDER " ]]
	[[ $("$API" holder other) == "0 " ]]
	[[ $(EXCLUSIVELOCK_DIR=relative "$API" holder n) == "-1 EINVAL" ]]
	flock --no-fork "$(lock_file f)" "$HELPERS/hold" >"$BATS_TEST_TMPDIR/flock" 3>&- &
	ENDLATER+=("$!")
	poll grep -q ready "$BATS_TEST_TMPDIR/flock"
	[[ $("$API" holder f) == "${ENDLATER[-1]} " ]]
}

@test "forever holds until the process has ended, and leaves no file" {
	start_api forever n
	assert_refused n "$HOLDER"
	kill "$HOLDER"
	wait "$HOLDER"
	file_is_gone "$(lock_file n)"
	assert_free n
}

@test "a forked child neither takes nor gives back its parent's lock" {
	start_api fork n
	assert_refused n "$HOLDER"
}

@test "a program that calls exec takes its own lock again" {
	start_api exec n
	assert_refused n "$HOLDER"
}

@test "threads that compete for a name get it one at a time" {
	run -0 "$API" threads n
	[[ $output == *" wins, 0 overlaps" ]]
}

@test "each thread of a program waits for a lock of its own, and takes it, beside the others" {
	run -0 "$API" several n
	[[ $output == "0 failures" ]]
}

@test "in a thread with the smallest stack that there may be each function does what it does elsewhere" {
	local name
	for name in n ''; do
		run -0 "$API" small again "$name"
		run -0 "$API" small wait "$name" 1
		run -1 "$API" small die-twice "$name"
		[[ $output == $(refusal '*' '*') ]]
	done
	start_api hold n
	[[ $("$API" small holder n) == "$HOLDER " ]]
	run -3 "$API" small wait n 0.02
	[[ $output == "refused ETIMEDOUT" ]]
	run -1 "$API" small die n
	[[ $output == "$(refusal n "$HOLDER")" ]]
}

@test "what another thread forks during a wait, by whatever call, keeps nothing of the lock" {
	local how
	for how in fork-waiting fork-raw-waiting; do
		start_holder EXCLUSIVELOCK_NAME=n "$HELPERS/hold"
		start_api "$how" n
		kill -TERM "${ENDLATER[-2]}"
		poll process_has_ended "$HOLDER"
		[[ $(<"$OUT") == ready*again* ]] || { cat "$OUT"; false; }
	done
}

@test "children that are forked at any time of other threads' waits can wait themselves" {
	[[ ! ${TSAN_OPTIONS-} ]] || skip "ThreadSanitizer knows no threads in a child that was forked from many"
	start_holder EXCLUSIVELOCK_NAME=n "$HELPERS/hold"
	run -0 "$API" forks n
	[[ $output == "ready "* ]]
}

@test "the umask of the program has no say in the file's mode, and is left alone" {
	umask 077
	start_api hold n
	[[ $(stat -c %a "$(lock_file n)") == 1644 && $(sed -n 's/^Umask:\t//p' "/proc/$HOLDER/status") == 0077 ]]
}

@test "a missing directory is ENOENT, and nothing is held" {
	run -3 env EXCLUSIVELOCK_DIR=/nowhere "$API" hold n
	[[ $output == "refused ENOENT" ]]
}

@test "the library needs libc and its unwinder alone" {
	[[ $(readelf -d "$BUILD/libexclusivelock.so" | sed -n 's/.*NEEDED.*\[\(.*\)\]/\1/p' | sort | tr '\n' ' ') == "libc.so.6 libgcc_s.so.1 " ]] || [[ $EXLOCK_PRELOAD_FIRST ]]
}

@test "the examples compile against the installed header and library with pkg-config, and do what they say" {
	local prefix=$BATS_TEST_TMPDIR/prefix flags
	command -v g++ >/dev/null || skip "needs g++"
	DESTDIR=$prefix meson install -C "$CONFIGURED" --no-rebuild >/dev/null
	PC=$(find "$prefix" -name exclusivelock.pc)
	export PKG_CONFIG_PATH=${PC%/*} PKG_CONFIG_SYSROOT_DIR=$prefix
	flags=$(pkg-config --cflags --libs exclusivelock)
	LD_LIBRARY_PATH=$(dirname "$(find "$prefix" -name libexclusivelock.so)")
	export LD_LIBRARY_PATH
	# shellcheck disable=SC2086 # a list
	for example in "$BATS_TEST_DIRNAME"/examples/*.c; do
		gcc -Wall -Wextra -Wpedantic -Werror -o "$BATS_TEST_TMPDIR/$(basename "$example" .c)" "$example" $flags
	done
	for example in "$BATS_TEST_DIRNAME"/examples/*.cpp; do
		# shellcheck disable=SC2086
		g++ -std=c++11 -Wall -Wextra -Wpedantic -Werror -o "$BATS_TEST_TMPDIR/$(basename "$example" .cpp)" "$example" $flags
	done
	run -0 "$BATS_TEST_TMPDIR/with_block"
	[[ ${lines[0]} == "working under $(lock_file nightly)" && ${lines[1]} == "holder now: 0" ]]
	run -0 "$BATS_TEST_TMPDIR/queue"
	[[ $output == "my turn" ]]
	run -0 "$BATS_TEST_TMPDIR/poll"
	[[ $output == "my turn" ]]
	run -0 "$BATS_TEST_TMPDIR/who"
	[[ $output == "nobody" ]]
	start_holder EXCLUSIVELOCK_NAME=nightly "$HELPERS/hold"
	run -0 "$BATS_TEST_TMPDIR/who"
	[[ $output == "pid $HOLDER: $HELPERS/hold (0 waiting)" ]]
	# Nothing ever comes from it, nor its end.
	mkfifo "$BATS_TEST_TMPDIR/quiet"
	"$BATS_TEST_TMPDIR/poll" >"$BATS_TEST_TMPDIR/polled" 0<>"$BATS_TEST_TMPDIR/quiet" 3>&- &
	WAITER=$!
	ENDLATER+=("$WAITER")
	poll grep -q '^Threads:.2' "/proc/$WAITER/status"
	kill "$HOLDER"
	wait "$WAITER"
	[[ $(<"$BATS_TEST_TMPDIR/polled") == "my turn" ]]
	run -0 "$BATS_TEST_TMPDIR/move"
	[[ $output == $'held: 1\nheld: 0\nheld: 1' ]]
	run -0 "$BATS_TEST_TMPDIR/once" </dev/null
	[[ $output == "the only one" ]]
}

# Compiles the function BODY with COMPILER..., every warning an error.
compile() {
	printf '#include <exclusivelock.h>\nint f(int);\nint f(int bad) { %s }\n' "$1" >"$BATS_TEST_TMPDIR/scope.c"
	shift
	"$@" -Wall -Wextra -Wpedantic -Werror -I "$SOURCE/src" -c "$BATS_TEST_TMPDIR/scope.c" -o "$BATS_TEST_TMPDIR/scope.o"
}

@test "a scope compiles without warning in each standard of C and C++, and a jump into one does not" {
	local compiler
	for compiler in 'gcc -std=c99 -Wvla' 'gcc -std=gnu17 -Wshadow' 'clang -std=c99 -Wvla' 'g++ -x c++ -std=c++11' 'g++ -x c++ -std=c++20'; do
		command -v "${compiler%% *}" >/dev/null || continue
		# shellcheck disable=SC2086 # a list
		compile 'if (bad) return 1; EXCLUSIVELOCK_SCOPE(lock, "a"); if (!lock) return 2; EXCLUSIVELOCK_SCOPE(other, "b"); return other != 0;' $compiler
		# shellcheck disable=SC2086
		run ! compile 'if (bad) goto out; EXCLUSIVELOCK_SCOPE(lock, "a"); if (!lock) return 1; out: return 2;' $compiler
		# shellcheck disable=SC2086
		run ! compile 'switch (bad) { case 1:; EXCLUSIVELOCK_SCOPE(lock, "a"); return lock != 0; default: return 2; }' $compiler
	done
}

@test "a lock takes a few hundred bytes, and what die and forever hold is reachable to the end" {
	[[ ! ${TSAN_OPTIONS-} ]] || skip "needs libc's malloc"
	run -0 "$API" keep n
	read -r _ _ bytes <<<"$output"
	((bytes > 0 && bytes < 1000))
	command -v valgrind >/dev/null || skip "needs valgrind"
	run -0 valgrind -q --leak-check=full --show-leak-kinds=definite,indirect,possible --errors-for-leak-kinds=definite,indirect,possible --error-exitcode=97 "$API" keep n
	[[ $output == "ready "* ]]
}

@test "without a name it is the script that was started, whatever directory the program has gone to since" {
	local script=$BATS_TEST_TMPDIR/script.py
	cat >"$script" <<-END
		#!/usr/bin/python3
		import ctypes, os
		lib = ctypes.CDLL("$BUILD/libexclusivelock.so.1")
		lib.exclusivelock_try.restype = ctypes.c_void_p
		lib.exclusivelock_path.restype = ctypes.c_char_p
		os.chdir("/")
		print(lib.exclusivelock_path(ctypes.c_void_p(lib.exclusivelock_try(None))).decode())
	END
	chmod 755 "$script"
	cd "$BATS_TEST_TMPDIR"
	run -0 ./script.py
	[[ $output == "$(lock_file "$script")" ]]
}

@test "in a PID namespace a holder outside is somebody who cannot be seen" {
	unshare --user --map-root-user --pid --fork --mount-proc true 2>/dev/null || skip "needs user namespaces"
	start_api hold n
	run -0 unshare --user --map-root-user --pid --fork --mount-proc "$API" holder n
	[[ $output == "-1 ESRCH" ]]
	kill "$HOLDER"
	poll grep -q released "$OUT"
	run -0 unshare --user --map-root-user --pid --fork --mount-proc "$API" holder n
	[[ $output == "0 " ]]
}
