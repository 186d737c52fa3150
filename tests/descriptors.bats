# SPDX-License-Identifier: MIT
# The lock needs no descriptor that a program could close.

load test_helper

setup() { clean_environment; }
teardown() { end_processes; }

# Starts, as "closer", a program that closes all its descriptors by METHOD, and checks that it has done so.
start_closer() {
	env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=closer "$HELPERS/closeall" "$1" "$BATS_TEST_TMPDIR/ready" 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	poll file_has_content "$BATS_TEST_TMPDIR/ready"
	[[ -z $(ls "/proc/$HOLDER/fd") ]]
}

assert_exclusive_until_it_exits() {
	assert_refused closer "$HOLDER"
	# Not only its PID is respected: the kernel's lock is there, too.
	run -1 flock --nonblock "$(lock_file closer)" true
	kill -TERM "$HOLDER"
	wait "$HOLDER"
	file_is_gone "$(lock_file closer)"
	assert_free closer
}

@test "a program that closes every descriptor in a loop stays exclusive and removes its file at the end" {
	start_closer loop
	assert_exclusive_until_it_exits
}

@test "a program that calls closefrom(0) stays exclusive and removes its file at the end" {
	start_closer closefrom
	assert_exclusive_until_it_exits
}

@test "a program that calls close_range(0, ~0) stays exclusive and removes its file at the end" {
	start_closer close_range
	assert_exclusive_until_it_exits
}

@test "a program that has closed everything and is killed leaves the name free at once" {
	start_closer close_range
	kill -KILL "$HOLDER"
	wait "$HOLDER" || :
	assert_free closer
}
