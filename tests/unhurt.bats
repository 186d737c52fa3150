#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The program is not hurt: by the functions that the library defines in libc's place, by the stack that an end needs, by system calls where there
# are none to be made.
# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154 # every test is a subshell; set by the helper, and by run

load test_helper

setup() {
	clean_environment
	export EXCLUSIVELOCK_NAME=job
	LOCK=$(lock_file job)
	ulimit -c 0
}

teardown() {
	end_processes
	end_children
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

# Sets DEPTH to how many bytes of a stack of its own the end of a guarded `depth` with these arguments needs, all of libc's part included.
measure_depth() {
	/usr/bin/python3 -c 'import json, sys
options = {option["name"]: option["value"] for option in json.load(open(sys.argv[1]))}
sys.exit(options["b_sanitize"] != "none" or options["coverage"])' "$CONFIGURED/meson-info/intro-buildoptions.json" ||
		skip "what is built into the library needs more"
	local status=0
	env LD_PRELOAD="$SHIM" "$HELPERS/depth" "$BATS_TEST_TMPDIR/stack" 65536 "$@" >"$BATS_TEST_TMPDIR/out" 3>&- || status=$?
	[[ $status -eq 7 ]]
	read_depth
}

read_depth() {
	DEPTH=$(/usr/bin/python3 -c 'import sys
print(len(open(sys.argv[1], "rb").read().lstrip(b"\xa5")))' "$BATS_TEST_TMPDIR/stack")
	echo "depth: $DEPTH"
}

# Ends what this test's programs have left, and nothing else.
end_children() {
	local process
	for process in $(pgrep -x depth); do
		! grep -qsF "$BATS_TEST_TMPDIR" "/proc/$process/environ" "/proc/$process/cmdline" || kill -KILL "$process"
	done
}

@test "an end needs less than 2 KiB of stack, whichever way it is, and whoever goes on" {
	needs_real_library
	local how who long
	for how in exit quick_exit _exit; do
		for who in '' ended child; do
			# shellcheck disable=SC2086 # none is none
			measure_depth "$how" $who
			((DEPTH > 600 && DEPTH < 2048))
			end_children
		done
	done
	EXCLUSIVELOCK_LOG=$BATS_TEST_TMPDIR/log measure_depth exit
	((DEPTH < 2048))
	EXCLUSIVELOCK_SCOPE=tree measure_depth exit child
	((DEPTH < 2048))
	end_children
	long=$LOCKS/$(printf 'x%.0s' {1..200})/$(printf 'y%.0s' {1..200})
	mkdir -p "$long"
	EXCLUSIVELOCK_DIR=$long EXCLUSIVELOCK_NAME=$(printf 'n%.0s' {1..400}) measure_depth exit child
	((DEPTH < 2048))
	end_children
	# A process whose first thread has ended is looked at more closely.
	"$HELPERS/leaderless" >"$BATS_TEST_TMPDIR/leaderless" 3>&- &
	ENDLATER+=("$!")
	poll grep -q ready "$BATS_TEST_TMPDIR/leaderless"
	measure_depth exit ended
	((DEPTH < 2048))
}

@test "an end with somebody who waits needs less than 2 KiB of stack" {
	needs_real_library
	local waiter
	coproc SUBJECT { exec env LD_PRELOAD="$SHIM" "$HELPERS/depth" "$BATS_TEST_TMPDIR/stack" 65536 exit asked 3>&-; }
	ENDLATER+=("$SUBJECT_PID")
	HOLDER=$SUBJECT_PID
	read -r -u "${SUBJECT[0]}" _
	env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_ON_HELD=wait "$HELPERS/stages" >"$BATS_TEST_TMPDIR/waiter" 3>&- &
	waiter=$!
	ENDLATER+=("$waiter")
	poll grep -qs -- "-> FLOCK .*:$(stat -c %i "$LOCK") " /proc/locks
	echo >&"${SUBJECT[1]}"
	wait "$waiter"
	wait "$HOLDER" || :
	read_depth
	((DEPTH > 600 && DEPTH < 2048))
}

@test "on an overlay file system an end needs less than 2 KiB of stack" {
	needs_real_library
	local layered='mount -t tmpfs none /mnt; mkdir /mnt/lower /mnt/upper /mnt/work
		mount -t overlay -o lowerdir=/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/work none "$EXCLUSIVELOCK_DIR"'
	needs_mount_namespace
	in_mount_namespace "$layered" 2>/dev/null || skip "no overlay file system here"
	# The child that goes on would have the pipe of "run".
	run in_mount_namespace "$layered"'; exec env LD_PRELOAD="$1" "$2" "$3" 65536 exit child >"$4" 2>&1 3>&-' "$SHIM" "$HELPERS/depth" \
		"$BATS_TEST_TMPDIR/stack" "$BATS_TEST_TMPDIR/out"
	[[ $status -eq 7 ]]
	read_depth
	end_children
	((DEPTH < 2048))
}

@test "a handler on an alternate stack of 8 KiB ends the program with its own status" {
	run "$HELPERS/depth" "$BATS_TEST_TMPDIR/stack" 8192 handler
	[[ $status -eq 7 ]] || skip "the kernel and libc alone need more"
	run -7 guarded "$HELPERS/depth" "$BATS_TEST_TMPDIR/stack" 8192 handler
	[[ $output == "output that stdio still has" ]]
	EXCLUSIVELOCK_LOG=$BATS_TEST_TMPDIR/log run -7 guarded "$HELPERS/depth" "$BATS_TEST_TMPDIR/stack" 8192 handler ended
	file_is_gone "$LOCK"
	run -7 sh -c 'exec env LD_PRELOAD="$1" "$2" "$3" 8192 handler child >"$4" 2>&1 3>&-' sh "$SHIM" "$HELPERS/depth" "$BATS_TEST_TMPDIR/stack" \
		"$BATS_TEST_TMPDIR/out"
	end_children
}

@test "a program that lets through the system calls of libc's code alone asks, and keeps its own status and all its output" {
	local how
	for how in prctl syscall; do
		run "$HELPERS/dispatch" "$how"
		[[ $status -eq 7 ]] || skip "no Syscall User Dispatch here"
		run -7 guarded "$HELPERS/dispatch" "$how"
		[[ $output == "output that stdio still has" ]]
		# It could not tidy up; its file stands in nobody's way.
		assert_free job
	done
}

@test "a child by vfork whose exec failed calls exit: the parent goes on holding, and leaves no file" {
	run -7 guarded "$HELPERS/vforked"
	[[ $output == $'before\nheld 1' ]] || { echo "$output"; false; }
	file_is_gone "$LOCK"
}

@test "the library asks for no function of the loader's" {
	run -0 nm -D "$SHIM"
	run -1 grep -E ' (dl.*|malloc|free)(@|$)' <<<"$output"
}
