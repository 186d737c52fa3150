#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What a start and an end cost, as far as it does not depend on time: the library's system calls, in their order, and its instructions are
# those that are recorded in tests/bench. EXLOCK_RECORD=1 records them anew, for a change that is meant.
# shellcheck disable=SC2154 # set by bats

load test_helper

BENCH=$SOURCE/tests/bench
# How far the instructions may be from the recorded ones, in percent.
TOLERANCE=5

setup() {
	clean_environment
	build_kind >"$BATS_TEST_TMPDIR/kind"
	grep -q 'b_sanitize=none.* coverage=False' "$BATS_TEST_TMPDIR/kind" || skip "what is built into the library would be counted, too"
	# What is asked of a file system differs with its kind, and the name of the folder is to be of the same length each time.
	[[ $(stat -f -c %T /dev/shm 2>/dev/null) == tmpfs && -w /dev/shm ]] || skip "needs /dev/shm"
	FOLDER=$(mktemp -d /dev/shm/exlock.XXXXXX)
	export EXCLUSIVELOCK_DIR=$FOLDER EXLOCK_BUILD=$BUILD
}

teardown() {
	[[ -z $FOLDER ]] || rm -rf "$FOLDER"
}

# What COUNTER says of a case, in $output.
situation() {
	run "$BENCH/situation" "$1" "$2"
	[[ $status -ne 77 ]] || skip "needs a PID namespace: root, or user namespaces"
	[[ $status -eq 0 ]] || { echo "$output"; false; }
}

makes_recorded_calls() {
	command -v strace >/dev/null || skip "no strace"
	strace -o /dev/null true 2>/dev/null || skip "nobody may be traced here"
	situation "$1" calls.py
	[[ -z $EXLOCK_RECORD ]] || printf '%s\n' "$output" >"$BENCH/syscalls/$1"
	diff -u "$BENCH/syscalls/$1" - <<<"$output"
}

# By what the library was built, and how: another compiler makes other instructions.
build_kind() {
	readelf -p .comment "$BUILD/libexlock.so" | sed -n 's/.*\] *\(.* [0-9.]*\)$/\1/p' | head -n 1
	/usr/bin/python3 -c 'import json, sys
options = {option["name"]: option["value"] for option in json.load(open(sys.argv[1]))}
print(*(f"{name}={options[name]}" for name in ("buildtype", "optimization", "b_sanitize", "b_lto", "c_args", "coverage")))' \
		"$CONFIGURED/meson-info/intro-buildoptions.json"
	uname -m
}

runs_recorded_instructions() {
	local recorded=$BENCH/instructions/$1 kind=$BENCH/instructions/build expected
	compgen -G '/usr/lib*/valgrind/callgrind-*' >/dev/null || compgen -G '/usr/lib/*/valgrind/callgrind-*' >/dev/null || skip "no valgrind"
	[[ -z $EXLOCK_RECORD ]] || cp "$BATS_TEST_TMPDIR/kind" "$kind"
	cmp -s "$kind" "$BATS_TEST_TMPDIR/kind" || skip "recorded for another build: $(tr '\n' ' ' <"$kind")"
	situation "$1" instructions.py
	[[ -z $EXLOCK_RECORD ]] || printf '%s\n' "$output" >"$recorded"
	expected=$(<"$recorded")
	echo "$output instructions, recorded: $expected"
	((output > 0 && output * 100 <= expected * (100 + TOLERANCE) && output * 100 >= expected * (100 - TOLERANCE)))
}

@test "a start and end under a free lock make the recorded system calls" {
	makes_recorded_calls start
}

@test "a start that is refused makes the recorded system calls" {
	makes_recorded_calls refused
}

@test "a descendant that passes by makes the recorded system calls" {
	makes_recorded_calls descendant
}

@test "a program that EXCLUSIVELOCK_ONLY does not name makes the recorded system calls" {
	makes_recorded_calls only
}

@test "exlock-launch makes the recorded system calls, and no process" {
	makes_recorded_calls launch
}

# How many system calls COMMAND makes under the launcher with OPTIONS, besides its own and the loader's.
count_calls() {
	strace -qq -o "$BATS_TEST_TMPDIR/trace" "$@" >/dev/null
	wc -l <"$BATS_TEST_TMPDIR/trace"
}
calls_added() {
	local command=${*: -1} own
	own=$(count_calls "$command")
	echo $(($(count_calls "$BUILT_LAUNCH" --shim="${SHIM##*:}" --keeper= "$@") - own))
	rm -f "$FOLDER"/*.lock
}

@test "exlock-launch adds at most 88 system calls to a program's start and end that loads the library, 44 to another's" {
	command -v strace >/dev/null || skip "no strace"
	strace -o /dev/null true 2>/dev/null || skip "nobody may be traced here"
	local added static=$HELPERS/steps-static
	added=$(calls_added /bin/true)
	echo "loads the library: $added"
	((added <= 88))
	added=$(calls_added -n job /bin/true)
	((added <= 87))
	for options in "" "-n job" "-P" "-P -n job"; do
		# shellcheck disable=SC2086 # words
		added=$(calls_added $options "$static")
		echo "static, $options: $added"
		((added <= 44))
	done
}

@test "a start that takes over the file of a killed holder makes the recorded system calls" {
	makes_recorded_calls stale
}

@test "a waiter makes the recorded system calls" {
	makes_recorded_calls waits
}

@test "a start and end under a free lock run as many instructions as recorded" {
	runs_recorded_instructions start
}

@test "a start that is refused runs as many instructions as recorded" {
	runs_recorded_instructions refused
}

@test "a descendant that passes by runs as many instructions as recorded" {
	runs_recorded_instructions descendant
}

@test "a program that EXCLUSIVELOCK_ONLY does not name runs as many instructions as recorded" {
	runs_recorded_instructions only
}

@test "exlock-launch runs as many instructions of the library as recorded" {
	runs_recorded_instructions launch
}
