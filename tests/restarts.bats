# SPDX-License-Identifier: MIT
# A killed holder whose memory others read at that moment keeps its flock for a while, on a busy machine for seconds: a start takes the lock
# by the record all the same. EXLOCK_RESTARTS=500 bats tests/restarts.bats: so many restarts, with 12 loops and 6 monitors (default: 8, with
# 3 and 2).

load test_helper

setup() {
	clean_environment
}

@test "no restart of a killed program is refused while endless loops keep the processors busy and monitors of low priority read its memory" {
	needs_sight_of_all
	local count=${EXLOCK_RESTARTS:-8} loops=3 monitors=2
	[[ -z ${EXLOCK_RESTARTS-} ]] || loops=12 monitors=6
	export EXCLUSIVELOCK_NAME=job
	run -0 "$HELPERS/restarts" "$SHIM" "$count" 60 "$loops" "$monitors"
	[[ $output == "0 of $count restarts were refused" ]]
}
