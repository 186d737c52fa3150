# SPDX-License-Identifier: MIT
# exec() changes the program, not the process: it stays the holder, and nobody gets in while the kernel's lock is gone.

load test_helper

setup() {
	clean_environment
	cd "$BATS_TEST_TMPDIR" || return
	# A private place that another user can reach, when root needs one.
	OPEN=$(mktemp -d /tmp/exlock.XXXXXX)
	chmod 755 "$OPEN"
}

teardown() {
	end_processes
	rm -rf "$OPEN"
}

# Starts COMMAND..., whose programs exec each other until the file "stop" is there; meanwhile 200 others want the name.
assert_exclusive_throughout() {
	env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=chain "$@" >chain.out 2>chain.err 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	poll file_has_content "$(lock_file chain)"
	run -0 "$HELPERS/hammer" 200 4 \
		env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=chain EXCLUSIVELOCK_EXIT_CODE=75 EXCLUSIVELOCK_QUIET=1 touch intruder
	[[ $output == "75 200" ]]
	file_is_gone intruder
	touch stop
	poll grep -q ready chain.out
	cat chain.err
	[[ ! -s chain.err ]]
	# The same process all along, and it did exec while the others knocked.
	[[ $(cut -d ' ' -f 2 chain.out) == "$HOLDER" ]]
	(($(cut -d ' ' -f 3 chain.out) >= 10))
	assert_refused chain "$HOLDER"
	kill -TERM "$HOLDER"
	wait "$HOLDER"
}

@test "a program that execs itself stays exclusive" {
	assert_exclusive_throughout "$HELPERS/again" "$PWD/stop" "$HELPERS/again"
	file_is_gone "$(lock_file chain)"
	assert_free chain
}

@test "a program that execs another one stays exclusive" {
	cp "$HELPERS/again" other
	assert_exclusive_throughout "$HELPERS/again" "$PWD/stop" "$PWD/other" "$HELPERS/again"
	assert_free chain
}

@test "a program that execs a static one stays exclusive" {
	assert_exclusive_throughout "$HELPERS/again" "$PWD/stop" "$HELPERS/again-static"
	assert_free chain
}

@test "three programs in a row, one of them static, stay exclusive" {
	cp "$HELPERS/again" other
	cp "$HELPERS/again" third
	assert_exclusive_throughout "$HELPERS/again" "$PWD/stop" \
		"$PWD/other" "$HELPERS/again-static" "$PWD/third" "$HELPERS/again"
	assert_free chain
}

@test "a wrapper script that execs the real program stays exclusive" {
	printf '#!/bin/sh\nexec "%s" "$@"\n' "$HELPERS/again" >wrapper
	printf '#!/bin/bash\nexec "%s" "$@"\n' "$HELPERS/again" >wrapper-bash
	chmod 755 wrapper wrapper-bash
	assert_exclusive_throughout "$PWD/wrapper" "$PWD/stop" "$PWD/wrapper" "$PWD/wrapper-bash"
	assert_free chain
}

@test "a program without a name of its own keeps the first program's when it execs another" {
	printf '#!/bin/sh\nexec sleep 1000\n' >wrapper
	chmod 755 wrapper
	env LD_PRELOAD="$SHIM" ./wrapper 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	poll grep -qs sleep "/proc/$HOLDER/comm"
	run -1 guarded ./wrapper
	[[ $output == "$(refusal "$PWD/wrapper" "$HOLDER")" ]]
	kill -KILL "$HOLDER"
	wait "$HOLDER" || :
}

# Where root's program can become another user: a lock directory, a library and programs that this one can reach.
open_for_all() {
	[[ $EUID -eq 0 ]] || skip "needs root"
	cp "$SHIM" "$HELPERS/again" "$HELPERS/hold" "$OPEN"
	SHIM=$OPEN/libexlock.so
	LOCKS=$OPEN/locks
	mkdir "$LOCKS"
	export EXCLUSIVELOCK_DIR=$LOCKS
	cd "$OPEN" || return
}

@test "a program that drops from root to another user and execs stays exclusive" {
	open_for_all
	assert_exclusive_throughout setpriv --reuid=65534 --regid=65534 --clear-groups ./again "$PWD/stop" "$PWD/again"
	assert_free chain
}

@test "a program that has dropped from root stays exclusive where it can no longer reach the lock file" {
	open_for_all
	chmod 700 "$LOCKS"
	assert_exclusive_throughout setpriv --reuid=65534 --regid=65534 --clear-groups ./again "$PWD/stop" "$PWD/again"
	assert_free chain
}
