#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What another user can leave in the lock file's place: files with every content and mode. What is no file is in place.bats.
# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154 # every test is a subshell; run sets $stderr

load test_helper
load hostile

setup() {
	setup_hostile
}

# A start runs over the file that is there, as root and as others; then root's own start puts things right.
assert_runs_for_all() {
	local who
	for who in as_user root; do
		assert_runs_as "$who"
	done
	file_is_gone "$LOCK"
	assert_runs_as as_user
}

@test "a file whose content names no process hinders nobody" {
	local contents=(garbage '' '\0' '\0\0\0\0' -5 -1 0 '0\n' 99999999999999999999 4294967297 2147483648 18446744073709551617
		1e3 0x1 +1 '1\0' '1\0\n' '1garbage' '\n1\n' ' \n' "$(printf '%64s1' '')" "$(printf '1%.0s' {1..5000})" '1;reboot\n'
		'\033]0;gone\007' '\377\376\n')
	for content in "${contents[@]}"; do
		echo "content: ${content:0:40}"
		plant "$content"
		assert_runs_for_all
	done
}

@test "a huge file is looked at no further than a PID is long" {
	plant ''
	as_attacker truncate -s 1T "$LOCK" || skip "no room for a huge file"
	assert_runs_for_all
	plant "$$ "
	as_attacker truncate -s 1T "$LOCK"
	for who in "${VICTIMS[@]}"; do
		assert_refused_as "$$" "$who"
	done
}

@test "no mode of another user's stale file hinders those who may read it" {
	for mode in 0644 0444 0666 0777 1644 2755 4755 6777 7777; do
		plant '0\n'
		as_attacker chmod "$mode" "$LOCK"
		assert_runs_for_all
	done
}

@test "a file that may not be read is an error to those who may not, whether by mode or by access list" {
	for mode in 0000 0200 0600 7000; do
		plant '0\n'
		as_attacker chmod "$mode" "$LOCK"
		assert_error_as as_user
		assert_runs_as root
	done
	plant '0\n'
	# u::rw- u:65534:--- g::r-- m::r-- o::r--
	as_attacker /usr/bin/python3 -c 'import os, struct, sys
entries = [(1, 6, -1), (2, 0, 65534), (4, 4, -1), (16, 4, -1), (32, 4, -1)]
acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)
os.setxattr(sys.argv[1], "system.posix_acl_access", acl)' "$LOCK" || skip "no access lists here"
	assert_error_as as_user
	assert_runs_as root
}

@test "a file that nobody may change, or only append to, is locked all the same" {
	for flag in i a; do
		plant '0\n'
		chattr "+$flag" "$LOCK" 2>/dev/null || skip "no such attributes here"
		for who in "${VICTIMS[@]}"; do
			"$who" env LD_PRELOAD="$SHIM" "$HELPERS/hold" >"$BATS_TEST_TMPDIR/holder" 3>&- &
			poll grep -q ready "$BATS_TEST_TMPDIR/holder"
			read -r _ HOLDER <"$BATS_TEST_TMPDIR/holder"
			ENDLATER+=("$HOLDER")
			run ! start_as root
			[[ $status == 1 && $output == *"(pid $HOLDER)."* ]] || { echo "$flag $who: $output"; false; }
			run ! start_as as_user
			[[ $status == 1 ]]
			kill -TERM "$HOLDER"
			poll process_has_ended "$HOLDER"
			: >"$BATS_TEST_TMPDIR/holder"
		done
		chattr "-$flag" "$LOCK"
		[[ $(<"$LOCK") == 0 ]]
	done
}

@test "a hard link that is taken away once its file is open and locked is not written through" {
	command -v strace >/dev/null || skip "no strace"
	local start child log=$BATS_TEST_TMPDIR/trace
	ln "$SECRET" "$LOCK"
	# It stops where it has seen that what it locked is what is at the path. /proc would not tell that from a stop for strace's sake.
	strace -f -qq -o "$log" -e trace=fstat -e inject=fstat:signal=STOP:when=1 env LD_PRELOAD="$SHIM" "$HELPERS/stages" 7 \
		>"$BATS_TEST_TMPDIR/out" 2>&1 3>&- &
	start=$!
	ENDLATER+=("$start")
	poll grep -qs 'stopped by SIGSTOP' "$log"
	rm "$LOCK"
	read -r child _ <"$log"
	kill -CONT "$child"
	wait "$start" || [[ $? -eq 7 ]]
	assert_secret_kept
}
