#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# A machine without /var/lock: the lock files are where Python has its temporary files, and who takes or misses a lock there says so.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # every test is a subshell; run sets $stderr

load test_helper

setup() {
	clean_environment
	needs_mount_namespace
	unset EXCLUSIVELOCK_DIR TMPDIR TEMP TMP
	export EXCLUSIVELOCK_NAME=exlock-test-$$-$RANDOM
	FILE=$LOCK_PREFIX$EXCLUSIVELOCK_NAME.pid
	ABOVE=$(dirname "$(readlink -f /var/lock)")
	mkdir "$BATS_TEST_TMPDIR"/{one,two,cwd}
	cd "$BATS_TEST_TMPDIR/cwd" || return
}

teardown() {
	end_processes
}

# Runs COMMAND where /var/lock is missing. First a line of shell, which may prepare more.
without() {
	local prepare=$1
	shift
	in_mount_namespace 'mount -t tmpfs none "$1"; [ ! -d /var/lock ]; '"$prepare"'; shift; exec "$@"' "$ABOVE" "$@"
}

python_directory() {
	without "$1" /usr/bin/python3 -c 'import tempfile; print(tempfile.gettempdir())'
}

# The directory that Python takes is DIRECTORY, and the preload, the launcher, exlockctl and the C API take it, too, after PREPARE.
assert_same_as_python() {
	local prepare=$1 path
	path=$(python_directory "$prepare")
	[[ $path == "$2" ]] || { echo "Python: $path"; return 1; }
	path=${path%/}/$FILE
	run -0 --separate-stderr without "$prepare" env LD_PRELOAD="$SHIM" /usr/bin/printenv EXCLUSIVELOCK_LOCKFILE
	[[ $output == "$path" ]] || { echo "preload: $output"; return 1; }
	run -0 --separate-stderr without "$prepare" "$LAUNCH" /usr/bin/printenv EXCLUSIVELOCK_LOCKFILE
	[[ $output == "$path" ]] || { echo "launcher: $output"; return 1; }
	[[ ! -x $BUILD/exlockctl ]] || [[ $(without "$prepare" "$BUILD/exlockctl" path "$EXCLUSIVELOCK_NAME") == "$path" ]]
}

@test "the first of TMPDIR, TEMP and TMP is taken that is set" {
	TMPDIR=$BATS_TEST_TMPDIR/one TEMP=$BATS_TEST_TMPDIR/two TMP=/tmp assert_same_as_python : "$BATS_TEST_TMPDIR/one"
	TMPDIR='' TEMP=$BATS_TEST_TMPDIR/two TMP=/tmp assert_same_as_python : "$BATS_TEST_TMPDIR/two"
	TMP=$BATS_TEST_TMPDIR/two assert_same_as_python : "$BATS_TEST_TMPDIR/two"
}

@test "one that is missing, no directory, full or not to be written to is passed over" {
	: >file
	TMPDIR=/nowhere TEMP=$PWD/file TMP=$BATS_TEST_TMPDIR/one assert_same_as_python : "$BATS_TEST_TMPDIR/one"
	TMPDIR=$BATS_TEST_TMPDIR/two TEMP=$BATS_TEST_TMPDIR/one \
		assert_same_as_python 'mount -t tmpfs -o ro none "$TMPDIR"' "$BATS_TEST_TMPDIR/one"
	TMPDIR=$BATS_TEST_TMPDIR/two TEMP=$BATS_TEST_TMPDIR/one \
		assert_same_as_python 'mount -t tmpfs -o nr_inodes=1 none "$TMPDIR"' "$BATS_TEST_TMPDIR/one"
	TMPDIR=/proc TEMP=$BATS_TEST_TMPDIR/one assert_same_as_python : "$BATS_TEST_TMPDIR/one"
}

@test "without them it is /tmp, /var/tmp, /usr/tmp or the current directory" {
	ro() { printf 'mount --bind %s %s; mount -o remount,bind,ro %s' "$1" "$1" "$1"; }
	assert_same_as_python : /tmp
	assert_same_as_python "$(ro /tmp)" /var/tmp
	[[ ! -e /usr/tmp ]] || skip "/usr/tmp is there"
	assert_same_as_python "$(ro /tmp); $(ro /var/tmp); mount -t tmpfs none /mnt; cd /mnt" /mnt
}

@test "a relative path, dots and doubled slashes are understood as Python does" {
	mkdir -p "$BATS_TEST_TMPDIR/cwd/a/b"
	TMPDIR=a assert_same_as_python : "$BATS_TEST_TMPDIR/cwd/a"
	TMPDIR=../one assert_same_as_python : "$BATS_TEST_TMPDIR/one"
	TMPDIR=$BATS_TEST_TMPDIR//cwd/./a/b/../ assert_same_as_python : "$BATS_TEST_TMPDIR/cwd/a"
	# By the text: .. behind a link leads to where the link is.
	ln -s /usr "$BATS_TEST_TMPDIR/link"
	TMPDIR=$BATS_TEST_TMPDIR/link/../two assert_same_as_python : "$BATS_TEST_TMPDIR/two"
}

@test "a program that takes the lock says once where its file is, and what settles that; so does one that is refused" {
	note() { echo "exlock: there is no directory /var/lock. The lock file is $BATS_TEST_TMPDIR/$1/$FILE (with another TMPDIR it is another one; EXCLUSIVELOCK_DIR settles it)"; }
	export TMPDIR=$BATS_TEST_TMPDIR/one
	for start in "env LD_PRELOAD=$SHIM" "$LAUNCH"; do
		# Once: not for the child, nor for what the launcher becomes.
		# shellcheck disable=SC2086 # words
		run -0 --separate-stderr without : $start sh -c 'sh -c true; exec true'
		[[ $stderr == "$(note one)" ]] || { echo "$start: $stderr"; return 1; }
		# shellcheck disable=SC2086 # words
		EXCLUSIVELOCK_QUIET=1 run -0 --separate-stderr without : $start true
		[[ $stderr == "" ]]
	done
	EXCLUSIVELOCK_DIR=$BATS_TEST_TMPDIR/two run -0 --separate-stderr without : "$LAUNCH" true
	[[ $stderr == "" ]]
}

@test "programs of ours and a Python program keep one another out where there is no /var/lock" {
	local holder
	export TMPDIR=$BATS_TEST_TMPDIR/one
	without : "$LAUNCH" "$HELPERS/hold" >"$BATS_TEST_TMPDIR/out" 2>/dev/null 3>&- &
	ENDLATER+=("$!")
	poll grep -q ready "$BATS_TEST_TMPDIR/out"
	holder=$(<"$TMPDIR/$FILE")
	ENDLATER+=("$holder")
	run -1 --separate-stderr without : "$LAUNCH" true
	[[ $stderr == "exlock: there is no directory /var/lock."*$'\n'"$(refusal "$EXCLUSIVELOCK_NAME" "$holder")" ]]
	run -1 --separate-stderr without : env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_QUIET=1 true
	[[ $stderr == "" ]]
	# As the package exclusiveprocess finds its file.
	run -0 without : /usr/bin/python3 -c 'import os, sys, tempfile, urllib.parse
print(open(os.path.join(tempfile.gettempdir(), "py_exclusivelock_" + urllib.parse.quote_plus(sys.argv[1]) + ".pid")).read())' "$EXCLUSIVELOCK_NAME"
	[[ $output == "$holder" ]]
}

@test "descriptors that have run out do not lead to another directory" {
	export TMPDIR=$BATS_TEST_TMPDIR/one
	# Built for a measurement the launcher is no static program.
	without 'ulimit -n 3' "$LAUNCH" --version >version 2>&1 || skip "this launcher's loader opens files itself"
	run -125 --separate-stderr without 'ulimit -n 3' "$LAUNCH" -p
	[[ $stderr == "exlock-launch: the lock directory: Too many open files" && $output == "" ]]
}
