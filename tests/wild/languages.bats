#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Programs in Debian's interpreters, with threads, children, signals, exit handlers: each is the same with and without the
# shim, refuses a second start in its middle, and refuses none of its own children.
# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154,SC2317 # code for others; subshells; set by bats; compare calls them

load compare

setup() {
	wild_setup
}

teardown() {
	wild_teardown
}

@test "python3: threads, fork, subprocess, multiprocessing, signals, exit handlers" {
	needs python3
	compare python3 "$WORKLOADS/python3.py"
	assert_status 42
	assert_shown '^multiprocessing spawn \[0, 1, 4'
	assert_shown '^child of the exit handler 8'
}

@test "perl: threads, fork, exec, pipes, signals, END" {
	needs perl
	compare perl "$WORKLOADS/perl.pl"
	assert_status 42
	assert_shown '^forked and killed 9'
	assert_shown '^END in parent with 42'
}

@test "ruby: threads, fork, spawn, pipes, signals, at_exit" {
	needs ruby
	compare ruby "$WORKLOADS/ruby.rb"
	assert_status 42
	assert_shown '^threads \[2, 4'
	assert_shown '^at_exit in parent false'
}

@test "php: fork, proc_open, signals, shutdown functions" {
	needs php
	compare php "$WORKLOADS/php.php"
	assert_status 42
	assert_shown '^shutdown function in parent'
	assert_shown '^the same program 5'
}

@test "lua: execute, popen, a buffer flushed at the end" {
	needs lua
	compare lua "$WORKLOADS/lua.lua"
	assert_status 42
	assert_shown '^left in the buffer'
	assert_shown '^collected'
}

@test "node: worker threads, child processes, cluster, exit handlers" {
	needs node
	compare node "$WORKLOADS/node.js"
	assert_status 42
	assert_shown '^cluster \[ 7, 7 \]'
	assert_shown '^exit handler 42 8'
}

@test "java: threads, processes, shutdown hooks" {
	needs java javac
	# Which number it gets is up to the machine's threads.
	mask() { sed -E 's/^descriptor [0-9]+ socket/descriptor # socket/'; }
	# Java's statistics would stay in /tmp.
	# Its compiler understands no other letters in a path than the locale has.
	cp "$WORKLOADS/Workload.java" "$BATS_TEST_TMPDIR"
	javac -J-XX:-UsePerfData -d "$BATS_TEST_TMPDIR/classes" "$BATS_TEST_TMPDIR/Workload.java"
	compare java -XX:-UsePerfData -Xshare:auto -cp "$BATS_TEST_TMPDIR/classes" Workload
	assert_status 42
	assert_shown '^shutdown hook 8'
}

@test "ends: exit handlers, none of them, an error, a signal, another program in its place" {
	needs python3 perl
	for ending in 'os._exit(7)' 'os.abort()' 'raise SystemExit("why")' 'undefined' 'os.kill(0 or os.getpid(), 9)' \
		'sys.stdout.close()' 'os.close(1); print("lost")' 'os.execvp("sh", ["sh", "-c", "echo replaced; exit 8"])' \
		'os.fork() and os.wait(); atexit.register(print, "twice")' 'os.setsid if os.fork() else os._exit(3); os.wait()' \
		'atexit.register(os._exit, 9); print("end", end="")' 'atexit.register(os.execvp, "sh", ["sh", "-c", "exit 10"])' \
		'os.closerange(0, 1000); sys.exit(11)' 'threading.Thread(target=lambda: os._exit(12)).start(); time.sleep(60)' \
		'ctypes.CDLL(None).quick_exit(13)' 'ctypes.CDLL(None).exit(14)' 'ctypes.string_at(0)' \
		'resource.setrlimit(resource.RLIMIT_AS, (0, 0)); sys.exit(15)' 'resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0)); sys.exit(16)'; do
		compare_briefly python3 -c "import atexit, ctypes, os, resource, sys, threading, time; $ending"
	done
	for ending in 'exec "sh", "-c", "exit 5"' 'die "why\n"' 'POSIX::_exit(6)' 'END { $? = 7 } exit 3' 'kill SEGV => $$' 'close STDOUT; print 1' \
		'END { exec "sh", "-c", "exit 8" }' 'fork or POSIX::_exit(1); wait; exit 9'; do
		compare_briefly perl -MPOSIX -e "$ending"
	done
}

@test "ends of the other languages: errors, signals, another program in their place" {
	for ending in 'process.abort()' 'throw 1' 'process.exitCode = 3' 'process.kill(process.pid, "SIGKILL")' 'process.reallyExit(4)'; do
		[[ ! -x /usr/bin/node ]] || compare_briefly node -e "$ending"
	done
	mask() { sed -E 's/\(pid [0-9]+\)//'; }
	for ending in 'exit! 3' 'abort "why"' 'raise "why"' 'exec "sh", "-c", "exit 4"' 'Process.kill :TERM, $$; sleep' 'Process.daemon; exit 5'; do
		[[ ! -x /usr/bin/ruby ]] || compare_briefly ruby -e "$ending"
	done
	for ending in 'exit(3);' 'throw new Exception;' 'posix_kill(getmypid(), 9);' 'pcntl_exec("/bin/sh", ["-c", "exit 4"]);'; do
		[[ ! -x /usr/bin/php ]] || compare_briefly php -r "$ending"
	done
	for ending in 'os.exit(3)' 'os.exit(4, true)' 'error("why")' 'io.stdout:close() os.exit(5)'; do
		[[ ! -x /usr/bin/lua ]] || compare_briefly lua -e "$ending"
	done
}

@test "programs that end by _exit(), in other languages, leave no lock file" {
	local file
	file=$(lock_file wild)
	ends_so() {
		run -7 guarded EXCLUSIVELOCK_NAME=wild "$@"
		file_is_gone "$file"
	}
	[[ ! -x /usr/bin/ruby ]] || ends_so ruby -e 'fork { exit! 3 }; Process.wait; exit!(7)'
	[[ ! -x /usr/bin/node ]] || ends_so node -e 'process.reallyExit(7)'
	[[ ! -x /usr/bin/busybox ]] || ends_so busybox sh -c '(exit 3); echo a | cat; exit 7'
	[[ -x /usr/bin/javac ]] || return 0
	printf 'public class Halt { public static void main(String[] words) { Runtime.getRuntime().halt(7); } }' >"$BATS_TEST_TMPDIR/Halt.java"
	javac -J-XX:-UsePerfData -d "$BATS_TEST_TMPDIR" "$BATS_TEST_TMPDIR/Halt.java"
	ends_so java -XX:-UsePerfData -cp "$BATS_TEST_TMPDIR" Halt
}

@test "programs go on as themselves by exec, and as another, and are the same holder all the way" {
	needs python3 perl bash
	cat >"$BATS_TEST_TMPDIR/first" <<-'PYTHON'
		#!/usr/bin/python3
		import os, subprocess, sys, threading
		print("python3", len(sys.argv), flush=True)
		threading.Thread(target=threading.Event().wait, daemon=True).start()
		if len(sys.argv) < 4:
		    os.execv(sys.argv[0], [*sys.argv, "again"])
		os.execvp("perl", ["perl", "-e", '$| = 1; print "perl\n"; exec "bash", "-c", q(echo bash; "$GATE/gate"; exec sh -c "exit 42")'])
	PYTHON
	chmod +x "$BATS_TEST_TMPDIR/first"
	compare "$BATS_TEST_TMPDIR/first" one
	assert_status 42
	assert_shown '^bash'
}

@test "scripts hold their own names: one keeps out itself, and not another of the same interpreter" {
	unset EXCLUSIVELOCK_NAME
	for interpreter in /bin/sh /bin/bash /usr/bin/perl /usr/bin/python3 /usr/bin/ruby '/usr/bin/env python3'; do
		[[ -x ${interpreter%% *} ]] || continue
		case $interpreter in
		*sh) code='echo ready; read -r line <"$1"' ;;
		*perl) code='$| = 1; print "ready\n"; open my $input, "<", shift; <$input>' ;;
		*python3) code='import sys; print("ready", flush=True); open(sys.argv[1]).read()' ;;
		*ruby) code='puts "ready"; $stdout.flush; File.read(ARGV[0])' ;;
		esac
		for name in one other; do
			printf '#!%s\n%s\n' "$interpreter" "$code" >"$BATS_TEST_TMPDIR/$name"
			chmod +x "$BATS_TEST_TMPDIR/$name"
		done
		mkfifo "$BATS_TEST_TMPDIR/input"
		start_holder "$BATS_TEST_TMPDIR/one" "$BATS_TEST_TMPDIR/input"
		for start in "env LD_PRELOAD=$SHIM" "$LAUNCH"; do
			# shellcheck disable=SC2086 # words
			run -1 $start "$BATS_TEST_TMPDIR/one" /dev/null
			[[ $output == "$(refusal "$BATS_TEST_TMPDIR/one" "$HOLDER")" ]] ||
				{ echo "$interpreter: $output"; return 1; }
		done
		run env LD_PRELOAD="$SHIM" "$BATS_TEST_TMPDIR/other" /dev/null
		[[ $output == ready* ]] || { echo "$interpreter: $output"; return 1; }
		echo go >"$BATS_TEST_TMPDIR/input"
		wait "$HOLDER" || :
		rm "$BATS_TEST_TMPDIR/input"
		run env LD_PRELOAD="$SHIM" "$BATS_TEST_TMPDIR/one" /dev/null
		[[ $output == ready* ]] || { echo "$interpreter: $output"; return 1; }
	done
}
