#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Other processors than this machine's: built for arm64, and tried under an emulator. Needs what the first test names; from Debian, after
# "dpkg --add-architecture arm64": gcc-aarch64-linux-gnu qemu-user-static libbsd-dev:arm64 libmd-dev:arm64.
# shellcheck disable=SC2016 # $ is for the shell inside

load test_helper

setup_file() {
	local tool
	for tool in aarch64-linux-gnu-gcc qemu-aarch64-static meson ninja; do
		command -v "$tool" >/dev/null || lacks "needs $tool" || return 0
	done
	[[ -e /usr/lib/aarch64-linux-gnu/libbsd.a ]] || lacks "needs libbsd-dev:arm64" || return 0
	cd "$BATS_FILE_TMPDIR" || return
	cat >pkg-config <<-'SCRIPT'
		#!/bin/sh
		PKG_CONFIG_LIBDIR=/usr/lib/aarch64-linux-gnu/pkgconfig exec pkg-config "$@"
	SCRIPT
	chmod +x pkg-config
	cat >machine <<-MACHINE
		[binaries]
		c = 'aarch64-linux-gnu-gcc'
		ar = 'aarch64-linux-gnu-ar'
		pkgconfig = '$PWD/pkg-config'
		[host_machine]
		system = 'linux'
		cpu_family = 'aarch64'
		cpu = 'aarch64'
		endian = 'little'
	MACHINE
	meson setup --cross-file machine -Dwerror=true -Dtests=true -Dauto_features=disabled build "$BATS_TEST_DIRNAME/.." >log
	ninja -C build libexlock.so exlock-launch libexclusivelock.so.1.0.0 tests/hold tests/hold-static >>log || { cat log >&2 && false; }
}

setup() {
	clean_environment
	export EXCLUSIVELOCK_NAME=n
	BUILT=$BATS_FILE_TMPDIR/build
}

teardown() { end_processes; }

emulated() {
	exec timeout 60 qemu-aarch64-static -L /usr/aarch64-linux-gnu "$@"
}

# Starts WORDS..., which say "ready", in the background. Sets HOLDER.
start_emulated() {
	(emulated "$@") >"$BATS_TEST_TMPDIR/out" 3>&- &
	ENDLATER+=("$!")
	poll grep -q ready "$BATS_TEST_TMPDIR/out"
	read -r _ HOLDER <"$BATS_TEST_TMPDIR/out"
	ENDLATER+=("$HOLDER")
}

assert_one_at_a_time() {
	[[ $(<"$(lock_file n)") == "$HOLDER" ]]
	assert_refused n "$HOLDER"
	run -1 emulated "$@"
	[[ $output == "$(refusal n "$HOLDER")" ]]
	kill -TERM "$HOLDER"
	poll process_has_ended "$HOLDER"
	file_is_gone "$(lock_file n)"
}

@test "on arm64 a program under the library is exclusive, beside this machine's own, too" {
	start_emulated -E LD_PRELOAD="$BUILT/libexlock.so" "$BUILT/tests/hold"
	assert_one_at_a_time -E LD_PRELOAD="$BUILT/libexlock.so" "$BUILT/tests/hold"
}

@test "on arm64 the launcher starts without a libc, takes the lock, and becomes the command" {
	run -0 emulated "$BUILT/exlock-launch" -p
	[[ $output == "$(lock_file n)" ]]
	run -7 emulated "$BUILT/exlock-launch" -- /bin/sh -c 'test "$EXCLUSIVELOCK_PID" = $$ && exit 7'
	run -127 emulated "$BUILT/exlock-launch" no-such-command
}
