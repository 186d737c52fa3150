#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Another user who pretends to hold the lock, by what is in the file or by locks on it: starts are refused, truthfully and in
# bounded time, and nobody takes the pretence for a right to run.
# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154 # every test is a subshell; run sets $stderr

load test_helper
load hostile

setup() {
	setup_hostile
}

assert_refused_to_all() {
	local who
	for who in "${VICTIMS[@]}"; do
		assert_refused_as "$1" "$who"
	done
}

assert_runs_for_all() {
	local who
	for who in as_user root; do
		assert_runs_as "$who"
	done
}

@test "the PID of a living process in another user's file refuses, and lets nobody pass who descends from that process" {
	start_attacking ''
	sleep 1000 3>&- &
	innocent=$!
	ENDLATER+=("$innocent")
	# PID 1 is everybody's ancestor, and this shell the starts'.
	for pid in 1 "$$" "$BASHPID" "$PPID" "$innocent" "$ATTACKER"; do
		plant "$pid"
		# A bare 1 is another PID namespace's, and named to nobody.
		assert_refused_to_all "$([[ $pid == 1 ]] || echo "$pid")"
		plant "$pid\n"
		assert_runs_as as_user
		stamp_for "$pid"
		assert_refused_to_all "$pid"
	done
	# The launcher is its command's parent no longer, and asks no more kindly.
	plant 1
	run --separate-stderr -1 timeout 20 "$BUILD/exlock-launch" "$HELPERS/stages" 7
	[[ $output == "" && $stderr == "$(refusal job)" ]]
}

@test "a program's child without its mark still is its child where the program's own file says so, not where a stranger's does" {
	run -7 env LD_PRELOAD="$SHIM" env -i LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=job EXCLUSIVELOCK_DIR="$LOCKS" "$HELPERS/stages" 7
	for who in "${VICTIMS[@]}"; do
		run -7 "$who" env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=job sh -c '
			env -i LD_PRELOAD="$1" EXCLUSIVELOCK_NAME=job EXCLUSIVELOCK_DIR="$2" "$3" 7; exit' sh "$SHIM" "$LOCKS" "$HELPERS/stages"
		# A peer's record has no stamp, and nothing maps its file.
		run -7 "$who" sh -c 'printf %d $$ >"$1"; env LD_PRELOAD="$2" "$3" 7; exit' sh "$LOCK" "$SHIM" "$HELPERS/stages"
		rm "$LOCK"
		# What all may write to is nobody's word.
		run -1 "$who" sh -c 'printf %d $$ >"$1"; chmod 666 "$1"; env LD_PRELOAD="$2" "$3" 7; exit' sh "$LOCK" "$SHIM" "$HELPERS/stages"
		rm "$LOCK"
	done
}

@test "a victim's own PID in another user's file does not keep it out, whatever the stamp, and it is exclusive" {
	for ending in '' '\n' 'garbage'; do
		for who in "${VICTIMS[@]}"; do
			plant ''
			as_attacker chmod 666 "$LOCK"
			# Without O_CREAT, which the kernel refuses here where fs.protected_regular is set: the topic `foreign` sets it for the machine.
			run --separate-stderr -7 "$who" sh -c 'printf "%d$2" $$ | dd of="$1" conv=nocreat,notrunc status=none; export LD_PRELOAD="$3"; exec "$4" 7' \
				sh "$LOCK" "$ending" "$SHIM" "$HELPERS/stages"
			[[ $output == constructor*destructor* && $stderr == "" ]] || { echo "$output; $stderr"; false; }
		done
	done
}

@test "an attacker's process is judged rightly whatever it calls itself" {
	for name in 'a) S 1 (' ') Z 0 0 0' $'a\nb) R 1' '))))))))))' '1234 (x) S'; do
		start_attacking 'ctypes.CDLL(None).prctl(15, sys.argv[1].encode(), 0, 0, 0)' "$name"
		plant "$ATTACKER"
		assert_refused_to_all "$ATTACKER"
		plant "$ATTACKER\n"
		stamp_for "$ATTACKER"
		assert_refused_to_all "$ATTACKER"
		kill -KILL "$ATTACKER"
		poll process_has_ended "$ATTACKER"
		assert_runs_for_all
	done
}

@test "an attacker who keeps the flock refuses everybody, whoever's file it is, and is named to root" {
	plant '0\n'
	start_attacking 'file = open(lock); fcntl.flock(file, fcntl.LOCK_EX)'
	assert_refused_to_all "$ATTACKER"
	kill -KILL "$ATTACKER"
	poll process_has_ended "$ATTACKER"
	assert_runs_for_all
	printf '0\n' >"$LOCK"
	for how in LOCK_EX LOCK_SH; do
		start_attacking "file = open(lock); fcntl.flock(file, fcntl.$how)"
		assert_refused_to_all "$ATTACKER"
		kill -KILL "$ATTACKER"
		poll process_has_ended "$ATTACKER"
		assert_runs_as as_user
	done
	assert_runs_as root
}

@test "an attacker who keeps a POSIX write lock on its own file is taken for a writing peer: refused, in bounded time" {
	plant '0\n'
	start_attacking 'file = open(lock, "r+"); fcntl.lockf(file, fcntl.LOCK_EX)'
	assert_refused_to_all "$ATTACKER"
	EXCLUSIVELOCK_ON_HELD=wait EXCLUSIVELOCK_TIMEOUT=0.3 assert_refused_to_all "$ATTACKER"
	kill -KILL "$ATTACKER"
	poll process_has_ended "$ATTACKER"
	assert_runs_for_all
}

@test "an attacker's lease, which an open has to wait for, blocks nobody, not even one who waits" {
	# Nobody but its owner may take one; it does not give way before /proc/sys/fs/lease-break-time.
	for kind in F_RDLCK F_WRLCK; do
		plant '0\n'
		start_attacking "signal.signal(signal.SIGIO, signal.SIG_IGN)
file = open(lock, 'r' if sys.argv[1] == 'F_RDLCK' else 'r+')
fcntl.fcntl(file, fcntl.F_SETLEASE, getattr(fcntl, sys.argv[1]))" "$kind"
		# A reader does not break a reader's lease.
		[[ $kind == F_RDLCK ]] || assert_refused_as '' as_user
		assert_refused_as '' root
		EXCLUSIVELOCK_ON_HELD=wait EXCLUSIVELOCK_TIMEOUT=0.3 assert_refused_as '' root
		kill -KILL "$ATTACKER"
		poll process_has_ended "$ATTACKER"
		assert_runs_for_all
	done
}

@test "a process that is another user's, and out of sight with hidepid, counts as alive; one that is gone does not" {
	start_attacking ''
	for content in "$ATTACKER" "$ATTACKER\n"; do
		plant "$content"
		run --separate-stderr -1 in_mount_namespace 'mount -t proc -o hidepid=2 none /proc; exec "$@"' \
			setpriv --reuid=65534 --regid=65534 --clear-groups env LD_PRELOAD="$SHIM" "$HELPERS/stages" 7
		[[ $output == "" && $stderr == "$(refusal job "$ATTACKER")" ]]
	done
	kill -KILL "$ATTACKER"
	poll process_has_ended "$ATTACKER"
	run -7 in_mount_namespace 'mount -t proc -o hidepid=2 none /proc; exec "$@"' \
		setpriv --reuid=65534 --regid=65534 --clear-groups env LD_PRELOAD="$SHIM" "$HELPERS/stages" 7
}

@test "a file of the same number and path in an attacker's own mount namespace is not taken for the lock file" {
	needs_mount_namespace
	as_attacker unshare --user --map-root-user --mount true 2>/dev/null || skip "needs user namespaces for others"
	cat >"$PLACE/impostor" <<-'PYTHON'
		import mmap, os, signal, sys
		file = open(sys.argv[1])
		mapping = mmap.mmap(file.fileno(), 0, mmap.MAP_SHARED, 0)
		print(os.stat(sys.argv[1]).st_ino, flush=True)
		signal.pause()
	PYTHON
	cat >"$PLACE/attack" <<-'SHELL'
		mount -t tmpfs none "${1%/*}"
		echo x >"$1"
		exec /usr/bin/python3 "$2" "$1"
	SHELL
	run -0 in_mount_namespace '
		mount -t tmpfs -o mode=700 none "${1%/*}"
		echo 999999999 >"$1"
		setpriv --reuid=65533 --regid=65533 --clear-groups \
			unshare --user --map-root-user --mount sh -eu "$2/attack" "$1" "$2/impostor" >"$3" 3>&- &
		impostor=$!
		trap "kill -KILL $impostor" EXIT
		tries=0
		until [ -s "$3" ] || [ $((tries += 1)) = 1000 ]; do sleep 0.01; done
		[ "$(cat "$3")" = "$(stat -c %i "$1")" ]
		grep -q "$1" /proc/$impostor/maps
		# flock(1) has the flock, and the record does not name it.
		flock --no-fork "$1" "$2/hold" >"$3.holder" 3>&- &
		trap "kill -KILL $impostor $!" EXIT
		until grep -qs ready "$3.holder"; do sleep 0.01; done
		env LD_PRELOAD="$2/libexlock.so" "$2/stages" 2>&1 || cat "$3.holder" "$1"' "$LOCK" "$PLACE" "$BATS_TEST_TMPDIR/inode"
	[[ ${#lines[@]} == 3 && ${lines[1]} == "ready "* && ${lines[0]} == "$(refusal job "${lines[1]#ready }")" && ${lines[2]} == 999999999 ]]
}

@test "an attacker who maps the lock file hinders nobody, whoever's the file is" {
	printf '0\n' >"$LOCK"
	start_attacking 'file = open(lock); mapping = mmap.mmap(file.fileno(), 0, mmap.MAP_SHARED, 0)'
	assert_runs_for_all
	kill -KILL "$ATTACKER"
	# A hint in its mode says that a mapping without the flock counts. It is a stranger's word.
	plant '0\n'
	as_attacker chmod 744 "$LOCK"
	start_attacking 'file = open(lock); mapping = mmap.mmap(file.fileno(), 0, mmap.MAP_SHARED, 0)'
	assert_runs_as root
	plant '0\n'
	as_attacker chmod 744 "$LOCK"
	assert_runs_as as_user
}
