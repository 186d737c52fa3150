#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# nginx: a daemon that reloads, and gives its children's work over to new ones.
# shellcheck disable=SC2030,SC2031,SC2034,SC2154 # every test is a subshell; set by bats, and read there

load daemon

setup() {
	daemon_setup
	needs nginx curl
}

teardown() { end_daemons; }

configure() {
	cat >nginx.conf <<-CONF
		user nobody nogroup;
		pid $PWD/nginx.pid;
		error_log $PWD/error.log notice;
		worker_processes 1;
		events { worker_connections 64; }
		http {
			access_log $PWD/access.log;
			client_body_temp_path $PWD/body;
			proxy_temp_path $PWD/proxy;
			fastcgi_temp_path $PWD/fastcgi;
			uwsgi_temp_path $PWD/uwsgi;
			scgi_temp_path $PWD/scgi;
			server {
				listen 127.0.0.1:$PORT;
				listen unix:$PWD/socket;
				location /page { return 200 "a page\n"; }
				location / { return 404; }
			}
		}
	CONF
	nginx=(nginx -p "$PWD" -e "$PWD/error.log" -c "$PWD/nginx.conf")
	server=(wild EXCLUSIVELOCK_NAME=nginx "${nginx[@]}")
}

worker_of() { pgrep -P "$1" -f 'nginx: worker process$'; }
has_worker() { [[ -n $(worker_of "$1") ]]; }
has_other_worker() { has_worker "$1" && [[ $(worker_of "$1") != "$2" ]]; }

# The log without times and PIDs; which of master and worker is the first to write is chance.
see_log() {
	sed -E 's/^[^[]*//; s/[0-9]+#[0-9]+:/#:/; s/(process|signal [0-9]+ \([A-Z]+\) received from) [0-9]+/\1 #/; s/pid: ?[0-9]+/pid #/' \
		error.log | sort -u >seen/log
}

serve() {
	local worker
	configure
	observe test "${server[@]}" -t
	observe start "${server[@]}"
	read_pid nginx.pid
	wait_for has_worker "$PID"
	with_shim assert_refused nginx "$PID"
	observe tcp curl -s -i --noproxy '*' "http://127.0.0.1:$PORT/page"
	observe socket curl -s -i --unix-socket "$PWD/socket" http://localhost/missing
	see_processes running "$PID"
	worker=$(worker_of "$PID")
	observe reload "${nginx[@]}" -s reload
	wait_for has_other_worker "$PID" "$worker"
	wait_for process_has_ended "$worker"
	see_processes reloaded "$PID"
	with_shim assert_refused nginx "$PID"
	observe after curl -s --unix-socket "$PWD/socket" http://localhost/
	observe stop "${nginx[@]}" -s quit
	wait_for process_has_ended "$PID"
	see_log
	sed -i '/^\(Date\|Last-Modified\|ETag\)/d' seen/*.out
	with_shim assert_free nginx
}

@test "nginx serves, reloads and stops as a daemon as without the shim, exclusive all the time" {
	PORT=$(free_port)
	without_and_with serve
	grep -q 'a page' with/seen/tcp.out
	grep -q '404' with/seen/socket.out
	no_lock_file
}

@test "an nginx worker whose master has been killed keeps the lock, and is named" {
	local worker
	PORT=$(free_port) PRELOAD=$SHIM
	configure
	"${server[@]}" 2>err 3>&-
	read_pid nginx.pid
	wait_for has_worker "$PID"
	worker=$(worker_of "$PID")
	ENDLATER+=("$worker")
	end_by KILL "$PID"
	assert_refused nginx "$worker"
	end_by TERM "$worker"
	assert_free nginx
}
