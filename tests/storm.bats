# SPDX-License-Identifier: MIT
# Starts in 8 slots that end in every way there is, for EXLOCK_STORM_SECONDS seconds (default: 10).

load test_helper

setup() {
	clean_environment
	SECONDS_OF_STORM=${EXLOCK_STORM_SECONDS:-10}
}

# Fewer seconds for the rarer modes, never none.
a_third() { echo $((($1 + 2) / 3)); }

# Nothing was wrong, and a stale file is all that may be left; otherwise the words before the summary say what it was.
assert_calm() {
	run -0 "$HELPERS/storm" "$BATS_TEST_TMPDIR" "$@"
	echo "# ${lines[-1]}" >&3
	[[ $output == "storm: "*" 0 overlaps, 0 errors, 0 lost, "[01]" files left" ]]
}

@test "In a storm of starts and ends of all kinds no two run at once and a free lock is always taken" {
	assert_calm "$SHIM" "$SECONDS_OF_STORM" abort process
}

@test "In a storm of starts that wait all get their turn, one at a time" {
	assert_calm "$SHIM" "$(a_third "$SECONDS_OF_STORM")" wait process
}

@test "In a storm in scope tree no one starts while a descendant is left" {
	assert_calm "$SHIM" "$(a_third "$SECONDS_OF_STORM")" abort tree
}

@test "In a storm of starts that wait in scope tree all get their turn, one at a time" {
	assert_calm "$SHIM" "$(a_third "$SECONDS_OF_STORM")" wait tree
}

@test "The storm sees that two run at once where nothing guards them" {
	run -1 "$HELPERS/storm" "$BATS_TEST_TMPDIR" "" 1
	[[ $output =~ " "([0-9]+)" overlaps, 0 errors, 0 lost" ]]
	((BASH_REMATCH[1] > 0))
}
