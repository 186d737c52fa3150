# SPDX-License-Identifier: MIT
# Shared by the topics about hostile neighbours: a lock directory that all may write to, another user in it, and two victims.

# shellcheck shell=bash disable=SC2034,SC2153,SC2154 # read by the topics; set by test_helper and bats

setup_hostile() {
	clean_environment
	export EXCLUSIVELOCK_NAME=job
	make_public_place
	put_secret
	VICTIMS=(root as_user)
}

# Sets LOCK, and in PLACE the SECRET, which nobody may touch.
put_secret() {
	LOCK=$(lock_file job)
	SECRET=$PLACE/secret
	printf 'not to be touched' >"$SECRET"
	chmod 644 "$SECRET"
	touch -d @1000000000 "$SECRET"
	# Where the attacker keeps things; in the lock directory's file system, so that they can be moved there.
	LAIR=$PLACE/lair
	mkdir -m 777 "$LAIR"
}

root() { "$@"; }

as_attacker() {
	setpriv --reuid=65533 --regid=65533 --clear-groups "$@"
}

# The program under the shim, as user WHO, in bounded time; ends with 7 if it runs.
start_as() {
	"$@" timeout 20 env LD_PRELOAD="$SHIM" "$HELPERS/stages" 7
}

state_of() {
	stat -c '%F %i %h %a %u %s %.9Y %N' "$@" 2>&1
}

assert_secret_kept() {
	[[ $(<"$SECRET") == 'not to be touched' && $(stat -c '%a %u %s %.9Y' "$SECRET") == "644 $EUID 17 1000000000.000000000" ]] ||
		{ echo "the secret: $(state_of "$SECRET")"; return 1; }
}

assert_runs_as() {
	run --separate-stderr -7 start_as "$@"
	[[ $output == constructor*destructor* && $stderr == "" ]] || { echo "$*: $output $stderr"; return 1; }
	assert_secret_kept
}

# The start is refused in bounded time, names PID (with none: none; with *: whatever) and nothing of the program runs.
assert_refused_as() {
	local pid=$1 words
	shift
	words=$(refusal job ${pid:+"$pid"})
	[[ $pid != '*' ]] || words="$(refusal_start job)*"
	run --separate-stderr -1 start_as "$@"
	[[ $output == "" ]]
	# shellcheck disable=SC2053 # a pattern
	[[ $stderr == $words ]] || { echo "$*: $stderr"; return 1; }
	assert_secret_kept
}

# The start fails, says where, and changes nothing at all.
assert_error_as() {
	local before
	before=$(state_of "$LOCK")
	run --separate-stderr -125 start_as "$@"
	[[ $output == "" ]]
	[[ $stderr == "exlock: "*"$LOCK"* ]] || { echo "$*: $stderr"; return 1; }
	[[ $(state_of "$LOCK") == "$before" ]] || { echo "$*: $before, now $(state_of "$LOCK")"; return 1; }
	assert_secret_kept
}

# Starts COMMAND, which says "ready" and its PID, in the background. Sets ATTACKER.
start_attacker() {
	: >"$BATS_TEST_TMPDIR/attacker"
	as_attacker "$@" >"$BATS_TEST_TMPDIR/attacker" 3>&- &
	ENDLATER+=("$!")
	poll grep -q ready "$BATS_TEST_TMPDIR/attacker"
	read -r _ ATTACKER <"$BATS_TEST_TMPDIR/attacker"
	ENDLATER+=("$ATTACKER")
}

# The attacker's long-lived process: Python CODE, then "ready"; "$@" is its sys.argv[1:].
start_attacking() {
	local code=$1
	shift
	start_attacker /usr/bin/python3 -c "import ctypes, fcntl, mmap, os, signal, socket, struct, sys, time
lock = '$LOCK'
$code
print('ready', os.getpid(), flush=True)
while True: signal.pause()" "$@"
}

# The attacker puts CONTENT (as in printf) into a lock file of its own.
plant() {
	# shellcheck disable=SC2059 # a format is wanted
	printf "$1" | as_attacker tee "$LAIR/planted" >"$BATS_TEST_TMPDIR/planted"
	as_attacker mv -f "$LAIR/planted" "$LOCK"
}

# Puts the right stamp for process PID on the attacker's file.
stamp_for() {
	as_attacker touch -d "@1700000000.$(stamp_of "$1")" "$LOCK"
}

teardown() {
	end_processes
	# What a test that failed has left so.
	[[ ! -f $LOCK ]] || chattr -ia "$LOCK" 2>/dev/null || :
	remove_public_place
}
