# SPDX-License-Identifier: MIT
# Shared by every topic: where the build is, a clean environment, bounded polls.

# shellcheck shell=bash disable=SC2034,SC2154 # read by the topics; set by bats

bats_require_minimum_version 1.7.0

# What was built (setup_suite.bash has said where), and the folder that meson knows.
BUILD=$EXLOCK_BUILD
CONFIGURED=$EXLOCK_CONFIGURED
# What has to come before it: a sanitizer's runtime.
SHIM=${EXLOCK_PRELOAD_FIRST:+$EXLOCK_PRELOAD_FIRST:}$BUILD/libexlock.so
LAUNCH=$BUILD/exlock-launch
# The one that was built, not what stands for it in a copy.
BUILT_LAUNCH=$BUILD/built/exlock-launch
[[ -e $BUILT_LAUNCH ]] || BUILT_LAUNCH=$LAUNCH
HELPERS=$BUILD/tests
SOURCE=$(cd "$BATS_TEST_DIRNAME/.." && pwd)

# For setup_file, which cannot skip in every bats: the tests of this topic skip, with these WORDS. Fails.
lacks() {
	export LACKING=$*
	return 1
}

# A lock directory of its own for every test; nothing inherited from whoever runs the suite.
clean_environment() {
	local variable
	[[ -z ${LACKING-} ]] || skip "$LACKING"
	for variable in ${!EXCLUSIVELOCK_@} LD_PRELOAD; do
		unset "$variable"
	done
	LOCKS=$BATS_TEST_TMPDIR/locks
	mkdir -p "$LOCKS"
	export EXCLUSIVELOCK_DIR=$LOCKS
}

# How the name of every lock file begins, and what a start under NAME says when process PID holds its lock, or somebody whom it cannot
# name: here, and for C in words.h. Both may be patterns: an unquoted $(refusal '*' '*') in [[ ]] is any of them.
LOCK_PREFIX=py_exclusivelock_
refusal() {
	refusal_start "$1"
	[[ $# == 1 ]] || printf ' (pid %s)' "$2"
	echo .
}

# Prints its beginning, up to whom it names.
refusal_start() {
	printf "Another '%s' process is already running" "$1"
}

# Prints the lock file that NAME has in FOLDER, else in the test's own: quoted byte for byte as Python's quote_plus does it.
lock_file() (
	LC_ALL=C
	quoted=''
	for ((at = 0; at < ${#1}; at++)); do
		byte=${1:at:1}
		case $byte in
		[a-zA-Z0-9_.~-]) ;;
		' ') byte=+ ;;
		*) printf -v byte %%%02X "'$byte" ;;
		esac
		quoted+=$byte
	done
	echo "${2-$LOCKS}/$LOCK_PREFIX$quoted.lock"
)

# Prints the stamp of process PID, plus OFFSET: its start time (field 22 of its stat line) and a number of the PID namespace's, none
# in the first one, and where lock files outlive a boot one of the boot's, modulo a second's nanoseconds, in nine digits.
stamp_of() {
	local line fields namespace boot=0
	line=$(<"/proc/$1/stat")
	read -ra fields <<<"${line##*) }"
	namespace=$(($(stat -Lc %i /proc/self/ns/pid) - 4026531836))
	[[ $(stat -f -c %T "$LOCKS") == @(tmpfs|ramfs) ]] || boot=$((16#$(head -c 8 /proc/sys/kernel/random/boot_id)))
	printf '%09d\n' $(((fields[19] + namespace * 618033989 + boot + ${2:-0}) % 1000000000))
}

# For Python: the names of the sockets that stand for the last instant of who held the lock file `lock`.
TOMBSTONE_NAMES='
import hashlib, os, struct
folder, file = os.stat(os.path.dirname(lock)), os.path.basename(lock)
name = "%d.%d.%s" % (folder.st_dev, folder.st_ino, file)
if len("exlock." + name + ".0") >= 107:
    name = hashlib.sha256(struct.pack("=QQ", folder.st_dev, folder.st_ino) + file.encode()).hexdigest()
names = ["\0exlock.%s.%d" % (name, place) for place in range(4)]
'

# Runs COMMAND under the shim, preloaded into the command alone.
guarded() {
	env LD_PRELOAD="$SHIM" "$@"
}

# Polls until COMMAND succeeds; gives up after some half a minute, which is long on the busiest of machines.
poll() {
	local tries
	for ((tries = 0; tries < 3000; tries++)); do
		if "$@"; then return 0; fi
		read -r -t 0.01 <><(:) || :
	done
	echo "never true: $*" >&2
	return 1
}

file_is_there() { [[ -e $1 ]]; }
file_is_gone() { [[ ! -e $1 ]]; }
file_has_content() { [[ -s $1 ]]; }
process_is_gone() { ! kill -0 "$1" 2>/dev/null; }

needs_first_namespace() {
	[[ $(readlink /proc/self/ns/pid) == "pid:[4026531836]" ]] || skip "needs the first PID namespace, where all processes are seen"
}

# Only root in the first PID namespace can tell that nobody else has a lock file's flock.
needs_sight_of_all() {
	[[ $EUID -eq 0 ]] || skip "needs root, who sees all processes"
	needs_first_namespace
}

# A library that counts which lines run (scripts/coverage) makes other calls, and needs more stack.
needs_real_library() {
	[[ ! -d $CONFIGURED/counters ]] || skip "needs the library as it is installed"
}

# Puts a launcher into FOLDER, with a library of its own there: FOLDER/exlock-launch.
place_launcher() {
	cp "$BUILD/libexlock.so" "$1"
	cp "$BUILT_LAUNCH" "$1/moved"
	printf '#!/bin/sh\nexec "%s/moved" --shim="%s/libexlock.so" --keeper= "$@"\n' "$1" "$1" >"$1/exlock-launch"
	chmod 755 "$1/exlock-launch"
}

# Starts COMMAND under the shim in the background and waits until it says "ready" on its standard output.
# Sets HOLDER to its PID. Its output goes to $BATS_TEST_TMPDIR/holder.out and .err.
start_holder() {
	: >"$BATS_TEST_TMPDIR/holder.out"
	env LD_PRELOAD="$SHIM" "$@" >"$BATS_TEST_TMPDIR/holder.out" 2>"$BATS_TEST_TMPDIR/holder.err" 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	poll grep -q ready "$BATS_TEST_TMPDIR/holder.out"
}

# Runs a line of shell SCRIPT with the rest as "$@" in a mount namespace of its own, as root there.
in_mount_namespace() {
	local script=$1 user=()
	shift
	[[ $EUID -eq 0 ]] || user=(--user --map-root-user)
	unshare "${user[@]}" --mount sh -euc "$script" sh "$@"
}

needs_mount_namespace() {
	in_mount_namespace 'mount -t tmpfs none /mnt' 2>/dev/null || skip "needs root, or user namespaces"
}

# Sets PLACE to a directory that every user can reach, with the shim and the helper programs in it, and its lock directory.
make_public_place() {
	[[ $EUID -eq 0 ]] || skip "needs root"
	PLACE=$(mktemp -d /tmp/exlock.XXXXXX)
	chmod 755 "$PLACE"
	cp "${SHIM##*:}" "$HELPERS/hold" "$HELPERS/stages" "$PLACE"
	LOCKS=$PLACE/locks
	mkdir "$LOCKS"
	chmod 1777 "$LOCKS"
	export EXCLUSIVELOCK_DIR=$LOCKS
	SHIM=${EXLOCK_PRELOAD_FIRST:+$EXLOCK_PRELOAD_FIRST:}$PLACE/libexlock.so
	HELPERS=$PLACE
}

remove_public_place() {
	[[ -z $PLACE ]] || rm -rf "$PLACE"
}

# Runs COMMAND as a user without privileges, the same one each time.
as_user() {
	setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
}

# Whether process PID still is one of this test's, and not somebody else's with a PID that the kernel has given away again: a child
# that nobody has waited for keeps its PID; others have this test's folder in their environment, or files of it open.
is_ours() {
	[[ $(sed -n 's/^PPid:\t//p' "/proc/$1/status" 2>/dev/null) == "$BASHPID" ]] ||
		grep -qsF "$BATS_TEST_TMPDIR" "/proc/$1/environ" "/proc/$1/maps" ||
		[[ $(readlink "/proc/$1"/{cwd,fd/*} 2>/dev/null) == *"$BATS_TEST_TMPDIR"* ]]
}

# Ends what the test started; every topic's teardown calls it.
end_processes() {
	local pid
	for pid in "${ENDLATER[@]}"; do
		if is_ours "$pid"; then kill -KILL "$pid" 2>/dev/null || :; fi
		# Reaped here: the shell would report it later.
		wait "$pid" 2>/dev/null || :
	done
}

# Ended: gone, or a zombie that nobody has reaped (a container's first process may never do so).
process_has_ended() {
	[[ ! -e /proc/$1 ]] || grep -qs '^State:.Z' "/proc/$1/status" || [[ ! -e /proc/$1 ]]
}

# A start under NAME is refused with these words, PID's, and the status of a refusal, before any code of it has run.
assert_refused() {
	run -1 env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME="$1" touch "$BATS_TEST_TMPDIR/intruder"
	[[ $output == "$(refusal "$1" "$2")" ]]
	file_is_gone "$BATS_TEST_TMPDIR/intruder"
}

# A start under NAME succeeds, prints nothing, and leaves no file behind.
assert_free() {
	run -0 env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME="$1" true
	[[ $output == "" ]]
	file_is_gone "$(lock_file "$1")"
}
