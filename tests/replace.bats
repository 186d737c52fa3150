# SPDX-License-Identifier: MIT
# exlock-launch --replace: the holder is asked to end, and the start takes its place.

# shellcheck disable=SC2016,SC2030,SC2031 # $ is for the shell inside; every test is a subshell

load test_helper

setup() {
	clean_environment
	ENDLATER=()
}

teardown() {
	end_processes
	remove_public_place
}

# launch_holder OPTION... COMMAND...: a launcher in the background that says "ready". Sets HOLDER.
launch_holder() {
	: >"$BATS_TEST_TMPDIR/holder.out"
	"$LAUNCH" -n n "$@" >"$BATS_TEST_TMPDIR/holder.out" 2>&1 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	poll grep -q ready "$BATS_TEST_TMPDIR/holder.out"
}

@test "the holder is asked to end by SIGTERM, and the command takes its place" {
	launch_holder "$HELPERS/hold"
	run -0 "$LAUNCH" --replace -n n sh -c 'echo "in: $EXCLUSIVELOCK_PID $$"'
	[[ ${lines[0]} == "exlock-launch: replaced pid $HOLDER, which ended when asked" ]]
	[[ ${lines[1]} =~ ^"in: "([0-9]+)" "([0-9]+)$ ]]
	((BASH_REMATCH[1] == BASH_REMATCH[2]))
	wait "$HOLDER"
}

@test "a holder that does not end when asked is killed after the time given" {
	launch_holder sh -c 'trap "" TERM; echo ready; while :; do read -r _ || :; done' <&2
	run -0 "$LAUNCH" --replace=0.05 -n n echo in
	[[ ${lines[0]} == "exlock-launch: replaced pid $HOLDER, which had to be killed" && ${lines[1]} == in ]]
}

@test "that it had to be killed is told, too, where SIGCHLD and SIGTERM are ignored" {
	launch_holder sh -c 'trap "" TERM; echo ready; while :; do read -r _ || :; done' <&2
	run -0 env --ignore-signal=CHLD --ignore-signal=TERM "$LAUNCH" --replace=0.05 -n n echo in
	[[ ${lines[0]} == "exlock-launch: replaced pid $HOLDER, which had to be killed" && ${lines[1]} == in ]]
}

@test "a stopped holder is replaced, too" {
	launch_holder "$HELPERS/hold"
	kill -STOP "$HOLDER"
	run -0 "$LAUNCH" -r -n n echo in
	[[ ${lines[0]} == *"ended when asked" && ${lines[1]} == in ]]
}

@test "a static holder, which has only its PID, is replaced" {
	launch_holder "$HELPERS/hold-static"
	run -0 "$LAUNCH" -r -n n echo in
	[[ ${lines[1]} == in ]]
}

@test "with nobody to replace the command just starts" {
	run -0 "$LAUNCH" -r -n n echo in
	[[ $output == in ]]
}

@test "with --quiet nothing is said of it" {
	launch_holder "$HELPERS/hold"
	run -0 "$LAUNCH" -rq -n n echo in
	[[ $output == in ]]
}

@test "nobody else gets in between: starts that come all the time see the old holder or the new one" {
	local kind tries=0
	for kind in hold hold-static; do
		launch_holder "$HELPERS/$kind"
		OLD=$HOLDER
		assert_refused n "$OLD"
		"$LAUNCH" -r -n n "$HELPERS/hold" >"$BATS_TEST_TMPDIR/new.$kind" 2>&1 3>&- &
		NEW=$!
		ENDLATER+=("$NEW")
		until grep -qs ready "$BATS_TEST_TMPDIR/new.$kind"; do
			run -1 env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=n true
			tries=$((tries + 1))
			((tries < 2000))
		done
		[[ $output == *"(pid $OLD)."* || $output == *"(pid $NEW)."* || $output == *running. ]]
		kill "$NEW"
		wait "$NEW"
	done
}

@test "a Python holder is not identified by its file: nobody is asked to end, 125" {
	/usr/bin/python3 "$BATS_TEST_DIRNAME/peers/exclusive.py" n >"$BATS_TEST_TMPDIR/holder.out" 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	poll grep -q ready "$BATS_TEST_TMPDIR/holder.out"
	run -125 "$LAUNCH" -r -n n echo in
	[[ $output == "exlock-launch: $(lock_file n) is held by pid $HOLDER, and the lock file does not say without doubt who that is: "* ]]
	kill -0 "$HOLDER"
}

@test "a recycled PID is nobody to be asked: the innocent process lives on" {
	launch_holder "$HELPERS/hold"
	printf '%s\n' "$BASHPID" >"$(lock_file other)"
	run -0 "$LAUNCH" -r -n other echo in
	[[ $output == in ]]
}

@test "another user's holder may not be asked to end: 125, and it goes on" {
	make_public_place
	launch_holder "$HELPERS/hold"
	chmod 755 "$BUILD" 2>/dev/null || :
	as_user test -x "$LAUNCH" || skip "the build is not readable to others"
	run -125 as_user env EXCLUSIVELOCK_DIR="$LOCKS" "$LAUNCH" -r -n n echo in
	[[ $output == *"is held by pid $HOLDER, and it may not be asked to end: not replaced, nothing is started" ]]
	kill -0 "$HOLDER"
}

@test "inside the holder a descendant does not end its own ancestor" {
	run -0 "$LAUNCH" -n n sh -c '"$1" -r -n n echo in; echo alive' sh "$LAUNCH"
	[[ ${lines[0]} == in && ${lines[1]} == alive ]]
}

@test "a time that is no number is an error, and nobody is asked to end" {
	launch_holder "$HELPERS/hold"
	run -125 "$LAUNCH" --replace=soon -n n echo in
	[[ $output == "exlock-launch: --replace='soon': must be a number of seconds, as in 2 or 0.5" ]]
	kill -0 "$HOLDER"
}

@test "the command has no trace of the replacement in its environment" {
	launch_holder "$HELPERS/hold"
	run -0 "$LAUNCH" -rq -n n sh -c "env | grep ^EXCLUSIVELOCK_"
	[[ $output != *REPLACED* && $output != *ON_HELD* && $output != *TIMEOUT* ]]
}
