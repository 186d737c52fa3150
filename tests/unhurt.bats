#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The program is not hurt: by the functions that the library defines in libc's place, by the stack that an end needs, by system calls where there
# are none to be made.
# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154 # every test is a subshell; set by the helper, and by run

load test_helper

setup() {
	clean_environment
	export EXCLUSIVELOCK_NAME=job
	LOCK=$LOCKS/py_exclusivelock_job.lock
	ulimit -c 0
}

teardown() {
	end_processes
}

@test "a plugin whose constructor waits for a thread that calls prctl() and syscall() is loaded" {
	run -0 timeout 20 env LD_PRELOAD="$SHIM" "$HELPERS/asking" plugin "$HELPERS/libplugin.so"
	[[ $output == loaded ]]
	# Where the library leaves the program alone its functions are there all the same.
	EXCLUSIVELOCK_ONLY=another run -0 timeout 20 env LD_PRELOAD="$SHIM" "$HELPERS/asking" plugin "$HELPERS/libplugin.so"
	[[ $output == loaded ]]
	run -0 timeout 20 env LD_PRELOAD="$SHIM" sh -c '"$@"; exit "$?"' sh "$HELPERS/asking" plugin "$HELPERS/libplugin.so"
	[[ $output == loaded ]]
}

@test "what dlerror() has to say is still there after prctl() and syscall()" {
	run -0 guarded "$HELPERS/asking" dlerror
	[[ $output == "/no/such/library: "* ]] || { echo "$output"; false; }
}

@test "what dlerror() has to say since before the library's constructor is still there in main" {
	run -0 env LD_PRELOAD="$SHIM:$HELPERS/libearly.so" "$HELPERS/asking" constructor
	[[ $output == "/no/such/library: "* ]] || { echo "$output"; false; }
}

@test "prctl() and syscall() reach another preload's, also where the library leaves the program alone" {
	local only
	for only in '' asking another; do
		EXCLUSIVELOCK_ONLY=$only run -0 env LD_PRELOAD="$SHIM:$HELPERS/libearly.so" "$HELPERS/asking" next
		[[ $output == "77 77" ]] || { echo "$output"; false; }
	done
	cp "$SHIM" "$BATS_TEST_TMPDIR/libexlock-too.so"
	run -0 env LD_PRELOAD="$SHIM:$BATS_TEST_TMPDIR/libexlock-too.so:$HELPERS/libearly.so" "$HELPERS/asking" next
	[[ $output == "77 77" ]] || { echo "$output"; false; }
	# A descendant that passes by.
	run -0 guarded sh -c 'LD_PRELOAD=$1 "$2" next; exit "$?"' sh "$SHIM:$HELPERS/libearly.so" "$HELPERS/asking"
	[[ $output == "77 77" ]] || { echo "$output"; false; }
}

@test "another preload's functions are found whichever hash table it has" {
	local style
	command -v gcc >/dev/null || skip "no gcc"
	for style in sysv gnu both; do
		gcc -w -shared -fPIC -Wl,--hash-style="$style" -o "$BATS_TEST_TMPDIR/$style.so" "$SOURCE/tests/helpers/early.c"
		run -0 env LD_PRELOAD="$SHIM:$BATS_TEST_TMPDIR/$style.so" "$HELPERS/asking" next
		[[ $output == "77 77" ]] || { echo "$style: $output"; false; }
	done
}

@test "a program with musl asks through the library, and gets the answers that it would have got" {
	command -v musl-gcc >/dev/null || skip "no musl-gcc"
	musl-gcc -w -o "$BATS_TEST_TMPDIR/passing" "$SOURCE/tests/helpers/passing.c"
	run -0 guarded "$BATS_TEST_TMPDIR/passing"
	[[ $output == "all as asked" ]] || { echo "$output"; false; }
}

@test "gcc's shared runtime for threads reports, names the thread and ends the program with its own status" {
	cat >"$BATS_TEST_TMPDIR/race.c" <<-'C'
		#define _GNU_SOURCE
		#include <pthread.h>
		#include <stdio.h>
		#include <sys/prctl.h>
		#include <sys/syscall.h>
		#include <unistd.h>
		static int shared;
		static void *work(void *unused) { prctl(PR_SET_NAME, "racer", 0, 0, 0); syscall(SYS_gettid); shared++; return unused; }
		int main(void)
		{
			pthread_t one, two;
			pthread_create(&one, NULL, work, NULL);
			pthread_create(&two, NULL, work, NULL);
			pthread_join(one, NULL);
			pthread_join(two, NULL);
			puts("output that stdio still has");
			return 0;
		}
	C
	gcc -w -g -fsanitize=thread -o "$BATS_TEST_TMPDIR/race" "$BATS_TEST_TMPDIR/race.c" 2>/dev/null || skip "gcc has no thread sanitizer"
	readelf -d "$BATS_TEST_TMPDIR/race" | grep -q libtsan || skip "the runtime is linked statically"
	run --separate-stderr "$BATS_TEST_TMPDIR/race"
	[[ $status -eq 66 && $stderr == *"'racer'"* ]] || skip "the runtime does not run here"
	run --separate-stderr -66 guarded "$BATS_TEST_TMPDIR/race"
	[[ $output == "output that stdio still has" && $stderr == *"data race"* && $stderr == *"'racer'"* ]] || { echo "$stderr"; false; }
	file_is_gone "$LOCK"
}

@test "the library asks for no function of the loader's" {
	run -0 nm -D "$SHIM"
	run -1 grep -E ' (dl.*|malloc|free)(@|$)' <<<"$output"
}
