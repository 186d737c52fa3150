# SPDX-License-Identifier: MIT
# libexclusivelock in programs that drop privileges, fork, become daemons, and cancel threads.

# shellcheck disable=SC2030,SC2031 # every test is a subshell

load test_helper

setup() {
	clean_environment
	SHARE=${EXLOCK_API:-$HELPERS/api}share
	[[ -x $SHARE ]] || skip "libexclusivelock was not built"
	ENDLATER=()
}

teardown() {
	end_processes
	remove_public_place
}

# Starts apishare with the arguments in the background until it says WORD; sets PROCESS to who said so. Fails with what it said if it ends before.
start_share() {
	local word=$1
	shift
	OUT=$BATS_TEST_TMPDIR/out
	: >"$OUT"
	"$SHARE" "$@" >"$OUT" 2>&1 3>&- &
	ENDLATER+=("$!")
	await_word "$word"
}

has_said() {
	grep -q "^$1 " "$OUT" || grep -q ': ' "$OUT"
}

await_word() {
	poll has_said "$1"
	PROCESS=$(sed -n "s/^$1 //p" "$OUT")
	[[ $PROCESS ]] || { cat "$OUT"; false; }
	ENDLATER+=("$PROCESS")
}

@test "a release after setgid and setuid, or after seteuid, frees the name for everybody, and for the process itself" {
	local what
	[[ $EUID -eq 0 ]] || skip "needs root"
	for what in setuid seteuid; do
		start_share ready "$what" "$what"
		run -0 env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME="$what" true
		/usr/bin/python3 "$BATS_TEST_DIRNAME/peers/exclusive.py" "$what" >"$BATS_TEST_TMPDIR/python" 3>&- &
		ENDLATER+=("$!")
		poll grep -q ready "$BATS_TEST_TMPDIR/python"
	done
}

@test "a lock that comes when another thread has dropped the privileges during the wait can be released" {
	make_public_place
	start_holder EXCLUSIVELOCK_NAME=n "$HELPERS/hold"
	start_share waiting setuid-in-wait n
	kill -TERM "$HOLDER"
	await_word ready
	assert_free n
}

@test "a release that cannot be is told by errno, and the lock is held until a later one" {
	[[ $EUID -eq 0 ]] || skip "needs root"
	start_share holding fail n
	assert_refused n "$PROCESS"
	kill -TERM "$PROCESS"
	await_word ready
	assert_free n
}

@test "a release in a changed root frees the name, for Python's programs, too" {
	[[ $EUID -eq 0 ]] || skip "needs root"
	start_share ready chroot n
	/usr/bin/python3 "$BATS_TEST_DIRNAME/peers/exclusive.py" n >"$BATS_TEST_TMPDIR/python" 3>&- &
	ENDLATER+=("$!")
	poll grep -q ready "$BATS_TEST_TMPDIR/python"
	kill "${ENDLATER[-1]}"
	wait "${ENDLATER[-1]}"
	assert_free n
}

@test "a child's release ends its share alone: its parent holds on, and can release and take the name again while the child lives" {
	start_share ready prefork n
	assert_refused n "$PROCESS"
}

@test "a child that keeps its share has the lock when its parent has released it, and can release it" {
	start_share ready keep-in-child n
	assert_free n
}

@test "a child that has a share cannot wait for it: EDEADLK" {
	start_share ready wait-in-child n
	assert_refused n "$PROCESS"
}

@test "a daemon knows the lock for its own and gives it back, whichever way its parent has ended" {
	local how
	for how in daemon exit kill; do
		start_share holding own "$how" "$how"
		assert_refused "$how" "$PROCESS"
		kill -TERM "$PROCESS"
		await_word ready
		assert_free "$how"
	done
}

@test "a child in a session of its own whose parent goes on waits once for its parent's end, not at each call" {
	command -v strace >/dev/null || skip "needs strace"
	strace -f -qq -e signal=none -e trace=ppoll -o "$BATS_TEST_TMPDIR/trace" "$SHARE" session n >"$BATS_TEST_TMPDIR/out" 3>&-
	grep -q '^ready ' "$BATS_TEST_TMPDIR/out"
	[[ $(grep -c 'ppoll(.*Timeout' "$BATS_TEST_TMPDIR/trace") -eq 1 ]] || { cat "$BATS_TEST_TMPDIR/trace"; false; }
}

@test "a scope that is left in the daemon frees the name" {
	local how
	for how in daemon exit kill; do
		start_share ready scope "$how" "$how"
		assert_free "$how"
	done
}

@test "a daemon that ends by exit leaves no file" {
	start_share holding own n daemon
	kill -KILL "$PROCESS"
	poll process_has_ended "$PROCESS"
	start_share holding own n exit
	assert_refused n "$PROCESS"
	kill -TERM "$PROCESS"
	await_word ready
	kill -TERM "$PROCESS"
	poll process_has_ended "$PROCESS"
	file_is_gone "$(lock_file n)"
}

@test "a wait that is cancelled leaves nothing: no descriptor, no place in the queue, no lock" {
	start_holder EXCLUSIVELOCK_NAME=n "$HELPERS/hold"
	start_share waiting cancel-waits n
	run -1 env EXCLUSIVELOCK_NAME=n LD_PRELOAD="$SHIM" true
	[[ $output == "$(refusal n "$HOLDER")" ]]
	kill -TERM "$HOLDER"
	await_word ready
	assert_free n
}

@test "try and release are no cancellation points" {
	start_share ready cancel n
	assert_free n
}
