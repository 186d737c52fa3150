# SPDX-License-Identifier: MIT
# Python programs that use exclusiveprocess' protocol, and flock(1), on the same name: they exclude and are excluded.

# shellcheck disable=SC2030,SC2031 # every test is a subshell
load test_helper

setup() {
	clean_environment
	cd "$BATS_TEST_TMPDIR" || return
	FILE=$(lock_file peer)
}
teardown() { end_processes; }

python_peer() { timeout 10 "$SOURCE/tests/peers/exclusive.py" "$@"; }

start_python() {
	: >peer.out	# the last one's "ready" is not this one's
	: >peer.out
	"$SOURCE/tests/peers/exclusive.py" "${1:-peer}" >peer.out 3>&- &
	PEER=$!
	ENDLATER+=("$PEER")
	poll grep -q ready peer.out
}

# Refused at once, with the PID given; "timeout" would make it 124.
assert_python_is_refused() {
	run -1 python_peer peer
	[[ $output == "$(refusal peer "$1")" ]]
}

@test "a Python program refuses ours as long as it runs, and leaves the name free" {
	start_python
	assert_refused peer "$PEER"
	[[ $(<"$FILE") == "$PEER" ]]
	kill -TERM "$PEER"
	wait "$PEER"
	file_is_gone "$FILE"
	assert_free peer
}

@test "our program refuses a Python one at once as long as it runs, and leaves the name free" {
	start_holder EXCLUSIVELOCK_NAME=peer "$HELPERS/hold"
	assert_python_is_refused "$HOLDER"
	kill -TERM "$HOLDER"
	wait "$HOLDER"
	start_python
	assert_refused peer "$PEER"
}

@test "a Python program is refused at once while others wait for the name" {
	local turn
	start_holder EXCLUSIVELOCK_NAME=peer "$HELPERS/hold"
	for turn in {1..5}; do
		env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=peer EXCLUSIVELOCK_ON_HELD=wait \
			"$HELPERS/oracle" turns "$turn" 3>&- &
		ENDLATER+=("$!")
		poll grep -Eqs -- "-> FLOCK +ADVISORY +WRITE +$! " /proc/locks
		assert_python_is_refused "$HOLDER"
	done
	kill -TERM "$HOLDER"
	for turn in "${ENDLATER[@]}"; do
		wait "$turn"
	done
	[[ $(<turns) == $(seq 5) ]]
	start_python
}

@test "Python programs are refused at once while others of ours knock, and none gets in" {
	local hammer
	start_holder EXCLUSIVELOCK_NAME=peer "$HELPERS/hold"
	"$HELPERS/hammer" 400 2 env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=peer EXCLUSIVELOCK_EXIT_CODE=75 \
		EXCLUSIVELOCK_QUIET=1 touch intruder >hammer.out 3>&- &
	hammer=$!
	for _ in {1..20}; do
		assert_python_is_refused "$HOLDER"
	done
	wait "$hammer"
	[[ $(<hammer.out) == "75 400" ]]
}

@test "our program keeps no lock that would make a Python start hang" {
	start_holder EXCLUSIVELOCK_NAME=peer "$HELPERS/hold"
	/usr/bin/python3 - "$FILE" <<-EOF
		import fcntl, sys
		fcntl.lockf(open(sys.argv[1], "r+"), fcntl.LOCK_EX | fcntl.LOCK_NB)
	EOF
	run -1 grep -E 'POSIX|OFDLCK' <(grep ":$(stat -c %i "$FILE") " /proc/locks)
}

@test "our program does not delete its file while a Python start is about to judge the PID in it" {
	local judge
	start_holder EXCLUSIVELOCK_NAME=job "$HELPERS/hold"
	mkfifo judging
	/usr/bin/python3 -c 'import fcntl, signal, sys
with open(sys.argv[1], "r+") as file:
	fcntl.lockf(file, fcntl.LOCK_EX)
	print("ready", flush=True)
	signal.pause()' "$(lock_file job)" >judging 3>&- &
	judge=$!
	ENDLATER+=("$judge")
	read -r <judging
	kill -TERM "$HOLDER"
	poll process_has_ended "$HOLDER"
	[[ $(<"$(lock_file job)") == "$HOLDER" ]]
	kill -KILL "$judge"
	poll process_has_ended "$judge"
	assert_free job
}

@test "a killed Python program does not block ours, nor a killed one of ours a Python program" {
	start_python
	kill -KILL "$PEER"
	wait "$PEER" || :
	[[ $(<"$FILE") == "$PEER" ]]
	start_holder EXCLUSIVELOCK_NAME=peer "$HELPERS/hold"
	assert_python_is_refused "$HOLDER"
	kill -KILL "$HOLDER"
	wait "$HOLDER" || :
	[[ $(<"$FILE") == "$HOLDER" ]]
	start_python
	assert_refused peer "$PEER"
	kill -TERM "$PEER"
	wait "$PEER"
	assert_free peer
}

@test "a Python program that opened our file before it was deleted does not take that one over" {
	local asker
	start_holder EXCLUSIVELOCK_NAME=peer "$HELPERS/hold"
	mkfifo go
	# It is stopped where it has the file open, and not locked yet.
	/usr/bin/python3 - "$SOURCE/tests/peers" "$FILE" >late.out 3>&- <<-'EOF' &
		import os, sys
		sys.dont_write_bytecode = True
		sys.path.insert(0, sys.argv[1])
		import exclusive
		take_lock = os.lockf
		def take_lock_late(*arguments):
		    print("opened", flush=True)
		    open("go").read()
		    take_lock(*arguments)
		os.lockf = take_lock_late
		print("holder:", exclusive.claim(sys.argv[2]), flush=True)
	EOF
	asker=$!
	ENDLATER+=("$asker")
	poll grep -q opened late.out
	kill -TERM "$HOLDER"
	wait "$HOLDER"
	file_is_gone "$FILE"
	: >go
	wait "$asker"
	grep -qx 'holder: 1' late.out
}

@test "flock(1) refuses ours as long as it runs" {
	flock --no-fork "$FILE" sleep 1000 3>&- &
	PEER=$!
	ENDLATER+=("$PEER")
	poll grep -qx sleep "/proc/$PEER/comm"
	assert_refused peer "$PEER"
	kill -TERM "$PEER"
	wait "$PEER" || :
	assert_free peer
}

@test "flock(1) is refused as long as ours runs, and gets the lock afterwards" {
	start_holder EXCLUSIVELOCK_NAME=peer "$HELPERS/hold"
	run -9 flock --nonblock --conflict-exit-code 9 "$FILE" touch intruder
	file_is_gone intruder
	kill -TERM "$HOLDER"
	wait "$HOLDER"
	run -0 flock --nonblock "$FILE" true
	# It leaves an empty file, which says nothing.
	file_is_there "$FILE"
	assert_free peer
}

@test "Python's and our file have the same path whatever the name" {
	local name
	for name in 'two words' '/opt/legacy/tool' 'a+b%41&c=d~e.f-g_h' $'line\nbreak' 'ü€😀'; do
		start_holder EXCLUSIVELOCK_NAME="$name" "$HELPERS/hold"
		run -1 python_peer "$name"
		[[ $output == *"(pid $HOLDER)." ]]
		kill -TERM "$HOLDER"
		wait "$HOLDER"
		start_python "$name"
		run -1 env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME="$name" true
		[[ $output == *"(pid $PEER)." ]]
		kill -TERM "$PEER"
		wait "$PEER"
	done
}

@test "Python and ours find each other in the default directory" {
	unset EXCLUSIVELOCK_DIR
	[[ -d /var/lock && -w /var/lock ]] || skip "/var/lock is not writable"
	local name="exlock test $$ $RANDOM"
	start_holder EXCLUSIVELOCK_NAME="$name" "$HELPERS/hold"
	file_is_there "$(lock_file "$name" /var/lock)"
	run -1 python_peer "$name"
	[[ $output == "$(refusal "$name" "$HOLDER")" ]]
	kill -TERM "$HOLDER"
	wait "$HOLDER"
	file_is_gone "$(lock_file "$name" /var/lock)"
}
