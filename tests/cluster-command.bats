#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What a command and its user notice of the keeper: nothing. And who ends when whom is killed. On one member of etcd.

# shellcheck disable=SC2016,SC2030,SC2031 # $ is for the shell inside; every test is a subshell
load test_helper
load cluster/etcd
load cluster/hosts

setup() {
	cluster_environment
	cd "$BATS_TEST_TMPDIR" || return
}

# The processes whose parent is PID.
children_of() { cat "/proc/$1/task/$1/children"; }

# Prints what `state` saw, without what differs from start to start, or says that there is a cluster.
seen() { sed -E 's/EXCLUSIVELOCK_(PID|INSTANCE)=[0-9.]*/\1/; s/^parent [0-9]* //; /EXCLUSIVELOCK_(FENCE|CLUSTER_INSTANCE)=/d; s/(signal on parent.s end) 9/\1 0/' state; }

# It sees the same with --cluster and without.
same_state() {
	export EXCLUSIVELOCK_DIR=$LOCKS EXCLUSIVELOCK_CLUSTER=$ETCDCTL_ENDPOINTS
	"$LAUNCH" -n "$NAME" --cluster "$HELPERS/state" state
	seen >cluster.state
	"$LAUNCH" -n "$NAME" "$HELPERS/state" state
	seen >local.state
	diff local.state cluster.state && [[ $(wc -l <cluster.state) -gt 80 ]]
}

@test "descriptors, signals, limits, timers, identity and environment are as without a cluster" {
	same_state
	same_state 7<"$ORACLE"
	(ulimit -n 200 && ulimit -c 0 && umask 027 && same_state)
	(trap '' INT TERM CHLD PIPE && same_state)
	same_state <&-
	same_state <&- >&- 2>&-
}

@test "a timer that was set before the launcher is the command's, which may take it back" {
	printf '#!/usr/bin/python3\nimport os, signal, sys\nfor which in range(3):\n signal.setitimer(which, 1000)\nos.execv("%s", sys.argv)\n' "$LAUNCH" >timed
	chmod +x timed
	LAUNCH=$PWD/timed
	same_state
	grep -q "timer 0 runs" local.state
}

@test "the command's exit status is the launcher's" {
	run -0 on web1 true
	run -42 on web1 sh -c 'exit 42'
}

@test "who waits for the launcher sees a signal that killed the command" {
	local signal
	for signal in TERM KILL SEGV QUIT USR1; do
		run -0 /usr/bin/python3 -c 'import subprocess, sys, signal
print(signal.Signals(-subprocess.run(sys.argv[1:]).returncode).name)' "$LAUNCH" --cluster="$ETCDCTL_ENDPOINTS" -n "$NAME" sh -c "kill -$signal \$\$"
		[[ $output == *"SIG$signal" ]]
	done
	[[ -z $(find . -name 'core*') ]]
}

@test "a command that cannot be run is told of as ever, and the name is free after it" {
	printf '\177ELFbroken' >broken
	chmod +x broken
	run -126 on web1 ./broken
	[[ $output == "exlock-launch: ./broken: Exec format error" ]]
	printf '#!/no/such/interpreter\n' >script
	chmod +x script
	run -127 on web1 ./script
	[[ -z $(ls -A web1) ]]
	printf 'echo "a script: $1"\n' >script
	run -0 on web1 ./script word
	[[ $output == "a script: word" ]]
}

@test "the arguments arrive as they are" {
	local arguments=('two words' $'two\nlines\n' '*' '' "it's" '"' "\\" "\$HOME" '-n' '--' '--help' '`id`')
	(on web1 printf '%s\0' "${arguments[@]}") >seen
	printf '%s\0' "${arguments[@]}" | cmp - seen
}

@test "signals that are sent to the launcher reach the command" {
	hold_on web1 sh -c 'sleep 1000 & for s in HUP INT USR1 WINCH; do trap "echo got $s" "$s"; done
		trap "echo end; kill $!; exit 3" TERM; echo "ready $$"; while :; do wait; done'
	local signal
	for signal in HUP USR1 WINCH; do
		kill -"$signal" "$KEEPER"
		poll grep -qx "got $signal" web1.out
	done
	kill -TERM "$KEEPER"
	ends_with 3 "$KEEPER"
	[[ $(grep -c got web1.out) == 3 ]]
}

@test "SIGPIPE that is sent to the launcher reaches the command, too" {
	hold_on web1 sh -c 'sleep 1000 & trap "echo end; kill $!; exit 3" PIPE; echo "ready $$"; while :; do wait; done'
	kill -PIPE "$KEEPER"
	ends_with 3 "$KEEPER"
}

@test "what systemd has for the launcher's PID, a socket or a watchdog, is for the command's" {
	run -0 env --ignore-environment sh -c 'LISTEN_PID=$$ WATCHDOG_PID=$$ LISTEN_FDS=1 exec "$@"' sh \
		"$LAUNCH" -d "$LOCKS" --cluster="$ETCDCTL_ENDPOINTS" -n "$NAME" sh -c 'echo "$(($$ == LISTEN_PID)) $(($$ == WATCHDOG_PID)) $LISTEN_FDS"'
	[[ $output == "1 1 1" ]]
	# It may have been for an ancestor.
	LISTEN_PID=1 run -0 on web1 printenv LISTEN_PID
	[[ $output == 1 ]]
}

@test "at a terminal interrupt, stop, suspend and continue reach the command once, and the shell knows of it" {
	run -0 timeout 60 /usr/bin/python3 "$BATS_TEST_DIRNAME/cluster/terminal.py" "$LAUNCH" --cluster="$ETCDCTL_ENDPOINTS" -n "$NAME"
	[[ $output == *"all as it should be" ]] || { echo "$output" && false; }
}

@test "when the terminal of a launcher is gone that leads its session, the command hears of it" {
	run -0 /usr/bin/python3 "$BATS_TEST_DIRNAME/cluster/hangup.py" "$LAUNCH" --cluster="$ETCDCTL_ENDPOINTS" -n "$NAME"
	[[ $output == "ended with 9" ]]
}

@test "the other end of a pipe hears when the command closes its own" {
	mkfifo in out
	(on web1 sh -c 'exec <&- >&-; echo closed >closed; exec sleep 1000') <in >out 3>&- &
	KEEPER=$!
	ENDLATER+=("$KEEPER")
	exec {writer}>in {reader}<out
	poll file_has_content closed
	run -0 cat <&"$reader"
	sh -c 'exec 2>/dev/null; while echo x; do :; done' 1>&"$writer" || status=$?
	((status == 141))
	exec {reader}<&- {writer}>&-
	kill -TERM "$KEEPER"
	wait "$KEEPER" || :
}

@test "the machine's lock is the command's own, and names its PID" {
	hold_on web1 "$HELPERS/hold"
	[[ $(<"$(lock_file "$NAME" web1)") == "$COMMAND" ]]
	grep -qF "$(lock_file "$NAME" /web1)" "/proc/$COMMAND/maps"
	run -1 on web1 true
	[[ $output == "$(refusal "$NAME" "$COMMAND")" ]]
}

@test "static commands and --no-preload are guarded as well" {
	hold_on web1 "$HELPERS/hold-static"
	run -1 on web1 true
	run -1 on web2 true
	kill -TERM "$COMMAND"
	wait "$KEEPER"
	hold_on web1 -P "$HELPERS/hold"
	run ! grep -q libexlock.so "/proc/$COMMAND/maps"
	run -1 on web1 true
	run -1 on web2 true
	kill -TERM "$COMMAND"
	wait "$KEEPER"
	[[ -z $(ls -A web1) ]]
}

@test "an own LD_PRELOAD is kept, after ours, and is not in the keeper" {
	LD_PRELOAD=$BUILD/libexclusivelock.so hold_on web1 sh -c 'echo "ready $$"; echo "$LD_PRELOAD"; sleep 1000 & wait'
	poll grep -qx "$BUILD/libexlock.so:$BUILD/libexclusivelock.so" web1.out
	grep -q libexclusivelock.so "/proc/$COMMAND/maps"
	run ! grep -qE 'lib(exlock|exclusivelock).so' "/proc/$KEEPER/maps"
}

@test "when the keeper is killed the command and its descendants are, and the machine's lock is held until they have ended" {
	hold_on web1 sh -c 'sh -c "echo \$\$ >child; exec sleep 1000" & echo "ready $$"; wait'
	poll file_has_content child
	kill -KILL "$KEEPER"
	poll process_has_ended "$COMMAND"
	poll process_has_ended "$(<child)"
	run -0 on web1 -t 30 echo in
	[[ $output == in ]]
}

@test "when the warden is killed the command is by the kernel, its descendants are by the keeper, and the lock is given back" {
	hold_on web1 sh -c 'sh -c "echo \$\$ >child; exec sleep 1000" & echo "ready $$"; wait'
	poll file_has_content child
	local warden
	warden=$(children_of "$KEEPER")
	kill -KILL "${warden% }"
	ends_with 123 "$KEEPER"
	process_has_ended "$COMMAND"
	process_has_ended "$(<child)"
	run -0 on web2 echo in
}

@test "when the keeper is stopped for longer than the lease the command has ended before the lease has" {
	hold_on web1 sh -c "$STUBBORN" "$ORACLE"
	kill -STOP "$KEEPER"
	assert_next_is_alone
	process_has_ended "$COMMAND"
	grep -q asked web1.out
	kill -CONT "$KEEPER"
	ends_with 123 "$KEEPER"
	grep -qF 'the lock was lost: the command was killed' web1.err
}

@test "when keeper and warden are stopped together the command goes on; continued, they kill it" {
	hold_on web1 "$HELPERS/hold"
	local warden
	warden=$(children_of "$KEEPER")
	kill -STOP "$KEEPER" "${warden% }"
	poll queue_is 0
	kill -0 "$COMMAND"
	kill -CONT "$KEEPER" "${warden% }"
	ends_with 123 "$KEEPER"
	process_has_ended "$COMMAND"
}

@test "with --scope tree the launcher stays, and both locks are held, until every descendant has ended" {
	mkfifo gate
	(on web1 --scope tree sh -c 'sh -c "read -r line <gate" & echo "ready $$"; exit 7' ) >web1.out 2>&1 3>&- &
	KEEPER=$!
	ENDLATER+=("$KEEPER")
	poll grep -q ready web1.out
	read -r _ COMMAND <web1.out
	poll process_is_gone "$COMMAND"
	run -1 on web2 true
	run -1 on web1 true
	echo go >gate
	ends_with 7 "$KEEPER"
	[[ -z $(ls -A web1) ]]
	run -0 on web2 true
}

@test "in scope process the lock is free when the command has ended, and what it has started lives on" {
	run -0 on web1 sh -c 'sleep 1000 >/dev/null 2>&1 3>&- & echo $!'
	ENDLATER+=("$output")
	kill -0 "$output"
	run -0 on web2 true
	kill -KILL "${ENDLATER[0]}"
}

@test "a daemon keeps both locks, as it keeps the machine's, and the launcher stays for it" {
	begin_on web1 "$HELPERS/daemonize" daemon exit "$PWD/pid"
	poll file_has_content pid
	ENDLATER+=("$(<pid)")
	run -1 on web2 true
	run -1 on web1 true
	[[ $output == "$(refusal "$NAME" "$(<pid)")" ]]
	kill -TERM "$(<pid)"
	ends_with 0 "$KEEPER"
	run -0 on web2 true
	[[ -z $(ls -A web1) ]]
}

@test "so does a daemon that loads no library, by the descriptor; with --close nobody inherits that" {
	mkfifo "$BATS_TEST_TMPDIR/gate"
	# shellcheck disable=SC2016 # Perl's
	hold_on web1 --no-preload perl -e 'use POSIX; $| = 1; print "ready $$\n"; exit 0 if fork; setsid; exit 0 if fork; open G, "<", @ARGV; <G>' \
		"$BATS_TEST_TMPDIR/gate"
	poll process_has_ended "$COMMAND"
	lease_passes
	run -1 on web1 true
	assert_held_by web1
	echo go >"$BATS_TEST_TMPDIR/gate"
	ends_with 0 "$KEEPER"
	queue_is 0
	run -0 on web1 --no-preload ls -l /proc/self/fd
	[[ $output == *"web1/py_exclusivelock_$NAME.lock"* ]]
	run -0 on web1 --no-preload --close ls -l /proc/self/fd
	[[ $output != *"web1/py_exclusivelock_$NAME.lock"* ]]
}

@test "a lock around it keeps flock(1) out, too, until the launcher has ended" {
	local outer=$BATS_TEST_TMPDIR/web1/py_exclusivelock_outer.lock
	mkdir -p "${outer%/*}"
	(EXCLUSIVELOCK_DIR=${outer%/*} exec "$LAUNCH" -n outer "$LAUNCH" --cluster="$ETCDCTL_ENDPOINTS" -n "$NAME" "$HELPERS/hold") \
		>"$BATS_TEST_TMPDIR/out" 3>&- &
	KEEPER=$!
	ENDLATER+=("$KEEPER")
	poll grep -q ^ready "$BATS_TEST_TMPDIR/out"
	run -1 flock -n "$outer" true
	read -r _ COMMAND _ <"$BATS_TEST_TMPDIR/out"
	kill -TERM "$COMMAND"
	wait "$KEEPER" || :
	flock -n "$outer" true
}

@test "a background child that was there before the launcher is none of the command's" {
	(exec env EXCLUSIVELOCK_CLUSTER_HOST=web1 sh -c 'sleep 1000 & echo $! >stranger
		exec "$0" --cluster="$1" -n "$2" -s tree sh -c "echo ready \$\$; read -r line <gate"' "$LAUNCH" "$ETCDCTL_ENDPOINTS" "$NAME") >web1.out 2>&1 3>&- &
	KEEPER=$!
	mkfifo gate
	poll grep -q ready web1.out
	ENDLATER+=("$KEEPER" "$(<stranger)")
	etcdctl del --prefix "$NAME/"
	ends_with 123 "$KEEPER"
	kill -0 "$(<stranger)"
	kill -KILL "$(<stranger)"
}
