#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Redis: a daemon with threads, which forks to save.
# shellcheck disable=SC2030,SC2031,SC2154 # every test is a subshell; set by bats

load daemon

setup() {
	daemon_setup
	needs redis-server redis-cli
}

teardown() { end_daemons; }

ask() { redis-cli -s "$PWD/socket" "$@"; }
answers() { [[ $(ask PING 2>&1) == PONG ]]; }
saved_all() { ask INFO persistence | grep -q '^rdb_bgsave_in_progress:0'; }
saves() { ask INFO persistence | grep -q '^rdb_bgsave_in_progress:1'; }

# The log without the banner, and without times, PIDs, and numbers that are measured.
see_log() {
	sed -nE 's/^[0-9]+:([A-Z]) [0-9]+ [A-Za-z]+ [0-9]+ [0-9:.]+ /\1 /p' redis.log |
		grep -v -e 'WARNING' -e 'DB loaded' -e 'RDB age' -e 'RDB memory usage' -e 'Copy-On-Write' -e 'copy-on-write' |
		sed -E 's/(pid|pid=|by pid|User requested.*pid) ?[0-9]+/\1 #/; s/[0-9.]+ seconds/# seconds/' >seen/log
}

serve() {
	observe start wild EXCLUSIVELOCK_NAME=redis redis-server --port 0 --unixsocket "$PWD/socket" --dir "$PWD" --save '' \
		--daemonize yes --pidfile "$PWD/redis.pid" --logfile "$PWD/redis.log" --rdb-key-save-delay "$1"
	read_pid redis.pid
	wait_for answers
	with_shim assert_refused redis "$PID"
	observe write ask SET one 1
	see_processes running "$PID"
	observe save ask BGSAVE
	wait_for saves
	see_processes saving "$PID" 's/temp-[0-9]+/temp-#/'
	with_shim assert_refused redis "$PID"
	wait_for saved_all
	see_processes saved "$PID"
	with_shim assert_refused redis "$PID"
	observe read ask MGET one two three
	observe stop ask SHUTDOWN NOSAVE
	wait_for process_has_ended "$PID"
	see_log
	with_shim assert_free redis
}

@test "redis serves as a daemon, saves in a forked child and shuts down as without the shim, exclusive all the time" {
	# The child takes its time, two seconds for the one key, so that it can be looked at.
	without_and_with serve 2000000
	[[ $(grep -cx process with/seen/saving) -eq 2 && $(grep -cx process with/seen/saved) -eq 1 ]]
	grep -q 'DB saved on disk' with/seen/log
	no_lock_file
}
