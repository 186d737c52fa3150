#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# A guarded program sees the same process, and is seen to do the same, as without the shim.
# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154 # every test is a subshell; run sets $stderr

load test_helper

setup() {
	clean_environment
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	end_processes
}

# Runs COMMAND twice, without and with the shim; its output, messages and status must be the same.
# Both go through env, so that the two processes differ in nothing else.
same() {
	local plain guarded
	env LD_PRELOAD= "$@" >plain.out 2>plain.err && plain=0 || plain=$?
	env LD_PRELOAD="$SHIM" "$@" >guarded.out 2>guarded.err && guarded=0 || guarded=$?
	[[ $plain == "$guarded" ]] || { echo "status $plain and $guarded: $*"; return 1; }
	diff plain.out guarded.out && diff plain.err guarded.err
}

# The same for what `state` finds in its process. It writes to a file, so that any of 0, 1 and 2 may be closed.
same_state() {
	env LD_PRELOAD= "$HELPERS/state" state && mv state plain.state
	env LD_PRELOAD="$SHIM" "$HELPERS/state" state && mv state guarded.state
	diff plain.state guarded.state && [[ $(wc -l <guarded.state) -gt 80 ]]
}

@test "descriptors, signals, limits, timers, identity and environment at main are as without the shim, and errno is 0" {
	same_state
	grep -qx 'errno 0' guarded.state
}

@test "they are so when an old lock file is found, and when its process lives no more" {
	export EXCLUSIVELOCK_NAME=job
	printf 999999999 >"$(lock_file job)"
	same_state
	printf '4194304\n' >"$(lock_file job)"
	same_state
}

@test "they are so whichever of the descriptors 0, 1 and 2 are closed" {
	same_state <&-
	same_state >&-
	same_state 2>&-
	same_state <&- >&-
	same_state <&- 2>&-
	same_state >&- 2>&-
	same_state <&- >&- 2>&-
	[[ -z $(ls -A "$LOCKS") ]]
}

@test "with descriptors closed, no message gets into the lock file" {
	export EXCLUSIVELOCK_NAME=job EXCLUSIVELOCK_LOG=stderr
	lock=$(lock_file job)
	for closed in '2>&-' '<&- 2>&-' '>&- 2>&-' '<&- >&- 2>&-'; do
		eval "env LD_PRELOAD='$SHIM' '$HELPERS/hold' $closed 3>&- &"
		holder=$!
		ENDLATER+=("$holder")
		poll grep -qsx "$holder" "$lock"
		run -1 sh -c "exec \"\$@\" $closed" sh env LD_PRELOAD="$SHIM" "$HELPERS/stages"
		[[ $(<"$lock") == "$holder" ]] || { cat "$lock"; false; }
		kill -KILL "$holder"
		wait "$holder" || :
	done
}

@test "they are so with a umask, a working directory, blocked and ignored signals and pending timers of its own" {
	mkdir elsewhere
	cat >odd <<-'PYTHON'
		import os, resource, signal, sys
		os.umask(0o777)
		signal.signal(signal.SIGPIPE, signal.SIG_DFL)
		signal.signal(signal.SIGCHLD, signal.SIG_IGN)
		signal.signal(signal.SIGALRM, signal.SIG_IGN)
		signal.pthread_sigmask(signal.SIG_SETMASK, set(range(1, 65)) - {32, 33})
		os.kill(os.getpid(), signal.SIGUSR1)
		os.kill(os.getpid(), signal.SIGCHLD)
		signal.setitimer(signal.ITIMER_REAL, 1000)
		resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
		os.nice(1)
		os.set_inheritable(os.open("/dev/zero", os.O_RDONLY), True)
		out = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT)
		os.fchmod(out, 0o644)
		os.dup2(out, 1)
		os.environ["LD_PRELOAD"] = sys.argv[3]
		os.chdir("elsewhere")
		os.execve(sys.argv[1], ["state", "/dev/stdout"], os.environ)
	PYTHON
	/usr/bin/python3 odd "$HELPERS/state" "$PWD/out" ''
	mv out plain.state
	/usr/bin/python3 odd "$HELPERS/state" "$PWD/out" "$SHIM"
	sed -E 's/^(descriptor 1 .*) inode [^ ]*/\1/' plain.state >plain
	sed -E 's/^(descriptor 1 .*) inode [^ ]*/\1/' out >guarded
	diff plain guarded
	grep -q '^signal 17 ignored' guarded
	grep -q '^Umask:.0777' guarded
	[[ $(stat -c %a elsewhere) == 755 ]]
}

@test "they are so for a program that had to wait for its turn" {
	export EXCLUSIVELOCK_NAME=job EXCLUSIVELOCK_ON_HELD=wait EXCLUSIVELOCK_TIMEOUT=100
	start_holder "$HELPERS/hold"
	# Both in the background, where the shell gives a process other signals and another input.
	env LD_PRELOAD= "$HELPERS/state" state 3>&- &
	wait "$!"
	mv state plain.state
	env LD_PRELOAD="$SHIM" "$HELPERS/state" state 3>&- &
	waiter=$!
	ENDLATER+=("$waiter")
	poll grep -qs "${SHIM##*/}" "/proc/$waiter/maps"
	poll grep -qs '^State:.S' "/proc/$waiter/status"
	file_is_gone state
	kill -TERM "$HOLDER"
	wait "$waiter"
	diff plain.state state
}

@test "they are so for a program that runs in spite of another holder" {
	export EXCLUSIVELOCK_NAME=job EXCLUSIVELOCK_ON_HELD=flag
	start_holder "$HELPERS/hold"
	same_state
}

@test "constructors, exit handlers, destructors and the last flush come in the same order, with the same status" {
	for status in 0 1 3 125 255; do
		same "$HELPERS/stages" "$status"
	done
}

@test "programs print the same and end with the same status, or by the same signal" {
	seq 2000 >numbers
	same true
	same false
	same sort -rn numbers
	same cat numbers no-such-file
	same sh -c 'cat numbers | grep 7 | wc -l; exit 42'
	same ls -d numbers no-such-file
	same bash -c 'echo out; echo err >&2; kill -SEGV $$'
	same bash -c 'kill -PIPE $$'
	same sh -c 'exec sh -c "exec sh -c \"echo end; exit 9\""'
	same perl -e 'print "a\n"; END { print "end\n" } exit 5'
	same /usr/bin/python3 -c 'import atexit, sys; atexit.register(print, "end"); sys.exit(6)'
	same dd if=numbers bs=1 count=10 status=none
	same env -i sh -c 'echo inner'
}

@test "a program's standard input is left to it, unread" {
	seq 10 >numbers
	{
		read -r first
		rest=$(guarded cat)
	} <numbers
	[[ $first == 1 ]]
	[[ $rest == "$(seq 2 10)" ]]
}

@test "a program finds the marks of its lock in its environment, and no other change" {
	export EXCLUSIVELOCK_NAME=job
	env LD_PRELOAD="$SHIM" | sort >plain
	env LD_PRELOAD="$SHIM" env | sort >guarded
	diff plain guarded | grep '^[<>]' >changes || :
	[[ $(wc -l <changes) == 3 ]] || { cat changes; false; }
	grep -qx "> EXCLUSIVELOCK_LOCKFILE=$(lock_file job)" changes
	grep -qxE '> EXCLUSIVELOCK_PID=[0-9]+' changes
	grep -qxE '> EXCLUSIVELOCK_INSTANCE=.+' changes
}

@test "EXCLUSIVELOCK_PID is the program's own PID" {
	run -0 guarded sh -c 'echo $$ $EXCLUSIVELOCK_PID'
	read -r own told <<<"$output"
	[[ $own == "$told" ]]
}
