#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# A lock directory on an overlay file system, as in most containers: a mapping does not keep a file's flock there.
# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154 # every test is a subshell; run sets $stderr

load test_helper

LAYERED='mount -t tmpfs none /mnt; mkdir /mnt/lower /mnt/upper /mnt/work
	mount -t overlay -o lowerdir=/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/work none "$EXCLUSIVELOCK_DIR"'

setup() {
	clean_environment
	export EXCLUSIVELOCK_NAME=job
	needs_mount_namespace
	in_mount_namespace "$LAYERED" 2>/dev/null || skip "no overlay file system here"
}

teardown() {
	end_processes
}

# A line of shell SCRIPT where the lock directory is layered, with guarded() and a poll of sorts.
in_layers() {
	run -0 in_mount_namespace "$LAYERED"'
		export shim="$1" helpers="$2" folder="$3" lock="$4"
		guarded() { env LD_PRELOAD="$shim" "$@"; }
		until_content() { n=0; until [ -s "$1" ] || [ $((n += 1)) = 1000 ]; do sleep 0.01; done; }
		until_ended() { n=0; while [ -e "/proc/$1" ] && [ $((n += 1)) != 1000 ]; do sleep 0.01; done; }
		second() { guarded "$helpers/stages" 7 2>&1 || echo "ended with $?"; }
		'"$1" "$SHIM" "$HELPERS" "$BATS_TEST_TMPDIR" "$(lock_file job)" "$BUILD" 3>&-
}

@test "on an overlay file system a daemon keeps the lock, with its descriptors closed or open, and is named" {
	for how in daemon double single; do
		in_layers "guarded \"\$helpers/daemonize\" $how exit_group \"\$folder/$how\"; until_content \"\$folder/$how\"
			daemon=\$(cat \"\$folder/$how\")
			second; kill -TERM \"\$daemon\"; until_ended \"\$daemon\"; second | tail -n 1"
		[[ ${lines[0]} == "$(refusal job "$(<"$BATS_TEST_TMPDIR/$how")")" ]]
		[[ ${lines[1]} == "ended with 1" && ${lines[2]} == "ended with 7" ]] || { echo "$output"; false; }
	done
}

@test "on an overlay file system a program is exclusive, also towards flock(1), and leaves nothing" {
	in_layers 'env LD_PRELOAD="$shim" "$helpers/hold" >"$folder/holder" & until_content "$folder/holder"
		second; flock --nonblock "$lock" true || echo "flock: $?"
		kill -TERM $!; wait $!; ls "$EXCLUSIVELOCK_DIR"; second | tail -n 1'
	[[ ${lines[0]} == "$(refusal_start job) (pid "* && ${lines[1]} == "ended with 1" ]]
	[[ ${lines[2]} == "flock: 1" && ${lines[3]} == "ended with 7" && ${#lines[@]} == 4 ]] || { echo "$output"; false; }
}

@test "on an overlay file system, whose device number in /proc/locks is not that of the file, flock(1) is named by a refused start and by exlockctl" {
	# It is where the layers are on two file systems.
	LAYERED=${LAYERED/lowerdir=/lowerdir=/usr:}
	in_layers 'flock --no-fork "$lock" "$helpers/hold" >"$folder/holder" & until_content "$folder/holder"
		"$5/exlockctl" status job || :; second; kill -TERM $!; wait $!'
	read -r _ holder <"$BATS_TEST_TMPDIR/holder"
	[[ ${lines[0]} == "job: held by pid $holder "* && ${lines[1]} == "$(refusal job "$holder")" ]] || { echo "$output"; false; }
}
