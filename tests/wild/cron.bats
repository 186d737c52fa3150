#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# cron that is exclusive itself, and cron's jobs that are.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # $ is for the shell inside; every test is a subshell; set by bats

load daemon

setup() {
	daemon_setup
	needs cron
	[[ $EUID -eq 0 ]] || skip "needs root"
	needs_mount_namespace
	CRON=$(command -v cron)
}

teardown() { end_daemons; }

# Runs COMMAND where the file "crontab" is all that cron finds, and the folder "run" is /run.
with_crontab() {
	chmod 644 crontab
	mkdir run
	in_mount_namespace 'mount --bind run /run
		for folder in /etc/cron.d /var/spool/cron; do mount -t tmpfs none "$folder"; done
		mkdir -m 1730 /var/spool/cron/crontabs
		cp crontab /etc/cron.d/job
		: >/run/empty
		[ ! -e /etc/crontab ] || mount --bind /run/empty /etc/crontab
		exec "$@"' "$@"
}

# A job at the start of the machine, as cron takes its own: it need not wait for the minute to end.
serve() {
	local started ended=0
	printf 'MAILTO=""\n@reboot root cd %s && sh ./job; mv job.out seen/job\n' "$PWD" >"crontab"
	cat >job <<-'SH'
		exec >job.out 2>&1
		id
		env
		umask
		ulimit -a
		grep ^Sig[BIC] /proc/self/status
		ls /proc/self/fd
	SH
	with_crontab env LD_PRELOAD="$PRELOAD" EXCLUSIVELOCK_NAME=cron "$CRON" "$@" >seen/out 2>seen/err </dev/null 3>&- &
	started=$!
	wait_for file_is_there seen/job
	# Written anew by the daemon, after its parent.
	read_pid run/crond.pid
	wait_for process_waits "$PID"
	with_shim assert_refused cron "$PID"
	see_processes running "$PID"
	end_by TERM "$PID"
	wait "$started" || ended=$?
	echo "$ended" >seen/status
	with_shim assert_free cron
}

process_waits() { [[ -z $(pgrep -P "$1") ]]; }

@test "cron in the foreground runs its jobs as without the shim, exclusive until it is ended" {
	without_and_with serve -f
	grep -q '^uid=0' with/seen/job
	grep -qx 143 with/seen/status
}

@test "cron as a daemon runs its jobs as without the shim, exclusive until it is ended" {
	without_and_with serve
	grep -q '^uid=0' with/seen/job
	grep -qx 0 with/seen/status
}

said_by_both() { [[ -s one && -s two ]]; }

@test "of two jobs of cron's with one lock, one runs and the other is refused, and the lock is free for the next" {
	local started
	cat >"crontab" <<-CRONTAB
		MAILTO=""
		EXCLUSIVELOCK_DIR=$LOCKS
		@reboot root cd $PWD && $LAUNCH -n job $HELPERS/hold >one 2>&1
		@reboot root cd $PWD && $LAUNCH -n job $HELPERS/hold >two 2>&1
	CRONTAB
	with_crontab "$CRON" -f </dev/null 3>&- 4>&- &
	started=$!
	wait_for said_by_both
	read_pid run/crond.pid
	[[ $(cat one two | grep -c "^ready ") -eq 1 ]]
	HOLDER=$(sed -n 's/^ready //p' one two)
	ENDLATER+=("$HOLDER")
	grep -qx "$(refusal job "$HOLDER")" one two
	assert_refused job "$HOLDER"
	end_by TERM "$HOLDER"
	assert_free job
	end_by TERM "$PID"
	wait "$started" || :
}
