# SPDX-License-Identifier: MIT
# The lock is held until the process is gone, whatever way it ends, and free as soon as it is.

# shellcheck disable=SC2030,SC2031 # every test is a subshell
load test_helper

setup() {
	clean_environment
	cd "$BATS_TEST_TMPDIR" || return
	ulimit -c 0
}
teardown() { end_processes; }

# Starts COMMAND under the name "ending" COUNT times, four at a time; prints the statuses, 75 for a refused start.
storm() {
	local count=$1
	shift
	"$HELPERS/hammer" "$count" 4 env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=ending EXCLUSIVELOCK_EXIT_CODE=75 \
		EXCLUSIVELOCK_QUIET=1 "$@"
}

# Nobody found anything amiss: each got in or was refused. Prints how many got in.
winners() {
	if [[ ! $(cut -d ' ' -f 1 <<<"$1" | xargs) =~ ^0(\ 75)?$ ]]; then
		echo "statuses and how often: $1" >&2
		return 1
	fi
	head -n 1 <<<"$1" | cut -d ' ' -f 2
}

# Every one that got in wrote one block, numbered by the complete blocks that it found.
assert_blocks_follow_one_another() {
	local blocks
	blocks=$(grep --text -c '^block ' late)
	[[ $(grep --text -o '^block [0-9]*' late) == $(seq -f 'block %g' 0 $((blocks - 1))) ]]
	[[ $blocks -eq $1 ]]
}

@test "output that stdio writes at the very end of exit is on disk before a waiter's main starts" {
	run -0 storm 60 EXCLUSIVELOCK_ON_HELD=wait "$HELPERS/flushlate" late
	[[ $output == "0 60" ]]
	assert_blocks_follow_one_another 60
}

@test "output that stdio writes at the very end of exit is on disk before any new start gets in" {
	local winners
	run -0 storm 400 "$HELPERS/flushlate" late
	winners=$(winners "$output")
	[[ $winners -gt 1 ]]
	assert_blocks_follow_one_another "$winners"
}

@test "a listening port is free when the next one starts" {
	local address=127.$((RANDOM % 250 + 1)).$((RANDOM % 250 + 1)).$((RANDOM % 250 + 1))
	run -0 storm 200 EXCLUSIVELOCK_ON_HELD=wait "$HELPERS/listener" "$address" 21212
	[[ $output == "0 200" ]]
	run -0 storm 400 "$HELPERS/listener" "$address" 21212
	[[ $(winners "$output") -gt 1 ]]
}

@test "two forked siblings that exit at once never remove a newcomer's file" {
	run -0 storm 800 "$HELPERS/siblings"
	[[ $(winners "$output") -gt 1 ]]
	run -0 storm 200 EXCLUSIVELOCK_ON_HELD=wait "$HELPERS/siblings"
	[[ $output == "0 200" ]]
}

# Ends with STATUS the way named; afterwards the name is free, and the file gone where the program could do it.
assert_free_after() {
	for _ in {1..20}; do
		run "-$1" env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=ending "$HELPERS/leave" "$2"
		[[ $output != *exlock* ]]
		if [[ $3 == gone ]]; then
			file_is_gone "$(lock_file ending)"
		fi
		assert_free ending
	done
}

@test "exit() leaves the name free and no file" {
	assert_free_after 0 exit gone
}

@test "quick_exit() leaves the name free and no file" {
	assert_free_after 0 quick_exit gone
}

@test "exit() called by a second thread leaves the name free and no file" {
	assert_free_after 0 thread gone
}

@test "_exit() leaves the name free and no file" {
	assert_free_after 0 _exit gone
}

@test "abort() leaves the name free" {
	assert_free_after 134 abort
}

@test "a program whose main thread has ended holds the lock until its last thread ends" {
	start_holder EXCLUSIVELOCK_NAME=ending "$HELPERS/leave" last-thread
	assert_refused ending "$HOLDER"
	run -1 timeout 10 "$SOURCE/tests/peers/exclusive.py" ending
	[[ $output == "$(refusal ending "$HOLDER")" ]]
	kill -TERM "$HOLDER"
	wait "$HOLDER"
	file_is_gone "$(lock_file ending)"
	assert_free ending
}

@test "a worker that is killed while somebody reads its memory has ended before its program's exit lets the next one in" {
	run -0 timeout 300 "$HELPERS/monitored" worker 40 "$SHIM"
}

@test "a grandchild that nobody waits for, and that ends with the program, has ended before the next one starts" {
	local round
	for round in {1..20}; do
		EXCLUSIVELOCK_NAME=ending guarded "$HELPERS/orphan" "orphan.$round"
		EXCLUSIVELOCK_NAME=ending run -0 guarded flock --nonblock "orphan.$round" true
	done
}

@test "what stdio still writes to descriptors that were closed does not get into the lock file of a child that goes on" {
	local worker
	mkfifo go
	(exec env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=ending "$HELPERS/heir" go true 2>worker >&- 3>&-)
	worker=$(<worker)
	ENDLATER+=("$worker")
	[[ $(<"$(lock_file ending)") == "$worker" ]]
	kill "$worker"
	echo >go
}

@test "a program without children looks at no other process at its end" {
	command -v strace >/dev/null || skip "needs strace"
	run -0 strace -E LD_PRELOAD="$SHIM" -E EXCLUSIVELOCK_NAME=ending -o trace -e trace=openat,unlinkat "$HELPERS/leave" exit
	grep -q "^unlinkat.*$(lock_file ending)" trace
	run -1 grep '"/proc"' trace
}

@test "a musl program that ends by quick_exit() gives the lock back" {
	command -v musl-gcc >/dev/null || skip "no musl-gcc"
	! readelf -d "$BUILD/libexlock.so" | grep -q NEEDED || skip "the library needs glibc's sanitizer runtime"
	printf '#include <stdlib.h>\nint main(void) { quick_exit(7); }\n' >quick.c
	musl-gcc -o quick quick.c
	EXCLUSIVELOCK_NAME=quick run -7 guarded ./quick
	file_is_gone "$(lock_file quick)"
}
