#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The directory of a user's own, EXCLUSIVELOCK_DIR=user and --user: where it is, who makes it, and what stands in its way.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # every test is a subshell; run sets $stderr

load test_helper

setup() {
	clean_environment
	make_public_place
	place_launcher "$PLACE"
	LAUNCH=$PLACE/exlock-launch
	[[ ! -x $BUILD/exlockctl ]] || cp "$BUILD/exlockctl" "$PLACE"
	export SHIM LAUNCH HELPERS PLACE EXCLUSIVELOCK_NAME=job EXCLUSIVELOCK_DIR=user
	# Nobody's number, it is hoped.
	export WHO=$((1000000 + $$))
	OWN=/var/lock/exlock-$WHO
	FILE=${LOCK_PREFIX}job.lock
}

teardown() {
	end_processes
	rm -rf "$PLACE" "/tmp/exlock-$WHO"
}

# Runs shell SCRIPT as root with a /var/lock of its own, which all may write to. In it `user COMMAND` runs as an ordinary user.
inside() {
	local script=$1
	shift
	in_mount_namespace '
	mount -t tmpfs -o mode=1777 none "$(readlink -f /var/lock)"
	cd /
	user() { setpriv --reuid="$WHO" --regid="$WHO" --clear-groups "$@"; }
	await() { timeout 20 sh -c "until $*; do sleep 0.01; done"; }
	held() {
		setpriv --reuid="$WHO" --regid="$WHO" --clear-groups env LD_PRELOAD="$SHIM" "$HELPERS/hold" >"$PLACE/out" 2>&1 &
		holder=$!
		await grep -q ready "$PLACE/out"
	}
	end() { kill -KILL "$holder"; wait "$holder" 2>/dev/null || :; }
	'"$script" "$@"
}

@test "an ordinary user's is exlock-UID in /var/lock, and is made for that user alone whatever the umask" {
	for mask in 077 0777 0; do
		run -0 inside 'umask "$1"; user "$LAUNCH" sh -c '\''echo "$EXCLUSIVELOCK_LOCKFILE"; stat -c "%a %u" "${EXCLUSIVELOCK_LOCKFILE%/*}"'\' "$mask"
		[[ $output == "$OWN/$FILE"$'\n'"700 $WHO" ]] || { echo "$mask: $output"; return 1; }
	done
}

@test "the preload, the launcher, exlockctl and the C API mean the same, whatever else is in the environment" {
	run -1 inside 'held; user env LD_PRELOAD="$SHIM" true || status=$?; end; exit "$status"'
	[[ $output == "$(refusal_start job)"* ]]
	run -0 inside 'user "$LAUNCH" -p; user env -i "$LAUNCH" -u -n job -p; user env -i XDG_RUNTIME_DIR=/elsewhere "$LAUNCH" --user -n job -p
		user env -i "$LAUNCH" -d user -n job -p'
	[[ $(sort -u <<<"$output") == "$OWN/$FILE" ]]
	if [[ -x $PLACE/exlockctl ]]; then
		run -0 inside 'user env -i "$PLACE/exlockctl" -u path job; [ ! -e "$1" ]; user "$PLACE/exlockctl" list; held
			user "$PLACE/exlockctl" status job; user env -i "$PLACE/exlockctl" --user list --names; end' "$OWN"
		[[ ${lines[0]} == "$OWN/$FILE" && ${lines[1]} == NAME* && ${lines[2]} == "job: held by "* && ${lines[3]} == job ]]
	fi
	[[ -x $BUILD/tests/api ]] || return 0
	cp "$BUILD/tests/api" "$BUILD"/libexclusivelock.so.1 "$PLACE"
	run -0 inside 'user env LD_LIBRARY_PATH="$PLACE" "$PLACE/api" wait job 1; stat -c %a "$1"; held
		user env LD_LIBRARY_PATH="$PLACE" "$PLACE/api" wait job 0.01 || :; end' "$OWN"
	[[ ${lines[0]} == ready* && ${lines[1]} == 700 && ${lines[2]} == "refused ETIMEDOUT" ]]
}

@test "root's is /run/exlock, made anew when it is missing" {
	run -0 in_mount_namespace 'mount -t tmpfs -o mode=755 none /run
		for i in 1 2; do "$LAUNCH" /usr/bin/printenv EXCLUSIVELOCK_LOCKFILE; stat -c "%a %u" /run/exlock; rmdir /run/exlock; done'
	[[ $output == "/run/exlock/$FILE"$'\n700 0\n'"/run/exlock/$FILE"$'\n700 0' ]]
}

@test "where /var/lock is not root's, or not for all, it is in /tmp" {
	for change in 'chmod 755' 'chmod 777' "chown $WHO"; do
		run -0 inside "$change"' /var/lock/; user "$LAUNCH" /usr/bin/printenv EXCLUSIVELOCK_LOCKFILE'
		[[ $output == "/tmp/exlock-$WHO/$FILE" ]] || { echo "$change: $output"; return 1; }
	done
	run -125 inside 'chmod 755 /var/lock/; mount -t tmpfs none /mnt; cp -r "$PLACE"/* /mnt; mount -t tmpfs -o mode=755 none /tmp
		user /mnt/moved --shim=/mnt/libexlock.so --keeper= true'
	[[ $output == *"/tmp/exlock-$WHO/$FILE: neither /var/lock nor /tmp is a directory of root's with mode 1777 "* ]] || { echo "$output"; false; }
}

# WHY nothing runs, after PREPARE has put something else in the directory's place.
assert_unsafe() {
	local why=$1 prepare=$2 start
	for start in 'env LD_PRELOAD="$SHIM"' '"$LAUNCH"' '"$LAUNCH" -P' '"$LAUNCH" --wait' '"$LAUNCH" --flag' '"$LAUNCH" --replace'; do
		run -125 inside "$prepare; user $start touch \"\$PLACE/ran\"" "$OWN"
		[[ $output == "exlock: $OWN/$FILE: its directory $why (EXCLUSIVELOCK_DIR can name another directory)" ]] ||
			{ echo "$start: $output"; return 1; }
	done
	file_is_gone "$PLACE/ran"
	[[ -x $PLACE/exlockctl ]] || return 0
	for start in 'list' 'status job' 'path job' 'wait job'; do
		run -125 inside "$prepare; user \"\$PLACE/exlockctl\" $start" "$OWN"
		[[ $output == "exlockctl: $OWN/"*": its directory $why" ]] || { echo "$start: $output"; return 1; }
	done
}

@test "something else in its place, or one that others may enter, is an error that names it, and nothing runs" {
	assert_unsafe "is another user's: only root or that user can remove it" 'mkdir -m 700 "$1"'
	assert_unsafe "is another user's: only root or that user can remove it" 'mkdir -m 777 "$1"; chown 65533 "$1"'
	assert_unsafe "is none: something else has that name" ': >"$1"; chown "$WHO" "$1"'
	assert_unsafe "is none: something else has that name" 'mkdir -m 700 /var/lock/x; chown "$WHO" /var/lock/x; ln -s x "$1"; chown -h "$WHO" "$1"'
	for mode in 755 750 701 710 777; do
		assert_unsafe "is open to other users: chmod 700 closes it" "user mkdir -m $mode \"\$1\""
	done
}

@test "with EXCLUSIVELOCK_ON_ERROR=run a program runs unguarded there, and says so" {
	EXCLUSIVELOCK_ON_ERROR=run run -0 inside 'mkdir "$1"; user env LD_PRELOAD="$SHIM" echo ran' "$OWN"
	[[ $output == "exlock: $OWN/$FILE: its directory is another user's"*"running unguarded"*$'\n'ran ]]
}

@test "descendants of a holder pass by, whatever becomes of the directory" {
	run -0 inside 'user env LD_PRELOAD="$SHIM" sh -c '\''chmod 755 "$1"; env LD_PRELOAD="$SHIM" echo child; env -i EXCLUSIVELOCK_DIR=user \
		EXCLUSIVELOCK_NAME=job LD_PRELOAD="$SHIM" echo other'\'' sh "$1"' "$OWN"
	[[ $output == child$'\n'other ]]
}

@test "a directory that a cleaner takes away when it is empty is made anew, and one with a held lock stays" {
	command -v systemd-tmpfiles >/dev/null || skip "no systemd-tmpfiles"
	run -0 inside 'echo "d $(readlink -f /var/lock) - - - 0" >"$PLACE/clean.conf"; user "$LAUNCH" true; [ -d "$1" ]; systemd-tmpfiles --clean "$PLACE/clean.conf"; [ ! -e "$1" ]
		held; touch -d "1 hour ago" "$1"; systemd-tmpfiles --clean "$PLACE/clean.conf"; user "$LAUNCH" true || echo "$?"; end; user "$LAUNCH" echo next' "$OWN"
	[[ ${lines[1]} == 1 && ${lines[2]} == next ]] || { echo "$output"; false; }
}

@test "a start that waits makes it anew when holder and directory have gone" {
	run -0 inside 'held; user env EXCLUSIVELOCK_ON_HELD=wait LD_PRELOAD="$SHIM" echo in & waiter=$!
		await "grep -q -- \"-> FLOCK.*:$(stat -c %i "$1"/*) \" /proc/locks"
		mv "$1" "$1.gone"; end; wait "$waiter"; [ -d "$1" ]' "$OWN"
	[[ $output == in ]]
}

@test "in a user namespace of its own (unshare -r) a user has the same one; in one within another it is an error" {
	inside 'user unshare -r true' || skip "needs user namespaces for others"
	run -1 inside 'held; user unshare -r env LD_PRELOAD="$SHIM" true || status=$?; end; exit "$status"'
	[[ $output == "$(refusal_start job)"* ]]
	run -0 inside 'user unshare -r "$LAUNCH" -p; user unshare -c "$LAUNCH" -p; user unshare --map-user=5 "$LAUNCH" -p'
	[[ $(sort -u <<<"$output") == "$OWN/$FILE" ]] || { echo "$output"; false; }
	run -125 inside 'user unshare -r unshare -r "$LAUNCH" true'
	[[ $output == *": this user namespace does not tell which user this is (EXCLUSIVELOCK_DIR can name another directory)" ]]
	run -125 inside 'user unshare -U "$LAUNCH" true'
	[[ $output == *": this user namespace does not tell which user this is (EXCLUSIVELOCK_DIR can name another directory)" ]]
}

@test "root in a container with a /run of its own has /run/exlock there" {
	run -0 inside 'user unshare -r -m sh -c '\''mount -t tmpfs none /run; exec "$LAUNCH" -p'\'
	[[ $output == "/run/exlock/$FILE" ]]
}

@test "an ordinary user's start fails where only root may write to /var/lock, and the message names --user" {
	unset EXCLUSIVELOCK_DIR
	for start in 'env LD_PRELOAD="$SHIM"' '"$LAUNCH"'; do
		run -125 inside 'chmod 755 /var/lock/; user '"$start"' true'
		[[ $output == "exlock: /var/lock/$FILE: Permission denied (EXCLUSIVELOCK_DIR=user, or exlock-launch --user, takes a directory of your own)" ]]
	done
	run -0 inside 'chmod 755 /var/lock/; user "$LAUNCH" --user echo in'
	[[ $output == in ]]
}
