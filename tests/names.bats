#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Which name a lock has when none is given, and how any name becomes a file.
# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154 # every test is a subshell; run sets $stderr

load test_helper

setup() {
	clean_environment
	# A path without symlinks, as the shim derives it.
	BIN=$(realpath "$BATS_TEST_TMPDIR")/bin
	mkdir "$BIN"
}

teardown() {
	end_processes
}

# Writes FILE, a script with the interpreter line INTERPRETER that prints its lock file's path.
make_script() {
	printf '#!%s\necho "$EXCLUSIVELOCK_LOCKFILE"\n' "$2" >"$1"
	chmod 755 "$1"
}

# COMMAND must run, with the lock file that NAME has.
locks() {
	local name=$1
	shift
	run -0 guarded "$@"
	[[ $output == "$(lock_file "$name")" ]] || { printf 'locked %s\nand not %s\n' "$output" "$(lock_file "$name")"; return 1; }
}

# The same where /proc is empty.
locks_without_proc() {
	local name=$1
	shift
	run -0 in_mount_namespace 'mount -t tmpfs none /proc; exec "$@"' env LD_PRELOAD="$SHIM" "$@"
	[[ $output == "$(lock_file "$name")" ]] || { printf 'locked %s\nand not %s\n' "$output" "$(lock_file "$name")"; return 1; }
}

@test "a program without a name locks the path of its file" {
	lock=$(lock_file /usr/bin/sleep)
	env LD_PRELOAD="$SHIM" /usr/bin/sleep 1000 3>&- &
	holder=$!
	ENDLATER+=("$holder")
	poll file_has_content "$lock"
	run --separate-stderr -1 guarded /usr/bin/sleep 0
	[[ $stderr == "$(refusal /usr/bin/sleep "$holder")" ]]
	# Started by another path that leads to the same file, it is still that program.
	run --separate-stderr -1 guarded /usr/../usr/bin//sleep 0
	ln -s /usr/bin/sleep "$BIN/doze"
	run --separate-stderr -1 guarded "$BIN/doze" 0
	[[ $stderr == "$(refusal /usr/bin/sleep "$holder")" ]]
	# Another program is not.
	run -0 guarded /usr/bin/true
}

@test "an empty name is no name" {
	EXCLUSIVELOCK_NAME='' locks /usr/bin/printenv /usr/bin/printenv EXCLUSIVELOCK_LOCKFILE
}

@test "a program that is found through PATH or a relative path locks its absolute path" {
	cp /usr/bin/printenv "$BIN/tool"
	cd "$BIN"
	locks "$BIN/tool" ./tool EXCLUSIVELOCK_LOCKFILE
	locks "$BIN/tool" ../bin/tool EXCLUSIVELOCK_LOCKFILE
	PATH=$BIN:$PATH locks "$BIN/tool" tool EXCLUSIVELOCK_LOCKFILE
	PATH=.:$PATH locks "$BIN/tool" tool EXCLUSIVELOCK_LOCKFILE
}

@test "a path may hold any bytes" {
	odd=$BIN/$(printf 'a b+c%%d\ne\xff\xc3\xa9~\x01')
	mkdir "$odd"
	cp /usr/bin/printenv "$odd/tool"
	locks "$odd/tool" "$odd/tool" EXCLUSIVELOCK_LOCKFILE
	make_script "$odd/job" /bin/sh
	locks "$odd/job" "$odd/job"
}

@test "a script locks its own path, not its interpreter's" {
	for interpreter in /bin/sh '/bin/sh -e' '/usr/bin/env sh'; do
		make_script "$BIN/job" "$interpreter"
		locks "$BIN/job" "$BIN/job"
		(cd "$BIN" && locks "$BIN/job" ./job)
		PATH=$BIN:$PATH locks "$BIN/job" job
	done
}

@test "a script started through a symlink locks the script's path" {
	make_script "$BIN/job" /bin/sh
	mkdir "$BIN/links"
	ln -s ../job "$BIN/links/alias"
	ln -s "$BIN/links" "$BIN/more"
	locks "$BIN/job" "$BIN/links/alias"
	locks "$BIN/job" "$BIN/more/alias"
}

@test "a script whose interpreter is a script locks the path of the one that was started" {
	printf '#!/bin/sh\nshift; echo "$EXCLUSIVELOCK_LOCKFILE"\n' >"$BIN/interpreter"
	chmod 755 "$BIN/interpreter"
	make_script "$BIN/job" "$BIN/interpreter"
	locks "$BIN/job" "$BIN/job"
}

@test "two scripts with the same interpreter run side by side" {
	printf '#!/bin/sh\necho ready; read -r _ <"%s"\n' "$BIN/never" >"$BIN/first"
	mkfifo "$BIN/never"
	chmod 755 "$BIN/first"
	make_script "$BIN/second" /bin/sh
	start_holder "$BIN/first"
	run --separate-stderr -1 guarded "$BIN/first"
	[[ $stderr == "$(refusal "$BIN/first" "$HOLDER")" ]]
	locks "$BIN/second" "$BIN/second"
}

@test "a program whose file was replaced while it ran keeps its name" {
	cp "$HELPERS/hold" "$BIN/tool"
	"$BIN/tool" >"$BATS_TEST_TMPDIR/out" 3>&- &
	unguarded=$!
	ENDLATER+=("$unguarded")
	poll grep -q ready "$BATS_TEST_TMPDIR/out"
	rm "$BIN/tool"
	[[ $(readlink "/proc/$unguarded/exe") == "$BIN/tool (deleted)" ]]
	# The deleted file itself, started again.
	start_holder "/proc/$unguarded/exe"
	file_is_there "$(lock_file "$BIN/tool")"
	# And its successor.
	cp "$HELPERS/hold" "$BIN/tool"
	run --separate-stderr -1 guarded "$BIN/tool"
	[[ $stderr == "$(refusal "$BIN/tool" "$HOLDER")" ]]
}

@test "a program started through a descriptor locks the path of its file" {
	run -0 /usr/bin/python3 -c 'import os, sys
os.environ["LD_PRELOAD"] = sys.argv[1]
os.execve(os.open("/usr/bin/printenv", os.O_RDONLY | os.O_CLOEXEC), ["printenv", "EXCLUSIVELOCK_LOCKFILE"], os.environ)' "$SHIM"
	[[ $output == "$(lock_file /usr/bin/printenv)" ]]
}

@test "without /proc, a program still locks its own path, through a symlink too" {
	needs_mount_namespace
	cp /usr/bin/printenv "$BIN/tool"
	ln -s tool "$BIN/alias"
	locks_without_proc "$BIN/tool" "$BIN/tool" EXCLUSIVELOCK_LOCKFILE
	locks_without_proc "$BIN/tool" "$BIN/alias" EXCLUSIVELOCK_LOCKFILE
	cd "$BIN"
	locks_without_proc "$BIN/tool" ./alias EXCLUSIVELOCK_LOCKFILE
}

@test "without /proc, a script still locks its own path" {
	needs_mount_namespace
	make_script "$BIN/job" '/bin/sh -e'
	locks_without_proc "$BIN/job" "$BIN/job"
	cd "$BIN"
	locks_without_proc "$BIN/job" ./job
}

@test "EXCLUSIVELOCK_BY=args makes the arguments part of the name" {
	export EXCLUSIVELOCK_BY=args
	locks "/usr/bin/printenv EXCLUSIVELOCK_LOCKFILE" /usr/bin/printenv EXCLUSIVELOCK_LOCKFILE
	env LD_PRELOAD="$SHIM" /usr/bin/sleep 1000 3>&- &
	holder=$!
	ENDLATER+=("$holder")
	poll file_has_content "$(lock_file '/usr/bin/sleep 1000')"
	run --separate-stderr -1 guarded /usr/bin/sleep 1000
	[[ $stderr == "$(refusal '/usr/bin/sleep 1000' "$holder")" ]]
	run -0 guarded /usr/bin/sleep 0
	run -0 guarded /usr/bin/sleep 0 0
}

@test "EXCLUSIVELOCK_BY=args makes a script's arguments part of its name, but not its interpreter's" {
	export EXCLUSIVELOCK_BY=args
	for interpreter in /bin/sh '/bin/sh -e'; do
		make_script "$BIN/job" "$interpreter"
		locks "$BIN/job" "$BIN/job"
		locks "$BIN/job one -e two\\ \\ words" "$BIN/job" one -e 'two  words'
		(cd "$BIN" && locks "$BIN/job one" ./job one)
	done
}

@test "EXCLUSIVELOCK_BY=args tells arguments with blanks and backslashes apart, in the launcher as in the library" {
	local arguments name
	export EXCLUSIVELOCK_BY=args
	make_script "$BIN/job" /bin/sh
	different=''
	for arguments in "'a b'" "a b" "'a ' b" "a ' b'" "a '' b" "'a  b'" "'a\\ b'" "a\\\\ b" "'a\\' b" "a '\\b'" ""; do
		name=$(eval "guarded \"\$BIN/job\" $arguments")
		[[ $(eval "\"\$LAUNCH\" \"\$BIN/job\" $arguments") == "$name" ]]
		[[ $(eval "\"\$LAUNCH\" -p \"\$BIN/job\" $arguments") == "$name" ]]
		different+=$name$'\n'
	done
	[[ $(sort -u <<<"${different%$'\n'}" | wc -l) == 10 ]] || { echo "$different"; false; }
	locks "$BIN/job a\\ b c\\\\d" "$BIN/job" 'a b' 'c\d'
}

@test "a name made of many arguments takes no second time the room that they take" {
	export EXCLUSIVELOCK_BY=args
	long=$(printf '%05000d' 0)
	run -0 "$LAUNCH" /usr/bin/printenv EXCLUSIVELOCK_LOCKFILE EXCLUSIVELOCK_PID
	run -1 "$LAUNCH" /usr/bin/printenv EXCLUSIVELOCK_NAME "$long"
	[[ $output == "" ]]
	run -1 guarded /usr/bin/printenv EXCLUSIVELOCK_LOCKFILE "$long"
	expected=$output
	run -1 "$LAUNCH" /usr/bin/printenv EXCLUSIVELOCK_LOCKFILE "$long"
	[[ $output == "$expected" ]]
}

@test "EXCLUSIVELOCK_BY=args is ignored when there is a name, and exe is the default" {
	EXCLUSIVELOCK_BY=args EXCLUSIVELOCK_NAME=job locks job /usr/bin/printenv EXCLUSIVELOCK_LOCKFILE
	EXCLUSIVELOCK_BY=exe locks /usr/bin/printenv /usr/bin/printenv EXCLUSIVELOCK_LOCKFILE
	EXCLUSIVELOCK_BY='' locks /usr/bin/printenv /usr/bin/printenv EXCLUSIVELOCK_LOCKFILE
}

@test "the lock files are in /var/lock unless told otherwise" {
	[[ -d /var/lock && -w /var/lock ]] || skip "no writable /var/lock"
	unset EXCLUSIVELOCK_DIR
	name=exlock-test-$$-$RANDOM
	EXCLUSIVELOCK_NAME=$name run -0 guarded /usr/bin/printenv EXCLUSIVELOCK_LOCKFILE
	[[ $output == "/var/lock/py_exclusivelock_$name.lock" ]]
	file_is_gone "$output"
}

@test "a lock directory with a path that is too long is an error that names EXCLUSIVELOCK_DIR" {
	local directory
	directory=/$(printf '%04090d' 0)
	EXCLUSIVELOCK_DIR=$directory run -125 guarded echo in
	[[ $output == "exlock: $directory: File name too long (EXCLUSIVELOCK_DIR can name another directory)" ]]
}

@test "a script whose working directory cannot be told has no name of its own, and is guarded by one that is given" {
	needs_mount_namespace
	make_script "$BIN/job" /bin/sh
	# Where the directory of a relative path is no longer part of the file system.
	unreachable() {
		in_mount_namespace 'mount -t tmpfs none "$1"; cp "$2" "$1"; cd "$1"; umount -l "$1"; shift 2; exec "$@"' \
			/mnt "$BIN/job" "$@"
	}
	run -125 unreachable env LD_PRELOAD="$SHIM" ./job
	[[ $output == "exlock: the program's path: No such file or directory (EXCLUSIVELOCK_NAME can give the lock a name)" ]]
	run -125 unreachable "$LAUNCH" ./job
	[[ ${lines[-1]} == "exlock-launch: ./job: its path cannot be told (-n gives the lock a name): No such file or directory" ]]
	run -0 unreachable env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=given ./job
	[[ ${lines[-1]} == "$(lock_file given)" ]]
	run -0 unreachable "$LAUNCH" -n given ./job
	[[ ${lines[-1]} == "$(lock_file given)" ]]
}

@test "a program that is started through the loader has its own name, and not the loader's, by the preload and by the launcher" {
	local loader tool=$BIN/tool
	loader=$(ldd "$HELPERS/hold" | grep -oE '/[^ ]*/ld-[^ ]+') || skip "no loader is known here"
	cp "$HELPERS/hold" "$tool"
	cp "$(command -v printenv)" "$BIN/other"
	cd "$BIN"
	locks "$BIN/other" "$loader" ./other EXCLUSIVELOCK_LOCKFILE
	locks "$BIN/other" "$loader" --argv0 name ./other EXCLUSIVELOCK_LOCKFILE
	EXCLUSIVELOCK_ONLY=other EXCLUSIVELOCK_BY=args locks "$BIN/other EXCLUSIVELOCK_LOCKFILE" "$loader" ./other EXCLUSIVELOCK_LOCKFILE
	run -0 "$LAUNCH" -p "$loader" --library-path /nowhere ./other
	[[ $output == "$(lock_file "$BIN/other")" ]]
	run -0 "$LAUNCH" -a -p "$loader" --argv0 name ./other a b
	[[ $output == "$(lock_file "$BIN/other a b")" ]]
	run -0 --separate-stderr "$LAUNCH" -p "$loader" --list
	[[ $output == "$(lock_file "$(realpath "$loader")")" ]]
	# It looks for a name without a slash where it looks for libraries.
	run -0 --separate-stderr "$LAUNCH" -p "$loader" --library-path . other
	[[ $output == "$(lock_file "$(realpath "$loader")")" && $stderr == *"would share its lock"* ]]
	start_holder "$loader" ./tool
	run -1 guarded ./tool
	[[ $output == "$(refusal "$tool" "$HOLDER")" ]]
	run -1 "$LAUNCH" "$loader" ./tool
	[[ $output == "$(refusal "$tool" "$HOLDER")" ]]
	locks "$BIN/other" "$loader" ./other EXCLUSIVELOCK_LOCKFILE
}

@test "so has one that musl's loader starts, which leaves the kernel's vector as it was" {
	local loader options
	loader=/lib/ld-musl-$(uname -m).so.1
	command -v musl-gcc >/dev/null || skip "no musl-gcc"
	[[ -e $loader ]] || skip "no musl loader"
	cd "$BIN"
	printf '#include <stdio.h>\n#include <stdlib.h>\nint main(void) { puts(getenv("EXCLUSIVELOCK_LOCKFILE")); }\n' >tool.c
	musl-gcc -o tool tool.c
	for options in "" "--library-path /nowhere" "--argv0 name" "--argv0=name --" "--preload=$SHIM"; do
		# shellcheck disable=SC2086 # options
		locks "$BIN/tool" "$loader" $options ./tool
		# shellcheck disable=SC2086 # options
		EXCLUSIVELOCK_BY=args locks "$BIN/tool a b\\ c" "$loader" $options ./tool a 'b c'
		# shellcheck disable=SC2086 # options
		run -0 --separate-stderr "$LAUNCH" "$loader" $options ./tool
		[[ $output == "$(lock_file "$BIN/tool")" && $stderr == "" ]]
	done
}
