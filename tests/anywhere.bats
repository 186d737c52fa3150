#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What setup_suite.bash settles: a topic finds the same, whoever runs it, and wherever.

# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # for the topics inside; every test is a subshell; set by bats
load test_helper

setup() {
	clean_environment
	PLACE="$BATS_TEST_TMPDIR/a b: é"
	mkdir -p "$PLACE"/{tests/wild,build/tests}
	cp "$SOURCE"/tests/{setup_suite,test_helper}.bash "$PLACE/tests"
	cp "$SOURCE/tests/wild/setup_suite.bash" "$PLACE/tests/wild"
	cp "$BUILD/libexlock.so" "$PLACE/build"
	cp "$BUILT_LAUNCH" "$PLACE/build/exlock-launch"
	cp "$HELPERS/launcher" "$PLACE/build/tests"
}

teardown() { end_processes; }

# in_topic FOLDER SCRIPT [NAME=VALUE]: a topic in FOLDER that runs SCRIPT, as whoever is careful and far away runs it in the background. It
# passes; what it prints is in $output.
in_topic() {
	printf 'load "%s/tests/test_helper"\nsetup() { clean_environment; }\n@test "one" {\n%s\n}\n' "$PLACE" "$2" >"$1/topic.bats"
	run -0 env -i PATH="${PATH#"$BATS_LIBEXEC":}" HOME="$BATS_TEST_TMPDIR" TMPDIR="$PLACE" LANG=tr_TR.UTF-8 LC_TIME=tr_TR.UTF-8 TZ=Asia/Kathmandu "${@:3}" bash -c '
		umask 077
		trap "" HUP INT QUIT PIPE
		ulimit -Hc 0
		ulimit -Sn 500
		exec bats --show-output-of-passing-tests "$0" <&-' "$1/topic.bats"
	output=$(sed -n 's/^# //p' <<<"$output")
}

@test "umask, limits, signals, locale, time zone and input are the same for every topic, whoever runs it" {
	in_topic "$PLACE/tests" 'umask; ulimit -Sc; ulimit -Sn; echo "$LANG$LC_ALL$LC_TIME" "$TZ"; readlink /proc/self/fd/0
		sed -n "s/^SigIgn://p" /proc/self/status'
	[[ $output == $'0022\n0\n1024\n UTC\n/dev/null\n\t0000000000000000' ]]
}

@test "what is built is preloaded, also from a folder that the loader cannot preload from" {
	# A library that is measured maps its counters, a file of the same name (scripts/coverage).
	for folder in "$PLACE"/tests{,/wild}; do
		in_topic "$folder" 'echo "$BATS_TEST_TMPDIR"
			LD_PRELOAD=$SHIM EXCLUSIVELOCK_NAME=one sh -c "echo \$EXCLUSIVELOCK_PID is \$\$"
			"$LAUNCH" -n one sh -c "[ \$EXCLUSIVELOCK_PID = \$\$ ] && cat /proc/\$\$/maps" | grep -o " /.*libexlock.so" | grep -v /counters/ | uniq'
		[[ $output =~ ^/tmp/bats-run-[A-Za-z0-9]+/test/1$'\n'([0-9]+)" is "([0-9]+)$'\n'" /tmp/"[^\ ]+/build/libexlock.so$ ]]
		((BASH_REMATCH[1] == BASH_REMATCH[2]))
	done
}

@test "what is built is there for every user, also where it was built for one alone" {
	mv "$PLACE/build" "$BATS_TEST_TMPDIR/alone"
	chmod -R go= "$BATS_TEST_TMPDIR/alone"
	in_topic "$PLACE/tests" 'stat -c %a "$SHIM" "$LAUNCH"; "$LAUNCH" -n one echo in' EXLOCK_BUILD="$BATS_TEST_TMPDIR/alone"
	[[ $output == $'755\n755\nin' ]]
}

@test "nothing is left of what was settled" {
	in_topic "$PLACE/tests" 'echo "$BATS_RUN_TMPDIR"'
	file_is_gone "$output"
	[[ -z $(find "$PLACE" -name 'bats-run*') ]]
}
