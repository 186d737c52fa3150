#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What is in the lock file and in the log.
# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154 # every test is a subshell; run sets $stderr

load test_helper

setup() {
	clean_environment
	export EXCLUSIVELOCK_NAME=job
	LOCK=$(lock_file job)
}

teardown() {
	end_processes
}

# The nanoseconds of FILE's modification time.
nanoseconds() {
	local time
	time=$(stat -c %.9Y "$1")
	echo "${time#*.}"
}

@test "the lock file holds the holder's PID and a newline, and is stamped with its start time" {
	start_holder "$HELPERS/hold"
	printf '%d\n' "$HOLDER" | cmp - "$LOCK"
	[[ $(nanoseconds "$LOCK") == "$(stamp_of "$HOLDER")" ]]
}

@test "a longer record of an earlier holder is replaced as a whole" {
	printf '999999999 and more text than a PID\nand another line\n' >"$LOCK"
	start_holder "$HELPERS/hold"
	printf '%d\n' "$HOLDER" | cmp - "$LOCK"
	[[ $(nanoseconds "$LOCK") == "$(stamp_of "$HOLDER")" ]]
}

@test "Python reads the holder's PID as an integer" {
	start_holder "$HELPERS/hold"
	run -0 /usr/bin/python3 -c 'import sys; print(int(open(sys.argv[1]).read().strip()))' "$LOCK"
	[[ $output == "$HOLDER" ]]
}

@test "the lock file's mode is 1644 whatever the umask" {
	for mask in 0777 0177 022 0; do
		(umask "$mask" && exec env LD_PRELOAD="$SHIM" "$HELPERS/hold") 3>&- >/dev/null &
		holder=$!
		ENDLATER+=("$holder")
		poll grep -qsx "$holder" "$LOCK"
		[[ $(stat -c %a "$LOCK") == 1644 ]]
		kill -KILL "$holder"
		wait "$holder" || :
		rm "$LOCK"
	done
}

@test "a holder keeps no descriptor and no POSIX or OFD lock of the file, which a peer may lock and read at once" {
	start_holder "$HELPERS/hold"
	run -1 grep -q "$LOCK_PREFIX" <(ls -l "/proc/$HOLDER/fd")
	run -0 timeout 20 /usr/bin/python3 -c 'import fcntl, sys
file = open(sys.argv[1], "r+")
fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
print(file.read().strip())' "$LOCK"
	[[ $output == "$HOLDER" ]]
}

@test "EXCLUSIVELOCK_LOG=stderr says when the lock is taken and given back" {
	EXCLUSIVELOCK_LOG=stderr start_holder "$HELPERS/hold"
	kill -TERM "$HOLDER"
	wait "$HOLDER"
	mapfile -t lines <"$BATS_TEST_TMPDIR/holder.err"
	[[ ${#lines[@]} == 2 ]]
	[[ ${lines[0]} == *"Acquired lock at $LOCK..."* && ${lines[0]} == *"$HOLDER"* ]]
	[[ ${lines[1]} == *"Released lock at $LOCK..."* && ${lines[1]} == *"$HOLDER"* ]]
	# With the time.
	[[ ${lines[0]} == *[0-9]:[0-9][0-9]* && ${lines[1]} == *[0-9]:[0-9][0-9]* ]]
}

@test "EXCLUSIVELOCK_LOG may be a file, to which lines are appended" {
	export EXCLUSIVELOCK_LOG=$BATS_TEST_TMPDIR/log
	run -0 guarded true
	[[ $output == "" ]]
	run -0 guarded true
	[[ $(grep -c "Acquired lock at $LOCK\.\.\." "$EXCLUSIVELOCK_LOG") == 2 ]]
	[[ $(grep -c "Released lock at $LOCK\.\.\." "$EXCLUSIVELOCK_LOG") == 2 ]]
	[[ $(wc -l <"$EXCLUSIVELOCK_LOG") == 4 ]]
	# A killed holder says nothing more, a refused start and a descendant say nothing.
	mkfifo "$BATS_TEST_TMPDIR/never"
	start_holder sh -c '"$1"; echo ready; read -r _ <"$2"' sh "$HELPERS/stages" "$BATS_TEST_TMPDIR/never"
	run -1 guarded true
	[[ $(wc -l <"$EXCLUSIVELOCK_LOG") == 5 ]]
	kill -KILL "$HOLDER"
	wait "$HOLDER" || :
	[[ $(wc -l <"$EXCLUSIVELOCK_LOG") == 5 ]]
}

@test "a log that cannot be written to neither stops nor kills the program, nor does a FIFO that nobody reads" {
	mkfifo "$BATS_TEST_TMPDIR/fifo"
	for log in /dev/full "$BATS_TEST_TMPDIR/fifo"; do
		EXCLUSIVELOCK_LOG=$log run --separate-stderr -7 timeout 20 env LD_PRELOAD="$SHIM" "$HELPERS/stages" 7
		[[ $output == constructor*destructor* ]]
	done
}

@test "a peer that does not give back its POSIX write lock refuses, with its PID, and does not make a start hang" {
	: >"$BATS_TEST_TMPDIR/locker"
	/usr/bin/python3 -c 'import fcntl, signal, sys
file = open(sys.argv[1], "w")
fcntl.lockf(file, fcntl.LOCK_EX)
print("ready", flush=True)
signal.pause()' "$LOCK" >"$BATS_TEST_TMPDIR/locker" 3>&- &
	locker=$!
	ENDLATER+=("$locker")
	poll grep -q ready "$BATS_TEST_TMPDIR/locker"
	run -1 timeout 20 env LD_PRELOAD="$SHIM" echo in
	[[ $output == "$(refusal job "$locker")" ]]
	kill -KILL "$locker"
	wait "$locker" || :
	run -0 guarded echo in
}
