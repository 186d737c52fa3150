#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The environment variables: which values are understood, and what each does.
# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154 # every test is a subshell; run sets $stderr

load test_helper

setup() {
	clean_environment
	export EXCLUSIVELOCK_NAME=job
	LOCK=$(lock_file job)
}

teardown() {
	end_processes
	remove_public_place
}

# With VARIABLE set to each of the other arguments nothing runs, and the message names both.
assert_bad() {
	local variable=$1 value
	shift
	for value in "$@"; do
		run --separate-stderr -125 env "$variable=$value" LD_PRELOAD="$SHIM" "$HELPERS/stages"
		[[ $output == "" ]] || { echo "$variable=$value: it ran"; return 1; }
		[[ $stderr == "exlock: "*"$variable"*"$value"* ]] || { echo "$variable=$value: $stderr"; return 1; }
		[[ -z $(ls -A "$LOCKS") ]]
	done
}

# With VARIABLE set to each of the other arguments the program runs without a word, and is guarded.
assert_good() {
	local variable=$1 value
	shift
	for value in "$@"; do
		run --separate-stderr -0 env "$variable=$value" LD_PRELOAD="$SHIM" printenv EXCLUSIVELOCK_LOCKFILE
		[[ $stderr == "" && $output == "$LOCK" ]] || { echo "$variable=$value: $output $stderr"; return 1; }
	done
}

# COMMAND passes by without a lock.
assert_untouched() {
	run --separate-stderr -0 env LD_PRELOAD="$SHIM" "$@"
	[[ $stderr == "" && $output != *EXCLUSIVELOCK_PID=* && $output != *EXCLUSIVELOCK_INSTANCE=* ]] ||
		{ echo "$output"; return 1; }
}

# COMMAND takes the lock.
assert_touched() {
	run --separate-stderr -0 env LD_PRELOAD="$SHIM" "$@"
	[[ $stderr == "" && $output == *EXCLUSIVELOCK_PID=* && $output == *"EXCLUSIVELOCK_LOCKFILE=$LOCK"* ]] ||
		{ echo "$output $stderr"; return 1; }
}

@test "EXCLUSIVELOCK_TIMEOUT must be a number of seconds, or a time as timeout(1) has it" {
	assert_bad EXCLUSIVELOCK_TIMEOUT abc -1 1w 1S 1ms 1.2.3 nan inf 0x10 ' 1' '1 ' . s .s 1,5 '1;2'
	assert_good EXCLUSIVELOCK_TIMEOUT 0 1 1.5 0.001 100000 007 30s 5m .5h 1d ''
}

@test "EXCLUSIVELOCK_EXIT_CODE must be a whole number from 0 to 255" {
	assert_bad EXCLUSIVELOCK_EXIT_CODE 256 -1 abc 1.5 0x10 ' 1' '1 ' 1000 4294967297 99999999999999999999 1a
	assert_good EXCLUSIVELOCK_EXIT_CODE 0 1 75 255 ''
}

@test "EXCLUSIVELOCK_ON_HELD must be abort, flag or wait" {
	assert_bad EXCLUSIVELOCK_ON_HELD x Abort aborted waiting wai 1
	assert_good EXCLUSIVELOCK_ON_HELD abort flag wait ''
}

@test "EXCLUSIVELOCK_BY must be exe or args" {
	assert_bad EXCLUSIVELOCK_BY x EXE arg argsx 1
	assert_good EXCLUSIVELOCK_BY exe args ''
}

@test "EXCLUSIVELOCK_SCOPE must be process or tree" {
	assert_bad EXCLUSIVELOCK_SCOPE x Tree trees 1
	assert_good EXCLUSIVELOCK_SCOPE process tree ''
}

@test "EXCLUSIVELOCK_ON_ERROR must be abort or run" {
	assert_bad EXCLUSIVELOCK_ON_ERROR x RUN runs ignore 1
	assert_good EXCLUSIVELOCK_ON_ERROR abort run ''
}

@test "EXCLUSIVELOCK_QUIET must be 0 or 1" {
	assert_bad EXCLUSIVELOCK_QUIET 2 yes -1 01 true
	assert_good EXCLUSIVELOCK_QUIET 0 1 ''
}

@test "EXCLUSIVELOCK_DIR must be absolute" {
	cd "$BATS_TEST_TMPDIR"
	assert_bad EXCLUSIVELOCK_DIR locks ./locks .
	assert_good EXCLUSIVELOCK_DIR "$LOCKS"
}

@test "EXCLUSIVELOCK_LOG must be stderr or absolute" {
	cd "$BATS_TEST_TMPDIR"
	assert_bad EXCLUSIVELOCK_LOG log ./log stdout STDERR 1
	file_is_gone log
	assert_good EXCLUSIVELOCK_LOG "$PWD/log" ''
}

@test "a message shows a bad value without a byte that is not printable" {
	run -125 env EXCLUSIVELOCK_QUIET=$'\e[2J\n\xff' LD_PRELOAD="$SHIM" "$HELPERS/stages"
	[[ ${#lines[@]} == 1 ]]
	LC_ALL=C run -1 grep -q '[^ -~]' <<<"$output"
}

@test "EXCLUSIVELOCK_ONLY selects programs by path or by base name" {
	export EXCLUSIVELOCK_ONLY
	for EXCLUSIVELOCK_ONLY in /usr/bin/env env 'e*' 'e?v' '[de]nv' '/usr/bin/*' '*/env' 'sleep:env' ':env' 'env:sleep' \
		'/no/such/program:/usr/bin/en?:sleep' '*' ''; do
		assert_touched env || { echo "pattern $EXCLUSIVELOCK_ONLY"; false; }
	done
	for EXCLUSIVELOCK_ONLY in /usr/bin/sleep sleep en nv '/bin/*/env' 'sleep:/usr/env:env2' '[!e]nv' 'e?' /usr/bin '*/bin'; do
		assert_untouched env || { echo "pattern $EXCLUSIVELOCK_ONLY"; false; }
	done
}

@test "EXCLUSIVELOCK_ONLY knows a script by its own path" {
	printf '#!/bin/sh\nexport -p | tr -d "\\047\\042"\n' >"$BATS_TEST_TMPDIR/tool"
	chmod 755 "$BATS_TEST_TMPDIR/tool"
	EXCLUSIVELOCK_ONLY=tool assert_touched "$BATS_TEST_TMPDIR/tool"
	EXCLUSIVELOCK_ONLY="$BATS_TEST_TMPDIR/*" assert_touched "$BATS_TEST_TMPDIR/tool"
	EXCLUSIVELOCK_ONLY='sh:dash:bash:/bin/*:/usr/bin/*' assert_untouched "$BATS_TEST_TMPDIR/tool"
}

@test "a program that EXCLUSIVELOCK_ONLY does not select runs in spite of a holder, a useless directory and bad values" {
	start_holder "$HELPERS/hold"
	export EXCLUSIVELOCK_ONLY=sleep:hold
	assert_untouched "$HELPERS/stages"
	EXCLUSIVELOCK_DIR=/no/such/directory assert_untouched "$HELPERS/stages"
	EXCLUSIVELOCK_TIMEOUT=abc EXCLUSIVELOCK_QUIET=2 assert_untouched "$HELPERS/stages"
	[[ $output == constructor*destructor* ]]
}

@test "a program that EXCLUSIVELOCK_ONLY selects is guarded when one that it does not select starts it" {
	export EXCLUSIVELOCK_ONLY=stages:hold
	run -0 guarded sh -c '"$@"; "$@"' sh "$HELPERS/stages"
	start_holder "$HELPERS/hold"
	run -1 guarded sh -c '"$@"' sh "$HELPERS/stages"
	[[ $output == "$(refusal job "$HOLDER")" ]]
}

@test "with EXCLUSIVELOCK_ON_HELD=flag a program runs in spite of a holder, and is told so" {
	export EXCLUSIVELOCK_ON_HELD=flag
	start_holder "$HELPERS/hold"
	run --separate-stderr -0 guarded env
	[[ $stderr == "" ]]
	printf '%s\n' "${lines[@]}" | grep '^EXCLUSIVELOCK_' | sort >"$BATS_TEST_TMPDIR/seen"
	printf 'EXCLUSIVELOCK_%s\n' "DIR=$LOCKS" HELD=1 "HOLDER=$HOLDER" "LOCKFILE=$LOCK" NAME=job ON_HELD=flag |
		diff - "$BATS_TEST_TMPDIR/seen"
	# It leaves the lock to its holder.
	[[ $(<"$LOCK") == "$HOLDER" ]]
	EXCLUSIVELOCK_ON_HELD=abort run -1 guarded "$HELPERS/stages"
	[[ $output == "$(refusal job "$HOLDER")" ]]
}

@test "with EXCLUSIVELOCK_ON_HELD=flag a program takes a free lock, and is told that" {
	export EXCLUSIVELOCK_ON_HELD=flag
	# What an outer program was told does not hold for this one.
	EXCLUSIVELOCK_HELD=1 EXCLUSIVELOCK_HOLDER=1 assert_touched env
	[[ $output != *EXCLUSIVELOCK_HELD=1* && $output != *EXCLUSIVELOCK_HOLDER=1* ]]
	start_holder "$HELPERS/hold"
	EXCLUSIVELOCK_ON_HELD=abort run -1 guarded "$HELPERS/stages"
}

@test "a flagged program is not told that it has a lock, whatever its environment said before" {
	export EXCLUSIVELOCK_ON_HELD=flag
	start_holder "$HELPERS/hold"
	run -0 env EXCLUSIVELOCK_PID=1 EXCLUSIVELOCK_INSTANCE=1.2.3 EXCLUSIVELOCK_LOCKFILE=/none LD_PRELOAD="$SHIM" env
	[[ $output == *EXCLUSIVELOCK_HELD=1* && $output == *"EXCLUSIVELOCK_LOCKFILE=$LOCK"* ]]
	[[ $output != *EXCLUSIVELOCK_PID=[0-9]* && $output != *EXCLUSIVELOCK_INSTANCE=[0-9]* ]]
}

@test "with EXCLUSIVELOCK_ON_HELD=flag a useless lock directory is still an error" {
	EXCLUSIVELOCK_ON_HELD=flag EXCLUSIVELOCK_DIR=$LOCKS/missing run -125 guarded "$HELPERS/stages"
}

@test "found by its bare name in a system directory, the shim guards; in a set-user-ID process it does nothing" {
	make_public_place
	system=$(dirname "$(ldd /bin/sh | sed -n 's|.* => \(/.*/libc\.so\.6\) .*|\1|p')")
	# The loader trusts a library of that name, set-user-ID itself, in a system directory only: lay one over it.
	mkdir "$PLACE/over"
	cp "$SHIM" "$PLACE/over/libexlock.so"
	cp /bin/bash "$PLACE/secure"
	chmod 4755 "$PLACE/over/libexlock.so" "$PLACE/secure"
	cover="mount -t overlay -o lowerdir=$PLACE/over:$system none $system"
	in_mount_namespace "$cover" 2>/dev/null || skip "cannot mount an overlay"
	script='while read -r line; do case $line in *libexlock*) echo loaded; break;; esac; done </proc/self/maps; echo "pid $EXCLUSIVELOCK_PID."'
	run -0 in_mount_namespace "$cover"'; exec setpriv --reuid=65534 --clear-groups "$@"' \
		env LD_PRELOAD=libexlock.so "$PLACE/secure" -p -c "$script"
	[[ ${lines[0]} == loaded && ${lines[1]} == "pid ." && -z $(ls -A "$LOCKS") ]] || { echo "$output"; false; }
	run -0 in_mount_namespace "$cover"'; exec setpriv --reuid=65534 --clear-groups "$@"' \
		env LD_PRELOAD=libexlock.so bash -c "$script"
	[[ ${lines[0]} == loaded && ${lines[1]} == "pid "[0-9]* ]]
}
