# SPDX-License-Identifier: MIT
# scripts/quickstart: one command that installs, builds and shows, or guards the command that it is given.

# shellcheck disable=SC2030,SC2031 # every test is a subshell
load test_helper

setup() {
	clean_environment
	cd "$BATS_TEST_TMPDIR" || return
	export EXLOCK_BUILD=$CONFIGURED TMPDIR=$BATS_TEST_TMPDIR/temporary
	mkdir "$TMPDIR"
	QUICKSTART=$SOURCE/scripts/quickstart
}
teardown() { end_processes; }

# Commands that stand in for the package tools: of the packages, only "there" is installed; what is called is in "calls".
fake_package_tools() {
	mkdir tools
	# shellcheck disable=SC2016 # for the scripts
	{
		printf '#!/bin/sh\nfor p; do :; done\n[ "$p" = there ] && echo installed\n' >tools/dpkg-query
		printf '#!/bin/sh\necho apt-get "$@" >>calls\n' >tools/apt-get
		printf '#!/bin/sh\necho sudo >>calls\nexec "$@"\n' >tools/sudo
		printf '#!/bin/sh\necho %s\n' "$1" >tools/id
	}
	chmod +x tools/*
	PATH=$PWD/tools:$PATH
}

install_with_fakes() {
	# shellcheck disable=SC2016 # for the shell inside
	run -0 sh -euc '. "$0"; install_packages "$@"' "$SOURCE/scripts/packages.sh" "$@"
}

# The demonstration shows who holds the lock, a refused start with its status and the next one, and nothing is left of it.
assert_demonstration() {
	local holder
	run -0 "$QUICKSTART" </dev/null
	[[ $output =~ "(running, pid "([0-9]+)")" ]]
	holder=${BASH_REMATCH[1]}
	[[ ! -x $EXLOCK_BUILD/exlockctl || $output =~ sleep\ +held\ +$holder ]]
	[[ $output == *$'\n'$(refusal '*/sleep' "$holder")$'\n(exit status 1)\n'* ]]
	[[ $output == *"
(exit status 0)
"* ]]
	process_has_ended "$holder"
	[[ -z $(ls locks) && -z $(ls "$TMPDIR") ]]
}

@test "it shows who holds the lock, a refused start, the next start after a SIGKILL, and leaves nothing behind" {
	export EXCLUSIVELOCK_NAME=other EXCLUSIVELOCK_EXIT_CODE=5 EXCLUSIVELOCK_ON_HELD=wait
	assert_demonstration
}

@test "with a command it becomes that command, guarded, with its output and its status" {
	local holder
	"$QUICKSTART" "$HELPERS/hold" >out 2>err 3>&- &
	holder=$!
	ENDLATER+=("$holder")
	poll grep -q ready out
	[[ $(<out) == "ready $holder" ]]
	run -1 "$QUICKSTART" "$HELPERS/hold"
	[[ ${lines[-1]} == "$(refusal "$HELPERS/hold" "$holder")" ]]
	run -1 guarded "$HELPERS/hold"
	kill -TERM "$holder"
	wait "$holder"
	# shellcheck disable=SC2016 # for the shell inside
	run -7 --separate-stderr "$QUICKSTART" sh -c 'echo "$1"; exit 7' sh 'two  words'
	[[ $output == "two  words" ]]
}

@test "it builds where nothing is built yet, and guards from a folder that the loader preloads nothing from" {
	# It is the way that is tried, not the code.
	export EXLOCK_BUILD="$PWD/not yet" CFLAGS=-O0
	run -0 --separate-stderr "$QUICKSTART" printenv EXCLUSIVELOCK_LOCKFILE LD_PRELOAD
	[[ ${lines[0]} == "$(lock_file "$(realpath "$(command -v printenv)")")" && ${lines[1]} == */libexlock.so ]]
	poll file_is_gone "${lines[1]}"
	file_is_there "not yet/libexlock.so"
	assert_demonstration
}

@test "it says that it builds, and where the command has its lock file" {
	run -0 --separate-stderr "$QUICKSTART" true
	# shellcheck disable=SC2154 # set by bats
	[[ $output == "" && $stderr == *"Building in $CONFIGURED"*"its lock file: $(lock_file "$(realpath "$(type -P true)")")"* ]]
}

@test "where the build fails, it says why and nothing is started" {
	touch occupied
	EXLOCK_BUILD=$PWD/occupied run -125 "$QUICKSTART" touch intruder
	[[ $output == *"occupied"*"quickstart: the build failed" ]]
	file_is_gone intruder
}

@test "what is missing is installed by apt-get, through sudo where it is not root" {
	fake_package_tools 1000
	install_with_fakes there gone lost
	run -0 cat calls
	[[ ${lines[0]} == sudo && ${lines[1]} == apt-get*" update" ]]
	[[ ${lines[2]} == sudo && ${lines[3]} == apt-get*" install gone lost" ]]
}

@test "root installs without sudo" {
	fake_package_tools 0
	install_with_fakes gone
	run -1 grep sudo calls
	grep -q 'install gone' calls
}

@test "where nothing is missing, nothing is installed" {
	fake_package_tools 1000
	install_with_fakes there
	file_is_gone calls
}
