#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# The shared object itself: what it needs, what it exports, what it calls, and in which company it works.
# shellcheck disable=SC2016,SC2030,SC2031,SC2153,SC2154 # every test is a subshell; run sets $stderr

load test_helper

setup() {
	clean_environment
	export EXCLUSIVELOCK_NAME=job
	LOCK=$(lock_file job)
}

teardown() {
	end_processes
}

assert_refused_by() {
	run --separate-stderr -1 env LD_PRELOAD="$1" "$HELPERS/stages"
	[[ $output == "" && $stderr == "$(refusal job "$HOLDER")" ]]
}

end_holder() {
	kill -TERM "$HOLDER"
	wait "$HOLDER"
}

@test "the library needs nothing but libc" {
	run -0 readelf -dW "$SHIM"
	needed=$(sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' <<<"$output")
	[[ -z $needed || $needed == libc.so.6 ]] || { echo "$needed"; false; }
	# It must be found wherever the loader finds it, and must not be unloaded.
	[[ $output != *RPATH* && $output != *RUNPATH* && $output == *NODELETE* ]]
}

@test "the library needs no symbol version newer than glibc 2.17's" {
	run -0 readelf -VW "$SHIM"
	newest=$(grep -o 'GLIBC_[0-9.]*' <<<"$output" | sort -Vu | tail -n 1)
	[[ -z $newest || $(printf '%s\nGLIBC_2.17\n' "$newest" | sort -V | tail -n 1) == GLIBC_2.17 ]] || { echo "$newest"; false; }
}

@test "the library exports _Exit, _exit, prctl and syscall, and nothing else" {
	run -0 nm -D --defined-only "$SHIM"
	[[ $(awk '{ print $3 }' <<<"$output" | LC_ALL=C sort | tr '\n' ' ') == "_Exit _exit prctl syscall " ]] || { echo "$output"; false; }
}

@test "the library uses no thread-local storage, no executable stack, no text relocation" {
	run -0 readelf -lW "$SHIM"
	run -1 grep -E '^ *TLS|GNU_STACK.* RWE' <<<"$output"
	run -0 readelf -dW "$SHIM"
	[[ $output != *TEXTREL* ]]
}

@test "a program that defines functions named like libc's is guarded, and none of them is called" {
	# Proof that they are traps: a library that calls one ends the program.
	run -66 env LD_PRELOAD="$HELPERS/libneighbour.so" "$HELPERS/collide"
	start_holder "$HELPERS/collide"
	assert_refused_by "$SHIM"
	run -1 guarded "$HELPERS/collide"
	[[ $output == "$(refusal job "$HOLDER")" ]]
	end_holder
	file_is_gone "$LOCK"
	# Nor on the longer ways: a dead holder, a log, a wait, a bad value.
	printf '999999999\n' >"$LOCK"
	EXCLUSIVELOCK_LOG=$BATS_TEST_TMPDIR/log start_holder "$HELPERS/collide"
	EXCLUSIVELOCK_ON_HELD=wait EXCLUSIVELOCK_TIMEOUT=0.1 run -1 guarded "$HELPERS/collide"
	EXCLUSIVELOCK_TIMEOUT=abc run -125 guarded "$HELPERS/collide"
	EXCLUSIVELOCK_ON_HELD=flag start_holder "$HELPERS/collide"
	end_holder
	unset EXCLUSIVELOCK_NAME
	EXCLUSIVELOCK_ONLY='c*e:x' EXCLUSIVELOCK_BY=args start_holder "$HELPERS/collide"
	end_holder
}

@test "a program that calls prctl and syscall gets the answers that it would have got" {
	run -0 guarded "$HELPERS/passing"
	[[ $output == "all as asked" ]] || { echo "$output"; false; }
}

@test "loaded twice from two files, the library does not refuse itself, and refuses others" {
	cp "$SHIM" "$BATS_TEST_TMPDIR/libexlock-too.so"
	both="$SHIM:$BATS_TEST_TMPDIR/libexlock-too.so"
	run -0 env LD_PRELOAD="$both" "$HELPERS/stages"
	[[ $output == constructor*destructor* && $output != *constructor*constructor* ]]
	file_is_gone "$LOCK"
	: >"$BATS_TEST_TMPDIR/out"
	env LD_PRELOAD="$both" "$HELPERS/hold" >"$BATS_TEST_TMPDIR/out" 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	poll grep -q ready "$BATS_TEST_TMPDIR/out"
	[[ $(grep -c 'r-xp.*libexlock' "/proc/$HOLDER/maps") == 2 ]]
	assert_refused_by "$SHIM"
	assert_refused_by "$both"
	assert_refused_by "$BATS_TEST_TMPDIR/libexlock-too.so"
	end_holder
	run -0 guarded "$HELPERS/stages"
}

@test "loaded twice, the library lets the program's children pass" {
	cp "$SHIM" "$BATS_TEST_TMPDIR/libexlock-too.so"
	run -7 env LD_PRELOAD="$SHIM:$BATS_TEST_TMPDIR/libexlock-too.so" sh -c '"$1"; "$1" 7' sh "$HELPERS/stages"
}

@test "a program built with musl takes the same library" {
	command -v musl-gcc >/dev/null || skip "no musl-gcc"
	musl-gcc -pthread -o "$BATS_TEST_TMPDIR/hold" "$SOURCE/tests/helpers/hold.c"
	start_holder "$BATS_TEST_TMPDIR/hold"
	grep -q musl "/proc/$HOLDER/maps"
	grep -q libexlock "/proc/$HOLDER/maps"
	assert_refused_by "$SHIM"
	run -1 guarded "$BATS_TEST_TMPDIR/hold"
	[[ $output == "$(refusal job "$HOLDER")" ]]
	kill -KILL "$HOLDER"
	wait "$HOLDER" || :
	start_holder "$BATS_TEST_TMPDIR/hold"
	end_holder
	poll file_is_gone "$LOCK"
	# The other way round: the musl program as the second one.
	start_holder "$HELPERS/hold"
	run -1 guarded "$BATS_TEST_TMPDIR/hold"
	[[ $output == "$(refusal job "$HOLDER")" ]]
}

@test "a musl program without a name locks the path of its file" {
	command -v musl-gcc >/dev/null || skip "no musl-gcc"
	unset EXCLUSIVELOCK_NAME
	musl-gcc -pthread -o "$BATS_TEST_TMPDIR/hold" "$SOURCE/tests/helpers/hold.c"
	start_holder "$BATS_TEST_TMPDIR/hold"
	[[ $(<"$(lock_file "$(realpath "$BATS_TEST_TMPDIR/hold")")") == "$HOLDER" ]]
}

@test "other libraries may be preloaded before it and after it" {
	for order in "$HELPERS/libneighbour.so:$SHIM" "$SHIM $HELPERS/libneighbour.so"; do
		run -0 env LD_PRELOAD="$order" "$HELPERS/stages"
		[[ $output == *neighbour*constructor*destructor* ]] || { echo "$output"; false; }
		start_holder "$HELPERS/hold"
		assert_refused_by "$SHIM"
		end_holder
	done
}

@test "meson install puts the library into libdir and the launcher into bindir, below DESTDIR" {
	command -v meson >/dev/null || skip "no meson"
	DESTDIR=$BATS_TEST_TMPDIR/root run -0 meson install -C "$CONFIGURED" --no-rebuild
	directory() {
		meson introspect --buildoptions "$CONFIGURED" | /usr/bin/python3 -c 'import json, sys
print(next(option["value"] for option in json.load(sys.stdin) if option["name"] == sys.argv[1]))' "$1"
	}
	prefix=$BATS_TEST_TMPDIR/root$(directory prefix)
	cmp "$SHIM" "$prefix/$(directory libdir)/libexlock.so"
	[[ -x $prefix/$(directory bindir)/exlock-launch ]]
	# Installed, it guards, too.
	start_holder "$HELPERS/hold"
	assert_refused_by "$prefix/$(directory libdir)/libexlock.so"
}
