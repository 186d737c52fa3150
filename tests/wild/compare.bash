# SPDX-License-Identifier: MIT
# Shared by what runs Debian's own programs: each is run bare, under the preload and by the launcher, in a folder that is
# made anew under the same name, and everything that can be seen of the three runs has to be the same.
# shellcheck shell=bash disable=SC2016,SC2034,SC2154 # code for sh; read by the topics; set by bats

load ../test_helper

WORKLOADS=$BATS_TEST_DIRNAME/workloads
# Not whatever else comes first in the caller's PATH.
export PATH=/usr/bin:/bin:/usr/sbin:/sbin

# A topic may define prepare, which fills the folder that a run finds; and mask, a filter for what differs anyway.
prepare() { :; }
mask() { cat; }

wild_setup() {
	clean_environment
	export GATE=$BATS_TEST_TMPDIR/gate HOME=$BATS_TEST_TMPDIR/home
	FOLDER=$BATS_TEST_TMPDIR/here
	SEEN=$BATS_TEST_TMPDIR/seen
	INPUT=/dev/null
	# All that a program finds; nothing of whoever runs the suite.
	ENVIRONMENT=("PATH=$PATH" "HOME=$HOME" "PWD=$FOLDER" "GATE=$GATE" "STATE=$HELPERS/state" LC_ALL=C.UTF-8 TERM=dumb
		"TMPDIR=$BATS_TEST_TMPDIR" EXCLUSIVELOCK_NAME=wild "EXCLUSIVELOCK_DIR=$LOCKS")
	mkdir "$GATE" "$SEEN"
	mkfifo "$GATE/go"
	cat >"$GATE/gate" <<-'SH'
		#!/bin/sh
		# Stands for the middle of the program: says that it has come to this, and waits.
		: >"$GATE/reached" && read -r word <"$GATE/go" && echo "$word"
	SH
	chmod +x "$GATE/gate"
}

# Also what a program that hangs has started.
wild_teardown() {
	local i pid children
	for ((i = 0; i < ${#ENDLATER[@]}; i++)); do
		pid=${ENDLATER[i]}
		read -r children 2>/dev/null <"/proc/$pid/task/$pid/children" || :
		# shellcheck disable=SC2206 # numbers
		ENDLATER+=($children)
	done
	end_processes
}

# Skips the test unless Debian's COMMANDs are there.
needs() {
	local command
	for command; do
		[[ -x /usr/bin/$command || -x /usr/sbin/$command ]] || skip "needs $command"
	done
}

# Numbers that the kernel gives: of pipes and sockets, of processes, of files, of all the user's queued signals; and how much
# has been written, which depends on how long these are.
mask_kernels_numbers() {
	sed -E 's/(pipe|socket|net|pid|mnt):\[[0-9]+\]/\1:[#]/g
		s/inode [0-9]+:[0-9]+/inode #/
		s/^(descriptor [12] .*) offset [0-9]+/\1/
		s!/proc/[0-9]+!/proc/#!g
		/^parent [0-9]+ group|^SigQ:/d'
}

# Replaces the process by COMMAND in the WAY named.
start_the_way() {
	local way=$1
	shift
	case $way in
	bare) exec env -i "${ENVIRONMENT[@]}" "$@" ;;
	preload) exec env -i "${ENVIRONMENT[@]}" LD_PRELOAD="$SHIM" "$@" ;;
	launch) exec env -i "${ENVIRONMENT[@]}" "$LAUNCH" "$@" ;;
	esac
}

fresh_folder() {
	rm -rf "$FOLDER" "$HOME" "$GATE/reached"
	mkdir "$FOLDER" "$HOME"
	cd "$FOLDER" || return
	prepare
}

# The files that a run leaves: kind, mode, size, target and contents.
files_left() {
	find . -printf '%P %y %m %l\n' -type f -exec sha256sum {} + | sort
}

# Waits, a minute at most, until COMMAND succeeds.
wait_for() {
	local tries
	for ((tries = 0; tries < 6; tries++)); do
		poll "$@" 2>/dev/null && return
	done
	echo "never true: $*" >&2
	return 1
}

reached_or_ended() {
	[[ -e $GATE/reached ]] || process_has_ended "$1"
}

# The guarded process, if the one that was started is not it itself.
guarded_pid() { echo "$1"; }

# In the middle of PID's run, which goes WAY: another start is refused, and the program goes on.
at_the_gate() {
	local pid=$1 way=$2
	wait_for reached_or_ended "$pid"
	[[ -e $GATE/reached ]] || { echo "$way: ended before it came to its middle"; cat "$SEEN/out" "$SEEN/err"; return 1; }
	[[ $way == bare ]] || assert_refused wild "$(guarded_pid "$pid")"
	timeout 20 sh -c 'echo go >"$GATE/go"'
}

# The name "wild" is free: a start under it succeeds and leaves nothing.
assert_free_again() {
	env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=wild true
	file_is_gone "$(lock_file wild)"
}

# Puts the stream NAME of the run WAY beside those of the others. Most are empty.
see_stream() {
	local way=$1 name=$2
	if [[ ! -s $SEEN/$name ]]; then
		: >"$SEEN/$way.$name"
	else
		mask_kernels_numbers <"$SEEN/$name" | mask >"$SEEN/$way.$name"
	fi
}

# Runs COMMAND the WAY named and writes to $SEEN what there is to see.
run_the_way() {
	local way=$1 gated=$2 pid ended=0
	shift 2
	fresh_folder
	(start_the_way "$way" "$@") <"$INPUT" >"$SEEN/out" 2>"$SEEN/err" 3>&- &
	pid=$!
	ENDLATER+=("$pid")
	if [[ $gated == yes ]]; then
		at_the_gate "$pid" "$way"
		wait_for process_has_ended "$pid"
	fi
	wait "$pid" || ended=$?
	[[ $way == bare ]] || assert_free_again
	see_stream "$way" out
	see_stream "$way" err
	echo "$ended" >"$SEEN/$way.status"
	files_left >"$SEEN/$way.files"
}

# Sorts what the helper program "state" says of an environment: a shell, such as the launcher, keeps no order.
sort_environment() {
	awk '/^environment / { print | "sort"; next } { close("sort"); print }' "$1"
}

# The guarded runs show what the bare one does.
assert_all_the_same() {
	local what
	for what in status out err files; do
		# As it is most of the time, to the byte.
		if cmp -s "$SEEN/bare.$what" "$SEEN/preload.$what" && cmp -s "$SEEN/bare.$what" "$SEEN/launch.$what"; then continue; fi
		diff -u "$SEEN/bare.$what" "$SEEN/preload.$what" || { echo "$what differs under the preload"; return 1; }
		diff -u <(sort_environment "$SEEN/bare.$what") <(sort_environment "$SEEN/launch.$what") ||
			{ echo "$what differs by the launcher"; return 1; }
	done
}

# Runs COMMAND, which calls $GATE/gate in its middle, in every way.
compare() {
	local way
	for way in bare preload launch; do
		run_the_way "$way" yes "$@"
	done
	assert_all_the_same
}

# The same for a COMMAND that has no gate: for ends that leave no time.
compare_briefly() {
	local way
	for way in bare preload launch; do
		run_the_way "$way" no "$@"
	done
	assert_all_the_same
}

# What the last comparison showed must have a line that matches the regular expression: it did its work.
assert_shown() {
	grep -qE -- "$1" "$SEEN/launch.out" "$SEEN/launch.err" "$SEEN/launch.status" || { cat "$SEEN"/launch.*; return 1; }
}

assert_status() {
	[[ $(<"$SEEN/launch.status") == "$1" ]] || { cat "$SEEN"/launch.*; return 1; }
}
