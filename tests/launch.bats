# SPDX-License-Identifier: MIT
# exlock-launch: its options, its statuses, and that it starts nothing which is not locked.

# shellcheck disable=SC2016,SC2030,SC2031 # every test is a subshell; $ is for the shell inside
load test_helper

setup() {
	clean_environment
	cd "$BATS_TEST_TMPDIR" || return
}
teardown() { end_processes; }

# Starts COMMAND under the launcher, waits until it is ready; sets HOLDER.
start_launched() {
	: >holder.out
	"$LAUNCH" "$@" >holder.out 2>holder.err 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	poll grep -q ready holder.out
}

@test "the command is exclusive, and the launcher has become it" {
	start_launched -n job "$HELPERS/hold"
	[[ $(<holder.out) == "ready $HOLDER" && ! -s holder.err ]]
	[[ -z $(<"/proc/$HOLDER/task/$HOLDER/children") ]]
	run -1 "$LAUNCH" -n job touch intruder
	[[ $output == "$(refusal job "$HOLDER")" ]]
	file_is_gone intruder
	assert_refused job "$HOLDER"
	kill -TERM "$HOLDER"
	wait "$HOLDER"
	assert_free job
	run -0 "$LAUNCH" -n job true
}

@test "the command's arguments arrive as they are" {
	local arguments=('two words' $'two\nlines\n' '*' '' "it's" '"' "\\" "\$HOME" '-n' '--' '--help' '`id`')
	"$LAUNCH" -n job printf '%s\0' "${arguments[@]}" >seen
	printf '%s\0' "${arguments[@]}" | cmp - seen
}

@test "the command's exit status is the launcher's" {
	run -0 "$LAUNCH" -n job true
	run -42 "$LAUNCH" -n job sh -c 'exit 42'
	run -143 "$LAUNCH" -n job sh -c 'kill -TERM $$'
}

@test "the command has the launcher's standard input, working directory and environment" {
	run -0 env SOME='va lue' "$LAUNCH" -n job sh -c 'cat; pwd; echo "$SOME"' <<<input
	[[ $output == $'input\n'"$PWD"$'\nva lue' ]]
}

# Each way of writing an option sets the variable.
assert_sets() {
	local expected=$1 form
	shift
	for form in "$@"; do
		eval "run -0 \"\$LAUNCH\" $form env"
		grep -qx "EXCLUSIVELOCK_$expected" <<<"$output" || { echo "$form: no $expected"; false; }
	done
}

@test "every option has a short form and a long one, with its value apart or attached" {
	assert_sets NAME=job '-n job' '-njob' '--name job' '--name=job'
	assert_sets NAME='two words' '-n "two words"' '"-ntwo words"' '--name "two words"' '"--name=two words"'
	assert_sets BY=args '-a' '--by-args'
	mkdir other
	assert_sets DIR="$PWD/other" "-d '$PWD/other'" "-d'$PWD/other'" "--dir '$PWD/other'" "--dir='$PWD/other'"
	assert_sets ON_HELD=wait '-w' '--wait' '-t 5' '--timeout=5'
	assert_sets TIMEOUT=2.5 '-t 2.5' '-t2.5' '--timeout 2.5' '--timeout=2.5'
	assert_sets ON_HELD=flag '-f' '--flag'
	assert_sets EXIT_CODE=75 '-E 75' '-E75' '--exit-code 75' '--exit-code=75'
	assert_sets QUIET=1 '-q' '--quiet'
	assert_sets LOG=stderr '-v' '--verbose'
	assert_sets SCOPE=tree '-s tree' '-stree' '--scope tree' '--scope=tree'
}

@test "short options can be written together, the last one with a value" {
	assert_sets QUIET=1 '-qan job' '-qanjob' '-aqwE75'
	assert_sets NAME=job '-qan job' '-qanjob'
	assert_sets BY=args '-qan job' '-aqwE75'
	assert_sets EXIT_CODE=75 '-aqwE75'
}

@test "options end at the command and at --" {
	run -0 "$LAUNCH" -n job -- echo -n -q --help
	[[ $output == "-q --help" ]]
	run -0 "$LAUNCH" -n job echo --version -- -x
	[[ $output == "--version -- -x" ]]
	run -127 "$LAUNCH" -n job -- -q
}

@test "--quiet, --exit-code, --timeout and --flag decide what a second start does" {
	start_launched -n job "$HELPERS/hold"
	run -75 "$LAUNCH" -n job -q -E 75 touch intruder
	[[ $output == "" ]]
	run -1 timeout 20 "$LAUNCH" -n job -t 0.2 touch intruder
	[[ $output == "$(refusal job "$HOLDER")" ]]
	file_is_gone intruder
	run -0 "$LAUNCH" -n job -f printenv EXCLUSIVELOCK_HELD EXCLUSIVELOCK_HOLDER
	[[ $output == $'1\n'"$HOLDER" ]]
	# A reader of the first environment is told, too.
	run -0 "$LAUNCH" -n job -f grep -z -o -a -E '^EXCLUSIVELOCK_(HELD=1|HOLDER=.*)$' /proc/self/environ
	tr '\0' '\n' <<<"$output" >seen
	[[ $output == *HELD=1* && $output == *"HOLDER=$HOLDER"* ]]
}

@test "--wait waits for its turn, --verbose says when the lock was taken and given back" {
	start_launched -n job "$HELPERS/hold"
	# Not a program of coreutils: these close standard error before the lock is given back.
	"$LAUNCH" -n job -w -v "$HELPERS/oracle" entered in 2>log 3>&- &
	WAITER=$!
	ENDLATER+=("$WAITER")
	kill -TERM "$HOLDER"
	wait "$WAITER"
	[[ $(<entered) == in ]]
	grep -q "Acquired lock at $(lock_file job)\.\.\." log
	grep -q "Released lock at $(lock_file job)\.\.\." log
}

@test "--scope tree holds the lock until the command's child has ended" {
	"$LAUNCH" -n job -s tree sh -c '"$0" >child 3>&- & exit' "$HELPERS/hold"
	poll grep -q ready child
	ENDLATER+=("$(cut -d ' ' -f 2 child)")
	assert_refused job "${ENDLATER[0]}"
}

@test "--no-preload starts the command without the library, and it is exclusive" {
	run -0 "$LAUNCH" -n job -P sh -c 'echo "$LD_PRELOAD"; grep -c libexlock /proc/self/maps; exit 0'
	[[ $output == $'\n0' ]]
	start_launched --no-preload -n job "$HELPERS/hold"
	assert_refused job "$HOLDER"
	kill -TERM "$HOLDER"
	wait "$HOLDER"
	assert_free job
}

@test "--print-lockfile prints the path, and runs nothing" {
	run -0 "$LAUNCH" -n 'two words/' -p touch intruder
	[[ $output == "$(lock_file 'two words/')" ]]
	run -0 "$LAUNCH" --print-lockfile "$HELPERS/hold"
	[[ $output == "$(lock_file "$(realpath "$HELPERS/hold")")" ]]
	run -0 "$LAUNCH" -pa /bin/echo one 'two three'
	[[ $output == "$(lock_file "$(realpath /bin/echo) one two\\ three")" ]]
	file_is_gone intruder
	[[ -z $(ls "$LOCKS") ]]
}

@test "a derived name is the one that the library derives: they exclude one another" {
	cp "$HELPERS/hold" tool
	printf '#!/bin/sh\nexec "%s"\n' "$HELPERS/hold" >script
	chmod 755 script
	ln -s tool link
	PATH=$PWD:$PATH
	local start
	for start in ./tool "$PWD/tool" tool link ./script script; do
		start_launched "$start"
		run -1 env LD_PRELOAD="$SHIM" "$start"
		[[ $output == "$(refusal "$PWD/${start##*/}" "$HOLDER")" ||
			$output == "$(refusal "$PWD/tool" "$HOLDER")" ]]
		kill -KILL "$HOLDER"
		wait "$HOLDER" || :
		start_holder "$start"
		run -1 "$LAUNCH" "$start"
		[[ $output == $(refusal '*' "$HOLDER") ]]
		kill -KILL "$HOLDER"
		wait "$HOLDER" || :
	done
}

@test "a command whose name ends as the kernel shows a deleted file's has that name for its lock" {
	cp "$HELPERS/hold" "tool (deleted)"
	start_launched "$PWD/tool (deleted)"
	assert_refused "$PWD/tool (deleted)" "$HOLDER"
}

@test "an own LD_PRELOAD is kept, after ours" {
	run -0 env LD_PRELOAD=libm.so.6:libdl.so.2 "$LAUNCH" -n job printenv LD_PRELOAD
	[[ $output == "$SHIM:libm.so.6:libdl.so.2" ]]
	run -0 env LD_PRELOAD=libm.so.6 "$LAUNCH" -n job -P printenv LD_PRELOAD
	[[ $output == libm.so.6 ]]
}

@test "launchers nest: the command holds both names" {
	start_launched -n A "$LAUNCH" -n B "$HELPERS/hold"
	[[ $(<holder.out) == "ready $HOLDER" ]]
	assert_refused A "$HOLDER"
	assert_refused B "$HOLDER"
	run -1 "$LAUNCH" -n C "$LAUNCH" -n B touch intruder
	[[ $output == "$(refusal B "$HOLDER")" ]]
	file_is_gone intruder
	assert_free C
}

@test "an inner launcher without a name has a lock of its own, not the outer one's" {
	start_launched -n A "$LAUNCH" "$HELPERS/hold"
	[[ $(<holder.out) == "ready $HOLDER" ]]
	assert_refused A "$HOLDER"
	assert_refused "$(realpath "$HELPERS/hold")" "$HOLDER"
}

@test "a launcher inside a guarded program's child locks its own name" {
	start_holder EXCLUSIVELOCK_NAME=A sh -c '"$0" -n B "$1"; exit' "$LAUNCH" "$HELPERS/hold"
	local inner
	inner=$(cut -d ' ' -f 2 holder.out)
	ENDLATER+=("$inner")
	assert_refused A "$HOLDER"
	assert_refused B "$inner"
}

@test "the command sees every variable, also one whose name no shell could have" {
	run -0 env 'a.b=as it was' "$LAUNCH" -n job printenv a.b
	[[ $output == "as it was" ]]
}
