#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Programs that delete old files, as systemd-tmpfiles does it each day, leave a lock file alone while its lock is held.
# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154,SC2209 # every test is a subshell

load test_helper

setup() {
	clean_environment
	export EXCLUSIVELOCK_NAME=job
	LOCK=$(lock_file job)
}

teardown() {
	end_processes
}

# Lets systemd-tmpfiles delete from FOLDER, which it empties of all other files, whatever their age.
clean() {
	command -v systemd-tmpfiles >/dev/null || skip "no systemd-tmpfiles"
	echo "d $1 - - - 0" >"$BATS_TEST_TMPDIR/clean.conf"
	: >"$1/old"
	systemd-tmpfiles --clean "$BATS_TEST_TMPDIR/clean.conf"
	file_is_gone "$1/old"
}

# The lock file is made an hour older first: the nanoseconds of its time may be some that are still to come.
assert_survives_cleaning() {
	local inode
	/usr/bin/python3 -c 'import os, sys
now = os.stat(sys.argv[1])
os.utime(sys.argv[1], ns=(now.st_atime_ns, now.st_mtime_ns - 3600 * 10**9))' "$LOCK"
	inode=$(stat -c %i "$LOCK")
	clean "$LOCKS"
	[[ $(stat -c %i "$LOCK") == "$inode" ]]
	run -1 guarded true
	[[ $output == "$(refusal job "$1")" ]]
}

@test "systemd-tmpfiles deletes no lock file of a running program, preloaded, launched, or with the C API" {
	start_holder "$HELPERS/hold"
	assert_survives_cleaning "$HOLDER"
	end_processes
	rm -f "$LOCK"
	LAUNCHED=$BATS_TEST_TMPDIR/launched
	"$LAUNCH" "$HELPERS/hold" >"$LAUNCHED" 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	poll grep -q ready "$LAUNCHED"
	assert_survives_cleaning "$HOLDER"
	end_processes
	[[ -x $HELPERS/api ]] || return 0
	rm -f "$LOCK"
	LD_LIBRARY_PATH=$BUILD "$HELPERS/api" hold job >"$LAUNCHED.api" 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	poll file_has_content "$LOCK"
	poll file_has_content "$LAUNCHED.api"
	assert_survives_cleaning "$HOLDER"
}

@test "systemd-tmpfiles deletes no lock file that a peer or an earlier version has made, once a program holds its lock" {
	# A Python program's, flock(1)'s, an earlier version's.
	for stale in 999999999 '' $'999999999\n'; do
		(umask 022 && printf %s "$stale" >"$LOCK")
		start_holder "$HELPERS/hold"
		assert_survives_cleaning "$HOLDER"
		end_processes
		rm -f "$LOCK"
	done
}

@test "a lock file has the sticky bit, which keeps cleaners off, from the call that creates it" {
	command -v strace >/dev/null || skip "no strace"
	strace -qq -e trace=openat -o "$BATS_TEST_TMPDIR/trace" -E LD_PRELOAD="$SHIM" true
	grep -q "$LOCK_PREFIX.*O_CREAT.*, 01644) = " "$BATS_TEST_TMPDIR/trace"
	strace -qq -e trace=openat -o "$BATS_TEST_TMPDIR/trace" "$LAUNCH" true
	grep -q "$LOCK_PREFIX.*O_CREAT.*, 01644) = " "$BATS_TEST_TMPDIR/trace"
	[[ -x $HELPERS/api ]] || return 0
	LD_LIBRARY_PATH=$BUILD strace -qq -f -e trace=openat -o "$BATS_TEST_TMPDIR/trace" "$HELPERS/api" wait job 1
	grep -q "O_TMPFILE.*, 01644) = " "$BATS_TEST_TMPDIR/trace"
}

@test "who waits for an earlier version's holder is seen by it: the file gets the sticky bit as well as the hint of today" {
	flock -F "$LOCK" sleep 1000 3>&- &
	ENDLATER+=("$!")
	poll flock_is_taken "$LOCK"
	printf '%d\n' "$!" >"$LOCK"
	chmod 0644 "$LOCK"
	EXCLUSIVELOCK_ON_HELD=wait guarded true 3>&- &
	ENDLATER+=("$!")
	has_mode() { [[ $(stat -c %a "$LOCK") == "$1" ]]; }
	poll has_mode 1645
}

flock_is_taken() { ! flock -n "$1" true 2>/dev/null; }
