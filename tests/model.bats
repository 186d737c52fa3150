# SPDX-License-Identifier: MIT
# The protocol itself, searched to the end by spin(1) in small worlds: tests/model/exlock.pml says what is in them. EXLOCK_MODEL=full:
# in larger ones, too, which takes one and a half minutes of CPU time.

load test_helper

MODEL=$BATS_TEST_DIRNAME/model/run

setup() {
	local tool
	for tool in spin gcc; do
		command -v "$tool" >/dev/null || skip "needs $tool"
	done
}

# The searches of these configurations were complete and ended like this: holds, or breaks.
assert_each() {
	local verdict=$1 name
	shift
	run -0 "$MODEL" "$@"
	for name; do
		grep -q "^$verdict $name: " <<<"$output" || {
			echo "$output"
			return 1
		}
	done
}

@test "In every order of steps of two starts that may be killed at any of them no two are inside, and no lock is left that nobody can take" {
	assert_each holds crash stale
}

@test "In every order of steps a holder's own exec is never refused, and nobody gets in meanwhile" {
	assert_each holds exec fork-exec
}

@test "In every order of steps a forked child keeps the lock, and is never refused when it calls exec" {
	assert_each holds fork daemon children
}

@test "In every order of steps a PID that is used again is nobody's lock, and an environment that is replayed nobody's mark" {
	assert_each holds reuse reuse-fork replay
}

@test "In every order of steps who waits gets in after its predecessor has gone, and none is left asleep" {
	assert_each holds wait wait-crash left
}

@test "In every order of steps a holder that calls exec, or has forked, keeps the lock beside those who keep their turn" {
	assert_each holds wait-exec wait-fork wait-exec-fork
}

@test "In every order of steps a Python peer excludes and is excluded, but for its own gap between open and lock" {
	assert_each holds python python-crash python-fork
}

@test "In every order of steps flock(1) excludes and is excluded, but for its own gap and the instant of an exec" {
	assert_each holds flock flock-exec flock-fork peers
}

@test "In every order of steps a start that takes the lock by the record, while a dead process' memory has the flock, is alone" {
	assert_each holds pinned pinned-fork pinned-flock pinned-python
}

@test "The model finds the run that breaks such a start that does not look again who took the flock" {
	assert_each breaks no-taker-check
}

@test "The model finds the run that breaks a deletion without a tombstone, or with one that goes before the rest" {
	assert_each breaks no-tombstone tombstone-goes-first
}

@test "The model finds the run that breaks a lock on a file that is no longer at its path" {
	assert_each breaks no-path-check no-last-look
}

@test "The model finds the run that breaks a PID without a start time" {
	assert_each breaks no-start-time no-start-time-fork
}

@test "The model finds the run that breaks a mark without an instance" {
	assert_each breaks any-mark believes-any-flock no-living-ancestor
}

@test "The model finds the run that breaks records that are not locked, not handed on, not known as one's own, or empty for ever" {
	assert_each breaks no-record-lock deletes-unlocked no-hand-on no-own-record never-accepts-empty
}

@test "The model finds the run that breaks a start, or a deletion, that does not wait for those who are just ending" {
	assert_each breaks no-wait-for-endings created-for-ever no-wait-for-family
}

@test "The model finds the run that breaks a last word that is given beside children, is not taken back, or comes back with an old mode" {
	assert_each breaks left-with-family left-for-ever stale-hints
}

@test "The model finds each gap that it excuses: the peers' own, and those that libexlock(7) names" {
	assert_each breaks gap-python gap-flock gap-exec gap-pinned gap-tombstone-python gap-tombstone-flock gap-python-fork
}

@test "In every order of steps of three starts, and in all other larger worlds, the protocol holds" {
	[[ ${EXLOCK_MODEL-} == full ]] || skip "takes one and a half minutes of CPU time; EXLOCK_MODEL=full runs it"
	# shellcheck disable=SC2046 # names
	assert_each holds $("$MODEL" --list | grep '^full-')
}
