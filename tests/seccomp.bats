# SPDX-License-Identifier: MIT
# Programs that give up their system calls, and programs that start with some of them taken away.

# shellcheck disable=SC2016,SC2030,SC2031 # every test is a subshell; $ is for the shell inside
load test_helper

setup() {
	clean_environment
	cd "$BATS_TEST_TMPDIR" || return
	ulimit -c 0
}
teardown() { end_processes; }

assert_ends_by_itself() {
	local status=0
	env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=sandbox "$@" </dev/null >out 2>err || status=$?
	[[ $status -eq 7 ]]
	[[ $(<out) == $(seq -f 'line %g' 1000) && ! -s err ]]
	# It could not tidy up; its file stands in nobody's way.
	assert_free sandbox
}

@test "a program that sets a seccomp filter by prctl() keeps its own status and all its output" {
	assert_ends_by_itself "$HELPERS/sandbox" prctl
}

@test "a program that sets a seccomp filter by syscall() keeps its own status and all its output" {
	assert_ends_by_itself "$HELPERS/sandbox" syscall
}

@test "a program that sets a seccomp filter by libseccomp keeps its own status and all its output" {
	[[ -x $HELPERS/sandbox-libseccomp ]] || skip "built without libseccomp"
	assert_ends_by_itself "$HELPERS/sandbox-libseccomp" libseccomp
}

is_confined() { grep -qs '^Seccomp:.2' "/proc/$1/status"; }

@test "a program that has set a seccomp filter holds its lock until it ends" {
	mkfifo input
	env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=sandbox "$HELPERS/sandbox" prctl <input >out 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	exec 4>input
	poll is_confined "$HOLDER"
	assert_refused sandbox "$HOLDER"
	exec 4>&-
	local status=0
	wait "$HOLDER" || status=$?
	[[ $status -eq 7 && $(tail -n 1 out) == "line 1000" ]]
	assert_free sandbox
}

@test "where flock() is forbidden nothing runs: the lock cannot be judged" {
	run -125 "$HELPERS/filtered" eperm flock env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=sandbox touch intruder
	[[ $output == "exlock: "* ]]
	file_is_gone intruder
	assert_free sandbox
}

@test "where flock() is forbidden ON_ERROR=run lets the program run unguarded" {
	run -0 "$HELPERS/filtered" eperm flock \
		env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=sandbox EXCLUSIVELOCK_ON_ERROR=run touch ran
	file_is_there ran
	[[ $output == "exlock: "* ]]
}

@test "where socket() is forbidden a program runs guarded or not at all" {
	run "$HELPERS/filtered" eperm socket env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=sandbox touch ran
	if [[ $status -eq 0 ]]; then
		[[ $output == "" ]]
		file_is_there ran
	else
		[[ $status -eq 125 && $output == "exlock: "* ]]
		file_is_gone ran
	fi
	assert_free sandbox
}

@test "a start is refused by a living holder also where socket() is forbidden" {
	start_holder EXCLUSIVELOCK_NAME=sandbox "$HELPERS/hold"
	run -1 "$HELPERS/filtered" eperm socket env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=sandbox touch intruder
	[[ $output == "$(refusal sandbox "$HOLDER")" ]]
	file_is_gone intruder
}

@test "a descendant passes where flock(), fcntl() or socket() is refused or deadly" {
	local answer call
	for answer in eperm kill; do
		for call in flock socket; do
			rm -f ran
			run -42 env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=sandbox sh -c \
				'"$@"; exit 42' sh "$HELPERS/filtered" "$answer" "$call" env LD_PRELOAD="$SHIM" touch ran
			[[ $output == "" ]]
			file_is_there ran
		done
	done
	run -42 env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=sandbox sh -c \
		'"$@"; exit 42' sh "$HELPERS/filtered" eperm fcntl env LD_PRELOAD="$SHIM" touch ran
	[[ $output == "" ]]
}

@test "a descendant of a descendant ends with its own status where kill() is deadly" {
	run -42 env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=sandbox sh -c '"$@"; exit 42' sh "$HELPERS/filtered" kill kill \
		sh -c 'env LD_PRELOAD="$0" touch ran; echo "touch ended with $?"' "$SHIM"
	[[ $output == "touch ended with 0" ]]
	file_is_there ran
}

@test "a descendant ends with its own status after the holder where kill() is deadly" {
	local holder
	mkfifo go
	env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=sandbox sh -c '"$@" & wait' sh "$HELPERS/filtered" kill kill \
		sh -c 'env LD_PRELOAD="$0" sh -c "echo in >in; read -r line <go; exit 7"; echo $? >ended' "$SHIM" 3>&- &
	holder=$!
	ENDLATER+=("$holder")
	poll file_has_content in
	kill -KILL "$holder"
	wait "$holder" || :
	echo >go
	poll file_has_content ended
	[[ $(<ended) -eq 7 ]]
}

@test "a child of a program without the library closes the descriptor where flock() is refused or deadly" {
	local answer
	for answer in eperm kill; do
		run -42 "$HELPERS/steps" close exec "$LAUNCH" -P -n sandbox sh -c '"$@"; exit 42' sh "$HELPERS/filtered" "$answer" flock \
			env LD_PRELOAD="$SHIM" "$HELPERS/steps" list
		[[ $output == "" ]]
	done
}

@test "a descendant in a tree ends with its own status where kcmp() is deadly" {
	run -42 env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=sandbox EXCLUSIVELOCK_SCOPE=tree sh -c '"$@"; exit 42' sh "$HELPERS/filtered" kill kcmp \
		sh -c 'touch ran; echo "touch ended with $?"'
	[[ $output == "touch ended with 0" ]]
	file_is_there ran
}
