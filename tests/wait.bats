# SPDX-License-Identifier: MIT
# EXCLUSIVELOCK_ON_HELD=wait: a start waits for its turn, whoever holds the name. With flag it does not, but is told.

# shellcheck disable=SC2016,SC2030,SC2031 # every test is a subshell; $ is for the shell inside
load test_helper

setup() {
	clean_environment
	export EXCLUSIVELOCK_NAME=queue
	cd "$BATS_TEST_TMPDIR" || return
	FILE=$(lock_file queue)
}
teardown() {
	end_processes
	remove_public_place
}

is_asleep_as() { grep -qsx "$2" "/proc/$1/comm" && grep -qs '^State:.S' "/proc/$1/status"; }
is_queued() { grep -Eqs -- "-> FLOCK +ADVISORY +WRITE +$1 " /proc/locks; }

# Starts COMMAND as a waiter in the background; sets WAITER to its PID.
start_waiter() {
	env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_ON_HELD=wait "$@" 3>&- &
	WAITER=$!
	ENDLATER+=("$WAITER")
}

# A waiter that has to wait now enters when the command given has ended the holder.
assert_enters_after() {
	start_waiter touch entered
	poll is_asleep_as "$WAITER" touch
	file_is_gone entered
	"$@"
	poll file_is_there entered
	wait "$WAITER"
}

start_peer() {
	: >peer.out
	"$SOURCE/tests/peers/exclusive.py" queue >peer.out 3>&- &
	PEER=$!
	ENDLATER+=("$PEER")
	poll grep -q ready peer.out
}

start_flock() {
	flock --no-fork "$FILE" sleep 1000 3>&- &
	PEER=$!
	ENDLATER+=("$PEER")
	poll grep -qx sleep "/proc/$PEER/comm"
}

# Starts a holder that ends only when somebody has read all that it writes to PIPE. Sets HOLDER.
start_holder_to() {
	: >linger.err
	env LD_PRELOAD="$SHIM" "$HELPERS/linger" >"$1" 2>linger.err 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	poll grep -q ready linger.err
}

@test "a waiter enters when the program that holds the lock ends" {
	start_holder "$HELPERS/hold"
	assert_enters_after kill -TERM "$HOLDER"
	file_is_gone "$FILE"
}

@test "a waiter enters when the program that holds the lock ends by _exit()" {
	start_holder "$HELPERS/hold" _exit
	assert_enters_after kill -TERM "$HOLDER"
}

@test "a waiter enters when the program that holds the lock is killed" {
	start_holder "$HELPERS/hold"
	assert_enters_after kill -KILL "$HOLDER"
}

@test "a waiter enters when a daemon ends" {
	guarded "$HELPERS/daemonize" double exit_group "$PWD/daemon" 3>&-
	poll file_has_content daemon
	HOLDER=$(<daemon)
	ENDLATER+=("$HOLDER")
	assert_enters_after kill -TERM "$HOLDER"
}

@test "a waiter enters when a program that has exec'ed a static one ends" {
	start_holder sh -c 'exec "$0"' "$HELPERS/hold-static"
	assert_enters_after kill -TERM "$HOLDER"
}

@test "a waiter enters when flock(1) ends" {
	start_flock
	assert_enters_after kill -TERM "$PEER"
}

@test "a waiter enters when a Python program ends" {
	start_peer
	assert_enters_after kill -TERM "$PEER"
}

@test "a waiter enters when a Python program is killed" {
	start_peer
	assert_enters_after kill -KILL "$PEER"
}

@test "a waiter enters when a Python program gives its lock back and goes on" {
	start_peer
	assert_enters_after kill -USR1 "$PEER"
	kill -0 "$PEER"
}

@test "a waiter does not wait for a name that is free" {
	run -0 env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_ON_HELD=wait timeout 10 echo in
	[[ $output == in ]]
	file_is_gone "$FILE"
}

# A waiter with half a second's patience is refused by PID, not before it is over.
assert_refused_after_timeout() {
	local begin=${EPOCHREALTIME/./}
	run -75 timeout 20 env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_ON_HELD=wait EXCLUSIVELOCK_TIMEOUT=0.5 \
		EXCLUSIVELOCK_EXIT_CODE=75 touch entered
	((${EPOCHREALTIME/./} - begin >= 500000))
	[[ $output == "$(refusal queue "$1")" ]]
	file_is_gone entered
}

@test "a waiter whose time is over is refused, whoever holds the lock" {
	start_holder "$HELPERS/hold"
	assert_refused_after_timeout "$HOLDER"
	kill -KILL "$HOLDER"
	wait "$HOLDER" || :
	start_peer
	assert_refused_after_timeout "$PEER"
	kill -KILL "$PEER"
	wait "$PEER" || :
	start_flock
	assert_refused_after_timeout "$PEER"
}

@test "a timeout of zero is over at once, and one that is not used up does no harm" {
	start_holder "$HELPERS/hold"
	EXCLUSIVELOCK_TIMEOUT=0 run -1 timeout 10 env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_ON_HELD=wait touch entered
	[[ $output == "$(refusal queue "$HOLDER")" ]]
	export EXCLUSIVELOCK_TIMEOUT=600
	assert_enters_after kill -TERM "$HOLDER"
}

@test "50 waiters get their turn in the order in which they came, never two at once" {
	local turn
	start_holder "$HELPERS/hold"
	for turn in {1..50}; do
		start_waiter "$HELPERS/oracle" turns "$turn"
		poll is_queued "$WAITER"
	done
	file_is_gone turns
	kill -TERM "$HOLDER"
	for turn in "${ENDLATER[@]}"; do
		wait "$turn"
	done
	seq 50 | diff turns -
	file_is_gone "$FILE"
}

@test "200 waiters, eight at a time, get their turn, never two at once" {
	run -0 timeout 300 "$HELPERS/hammer" 200 8 env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_ON_HELD=wait \
		"$HELPERS/oracle" turns turn
	[[ $output == "0 200" ]]
	[[ $(wc -l <turns) -eq 200 ]]
	file_is_gone "$FILE"
}

@test "waiters that are killed in the queue hold nobody up" {
	local first
	start_holder "$HELPERS/hold"
	start_waiter touch killed
	first=$WAITER
	poll is_queued "$first"
	start_waiter "$HELPERS/oracle" turns mine
	poll is_queued "$WAITER"
	kill -KILL "$first"
	wait "$first" || :
	kill -TERM "$HOLDER"
	wait "$WAITER"
	[[ $(<turns) == mine ]]
	file_is_gone killed
	run -0 guarded true
}

@test "SIGTERM ends a waiter, and its program never runs" {
	local status=0
	start_holder "$HELPERS/hold"
	start_waiter touch entered
	poll is_queued "$WAITER"
	kill -TERM "$WAITER"
	wait "$WAITER" || status=$?
	[[ $status -eq 143 ]]
	file_is_gone entered
	assert_refused queue "$HOLDER"
}

@test "a program that had to wait finds its signals, timers, descriptors and all else as they were" {
	local with=(perl -e 'alarm 1000; exec @ARGV' env --ignore-signal=USR1 '--block-signal=USR2,ALRM')
	"${with[@]}" "$HELPERS/state" state </dev/null >out 2>&1 3>&- &
	wait $!
	mv state expected
	start_holder "$HELPERS/hold"
	EXCLUSIVELOCK_ON_HELD=wait EXCLUSIVELOCK_TIMEOUT=600 \
		"${with[@]}" LD_PRELOAD="$SHIM" "$HELPERS/state" state </dev/null >out 2>&1 3>&- &
	WAITER=$!
	ENDLATER+=("$WAITER")
	poll is_asleep_as "$WAITER" state
	kill -TERM "$HOLDER"
	wait "$WAITER"
	diff expected state
}

@test "a flagged program runs, and is told that the name is held and by whom" {
	start_holder "$HELPERS/hold"
	run -0 env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_ON_HELD=flag sh -c \
		'echo "$EXCLUSIVELOCK_HELD,$EXCLUSIVELOCK_HOLDER,$EXCLUSIVELOCK_LOCKFILE,$EXCLUSIVELOCK_PID"; exit'
	[[ $output == "1,$HOLDER,$FILE," ]]
	assert_refused queue "$HOLDER"
}

@test "a flagged program is told about Python and flock(1), too" {
	start_peer
	run -0 env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_ON_HELD=flag printenv EXCLUSIVELOCK_HELD EXCLUSIVELOCK_HOLDER
	[[ $output == $'1\n'"$PEER" ]]
	kill -TERM "$PEER"
	wait "$PEER"
	start_flock
	run -0 env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_ON_HELD=flag printenv EXCLUSIVELOCK_HELD EXCLUSIVELOCK_HOLDER
	[[ $output == $'1\n'"$PEER" ]]
}

@test "a program that may be flagged takes a free lock, and is not told otherwise" {
	export EXCLUSIVELOCK_ON_HELD=flag EXCLUSIVELOCK_HELD=1 EXCLUSIVELOCK_HOLDER=1
	run -0 guarded sh -c 'echo "$EXCLUSIVELOCK_HELD,$EXCLUSIVELOCK_HOLDER"; exit'
	[[ $output == "," ]]
	start_holder "$HELPERS/hold"
	unset EXCLUSIVELOCK_ON_HELD
	assert_refused queue "$HOLDER"
}

@test "a signal that the wait itself makes use of still ends the waiter when somebody else sends it" {
	local status=0
	start_holder "$HELPERS/hold"
	start_waiter EXCLUSIVELOCK_TIMEOUT=1000 touch entered
	poll is_queued "$WAITER"
	kill -64 "$WAITER"
	wait "$WAITER" || status=$?
	[[ $status -eq 192 ]]
	file_is_gone entered
	assert_refused queue "$HOLDER"
}

child_is_queued() {
	local child
	child=$(pgrep -P "$1") && is_queued "$child"
}

# Of the process that LOG is the trace of: how often a signal woke it.
wakes() { grep -c 'ppoll(.*ERESTART' "$1" || :; }

@test "a waiter whose time is over while it lets its predecessor end does not wait on" {
	command -v strace >/dev/null || skip "needs strace"
	mkfifo pipe
	# It ends once somebody reads what it writes at its end: nobody does.
	exec {reader}<>pipe
	start_holder_to pipe
	strace -qq -e signal=none -e trace=ppoll,flock -o trace env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_ON_HELD=wait EXCLUSIVELOCK_TIMEOUT=0.8 \
		touch entered 2>refusal 3>&- &
	WAITER=$!
	ENDLATER+=("$WAITER")
	poll child_is_queued "$WAITER"
	kill -TERM "$HOLDER"
	wait "$WAITER" || [[ $? -eq 1 ]]
	[[ $(<refusal) == "$(refusal_start queue)"* ]]
	file_is_gone entered
	exec {reader}>&-
	# The alarm comes again and again until somebody stops waiting.
	(($(wakes trace) < 20))
}

# In a lock directory for all, where a waiter of another user's cannot leave its hint on root's file.
setup_two_users() {
	[[ -z $EXLOCK_PRELOAD_FIRST ]] || skip "the launcher puts the library before a sanitizer's runtime"
	make_public_place
	place_launcher "$PLACE"
	cp "$BUILD/tests/lastfork" "$PLACE"
	FILE=$(lock_file queue)
	mkdir -m 777 "$PLACE/out"
}

# As another user: a waiter by the preload, and one by the launcher. Sets WAITERS.
start_waiters_of_another_user() {
	# Not by the function: $! would be a shell's.
	local other=(setpriv --reuid=65534 --regid=65534 --clear-groups)
	"${other[@]}" env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_ON_HELD=wait touch "$PLACE/out/preload" 3>&- &
	WAITERS=("$!")
	"${other[@]}" "$PLACE/exlock-launch" -w -n queue touch "$PLACE/out/launcher" 3>&- &
	WAITERS+=("$!")
	ENDLATER+=("${WAITERS[@]}")
	poll is_queued "${WAITERS[0]}"
	poll is_queued "${WAITERS[1]}"
}

assert_all_enter() {
	poll file_is_there "$PLACE/out/preload"
	poll file_is_there "$PLACE/out/launcher"
	wait "${WAITERS[0]}"
	wait "${WAITERS[1]}"
}

@test "waiters of another user do not stay on a deleted file whose flock a child of the holder's last moment keeps" {
	setup_two_users
	env LD_PRELOAD="$SHIM" "$PLACE/lastfork" 2>holder 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	poll grep -q ready holder
	start_waiters_of_another_user
	kill -TERM "$HOLDER"
	wait "$HOLDER"
	poll grep -q child holder
	CHILD=$(sed -n 's/^child //p' holder)
	ENDLATER+=("$CHILD")
	assert_all_enter
	kill -0 "$CHILD"
}

@test "nor do they where another user's process keeps the deleted file's flock" {
	setup_two_users
	printf '999999999\n' >"$FILE"
	setpriv --reuid=65533 --regid=65533 --clear-groups flock -F "$FILE" sh -c 'echo ready; exec sleep 1000' >stranger 3>&- &
	STRANGER=$!
	ENDLATER+=("$STRANGER")
	poll grep -qs ready stranger
	start_waiters_of_another_user
	rm "$FILE"
	assert_all_enter
	grep -q "FLOCK .* $STRANGER " /proc/locks
}

@test "one that waits for its turn from a file that is still there goes on to wait" {
	setup_two_users
	start_holder "$HELPERS/hold"
	start_waiters_of_another_user
	SWITCHES=$(sed -n 's/^voluntary_ctxt_switches:\t//p' "/proc/${WAITERS[0]}/status")
	# Until each has looked at the file at least once more.
	poll has_queued_again "${WAITERS[0]}"
	[[ -z $(ls -A "$PLACE/out") ]]
	kill -TERM "$HOLDER"
	assert_all_enter
}

# Each time that a waiter wakes up it has been switched to: for its start, and for what it looks at after that.
has_queued_again() {
	is_queued "$1" && (($(sed -n 's/^voluntary_ctxt_switches:\t//p' "/proc/$1/status") >= SWITCHES + 2))
}
