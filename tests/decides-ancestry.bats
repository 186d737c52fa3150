#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Who counts as a descendant of the holder: by the record of a living ancestor and by the mark of the instance that holds, nothing else.
# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154 # every test is a subshell; run sets $stderr

load test_helper

setup() {
	clean_environment
	cd "$BATS_TEST_TMPDIR" || return
	# What waits in the background goes on until this is gone, at the latest.
	touch alive
}

teardown() {
	end_processes
	remove_public_place
}

named() {
	local name=$1
	shift
	env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME="$name" "$@"
}

# COMMAND is refused with the words about NAME's holder.
refused() {
	local name=$1
	shift
	run -1 "$@"
	[[ $output == "$(refusal "$name" "$HOLDER")" ]] || { echo "$output"; false; }
}

@test "an ancestor that maps the holder's lock file is not the holder, by the preload and by the launcher" {
	local uid users=("$UID")
	make_public_place
	users+=(65534)
	start_holder EXCLUSIVELOCK_NAME=job "$HELPERS/hold"
	for uid in "${users[@]}"; do
		refused job "$BUILD/tests/mapper" "$uid" "$(lock_file job)" env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=job echo in
		refused job "$BUILD/tests/mapper" "$uid" "$(lock_file job)" "$LAUNCH" -n job echo in
		refused job "$BUILD/tests/mapper" "$uid" "$(lock_file job)" "$LAUNCH" -P -n job echo in
		refused job "$BUILD/tests/mapper" "$uid" "$(lock_file job)" "$LAUNCH" --scope tree -n job echo in
	done
}

@test "an ancestor that maps another lock file, or any file with such a name, lets no program without a name in" {
	start_holder "$HELPERS/hold"
	touch "$(lock_file other)" "${LOCK_PREFIX}mine"
	refused "$HELPERS/hold" timeout 20 "$HELPERS/mapper" "$UID" "$(lock_file other)" env LD_PRELOAD="$SHIM" "$HELPERS/hold"
	refused "$HELPERS/hold" timeout 20 "$HELPERS/mapper" "$UID" "${LOCK_PREFIX}mine" env LD_PRELOAD="$SHIM" "$HELPERS/hold"
}

@test "a daemon whose parent has left is found by the record, which the next start heals, also by its child without marks" {
	local clean=(env -i LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=job EXCLUSIVELOCK_DIR="$LOCKS") how
	cat >daemon.sh <<-'EOF'
		until [ -e go ] || [ ! -e alive ]; do sleep 0.01; done
		"$@"
		echo $? >status
	EOF
	for how in exit 'kill -KILL $$'; do
		rm -f go status out
		run named job bash -c '(. ./daemon.sh) >out 2>&1 & '"$how" bash "${clean[@]}" true 3>&-
		touch go
		poll file_has_content status
		[[ $(<status) == 0 && ! -s out ]] || { cat status out; false; }
		poll named job EXCLUSIVELOCK_QUIET=1 true
	done
}

# A script that goes on when the holder, its parent, has been killed. Then START, with our marks in the environment.
outlive_killed_holder() {
	local start=$1
	cat >survivor <<-EOF
		echo \$\$ >survivor.pid
		until [ -e go ] || [ ! -e alive ]; do sleep 0.01; done
		$start
		echo >done
	EOF
	run named job sh -c 'echo $$ >killed; sh ./survivor >survivor.out 2>&1 3>&- & until [ -s survivor.pid ]; do sleep 0.01; done; kill -KILL $$'
	ENDLATER+=("$(<survivor.pid)")
	poll process_has_ended "$(<killed)"
}

@test "what a survivor of a killed holder starts in the background later is guarded: one of three copies runs" {
	export SHIM HELPERS
	outlive_killed_holder 'for i in 1 2 3; do
			(LD_PRELOAD=$SHIM "$HELPERS/hold" >out$i 2>&1 &)
			until [ -s out$i ] || [ ! -e alive ]; do sleep 0.01; done
		done'
	touch go
	poll file_is_there 'done'
	read -r _ HOLDER <out1
	ENDLATER+=("$HOLDER")
	cat out?
	[[ $(<out1) == "ready $HOLDER" ]]
	[[ $(<out2) == "$(refusal job "$HOLDER")" ]]
	[[ $(<out3) == "$(<out2)" ]]
}

@test "what a survivor of a killed holder starts is refused beside the next holder, also in the background" {
	export SHIM HELPERS
	outlive_killed_holder '(LD_PRELOAD=$SHIM "$HELPERS/hold" >out 2>&1 &)
		until [ -s out ] || [ ! -e alive ]; do sleep 0.01; done
		LD_PRELOAD=$SHIM "$HELPERS/hold" >again 2>&1'
	start_holder EXCLUSIVELOCK_NAME=job "$HELPERS/hold"
	touch go
	poll file_is_there 'done'
	[[ $(<out) == "$(refusal job "$HOLDER")" ]] || { cat out; false; }
	[[ $(<again) == "$(<out)" ]]
}

@test "a child of a killed holder's last moment is refused once the record names another living process" {
	local late
	mkfifo go
	# The child runs no command of its own until then: that would be refused, too.
	named job sh -c 'echo $$ >killed; (read -r _ <go; exec "$0") >out 2>&1 3>&- &
		echo $! >late; kill -KILL $$' "$HELPERS/hold" || :
	late=$(<late)
	ENDLATER+=("$late")
	poll process_has_ended "$(<killed)"
	"$HELPERS/hold" >other 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	# As a Python program writes it, which knows no flock.
	printf %s "$HOLDER" >"$(lock_file job)"
	echo >go
	poll file_has_content out
	[[ $(<out) == "$(refusal job "$HOLDER")" ]] || { cat out; false; }
}

# A holder that has forked a worker and is killed. The worker has the flock and is not in the record, until a refused start heals that. What it
# starts says so in worker.out. Sets HOLDER to the worker, and MARKS.
leave_unrecorded_worker() {
	rm -f one two killed survivor.pid worker.pid go 'done' out?
	cat >worker <<-'EOF'
		until [ -e one ] || [ ! -e alive ]; do sleep 0.01; done
		/bin/echo child
		(sh -c 'echo background' &)
		until [ "$(wc -l <worker.out)" -ge 2 ] || [ ! -e alive ]; do sleep 0.01; done
		echo >two
		while [ -e alive ]; do sleep 0.01; done
	EOF
	cat >survivor <<-'EOF'
		echo $$ >survivor.pid
		until [ -e go ] || [ ! -e alive ]; do sleep 0.01; done
		for i in 1 2 3; do
			(LD_PRELOAD=$SHIM "$HELPERS/hold" >out$i 2>&1 &)
			until [ -s out$i ] || [ ! -e alive ]; do sleep 0.01; done
		done
		echo >done
	EOF
	run named job bash -c 'env >marks; (. ./worker) >worker.out 2>&1 3>&- & echo $! >worker.pid
		sh ./survivor >survivor.out 2>&1 3>&- & until [ -s survivor.pid ]; do sleep 0.01; done; echo $$ >killed; kill -KILL $$'
	HOLDER=$(<worker.pid)
	ENDLATER+=("$HOLDER" "$(<survivor.pid)")
	poll process_has_ended "$(<killed)"
	mapfile -t MARKS < <(grep '^EXCLUSIVELOCK_\(PID\|LOCKFILE\|INSTANCE\)=' marks)
	[[ ${#MARKS[@]} -eq 3 ]]
}

@test "beside a worker that a killed holder left, its marks let in what the worker starts, no replayed environment and no survivor's copies" {
	needs_first_namespace
	export SHIM HELPERS
	local first i
	for first in worker replay survivor; do
		leave_unrecorded_worker
		if [[ $first == worker ]]; then
			echo >one
			poll file_is_there two
			[[ $(sort worker.out) == $'background\nchild' ]] || { cat worker.out; false; }
		fi
		if [[ $first != survivor ]]; then
			refused job setsid --wait env "${MARKS[@]}" LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=job echo in
			# By now the record names the worker.
			[[ $(<"$(lock_file job)") == "$HOLDER" ]]
			refused job setsid --wait env "${MARKS[@]}" LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=job echo in
		fi
		touch go
		poll file_is_there 'done'
		for i in 1 2 3; do
			[[ $(<out$i) == "$(refusal job "$HOLDER")" ]] || { cat out?; false; }
		done
		kill -KILL "$HOLDER"
		poll process_has_ended "$HOLDER"
	done
}

# Runs a line of SCRIPT where one/ and two/ are two file systems, whose first files have the same inode number.
on_two_file_systems() {
	export SHIM HELPERS LAUNCH
	mkdir one two
	in_mount_namespace 'mount -t tmpfs none one; mount -t tmpfs none two; '"$1"
}

@test "a lock on another file system whose file has the same inode number is another lock" {
	needs_mount_namespace
	run on_two_file_systems '
		export LD_PRELOAD="$SHIM"
		EXCLUSIVELOCK_DIR=$PWD/two EXCLUSIVELOCK_NAME=B "$HELPERS/hold" >out 3>&- &
		until grep -qs ready out; do sleep 0.01; done
		EXCLUSIVELOCK_DIR=$PWD/one EXCLUSIVELOCK_NAME=A sh -c "
			stat -c %i one/* two/*
			EXCLUSIVELOCK_DIR=$PWD/two EXCLUSIVELOCK_NAME=B touch intruder || echo preload
			LD_PRELOAD= \"$LAUNCH\" -d $PWD/two -n B touch intruder || echo launcher
			EXCLUSIVELOCK_SCOPE=tree EXCLUSIVELOCK_DIR=$PWD/two EXCLUSIVELOCK_NAME=B touch intruder || echo tree
			exit 0"
		kill $!; wait $! || :'
	echo "$output"
	[[ $status -eq 0 && ${lines[0]} == "${lines[1]}" ]]
	[[ "${lines[*]:2}" =~ ^"Another 'B' process is already running (pid "[0-9]+"). preload Another "[^\)]*"). launcher Another "[^\)]*"). tree"$ ]]
	file_is_gone intruder
}

@test "a descriptor with the number that the mark gives stays open if it is of another file system's file with the same inode number" {
	needs_mount_namespace
	run -0 on_two_file_systems '
		touch two/other
		env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_SCOPE=tree EXCLUSIVELOCK_DIR=$PWD/one EXCLUSIVELOCK_NAME=A bash -c "
			stat -c %i one/* two/*
			fd=\${EXCLUSIVELOCK_INSTANCE##*.}
			eval \"exec \$fd<two/other\"
			EXCLUSIVELOCK_SCOPE=process readlink /proc/self/fd/\$fd
			exit 0"'
	[[ ${lines[0]} == "${lines[1]}" && ${lines[2]} == "$PWD/two/other" ]] || { echo "$output"; false; }
}

@test "the marks of who passes by say no session and no descriptor, and those of its children neither" {
	run -0 named job EXCLUSIVELOCK_SCOPE=tree sh -c 'echo "$EXCLUSIVELOCK_INSTANCE"
		EXCLUSIVELOCK_SCOPE=process sh -c "echo \$EXCLUSIVELOCK_INSTANCE; sh -c \"printenv EXCLUSIVELOCK_INSTANCE; exit 0\"; exit"; exit'
	local mark
	IFS=. read -ra mark <<<"${lines[0]}"
	[[ ${#mark[@]} -eq 8 ]]
	[[ ${lines[1]} == "${mark[0]}.${mark[1]}.${mark[2]}.${mark[3]}.0" && ${lines[2]} == "${lines[1]}" ]] || { echo "$output"; false; }
}

# Sets MARKS to those of the holder of "job", which runs `hold`.
start_marked_holder() {
	start_holder "$@" EXCLUSIVELOCK_NAME=job sh -c 'env >marks; exec "$0"' "$HELPERS/hold"
	mapfile -t MARKS < <(grep '^EXCLUSIVELOCK_\(PID\|LOCKFILE\|INSTANCE\)=' marks)
	[[ ${#MARKS[@]} -eq 3 ]]
}

@test "the marks of a living holder let nobody in who does not descend from it" {
	local scope
	for scope in process tree; do
		start_marked_holder EXCLUSIVELOCK_SCOPE="$scope"
		refused job env "${MARKS[@]}" LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=job EXCLUSIVELOCK_SCOPE="$scope" echo in
		# As at(1) and tmux(1) do it, in a session of its own.
		refused job setsid --wait env "${MARKS[@]}" LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=job EXCLUSIVELOCK_SCOPE="$scope" echo in
		refused job env "${MARKS[@]}" "$LAUNCH" -n job echo in
		kill -TERM "$HOLDER"
		wait "$HOLDER"
	done
}

@test "the marks of a living holder without a name of its own let no second copy in" {
	start_holder sh -c 'env >marks; LD_PRELOAD= exec "$0"' "$HELPERS/hold"
	mapfile -t MARKS < <(grep '^EXCLUSIVELOCK_\(PID\|LOCKFILE\|INSTANCE\)=' marks)
	run -1 env "${MARKS[@]}" LD_PRELOAD="$SHIM" sh -c 'echo in'
	[[ $output == "Another '"*"' process is already running (pid $HOLDER)." ]]
}

@test "what has lost its parent below the living holder is not refused, with the holder's marks" {
	run -0 named job /usr/bin/python3 -c 'import os, subprocess, sys
names = ("EXCLUSIVELOCK_PID", "EXCLUSIVELOCK_LOCKFILE", "EXCLUSIVELOCK_INSTANCE")
read, write = os.pipe()
for begin in (lambda: None, os.setsid, os.setpgrp):
    if os.fork() == 0:
        begin()
        if os.fork() != 0:
            os._exit(0)
        while os.getppid() == os.getsid(0) != os.getsid(os.getppid()):
            pass
        os.dup2(write, 1)
        os.dup2(write, 2)
        subprocess.run(["echo", "child"])
        os.execlp("echo", "echo", "itself")
    os.wait()
os.close(write)
print(sorted(os.fdopen(read).read().split()))
sys.exit(0)'
	[[ $output == "['child', 'child', 'child', 'itself', 'itself', 'itself']" ]] || { echo "$output"; false; }
}

# A process writes its PID as a Python program does, at the TIME that it says; then COMMAND is its child.
below_bare_pid() {
	bash -c 'printf %s $$ >"$0"; touch -d "$1" "$0"; shift; "$@"; exit' "$(lock_file job)" "$@"
}

@test "a PID without a stamp vouches for no process that began after it was written, nor for any at a time to come" {
	local when command
	for when in '1 hour ago' '1 hour'; do
		for command in "env LD_PRELOAD=$SHIM EXCLUSIVELOCK_NAME=job" "$LAUNCH -n job"; do
			# shellcheck disable=SC2086 # words
			run -1 below_bare_pid "$when" $command echo in
			[[ $output =~ ^"Another 'job' process is already running (pid "[0-9]+")."$ ]] || { echo "$output"; false; }
		done
	done
	run -0 below_bare_pid now env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=job echo in
	[[ $output == in ]]
}

@test "in a user namespace the record of a user who has no number there does not vouch for an ancestor" {
	make_public_place
	local user=(setpriv --reuid=4321 --regid=4321 --clear-groups) mapped apart
	mkfifo "$PLACE/go"
	chmod 666 "$PLACE/go"
	for mapped in '' --map-root-user; do
		apart=(unshare --user ${mapped:+"$mapped"})
		"${user[@]}" "${apart[@]}" true 2>/dev/null || skip "needs user namespaces"
		# shellcheck disable=SC2016
		"${user[@]}" sh -c 'read -r _ <"$1"; shift; "$@"; echo $?' sh "$PLACE/go" "${apart[@]}" \
			env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=job EXCLUSIVELOCK_DIR="$LOCKS" echo in >out 2>&1 3>&- &
		HOLDER=$!
		ENDLATER+=("$HOLDER")
		printf %s "$HOLDER" >"$(lock_file job)"
		chown 1234 "$(lock_file job)"
		echo >"$PLACE/go"
		wait "$HOLDER"
		[[ $(<out) == "Another 'job' process is already running (pid $HOLDER)."$'\n1' ]] || { cat out; false; }
		rm "$(lock_file job)"
	done
}

# In a time namespace where the machine started more than a day earlier.
needs_time_namespace() {
	APART=(unshare --time --boottime 100000)
	[[ $EUID -eq 0 ]] || APART=(unshare --user --map-root-user --time --boottime 100000)
	"${APART[@]}" true 2>/dev/null || skip "needs time namespaces, and root or user namespaces"
}

@test "a program that is guarded by its PID alone refuses starts from another time namespace, both ways" {
	needs_time_namespace
	local holder starter
	for holder in "" "${APART[*]}"; do
		: >out
		# shellcheck disable=SC2086 # words
		$holder "$LAUNCH" --close -n job "$HELPERS/hold-static" >out 3>&- &
		HOLDER=$!
		ENDLATER+=("$HOLDER")
		poll grep -q ready out
		for starter in "" "${APART[*]}"; do
			# shellcheck disable=SC2086
			refused job $starter env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=job echo in
			# shellcheck disable=SC2086
			refused job $starter "$LAUNCH" -P -n job echo in
		done
		kill -KILL "$HOLDER"
		wait "$HOLDER" || :
		named job true
	done
}

@test "a program's children in a time namespace of their own are not refused and leave its file, with marks and without" {
	needs_time_namespace
	local clean
	for clean in "" "env -u EXCLUSIVELOCK_INSTANCE"; do
		# shellcheck disable=SC2086
		run -0 "$LAUNCH" -P -n job sh -c '"$@" || exit; ls "$0"' "$(lock_file job)" "${APART[@]}" \
			$clean env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=job echo in
		[[ $output == $'in\n'"$(lock_file job)" ]]
		rm -f "$(lock_file job)"
	done
}

@test "a forked child that leaves in a PID namespace with a /proc of its own does not delete the living holder's file" {
	[[ $EUID -eq 0 ]] || skip "needs root"
	# Behind exec beside a worker the holder has no flock of its own; the worker is ended.
	cat >holder.py <<-'PYTHON'
		import ctypes, os, signal, sys
		libc = ctypes.CDLL(None, use_errno=True)
		if len(sys.argv) == 2:
		    worker = os.fork()
		    if worker == 0:
		        signal.pause()
		    os.execv(sys.executable, [sys.executable, *sys.argv, str(worker)])
		os.kill(int(sys.argv[2]), signal.SIGKILL)
		os.waitpid(int(sys.argv[2]), 0)
		if libc.unshare(0x20000000 | 0x20000) != 0:
		    sys.exit("unshare")
		if os.fork() == 0:
		    libc.mount(b"none", b"/", None, 0x4000 | 0x40000, None)
		    if libc.mount(b"proc", b"/proc", b"proc", 0, None) != 0:
		        sys.exit("mount")
		    print(os.getpid(), flush=True)
		    sys.exit(0)
		os.wait()
		print(os.path.exists(sys.argv[1]))
	PYTHON
	run -0 named job /usr/bin/python3 holder.py "$(lock_file job)"
	[[ $output == $'1\nTrue' ]]
}

@test "a record from before the boot, whose PID and start time another process has now, is stale; one of this boot is not" {
	[[ $(stat -f -c %T "$LOCKS") != @(tmpfs|ramfs) ]] || skip "needs a temporary directory that outlives a boot"
	local start
	"$HELPERS/hold" >out 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	poll grep -q ready out
	start=$(cut -d ' ' -f 22 "/proc/$HOLDER/stat")
	echo "$HOLDER" >"$(lock_file job)"
	touch -d "@1577836800.$(printf %09d "$start")" "$(lock_file job)"
	run -0 named job echo in
	[[ $output == in ]]
	echo "$HOLDER" >"$(lock_file job)"
	touch -d "@1577836800.$(stamp_of "$HOLDER")" "$(lock_file job)"
	refused job named job echo in
}

@test "the stamp has no part of the boot's where lock files do not outlive it" {
	[[ $(stat -f -c %T /dev/shm 2>/dev/null) == tmpfs && -w /dev/shm ]] || skip "needs /dev/shm"
	PLACE=$(mktemp -d /dev/shm/exlock.XXXXXX)
	LOCKS=$PLACE
	start_holder EXCLUSIVELOCK_NAME=job EXCLUSIVELOCK_DIR="$PLACE" "$HELPERS/hold"
	[[ $(stat -c %y "$(lock_file job)") == *".$(stamp_of "$HOLDER") "* ]]
	refused job named job EXCLUSIVELOCK_DIR="$PLACE" echo in
	kill -TERM "$HOLDER"
	wait "$HOLDER"
}
