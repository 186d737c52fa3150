#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Programs in PID, mount and network namespaces of their own, as in sandboxes and containers that share the lock directory.
# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154 # every test is a subshell; run sets $stderr

load test_helper

setup() {
	clean_environment
	export EXCLUSIVELOCK_NAME=job
	LOCK=$(lock_file job)
	INSIDE=(unshare --pid --fork --kill-child --mount-proc)
	[[ $EUID -eq 0 ]] || INSIDE+=(--user --map-root-user)
	"${INSIDE[@]}" true 2>/dev/null || skip "needs root, or user namespaces"
}

teardown() {
	end_processes
}

# Starts `hold` in a PID namespace of its own. Sets HOLDER to its PID out here, and OUTER to that of its namespace's keeper.
start_holder_inside() {
	: >"$BATS_TEST_TMPDIR/inside"
	"${INSIDE[@]}" env LD_PRELOAD="$SHIM" "$HELPERS/hold" >"$BATS_TEST_TMPDIR/inside" 3>&- &
	OUTER=$!
	ENDLATER+=("$OUTER")
	poll grep -qx 'ready 1' "$BATS_TEST_TMPDIR/inside"
	HOLDER=$(</proc/"$OUTER"/task/"$OUTER"/children)
	HOLDER=${HOLDER% }
}

# A start by way of COMMAND is refused; a PID that it names must be the holder's.
assert_refused() {
	run --separate-stderr -1 timeout 20 "$@" env LD_PRELOAD="$SHIM" "$HELPERS/stages"
	[[ $output == "" ]]
	[[ $stderr == "$(refusal job)" ||
		$stderr == "$(refusal job "$HOLDER")" ]] || { echo "$stderr"; return 1; }
}

@test "a program's descendants in a PID namespace of their own are not refused" {
	run -7 guarded "${INSIDE[@]}" "$HELPERS/stages" 7
	[[ $output == constructor*destructor* ]]
	run -7 guarded "${INSIDE[@]}" sh -c '"$1"; "$1"; exec "$1" 7' sh "$HELPERS/stages"
	[[ $output == constructor*constructor*constructor*destructor* ]]
	file_is_gone "$LOCK"
}

@test "a program's descendants are not refused where /proc is empty, nor in a PID namespace with the /proc of another" {
	run -7 guarded "${INSIDE[@]}" sh -c 'mount -t tmpfs none /proc && exec "$1" 7' sh "$HELPERS/stages"
	[[ $output == constructor*destructor* ]]
	[[ $EUID -eq 0 ]] || skip "the rest needs root"
	run -7 guarded unshare --pid --fork --kill-child "$HELPERS/stages" 7
	[[ $output == constructor*destructor* ]]
}

@test "a stranger in a PID namespace of its own is refused" {
	start_holder "$HELPERS/hold"
	assert_refused "${INSIDE[@]}"
	# An environment that was kept from an earlier run does not make it a descendant.
	EXCLUSIVELOCK_PID=1 EXCLUSIVELOCK_INSTANCE=1.2.3 assert_refused "${INSIDE[@]}"
}

@test "a holder in a PID namespace of its own refuses those outside, and no PID that means another process is named" {
	start_holder_inside
	assert_refused
	kill -KILL "$HOLDER"
	wait "$OUTER" || :
	run -7 guarded "$HELPERS/stages" 7
}

@test "a holder that is number 1 in a PID namespace with the /proc of another refuses everybody, whose number 1 is another's" {
	[[ $EUID -eq 0 ]] || skip "needs root"
	local other=(unshare --pid --fork --kill-child)
	: >"$BATS_TEST_TMPDIR/inside"
	"${other[@]}" env LD_PRELOAD="$SHIM" "$HELPERS/hold" >"$BATS_TEST_TMPDIR/inside" 3>&- &
	ENDLATER+=("$!")
	poll grep -q ready "$BATS_TEST_TMPDIR/inside"
	[[ $(<"$LOCK") == 1 ]]
	assert_refused env
	assert_refused "${other[@]}" sh -c '"$@"; exit $?' sh
	assert_refused "${INSIDE[@]}" sh -c '"$@"; exit $?' sh
}

@test "a Python program that is number 1 in a container does not make all others its children" {
	printf 1 >"$LOCK"
	run -1 timeout 20 env LD_PRELOAD="$SHIM" "$HELPERS/stages"
	[[ $output == "$(refusal job)" ]]
}

@test "two programs that are both number 1 in their PID namespaces exclude one another" {
	start_holder_inside
	assert_refused "${INSIDE[@]}"
	kill -KILL "$HOLDER"
	wait "$OUTER" || :
	run -7 "${INSIDE[@]}" env LD_PRELOAD="$SHIM" "$HELPERS/stages" 7
}

@test "programs with the same PID and start time in two PID namespaces exclude one another, and their children" {
	twins=("$HELPERS/twins" 'exec env LD_PRELOAD="$SHIM" "$HELPERS/hold"')
	[[ $EUID -eq 0 ]] || twins=(unshare --user --map-root-user "${twins[@]}")
	export SHIM HELPERS
	# The second one takes the record for its own, or for that of an ancestor.
	for line in 'exec env' ': ; env'; do
		run --separate-stderr -1 timeout 20 "${twins[@]}" "$line LD_PRELOAD=\"\$SHIM\" \"\$HELPERS/stages\" 7; exit"
		[[ $output == "" ]]
		[[ $stderr == "$(refusal job)" ]] || { echo "$stderr"; return 1; }
	done
	run -7 guarded "$HELPERS/stages" 7
}

@test "a holder in a network namespace of its own refuses, and leaves nothing behind" {
	apart=(unshare --net)
	[[ $EUID -eq 0 ]] || apart+=(--user --map-root-user)
	start_holder_apart() {
		: >"$BATS_TEST_TMPDIR/apart"
		"${apart[@]}" env LD_PRELOAD="$SHIM" "$HELPERS/hold" >"$BATS_TEST_TMPDIR/apart" 3>&- &
		HOLDER=$!
		ENDLATER+=("$HOLDER")
		poll grep -q ready "$BATS_TEST_TMPDIR/apart"
	}
	start_holder_apart
	assert_refused
	assert_refused "${apart[@]}"
	kill -TERM "$HOLDER"
	wait "$HOLDER"
	file_is_gone "$LOCK"
	run -7 guarded "$HELPERS/stages" 7
}

@test "in a PID namespace with the /proc of another, a recorded PID counts as what it is inside" {
	[[ $EUID -eq 0 ]] || skip "needs root"
	run -1 unshare --pid --fork --kill-child sh -c 'sleep 1000 3>&- & printf %d "$!" >"$1"
shift
"$@"' sh "$LOCK" env LD_PRELOAD="$SHIM" echo in
	[[ $output == "$(refusal job 2)" ]]
	# Nobody has this PID inside.
	printf %d "$$" >"$LOCK"
	run -0 unshare --pid --fork --kill-child env LD_PRELOAD="$SHIM" echo in
	[[ $output == in ]]
}

@test "a holder that cannot tell its start time, without a /proc, refuses others" {
	needs_mount_namespace
	: >"$BATS_TEST_TMPDIR/out"
	in_mount_namespace 'mount -t tmpfs none /proc; exec "$@"' env LD_PRELOAD="$SHIM" "$HELPERS/hold" >"$BATS_TEST_TMPDIR/out" 3>&- &
	ENDLATER+=("$!")
	poll grep -q ready "$BATS_TEST_TMPDIR/out"
	read -r _ HOLDER <"$BATS_TEST_TMPDIR/out"
	assert_refused env
	kill -TERM "$HOLDER"
	poll file_is_gone "$LOCK"
}

# The descendant of PID that runs a program of this NAME.
descendant_named() {
	local name=$1 pid=$2 child
	if grep -qsx "$name" "/proc/$pid/comm"; then echo "$pid"; fi
	for child in $(pgrep -P "$pid"); do
		descendant_named "$name" "$child"
	done
}

# How often the process that LOG is the trace of has looked at all locks.
looks() { grep -c /proc/locks "$1" || :; }

@test "a holder that leaves to a waiter in another PID namespace does not look for it for long" {
	command -v strace >/dev/null || skip "needs strace"
	local log=$BATS_TEST_TMPDIR/trace holder
	strace -f -qq -e signal=none -e trace=openat -o "$log" "${INSIDE[@]}" env LD_PRELOAD="$SHIM" "$HELPERS/hold" \
		>"$BATS_TEST_TMPDIR/out" 3>&- &
	OUTER=$!
	ENDLATER+=("$OUTER")
	poll grep -qx 'ready 1' "$BATS_TEST_TMPDIR/out"
	holder=$(descendant_named hold "$OUTER")
	"${INSIDE[@]}" env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_ON_HELD=wait touch "$BATS_TEST_TMPDIR/entered" 3>&- &
	ENDLATER+=("$!")
	poll grep -q -- "-> FLOCK .*:$(stat -c %i "$LOCK") " /proc/locks
	kill -TERM "$holder"
	poll process_has_ended "$holder"
	poll file_is_there "$BATS_TEST_TMPDIR/entered"
	# A hundred, some while nobody has the flock, and some until it is certain that the taker does not show; not half a second's.
	(($(looks "$log") < 400)) || { looks "$log"; false; }
}

@test "a holder that ends does not delete the file of one with the same PID in another PID namespace, which got in meanwhile" {
	command -v strace >/dev/null || skip "needs strace"
	local apart=(unshare --net --pid --fork --kill-child --mount-proc) first second
	[[ $EUID -eq 0 ]] || skip "needs root"
	# Both are number 1, and see no tombstone of one another; the first is slow to look whether it is the last that has the flock.
	strace -f -qq -o /dev/null -e trace=flock -e inject=flock:delay_enter=1000000:when=2 "${apart[@]}" \
		env LD_PRELOAD="$SHIM" "$HELPERS/hold" >"$BATS_TEST_TMPDIR/first" 3>&- &
	OUTER=$!
	ENDLATER+=("$OUTER")
	poll grep -qx 'ready 1' "$BATS_TEST_TMPDIR/first"
	first=$(descendant_named hold "$OUTER")
	"${apart[@]}" sh -c 'echo there; until flock -n "$1" true; do :; done; shift; exec "$@"' sh "$LOCK" \
		"$BUILD/exlock-launch" -P "$HELPERS/hold" >"$BATS_TEST_TMPDIR/second" 3>&- &
	OUTER=$!
	ENDLATER+=("$OUTER")
	poll grep -qx there "$BATS_TEST_TMPDIR/second"
	kill -TERM "$first"
	poll grep -qx 'ready 1' "$BATS_TEST_TMPDIR/second"
	poll process_has_ended "$first"
	second=$(descendant_named hold "$OUTER")
	run -1 timeout 20 nsenter --target "$second" --pid --mount --root "$BUILD/exlock-launch" -P "$HELPERS/stages"
	[[ $output == "$(refusal_start job)"* ]]
}
