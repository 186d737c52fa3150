# SPDX-License-Identifier: MIT
# A program that goes into the background takes its lock along.

load test_helper

setup() {
	clean_environment
	cd "$BATS_TEST_TMPDIR" || return
}
teardown() { end_processes; }

# Starts "daemon", waits until its foreground process has left and the daemon is ready; sets DAEMON to the latter's PID.
start_daemon() {
	rm -f ready
	env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=daemon "$HELPERS/daemonize" "$1" "$2" "$PWD/ready" >out 2>&1 3>&-
	poll file_has_content ready
	DAEMON=$(<ready)
	ENDLATER+=("$DAEMON")
}

assert_exclusive_until_it_ends() {
	assert_refused daemon "$DAEMON"
	run -1 flock --nonblock "$(lock_file daemon)" true
	kill -TERM "$DAEMON"
	poll process_has_ended "$DAEMON"
	file_is_gone "$(lock_file daemon)"
	assert_free daemon
}

@test "a program that calls daemon(3) is exclusive until the daemon ends, and the daemon is named" {
	start_daemon daemon exit
	assert_exclusive_until_it_ends
}

@test "a daemon is exclusive when its parent has left by exit()" {
	start_daemon single exit
	assert_exclusive_until_it_ends
}

@test "a daemon is exclusive when its parent has left by _exit()" {
	start_daemon single _exit
	assert_exclusive_until_it_ends
}

@test "a daemon that forked twice and closed everything is exclusive when its parents have left by exit()" {
	start_daemon double exit
	assert_exclusive_until_it_ends
}

@test "a daemon that forked twice and closed everything is exclusive when its parents have left by _exit()" {
	start_daemon double _exit
	[[ $(<"$(lock_file daemon)") == "$DAEMON" ]]
	assert_exclusive_until_it_ends
}

@test "a daemon that forked twice and closed everything is exclusive when its parents have left by a system call of their own" {
	start_daemon double exit_group
	[[ $(<"$(lock_file daemon)") != "$DAEMON" ]]
	assert_exclusive_until_it_ends
}

@test "a kernel that cannot be asked for single mappings shows the daemon by their text" {
	command -v strace >/dev/null || skip "needs strace"
	start_daemon daemon exit
	run -1 strace -f -qq -o trace -e trace=ioctl -e inject=ioctl:error=ENOTTY env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=daemon touch intruder
	[[ $output == "$(refusal daemon "$DAEMON")" ]]
	# PROCMAP_QUERY was refused: otherwise this shows nothing.
	grep -qi "0x.*0x11.*ENOTTY\|PROCMAP_QUERY.*ENOTTY" trace || { cat trace; false; }
	assert_exclusive_until_it_ends
}

@test "a killed daemon leaves the name free at once" {
	start_daemon double exit_group
	kill -KILL "$DAEMON"
	poll process_has_ended "$DAEMON"
	assert_free daemon
}

@test "after its parent has left by exit() the daemon is in the lock file, and refuses a Python program by its PID" {
	start_daemon single exit
	[[ $(<"$(lock_file daemon)") == "$DAEMON" ]]
	run -1 timeout 10 "$SOURCE/tests/peers/exclusive.py" daemon
	[[ $output == "$(refusal daemon "$DAEMON")" ]]
}

@test "the daemon is in the lock file however closely its two parents leave one after the other by exit()" {
	local round
	for round in {1..60}; do
		start_daemon double exit
		[[ $(<"$(lock_file daemon)") == "$DAEMON" ]] || {
			echo "round $round: $DAEMON is the daemon, the file says $(<"$(lock_file daemon)")"
			false
		}
		kill -TERM "$DAEMON"
		poll process_has_ended "$DAEMON"
	done
}

@test "after daemon(3), whose parent ends inside libc, the next start heals the record, and a Python program is refused, too" {
	start_daemon daemon exit
	[[ $(<"$(lock_file daemon)") != "$DAEMON" ]]
	assert_refused daemon "$DAEMON"
	[[ $(<"$(lock_file daemon)") == "$DAEMON" ]]
	run -1 timeout 10 "$SOURCE/tests/peers/exclusive.py" daemon
	[[ $output == "$(refusal daemon "$DAEMON")" ]]
}
