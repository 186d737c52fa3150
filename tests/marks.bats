# SPDX-License-Identifier: MIT
# The marks that tell a program, and its descendants, whose lock it has; no mark from elsewhere disables a lock.

# shellcheck disable=SC2016,SC2030,SC2031 # every test is a subshell; $ is for the shell inside
load test_helper

setup() {
	clean_environment
	cd "$BATS_TEST_TMPDIR" || return
}
teardown() { end_processes; }

named() {
	local name=$1
	shift
	env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME="$name" "$@"
}

@test "a program sees its own PID, its lock file and its instance, once each" {
	run -0 named one sh -c 'echo $$; printenv EXCLUSIVELOCK_PID EXCLUSIVELOCK_LOCKFILE; printenv EXCLUSIVELOCK_INSTANCE;
		env | grep -c "^EXCLUSIVELOCK_\(PID\|LOCKFILE\|INSTANCE\)="'
	[[ ${#lines[@]} -eq 5 ]]
	[[ ${lines[1]} == "${lines[0]}" ]]
	[[ ${lines[2]} == "$(lock_file one)" ]]
	[[ -n ${lines[3]} ]]
	[[ ${lines[4]} -eq 3 ]]
}

@test "two runs of a program are different instances" {
	local first
	first=$(named one printenv EXCLUSIVELOCK_INSTANCE)
	[[ $(named one printenv EXCLUSIVELOCK_INSTANCE) != "$first" ]]
}

# With these marks in its environment a start is refused like any other.
assert_refused_with() {
	run -1 env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=one "$@" touch intruder
	[[ $output == "$(refusal one "$HOLDER")" ]]
	file_is_gone intruder
}

@test "a forged mark does not let a second program in" {
	start_holder EXCLUSIVELOCK_NAME=one "$HELPERS/hold"
	assert_refused_with EXCLUSIVELOCK_PID=1
	assert_refused_with EXCLUSIVELOCK_PID="$HOLDER"
	assert_refused_with EXCLUSIVELOCK_INSTANCE=garbage
	assert_refused_with EXCLUSIVELOCK_INSTANCE=1
	assert_refused_with EXCLUSIVELOCK_INSTANCE="$HOLDER"
	assert_refused_with EXCLUSIVELOCK_INSTANCE=1.1.1
	assert_refused_with EXCLUSIVELOCK_INSTANCE="$HOLDER.1.$(stat -c %i "$(lock_file one)")"
	assert_refused_with EXCLUSIVELOCK_INSTANCE="$(printf '9%.0s' {1..5000})"
	assert_refused_with EXCLUSIVELOCK_LOCKFILE=/nowhere EXCLUSIVELOCK_HELD=1 EXCLUSIVELOCK_HOLDER=1
	assert_refused_with EXCLUSIVELOCK_PID="$HOLDER" EXCLUSIVELOCK_LOCKFILE="$(lock_file one)"
	assert_refused_with EXCLUSIVELOCK_PID="$HOLDER" EXCLUSIVELOCK_LOCKFILE="$(lock_file one)" EXCLUSIVELOCK_INSTANCE=1.2.3
}

@test "the marks of an instance that has ended do not let a second program in" {
	local marks
	mapfile -t marks < <(named one env | grep '^EXCLUSIVELOCK_\(PID\|LOCKFILE\|INSTANCE\)=')
	[[ ${#marks[@]} -eq 3 ]]
	start_holder EXCLUSIVELOCK_NAME=one "$HELPERS/hold"
	assert_refused_with "${marks[@]}"
}

@test "the marks of a killed instance do not let a second program in while flock(1) has the file" {
	local marks
	start_holder EXCLUSIVELOCK_NAME=one sh -c 'env >marks; exec "$0"' "$HELPERS/hold"
	mapfile -t marks < <(grep '^EXCLUSIVELOCK_\(PID\|LOCKFILE\|INSTANCE\)=' marks)
	[[ ${#marks[@]} -eq 3 ]]
	kill -KILL "$HOLDER"
	poll process_has_ended "$HOLDER"
	mkfifo held
	flock --nonblock --no-fork "$(lock_file one)" sh -c 'echo in >held; exec sleep 100' 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	read -r <held
	assert_refused_with "${marks[@]}"
}

@test "the marks of another name's living instance do not let a second program in" {
	local marks
	start_holder EXCLUSIVELOCK_NAME=two sh -c 'env >marks; exec "$0"' "$HELPERS/hold"
	mapfile -t marks < <(grep '^EXCLUSIVELOCK_\(PID\|LOCKFILE\|INSTANCE\)=' marks)
	[[ ${#marks[@]} -eq 3 ]]
	start_holder EXCLUSIVELOCK_NAME=one "$HELPERS/hold"
	assert_refused_with "${marks[@]}"
}

@test "a program that starts with forged or old marks is guarded and sees its own" {
	local old
	touch elsewhere
	old=$(named one printenv EXCLUSIVELOCK_INSTANCE)
	for old in "$old" garbage 1.1.1; do
		start_holder EXCLUSIVELOCK_NAME=one EXCLUSIVELOCK_PID=1 EXCLUSIVELOCK_INSTANCE="$old" \
			EXCLUSIVELOCK_LOCKFILE="$PWD/elsewhere" sh -c 'env >marks; exec "$0"' "$HELPERS/hold"
		assert_refused one "$HOLDER"
		grep -qx "EXCLUSIVELOCK_PID=$HOLDER" marks
		grep -qx "EXCLUSIVELOCK_LOCKFILE=$(lock_file one)" marks
		run -1 grep -x "EXCLUSIVELOCK_INSTANCE=$old" marks
		[[ $(grep -c '^EXCLUSIVELOCK_\(PID\|LOCKFILE\|INSTANCE\)=' marks) -eq 3 ]]
		[[ ! -s elsewhere ]]
		kill -TERM "$HOLDER"
		wait "$HOLDER"
		file_is_there elsewhere
	done
}

@test "the marks do not survive as a descendant's when the program asks for another name" {
	start_holder EXCLUSIVELOCK_NAME=one sh -c \
		'echo $$ >outer; EXCLUSIVELOCK_NAME=two "$0"; exit' "$HELPERS/hold"
	local inner
	inner=$(cut -d ' ' -f 2 holder.out)
	ENDLATER+=("$inner")
	[[ $inner != "$(<outer)" ]]
	assert_refused one "$(<outer)"
	assert_refused two "$inner"
	kill -TERM "$inner"
	wait "$HOLDER"
	assert_free one
	assert_free two
}

@test "a program locked as B inside one locked as A is refused when B is held" {
	start_holder EXCLUSIVELOCK_NAME=B "$HELPERS/hold"
	run -42 named A sh -c 'EXCLUSIVELOCK_NAME=B EXCLUSIVELOCK_EXIT_CODE=42 touch intruder; exit'
	[[ $output == "$(refusal B "$HOLDER")" ]]
	file_is_gone intruder
}

@test "a program locked as B inside one locked as A sees the marks of B" {
	run -0 named A sh -c 'EXCLUSIVELOCK_NAME=B sh -c "echo \$\$; printenv EXCLUSIVELOCK_PID EXCLUSIVELOCK_LOCKFILE"; exit'
	[[ ${lines[1]} == "${lines[0]}" ]]
	[[ ${lines[2]} == "$(lock_file B)" ]]
}

@test "a mark that has room in the first environment is rewritten there" {
	local room
	room=$(printf 'x%.0s' {1..4096})
	run -0 named one EXCLUSIVELOCK_PID="$room" EXCLUSIVELOCK_LOCKFILE="$room" EXCLUSIVELOCK_INSTANCE="$room" \
		/usr/bin/python3 -c 'import os
seen = [line.split("=", 1) for line in open("/proc/self/environ").read().split("\0") if "=" in line]
names = ("EXCLUSIVELOCK_PID", "EXCLUSIVELOCK_LOCKFILE", "EXCLUSIVELOCK_INSTANCE")
assert sorted(name for name, value in seen if name in names) == sorted(names), seen
for name in names:
    assert dict(seen)[name] == os.environ[name], name
assert os.environ["EXCLUSIVELOCK_PID"] == str(os.getpid())
print(os.environ["EXCLUSIVELOCK_LOCKFILE"])'
	[[ $output == "$(lock_file one)" ]]
}

@test "a mark that has no room in the first environment is right all the same" {
	run -0 named one EXCLUSIVELOCK_PID= EXCLUSIVELOCK_LOCKFILE=/ EXCLUSIVELOCK_INSTANCE=x sh -c \
		'echo $$; printenv EXCLUSIVELOCK_PID EXCLUSIVELOCK_LOCKFILE'
	[[ ${lines[1]} == "${lines[0]}" ]]
	[[ ${lines[2]} == "$(lock_file one)" ]]
}

@test "a living instance's mark with a relative path, or that of something that is no lock file, does not let a second program in" {
	local mark path
	start_holder EXCLUSIVELOCK_NAME=one sh -c 'env >marks; exec "$0"' "$HELPERS/hold"
	mark=$(grep '^EXCLUSIVELOCK_INSTANCE=' marks)
	start_holder "$HELPERS/hold"
	for path in relative "${LOCK_PREFIX}one.lock" /nowhere/else /; do
		run -1 env --chdir="$LOCKS" LD_PRELOAD="$SHIM" "$mark" EXCLUSIVELOCK_LOCKFILE="$path" "$HELPERS/hold"
		[[ $output == "$(refusal "$HELPERS/hold" "$HOLDER")" ]]
	done
}
