# SPDX-License-Identifier: MIT
# What becomes of a command when its keeper, or the warden between the two, is killed or stopped.

# shellcheck disable=SC2030,SC2031 # every test is a subshell

load test_helper
load cluster/etcd
load cluster/hosts
load cluster/proxy

teardown() {
	local pid
	for pid in "${STOPPED[@]}"; do
		kill -CONT "$pid" 2>/dev/null || :
	done
	end_processes
}

stop() {
	STOPPED+=("$@")
	kill -STOP "$@"
}

# The command and its descendants are gone at once, with the lease only begun.
assert_all_gone() {
	poll process_has_ended "$COMMAND"
	poll flock -n "$ORACLE" true
	queue_is 1
}

@test "a keeper that is killed takes the command and all its descendants with it at once" {
	hold_on web1 --ttl 60 sh -c "$STUBBORN" "$ORACLE"
	kill -KILL "$KEEPER"
	assert_all_gone
}

@test "so does one whose warden is stopped" {
	hold_on web1 --ttl 60 sh -c "$STUBBORN" "$ORACLE"
	find_warden
	stop "$WARDEN"
	kill -KILL "$KEEPER"
	assert_all_gone
}

@test "a warden that is killed does so, too" {
	hold_on web1 --ttl 60 sh -c "$STUBBORN" "$ORACLE"
	find_warden
	kill -KILL "$WARDEN"
	poll process_has_ended "$COMMAND"
	assert_ends_with 123
	flock -n "$ORACLE" true
}

@test "it is the kernel that does so: the keeper may be stopped" {
	hold_on web1 --ttl 60 sh -c "$STAYS" "$ORACLE"
	find_warden
	stop "$KEEPER"
	kill -KILL "$WARDEN"
	assert_all_gone
}

@test "the name of a keeper that was killed is free when its lease has ended, and on its own host, too" {
	hold_on web1 sh -c "$STUBBORN" "$ORACLE"
	kill -KILL "$KEEPER"
	assert_next_is_alone
	run -0 on web1 echo in
}

@test "a keeper that is stopped for longer than its lease does not keep the command alive" {
	hold_on web1 sh -c "$STUBBORN" "$ORACLE"
	stop "$KEEPER"
	assert_next_is_alone
	kill -CONT "$KEEPER"
	assert_ends_with 123
}

@test "a warden that is stopped does not either" {
	proxy_start way=0
	ENDPOINTS=${WAY[way]} hold_on web1 sh -c "$STUBBORN" "$ORACLE"
	find_warden
	stop "$WARDEN"
	proxy_tell way drop
	assert_next_is_alone
	assert_ends_with 123
}

# The command has ended as that of STATUS, and its name is free.
assert_let_go() {
	poll process_has_ended "$KEEPER"
	assert_ends_with "$1"
	queue_is 0
}

@test "a warden that is stopped does not keep the name of a command that has ended" {
	hold_on web1 --ttl 60 sh -c "$STAYS" "$ORACLE"
	find_warden
	stop "$WARDEN"
	kill -TERM "$COMMAND"
	assert_let_go 143
}

@test "nor that of a daemon" {
	begin_on web1 "$HELPERS/daemonize" daemon exit "$BATS_TEST_TMPDIR/pid"
	poll file_has_content "$BATS_TEST_TMPDIR/pid"
	ENDLATER+=("$(<"$BATS_TEST_TMPDIR/pid")")
	find_warden
	stop "$WARDEN"
	kill -TERM "$(<"$BATS_TEST_TMPDIR/pid")"
	assert_let_go 0
}

@test "nor does it keep one that waits from leaving the queue" {
	hold_on web1 --ttl 60 sh -c "$STAYS" "$ORACLE"
	local holder=$KEEPER
	begin_on web2 --wait true
	poll queue_is 2
	find_warden
	stop "$WARDEN"
	kill -TERM "$KEEPER"
	poll queue_is 1
	poll process_has_ended "$KEEPER"
	assert_ends_with 143
	kill -TERM "$COMMAND"
	ends_with 143 "$holder"
}

@test "one that tells nothing at all is given up with whatever is left of the command, and the launcher says so" {
	command -v strace >/dev/null || skip "needs strace"
	hold_on web1 --ttl 60 sh -c 'sleep 1000 & echo "ready $$"; wait'
	find_warden
	# It stops again at each signal that it reads.
	strace -qq -o /dev/null -e trace=read -e inject=read:signal=STOP -p "$WARDEN" 2>"$BATS_TEST_TMPDIR/strace" 3>&- &
	ENDLATER+=("$!")
	poll grep -q TracerPid:.[1-9] "/proc/$WARDEN/status"
	kill -KILL "$COMMAND"
	assert_let_go 123
	[[ $(<"$BATS_TEST_TMPDIR/web1.err") == *"the command has ended, and its warden does not tell how"* ]]
}

# All of a host is stopped until another one's command is in, as a machine is that sleeps. Sets FAMILY.
sleep_through_a_lease() {
	hold_on web1 --ttl 3 sh -c "$STUBBORN" "$ORACLE"
	find_warden
	mapfile -t FAMILY < <(pgrep -P "$KEEPER,$WARDEN,$COMMAND")
	FAMILY+=("$KEEPER")
	stop "${FAMILY[@]}"
	SLEEPER=$COMMAND SLEEPERS_KEEPER=$KEEPER
	# shellcheck disable=SC2016 # the command's shell's
	hold_on web2 --wait sh -c 'echo "ready $$ $EXCLUSIVELOCK_FENCE"; exec sleep 1000'
}

@test "a machine that was asleep for longer than the lease ends the command when it wakes up, and the next one's token is higher" {
	local fence next
	sleep_through_a_lease
	run ! process_has_ended "$SLEEPER"
	fence=$(tr '\0' '\n' <"/proc/$SLEEPER/environ" | sed -n 's/^EXCLUSIVELOCK_FENCE=//p')
	read -r _ _ next <"$BATS_TEST_TMPDIR/web2.out"
	((next > fence))
	kill -CONT "${FAMILY[@]}"
	poll process_has_ended "$SLEEPER"
	poll flock -n "$ORACLE" true
	KEEPER=$SLEEPERS_KEEPER
	assert_ends_with 123
	assert_held_by web2
}

@test "the first thing that it does then is to kill: no member is asked before" {
	command -v strace >/dev/null || skip "needs strace"
	sleep_through_a_lease
	# A file for each process, with times: in one, calls of two that meet are in pieces.
	strace -ff -ttt -qq -o "$BATS_TEST_TMPDIR/trace" -e signal=none -e trace=sendto,kill,pidfd_send_signal \
		-p "$SLEEPERS_KEEPER" -p "$WARDEN" 2>"$BATS_TEST_TMPDIR/strace" 3>&- &
	ENDLATER+=("$!")
	poll grep -q TracerPid:.[1-9] "/proc/$SLEEPERS_KEEPER/status"
	poll grep -q TracerPid:.[1-9] "/proc/$WARDEN/status"
	kill -CONT "${FAMILY[@]}"
	poll process_has_ended "$SLEEPERS_KEEPER"
	poll grep -qs 'SIGKILL\|sendto' "$BATS_TEST_TMPDIR"/trace.*
	run sort -n "$BATS_TEST_TMPDIR"/trace.*
	[[ ${lines[0]} == *SIGKILL* ]]
}

@test "one that slept while it waited comes last, and gets in when it is its turn" {
	hold_on web1 sh -c "$STAYS" "$ORACLE"
	local holder=$COMMAND sleeper
	begin_on web2 --wait flock -n "$ORACLE" echo alone
	sleeper=$KEEPER
	poll queue_is 2
	stop "$sleeper"
	poll queue_is 1
	begin_on web3 --wait sh -c "$STAYS" "$ORACLE"
	poll queue_is 2
	kill -CONT "$sleeper"
	poll queue_is 3
	kill -TERM "$holder"
	poll grep -q ready "$BATS_TEST_TMPDIR/web3.out"
	[[ ! -s $BATS_TEST_TMPDIR/web2.out ]]
	kill -TERM "$KEEPER"
	poll grep -q alone "$BATS_TEST_TMPDIR/web2.out"
}

is_stopped() { grep -qs '^State:.[Tt]' "/proc/$1/status"; }

# A child of PARENT's is there, and stopped. The keeper, which stops as well, goes on. Sets CHILD.
stopped_child_of() {
	if is_stopped "$KEEPER"; then kill -CONT "$KEEPER"; fi
	find_child "$1" 2>/dev/null && is_stopped "$CHILD"
}

# A start on web1 whose processes stop as soon as they are forked: a child's first call is libc's own. Sets WARDEN to the first.
start_stopping() {
	command -v strace >/dev/null || skip "needs strace"
	LAUNCH=$BATS_TEST_TMPDIR/stopping
	printf '#!/bin/sh\nexec strace -D -f -qq -o /dev/null -e trace=set_robust_list -e inject=set_robust_list:signal=STOP %q "$@"\n' \
		"$BUILD/exlock-launch" >"$LAUNCH"
	chmod +x "$LAUNCH"
	begin_on web1 touch "$BATS_TEST_TMPDIR/started"
	poll stopped_child_of "$KEEPER"
	WARDEN=$CHILD
	STOPPED+=("$KEEPER" "$WARDEN")
}

# The keeper has told its command to start, and is stopped before it does anything else. It goes on from what it sends to the cluster, and
# from what curl sends to itself.
stopped_at_start() {
	local last
	last=$(grep -s ' = [0-9]' "$BATS_TEST_TMPDIR/sent" | tail -n 1)
	case $last in
	'') return 1 ;;
	*POST* | *'"\0", 1,'*) kill -CONT "$KEEPER" && return 1 ;;
	esac
}

# The keeper goes on, wherever it stops, and ends.
ends_continued() {
	process_has_ended "$KEEPER" || { kill -CONT "$KEEPER" && false; }
}

@test "a keeper that is stopped as soon as its command has started, until the lease is over, ends when it goes on" {
	command -v strace >/dev/null || skip "needs strace"
	LAUNCH=$BATS_TEST_TMPDIR/stopping
	printf '#!/bin/sh\nexec strace -D -qq -e signal=none -o %q -e trace=sendto -e inject=sendto:signal=STOP %q "$@"\n' \
		"$BATS_TEST_TMPDIR/sent" "$BUILD/exlock-launch" >"$LAUNCH"
	chmod +x "$LAUNCH"
	begin_on web1 --ttl 4 sh -c "$STUBBORN" "$ORACLE"
	STOPPED+=("$KEEPER")
	poll stopped_at_start
	poll grep -q ^ready "$BATS_TEST_TMPDIR/web1.out"
	read -r _ COMMAND <"$BATS_TEST_TMPDIR/web1.out"
	poll process_has_ended "$COMMAND"
	poll ends_continued
	assert_ends_with 123
	flock -n "$ORACLE" true
}

# All that was started goes on where it has stopped, and is gone.
is_nothing_left() {
	local all
	mapfile -t all < <(grep -lzs "^EXCLUSIVELOCK_DIR=$BATS_TEST_TMPDIR/web1" /proc/[0-9]*/environ | tr -cd '0-9\n')
	kill -CONT "${all[@]}" 2>/dev/null || :
	((${#all[@]} == 0))
}

assert_nothing_started() {
	poll is_nothing_left
	file_is_gone "$BATS_TEST_TMPDIR/started"
	LAUNCH=$BUILD/exlock-launch
	run -0 on web1 echo in
}

@test "a keeper that is killed when its child was just forked leaves nothing that runs" {
	start_stopping
	kill -KILL "$KEEPER"
	assert_nothing_started
}

@test "nor does a warden that is killed when the command's process was just forked, and has told the kernel nothing yet" {
	start_stopping
	kill -CONT "$WARDEN"
	poll stopped_child_of "$WARDEN"
	STOPPED+=("$CHILD")
	kill -KILL "$WARDEN"
	assert_nothing_started
}
