#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# sshd: a daemon that executes itself anew for each connection, and puts what talks to strangers under seccomp.
# shellcheck disable=SC2030,SC2031,SC2154 # every test is a subshell; set by bats

load daemon

setup() {
	daemon_setup
	needs sshd ssh ssh-keygen
	SSHD=$(command -v sshd)
	WHO=$(id -un)
	[[ $(getent passwd "$WHO" | cut -d : -f 7) == *sh ]] || skip "needs an account with a shell"
	if [[ $EUID -eq 0 ]]; then
		needs_mount_namespace
		[[ $(getent shadow root | cut -d : -f 2) != '!'* ]] || skip "needs an account that is not locked"
	fi
	ssh-keygen -q -t ed25519 -N '' -f host_key
	ssh-keygen -q -t ed25519 -N '' -f key -C tests
	PORT=$(free_port)
	write_config
}

teardown() { end_daemons; }

write_config() {
	cat >sshd_config <<-CONF
		ListenAddress 127.0.0.1:$PORT
		HostKey $PWD/host_key
		AuthorizedKeysFile $PWD/key.pub
		PermitRootLogin yes
		StrictModes no
		UsePAM no
		PrintMotd no
		LogLevel VERBOSE
		UseDNS no
	CONF
}

# The server wants a folder of its own in /run, where only a mount namespace has it.
server() {
	local server=(env LD_PRELOAD="$PRELOAD" EXCLUSIVELOCK_NAME=sshd "$SSHD" -f "$BATS_TEST_TMPDIR/sshd_config" -E "$PWD/log" -o PidFile="$PWD/sshd.pid" "$@")
	if [[ $EUID -eq 0 ]]; then
		in_mount_namespace 'mount -t tmpfs none /run && mkdir /run/sshd && exec "$@"' "${server[@]}"
	else
		"${server[@]}"
	fi
}

login() {
	ssh -F /dev/null -q -p "$PORT" -i "$BATS_TEST_TMPDIR/key" -o IdentitiesOnly=yes -o BatchMode=yes -o StrictHostKeyChecking=no \
		-o UserKnownHostsFile="$BATS_TEST_TMPDIR/known_hosts" "$WHO@127.0.0.1" "$@"
}

listens() { (: <>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; }
has_sandboxed_child() { pgrep -P "$(pgrep -d , -P "$1")" | while read -r pid; do cat "/proc/$pid/status"; done | grep -q '^Seccomp:.2'; }
is_alone() { [[ -z $(pgrep -P "$1") ]]; }

# A connection that has come as far as the sandbox, and no further.
look_at_sandbox() {
	exec 4<>"/dev/tcp/127.0.0.1/$PORT"
	printf 'SSH-2.0-tests\r\n' >&4
	if [[ $EUID -eq 0 ]]; then wait_for has_sandboxed_child "$PID"; else wait_for has_child "$PID"; fi
	see_processes sandboxed "$PID" 's/(process|session) [0-9]+/\1 #/'
	exec 4>&- 4<&-
	wait_for is_alone "$PID"
}

has_child() { ! is_alone "$1"; }

# The log, without numbers; a client that is quick to leave has one line less.
see_log() {
	sed -E '/^Close session/d; s/port [0-9]+/port #/g; s/pts\/[0-9]+/pts\/#/g; s/pid is [0-9]+/pid is #/; s/child [0-9]+/child #/;
		s/child is on pid.*/child/' log | sort >seen/log
}

talk() {
	read_pid sshd.pid
	wait_for listens
	wait_for is_alone "$PID"
	with_shim assert_refused sshd "$PID"
	see_processes listening "$PID"
	look_at_sandbox
	observe login login 'echo in; cat; ulimit -a; grep ^Sig[BIC] /proc/self/status; env | grep -v ^SSH_; ls -l /proc/self/fd | wc -l; exit 3'
	wait_for is_alone "$PID"
	observe terminal login -tt 'tty | tr -d 0-9; echo at a terminal'
	wait_for is_alone "$PID"
	with_shim assert_refused sshd "$PID"
}

serve_as_daemon() {
	observe start server
	talk
	end_by TERM "$PID"
	see_log
	with_shim assert_free sshd
}

serve_in_foreground() {
	local started ended=0
	server -D >seen/out 2>seen/err </dev/null 3>&- &
	started=$!
	talk
	kill -TERM "$PID"
	wait "$started" || ended=$?
	echo "$ended" >seen/status
	see_log
	with_shim assert_free sshd
}

@test "sshd as a daemon listens, confines, lets in and ends as without the shim, exclusive all the time" {
	without_and_with serve_as_daemon
	grep -qx in with/seen/login.out
	grep -qx 3 with/seen/login.status
	# Whoever cannot write the records of logins at terminals lets nobody in there.
	[[ $EUID -ne 0 ]] || grep -q 'at a terminal' with/seen/terminal.out
	no_lock_file
}

@test "sshd in the foreground listens, confines, lets in and ends as without the shim, exclusive all the time" {
	without_and_with serve_in_foreground
	grep -qx in with/seen/login.out
	no_lock_file
}

# Logs in and leaves a master connection behind, which listens at MASTER_PATH; none with "none".
login_with_master() {
	login -o ControlMaster=auto -o ControlPath="$MASTER_PATH" -o ControlPersist=600 true >out 2>&1
}

login_guarded() {
	LD_PRELOAD=$SHIM EXCLUSIVELOCK_NAME=job login_with_master
}

# Sets MASTER to the PID of the master connection.
read_master() {
	run -0 login -o ControlPath="$MASTER_PATH" -O check
	[[ $output =~ "pid="([0-9]+) ]]
	MASTER=${BASH_REMATCH[1]}
	ENDLATER+=("$MASTER")
}

end_master() {
	login -o ControlPath="$MASTER_PATH" -O exit
	wait_for process_has_ended "$MASTER"
}

@test "a master connection that ssh leaves behind keeps the lock of ssh itself and of a script in scope tree, not of one in scope process" {
	local MASTER PRELOAD=''
	export MASTER_PATH=$PWD/master PORT WHO
	export -f login login_with_master
	server >out 2>&1 3>&-
	read_pid sshd.pid
	wait_for listens
	login_guarded
	read_master
	assert_refused job "$MASTER"
	end_master
	assert_free job
	MASTER_PATH=none login_guarded
	assert_free job
	"$LAUNCH" -n job bash -c login_with_master
	read_master
	assert_free job
	end_master
	"$LAUNCH" -n job -s tree bash -c login_with_master
	read_master
	assert_refused job "$MASTER"
	end_master
	assert_free job
}
