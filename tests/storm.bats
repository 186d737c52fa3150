# SPDX-License-Identifier: MIT
# Starts in 8 slots that end in every way there is, for EXLOCK_STORM_SECONDS seconds (default: 10). What is mixed into them, and
# what of it nobody could prevent, is said in helpers/storm/storm.c and gaps.c; how ours are started in helpers/storm/ways.h; what the
# stranger does in helpers/storm/stranger.h.

load test_helper

setup() {
	clean_environment
	PLACE=
	SECONDS_OF_STORM=${EXLOCK_STORM_SECONDS:-10}
}

teardown() { remove_public_place; }

# A tenth of a long storm for the rarer modes, but four seconds of a short one.
a_share() {
	local share=$(($1 / 10))
	((share >= 4)) || share=4
	echo $((share < $1 ? share : $1))
}

# What the storm starts, where it is to be found by every user.
gather_contenders() {
	if [[ $EUID -eq 0 ]]; then
		make_public_place
	else
		PLACE=$(mktemp -d /tmp/exlock.XXXXXX)
		mkdir "$PLACE/locks"
	fi
	cp "$BUILD/tests/storm" "$BUILD/tests/victim" "$BUILD/tests/victim-static" "$SOURCE"/tests/peers/*.py "$PLACE"
	cp "$BUILT_LAUNCH" "$PLACE/exlock-launch"
	find_launcher "$PLACE/exlock-launch"
	chmod a+rX "$PLACE"/*.py
}

# Nothing was wrong, and a stale file is all that may be left; otherwise the words before the summary say what it was.
# As root in a PID namespace of its own: a Python program that was killed leaves a bare PID, which soon is another process'; here
# at least it is none but the storm's.
assert_calm() {
	local alone=(unshare --pid --fork --kill-child --mount-proc)
	[[ $EUID -eq 0 ]] && "${alone[@]}" true 2>/dev/null || alone=()
	run "${alone[@]}" "$@"
	printf '# %s\n' "${lines[@]: -3}" >&3
	[[ $status -eq 0 && ${lines[-1]} == "storm: "*" 0 overlaps, 0 errors, 0 lost, "[01]" files left" ]] || {
		echo "$output"
		return 1
	}
}

# Sets LAUNCHED to the words for starts by LAUNCHER, too: where no other library has to be preloaded before ours.
find_launcher() {
	LAUNCHED=()
	[[ -n ${EXLOCK_PRELOAD_FIRST-} ]] || LAUNCHED=("launch=$1" handover close)
}

assert_calm_here() {
	find_launcher "$BUILT_LAUNCH"
	assert_calm "$HELPERS/storm" "$BATS_TEST_TMPDIR" "$SHIM" "$@" "${LAUNCHED[@]}" tidy
}

# With peers; as root also from two users and in two PID namespaces.
assert_calm_mixed() {
	gather_contenders
	[[ $EUID -ne 0 ]] || set -- "$@" users namespaces
	assert_calm "$PLACE/storm" "$PLACE" "$SHIM" "$@" peers "${LAUNCHED[@]}"
}

@test "In a storm of our starts, Python's and flock(1)'s, of two users and in two PID namespaces, no two run at once and a free lock is always taken" {
	assert_calm_mixed "$SECONDS_OF_STORM"
}

@test "In a storm of two users' starts, in two PID namespaces and many time namespaces, a stranger who maps, locks, plants and squats lets no two run at once, and keeps nobody from a free lock when it rests" {
	[[ $EUID -eq 0 ]] || skip "needs root: the stranger is another user"
	gather_contenders
	assert_calm "$PLACE/storm" "$PLACE" "$SHIM" "$SECONDS_OF_STORM" users namespaces times stranger "${LAUNCHED[@]}"
}

@test "In such a storm of starts that wait all get their turn, one at a time, beside the stranger" {
	[[ $EUID -eq 0 ]] || skip "needs root: the stranger is another user"
	gather_contenders
	assert_calm "$PLACE/storm" "$PLACE" "$SHIM" "$(a_share "$SECONDS_OF_STORM")" users namespaces times stranger wait "${LAUNCHED[@]}"
}

@test "In a storm of peers and of starts that wait all get their turn, one at a time" {
	assert_calm_mixed "$(a_share "$SECONDS_OF_STORM")" wait
}

@test "Where all only try and leave, nobody is refused while no other is about, and of many at once one gets in" {
	assert_calm_mixed "$(a_share "$SECONDS_OF_STORM")" calm
}

@test "In a storm of starts and ends of all kinds, and of programs that leave the lock to a copy of their own, no two run at once and a free lock is always taken" {
	assert_calm_here "$(a_share "$SECONDS_OF_STORM")" succession
}

@test "In a storm of starts that wait, and of some that replace the holder, all get their turn, one at a time" {
	assert_calm_here "$(a_share "$SECONDS_OF_STORM")" wait replace
}

@test "In a storm in scope tree no one starts while a descendant is left" {
	assert_calm_here "$(a_share "$SECONDS_OF_STORM")" tree succession
}

@test "In a storm of starts that wait in scope tree all get their turn, one at a time" {
	assert_calm_here "$(a_share "$SECONDS_OF_STORM")" wait tree
}

@test "The storm sees that two run at once where nothing guards them" {
	run -1 "$HELPERS/storm" "$BATS_TEST_TMPDIR" "" 1
	[[ $output =~ " "([0-9]+)" overlaps, 0 errors, 0 lost" ]]
	((BASH_REMATCH[1] > 0))
}
