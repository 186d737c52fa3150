# SPDX-License-Identifier: MIT
# The children of a guarded program are never refused, and do not keep its lock once it has ended.

# shellcheck disable=SC2016,SC2030,SC2031 # every test is a subshell; $ is for the shell inside
load test_helper

setup() {
	clean_environment
	cd "$BATS_TEST_TMPDIR" || return
	# What waits in the background goes on until this is gone, at the latest.
	touch alive
}
teardown() { end_processes; }

# COMMAND under the shim; every command that it starts asks for the same name.
job() {
	env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=job "$@"
}

@test "workers that leave by exit() take neither the lock nor its file along" {
	start_holder EXCLUSIVELOCK_NAME=job "$HELPERS/workers" 20
	file_is_there "$(lock_file job)"
	assert_refused job "$HOLDER"
	run -1 flock --nonblock "$(lock_file job)" true
	kill -TERM "$HOLDER"
	wait "$HOLDER"
	assert_free job
}

# The program returns the status of its command, which ran others one after another and at the same time.
assert_commands_pass() {
	local environment
	for environment in inherit own; do
		rm -f one two three
		run -42 job "$HELPERS/runner" "$1" "$environment" 'touch one; touch two & touch three & wait; exit 42'
		[[ $output == "" ]]
		ls one two three
		assert_free job
	done
}

@test "commands by system() are not refused, in an environment of their own neither" {
	assert_commands_pass system
}

@test "commands by popen() are not refused, in an environment of their own neither" {
	assert_commands_pass popen
}

@test "commands by posix_spawn() are not refused, in an environment of their own neither" {
	assert_commands_pass posix_spawn
}

@test "commands by vfork() are not refused, in an environment of their own neither" {
	assert_commands_pass vfork
}

@test "commands by fork() are not refused, in an environment of their own neither" {
	assert_commands_pass fork
}

@test "a grandchild whose environment was built twice over is not refused" {
	local clean="env -i LD_PRELOAD=$SHIM EXCLUSIVELOCK_NAME=job EXCLUSIVELOCK_DIR=$LOCKS"
	run -42 job sh -c "$clean sh -c '$clean touch one; touch two'; exit 42"
	[[ $output == "" ]]
	ls one two
}

# A background script goes on after the program has ended: one command stays, and another must pass all the same.
assert_nobody_is_refused_later() {
	cat >later <<-EOF
		until [ -e go ] || [ ! -e alive ]; do sleep 0.01; done
		'$HELPERS/hold' >one &
		until grep -qs ready one || ! kill -0 \$!; do sleep 0.01; done
		touch two
		echo \$? >status
	EOF
	job "$HELPERS/runner" system "$1" 'sh ./later >later.out 2>&1 3>&- &'
	assert_free job
	touch go
	poll file_has_content status
	ENDLATER+=("$(cut -d ' ' -f 2 one)")
	cat later.out
	[[ $(<status) == 0 && ! -s later.out ]]
	assert_free job
}

@test "commands that start after the program has ended are not refused and do not hold its lock" {
	assert_nobody_is_refused_later inherit
}

@test "the same commands in an environment without our marks are not refused either" {
	assert_nobody_is_refused_later own
}

@test "a forked child that goes on holds the lock, and its commands are not refused" {
	local shell
	for shell in bash dash; do
		rm -f go one two status
		job "$shell" -c '(until [ -e go ] || [ ! -e alive ]; do sleep 0.01; done
			touch one; touch two; echo $? >status) & exit' >later.out 2>&1 3>&-
		run -1 job true
		touch go
		poll file_has_content status
		ls one two
		[[ $(<status) == 0 && ! -s later.out ]]
		poll job EXCLUSIVELOCK_QUIET=1 true
	done
}

@test "a child by exec that outlives the program does not keep the lock" {
	job sh -c '"$0" >one & until grep -qs ready one || ! kill -0 $!; do sleep 0.01; done' "$HELPERS/hold" 3>&-
	ENDLATER+=("$(cut -d ' ' -f 2 one)")
	assert_free job
	kill -0 "${ENDLATER[0]}"
}

@test "a child that the program starts in its very last moment does not keep the lock" {
	local round shell child
	for round in {1..60}; do
		for shell in dash bash; do
			run -0 job "$shell" -c 'sleep 1000 >/dev/null 2>late 3>&- & echo $!; exit'
			child=$output
			ENDLATER+=("$child")
			run -0 job echo in
			[[ $output == in ]] || { echo "$shell, round $round: $output"; false; }
			# One that is so late that the next program has the lock already is refused.
			kill -0 "$child" || grep -q process late
			kill -KILL "$child" || :
		done
	done
}

@test "two commands that the program starts in its very last moment do not refuse each other" {
	local round
	for round in {1..60}; do
		rm -f two
		run -0 job sh -c 'sleep 1000 >/dev/null 2>&1 3>&- & echo $!; touch two 2>/dev/null 3>&- & exit'
		ENDLATER+=("$output")
		poll file_is_there two || { echo "round $round"; false; }
		kill -KILL "$output"
	done
}

@test "a child that calls exec after its ending parent has handed the lock on to another one is not refused" {
	local worker
	mkfifo go flushed
	exec 8<>flushed 9<>go
	env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=job "$HELPERS/heir" go touch ran >flushed 2>said 3>&- 8>&- 9>&- &
	ENDLATER+=($!)
	poll file_has_content said
	worker=$(<said)
	ENDLATER+=("$worker")
	poll grep -qx "$worker" "$(lock_file job)"
	kill -0 "${ENDLATER[0]}"
	echo >&9
	poll file_is_there ran || { cat said; false; }
	kill -0 "${ENDLATER[0]}"
}

@test "a descendant's LD_PRELOAD has lost our entry and kept the others" {
	local text
	for text in "$SHIM" "libm.so.6:$SHIM:libdl.so.2" "$SHIM libm.so.6:libdl.so.2" "libm.so.6 $SHIM"; do
		run -0 env LD_PRELOAD="$text" EXCLUSIVELOCK_NAME=job sh -c 'sh -c "echo \$LD_PRELOAD; exit"; exit'
		text=${text/"$SHIM"/}
		# The separators are of no interest.
		[[ $(tr -s ': ' '\n' <<<"$output" | sed '/^$/d') == $(tr -s ': ' '\n' <<<"$text" | sed '/^$/d') ]]
	done
	run -0 job sh -c 'sh -c "grep libexlock /proc/self/maps; exit 0"; exit'
	[[ $output == "" ]]
}

@test "bash, dash, perl and python run commands under their own name" {
	run -42 job bash -c 'touch one; (touch two) & wait; x=$(echo three | cat); touch "$x"; exit 42'
	ls one two three && rm one two three
	run -42 job dash -c 'touch one; (touch two) & wait; x=$(echo three | cat); touch "$x"; exit 42'
	ls one two three && rm one two three
	run -42 job perl -e 'system("touch one; touch two") == 0 or die; print `touch three`; exit 42'
	ls one two three && rm one two three
	run -42 job /usr/bin/python3 -c 'import os, subprocess
subprocess.run(["touch", "one"], check=True)
subprocess.run("touch two & touch three; wait", shell=True, check=True)
kept = ("LD_PRELOAD", "EXCLUSIVELOCK_NAME", "EXCLUSIVELOCK_DIR", "PATH")
subprocess.run(["touch", "four"], check=True, env={name: os.environ[name] for name in kept})
raise SystemExit(42)'
	ls one two three four
}

@test "a program without a name of its own may start itself, also without our marks" {
	run -42 guarded /usr/bin/python3 -c 'import os, subprocess, sys
again = [sys.executable, "-c", "print(1)"]
subprocess.run(again, check=True)
kept = ("LD_PRELOAD", "EXCLUSIVELOCK_DIR")
subprocess.run(again, check=True, env={name: os.environ[name] for name in kept})
raise SystemExit(42)'
	[[ $output == $'1\n1' ]]
}

@test "a library whose name is just as long as ours stays in the preload of the program's commands" {
	cp "$HELPERS/libneighbour.so" libexlocq.so
	run -0 env LD_PRELOAD="$SHIM:$PWD/libexlocq.so" EXCLUSIVELOCK_NAME=job sh -c 'sh -c "env | grep ^LD_PRELOAD="'
	[[ ${lines[-1]} == "LD_PRELOAD=$PWD/libexlocq.so" ]]
}

@test "a child of a Python program's is not refused, nor does it wait, while another one has the flock for an instant" {
	command -v strace >/dev/null || skip "needs strace"
	local on_held
	# The program writes what the package does, its PID alone; the first time that the child asks for the flock, it is taken.
	for on_held in abort wait; do
		run -0 timeout 60 bash -c 'printf %s $$ >"$1"; shift; "$@"; exit' bash "$(lock_file python)" \
			strace -qq -o /dev/null -e trace=flock -e inject=flock:error=EAGAIN:when=1 \
			env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=python EXCLUSIVELOCK_ON_HELD="$on_held" echo passed
		[[ $output == passed ]]
		rm "$(lock_file python)"
	done
}
