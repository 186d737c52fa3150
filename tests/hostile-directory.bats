#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What another user can do to the lock directory as a whole, and to a log file in a folder for all. EXLOCK_FILES is how many files
# the attacker makes.
# shellcheck disable=SC2016,SC2034,SC2030,SC2031,SC2153,SC2154 # every test is a subshell; run sets $stderr

load test_helper
load hostile

FILES=${EXLOCK_FILES:-20000}

setup() {
	setup_hostile
}

# Runs a line of shell SCRIPT where the lock directory is a small file system, with room for a handful of files, and that attack() fills.
in_small_directory() {
	in_mount_namespace '
		mount -t tmpfs -o mode=1777,size=64k,nr_inodes=16 none "$EXCLUSIVELOCK_DIR"
		attack() { setpriv --reuid=65533 --regid=65533 --clear-groups sh -c "$1" 2>/dev/null || :; }
		use_up_files() { attack "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18; do : >$EXCLUSIVELOCK_DIR/\$i; done"; }
		use_up_room() { attack "cat /dev/zero >$EXCLUSIVELOCK_DIR/zeroes"; }
		lock=$EXCLUSIVELOCK_DIR/'"${LOCK##*/}"'
		'"$1" env LD_PRELOAD="$SHIM" "$HELPERS/stages" 7
}

@test "an attacker who uses up the directory's files or room keeps starts out: an error that says so, and how to do without" {
	needs_mount_namespace
	for how in use_up_files use_up_room; do
		run --separate-stderr -125 in_small_directory "$how; exec \"\$@\""
		[[ $output == "" && $stderr == "exlock: $LOCK: No space left on device (EXCLUSIVELOCK_DIR can name another directory)" ]]
	done
}

@test "a job whose file is there already needs no more room" {
	needs_mount_namespace
	for how in use_up_files use_up_room; do
		run -7 in_small_directory "printf '999999999\n' >\"\$lock\"; $how; exec \"\$@\""
		[[ $output == constructor*destructor* ]]
	done
}

@test "a directory full of another user's files makes no start fail" {
	as_attacker /usr/bin/python3 -c 'import os, sys
for number in range(int(sys.argv[2])):
    os.close(os.open("%s%d.lock" % (sys.argv[1], number), os.O_CREAT | os.O_WRONLY))' "$LOCKS/$LOCK_PREFIX" "$FILES"
	for who in "${VICTIMS[@]}"; do
		assert_runs_as "$who"
	done
}

@test "while the directory is renamed to and fro, every start ends, in one of the three ways" {
	EXCLUSIVELOCK_DIR=$LAIR/locks
	as_attacker mkdir -m 1777 "$LAIR/locks" "$LAIR/other"
	start_attacker timeout 100 /usr/bin/python3 -c 'import os, sys
print("ready", os.getpid(), flush=True)
os.chdir(sys.argv[1])
while True:
    for old, new in ("locks", "saved"), ("other", "locks"), ("locks", "other"), ("saved", "locks"):
        os.rename(old, new)' "$LAIR"
	for who in "${VICTIMS[@]}"{,,,,,,,,,}; do
		run --separate-stderr start_as "$who"
		[[ $status == 7 || ($status == 125 && $stderr == "exlock: $LAIR/locks/"* && $output == "") ]] ||
			{ echo "$who: $status: $output $stderr"; false; }
	done
}

@test "a log file that another user has made a symlink is not written to; one's own symlink is" {
	local log=$LOCKS/log own=$LOCKS/own
	as_attacker ln -s "$SECRET" "$log"
	for who in "${VICTIMS[@]}"; do
		EXCLUSIVELOCK_LOG=$log run --separate-stderr -7 start_as "$who"
		[[ $stderr == "exlock: $log: "*EXCLUSIVELOCK_LOG* ]] || { echo "$stderr"; false; }
		assert_secret_kept
		"$who" ln -s "$LAIR/$who.log" "$own"
		EXCLUSIVELOCK_LOG=$own assert_runs_as "$who"
		[[ $(wc -l <"$LAIR/$who.log") == 2 ]]
		rm "$own"
	done
	as_attacker ln -sf "$LAIR/nothing" "$log"
	EXCLUSIVELOCK_LOG=$log run -7 start_as root
	file_is_gone "$LAIR/nothing"
}

@test "a log file that another user has made a FIFO blocks nobody, read or unread, full or empty" {
	local log=$LOCKS/log
	as_attacker mkfifo -m 666 "$log"
	EXCLUSIVELOCK_LOG=$log run -7 start_as as_user
	exec {reader}<>"$log"
	as_attacker /usr/bin/python3 -c 'import os, sys
fifo = os.open(sys.argv[1], os.O_WRONLY | os.O_NONBLOCK)
try:
    while True: os.write(fifo, b"." * 4096)
except BlockingIOError: pass' "$log"
	for who in "${VICTIMS[@]}"; do
		EXCLUSIVELOCK_LOG=$log run -7 start_as "$who"
	done
}
