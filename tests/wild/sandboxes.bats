#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# bubblewrap and firejail, guarded, and around what is guarded.
# shellcheck disable=SC2030,SC2031,SC2154 # every test is a subshell; set by bats

load daemon

setup() {
	daemon_setup
	mkfifo go
}

teardown() { end_daemons; }

needs_bwrap() {
	needs bwrap
	bwrap --ro-bind / / --dev /dev --proc /proc true 2>/dev/null || skip "bwrap may not make namespaces here"
}

needs_firejail() {
	needs firejail
	[[ $(firejail --noprofile --quiet sh -c 'echo $$' 2>/dev/null) =~ ^[0-9]$ ]] || skip "firejail makes no sandbox here"
}

# bwrap as it is used: nothing of the machine's to write to but the test's own folder, and PIDs of its own.
box() {
	bwrap --ro-bind / / --bind "$BATS_TEST_TMPDIR" "$BATS_TEST_TMPDIR" --dev /dev --proc /proc --unshare-pid --die-with-parent "$@"
}

jail() {
	firejail --noprofile --quiet --caps.drop=all --seccomp --nonewprivs "$@"
}

# What a program in the sandbox sees of its process; the kernel's numbers of files made for each run differ.
see_state() {
	observe state "$@"
	sed -i 's/inode [^ ]*/inode #/' seen/state.out
	[[ $(wc -l <seen/state.out) -gt 80 ]] || { cat seen/*; return 1; }
}

guarded_box() {
	box=("$(command -v bwrap)" --ro-bind / / --dev /dev --proc /proc --tmpfs /run --unshare-pid --unshare-ipc --unshare-uts)
	see_state wild EXCLUSIVELOCK_NAME=box "${box[@]}" --tmpfs "$LOCKS" --unsetenv LD_PRELOAD "$HELPERS/state"
	observe status wild EXCLUSIVELOCK_NAME=box "${box[@]}" --new-session sh -c 'echo out; echo err >&2; id -u; ls /run; exit 42'
	observe killed wild EXCLUSIVELOCK_NAME=box "${box[@]}" sh -c 'kill -TERM $$'
	observe missing wild EXCLUSIVELOCK_NAME=box "${box[@]}" /no/such/program
	observe wrong wild EXCLUSIVELOCK_NAME=box bwrap --no-such-option
	with_shim assert_free box
}

@test "a guarded bwrap, with another /run and PIDs of its own, does the same as without the shim" {
	needs_bwrap
	without_and_with guarded_box
	grep -qx 42 with/seen/status.status
	no_lock_file
}

program_in_box() {
	see_state box --tmpfs /run env LD_PRELOAD="$PRELOAD" EXCLUSIVELOCK_NAME=inner "$HELPERS/state"
	observe status box --tmpfs /run env LD_PRELOAD="$PRELOAD" EXCLUSIVELOCK_NAME=inner sh -c 'echo out; echo $$; exit 42'
	with_shim assert_free inner
}

@test "a guarded program in bwrap does the same as without the shim" {
	needs_bwrap
	without_and_with program_in_box
	grep -qx 42 with/seen/status.status
	no_lock_file
}

# Starts COMMAND in the background, which is to say "ready" first. Its input is open until close_input. Sets HOLDER.
start_reader() {
	"$@" <go >out 2>err 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	exec 4>go
	wait_for grep -q ready out
}

close_input() {
	exec 4>&-
	wait "$HOLDER"
}

@test "a guarded bwrap is held as long as it runs, and its programs pass, whatever of the machine they see" {
	needs_bwrap
	local view
	for view in "" "--tmpfs /run" "--tmpfs $LOCKS" "--unshare-pid" "--unshare-all --tmpfs $LOCKS"; do
		# shellcheck disable=SC2086,SC2016 # VIEW is a list
		start_reader env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=box bwrap --bind / / --dev /dev --proc /proc $view \
			sh -c 'LD_PRELOAD=$1 sh -c "echo ready"; read -r word || LD_PRELOAD=$1 sh -c "echo last"' sh "$SHIM"
		assert_refused box "$HOLDER"
		close_input
		grep -qx last out && [[ ! -s err ]] || { echo "with '$view':"; cat out err; false; }
		assert_free box
	done
}

@test "a guarded program in bwrap with PIDs of its own keeps out starts outside and in another one" {
	needs_bwrap
	# shellcheck disable=SC2016 # for the shell inside
	start_reader bwrap --bind / / --dev /dev --proc /proc --unshare-pid --die-with-parent \
		env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=inner sh -c 'echo ready; read -r word || echo last'
	run -1 env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=inner touch intruder
	[[ $output == "$(refusal_start inner)"* ]]
	run -1 box --tmpfs /run env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=inner touch intruder
	[[ $output == "$(refusal_start inner)"* ]]
	file_is_gone intruder
	close_input
	grep -qx last out
	assert_free inner
}

@test "a start in bwrap is refused while a guarded program runs outside, and free afterwards" {
	needs_bwrap
	start_holder EXCLUSIVELOCK_NAME=inner "$HELPERS/hold"
	run -1 box --tmpfs /run env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=inner touch intruder
	[[ $output == "$(refusal_start inner)"* ]]
	file_is_gone intruder
	end_by TERM "$HOLDER"
	run -0 box --tmpfs /run env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=inner touch in
	[[ $output == "" ]]
	file_is_there in
}

guarded_jail() {
	see_state wild EXCLUSIVELOCK_NAME=jail firejail --noprofile --quiet --caps.drop=all --seccomp --nonewprivs "$HELPERS/state"
	observe status wild EXCLUSIVELOCK_NAME=jail firejail --noprofile --quiet sh -c 'echo out; echo err >&2; exit 42'
	observe wrong wild EXCLUSIVELOCK_NAME=jail firejail --no-such-option
	with_shim assert_free jail
}

@test "a guarded firejail does the same as without the shim" {
	needs_firejail
	without_and_with guarded_jail
	grep -qx 42 with/seen/status.status
}

program_in_jail() {
	see_state jail env LD_PRELOAD="$PRELOAD" EXCLUSIVELOCK_NAME=inner "$HELPERS/state"
	observe status jail env LD_PRELOAD="$PRELOAD" EXCLUSIVELOCK_NAME=inner sh -c 'seq 1000; exit 42'
	with_shim assert_free inner
}

@test "a guarded program in firejail, under its seccomp filter, does the same as without the shim" {
	needs_firejail
	without_and_with program_in_jail
	grep -qx 42 with/seen/status.status
}

@test "exlock-launch before bwrap and firejail keeps the sandbox exclusive" {
	needs_bwrap
	needs_firejail
	local sandbox
	for sandbox in "bwrap --bind / / --dev /dev --proc /proc --unshare-pid" "firejail --noprofile --quiet"; do
		# shellcheck disable=SC2086 # a list
		start_reader "$LAUNCH" --name box $sandbox sh -c 'echo ready; read -r word || echo last'
		run -1 "$LAUNCH" --name box touch intruder
		[[ $output == "$(refusal box "$HOLDER")" ]]
		close_input
		assert_free box
	done
}
