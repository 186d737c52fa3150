# SPDX-License-Identifier: MIT
# exlock-launch fails closed: where it is not sure of the lock, or not understood, nothing runs.

# shellcheck disable=SC2154 # run sets $stderr
load test_helper

setup() {
	clean_environment
	cd "$BATS_TEST_TMPDIR" || return
	# Another user must reach it.
	OPEN=$(mktemp -d /tmp/exlock.XXXXXX)
	chmod 755 "$OPEN"
}

teardown() {
	end_processes
	rm -rf "$OPEN"
}

# A launcher of the test's own, with a library that can be spoilt.
private_launcher() {
	place_launcher "$OPEN"
	run -0 "$OPEN/exlock-launch" -n job printenv LD_PRELOAD
	[[ $output == "$OPEN/libexlock.so" ]]
}

# Nothing has run, and the message says WHAT was wrong.
assert_nothing_runs() {
	local what=$1
	shift
	run -125 "$@"
	[[ $output == *exlock*"$what"* ]]
	file_is_gone "$OPEN/intruder"
	file_is_gone intruder
}

@test "an unknown option, a missing value or a missing command: nothing runs, 125" {
	assert_nothing_runs -x "$LAUNCH" -x touch intruder
	assert_nothing_runs -x "$LAUNCH" -qx touch intruder
	assert_nothing_runs --frobnicate "$LAUNCH" --frobnicate touch intruder
	assert_nothing_runs --name "$LAUNCH" --name
	assert_nothing_runs -n "$LAUNCH" -n
	assert_nothing_runs -E "$LAUNCH" -qE
	assert_nothing_runs --quiet "$LAUNCH" --quiet=1 touch intruder
	assert_nothing_runs --wait "$LAUNCH" --wait=yes touch intruder
	assert_nothing_runs "" "$LAUNCH"
	assert_nothing_runs "" "$LAUNCH" -n job
	assert_nothing_runs "" "$LAUNCH" -n job --
}

@test "a value that cannot be understood: nothing runs, 125, and the message names it" {
	assert_nothing_runs soon "$LAUNCH" -n job -t soon touch intruder
	assert_nothing_runs -1 "$LAUNCH" -n job -t -1 touch intruder
	assert_nothing_runs 256 "$LAUNCH" -n job -E 256 touch intruder
	assert_nothing_runs forest "$LAUNCH" -n job -s forest touch intruder
	assert_nothing_runs relative "$LAUNCH" -n job -d relative touch intruder
	assert_nothing_runs "$PWD/none" "$LAUNCH" -n job -d "$PWD/none" touch intruder
	EXCLUSIVELOCK_ON_HELD=perhaps assert_nothing_runs perhaps "$LAUNCH" -n job touch intruder
}

@test "a command that is not there is 127, one that cannot be run 126, and the name is free afterwards" {
	run -127 "$LAUNCH" -n job no-such-command
	[[ $output == *no-such-command* ]]
	run -127 "$LAUNCH" -n job ./no-such-command
	run -127 "$LAUNCH" ./no-such-command
	run -127 "$LAUNCH" -n job -P /no/such/command
	touch file
	chmod 644 file
	run -126 "$LAUNCH" -n job ./file
	[[ $output == *file* ]]
	run -126 "$LAUNCH" ./file
	run -126 "$LAUNCH" -n job /etc
	run -126 "$LAUNCH" -n job -P ./file
	printf '\177ELFnonsense' >broken
	chmod 755 broken
	run -126 "$LAUNCH" -n job ./broken
	assert_free job
}

@test "a path that cannot be followed to its end is 126, and the message says why" {
	ln -s loop loop
	touch file
	for command in ./loop ./file/x "./$(printf 'n%.0s' {1..300})"; do
		run -126 "$LAUNCH" -n job "$command"
		[[ $output == *": cannot be run: "* ]]
		run -126 env "$command"
	done
	[[ $EUID -eq 0 ]] || {
		mkdir -m 0 closed
		run -126 "$LAUNCH" -n job ./closed/x
	}
}

@test "with a PATH that is empty a command is looked for in the current directory" {
	printf '#!/bin/sh\nexit 7\n' >mine
	chmod 755 mine
	PATH='' run -7 "$LAUNCH" -n job mine
}

@test "a script whose interpreter is not there cannot be run" {
	printf '#!/no/such/interpreter\n' >script
	chmod 755 script
	local status=0
	"$LAUNCH" -n job ./script || status=$?
	[[ $status -eq 126 || $status -eq 127 ]]
	assert_free job
}

@test "a bare interpreter without a name of its own earns a warning that names -n and -a" {
	local interpreter
	for interpreter in python3 perl bash sh /usr/bin/python3; do
		: >job
		run -0 --separate-stderr "$LAUNCH" "$interpreter" job
		[[ $stderr == *"-n"*"-a"* || $stderr == *"--name"*"--by-args"* ]] || { echo "$interpreter: $stderr"; false; }
		[[ $output == "" ]]
		run -0 --separate-stderr "$LAUNCH" -n job "$interpreter" job
		[[ $stderr == "" ]]
		run -0 --separate-stderr "$LAUNCH" -a "$interpreter" job
		[[ $stderr == "" ]]
	done
	run -0 --separate-stderr "$LAUNCH" true
	[[ $stderr == "" ]]
}

@test "so does a command that runs another one" {
	run -0 --separate-stderr "$LAUNCH" nice timeout 20 true
	[[ $stderr == "exlock-launch: all that nice runs would share its lock "*" (-n NAME gives it a name, -a makes the arguments part of the name)" ]]
	run -0 --separate-stderr "$LAUNCH" -n job nice timeout 20 true
	[[ $stderr == "" ]]
}

# Each WORD, as the name of a file in this folder that does nothing.
assert_warned_of() {
	local word
	for word; do
		cp "$(type -P true)" "$word"
		run -0 --separate-stderr "$LAUNCH" "./$word" ./job x
		[[ $stderr == "exlock-launch: all that ./$word runs would share its lock "* ]] || { echo "$word: $stderr"; return 1; }
		rm "$word"
	done
}

@test "every kind of command that runs others, or what its arguments say, earns the warning, whatever its version" {
	assert_warned_of mono dotnet wine wine64 pypy3 deno bun julia octave-7.3 pwsh fish tcsh java python3.14 ruby3.1 lua5.4 php8.2 ksh93 guile-3.0 \
		qemu-aarch64-static make npm npx uv start-stop-daemon daemonize chpst s6-setuidgid gosu su-exec doas pkexec sg runuser tini-static \
		dumb-init systemd-run systemd-cat systemd-inhibit flock setlock s6-setlock chronic watch script unbuffer screen tmux ssh docker podman \
		strace gdb valgrind fakeroot-sysv bwrap firejail parallel eatmydata faketime xvfb-run prlimit numactl setarch proxychains4 busybox toybox
}

@test "no warning is given without arguments, nor of a name that is only alike" {
	local word
	cp "$(type -P true)" python3
	run -0 --separate-stderr "$LAUNCH" ./python3
	[[ $stderr == "" ]]
	for word in pythonic makeup sshd nodes winery job.sh xsudo; do
		cp "$(type -P true)" "$word"
		run -0 --separate-stderr "$LAUNCH" "./$word" ./job x
		[[ $stderr == "" ]] || { echo "$word: $stderr"; return 1; }
	done
}

@test "a link to a program of many names earns a warning that names -n, by the program's name or by other links to it" {
	local links
	cp "$(type -P true)" busybox-static
	cp "$(type -P true)" multi
	ln -s busybox-static only
	ln -s multi alone
	links="exlock-launch: all links to $(realpath .)/"
	run -0 --separate-stderr "$LAUNCH" ./only
	[[ $stderr == "${links}busybox-static, of which ./only is one, would share its lock (-n NAME gives it a name)" ]]
	run -0 --separate-stderr "$LAUNCH" ./alone x
	[[ $stderr == "" ]]
	ln -s multi second
	run -0 --separate-stderr "$LAUNCH" ./alone x
	[[ $stderr == "${links}multi, of which ./alone is one, would share its lock (-n NAME gives it a name)" ]]
	run -0 --separate-stderr env PATH=".:$PATH" "$LAUNCH" second
	[[ $stderr == "${links}multi, of which second is one, "* ]]
	# Named, by whichever way.
	for named in "-n job" -a -q; do
		# shellcheck disable=SC2086 # options
		run -0 --separate-stderr "$LAUNCH" $named ./alone x
		[[ $stderr == "" ]]
	done
	EXCLUSIVELOCK_NAME=job run -0 --separate-stderr "$LAUNCH" ./alone x
	[[ $stderr == "" ]]
	run -0 --separate-stderr "$LAUNCH" ./multi x
	[[ $stderr == "" ]]
}

@test "no message about a file shows a byte of its name that could drive a terminal" {
	name=$(printf '\033[31m\001\177\233\nx')
	mkdir "$name"
	printf 'no program\0' >"$name/file"
	cp /bin/sh "$name/python3"
	chmod 755 "$name"/*
	run -126 "$LAUNCH" "./$name/file"
	[[ $output == 'exlock-launch: ./\033[31m\001\177\233\012x/file: '* ]]
	run -0 "$LAUNCH" "./$name/python3" -c true
	[[ $output == 'exlock-launch: all that ./\033[31m\001\177\233\012x/python3 runs '*'/\033[31m\001\177\233\012x/python3 ('* ]]
	run -125 "$LAUNCH" -d "/$name$(printf 'x%.0s' {1..4090})" true
	[[ $output == 'exlock-launch: /\033[31m\001\177\233\012x'* ]]
	run -127 "$LAUNCH" "./$name/none"
	LC_ALL=C run ! grep -q '[^ -~]' <<<"$output"
}

@test "--help fits a terminal and names every option, --version tells the version" {
	local option
	run -0 "$LAUNCH" --help
	((${#lines[@]} <= 24))
	for option in -n --name -a --by-args -d --dir -u --user -w --wait -t --timeout -f --flag -E --exit-code -q --quiet \
		-v --verbose -s --scope -P --no-preload -p --print-lockfile -h --help -V --version; do
		grep -Eq -- "(^|[ ,])$option([ ,=]|$)" <<<"$output" || { echo "no $option"; false; }
	done
	run -1 grep -E '.{81}' <<<"$output"
	[[ $("$LAUNCH" -h) == "$("$LAUNCH" --help)" ]]
	run -0 "$LAUNCH" -V
	[[ $output =~ ^exlock.*[0-9]+\.[0-9]+ && ${#lines[@]} -eq 1 ]]
	[[ $("$LAUNCH" --version) == "$output" ]]
}

@test "a missing library: nothing runs, 125" {
	private_launcher
	rm "$OPEN/libexlock.so"
	assert_nothing_runs "$OPEN/libexlock.so" "$OPEN/exlock-launch" -n job touch intruder
	assert_nothing_runs "$OPEN/libexlock.so" "$OPEN/exlock-launch" -P -n job touch intruder
}

@test "a library that is none, is cut off, or is for another machine: nothing runs, 125" {
	private_launcher
	echo "not a library" >"$OPEN/libexlock.so"
	assert_nothing_runs libexlock.so "$OPEN/exlock-launch" -n job touch intruder
	: >"$OPEN/libexlock.so"
	assert_nothing_runs libexlock.so "$OPEN/exlock-launch" -n job touch intruder
	head -c 1000 "$SHIM" >"$OPEN/libexlock.so"
	assert_nothing_runs libexlock.so "$OPEN/exlock-launch" -n job touch intruder
	cp "$SHIM" "$OPEN/libexlock.so"
	# e_machine in the ELF header: none that exists.
	printf '\376\376' | dd of="$OPEN/libexlock.so" bs=1 seek=18 conv=notrunc status=none
	assert_nothing_runs libexlock.so "$OPEN/exlock-launch" -n job touch intruder
	assert_nothing_runs libexlock.so "$OPEN/exlock-launch" -P -n job touch intruder
}

@test "a library that is another one: nothing runs, 125" {
	private_launcher
	echo 'int nothing;' >empty.c
	cc -shared -fPIC -o "$OPEN/libexlock.so" empty.c
	assert_nothing_runs libexlock.so "$OPEN/exlock-launch" -n job touch intruder
}

@test "an unreadable library: nothing runs, 125" {
	private_launcher
	chmod 000 "$OPEN/libexlock.so"
	if [[ $EUID -eq 0 ]]; then
		mkdir "$OPEN/locks"
		chmod 1777 "$OPEN/locks"
		assert_nothing_runs libexlock.so setpriv --reuid=65534 --regid=65534 --clear-groups \
			"$OPEN/exlock-launch" -n job -d "$OPEN/locks" touch "$OPEN/locks/intruder"
		file_is_gone "$OPEN/locks/intruder"
	else
		assert_nothing_runs libexlock.so "$OPEN/exlock-launch" -n job touch intruder
	fi
}

@test "no lock file is printed without a command or a name, nor for a directory with a path that is too long" {
	assert_nothing_runs "no command given" "$LAUNCH" -p
	assert_nothing_runs "too long" "$LAUNCH" -p -n job -d "/$(printf '%04090d' 0)"
}
