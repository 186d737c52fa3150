# SPDX-License-Identifier: MIT
# Programs that end by _exit() or _Exit(), which run no exit handler: the lock is given back, and nothing else is different.
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # every test is a subshell; $ is for the shell inside

load test_helper

setup() {
	clean_environment
	cd "$BATS_TEST_TMPDIR" || return
	export EXCLUSIVELOCK_NAME=job
	LOCK=$(lock_file job)
	ulimit -c 0
}
teardown() { end_processes; }

# By each of both functions, HOW with and without the library: the same status and output, but for OUTPUT, and no lock file afterwards.
assert_ends() {
	local how=$1 expected=$2 function
	for function in '' _Exit; do
		# shellcheck disable=SC2086 # none is none
		run -7 "$HELPERS/lastcall" $function "$how"
		[[ $output == "" ]]
		# shellcheck disable=SC2086
		run -7 guarded "$HELPERS/lastcall" $function "$how"
		[[ $output == "$expected" ]] || { echo "$how: $output"; false; }
		file_is_gone "$LOCK"
	done
}

@test "_exit() and _Exit() give the lock back, keep the status, and write nothing that stdio has not written" {
	assert_ends plain ''
}

@test "_exit() in a second thread gives the lock back" {
	assert_ends thread ''
}

@test "ten threads that call _exit() at once end the program with its status, and leave no lock that is held" {
	for _ in {1..30}; do
		run -7 guarded "$HELPERS/lastcall" threads
		[[ $output == "" ]]
	done
	assert_free job
}

@test "children that end by _exit() leave the lock to the program, whether by fork, vfork or clone with one memory" {
	local how
	for how in forked vforked shared; do
		assert_ends "$how" held
	done
}

@test "a child whose parent has ended, and that ends by _exit(), leaves the lock to the program" {
	assert_ends orphan held
}

@test "a program that may only end, by a filter of its own, ends with its own status, and its file is in nobody's way" {
	local function
	for function in '' _Exit; do
		# shellcheck disable=SC2086
		run -7 guarded "$HELPERS/lastcall" $function filtered
		[[ $output == "" ]]
		assert_free job
	done
}

@test "a program that lets through the system calls of libc's code alone ends by _exit() with its own status" {
	run "$HELPERS/dispatch" prctl _exit
	[[ $status -eq 7 ]] || skip "no Syscall User Dispatch here"
	run -7 guarded "$HELPERS/dispatch" prctl _exit
	[[ $output == "" ]]
	assert_free job
}

@test "a signal that comes while _exit() gives the lock back does not run the program's handler, nor change the status" {
	command -v strace >/dev/null || skip "needs strace"
	run -7 strace -f -qq -o trace -e trace=unlinkat,rt_sigprocmask -e inject=unlinkat:signal=TERM -E LD_PRELOAD="$SHIM" "$HELPERS/lastcall" handled
	grep -q '^[0-9]* *unlinkat.*job.lock' trace
	file_is_gone "$LOCK"
}

@test "a forked child that goes on keeps the lock, is recorded, and gives it back by its own _exit()" {
	local function child
	for function in '' _Exit; do
		# shellcheck disable=SC2086
		guarded "$HELPERS/lastcall" $function stays >out 3>&- || [[ $? -eq 7 ]]
		child=$(sed -n 's/^ready //p' out)
		ENDLATER+=("$child")
		[[ $(<"$LOCK") == "$child" ]]
		assert_refused job "$child"
		run -1 timeout 10 "$SOURCE/tests/peers/exclusive.py" job
		[[ $output == "$(refusal job "$child")" ]]
		kill -TERM "$child"
		poll process_has_ended "$child"
		file_is_gone "$LOCK"
	done
}

@test "after daemon(3), whose parent ends by libc's own _exit(), the daemon gives the lock back by exit()" {
	guarded "$HELPERS/daemonize" daemon exit "$PWD/ready" 3>&-
	poll file_has_content ready
	ENDLATER+=("$(<ready)")
	assert_refused job "$(<ready)"
	kill -TERM "$(<ready)"
	poll process_has_ended "$(<ready)"
	file_is_gone "$LOCK"
}

@test "_exit() called by an exit handler gives the lock back, once" {
	command -v strace >/dev/null || skip "needs strace"
	printf '%s\n' '#include <stdlib.h>' '#include <unistd.h>' 'static void end(int status, void *unused) { (void)unused; _exit(status); }' \
		'int main(void) { on_exit(end, 0); exit(7); }' >twice.c
	gcc -w -D_GNU_SOURCE -o twice twice.c
	run -7 strace -o trace -e trace=unlinkat -E LD_PRELOAD="$SHIM" ./twice
	[[ $(grep -c '^unlinkat.*job.lock' trace) -eq 1 ]]
}

@test "a handler on an alternate stack of 8 KiB ends the program by _exit() with its own status" {
	local who
	run "$HELPERS/depth" stack 8192 handler_exit
	[[ $status -eq 7 ]] || skip "the kernel and libc alone need more"
	for who in '' ended; do
		# shellcheck disable=SC2086
		EXCLUSIVELOCK_LOG=$PWD/log run -7 guarded "$HELPERS/depth" stack 8192 handler_exit $who
		[[ $output == "" ]]
		file_is_gone "$LOCK"
	done
	grep -q 'Released lock at' log
}

@test "the next definition of _exit is called, another preload's or a sanitizer's runtime's" {
	printf '%s\n' '#include <sys/syscall.h>' '#include <unistd.h>' 'void _exit(int status) { (void)status; for (;;) syscall(SYS_exit_group, 77); }' >next.c
	gcc -w -shared -fPIC -o next.so next.c
	run -77 env LD_PRELOAD="$SHIM:$PWD/next.so" "$HELPERS/lastcall" plain
	file_is_gone "$LOCK"
	# It has no _Exit.
	run -7 env LD_PRELOAD="$SHIM:$PWD/next.so" "$HELPERS/lastcall" _Exit plain
	file_is_gone "$LOCK"
}

@test "gcc's shared runtime for threads ends a program that calls _exit() with its own status" {
	cat >race.c <<-'C'
		#include <pthread.h>
		#include <unistd.h>
		static int shared;
		static void *work(void *unused) { shared++; return unused; }
		int main(void)
		{
			pthread_t one, two;
			pthread_create(&one, NULL, work, NULL);
			pthread_create(&two, NULL, work, NULL);
			pthread_join(one, NULL);
			pthread_join(two, NULL);
			_exit(0);
		}
	C
	gcc -w -g -fsanitize=thread -o race race.c 2>/dev/null || skip "gcc has no thread sanitizer"
	readelf -d race | grep -q libtsan || skip "the runtime is linked statically"
	run ./race
	[[ $status -eq 66 ]] || skip "the runtime does not run here"
	run -66 guarded ./race
	file_is_gone "$LOCK"
}

@test "a preload that ends the process before the library's constructor has run ends it with its own status" {
	printf '%s\n' '#include <unistd.h>' '__attribute__((constructor)) static void end(void) { _exit(7); }' >early.c
	gcc -w -shared -fPIC -o early.so early.c
	run -7 env LD_PRELOAD="$SHIM:$PWD/early.so" "$HELPERS/hold"
	[[ $output == "" ]]
}

@test "a program with musl gives the lock back by _exit() and _Exit()" {
	command -v musl-gcc >/dev/null || skip "no musl-gcc"
	! readelf -d "$BUILD/libexlock.so" | grep -q NEEDED || skip "the library needs glibc's sanitizer runtime"
	local function
	for function in _exit _Exit; do
		printf '#include <stdlib.h>\n#include <unistd.h>\nint main(void) { %s(7); }\n' "$function" >quick.c
		musl-gcc -o quick quick.c
		run -7 guarded ./quick
		file_is_gone "$LOCK"
	done
}

@test "scripts leave no lock file, and their subshells leave it alone, in each shell" {
	local shell ran=0
	for shell in dash bash ksh mksh zsh; do
		command -v "$shell" >/dev/null || continue
		ran=$((ran + 1))
		run -7 guarded "$shell" -c '(exit 3) || echo "$?"; echo a b | cat | (read -r one two; echo "$two"); test -e "$EXCLUSIVELOCK_LOCKFILE"; echo "$?"; exit 7'
		[[ $output == $'3\nb\n0' ]] || { echo "$shell: $output"; false; }
		file_is_gone "$LOCK"
	done
	((ran > 0))
}

@test "40 imports by argument list, each of which ends by _exit(), leave no file" {
	local number
	unset EXCLUSIVELOCK_NAME
	printf '#!/bin/sh\n: import "$1"\n' >import.sh
	chmod +x import.sh
	for number in {1..40}; do
		"$LAUNCH" -a ./import.sh "order-$number.csv"
	done
	[[ $(ls "$LOCKS") == "" ]]
}

@test "perl and python3 that end by _exit() leave no lock file" {
	run -7 guarded /usr/bin/perl -MPOSIX -e 'system("true"); print "lost"; POSIX::_exit(7)'
	[[ $output == "" ]]
	file_is_gone "$LOCK"
	run -7 guarded /usr/bin/python3 -c '
import os
child = os.fork()
if child == 0:
    os._exit(3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), os.path.exists(os.environ["EXCLUSIVELOCK_LOCKFILE"]), flush=True)
os._exit(7)'
	[[ $output == "3 True" ]]
	file_is_gone "$LOCK"
}
