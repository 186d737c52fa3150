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
	refused "$HELPERS/hold" "$HELPERS/mapper" "$UID" "$(lock_file other)" env LD_PRELOAD="$SHIM" "$HELPERS/hold"
	refused "$HELPERS/hold" "$HELPERS/mapper" "$UID" "${LOCK_PREFIX}mine" env LD_PRELOAD="$SHIM" "$HELPERS/hold"
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
	[[ $(<out) == "$(refusal job "$HOLDER")" ]]
	[[ $(<again) == "$(<out)" ]]
}

@test "a child of a killed holder's last moment is refused once the record names another living process" {
	local late
	named job sh -c 'echo $$ >killed; (until [ -e go ] || [ ! -e alive ]; do sleep 0.01; done; exec "$0") >out 2>&1 3>&- &
		echo $! >late; kill -KILL $$' "$HELPERS/hold" || :
	late=$(<late)
	ENDLATER+=("$late")
	poll process_has_ended "$(<killed)"
	"$HELPERS/hold" >other 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	# As a Python program writes it, which knows no flock.
	printf %s "$HOLDER" >"$(lock_file job)"
	touch go
	poll file_has_content out
	[[ $(<out) == "$(refusal job "$HOLDER")" ]]
}

# Runs a line of SCRIPT where one/ and two/ are two file systems, whose first files have the same inode number.
on_two_file_systems() {
	needs_mount_namespace
	export SHIM HELPERS LAUNCH
	mkdir one two
	in_mount_namespace 'mount -t tmpfs none one; mount -t tmpfs none two; '"$1"
}

@test "a lock on another file system whose file has the same inode number is another lock" {
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
	[[ ${#mark[@]} -eq 6 ]]
	[[ ${lines[1]} == "${mark[0]}.${mark[1]}.${mark[2]}.${mark[3]}.0" && ${lines[2]} == "${lines[1]}" ]] || { echo "$output"; false; }
}
