#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# A launcher that is called inside, for the lock that its process or an ancestor has in the cluster: it passes by, and the command
# keeps its fence. On one member of etcd.

# shellcheck disable=SC2016,SC2030,SC2031,SC2094,SC2153 # $ is for the shell inside; every test is a subshell; hosts.bash sets some
load test_helper
load cluster/etcd
load cluster/hosts

setup() {
	cluster_environment
	cd "$BATS_TEST_TMPDIR" || return
	mkdir locks2
}

# self_guarding OPTION...: makes a script as in the manual, which calls the launcher with OPTIONS by exec unless it runs under it, by way of
# the words of BETWEEN; and tells its fence.
self_guarding() {
	printf '#!/bin/sh\n[ "${GUARDED-}" = $$ ] || GUARDED=$$ exec %s %q --cluster -n "$LOCK" %s "$0" "$@"\necho "fence $EXCLUSIVELOCK_FENCE" "$@"\n' \
		"${BETWEEN-}" "$LAUNCH" "$*" >script
	chmod +x script
	export LOCK=$NAME EXCLUSIVELOCK_CLUSTER=$ETCDCTL_ENDPOINTS
}

# It has run once, with the fence of its key, and is gone.
assert_ran_once() {
	[[ $output =~ ^"fence "[0-9]+" word"$ ]] || { echo "$output" && return 1; }
	queue_is 0
}

@test "a script that guards itself by exec is not refused by itself" {
	local options
	for options in '' '-q -E 0' '--wait' '-t 5' '--flag'; do
		# shellcheck disable=SC2086 # several words
		self_guarding $options
		run -0 ./script word
		assert_ran_once
	done
}

@test "nor with other programs between, before the exec or after it" {
	BETWEEN="nice sh -c 'exec \"\$@\"' sh" self_guarding --wait
	run -0 ./script word
	assert_ran_once
	self_guarding --wait
	run -0 on web1 sh -c 'exec nice ./script word'
	assert_ran_once
	run -0 on web1 sh -c './script word; :'
	assert_ran_once
}

@test "the command inside holds the machine's lock and the cluster's as before" {
	self_guarding
	printf 'exec "$1/hold"\n' >>script
	begin_on web1 ./script "$HELPERS"
	poll grep -q ^ready web1.out
	read -r _ COMMAND _ <<<"$(grep ^ready web1.out)"
	[[ $(grep -c ^fence web1.out) == 1 ]]
	run -1 on web1 true
	[[ $output == "$(refusal "$NAME" "$COMMAND")" ]]
	assert_held_by web1
	kill -TERM "$COMMAND"
	ends_with 0 "$KEEPER"
	[[ -z $(ls -A web1) ]]
	queue_is 0
}

# inside OPTION...: prints the fence of a command by exec under NAME on web1, and the fences of launchers that it becomes, with OPTIONS.
inside() {
	run -0 on web1 sh -c 'echo "$EXCLUSIVELOCK_FENCE"; exec "$@" sh -c "echo \"\$EXCLUSIVELOCK_FENCE\""' sh "$LAUNCH" --cluster -n "$NAME" "$@"
}

@test "another prefix is another lock" {
	run -0 on web1 sh -c 'echo "$EXCLUSIVELOCK_FENCE"; EXCLUSIVELOCK_CLUSTER_PREFIX=b/ exec "$0" --cluster -n "$1" sh -c "
		echo \"\$EXCLUSIVELOCK_FENCE\"; etcdctl get --prefix b/ --keys-only"' "$LAUNCH" "$NAME"
	((lines[1] > lines[0]))
	[[ ${lines[2]} == "b/$NAME/"* ]]
}

@test "the same members in other words are the same lock, and it is not waited for" {
	inside --cluster="$ETCDCTL_ENDPOINTS/" --wait
	[[ ${lines[1]} == "${lines[0]}" && ${#lines[@]} == 2 ]]
	inside --cluster="127.0.0.1:1,$ETCDCTL_ENDPOINTS"
	[[ ${lines[1]} == "${lines[0]}" && ${#lines[@]} == 2 ]]
	queue_is 0
}

@test "so is the same name in another lock directory" {
	inside --dir "$PWD/locks2" --wait
	[[ ${lines[1]} == "${lines[0]}" && ${#lines[@]} == 2 ]]
	run -0 on web1 sh -c 'echo "$EXCLUSIVELOCK_FENCE"; "$@" sh -c "echo \"\$EXCLUSIVELOCK_FENCE\""; :' sh \
		"$LAUNCH" --cluster -n "$NAME" --dir "$PWD/locks2" --wait
	[[ ${lines[1]} == "${lines[0]}" && ${#lines[@]} == 2 ]]
}

@test "a descendant cannot have the name under another prefix, and is told why" {
	run -125 on web1 sh -c 'EXCLUSIVELOCK_CLUSTER_PREFIX=b/ "$0" --cluster -n "$1" touch intruder; exit $?' "$LAUNCH" "$NAME"
	[[ $output == *"is held by an ancestor of this process, on this machine alone or in another cluster: nothing is started"* ]]
	file_is_gone intruder
}

@test "where a program in between takes the mark away nothing is started, and the message says what to keep" {
	local inside='exec env -u EXCLUSIVELOCK_CLUSTER_INSTANCE "$0" --cluster -n "$1" "$2" intruder'
	run -125 on web1 sh -c "($inside); exit \$?" "$LAUNCH" "$NAME" touch
	[[ $output == *"keep EXCLUSIVELOCK_CLUSTER_INSTANCE in between"* ]]
	run -1 on web1 sh -c "$inside" "$LAUNCH" "$NAME" touch
	file_is_gone intruder
}

@test "a mark that somebody else replays lets nobody pass, whether the holder lives or not" {
	local mark
	hold_on web1 sh -c 'echo "ready $$"; exec sleep 1000'
	mark=$(tr '\0' '\n' <"/proc/$COMMAND/environ" | grep ^EXCLUSIVELOCK_CLUSTER_INSTANCE=)
	[[ $mark == *="$COMMAND".* ]]
	export EXCLUSIVELOCK_CLUSTER=$ETCDCTL_ENDPOINTS EXCLUSIVELOCK_NAME=$NAME
	# In the same words, and in others, with which the cluster is asked.
	EXCLUSIVELOCK_DIR=$LOCKS run -1 env "$mark" EXCLUSIVELOCK_FENCE=1 "$LAUNCH" --cluster touch intruder
	run -1 env "$mark" "$LAUNCH" --cluster="$ETCDCTL_ENDPOINTS/" touch intruder
	# With its own PID for that of the holder.
	run -1 sh -c 'export EXCLUSIVELOCK_CLUSTER_INSTANCE="$$.${1#*.}"; exec "$0" --cluster touch intruder' "$LAUNCH" "$mark"
	kill -TERM "$COMMAND"
	wait "$KEEPER" || :
	run -0 env "$mark" EXCLUSIVELOCK_FENCE=1 "$LAUNCH" --cluster printenv EXCLUSIVELOCK_FENCE
	((output > 1))
	file_is_gone intruder
}

@test "what a command has left behind when it ended does not pass by its mark" {
	local fence pid late
	mkfifo gate
	run -0 on web1 sh -c 'sh -c "read -r line <gate; exec \"\$@\"" sh "$@" >late 2>&1 3>&- &' sh \
		setsid "$LAUNCH" --cluster -n "$NAME" -w sh -c 'echo "$$ $EXCLUSIVELOCK_FENCE"; exec sleep 1000'
	hold_on web2 sh -c 'echo "ready $$ $EXCLUSIVELOCK_FENCE"; exec sleep 1000'
	echo go >gate
	poll queue_is 2
	[[ ! -s late ]]
	kill -TERM "$COMMAND"
	poll file_has_content late
	read -r _ _ fence <web2.out
	read -r pid late <late
	kill -TERM "$pid"
	poll queue_is 0
	((late > fence))
}

@test "in scope tree a descendant passes by although the command itself has ended" {
	mkfifo gate
	hold_on web1 -s tree sh -c 'echo "ready $$ $EXCLUSIVELOCK_FENCE"; setsid sh -c "read -r line <gate; \"\$@\"; exit \$?" sh "$@" >late 2>&1 &' sh \
		"$LAUNCH" --cluster="$ETCDCTL_ENDPOINTS" -n "$NAME" printenv EXCLUSIVELOCK_FENCE
	poll process_has_ended "$COMMAND"
	assert_held_by web1
	echo go >gate
	ends_with 0 "$KEEPER"
	[[ $(<late) == "$(cut -d' ' -f3 web1.out)" ]]
	queue_is 0
}

@test "a daemon to which the command has left the lock passes by as well; what else that has left behind does not" {
	mkfifo gate1 gate2
	# shellcheck disable=SC2016 # Perl's and the shell's
	hold_on web1 perl -e 'use POSIX; $| = 1; print "ready $$ $ENV{EXCLUSIVELOCK_FENCE}\n";
		if (!fork) { exec "sh", "-c", "read -r line <gate1; \"\$@\" >late1 2>&1; echo \$? >>late1", "sh", @ARGV }
		exit 0 if fork;
		setsid; open G, "<gate2"; <G>; exit system("sh", "-c", "\"\$@\" >late2 2>&1", "sh", @ARGV) >> 8' \
		"$LAUNCH" --cluster="$ETCDCTL_ENDPOINTS" -n "$NAME" printenv EXCLUSIVELOCK_FENCE
	poll process_has_ended "$COMMAND"
	echo go >gate1
	poll grep -qs '^[0-9]*$' late1
	[[ $(<late1) == *"is already running"*1 ]]
	echo go >gate2
	ends_with 0 "$KEEPER"
	[[ $(<late2) == "$(cut -d' ' -f3 web1.out)" ]]
	queue_is 0
}
