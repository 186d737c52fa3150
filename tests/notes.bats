# SPDX-License-Identifier: MIT
# What libexlock(7) says in its NOTES of environments that are cleared, of names and of what outlives a process: it is so, and the remedy
# that stands beside it helps.

# shellcheck disable=SC2016,SC2030,SC2031 # $ is for the shell inside; every test is a subshell

load test_helper

setup() {
	clean_environment
	ENDLATER=()
	cd "$BATS_TEST_TMPDIR" || return
	PRELOADED=(env LD_PRELOAD="$SHIM")
}

teardown() {
	end_processes
}

# The scripts that are started here.
write_script() {
	printf '#!/bin/sh\n%s\n' "$2" >"$1"
	chmod 755 "$1"
}

# Starts COMMAND, which leaves a daemon behind that writes its PID to the file "daemon"; sets DAEMON.
leave_daemon() {
	rm -f daemon
	"$@" 2>err 3>&-
	poll file_has_content daemon
	DAEMON=$(<daemon)
	ENDLATER+=("$DAEMON")
}

end_daemon() {
	kill -TERM "$DAEMON"
	poll process_has_ended "$DAEMON"
}

# Starts COMMAND, which becomes "hold", in the background; sets HOLDER to the PID that it says when it is ready.
start_command() {
	: >ready
	"$@" >ready 2>err 3>&- &
	ENDLATER+=("$!")
	poll grep -q ready ready
	read -r _ HOLDER <ready
	ENDLATER+=("$HOLDER")
}

end_holder() {
	kill -TERM "$HOLDER"
	poll process_has_ended "$HOLDER"
}

# COMMAND, which would hold a lock of the name NAME, is refused by HOLDER.
assert_command_refused() {
	local name=$1
	shift
	run -1 timeout 20 "$@"
	[[ $output == "$(refusal "$name" "$HOLDER")" ]]
}

# COMMAND, a program that waits for a signal, gets in.
assert_command_runs() {
	local first=$HOLDER
	start_command "$@"
	end_holder
	HOLDER=$first
}

@test "a script that becomes a program without its environment holds the lock until that program ends" {
	write_script job "exec env -i '$HELPERS/hold'"
	start_command "$LAUNCH" ./job
	assert_command_refused "$PWD/job" "$LAUNCH" ./job
	end_holder
	start_command "${PRELOADED[@]}" ./job
	assert_command_refused "$PWD/job" "${PRELOADED[@]}" ./job
	end_holder
}

@test "a daemon whose environment was cleared does not keep the lock; in scope tree it does" {
	write_script job "exec env -i '$HELPERS/daemonize' single _exit '$PWD/daemon'"
	local start
	for start in "$LAUNCH" guarded; do
		leave_daemon "$start" ./job
		assert_free "$PWD/job"
		end_daemon
		export EXCLUSIVELOCK_SCOPE=tree
		leave_daemon "$start" ./job
		assert_refused "$PWD/job" "$DAEMON"
		end_daemon
		unset EXCLUSIVELOCK_SCOPE
		assert_free "$PWD/job"
	done
}

@test "with env -i it is env that is guarded, under its own name; the launcher behind it guards the program" {
	start_command "${PRELOADED[@]}" env -i "$HELPERS/hold"
	assert_command_refused "$(realpath "$(type -P env)")" "${PRELOADED[@]}" env -i true
	assert_command_runs "${PRELOADED[@]}" "$HELPERS/hold"
	end_holder
	start_command env -i EXCLUSIVELOCK_DIR="$LOCKS" "$LAUNCH" "$HELPERS/hold"
	assert_command_refused "$HELPERS/hold" "${PRELOADED[@]}" "$HELPERS/hold"
	end_holder
}

# Sets PORT to one that is free now, for "uring".
choose_port() {
	local status=77
	while ((status == 77)); do
		PORT=$((20000 + RANDOM % 12000))
		status=0
		"$HELPERS/uring" "$PORT" || status=$?
	done
	((status != 78)) || skip "needs a kernel that allows io_uring"
	((status == 0))
}

# Neither 0 nor "busy": the start was refused, or worse.
listens_or_is_busy() {
	local status=0
	"$@" "$HELPERS/uring" "$PORT" || status=$?
	((status == 0 || status == 77)) || echo "$status" >>wrong
	((status == 0))
}

@test "a socket that an io_uring keeps is closed when its process is gone and the lock is free; who tries again gets the port" {
	local PORT start
	choose_port
	for start in "$LAUNCH" guarded "flock --nonblock $PWD/file"; do
		for _ in {1..10}; do
			# shellcheck disable=SC2086 # flock's words
			poll listens_or_is_busy $start
		done
	done
	file_is_gone wrong
}

@test "a link that is moved to the next release is two names; with -n it is one" {
	mkdir -p releases/{1,2}
	cp "$HELPERS/hold" releases/1/job
	cp "$HELPERS/hold" releases/2/job
	ln -s releases/1 current
	start_command "$LAUNCH" current/job
	assert_command_refused "$PWD/releases/1/job" "${PRELOADED[@]}" current/job
	ln -sfn releases/2 current
	assert_command_runs "$LAUNCH" current/job
	assert_command_runs "${PRELOADED[@]}" current/job
	end_holder
	ln -sfn releases/1 current
	start_command "$LAUNCH" -n job current/job
	ln -sfn releases/2 current
	assert_command_refused job "$LAUNCH" -n job current/job
	assert_command_refused job "${PRELOADED[@]}" EXCLUSIVELOCK_NAME=job current/job
}

@test "two hard links of one program are two names; with -n they are one" {
	cp "$HELPERS/hold" one
	ln one two
	start_command "${PRELOADED[@]}" ./one
	assert_command_runs "${PRELOADED[@]}" ./two
	assert_command_runs "$LAUNCH" ./two
	end_holder
	start_command "$LAUNCH" -n job ./one
	assert_command_refused job "$LAUNCH" -n job ./two
}

@test "a program under a bind mount has another name there; with -n it has one" {
	needs_mount_namespace
	mkdir here there
	cp "$HELPERS/hold" here/job
	start_command "$LAUNCH" here/job
	assert_command_runs in_mount_namespace 'mount --bind here there; exec "$@" there/job' "$LAUNCH"
	end_holder
	start_command "$LAUNCH" -n job here/job
	run -1 in_mount_namespace 'mount --bind here there; exec timeout 20 "$@" there/job' "$LAUNCH" -n job
	[[ $output == "$(refusal job "$HOLDER")" ]]
}

@test "a program that puts itself into memory holds its own file's lock; what is first guarded in memory has that memory's name" {
	start_command "$LAUNCH" "$HELPERS/memfd" packed "$HELPERS/hold"
	assert_command_refused "$HELPERS/memfd" "$LAUNCH" "$HELPERS/memfd" other "$HELPERS/hold"
	assert_command_refused "$HELPERS/memfd" "${PRELOADED[@]}" "$HELPERS/memfd" packed "$HELPERS/hold"
	end_holder
	export PRELOAD_INTO_MEMORY=$SHIM
	start_command "$HELPERS/memfd" packed "$HELPERS/hold"
	assert_command_refused /memfd:packed "$HELPERS/memfd" packed /bin/true
	assert_command_runs "$HELPERS/memfd" other "$HELPERS/hold"
	end_holder
	start_command env EXCLUSIVELOCK_NAME=job "$HELPERS/memfd" packed "$HELPERS/hold"
	assert_command_refused job env EXCLUSIVELOCK_NAME=job "$HELPERS/memfd" other /bin/true
}
