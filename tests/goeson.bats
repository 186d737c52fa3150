# SPDX-License-Identifier: MIT
# The same program goes on: a program that starts a new copy of itself and ends leaves its lock to that copy.
# shellcheck disable=SC2016,SC2030,SC2031,SC2153 # every test is a subshell; $ is for the shell inside

load test_helper

setup() {
	clean_environment
	cd "$BATS_TEST_TMPDIR" || return
	export EXCLUSIVELOCK_NAME=job
	LOCK=$(lock_file job)
	PROGRAM=$HELPERS/copies
}

teardown() { end_processes; }

# Starts a program that does what `tell` says. Sets FIRST.
start_program() {
	: >"$BATS_TEST_TMPDIR/out"
	mkfifo orders
	env LD_PRELOAD="$SHIM" "$PROGRAM" "$PWD/ready" "$@" <orders >out 3>&- &
	FIRST=$!
	ENDLATER+=("$FIRST")
	exec 4>orders
	poll grep -q ready out
}

tell() { echo "$@" >&4; }

# Sets the variable NAME to the PID of the process that writes it into FILE.
await_process() {
	poll file_has_content "$2"
	printf -v "$1" %s "$(<"$2")"
	ENDLATER+=("$(<"$2")")
	rm "$2"
}

end_first() {
	local status=0
	tell "$1"
	wait "$FIRST" || status=$?
	[[ $status -eq $2 ]]
}

assert_left_to() {
	[[ $(<"$LOCK") == "$1" ]]
	assert_refused job "$1"
	run -1 timeout 10 "$SOURCE/tests/peers/exclusive.py" job
	[[ $output == "$(refusal job "$1")" ]]
}

end_process() {
	kill -TERM "$1"
	poll process_has_ended "$1"
}

# shellcheck disable=SC2153 # set by await_process
@test "a program that starts its new copy and ends by exit() or _exit() leaves it the lock, and the copy gives it back" {
	local how
	for how in exit _exit; do
		start_program a 'b c'
		tell copy
		await_process COPY ready
		[[ $(<"$LOCK") == "$FIRST" ]]
		end_first "$how" 7
		assert_left_to "$COPY"
		end_process "$COPY"
		file_is_gone "$LOCK"
		rm orders
	done
}

@test "a copy that is executed only when the program has begun to let go has the lock" {
	local how
	for how in exit _exit; do
		start_program
		tell late
		end_first "$how" 7
		await_process COPY ready
		assert_left_to "$COPY"
		end_process "$COPY"
		file_is_gone "$LOCK"
		rm orders
	done
}

# The same, started by a process that never waits for its children. Sets FIRST.
start_program_of_careless_parent() {
	mkfifo orders
	sh -c 'LD_PRELOAD=$0 "$@" <orders >out & echo $! >first; exec sleep 600' "$SHIM" "$PROGRAM" "$PWD/ready" 3>&- &
	ENDLATER+=("$!")
	exec 4>orders
	await_process FIRST first
	poll grep -q ready out
}

@test "a daemon whose parent has ended by daemon(3) leaves the lock to its new copy, whether it ends by exit() or _exit(), and whether anybody has waited for the parent" {
	local how waits
	for how in exit _exit; do
		for waits in yes no; do
			if [[ $waits == yes ]]; then
				start_program
			else
				start_program_of_careless_parent
			fi
			tell daemon
			await_process DAEMON ready
			tell copy
			await_process COPY ready
			[[ $(<"$LOCK") == "$FIRST" ]]
			tell "$how"
			poll process_has_ended "$DAEMON"
			assert_left_to "$COPY"
			end_process "$COPY"
			file_is_gone "$LOCK"
			rm orders
		done
	done
}

@test "a daemon that the record does not name, for its parent has ended by daemon(3), gives the lock back by _exit(), and its child by vfork() does not" {
	start_program
	tell daemon
	await_process DAEMON ready
	tell vfork
	await_process DAEMON ready
	assert_refused job "$DAEMON"
	tell _exit
	poll process_has_ended "$DAEMON"
	file_is_gone "$LOCK"
	rm orders
	start_program
	tell daemon
	await_process DAEMON ready
	[[ $(<"$LOCK") == "$FIRST" ]]
	tell _exit
	poll process_has_ended "$DAEMON"
	file_is_gone "$LOCK"
}

@test "nothing is left to a copy after a kill" {
	start_program
	tell copy
	await_process COPY ready
	end_first kill 137
	assert_free job
}

@test "a child of the same executable with other arguments is no copy, nor is one of another executable with the same ones" {
	start_program -D
	tell "copy $PWD/ready -R"
	await_process COPY ready
	end_first exit 7
	file_is_gone "$LOCK"
	rm orders
	cp "$PROGRAM" other
	start_program -D
	tell "as $PWD/other"
	await_process COPY ready
	[[ $(tr '\0' ' ' <"/proc/$COPY/cmdline") == "$(tr '\0' ' ' <"/proc/$FIRST/cmdline")" ]]
	end_first exit 7
	file_is_gone "$LOCK"
}

@test "a copy of a program that was replaced by a newer version meanwhile is one" {
	cp "$PROGRAM" app
	PROGRAM=$PWD/app start_program
	cp app new
	mv new app
	tell copy
	await_process COPY ready
	[[ $(readlink "/proc/$FIRST/exe") == "$PWD/app (deleted)" ]]
	end_first _exit 7
	assert_left_to "$COPY"
}

@test "an AppImage's copy, which runs below a folder of another name, is one" {
	local number
	for number in Xa1Fq2 o3Xc4R; do
		mkdir -p "tmp/.mount_app$number/usr"
		cp "$PROGRAM" "tmp/.mount_app$number/usr/app"
	done
	PROGRAM=$PWD/tmp/.mount_appXa1Fq2/usr/app start_program
	tell "from $PWD/tmp/.mount_appo3Xc4R/usr/app"
	await_process COPY ready
	end_first exit 7
	assert_left_to "$COPY"
}

@test "of two copies the younger one has the lock" {
	start_program
	tell copy
	await_process COPY ready
	# A start time counts hundredths of a second.
	poll is_older_than_a_tick "$COPY"
	tell copy
	await_process YOUNGER ready
	end_first exit 7
	assert_left_to "$YOUNGER"
}

# PID began in an earlier hundredth of a second than a process that begins now.
is_older_than_a_tick() { [[ $(cut -d ' ' -f 22 "/proc/$1/stat") != "$(cut -d ' ' -f 22 /proc/self/stat)" ]]; }

@test "a copy's own forked worker does not get its lock" {
	start_program master
	tell copy
	await_process COPY ready
	await_process WORKER ready.worker
	end_first exit 7
	assert_left_to "$COPY"
	kill -TERM "$WORKER"
}

@test "beside a forked worker that goes on it is the copy that is recorded, and the lock is held until both have ended" {
	start_program
	tell worker
	await_process WORKER ready
	tell copy
	await_process COPY ready
	end_first exit 7
	assert_left_to "$COPY"
	end_process "$COPY"
	assert_refused job "$WORKER"
	end_process "$WORKER"
	assert_free job
}

# A script that starts itself by a WRAPPER, which it does not wait for, and ends.
make_script() {
	cat >app <<-'SCRIPT'
		#!/bin/sh
		if [ -z "$COPY" ]; then
			export COPY=1
			$WRAPPER "$0" "$@" &
			exit 7
		fi
		echo "$$" >ready.new
		mv ready.new ready
		read -r _ <go
	SCRIPT
	sed -i "1s,.*,#!$(command -v "$1")," app
	chmod +x app
}

@test "a script that starts itself, also by nohup, setsid, nice or env, and ends at once leaves its lock to the copy" {
	local shell wrapper status
	mkfifo go
	unset EXCLUSIVELOCK_NAME
	LOCK=$(lock_file "$PWD/app")
	for shell in dash bash; do
		command -v "$shell" >/dev/null || continue
		make_script "$shell"
		for wrapper in '' nohup setsid 'nice -n 1' 'env A=1' 'nice nohup'; do
			[[ $shell == dash || $wrapper == '' ]] || continue
			status=0
			WRAPPER=$wrapper guarded ./app a 'b c' >out 2>&1 3>&- || status=$?
			[[ $status -eq 7 ]]
			await_process COPY ready
			[[ -e $LOCK && $(<"$LOCK") == "$COPY" ]] || { echo "$shell, $wrapper: $(ls "$LOCKS")"; false; }
			run -1 guarded ./app
			[[ $output == "$(refusal "$PWD/app" "$COPY")" ]]
			echo >go
			poll process_has_ended "$COPY"
			run -0 guarded EXCLUSIVELOCK_NAME="$PWD/app" true
		done
	done
}

@test "a background subshell of a script keeps the lock, and is named; so it is under flock(1)" {
	local shell
	mkfifo go
	for shell in dash bash; do
		command -v "$shell" >/dev/null || continue
		# shellcheck disable=SC2034 # by the shell that is run
		guarded "$shell" -c '( echo ready; read -r word <go; : ) & exit 3' >out 3>&- || [[ $? -eq 3 ]]
		poll grep -q ready out
		assert_gets_named
		: >go
		poll process_has_ended "$KEEPER"
		assert_free job
	done
}

# The record names a living process, which refuses: KEEPER.
assert_gets_named() {
	run -1 guarded true
	KEEPER=$(<"$LOCK")
	[[ $output == "$(refusal job "$KEEPER")" ]]
	ENDLATER+=("$KEEPER")
}

@test "subshells that end with their script refuse no start that comes at once, 100 times" {
	local round shell refused=0
	cat >script <<-'SCRIPT'
		printf '%s\n' a b c | while read -r line; do :; done
		( : ) &
		( while read -r line; do :; done ) <pipe &
		exec 9>pipe
		echo line >&9
		exit 3
	SCRIPT
	mkfifo pipe
	for shell in dash bash; do
		command -v "$shell" >/dev/null || continue
		for round in {1..50}; do
			guarded "$shell" ./script 2>err 3>&- || [[ $? -eq 3 ]] || { echo "$shell, $round: $(<err)"; refused=$((refused + 1)); }
		done
	done
	((refused == 0))
}

@test "make in make is no copy that the lock is left to: it is free when make ends" {
	command -v make >/dev/null || skip "needs make"
	printf 'all:\n\t@if [ -e inner ]; then cat "$$EXCLUSIVELOCK_LOCKFILE"; else : >inner; $(MAKE); fi\n' >Makefile
	env LD_PRELOAD="$SHIM" make >out 3>&- &
	HOLDER=$!
	wait "$HOLDER"
	grep -qx "$HOLDER" out
	file_is_gone "$LOCK"
}

@test "who waits for the program's end waits for its copy's end, too" {
	start_program
	tell copy
	await_process COPY ready
	env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_ON_HELD=wait cat "$LOCK" >turn 3>&- &
	WAITER=$!
	ENDLATER+=("$WAITER")
	poll grep -qs -- "-> FLOCK .*:$(stat -c %i "$LOCK") " /proc/locks
	end_first _exit 7
	# It has looked at the record, and sleeps until the copy has ended.
	poll waits_for_no_flock
	[[ ! -s turn && $(<"$LOCK") == "$COPY" ]]
	end_process "$COPY"
	wait "$WAITER"
	[[ $(<turn) == "$WAITER" ]]
	file_is_gone "$LOCK"
}

waits_for_no_flock() { ! grep -qs "FLOCK .*:$(stat -c %i "$LOCK") " /proc/locks; }

@test "in scope tree a script that starts itself again and again stays exclusive, also by nohup, and leaves no file" {
	local wrapper status
	cat >app <<-'SCRIPT'
		#!/bin/bash
		COPY=$((COPY + 1))
		export COPY
		if ((COPY < 4)); then $WRAPPER "$0" "$@" & exit 7; fi
		echo "$$" >ready.new
		mv ready.new ready
		read -r _ <go
	SCRIPT
	chmod +x app
	mkfifo go
	export EXCLUSIVELOCK_SCOPE=tree
	for wrapper in '' nohup; do
		status=0
		COPY=0 WRAPPER=$wrapper guarded ./app a >out 2>&1 3>&- || status=$?
		[[ $status -eq 7 ]]
		await_process COPY ready
		assert_refused job "$COPY"
		echo >go
		poll process_has_ended "$COPY"
		file_is_gone "$LOCK"
	done
}
