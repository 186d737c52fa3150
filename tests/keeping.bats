# SPDX-License-Identifier: MIT
# What keeps the lock where its usual means fail: no record, no descriptor, no flock, no way to the file.
# shellcheck disable=SC2016,SC2030,SC2031 # every test is a subshell; $ is for the shell inside

load test_helper

setup() {
	clean_environment
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	end_processes
	remove_public_place
}

# The launcher, with its library, where every user can run it.
make_public_launcher() {
	make_public_place
	cp "$BUILD/tests/hold-static" "$PLACE"
	place_launcher "$PLACE"
}

# Sets HOLDER to the PID that a program started in the background, by way of others, has said it has.
await_holder() {
	poll grep -qs ready out
	HOLDER=$(sed -n 's/ready //p' out)
	ENDLATER+=("$HOLDER")
}

@test "over another user's stale file, which it may only read, the launcher keeps a static command exclusive" {
	make_public_launcher
	echo 999999999 >"$(lock_file job)"
	as_user "$PLACE/exlock-launch" -n job "$PLACE/hold-static" >out 3>&- &
	await_holder
	run -1 as_user "$PLACE/exlock-launch" -n job echo in
	[[ $output == "$(refusal_start job)"* ]]
	kill -KILL "$HOLDER"
	poll process_has_ended "$HOLDER"
	run -0 as_user "$PLACE/exlock-launch" -n job echo in
}

@test "over such a file a program keeps the lock through exec, and its children see no descriptor of it" {
	make_public_launcher
	echo 999999999 >"$(lock_file job)"
	as_user env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=job sh -c \
		'sh -c "ls -l /proc/\$\$/fd"; exec "$0"' "$PLACE/hold" >out 3>&- &
	await_holder
	grep -q /dev/ out
	run -1 grep "$LOCK_PREFIX" out
	run -1 as_user env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=job echo in
	[[ $output == "$(refusal job "$HOLDER")" ]]
}

@test "the launcher starts nothing where it cannot record the PID for a command without the preload" {
	make_public_launcher
	run -125 as_user sh -c 'ulimit -f 0; exec "$0" -n job -P echo in' "$PLACE/exlock-launch"
	[[ $output == "exlock-launch: "*job*": nothing is started" ]]
}

@test "a start waits its turn and keeps to its timeout where no timer is to be had" {
	make_public_place
	as_user env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=job "$PLACE/hold" >out 3>&- &
	await_holder
	wait_without_timers() {
		timeout 20 prlimit --sigpending=0:0 setpriv --reuid=65534 --regid=65534 --clear-groups \
			env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=job EXCLUSIVELOCK_ON_HELD=wait EXCLUSIVELOCK_TIMEOUT="$1" echo in
	}
	run -1 wait_without_timers 0.3
	[[ $output == "$(refusal job "$HOLDER")" ]]
	wait_without_timers 60 >turn 3>&- &
	kill -TERM "$HOLDER"
	wait "$!"
	[[ $(<turn) == in ]]
}

@test "in scope tree a child whose descriptors are closed between fork and exec keeps the lock" {
	export EXCLUSIVELOCK_SCOPE=tree
	local leaving
	for leaving in 'sys.exit()' 'os._exit(0)' 'os.kill(os.getpid(), 9)'; do
		guarded EXCLUSIVELOCK_NAME=job /usr/bin/python3 -c "import os, subprocess, sys
child = subprocess.Popen([sys.argv[1]], close_fds=True, stdout=open('out', 'w'))
while not os.path.getsize('out'): pass
$leaving" "$HELPERS/hold" 3>&- || [[ $leaving == os.kill* ]]
		child=$(cut -d ' ' -f 2 out)
		ENDLATER+=("$child")
		assert_refused job "$child"
		kill -TERM "$child"
		poll process_has_ended "$child"
		assert_free job
	done
}

@test "a daemon keeps the lock whose parent called exec while a worker had the flock" {
	local leaving daemon
	for leaving in exit _exit exit_group; do
		rm -f out
		guarded EXCLUSIVELOCK_NAME=job "$HELPERS/relay" "$leaving" >out 3>&-
		poll grep -q ready out
		daemon=$(sed -n 's/ready //p' out)
		ENDLATER+=("$daemon" "$(sed -n 's/worker //p' out)")
		# The worker ends first; from then on nobody has the flock.
		kill -TERM "$(sed -n 's/worker //p' out)"
		poll process_has_ended "$(sed -n 's/worker //p' out)"
		assert_refused job "$daemon"
		kill -TERM "$daemon"
		poll process_has_ended "$daemon"
		assert_free job
	done
}

@test "beside a child that is about to call exec, it is such a daemon that gets into the record" {
	guarded EXCLUSIVELOCK_NAME=job "$HELPERS/relay" exit sleep >out 3>&-
	poll grep -q ready out
	daemon=$(sed -n 's/ready //p' out)
	ENDLATER+=("$daemon" "$(sed -n 's/command //p' out)")
	[[ $(<"$(lock_file job)") == "$daemon" ]]
}

# A refused start records who it finds to hold, once that has worked for a while.
assert_gets_recorded() {
	local tries
	for ((tries = 0; tries < 20; tries++)); do
		run -1 guarded EXCLUSIVELOCK_NAME=job true
		[[ $(<"$(lock_file job)") != "$1" ]] || return 0
	done
	return 1
}

@test "a daemon that never sleeps gets into the record, where Python looks for it" {
	local leaving
	for leaving in 'sys.exit()' 'os._exit(0)' 'os.kill(os.getpid(), 9)'; do
		rm -f out
		guarded EXCLUSIVELOCK_NAME=job /usr/bin/python3 -c "import os, sys
if os.fork(): $leaving
os.setsid()
print('ready', os.getpid(), flush=True)
while True: pass" >out 3>&- || [[ $leaving == os.kill* ]]
		await_holder
		assert_gets_recorded "$HOLDER"
		kill -KILL "$HOLDER"
		poll process_has_ended "$HOLDER"
	done
}

@test "a holder goes on when it calls exec where the lock directory is out of sight" {
	needs_mount_namespace
	mkdir hidden hidden/locks
	run -0 in_mount_namespace 'cd "$1"; export EXCLUSIVELOCK_DIR=$PWD/hidden/locks EXCLUSIVELOCK_NAME=job
exec env LD_PRELOAD="$2" sh -c "mount -t tmpfs none hidden; exec /bin/echo ran"' "$PWD" "$SHIM"
	[[ $output == ran ]]
}

@test "the children of a program that runs flagged do not take the lock when the holder has gone" {
	start_holder EXCLUSIVELOCK_NAME=job "$HELPERS/hold"
	mkfifo go
	EXCLUSIVELOCK_NAME=job EXCLUSIVELOCK_ON_HELD=flag guarded \
		sh -c 'echo flagged >seen; read -r line <go; "$0" >out' "$HELPERS/hold" 3>&- &
	ENDLATER+=("$!")
	poll file_has_content seen
	kill -TERM "$HOLDER"
	wait "$HOLDER"
	echo >go
	await_holder
	assert_free job
}

@test "a musl program whose environment another preload has moved is guarded" {
	command -v musl-gcc >/dev/null || skip "no musl-gcc"
	echo '#include <stdlib.h>
__attribute__((constructor)) static void move(void) { setenv("MOVED", "1", 1); }' >move.c
	musl-gcc -shared -fPIC -o move.so move.c
	musl-gcc -pthread -o hold "$SOURCE/tests/helpers/hold.c"
	run -125 env LD_PRELOAD="$PWD/move.so:$SHIM" EXCLUSIVELOCK_BY=args ./hold
	[[ $output == "exlock: the program's arguments: cannot be told (EXCLUSIVELOCK_NAME can give the lock a name)" ]]
	env LD_PRELOAD="$PWD/move.so:$SHIM" EXCLUSIVELOCK_NAME=job ./hold >out 3>&- &
	await_holder
	assert_refused job "$HOLDER"
}
