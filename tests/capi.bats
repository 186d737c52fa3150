# SPDX-License-Identifier: MIT
# libexclusivelock, the lock for programs that can be changed.

# shellcheck disable=SC2030,SC2031 # every test is a subshell

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

@test "under the preload a program cannot take the same lock a second time" {
	run -3 env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=n "$API" hold n
	[[ $output == "refused EALREADY" ]]
	assert_free n
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

@test "what another thread forks during a wait keeps neither the lock nor the signal's handler" {
	start_holder EXCLUSIVELOCK_NAME=n "$HELPERS/hold"
	start_api fork-waiting n
	kill -TERM "${ENDLATER[0]}"
	poll process_has_ended "$HOLDER"
	[[ $(<"$OUT") == ready*again* ]] || { cat "$OUT"; false; }
}

@test "children that are forked at any time of other threads' waits can wait themselves" {
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

@test "the library exports the functions of its header, under a version, and needs libc alone" {
	local library=$BUILD/libexclusivelock.so
	[[ $(nm -D --defined-only "$library" | awk '$2 == "T" { print $3 }' | sort) == \
		$(grep -o 'exclusivelock_[a-z]*(' "$SOURCE/src/exclusivelock.h" | tr -d '(' | grep -v leave_scope | sort -u |
			sed 's/$/@@EXCLUSIVELOCK_1/') ]]
	[[ $(readelf -d "$library" | grep -c NEEDED) == 1 ]] || [[ $EXLOCK_PRELOAD_FIRST ]]
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
	# shellcheck disable=SC2086
	g++ -Wall -Wextra -Wpedantic -Werror -o "$BATS_TEST_TMPDIR/queue" "$BATS_TEST_DIRNAME/examples/queue.cpp" $flags
	run -0 "$BATS_TEST_TMPDIR/with_block"
	[[ ${lines[0]} == "working under $(lock_file nightly)" && ${lines[1]} == "holder now: 0" ]]
	run -0 "$BATS_TEST_TMPDIR/queue"
	[[ $output == "my turn" ]]
	run -0 "$BATS_TEST_TMPDIR/once" </dev/null
	[[ $output == "the only one" ]]
}
