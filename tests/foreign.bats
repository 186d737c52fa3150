#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Lock files that belong to another user, in a directory that everybody may write to.
# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154 # every test is a subshell; run sets $stderr

load test_helper

PROTECTION=/proc/sys/fs/protected_regular

setup() {
	clean_environment
	export EXCLUSIVELOCK_NAME=job
	make_public_place
	LOCK=$(lock_file job)
	protection=$(cat "$PROTECTION" 2>/dev/null) || protection=''
}

teardown() {
	end_processes
	[[ -z $protection || $(<"$PROTECTION") == "$protection" ]] || echo "$protection" >"$PROTECTION"
	remove_public_place
}

another_user() {
	setpriv --reuid=65533 --regid=65533 --clear-groups "$@"
}

# Starts COMMAND, which says "ready" and its PID, in the background. Sets HOLDER.
start_ready() {
	: >"$BATS_TEST_TMPDIR/ready"
	"$@" >"$BATS_TEST_TMPDIR/ready" 3>&- &
	poll grep -q ready "$BATS_TEST_TMPDIR/ready"
	read -r _ HOLDER <"$BATS_TEST_TMPDIR/ready"
	ENDLATER+=("$HOLDER")
}

start_holder_as() {
	start_ready "$1" env LD_PRELOAD="$SHIM" "$HELPERS/hold"
}

# Somebody's process that has the lock file open for reading, and keeps a lock on it that is no holder's.
start_locker_as() {
	start_ready "$1" /usr/bin/python3 -c 'import fcntl, os, signal, sys
file = open(sys.argv[2])
getattr(fcntl, sys.argv[1])(file, fcntl.LOCK_SH if sys.argv[1] == "lockf" else fcntl.LOCK_EX)
print("ready", os.getpid(), flush=True)
signal.pause()' "$2" "$LOCK"
}

root() { "$@"; }

end_holder() {
	kill "-$1" "$HOLDER"
	poll process_has_ended "$HOLDER"
}

# Every user's start is refused, with the holder's PID.
assert_refused_to_all() {
	local who
	for who in root as_user another_user; do
		run --separate-stderr -1 timeout_as "$who"
		[[ $output == "" ]]
		[[ $stderr == "$(refusal job "$HOLDER")" ]] || { echo "$who: $stderr"; return 1; }
	done
}

# A start by user WHO runs to its end.
assert_starts_as() {
	run -7 timeout_as "$1" 7
	[[ $output == constructor*destructor* ]]
}

timeout_as() {
	local who=$1
	shift
	"$who" timeout 20 env LD_PRELOAD="$SHIM" "$HELPERS/stages" "$@"
}

stale_file_of() {
	rm -f "$LOCK"
	start_holder_as "$1"
	end_holder KILL
	file_has_content "$LOCK"
}

protect() {
	# Another owner of the setting may have changed it meanwhile: what counts is that it is what we want.
	echo "$1" >"$PROTECTION" 2>/dev/null || skip "may not set fs.protected_regular"
}

@test "another user's live lock refuses everybody, and names its holder" {
	for who in root as_user; do
		start_holder_as "$who"
		assert_refused_to_all
		end_holder TERM
	done
}

@test "another user's stale lock does not block, whatever fs.protected_regular says" {
	[[ -w $PROTECTION ]] || skip "may not set fs.protected_regular"
	for level in 0 1 2; do
		protect "$level"
		for owner in root as_user; do
			for who in root as_user another_user; do
				stale_file_of "$owner"
				assert_starts_as "$who"
			done
		done
		# root may write to it, and so must record itself for those who go by the PID alone.
		stale_file_of as_user
		start_holder_as root
		[[ $(<"$LOCK") == "$HOLDER" ]] || { echo "level $level: recorded $(<"$LOCK"), not $HOLDER"; false; }
		end_holder KILL
	done
}

@test "another user's live lock refuses, whatever fs.protected_regular says" {
	[[ -w $PROTECTION ]] || skip "may not set fs.protected_regular"
	for level in 0 1 2; do
		protect "$level"
		for who in root as_user; do
			rm -f "$LOCK"
			start_holder_as "$who"
			assert_refused_to_all
			end_holder TERM
		done
	done
}

@test "a holder that may only read the old lock file keeps everybody out, and is named by its own PID" {
	stale_file_of root
	dead=$HOLDER
	start_holder_as as_user
	[[ $HOLDER != "$dead" && $(stat -c %u "$LOCK") == 0 ]]
	assert_refused_to_all
	end_holder TERM
	# It could not remove root's file, which hinders nobody.
	assert_starts_as another_user
	assert_starts_as root
}

@test "what a user may only read is not changed by its start" {
	stale_file_of root
	before=$(stat -c '%i %.9Y %s %u %a' "$LOCK")
	assert_starts_as as_user
	[[ $(stat -c '%i %.9Y %s %u %a' "$LOCK") == "$before" ]]
}

@test "a holder that could not write its record raises a tombstone at its end, whoever's PID the stale file has by then" {
	command -v strace >/dev/null || skip "no strace"
	stale_file_of root
	start_ready as_user strace -f -o "$LOCKS/trace" -e trace=bind env LD_PRELOAD="$SHIM" "$HELPERS/hold"
	sleep 1000 3>&- &
	ENDLATER+=("$!")
	printf '%d' "$!" >"$LOCK"
	end_holder TERM
	poll grep -q 'bind(.*exlock' "$LOCKS/trace"
}

@test "another user's process counts as alive when a peer recorded it" {
	sleep 1000 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	printf '%d' "$HOLDER" >"$LOCK"
	assert_refused_to_all
	end_holder KILL
	wait "$HOLDER" || :
	assert_starts_as as_user
}

@test "a user who keeps a POSIX read lock on the file delays nobody without bound" {
	stale_file_of root
	start_locker_as as_user lockf
	assert_starts_as another_user
	# root's start takes the file away in the end; so the lock is on the file that is there.
	start_holder_as root
	assert_refused_to_all
	end_holder KILL
	start_locker_as as_user lockf
	start_holder_as root
	assert_refused_to_all
	end_holder TERM
}

@test "a user who keeps the file's flock is a holder: starts are refused, they do not hang" {
	stale_file_of root
	dead=$HOLDER
	start_locker_as as_user flock
	for who in root as_user another_user; do
		run --separate-stderr -1 timeout_as "$who"
		[[ $output == "" ]]
		[[ $stderr == "$(refusal job)" ||
			$stderr == "$(refusal job "$HOLDER")" ]] || { echo "$who, dead $dead: $stderr"; false; }
	done
	end_holder KILL
	assert_starts_as as_user
	assert_starts_as root
}

@test "a lock file that the user may not even read cannot be judged: 125, and the message names it" {
	stale_file_of root
	chmod 600 "$LOCK"
	run --separate-stderr -125 timeout_as as_user
	[[ $output == "" ]]
	[[ $stderr == "exlock: "*"$LOCK"* ]]
	assert_starts_as root
}

@test "a stranger's socket in the tombstone's place keeps nobody out of a directory that only its owner may write to" {
	chmod 755 "$LOCKS"
	start_ready another_user /usr/bin/python3 -c 'import os, signal, socket, sys
lock = sys.argv[1]'"$TOMBSTONE_NAMES"'
squatters = []
for name in names:
    squatters.append(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
    squatters[-1].bind(name)
    squatters[-1].listen()
print("ready", os.getpid(), flush=True)
signal.pause()' "$LOCK"
	run -0 guarded echo in
	[[ $output == in ]]
	# Where the stranger may have held the lock, its word counts: refused, in bounded time.
	chmod 1777 "$LOCKS"
	rm -f "$LOCK"
	run -1 timeout 20 env LD_PRELOAD="$SHIM" echo in
	[[ $output == "$(refusal job "$HOLDER")" ]]
}
