# SPDX-License-Identifier: MIT
# exlock-launch --replace: the job that holds the lock is asked to end, and the start takes its place.

# shellcheck disable=SC2016,SC2030,SC2031 # $ is for the shell inside; every test is a subshell

load test_helper
load hostile

setup() {
	clean_environment
	ENDLATER=()
}


# launch_holder_of NAME COMMAND...: a launcher in the background that says "ready". Sets HOLDER.
launch_holder_of() {
	: >"$BATS_TEST_TMPDIR/holder.out"
	"$LAUNCH" -n "$@" >"$BATS_TEST_TMPDIR/holder.out" 2>&1 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	poll grep -q ready "$BATS_TEST_TMPDIR/holder.out"
}

launch_holder() { launch_holder_of n "$@"; }

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
	[[ $output == "exlock-launch: --replace: $(lock_file n) is held by pid $HOLDER, and the lock file does not say without doubt who that is: "* ]]
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
	place_launcher "$PLACE"
	launch_holder "$HELPERS/hold"
	run -125 as_user env EXCLUSIVELOCK_DIR="$LOCKS" "$PLACE/exlock-launch" -r -n n echo in
	[[ $output == *"is held by pid $HOLDER, and it may not be asked to end: not replaced, nothing is started" ]]
	kill -0 "$HOLDER"
}

setup_public() {
	setup_hostile
	place_launcher "$PLACE"
	cp "$BUILD/tests/hold-static" "$PLACE"
}

# Sets VICTIM to a process of USER's that holds no lock.
start_victim() {
	: >"$BATS_TEST_TMPDIR/victim"
	"$@" "$HELPERS/hold" >"$BATS_TEST_TMPDIR/victim" 3>&- &
	poll grep -q ready "$BATS_TEST_TMPDIR/victim"
	read -r _ VICTIM <"$BATS_TEST_TMPDIR/victim"
	ENDLATER+=("$VICTIM" "$!")
}

# USER's --replace ends nobody, names PID, says WHY, and starts nothing.
assert_replaces_nobody() {
	local pid=$1 why=$2
	shift 2
	run -125 "$@" timeout 20 "$PLACE/exlock-launch" --replace=0.1 -n job echo in
	[[ $output == "exlock-launch: --replace: $LOCK is held by pid $pid, and $why: not replaced, nothing is started" ]] ||
		{ echo "$output"; false; }
}

@test "a process that another user has written into a lock file is not ended, whoever's it is and whoever asks for it" {
	setup_public
	for who in root as_user; do
		start_victim "$who"
		plant "$VICTIM\n"
		stamp_for "$VICTIM"
		for asks in root as_user; do
			assert_replaces_nobody "$VICTIM" "another user wrote that into the lock file (only root, you, and that process' own user are believed)" "$asks"
			kill -0 "$VICTIM"
		done
	done
}

@test "root replaces a user's holder, and a user's own record is enough to end a process of that user's" {
	setup_public
	start_victim as_attacker
	plant "$VICTIM\n"
	stamp_for "$VICTIM"
	run -0 "$LAUNCH" --replace -n job echo in
	[[ ${lines[0]} == "exlock-launch: replaced pid $VICTIM, which ended when asked" && ${lines[1]} == in ]]
	process_has_ended "$VICTIM"
	# In a directory of that user's own, too.
	chown 65533 "$LOCKS"
	chmod 755 "$LOCKS"
	start_victim as_attacker env LD_PRELOAD="$SHIM"
	run -0 "$LAUNCH" --replace -n job echo in
	[[ ${lines[0]} == "exlock-launch: replaced pid $VICTIM, which ended when asked" && ${lines[1]} == in ]]
}

@test "a lock file that others may write to says of nobody that it is to be ended" {
	setup_public
	start_holder "$HELPERS/hold"
	for mode in 666 664 646; do
		chmod "$mode" "$LOCK"
		assert_replaces_nobody "$HOLDER" "other users may write to the lock file" root
		kill -0 "$HOLDER"
	done
	chmod 644 "$LOCK"
	run -0 "$LAUNCH" -rq -n job echo in
}

@test "nobody is ended by a lock file that another user may have put there" {
	setup_public
	EXCLUSIVELOCK_NAME=other start_holder "$HELPERS/hold"
	chmod 777 "$LOCKS"
	as_attacker mv "$(lock_file other)" "$LOCK"
	assert_replaces_nobody "$HOLDER" "other users may exchange files in the lock directory" root
	chmod 755 "$LOCKS"
	chown 65533 "$LOCKS"
	assert_replaces_nobody "$HOLDER" "other users may exchange files in the lock directory" root
	kill -0 "$HOLDER"
	# Nor by one of a group.
	chown 0:65533 "$LOCKS"
	chmod 775 "$LOCKS"
	as_attacker mv "$LOCK" "$(lock_file other)"
	as_attacker mv "$(lock_file other)" "$LOCK"
	assert_replaces_nobody "$HOLDER" "other users may exchange files in the lock directory" root
	kill -0 "$HOLDER"
}

@test "a directory that a user's own group may write to, as where the umask is 002, is that user's alone" {
	setup_public
	chown 65534:65534 "$LOCKS"
	chmod 775 "$LOCKS"
	start_victim as_user env LD_PRELOAD="$SHIM"
	run -0 as_user "$PLACE/exlock-launch" --replace -n job echo in
	[[ ${lines[0]} == "exlock-launch: replaced pid $VICTIM, which ended when asked" && ${lines[1]} == in ]] || { echo "$output"; false; }
}

@test "where another user's process keeps the flock nobody is ended in vain" {
	setup_public
	launch_holder_of job --close "$HELPERS/hold-static"
	start_attacking 'fd = os.open(lock, os.O_RDONLY); fcntl.flock(fd, fcntl.LOCK_EX)'
	assert_replaces_nobody "$ATTACKER" "that is another user's process, which the lock file does not name" root
	kill -0 "$HOLDER"
	# Nor is the stranger, when nobody else holds.
	kill -KILL "$HOLDER"
	poll process_has_ended "$HOLDER"
	assert_replaces_nobody "$ATTACKER" "that is another user's process, which the lock file does not name" root
	kill -0 "$ATTACKER"
}

@test "a holder that is just ending is waited for, and nobody is asked to end" {
	setup_public
	start_attacking "$TOMBSTONE_NAMES"'
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.bind(names[0]); s.listen(9)'
	"$LAUNCH" --replace=5 -n job echo in >"$BATS_TEST_TMPDIR/new" 2>&1 3>&- &
	NEW=$!
	ENDLATER+=("$NEW")
	poll file_is_there "$LOCK"
	kill -0 "$ATTACKER"
	kill -KILL "$ATTACKER"
	wait "$NEW"
	[[ $(<"$BATS_TEST_TMPDIR/new") == in ]]
}

@test "inside the holder a descendant does not end its own ancestor" {
	run -0 "$LAUNCH" -n n sh -c '"$1" -r -n n echo in; echo alive' sh "$LAUNCH"
	[[ ${lines[0]} == in && ${lines[1]} == alive ]]
}

@test "a time that is no number is an error, and nobody is asked to end" {
	launch_holder "$HELPERS/hold"
	run -125 "$LAUNCH" --replace=soon -n n echo in
	[[ $output == "exlock-launch: --replace='soon': must be a time, as in 2, 0.5, 5m, 2h or 1d" ]]
	kill -0 "$HOLDER"
}

@test "the command has no trace of the replacement in its environment" {
	launch_holder "$HELPERS/hold"
	run -0 "$LAUNCH" -rq -n n sh -c "env | grep ^EXCLUSIVELOCK_"
	[[ $output != *REPLACED* && $output != *ON_HELD* && $output != *TIMEOUT* ]]
}
