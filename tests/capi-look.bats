# SPDX-License-Identifier: MIT
# libexclusivelock: what is known of a lock, a descriptor that tells when it is free, options, scopes.

# shellcheck disable=SC2030,SC2031 # every test is a subshell

load test_helper

setup() {
	clean_environment
	LOOK=$HELPERS/apilook
	[[ -x $LOOK ]] || skip "libexclusivelock was not built"
	ENDLATER=()
}

teardown() {
	end_processes
	remove_public_place
}

# Starts apilook with the arguments in the background until it has said WORD, in the file $OUT; sets LOOKER.
start_look() {
	local word=$1
	shift
	OUT=$BATS_TEST_TMPDIR/look.$1
	: >"$OUT"
	"$LOOK" "$@" >"$OUT" 2>&1 3>&- &
	LOOKER=$!
	ENDLATER+=("$LOOKER")
	poll grep -q "$word" "$OUT"
}

# A reader of /proc/locks sees that COUNT wait for the lock file of NAME.
has_waiting() {
	[[ $(grep -c -- "-> FLOCK.*:$(stat -c %i "$(lock_file "$1")") " /proc/locks) == "$2" ]]
}

@test "info tells the holder's PID, user, since when, its command and how many wait, whatever holds it" {
	local since waiting python
	start_holder EXCLUSIVELOCK_NAME=n "$HELPERS/hold"
	since=$(stat -c %Y "$(lock_file n)")
	run -0 "$LOOK" info n
	[[ $output == "$HOLDER $EUID $since 0 $HELPERS/hold" ]]
	for waiting in 1 2; do
		"$HELPERS/api" wait n >"$BATS_TEST_TMPDIR/waiter$waiting" 3>&- &
		ENDLATER+=("$!")
		poll has_waiting n "$waiting"
		run -0 "$LOOK" info n
		[[ $output == "$HOLDER $EUID $since $waiting $HELPERS/hold" ]]
	done
	/usr/bin/python3 "$BATS_TEST_DIRNAME/peers/exclusive.py" p >"$BATS_TEST_TMPDIR/python" 3>&- &
	python=$!
	ENDLATER+=("$python")
	poll grep -q ready "$BATS_TEST_TMPDIR/python"
	run -0 "$LOOK" info p
	[[ $output == "$python $EUID "*" 0 /usr/bin/python3 "*"exclusive.py p" ]]
}

@test "info of a free name, and of one that only a stale file has, says nobody, and 0 or unknown of all else" {
	run -0 "$LOOK" info n
	[[ $output == "0 -1 0 0 " ]]
	start_holder EXCLUSIVELOCK_NAME=n "$HELPERS/hold"
	kill -KILL "$HOLDER"
	wait "$HOLDER" || :
	run -0 "$LOOK" info n
	[[ $output == "0 -1 0 0 " ]]
}

@test "info of what is no lock file is EINVAL, of a missing directory it is nobody, and a directory that is not absolute is EINVAL" {
	mkdir "$(lock_file n)"
	run -3 "$LOOK" info n
	[[ $output == "refused EINVAL" ]]
	run -0 "$LOOK" info n "$BATS_TEST_TMPDIR/none"
	[[ $output == "0 -1 0 0 " ]]
	if [[ -x $BUILD/exlockctl ]]; then run -1 "$BUILD/exlockctl" --dir "$BATS_TEST_TMPDIR/none" status n; fi
	run -3 "$LOOK" info n relative
	[[ $output == "refused EINVAL" ]]
}

@test "info shows no byte of a holder's command that could drive a terminal, and cuts a long one" {
	local long
	long=$(printf 'x%.0s' {1..300})
	start_holder EXCLUSIVELOCK_NAME=n "$HELPERS/hold" $'a\e[31m\nb\xc2\x9b' "$long"
	run -0 "$LOOK" info n
	[[ $output == *"$HELPERS/hold a?[31m?b?? xxx"* && $output != *$'\e'* ]]
	[[ ${#lines[@]} -eq 1 && $(wc -c <<<"${output#* * * * }") == 256 ]]
}

@test "info in a PID namespace says -1 of a holder outside, and since when" {
	unshare --user --map-root-user --pid --fork --mount-proc true 2>/dev/null || skip "needs user namespaces"
	start_look "$(lock_file n)" hold n
	run -0 unshare --user --map-root-user --pid --fork --mount-proc "$LOOK" info n
	[[ $output == "-1 -1 $(stat -c %Y "$(lock_file n)") "* ]]
}

@test "open takes the lock in the directory that it is given, waits for as long as it is told, and joins nothing of another directory" {
	local waiter
	mkdir "$BATS_TEST_TMPDIR/other"
	start_look "$BATS_TEST_TMPDIR/other" hold n "$BATS_TEST_TMPDIR/other"
	assert_free n
	run -3 "$LOOK" hold n "$BATS_TEST_TMPDIR/other"
	[[ $output == "refused EAGAIN" ]]
	run -3 "$LOOK" hold n "$BATS_TEST_TMPDIR/other" 0.02
	[[ $output == "refused ETIMEDOUT" ]]
	run -3 "$LOOK" hold n "" nan
	[[ $output == "refused EINVAL" ]]
	run -3 "$LOOK" hold n other
	[[ $output == "refused EINVAL" ]]
	"$LOOK" hold n "$BATS_TEST_TMPDIR/other" -1 >"$BATS_TEST_TMPDIR/waiter" 3>&- &
	waiter=$!
	ENDLATER+=("$waiter")
	kill "$LOOKER"
	poll grep -q "$BATS_TEST_TMPDIR/other" "$BATS_TEST_TMPDIR/waiter"
	run -0 "$LOOK" info n "$BATS_TEST_TMPDIR/other"
	[[ $output == "$waiter "* ]]
}

@test "a struct of a later version is understood if what it has more is not set, and one that is too small is refused" {
	run -0 "$LOOK" sizes n
	[[ $output == "ready "* ]]
}

@test "a timed scope waits, and a scope or die ends the process with the sentence of a refused start" {
	run -0 "$LOOK" scope-or-die n
	start_holder EXCLUSIVELOCK_NAME=n "$HELPERS/hold"
	run -3 "$LOOK" scope-wait n "" 0.02
	[[ $output == "refused ETIMEDOUT" ]]
	run -1 "$LOOK" scope-or-die n
	[[ $output == "$(refusal n "$HOLDER")" ]]
	run -125 env EXCLUSIVELOCK_DIR=/nowhere "$LOOK" scope-or-die n
	kill "$HOLDER"
	run -0 "$LOOK" scope-wait n "" 60
}

@test "a watched name is readable when its holder releases it, ends or is killed, be it this library's, the preload's or Python's" {
	local signal
	for signal in TERM KILL; do
		start_holder EXCLUSIVELOCK_NAME=n "$HELPERS/hold"
		start_look held watch n
		kill -"$signal" "$HOLDER"
		wait "$LOOKER"
		grep -q free "$OUT"
		/usr/bin/python3 "$BATS_TEST_DIRNAME/peers/exclusive.py" n >"$BATS_TEST_TMPDIR/python" 3>&- &
		HOLDER=$!
		ENDLATER+=("$HOLDER")
		poll grep -q ready "$BATS_TEST_TMPDIR/python"
		start_look held watch n
		kill -"$signal" "$HOLDER"
		wait "$LOOKER"
		grep -q free "$OUT"
	done
	"$HELPERS/api" hold n >"$BATS_TEST_TMPDIR/api" 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	poll grep -q ready "$BATS_TEST_TMPDIR/api"
	start_look held watch n
	kill "$HOLDER"
	wait "$LOOKER"
	kill -0 "$HOLDER"
	run -0 "$LOOK" watch-own n
}

@test "a name that is free, or cannot be judged, is readable at once, and one whose path cannot be told is an error" {
	run -0 "$LOOK" watch n
	[[ $output == "free "* ]]
	run -0 "$LOOK" watch n "$BATS_TEST_TMPDIR/none"
	[[ $output == "free "* ]]
	mkdir "$(lock_file n)"
	run -0 "$LOOK" watch n
	[[ $output == "free "* ]]
	run -3 "$LOOK" watch n relative
	[[ $output == "refused EINVAL" ]]
}

@test "a watch takes nothing, and is not readable while others take and leave the lock by turns" {
	local waiter
	start_holder EXCLUSIVELOCK_NAME=n "$HELPERS/hold"
	start_look held watch n
	"$HELPERS/api" wait-hold n >"$BATS_TEST_TMPDIR/waiter" 3>&- &
	waiter=$!
	ENDLATER+=("$waiter")
	poll has_waiting n 1
	kill "$HOLDER"
	poll grep -q ready "$BATS_TEST_TMPDIR/waiter"
	assert_refused n "$waiter"
	kill -0 "$LOOKER"
	run ! grep -q free "$OUT"
	kill "$waiter"
	wait "$LOOKER"
	grep -q free "$OUT"
	assert_free n
}

@test "a watch that is closed ends at once with all that belongs to it" {
	start_holder EXCLUSIVELOCK_NAME=n "$HELPERS/hold"
	run -0 "$LOOK" watch-in-vain n
	[[ $output == "ready "* ]]
}

@test "a forked child's descriptor of a watch is readable when the parent has ended" {
	start_holder EXCLUSIVELOCK_NAME=n "$HELPERS/hold"
	start_look held watch-in-child n
	run ! grep -q readable "$OUT"
	kill "$LOOKER"
	poll grep -q readable "$OUT"
}
