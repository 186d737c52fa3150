# SPDX-License-Identifier: MIT
# exlock-launch inside itself, under its own preload, and with more arguments than one variable holds.
# shellcheck disable=SC2016 # $ is for the shell inside

load test_helper

setup() {
	clean_environment
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() { end_processes; }

@test "with the library in the user's own preload the launcher is not exclusive itself" {
	env LD_PRELOAD="$SHIM" "$LAUNCH" -n one "$HELPERS/hold" >out 3>&- &
	ENDLATER+=("$!")
	poll grep -qs ready out
	run -0 env LD_PRELOAD="$SHIM" "$LAUNCH" -n two echo in
	[[ $output == in ]]
	run -1 env LD_PRELOAD="$SHIM" "$LAUNCH" -n one echo in
}

@test "inside a flagged command a launcher without a name derives its own" {
	start_holder EXCLUSIVELOCK_NAME=outer "$HELPERS/hold"
	run -0 "$LAUNCH" -f -n outer sh -c '"$0" -p true' "$LAUNCH"
	[[ $output == "$(lock_file "$(readlink -f "$(type -P true)")")" ]]
}

@test "--by-args takes more arguments than fit into one variable" {
	local argument arguments=()
	printf -v argument '%01000d' 7
	for _ in {1..140}; do arguments+=("$argument"); done
	run -0 "$LAUNCH" -a -v "$HELPERS/stages" 0 "${arguments[@]}"
	[[ $output == *"Acquired lock at "* ]]
	run -0 ls "$LOCKS"
	[[ $output == "" ]]
}

@test "EXCLUSIVELOCK_ONLY is about what the command starts, not about the command" {
	run -0 env EXCLUSIVELOCK_ONLY=other "$LAUNCH" -n job sh -c 'echo "$EXCLUSIVELOCK_ONLY $EXCLUSIVELOCK_LOCKFILE"'
	[[ $output == "other $(lock_file job)" ]]
}

@test "a name in the environment is the command's when there is no lock around it" {
	EXCLUSIVELOCK_NAME=given run -0 "$LAUNCH" printenv EXCLUSIVELOCK_LOCKFILE
	[[ $output == "$(lock_file given)" ]]
}

@test "a command inside one of the same name is not refused, and takes no library along" {
	run -0 "$LAUNCH" -n job sh -c '"$0" -n job sh -c "echo in \$LD_PRELOAD"; exit' "$LAUNCH"
	[[ $output == in ]]
}

@test "a script without an interpreter line is the shell's" {
	printf 'echo "$EXCLUSIVELOCK_LOCKFILE"\n' >script
	chmod 755 script
	run -0 "$LAUNCH" -n job ./script
	[[ $output == "$(lock_file job)" ]]
}

@test "however often one of its marks is in the environment, the launcher takes the lock" {
	local count
	for count in 1 2 3 4 5; do
		run -7 /usr/bin/python3 -c 'import ctypes, sys
count, launch = int(sys.argv[1]), sys.argv[2].encode()
words = [launch, b"-n", b"job", b"sh", b"-c", b"exit 7", None]
marks = [b"PATH=/usr/bin:/bin", b"EXCLUSIVELOCK_DIR=" + sys.argv[3].encode()] + [b"EXCLUSIVELOCK_HOLDER=1"] * count + [None]
ctypes.CDLL(None).execve(launch, (ctypes.c_char_p * len(words))(*words), (ctypes.c_char_p * len(marks))(*marks))' "$count" "$LAUNCH" "$LOCKS"
	done
}
