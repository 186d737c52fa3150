#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Programs that read the initial block of environment themselves, as Go's do, with libc and without.
# shellcheck disable=SC2016,SC2030,SC2153,SC2031,SC2154 # $ is for the shell inside; every test is a subshell; set elsewhere

load daemon

setup_file() {
	command -v go >/dev/null || return 0
	export GO111MODULE=off GOFLAGS=-mod=mod GOTOOLCHAIN=local GOCACHE=$BATS_FILE_TMPDIR/cache GOPATH=$BATS_FILE_TMPDIR/path HOME=$BATS_FILE_TMPDIR
	CGO_ENABLED=0 go build -o "$BATS_FILE_TMPDIR/static" "$BATS_TEST_DIRNAME/reader.go" >"$BATS_FILE_TMPDIR/log" 2>&1 || :
	CGO_ENABLED=1 go build -o "$BATS_FILE_TMPDIR/dynamic" "$BATS_TEST_DIRNAME/reader.go" "$BATS_TEST_DIRNAME/cgo.go" \
		>>"$BATS_FILE_TMPDIR/log" 2>&1 || :
}

setup() {
	daemon_setup
	mkfifo go
}

teardown() { end_daemons; }

needs_built() {
	needs go
	[[ -x $BATS_FILE_TMPDIR/$1 ]] || skip "go does not build it: $(head -n 1 "$BATS_FILE_TMPDIR/log")"
}

# Go of its own accord: the preload reaches the dynamic program alone, the launcher both.
run_program() {
	local launch=()
	with_shim eval 'launch=("$LAUNCH" --name go)'
	# Go's readers see the marks, which the launcher makes room for.
	observe launched env "${launch[@]}" "$1" 5
	with_shim grep -qx 'marked true true' seen/launched.err
	rm seen/launched.err
	observe preloaded wild EXCLUSIVELOCK_NAME=go "$1" 5
	rm seen/preloaded.err
	observe child wild EXCLUSIVELOCK_NAME=go sh -c '"$1" 5 2>&1; exit 6' sh "$1"
	sed -i '/^marked/d' seen/child.out
	observe crash env "${launch[@]}" "$1"
	sed -i -E '/^(goroutine|\t)|0x/d' seen/crash.err
	with_shim assert_free go
}

assert_the_same() {
	without_and_with run_program "$1"
	grep -qx 5 with/seen/launched.status
	grep -q '^4950 child' with/seen/launched.out
	grep -q '^self leaf' with/seen/launched.out
	grep -qx 2 with/seen/crash.status
}

# Starts COMMAND wait in the background; sees to it that it is exclusive until it ends.
assert_exclusive() {
	"$@" wait <go >out 2>err 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	exec 4>go
	wait_for grep -q ready out
	grep -qx "ready $HOLDER" out
	assert_refused go "$HOLDER"
	exec 4>&-
	wait "$HOLDER"
	[[ ! -s err ]]
	assert_free go
}

@test "a static Go program does the same by the launcher, finds its marks, and is exclusive" {
	needs_built static
	assert_the_same "$BATS_FILE_TMPDIR/static"
	assert_exclusive "$LAUNCH" --name go "$BATS_FILE_TMPDIR/static"
}

@test "a Go program that links libc does the same under the preload and by the launcher, and is exclusive" {
	needs_built dynamic
	assert_the_same "$BATS_FILE_TMPDIR/dynamic"
	assert_exclusive "$LAUNCH" --name go "$BATS_FILE_TMPDIR/dynamic"
	assert_exclusive env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=go "$BATS_FILE_TMPDIR/dynamic"
}

# Where the preload has no room for a mark, a Go program finds none and gives none to its children: they are known by their
# ancestors.
@test "a Go program's children pass, which the preload guards with marks and without" {
	needs_built dynamic
	local room
	for room in '' "$(printf '%200s' '')"; do
		run -5 env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=go EXCLUSIVELOCK_PID="$room" EXCLUSIVELOCK_LOCKFILE="$room" \
			EXCLUSIVELOCK_INSTANCE="$room" "$BATS_FILE_TMPDIR/dynamic" 5
		[[ $output == *"self leaf"* && $output == *"4950 child"* ]]
		[[ -z $room || $output == *"marked true true"* ]]
		assert_free go
	done
}

# As Go does it, without Go: from the kernel's block, not by libc.
@test "the initial block of environment, as /proc/PID/environ shows it, has the marks after the launcher" {
	start_in_block() {
		: >out
		"$@" >out 2>err 3>&- &
		HOLDER=$!
		ENDLATER+=("$HOLDER")
		wait_for grep -q ready out
		tr '\0' '\n' <"/proc/$HOLDER/environ" >block
		end_by TERM "$HOLDER"
	}
	local program
	for program in hold hold-static; do
		start_in_block "$LAUNCH" --name block "$HELPERS/$program"
		grep -qx "EXCLUSIVELOCK_PID=$HOLDER" block
		grep -qx "EXCLUSIVELOCK_LOCKFILE=$(lock_file block)" block
		grep -q "^EXCLUSIVELOCK_INSTANCE=$HOLDER\." block
		assert_free block
	done
	# The preload alone has no room, and leaves the block as the kernel made it, but for what is ours.
	start_in_block env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=block "$HELPERS/hold"
	grep -v '^LD_PRELOAD=' block >with
	start_in_block env EXCLUSIVELOCK_NAME=block "$HELPERS/hold"
	grep -v '^LD_PRELOAD=' block >without
	diff without with
}
