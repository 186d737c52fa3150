#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Little room for files, descriptors or memory, and lock directories that are of no use.
# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154 # every test is a subshell; run sets $stderr

load test_helper

setup() {
	clean_environment
	export EXCLUSIVELOCK_NAME=job
}

teardown() {
	end_processes
	remove_public_place
}

# Starts `hold` under the shim by way of COMMAND, which sets limits. Its words come through a pipe, which no limit cuts.
start_limited_holder() {
	exec {words}< <("$@" env LD_PRELOAD="$SHIM" "$HELPERS/hold" 3>&-)
	read -r -t 20 _ HOLDER <&"$words"
	ENDLATER+=("$HOLDER")
}

# COMMAND with the lowest free descriptor being 3, or 0.
none_but_012() { "$@" 3>&-; }
none_but_12() { "$@" 3>&- <&-; }

# With its file size limited by way of COMMAND, a program runs, and keeps others out.
assert_exclusive_without_file_size() {
	local size lock
	lock=$(lock_file job)
	for size in 0 1; do
		start_limited_holder "$@" prlimit --fsize="$size:$size"
		# Half a PID would be the PID of another process.
		[[ ! -s $lock || $(<"$lock") == "$HOLDER" ]] || { echo "in the lock file: $(<"$lock")"; return 1; }
		run -1 env LD_PRELOAD="$SHIM" "$HELPERS/stages"
		run -1 "$@" prlimit --fsize="$size:$size" env LD_PRELOAD="$SHIM" "$HELPERS/stages"
		[[ $output == "$(refusal job "$HOLDER")" ]]
		kill -TERM "$HOLDER"
		poll process_has_ended "$HOLDER"
		run -7 "$@" prlimit --fsize="$size:$size" env LD_PRELOAD="$SHIM" "$HELPERS/stages" 7
	done
}

# COMMAND ends with 125 before the guarded program runs, and says which directory is meant.
assert_useless_directory() {
	run --separate-stderr -125 "$@"
	[[ $output == "" ]]
	[[ $stderr == "exlock: "*"$LOCKS"* && $stderr == *EXCLUSIVELOCK_DIR* ]] || { echo "$stderr"; return 1; }
}

# Runs `stages 7` under the shim where the lock directory is a file system that PREPARE has made ready.
in_lock_directory() {
	in_mount_namespace "$1; shift"'; exec "$@"' - env LD_PRELOAD="$SHIM" "$HELPERS/stages" 7
}

FULL='mount -t tmpfs -o size=4k none "$EXCLUSIVELOCK_DIR"; cat /dev/zero >"$EXCLUSIVELOCK_DIR/filler" 2>/dev/null || :'
WITHOUT_INODES='mount -t tmpfs -o nr_inodes=1 none "$EXCLUSIVELOCK_DIR"'
READ_ONLY='mount -t tmpfs -o ro none "$EXCLUSIVELOCK_DIR"'

@test "with a file size limit of 0 or 1, a program is guarded all the same" {
	assert_exclusive_without_file_size
}

@test "with a file size limit of 0 or 1, an ordinary user's program is guarded all the same" {
	make_public_place
	assert_exclusive_without_file_size as_user
}

@test "a program under a file size limit sees that limit, and its signals, as without the shim" {
	for limit in 0:0 1:1 1: ; do
		prlimit --fsize="$limit" env LD_PRELOAD= "$HELPERS/state" | sed 's/ inode.*//' >"$BATS_TEST_TMPDIR/plain"
		prlimit --fsize="$limit" env LD_PRELOAD="$SHIM" "$HELPERS/state" | sed 's/ inode.*//' >"$BATS_TEST_TMPDIR/guarded"
		diff "$BATS_TEST_TMPDIR/plain" "$BATS_TEST_TMPDIR/guarded"
	done
}

@test "with hardly any descriptors to be had, a program does what it does without the shim" {
	cd "$BATS_TEST_TMPDIR"
	for limit in 3 4 5; do
		for with in none_but_012 none_but_12; do
			"$with" prlimit --nofile="$limit" env LD_PRELOAD= "$HELPERS/stages" 7 >plain 2>plain.err && plain=0 || plain=$?
			"$with" prlimit --nofile="$limit" env LD_PRELOAD="$SHIM" "$HELPERS/stages" 7 >guarded 2>guarded.err && guarded=0 || guarded=$?
			[[ $plain == "$guarded" ]] || { echo "limit $limit $with: $guarded"; cat guarded.err; false; }
			cmp plain guarded
			[[ $with == none_but_012 || $plain == 7 ]]
		done
	done
}

@test "with a single descriptor to be had, programs exclude one another" {
	start_limited_holder prlimit --nofile=4
	run -1 guarded "$HELPERS/stages"
	[[ $output == "$(refusal job "$HOLDER")" ]]
	run -1 none_but_012 prlimit --nofile=4 env LD_PRELOAD="$SHIM" "$HELPERS/stages"
	[[ $output == "$(refusal job "$HOLDER")" ]]
	run --separate-stderr -1 none_but_12 prlimit --nofile=3 env LD_PRELOAD="$SHIM" "$HELPERS/stages"
	[[ $output == "" ]]
	kill -KILL "$HOLDER"
	poll process_has_ended "$HOLDER"
	run -7 none_but_012 prlimit --nofile=4 env LD_PRELOAD="$SHIM" "$HELPERS/stages" 7
}

@test "in an address space that is just large enough for program and shim, the program is exclusive" {
	/usr/bin/python3 - "$SHIM" "$HELPERS" 3>&- <<-'PYTHON'
		import os, resource, subprocess, sys
		from subprocess import PIPE
		shim, helpers = sys.argv[1:]
		page = resource.getpagesize()
		def start(program, pages, preload):
		    limit = lambda: resource.setrlimit(resource.RLIMIT_AS, (pages * page, pages * page))
		    process = subprocess.Popen([helpers + "/" + program], env=dict(os.environ, LD_PRELOAD=preload),
		        preexec_fn=limit if pages else None, stdin=subprocess.DEVNULL, stdout=PIPE, stderr=PIPE)
		    return process, process.stdout.readline()
		def end(process):
		    process.kill()
		    return process.communicate()[1]
		low, high = 1, 1 << 20
		while low < high:
		    middle = (low + high) // 2
		    process, word = start("hold", middle, "")
		    end(process)
		    low, high = (low, middle) if word.startswith(b"ready") else (middle + 1, high)
		headers = subprocess.run(["readelf", "-lW", shim], stdout=PIPE, check=True, universal_newlines=True).stdout
		loads = [line.split() for line in headers.splitlines() if line.split()[:1] == ["LOAD"]]
		own = -(-max(int(load[2], 16) + int(load[5], 16) for load in loads) // page)
		# Two pages: the file's mapping, and the loader's notes about one more library.
		for pages in range(low + own + 2, low + own + 18):
		    process, word = start("hold", pages, shim)
		    second, other = start("stages", 0, shim)
		    second.communicate()
		    words = end(process)
		    assert word.startswith(b"ready"), ("it did not start", low, own, pages, process.returncode, words)
		    assert (second.returncode, other) == (1, b""), ("a second one did", low, own, pages, words)
		# With less, the loader leaves the shim out, or ends; but a shim that is there must guard, or say why not.
		for pages in range(low, low + own + 2):
		    process, word = start("hold", pages, shim)
		    second, other = start("stages", 0, shim)
		    second.communicate()
		    words = end(process)
		    assert not word or other == b"" or b"ld.so" in words, ("unguarded", low, own, pages, words)
	PYTHON
}

@test "a missing lock directory is an error that names it and EXCLUSIVELOCK_DIR" {
	LOCKS=$LOCKS/missing
	EXCLUSIVELOCK_DIR=$LOCKS assert_useless_directory guarded "$HELPERS/stages"
	file_is_gone "$LOCKS"
}

@test "a lock directory that is a file is an error that names it and EXCLUSIVELOCK_DIR" {
	LOCKS=$LOCKS/file
	echo content >"$LOCKS"
	EXCLUSIVELOCK_DIR=$LOCKS assert_useless_directory guarded "$HELPERS/stages"
	[[ $(<"$LOCKS") == content ]]
}

@test "a lock directory that the user may not write to is an error that names it and EXCLUSIVELOCK_DIR" {
	make_public_place
	chmod 755 "$LOCKS"
	assert_useless_directory as_user env LD_PRELOAD="$SHIM" "$HELPERS/stages"
}

@test "a lock directory on a read-only or full file system is an error that names it and EXCLUSIVELOCK_DIR" {
	needs_mount_namespace
	assert_useless_directory in_lock_directory "$READ_ONLY"
	assert_useless_directory in_lock_directory "$FULL"
	assert_useless_directory in_lock_directory "$WITHOUT_INODES"
}

@test "a start that failed for lack of space leaves nothing that hinders the next one" {
	needs_mount_namespace
	run --separate-stderr -7 in_lock_directory "$FULL; \"\$2\" \"\$3\" \"\$4\" || :; rm \"\$EXCLUSIVELOCK_DIR/filler\""
	[[ $stderr == "exlock: "* ]]
	[[ $output == constructor*destructor* ]]
}

@test "with EXCLUSIVELOCK_ON_ERROR=run, a useless lock directory is a warning, and the program runs unguarded" {
	export EXCLUSIVELOCK_ON_ERROR=run
	EXCLUSIVELOCK_DIR=$LOCKS/missing run --separate-stderr -7 guarded "$HELPERS/stages" 7
	[[ $stderr == "exlock: "*"$LOCKS/missing"* ]]
	[[ $output == constructor*destructor* ]]
	EXCLUSIVELOCK_DIR=$LOCKS/missing run -0 guarded env
	[[ $output != *EXCLUSIVELOCK_PID=* && $output != *EXCLUSIVELOCK_INSTANCE=* && $output != *EXCLUSIVELOCK_LOCKFILE=* ]]
	needs_mount_namespace
	for kind in "$READ_ONLY" "$FULL" "$WITHOUT_INODES"; do
		run --separate-stderr -7 in_lock_directory "$kind"
		[[ $stderr == "exlock: "* ]]
		[[ $output == constructor*destructor* ]]
	done
}

@test "a descendant starts also where the lock directory has gone" {
	# grep shows that the shim is in the child, which therefore had the choice.
	run -0 guarded sh -c 'mv "$EXCLUSIVELOCK_DIR" "$EXCLUSIVELOCK_DIR.moved"; grep -c libexlock /proc/self/maps; echo done'
	[[ ${lines[0]} -gt 0 ]]
	[[ ${lines[1]} == "done" && ${#lines[@]} == 2 ]]
}

@test "a descendant starts also where the lock directory is another one, full or read-only" {
	needs_mount_namespace
	for kind in "$READ_ONLY" "$FULL" "$WITHOUT_INODES" 'mount -t tmpfs none "$EXCLUSIVELOCK_DIR"'; do
		run -0 in_mount_namespace 'exec env LD_PRELOAD="$1" sh -c "$2; grep -c libexlock /proc/self/maps; echo done"' "$SHIM" "$kind"
		[[ ${lines[0]} -gt 0 ]]
		[[ ${lines[1]} == "done" && ${#lines[@]} == 2 ]] || { echo "$output"; false; }
	done
}

@test "with two descriptors to be had, a tree's program hands just one on; with one it cannot look for a predecessor, and does not start" {
	export EXCLUSIVELOCK_SCOPE=tree
	run -0 none_but_012 prlimit --nofile=5:100 env LD_PRELOAD="$SHIM" \
		sh -c 'ulimit -S -n 100; exec env LD_PRELOAD= find /proc/self/fd -lname "*.lock" -printf "%l\n"' 4>&-
	[[ $output == "$(lock_file job)" ]]
	run -125 none_but_012 prlimit --nofile=4:100 env LD_PRELOAD="$SHIM" true 4>&-
	[[ $output == "exlock: $(lock_file job): Too many open files"* ]]
}
