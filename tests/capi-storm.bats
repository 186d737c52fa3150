# SPDX-License-Identifier: MIT
# libexclusivelock: never two at once, nothing left, and no name that cannot be taken again, whatever threads, forks, daemons, cancels,
# signals and kills come together.

load test_helper

setup() {
	clean_environment
	STORM=${EXLOCK_API:-$HELPERS/api}storm
	[[ -x $STORM ]] || skip "libexclusivelock was not built"
}

@test "threads, forks, daemons, cancels, signals and kills at once" {
	truncate -s 4096 "$BATS_TEST_TMPDIR/shared"
	APISTORM=$BATS_TEST_TMPDIR/shared run -0 "$STORM" "${EXLOCK_API_STORM_SECONDS:-3}"
	echo "$output"
	[[ $output == *" wins, 0 overlaps, 0 faults" ]]
	[[ ! $(ls "$LOCKS") ]]
}
