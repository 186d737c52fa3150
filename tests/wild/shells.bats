#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Shells, as scripts and at a terminal: the same with and without the shim.
# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154,SC2317 # code for others; subshells; set by bats; compare calls them

load compare

setup() {
	wild_setup
}

teardown() {
	wild_teardown
}

# The number of a process that a shell reports as killed, or started.
mask() {
	sed -E 's/(line [0-9]+: +)[0-9]+ Killed/\1# Killed/; s/^\[1\] [0-9]+/[1] #/'
}

compare_script() {
	ENVIRONMENT+=("SHELL_UNDER_TEST=$1")
	compare "$@" "$WORKLOADS/shell.sh" one 'two three'
	assert_status 42
	assert_shown '^arguments 2 one two three'
	assert_shown '^replaced 5'
	assert_shown '^read two'
	assert_shown '^its child 7'
}

@test "sh: pipelines, jobs, traps, redirections" {
	compare_script sh
}

@test "bash: pipelines, jobs, traps, redirections" {
	needs bash
	compare_script bash
}

@test "zsh: pipelines, jobs, traps, redirections" {
	needs zsh
	compare_script zsh
}

@test "busybox: pipelines, jobs, traps, redirections" {
	needs busybox
	# It is one program for all of its commands.
	printf '#!/bin/sh\nexec busybox sh "$@"\n' >"$BATS_TEST_TMPDIR/bbsh"
	chmod +x "$BATS_TEST_TMPDIR/bbsh"
	compare_script "$BATS_TEST_TMPDIR/bbsh"
}

@test "bash: process substitution, coprocesses, exported functions, traps of its own" {
	needs bash
	compare bash "$WORKLOADS/bash.sh"
	assert_status 42
	assert_shown '^coprocess: down'
	assert_shown '^exported function'
	assert_shown '^EXIT 42'
}

@test "zsh: process substitution, coprocesses, zshexit" {
	needs zsh
	compare zsh "$WORKLOADS/bash.sh"
	assert_status 42
	assert_shown '^coprocess: down'
	assert_shown '^zshexit'
}

assert_terminal_shown() {
	assert_status 42
	assert_shown '^back with 5'
	assert_shown '^job 6'
	assert_shown '^a terminal with a foreground group'
}

# The shim is in script(1), the shell is its child.
@test "a terminal's program with a shell in it: stopped jobs, the foreground" {
	needs script ps
	compare script -qec "bash '$WORKLOADS/jobs.sh'" /dev/null
	assert_terminal_shown
}

@test "shells at a terminal: stopped jobs, the foreground" {
	needs script ps
	guarded_pid() { cat "$(lock_file wild)"; }
	start_the_way() {
		local way=$1 line
		case $way in
		bare) line=$2 ;;
		preload) line="env LD_PRELOAD=$SHIM $2" ;;
		launch) line="$LAUNCH $2" ;;
		esac
		exec env -i "${ENVIRONMENT[@]}" script -qec "$line" /dev/null
	}
	for shell in sh bash 'zsh -fi' 'busybox sh'; do
		[[ -x /usr/bin/${shell%% *} ]] || continue
		compare "$shell '$WORKLOADS/jobs.sh'"
		assert_terminal_shown
	done
}

@test "shells end by exec, by signals, by what their traps say, and with the status of their last command" {
	for shell in sh bash zsh; do
		needs "$shell"
		for ending in 'exit 7' 'exec sh -c "exit 8"' 'kill -TERM $$' 'kill -KILL $$' 'trap "exit 9" TERM; kill -TERM $$' \
			'trap "echo end" EXIT; false' 'set -e; false; echo not here' 'exec no-such-command' 'exec >&-; echo lost' \
			'trap "" TERM; kill -TERM $$; echo alive' 'sleep 1000 & kill $!; wait $! 2>/dev/null' ': ${nothing:?is not set}'; do
			compare_briefly "$shell" -c "$ending"
		done
	done
}
