#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Other preload libraries, before ours and after it.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # $ is for the shell inside; every test is a subshell; set by bats

load daemon

setup() {
	daemon_setup
	SHARED=
	mkfifo go
	THREADS=$HELPERS/wild/threads
}

teardown() {
	end_daemons
	[[ -z ${SHARED:-} ]] || rm -f "/dev/shm/$SHARED" "/dev/shm/sem.$SHARED"
}

# Runs COMMAND with LIBRARY alone, and with ours before it or after it, as ORDER says.
beside() {
	local order=$1 library=$2 preload
	shift 2
	preload=$library
	# shellcheck disable=SC2153 # the way of this run
	[[ $WAY == without || $order == after ]] || preload=$SHIM:$library
	[[ $WAY == without || $order == before ]] || preload=$library:$SHIM
	env LD_PRELOAD="$preload" EXCLUSIVELOCK_NAME=beside "$@"
}

programs() {
	local order=$1 library=$2
	observe stages beside "$order" "$library" "$HELPERS/stages" 5
	observe threads beside "$order" "$library" "$THREADS" 6
	observe shell beside "$order" "$library" sh -c 'echo out; echo err >&2; (exit 3); exit 42'
	observe python beside "$order" "$library" /usr/bin/python3 -c 'import os, subprocess, threading
numbers = []
threads = [threading.Thread(target=numbers.append, args=(i,)) for i in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(sorted(numbers), subprocess.run(["sh", "-c", "echo child; exit 2"]).returncode)
if os.fork() == 0: os._exit(4)
print(os.waitstatus_to_exitcode(os.wait()[1]))'
	observe state beside "$order" "$library" "$HELPERS/state"
	# Descriptors that libraries open may be files of the run; "children" and the like are the same.
	sed -i 's/inode [^ ]*/inode #/; /^parent [0-9]* group/d' seen/state.out
	with_shim assert_free beside
}

# A holder refuses others and is let go, under this preload.
assert_excludes() {
	local preload=$1
	env LD_PRELOAD="$preload" EXCLUSIVELOCK_NAME=beside "$HELPERS/hold" >out 2>err 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	wait_for grep -q ready out
	assert_refused beside "$HOLDER"
	run -1 env LD_PRELOAD="$preload" EXCLUSIVELOCK_NAME=beside touch intruder
	[[ $output == *"$(refusal beside "$HOLDER")" ]]
	file_is_gone intruder
	end_by TERM "$HOLDER"
	no_lock_file
	assert_free beside
}

# All of it for LIBRARY, found by the loader or a path.
assert_fine_beside() {
	local library=$1 order
	[[ -e $library ]] || library=$(find_library "$1") || skip "needs $1"
	for order in before after; do
		rm -rf without with
		without_and_with programs "$order" "$library"
		grep -qx 42 with/seen/shell.status
	done
	assert_excludes "$SHIM:$library"
	assert_excludes "$library:$SHIM"
}

first_of() {
	local path
	for path; do
		[[ ! -e $path ]] || { echo "$path"; return; }
	done
	echo "$1"
}

@test "beside jemalloc, before it and after it, programs do the same and are exclusive" {
	assert_fine_beside libjemalloc.so.2
}

@test "beside tcmalloc, before it and after it, programs do the same and are exclusive" {
	assert_fine_beside libtcmalloc.so.4
}

@test "beside eatmydata, before it and after it, programs do the same and are exclusive" {
	assert_fine_beside libeatmydata.so
}

# What processes under faketime share it leaves in /dev/shm when the first of them ends without exit(): so it is made here.
share_faketime() {
	SHARED=exlock_test_$$
	/usr/bin/python3 -c 'import ctypes, os, sys
libc = ctypes.CDLL(None)
assert libc.sem_open(sys.argv[1].encode(), os.O_CREAT, 0o600, 1)
os.ftruncate(libc.shm_open(sys.argv[1].encode(), os.O_CREAT | os.O_RDWR, 0o600), 4096)' "/$SHARED"
	export FAKETIME_SHARED="/$SHARED /$SHARED"
}

@test "beside faketime, before it and after it, programs do the same and are exclusive" {
	export FAKETIME='2001-02-03 04:05:06' FAKETIME_DONT_RESET=1
	share_faketime
	assert_fine_beside "$(first_of /usr/lib/*/faketime/libfaketime.so.1)"
}

@test "a clock that faketime moves does not change how long a start waits, nor whom a PID means" {
	local library
	library=$(first_of /usr/lib/*/faketime/libfaketimeMT.so.1)
	[[ -e $library ]] || skip "needs faketime"
	start_holder EXCLUSIVELOCK_NAME=beside "$HELPERS/hold"
	local preload
	share_faketime
	for preload in "$SHIM:$library" "$library:$SHIM"; do
		run -1 env LD_PRELOAD="$preload" FAKETIME='+1000d x0.001' EXCLUSIVELOCK_NAME=beside EXCLUSIVELOCK_ON_HELD=wait \
			EXCLUSIVELOCK_TIMEOUT=0.3 touch intruder
		[[ $output == "$(refusal beside "$HOLDER")" ]]
	done
	file_is_gone intruder
}

@test "beside torsocks' library, before it and after it, programs do the same and are exclusive" {
	assert_fine_beside "$(first_of /usr/lib/*/torsocks/libtorsocks.so)"
}

@test "beside proxychains' library, before it and after it, programs do the same and are exclusive" {
	export PROXYCHAINS_QUIET_MODE=1 PROXYCHAINS_CONF_FILE=$PWD/proxychains.conf
	printf 'strict_chain\n[ProxyList]\nsocks5 127.0.0.1 9\n' >proxychains.conf
	assert_fine_beside "$(first_of /usr/lib/*/libproxychains.so.4)"
}

# The tools that set LD_PRELOAD for a command themselves: with our library in it already, and in their command's.
tool() {
	observe inside "$@" env LD_PRELOAD="${PRELOAD:-}" EXCLUSIVELOCK_NAME=beside /bin/sh -c 'echo in; echo err >&2; id -u; exit 42'
	observe outside wild EXCLUSIVELOCK_NAME=beside "$@" /bin/sh -c 'echo in; echo err >&2; id -u; exit 42'
	observe direct wild EXCLUSIVELOCK_NAME=beside EXCLUSIVELOCK_ONLY=stages "$@" "$HELPERS/stages" 7
	with_shim assert_free beside
}

assert_fine_under() {
	needs "$1"
	without_and_with tool "$@"
	grep -qx 42 with/seen/inside.status
	grep -qx 42 with/seen/outside.status
	grep -qx 7 with/seen/direct.status
	no_lock_file
}

@test "fakeroot around a guarded program, and guarded itself, does the same as without the shim" {
	assert_fine_under fakeroot
	grep -qx 0 with/seen/outside.out
}

@test "what fakeroot pretends is pretended to a guarded program, too" {
	needs fakeroot
	pretend() {
		touch file
		observe owner fakeroot sh -c 'chown 12:34 file; exec env LD_PRELOAD="$1:$LD_PRELOAD" EXCLUSIVELOCK_NAME=beside stat -c "%u %g" file' \
			sh "$PRELOAD"
		observe after fakeroot sh -c 'chown 12:34 file; exec env LD_PRELOAD="$LD_PRELOAD:$1" EXCLUSIVELOCK_NAME=beside stat -c "%u %g" file' \
			sh "$PRELOAD"
	}
	without_and_with pretend
	[[ $(<with/seen/owner.out) == "12 34" && $(<with/seen/after.out) == "12 34" ]]
}

@test "fakechroot around a guarded program, and guarded itself, does the same as without the shim" {
	assert_fine_under fakechroot
}

@test "a program that fakechroot keeps in another root locks in the real one" {
	needs fakechroot
	mkdir root
	cp "$HELPERS/hold" root
	local pid
	fakechroot sh -c 'exec env LD_PRELOAD="$1:$LD_PRELOAD" EXCLUSIVELOCK_NAME=beside FAKECHROOT_BASE="$2" /hold' \
		sh "$SHIM" "$PWD/root" >out 2>err 3>&- &
	pid=$!
	ENDLATER+=("$pid")
	wait_for grep -q ready out
	read -r _ pid <out
	ENDLATER+=("$pid")
	assert_refused beside "$pid"
	[[ $(ls -A root) == hold ]]
	end_by TERM "$pid"
	assert_free beside
}

@test "faketime, eatmydata, torsocks and proxychains around a guarded program, and guarded, do the same as without the shim" {
	local tried=0
	export PROXYCHAINS_CONF_FILE=$PWD/proxychains.conf
	printf 'strict_chain\nquiet_mode\n[ProxyList]\nsocks5 127.0.0.1 9\n' >proxychains.conf
	local tool
	for tool in "faketime 2001-02-03" eatmydata torsocks "proxychains4 -q"; do
		command -v "${tool%% *}" >/dev/null || continue
		tried=$((tried + 1))
		rm -rf without with
		# shellcheck disable=SC2086 # a tool and its arguments
		assert_fine_under $tool
	done
	[[ $tried -gt 0 ]] || skip "needs faketime, eatmydata, torsocks or proxychains4"
}
