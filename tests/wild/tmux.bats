#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# tmux: a server that leaves its client, and replays an old environment in whatever it starts later.
# shellcheck disable=SC2030,SC2031,SC2154,SC2016 # every test is a subshell; set by bats; $ is for the shell inside

load daemon

setup() {
	daemon_setup
	needs tmux
	export SHELL=/bin/sh
	SOCKET=$BATS_TEST_TMPDIR/socket
}

teardown() {
	tmux -S "$SOCKET" kill-server 2>/dev/null || :
	end_daemons
}

mux() { tmux -S "$SOCKET" -f /dev/null "$@"; }

runs_cat() { [[ $(mux display-message -p -t one '#{pane_current_command}') == cat ]]; }

serve() {
	observe start wild EXCLUSIVELOCK_NAME=tmux tmux -S "$SOCKET" -f /dev/null new-session -d -s one -x 80 -y 24 \
		"tty >/dev/null && echo in the window; umask; ulimit -a; tput cols; exec cat"
	observe list mux list-sessions -F '#{session_name} #{session_windows} #{session_attached} #{window_width}'
	PID=$(mux display-message -p '#{pid}')
	ENDLATER+=("$PID")
	wait_for runs_cat
	see_processes running "$PID" 's/terminal [0-9]+/terminal #/; s!/dev/pts/[0-9]+!/dev/pts/#!; s/^(  environment TMUX=[^,]*),[0-9]*/\1/'
	observe pane mux capture-pane -p -t one
	with_shim assert_refused tmux "$PID"
	observe stop mux kill-server
	wait_for process_has_ended "$PID"
	with_shim assert_free tmux
}

@test "a tmux server starts sessions and ends as without the shim, exclusive all the time" {
	without_and_with serve
	grep -q 'in the window' with/seen/pane.out
	no_lock_file
}

# Starts a server out of a guarded shell: it keeps that shell's environment, and outlives it.
start_server_in_guarded_shell() {
	guarded EXCLUSIVELOCK_NAME="$1" sh -c 'tmux -S "$1" -f /dev/null new-session -d -s first "$2"' \
		sh "$SOCKET" cat 2>err 3>&-
	PID=$(mux display-message -p '#{pid}')
	ENDLATER+=("$PID")
	[[ ! -s err ]]
	mux show-environment -g | grep -q "^EXCLUSIVELOCK_INSTANCE="
}

@test "the environment of a holder that has gone, replayed in a new tmux session, exempts nobody" {
	start_server_in_guarded_shell job
	assert_free job
	start_holder EXCLUSIVELOCK_NAME=job "$HELPERS/hold"
	mux new-session -d -s second "env LD_PRELOAD='$SHIM' touch intruder 2>said; echo \$? >status; cat"
	wait_for file_has_content status
	[[ $(<status) == 1 ]]
	[[ $(<said) == "$(refusal job "$HOLDER")" ]]
	file_is_gone intruder
}

@test "a program in a new tmux session with the replayed environment of a holder that has gone takes the lock" {
	start_server_in_guarded_shell job
	mux new-session -d -s second "env LD_PRELOAD='$SHIM' '$HELPERS/hold' >out 2>err"
	wait_for grep -q ready out
	read -r _ PID <out
	assert_refused job "$PID"
	end_by TERM "$PID"
	assert_free job
}

@test "a tmux server that was started by a holder lets its sessions pass while the holder lives" {
	mkfifo go
	env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=job sh -c 'tmux -S "$1" -f /dev/null new-session -d -s first cat; read -r word' \
		sh "$SOCKET" <go >out 2>err 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	exec 4>go
	wait_for mux has-session -t first
	mux new-session -d -s second "env LD_PRELOAD='$SHIM' touch passed 2>said; echo \$? >status; cat"
	wait_for file_has_content status
	[[ $(<status) == 0 && ! -s said ]]
	file_is_there passed
	assert_refused job "$HOLDER"
	echo word >&4
	exec 4>&-
	wait "$HOLDER"
	assert_free job
}
