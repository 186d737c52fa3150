# SPDX-License-Identifier: MIT
# EXCLUSIVELOCK_SCOPE=tree: the lock is held until the last descendant has ended.

# shellcheck disable=SC2016,SC2030,SC2031 # every test is a subshell; $ is for the shell inside
load test_helper

setup() {
	clean_environment
	export EXCLUSIVELOCK_SCOPE=tree
	cd "$BATS_TEST_TMPDIR" || return
	# What waits in the background goes on until this is gone, at the latest.
	touch alive
}
teardown() { end_processes; }

tree() {
	env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=tree "$@"
}

# Lets a shell start COMMAND... in the background and end; sets CHILD to the PID that COMMAND wrote to the file "ready".
leave_behind() {
	rm -f ready
	tree sh -c '"$@" >>ready & exit' sh "$@" 2>err 3>&-
	poll file_has_content ready
	CHILD=$(grep -o '[0-9]*' ready)
	ENDLATER+=("$CHILD")
}

assert_held_until_child_ends() {
	assert_refused tree "$CHILD"
	run -1 flock --nonblock "$(lock_file tree)" true
	kill -TERM "$CHILD"
	poll process_has_ended "$CHILD"
	file_is_gone "$(lock_file tree)"
	assert_free tree
}

@test "in scope tree a child by exec that outlives the program keeps the lock" {
	leave_behind "$HELPERS/hold"
	assert_held_until_child_ends
}

@test "in scope tree a child keeps the lock even when it closes every descriptor" {
	local how
	for how in loop closefrom close_range; do
		leave_behind "$HELPERS/closeall" "$how" "$PWD/ready"
		[[ -z $(ls "/proc/$CHILD/fd") ]]
		assert_held_until_child_ends
	done
}

@test "in scope tree a grandchild keeps the lock when the two before it have gone" {
	leave_behind sh -c '"$0" & exit' "$HELPERS/hold"
	assert_held_until_child_ends
}

@test "in scope tree the last of several children frees the lock" {
	local first
	tree sh -c '"$0" >one & "$0" >two & exit' "$HELPERS/hold" 2>err 3>&-
	poll grep -q ready one
	poll grep -q ready two
	first=$(cut -d ' ' -f 2 one)
	CHILD=$(cut -d ' ' -f 2 two)
	ENDLATER+=("$first" "$CHILD")
	kill -TERM "$first"
	poll process_has_ended "$first"
	assert_held_until_child_ends
}

@test "in scope tree a killed child frees the lock" {
	leave_behind "$HELPERS/hold"
	kill -KILL "$CHILD"
	poll process_has_ended "$CHILD"
	assert_free tree
}

@test "in scope tree a static child keeps the lock, too" {
	leave_behind "$HELPERS/hold-static"
	run -1 tree touch intruder
	[[ $output == "$(refusal_start tree)"* ]]
	file_is_gone intruder
	kill -TERM "$CHILD"
	poll process_has_ended "$CHILD"
	assert_free tree
}

@test "in scope tree the program's commands are not refused, while it runs and after it has ended" {
	run -42 tree sh -c 'touch one; sh -c "touch two; touch three & wait"; exit 42'
	ls one two three
	cat >later <<-'EOF'
		until [ -e go ] || [ ! -e alive ]; do sleep 0.01; done
		touch four
		sh -c 'touch five; touch six & wait'
		exec "$1"
	EOF
	tree sh -c 'sh ./later "$1" >ready & exit' sh "$HELPERS/hold" 2>later.err 3>&-
	run -1 tree true
	touch go
	poll grep -q ready ready
	CHILD=$(cut -d ' ' -f 2 ready)
	ENDLATER+=("$CHILD")
	ls four five six
	[[ ! -s later.err ]]
	assert_held_until_child_ends
}

@test "a second program of the same name is refused while a tree's program itself runs, which is named" {
	start_holder EXCLUSIVELOCK_NAME=tree "$HELPERS/hold"
	assert_refused tree "$HOLDER"
	kill -TERM "$HOLDER"
	wait "$HOLDER"
	assert_free tree
}

@test "the marks of a tree that has ended do not let a program pass by" {
	local marks
	start_holder EXCLUSIVELOCK_NAME=tree sh -c 'env >marks; exec "$0"' "$HELPERS/hold"
	mapfile -t marks < <(grep '^EXCLUSIVELOCK_\(PID\|LOCKFILE\|INSTANCE\)=' marks)
	[[ ${#marks[@]} -eq 3 ]]
	# The next one has the same file.
	kill -KILL "$HOLDER"
	poll process_has_ended "$HOLDER"
	start_holder EXCLUSIVELOCK_NAME=tree "$HELPERS/hold"
	run -1 tree "${marks[@]}" touch intruder
	file_is_gone intruder
}
