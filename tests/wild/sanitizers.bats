#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Programs built with a sanitizer, which brings an allocator, interceptors and a memory layout of its own.
# shellcheck disable=SC2016,SC2030,SC2153,SC2031,SC2154 # $ is for the shell inside; every test is a subshell; set elsewhere

load daemon

setup() {
	daemon_setup
	export ASAN_OPTIONS=exitcode=97 UBSAN_OPTIONS=exitcode=97:halt_on_error=1 TSAN_OPTIONS=exitcode=97:die_after_fork=0 \
		MSAN_OPTIONS=exitcode=97 LSAN_OPTIONS=exitcode=97
}

teardown() { end_daemons; }

# Builds the program with COMPILER and its options.
build_with() {
	needs "$1"
	"$@" -g -O1 -pthread -o program "$BATS_TEST_DIRNAME/threads.c" 2>log || skip "$1 does not build this: $(tail -n 1 log)"
	./program 6 >log 2>&1 || [[ $? -eq 6 ]] || skip "what $1 builds does not run here: $(tail -n 1 log)"
}

run_program() {
	observe ended wild EXCLUSIVELOCK_NAME=sanitized "$BATS_TEST_TMPDIR/program" 6
	observe wrong wild EXCLUSIVELOCK_NAME=sanitized "$BATS_TEST_TMPDIR/program"
	observe below wild EXCLUSIVELOCK_NAME=sanitized sh -c '"$1" 6; exec "$1" 7' sh "$BATS_TEST_TMPDIR/program"
	with_shim assert_free sanitized
}

assert_the_same() {
	without_and_with run_program
	grep -qx 6 with/seen/ended.status
	grep -qx 'sum 4000' with/seen/ended.out
	[[ ! -s with/seen/ended.err ]]
	no_lock_file
}

@test "a program built with gcc's ThreadSanitizer does the same as without the shim" {
	build_with gcc -fsanitize=thread
	assert_the_same
}

@test "a program built with clang's ThreadSanitizer does the same as without the shim" {
	build_with clang -fsanitize=thread
	assert_the_same
}

@test "a program built with MemorySanitizer does the same as without the shim" {
	build_with clang -fsanitize=memory
	assert_the_same
}

@test "a program built with gcc's UndefinedBehaviorSanitizer does the same as without the shim" {
	build_with gcc -fsanitize=undefined
	assert_the_same
}

@test "a program built with clang's UndefinedBehaviorSanitizer does the same as without the shim" {
	build_with clang -fsanitize=undefined
	assert_the_same
}

@test "a program built with clang's AddressSanitizer does the same as without the shim" {
	build_with clang -fsanitize=address,undefined
	assert_the_same
}

@test "a program built with gcc's AddressSanitizer, linked statically, does the same as without the shim" {
	build_with gcc -fsanitize=address -static-libasan
	assert_the_same
}

@test "a program built with LeakSanitizer does the same as without the shim" {
	build_with gcc -fsanitize=leak
	assert_the_same
}

# The shared runtime wants to come first: the launcher guards such a program by its PID alone.
run_by_launcher() {
	local launch=()
	with_shim eval 'launch=("$LAUNCH" --no-preload --name sanitized)'
	observe ended env "${launch[@]}" "$BATS_TEST_TMPDIR/program" 6
	observe below env "${launch[@]}" sh -c '"$1" 6; exec "$1" 7' sh "$BATS_TEST_TMPDIR/program"
	with_shim assert_free sanitized
}

@test "a program built with gcc's shared AddressSanitizer runs by exlock-launch -P as without, and is exclusive" {
	build_with gcc -fsanitize=address
	without_and_with run_by_launcher
	grep -qx 6 with/seen/ended.status
	gcc -g -O1 -fsanitize=address -I"$SOURCE/../tests/helpers" -o hold "$BATS_TEST_DIRNAME/../helpers/hold.c"
	"$LAUNCH" --no-preload --name sanitized ./hold >out 2>err 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	wait_for grep -q ready out
	assert_refused sanitized "$HOLDER"
	end_by TERM "$HOLDER"
	assert_free sanitized
}

@test "behind the shared AddressSanitizer's runtime in LD_PRELOAD, a program built with it does the same as without the shim" {
	local runtime
	build_with gcc -fsanitize=address
	runtime=$(readlink -f "$(gcc -print-file-name=libasan.so)")
	behind() {
		local with=
		with_shim eval 'with=:$SHIM'
		observe ended env LD_PRELOAD="$runtime$with" EXCLUSIVELOCK_NAME=sanitized "$BATS_TEST_TMPDIR/program" 6
	}
	without_and_with behind
	grep -qx 6 with/seen/ended.status
	no_lock_file
}
