#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Every executable in /usr/bin and /usr/sbin, with --version and --help and its input closed, does the same with and without
# the shim. EXLOCK_SWEEP=all: really every one; N: one in N of them, always the same ones.
# shellcheck disable=SC2016,SC2154 # code for bash; set by bats

load compare

setup() {
	clean_environment
	[[ -x /usr/bin/python3 ]] || skip "needs python3"
	every=${EXLOCK_SWEEP:-12}
	[[ $every != all ]] || every=1
}

@test "every executable says the same of itself and ends with the same status" {
	run "$BATS_TEST_DIRNAME/sweep" --shim "$SHIM" --every "$every"
	[[ $status != 77 ]] || skip "$output"
	[[ $status == 0 ]] || { echo "$output"; return 1; }
	# So that it is known when it compares nothing: what takes no preload is rare.
	[[ $output =~ ([0-9]+)" same".*" lock in "([0-9]+) ]]
	((BASH_REMATCH[2] * 2 > BASH_REMATCH[1]))
	echo "# ${lines[-2]}; ${lines[-1]}" >&3
}

@test "a library that is not invisible does not get through" {
	run "$BATS_TEST_DIRNAME/sweep" --shim "$HELPERS/libneighbour.so" true
	[[ $status != 77 ]] || skip "$output"
	[[ $status == 1 && ${lines[0]} == "DIFFERENT: /usr/bin/true --"* ]]
}

@test "each program that is left out has its reason, and none is named twice" {
	run ! grep -vE '^($|#|[^[:space:]]+ [a-z].+$)' "$BATS_TEST_DIRNAME/sweep.exceptions"
	run -0 bash -c 'grep -v "^#" "$1" | cut -d" " -f1 | grep . | sort | uniq -d' - "$BATS_TEST_DIRNAME/sweep.exceptions"
	[[ $output == "" ]]
}
