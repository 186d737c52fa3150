#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Programs that start their next version and leave it their lock; and programs that start themselves for other reasons, and do not.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # code for others; every test is a subshell; set by bats

load daemon

setup() {
	daemon_setup
	export EXCLUSIVELOCK_NAME=job
	LOCK=$(lock_file job)
}

teardown() { end_processes; }

named_by_lock() { [[ -e $LOCK && $(<"$LOCK") == "$1" ]]; }

configure_nginx() {
	needs nginx
	cat >nginx.conf <<-CONF
		daemon on;
		pid $PWD/nginx.pid;
		error_log $PWD/error.log;
		worker_processes 1;
		events { worker_connections 16; }
		http { access_log off; server { listen unix:$PWD/socket; } }
	CONF
	# A second upgrade passes the socket on.
	NGINX=$(command -v nginx)
}

# Upgrades the master OLD as nginx's manual has it, and sets NEW.
upgrade_nginx() {
	kill -USR2 "$1"
	poll has_new_master "$1"
	NEW=$(<nginx.pid)
	ENDLATER+=("$NEW")
	kill -QUIT "$1"
	poll process_has_ended "$1"
}

has_new_master() { [[ -s nginx.pid && $(<nginx.pid) != "$1" && -s nginx.pid.oldbin ]]; }

start_nginx() {
	guarded "$NGINX" -c "$PWD/nginx.conf" -p "$PWD" 3>&-
	poll file_has_content nginx.pid
	OLD=$(<nginx.pid)
	ENDLATER+=("$OLD")
}

end_nginx() {
	kill -QUIT "$NEW"
	poll process_has_ended "$NEW"
	assert_free job
}

@test "nginx that is upgraded stays exclusive, and its new master has the lock" {
	configure_nginx
	start_nginx
	upgrade_nginx "$OLD"
	assert_refused job "$NEW"
	end_nginx
}

@test "nginx in scope tree stays exclusive however often it is upgraded" {
	configure_nginx
	export EXCLUSIVELOCK_SCOPE=tree
	start_nginx
	for _ in 1 2 3; do
		upgrade_nginx "$OLD"
		OLD=$NEW
		run -1 env LD_PRELOAD="$SHIM" touch intruder
		file_is_gone intruder
	done
	end_nginx
}

gunicorn_runs() { [[ -S socket && -s gunicorn.pid ]] && pgrep -P "$(<gunicorn.pid)" >/dev/null; }
has_second_gunicorn() { [[ -s gunicorn.pid.2 ]] && pgrep -P "$(<gunicorn.pid.2)" >/dev/null; }

@test "gunicorn that is upgraded stays exclusive, and its new master has the lock, not a worker of its own" {
	needs gunicorn
	! /usr/bin/python3 -c 'import setproctitle' 2>/dev/null || skip "the new master has another title until the old one has ended"
	printf 'def app(environ, start):\n    start("200 OK", [])\n    return [b""]\n' >work.py
	env LD_PRELOAD="$SHIM" /usr/bin/python3 "$(command -v gunicorn)" --bind "unix:$PWD/socket" --pid "$PWD/gunicorn.pid" --workers 2 work:app 2>log 3>&- &
	ENDLATER+=("$!")
	poll gunicorn_runs
	OLD=$(<gunicorn.pid)
	assert_refused job "$OLD"
	kill -USR2 "$OLD"
	poll has_second_gunicorn
	NEW=$(<gunicorn.pid.2)
	ENDLATER+=("$NEW")
	assert_refused job "$OLD"
	kill -TERM "$OLD"
	poll process_has_ended "$OLD"
	assert_refused job "$NEW"
	kill -TERM "$NEW"
	poll process_has_ended "$NEW"
	file_is_gone "$LOCK"
	assert_free job
}

@test "node's cluster workers do not keep the lock of a primary that crashed" {
	needs node
	local how status
	cat >app.js <<-'JS'
		const cluster = require('cluster');
		if (cluster.isPrimary) {
			cluster.fork();
			cluster.on('online', (worker) => worker.send(process.argv[2] || ''));
			cluster.on('message', () => { if (process.env.HOW === 'kill') process.kill(process.pid, 'SIGKILL'); throw new Error('crash'); });
		} else {
			process.on('message', () => process.send('up'));
		}
	JS
	for how in throw kill; do
		# By the same words as node starts its workers with, too.
		for program in node "$(readlink -f "$(command -v node)")"; do
			status=0
			HOW=$how guarded "$program" "$PWD/app.js" >log 2>&1 3>&- || status=$?
			[[ $status -eq 1 || $status -eq 137 ]]
			run -0 guarded true
			[[ $output == "" ]]
		done
	done
}

@test "sshd's session that outlives the server does not keep its lock" {
	# As sshd has it since version 9.8, and its sessions by -R before: another command line.
	cat >server <<-'SCRIPT'
		#!/bin/bash
		if [[ $1 == -R ]]; then echo $$ >session; read -r _ <go; exit; fi
		"$0" -R &
		until [[ -s session ]]; do :; done
		exit 3
	SCRIPT
	chmod +x server
	mkfifo go
	guarded ./server -D 3>&- || [[ $? -eq 3 ]]
	ENDLATER+=("$(<session)")
	run -1 process_has_ended "$(<session)"
	assert_free job
	: >go
}
