#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# chronyd: a daemon that puts itself under a seccomp filter that kills. It leaves the clock alone here (-x).
# shellcheck disable=SC2030,SC2031,SC2154 # every test is a subshell; set by bats

load daemon

setup() {
	daemon_setup
	needs chronyd chronyc
	[[ $EUID -eq 0 ]] || skip "needs root"
}

teardown() { end_daemons; }

configure() {
	mkdir -m 700 control
	cat >chrony.conf <<-CONF
		port 0
		cmdport 0
		bindcmdaddress $PWD/control/socket
		pidfile $PWD/chronyd.pid
		user root
		server 127.0.0.1 offline
		local stratum 10
	CONF
	chronyd=(wild EXCLUSIVELOCK_NAME=chronyd chronyd -x -F 1 -f "$PWD/chrony.conf")
}

ask() { chronyc -h "$PWD/control/socket" "$@"; }
answers() { ask activity >/dev/null 2>&1; }

talk() {
	wait_for answers
	read_pid chronyd.pid
	grep -qx 'Seccomp:.2' "/proc/$PID/status"
	with_shim assert_refused chronyd "$PID"
	observe activity ask activity
	observe sources ask -c sources
	see_processes running "$PID"
}

see_log() { sed -E 's/^[0-9T:.-]+Z //' "$1" >seen/log; }

serve_in_foreground() {
	local started ended=0
	configure
	"${chronyd[@]}" -d >out 2>&1 </dev/null 3>&- &
	started=$!
	ENDLATER+=("$started")
	talk
	kill -TERM "$PID"
	wait "$started" || ended=$?
	echo "$ended" >seen/status
	see_log out
	with_shim assert_free chronyd
}

serve_as_daemon() {
	configure
	observe start "${chronyd[@]}" -l "$PWD/log"
	talk
	end_by TERM "$PID"
	see_log log
	with_shim assert_free chronyd
}

@test "chronyd under its seccomp filter ends with status 0 and all its output as without the shim, exclusive all the time" {
	without_and_with serve_in_foreground
	grep -qx 0 with/seen/status
	grep -q 'Loaded seccomp filter (level 1)' with/seen/log
	grep -q 'chronyd exiting' with/seen/log
	no_lock_file
}

@test "chronyd as a daemon under its seccomp filter runs and ends as without the shim, exclusive all the time" {
	without_and_with serve_as_daemon
	grep -q 'Loaded seccomp filter (level 1)' with/seen/log
	grep -q 'chronyd exiting' with/seen/log
	no_lock_file
}
