#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What lies in the lock file's place and is no lock file: every kind of it, for everything that opens or looks at one. Run by root, it is
# another user who puts it there, and root and an ordinary user who come upon it.
# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154,SC2317 # every test is a subshell; run sets $stderr

load test_helper
load hostile

setup() {
	API=$BUILD/tests/api CTL=$BUILD/exlockctl
	if ((EUID == 0)); then
		setup_hostile
		place_launcher "$PLACE"
		LAUNCH=$PLACE/exlock-launch
		cp "$CTL" "$PLACE" && CTL=$PLACE/exlockctl
		[[ ! -x $API ]] || { cp "$API" "$BUILD"/libexclusivelock.so.1 "$PLACE" && API=$PLACE/api; }
	else
		clean_environment
		export EXCLUSIVELOCK_NAME=job
		PLACE=$BATS_TEST_TMPDIR
		put_secret
		VICTIMS=(env)
		as_attacker() { "$@"; }
	fi
	api=(env LD_LIBRARY_PATH="${API%/*}:${API%/*}/.." "$API")
}

teardown() {
	end_processes
	((EUID != 0)) || remove_public_place
}

# A cell of the table: COMMAND, as user WHO, ends with this status and says these WORDS, a pattern, on either channel. Nothing is changed.
cell() {
	local who=$1 expected=$2 words=$3
	shift 3
	run "$who" timeout 20 "$@"
	# shellcheck disable=SC2053 # a pattern
	[[ $status == "$expected" && $output == $words ]] || { echo "$who: $*: $status, $output"; return 1; }
	[[ $(state_of "$LOCK") == "$BEFORE" ]] || { echo "$who: $*: $BEFORE, now $(state_of "$LOCK")"; return 1; }
	assert_secret_kept
}

# A row of it, with all that may come upon the file: COMMAND has left something in the lock file's place of which a start says WHY, and the API has the errno ERROR.
assert_no_entry() {
	local why=$1 error=$2 who start="exlock: $LOCK: $1*" program=("$HELPERS/stages" 7)
	shift 2
	rm -rf "$LOCK"
	"$@"
	BEFORE=$(state_of "$LOCK")
	for who in "${VICTIMS[@]}"; do
		cell "$who" 125 "$start" env LD_PRELOAD="$SHIM" "${program[@]}"
		cell "$who" 125 "$start" env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_ON_HELD=wait EXCLUSIVELOCK_TIMEOUT=0.1 "${program[@]}"
		cell "$who" 7 "$start"$'\nconstructor*destructor*' env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_ON_ERROR=run "${program[@]}"
		for option in --quiet --no-preload --wait --replace --flag; do
			cell "$who" 125 "$start" "$LAUNCH" "$option" "${program[@]}"
		done
		cell "$who" 125 "*job*: is no lock file: *" "$CTL" status job
		cell "$who" 0 "*job *foreign *" "$CTL" list
		cell "$who" 0 "*" "$CTL" wait job
		[[ -x $API ]] || continue
		cell "$who" 3 "refused $error" "${api[@]}" hold job
		cell "$who" 3 "refused $error" "${api[@]}" wait job 0.1
		cell "$who" 125 "exlock: job: $why" "${api[@]}" die job
		cell "$who" 0 "-1 EINVAL" "${api[@]}" holder job
	done
}

@test "a symlink, to a file, a device, a folder, nothing, itself or a loop, is an error, and not followed" {
	local target
	for target in "$SECRET" /dev/null /dev/zero /proc/self/mem "$LAIR" "$LAIR/nothing" "$LOCK" "$LAIR/loop/x"; do
		assert_no_entry "is a symbolic link" ELOOP as_attacker ln -s "$target" "$LOCK"
	done
	file_is_gone "$LAIR/nothing"
}

@test "a hard link, to another's file or to one's own, is an error, and the other file stays as it was" {
	# Not by another user, whom protected_hardlinks may keep from it.
	assert_no_entry "has more than one link" EINVAL ln "$SECRET" "$LOCK"
	"${VICTIMS[-1]}" sh -c 'printf mine >"$1"' sh "$LAIR/own"
	assert_no_entry "has more than one link" EINVAL ln "$LAIR/own" "$LOCK"
	[[ $(<"$LAIR/own") == mine ]]
}

@test "a FIFO of any mode, with or without a reader, is an error, blocks nobody, and gets nothing" {
	local mode
	for mode in 666 644 600; do
		assert_no_entry "@(is not a regular file|Permission denied)" "@(EINVAL|EACCES)" as_attacker mkfifo -m "$mode" "$LOCK"
	done
	read_from_fifo() {
		as_attacker mkfifo "$LOCK"
		as_attacker chmod 666 "$LOCK"
		exec {reader}<>"$LOCK"
	}
	assert_no_entry "is not a regular file" EINVAL read_from_fifo
	run -142 read -r -t 0.1 -u "$reader"
}

@test "a folder is an error, and stays empty" {
	assert_no_entry "Is a directory" EISDIR as_attacker mkdir -m 777 "$LOCK"
	[[ -z $(ls -A "$LOCK") ]]
}

@test "a socket is an error" {
	assert_no_entry "No such device or address" ENXIO as_attacker /usr/bin/python3 -c 'import os, socket, sys
os.chdir(sys.argv[1])
socket.socket(socket.AF_UNIX).bind(sys.argv[2])
os.chmod(sys.argv[2], 0o666)' "$LOCKS" "${LOCK##*/}"
}

@test "a device, of characters or of blocks, is an error" {
	mknod -m 666 "$LAIR/device" c 1 3 2>/dev/null || skip "needs root, to make a device"
	assert_no_entry "is not a regular file" EINVAL mv "$LAIR/device" "$LOCK"
	assert_no_entry "is not a regular file" EINVAL mknod -m 666 "$LOCK" b 7 200
}

# Starts what waits for the lock, HOW, in the background. Sets WAITER, and to what it comes with a FIFO there: EXPECTED.
start_waiter() {
	local command
	EXPECTED="125 exlock: $LOCK: is not a regular file*"
	case $1 in
	preload) command=(env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_ON_HELD=wait "$HELPERS/stages") ;;
	launcher) command=("$LAUNCH" --wait "$HELPERS/stages") ;;
	api) command=("${api[@]}" wait job) EXPECTED="3 refused EINVAL" ;;
	exlockctl) command=("$CTL" wait job) EXPECTED="0 " ;;
	esac
	((EUID != 0)) || command=(setpriv --reuid=65534 --regid=65534 --clear-groups "${command[@]}")
	"${command[@]}" >"$BATS_TEST_TMPDIR/waiter" 2>&1 3>&- &
	WAITER=$!
	ENDLATER+=("$WAITER")
}

waiter_sleeps() {
	grep -qsxE 'stages|moved|exlock-launch.*|api|exlockctl' "/proc/$WAITER/comm" && grep -qs '^State:.S' "/proc/$WAITER/status"
}

assert_waiter_came_to_it() {
	local status=0
	poll process_has_ended "$WAITER"
	wait "$WAITER" || status=$?
	# shellcheck disable=SC2053 # a pattern
	[[ "$status $(<"$BATS_TEST_TMPDIR/waiter")" == $EXPECTED ]] || { echo "$1: $status $(<"$BATS_TEST_TMPDIR/waiter")"; return 1; }
}

@test "a FIFO that takes the file's place is an error to who waits for its flock, and blocks nobody" {
	for how in preload launcher api exlockctl; do
		[[ $how != api || -x $API ]] || continue
		start_holder "$HELPERS/hold"
		start_waiter "$how"
		if [[ $how == exlockctl ]]; then
			poll waiter_sleeps
		else
			poll grep -qs -- "-> FLOCK .*:$(stat -c %i "$LOCK") " /proc/locks
		fi
		# To be opened for reading only, which waits for somebody who writes.
		mkfifo -m 444 "$LAIR/fifo"
		mv -f "$LAIR/fifo" "$LOCK"
		kill -KILL "$HOLDER"
		assert_waiter_came_to_it "$how"
		rm "$LOCK"
	done
}

@test "a FIFO that takes the place of a file that names a process is an error to who waits for that, and blocks nobody" {
	start_attacking ''
	for how in preload launcher api; do
		[[ $how != api || -x $API ]] || continue
		plant "$ATTACKER"
		start_waiter "$how"
		poll waiter_sleeps
		as_attacker mkfifo -m 644 "$LAIR/fifo"
		as_attacker mv -f "$LAIR/fifo" "$LOCK"
		assert_waiter_came_to_it "$how"
		rm "$LOCK"
	done
}
