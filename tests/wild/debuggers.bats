#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# valgrind, gdb, strace and ltrace: guarded programs that are watched, and watchers that are guarded.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # $ is for the shell inside; every test is a subshell; set by bats

load daemon

setup() {
	daemon_setup
	mkfifo go
	ulimit -c 0
}

teardown() { end_daemons; }

is_traced() { grep -qs '^TracerPid:.[1-9]' "/proc/$1/status"; }
is_stopped() { grep -qs '^State:.[tT]' "/proc/$1/status"; }

# Runs COMMAND without the shim or with it under valgrind: no errors, and as much memory taken and given back. valgrind runs
# a program for another by way of its own launcher, which is not to be the one that takes the lock.
check_memory() {
	local name=$1
	shift
	observe "$name" valgrind --vgdb=no --trace-children=yes --error-exitcode=99 --leak-check=full --num-callers=30 \
		--log-file="log.%p" env LD_PRELOAD="$PRELOAD" EXCLUSIVELOCK_NAME=checked EXCLUSIVELOCK_ONLY=stages:threads:dash "$@"
	# Number 434 is pidfd_open(2), which this valgrind may not know; the shim does without.
	if grep -hE 'libexlock|unhandled' log.* | grep -v 'unhandled amd64-linux syscall: 434$'; then cat log.*; return 1; fi
	grep -hE 'total heap usage|ERROR SUMMARY' log.* | sed -E 's/^==[0-9]+== *//' | sort >"seen/$name.log"
	rm log.*
}

memcheck() {
	check_memory stages "$HELPERS/stages" 5
	check_memory forks dash -c 'true & wait; (exit 3); exec env echo end'
	check_memory threads "$HELPERS/wild/threads" 6
	# A shell takes each of our marks into its memory.
	sed -i '/heap usage/d' seen/forks.log
	with_shim assert_free checked
}

@test "valgrind finds no fault with the shim in programs that end, fork, exec and have threads" {
	needs valgrind
	without_and_with memcheck
	grep -qx 5 with/seen/stages.status
	run ! grep -hE 'ERROR SUMMARY: [1-9]' with/seen/stages.log with/seen/forks.log with/seen/threads.log
	no_lock_file
}

@test "a program under valgrind is refused, refuses others, and is known by its own path" {
	needs valgrind
	local watched=(valgrind --vgdb=no --trace-children=yes --error-exitcode=99 --quiet env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_ONLY=hold)
	local path
	path=$(realpath "$HELPERS/hold")
	"${watched[@]}" "$path" >out 2>err 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	wait_for grep -q ready out
	run -1 guarded "$path"
	[[ $output == "$(refusal "$path" "$HOLDER")" ]]
	run -1 "${watched[@]}" "$path"
	[[ $output == "$(refusal "$path" "$HOLDER")" ]]
	end_by TERM "$HOLDER"
	[[ ! -s err ]]
	assert_free "$path"
}

debug() {
	observe gdb gdb -batch -nx -iex 'set debuginfod enabled off' -iex 'set auto-load no' -ex "set environment LD_PRELOAD $PRELOAD" \
		-ex 'set environment EXCLUSIVELOCK_NAME debugged' -ex 'set startup-with-shell off' "$@"
	# Its warnings are about the machine; its libraries are not ours.
	sed -i -E 's/\(process [0-9]+\)/(process #)/; s/process [0-9]+/process #/' seen/gdb.out
}

break_and_trace() {
	local again
	printf -v again 'shell env LD_PRELOAD=%q EXCLUSIVELOCK_NAME=debugged true 2>said; echo $? >code' "$SHIM"
	debug -ex 'break main' -ex run -ex 'backtrace' -ex "$again" -ex 'info inferiors' -ex 'continue' \
		-ex 'print $_exitcode' --args "$HELPERS/stages" 7
	# While it stood at its main.
	with_shim grep -q "^$(refusal debugged '[0-9]*')" said
	with_shim grep -qx 1 code
	with_shim assert_free debugged
}

@test "gdb breaks at main, shows the stack and goes on to the end as without the shim, and the lock is held meanwhile" {
	needs gdb
	without_and_with break_and_trace
	grep -q '^#0 .* main' with/seen/gdb.out
	grep -q '= 7' with/seen/gdb.out
	no_lock_file
}

fork_and_crash() {
	printf '%s\n' "sh -c 'kill -SEGV \$\$'" exit >crash
	debug -ex 'set follow-fork-mode child' -ex 'set detach-on-fork on' -ex run -ex backtrace -ex 'print $_siginfo.si_signo' \
		--args /bin/sh crash
	sed -i -E 's/^#.*//; s/0x[0-9a-f]+/0x#/g; s/(Thread|LWP) [0-9a-fx#]+/\1 #/g' seen/gdb.out
	with_shim assert_free debugged
}

@test "gdb follows a fork and catches a crash as without the shim" {
	needs gdb
	without_and_with fork_and_crash
	grep -q 'SIGSEGV' with/seen/gdb.out
}

@test "gdb attaches to a holder, which goes on afterwards and holds all the time" {
	needs gdb
	start_holder EXCLUSIVELOCK_NAME=job "$HELPERS/hold"
	printf -v again 'shell env LD_PRELOAD=%q EXCLUSIVELOCK_NAME=job true 2>said; echo $? >code' "$SHIM"
	gdb -batch -nx -iex 'set debuginfod enabled off' -iex 'set auto-load no' -p "$HOLDER" -ex backtrace -ex "$again" -ex detach \
		>log 2>&1 </dev/null 3>&- || skip "may not attach: $(tail -n 1 log)"
	grep -q '^#' log || skip "may not attach: $(tail -n 1 log)"
	[[ $(<said) == "$(refusal job "$HOLDER")" && $(<code) == 1 ]]
	assert_refused job "$HOLDER"
	end_by TERM "$HOLDER"
	assert_free job
}

# The same for a tracer that follows children.
trace() {
	local tracer=("$@")
	observe stages "${tracer[@]}" env LD_PRELOAD="$PRELOAD" EXCLUSIVELOCK_NAME=traced "$HELPERS/stages" 5
	observe forks "${tracer[@]}" env LD_PRELOAD="$PRELOAD" EXCLUSIVELOCK_NAME=traced sh -c 'true & wait; echo out; (exit 3); exec env echo end'
	observe killed "${tracer[@]}" env LD_PRELOAD="$PRELOAD" EXCLUSIVELOCK_NAME=traced sh -c 'kill -TERM $$'
	observe guarded env LD_PRELOAD="$PRELOAD" EXCLUSIVELOCK_NAME=tracer "${tracer[@]}" sh -c 'echo out; exit 4'
	sed -E 's/^[0-9]+ +//' trace | grep '^+++' >seen/ends
	with_shim assert_free traced
	with_shim assert_free tracer
	with_shim grep -q 'with 4\|status 4' seen/ends
}

@test "programs under strace, and a guarded strace, do the same as without the shim" {
	needs strace
	strace -o trace true 2>/dev/null || skip "may not trace"
	without_and_with trace strace -f -o trace
	grep -qx 5 with/seen/stages.status
}

@test "programs under ltrace, and a guarded ltrace, do the same as without the shim" {
	needs ltrace
	strace -o trace true 2>/dev/null || skip "may not trace"
	without_and_with trace ltrace -f -o trace
	grep -q 'destructor' with/seen/stages.out
}

@test "a program that strace stops at each of its system calls holds its lock, and lets it go" {
	needs strace
	strace -o trace true 2>/dev/null || skip "may not trace"
	env strace -f -o trace env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=traced sh -c 'echo ready $$; read -r word; exit 6' \
		<go >out 2>err 3>&- &
	strace=$!
	ENDLATER+=("$strace")
	exec 4>go
	wait_for grep -q ready out
	read -r _ HOLDER <out
	is_traced "$HOLDER"
	assert_refused traced "$HOLDER"
	exec 4>&-
	ended=0
	wait "$strace" || ended=$?
	[[ $ended -eq 6 ]]
	assert_free traced
}
