#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Who is refused, in which words and with which status, and who is not.

# shellcheck disable=SC2030,SC2031,SC2153,SC2154 # every test is a subshell; run sets $stderr

load test_helper

setup() {
	clean_environment
	export EXCLUSIVELOCK_NAME=job
	LOCK=$(lock_file job)
}

teardown() {
	end_processes
}

process_is_zombie() { grep -q '^State:.Z' "/proc/$1/status"; }

# Sets OTHER to the PID of an unguarded process that lives on.
start_other() {
	sleep 1000 3>&- &
	OTHER=$!
	ENDLATER+=("$OTHER")
}

# A guarded program must be refused before it could say a word.
refused() {
	run --separate-stderr -1 guarded "$HELPERS/stages"
	[[ $output == "" ]] || { echo "it ran: $output"; return 1; }
}

# A guarded program must start, and run to its end.
starts() {
	run -0 timeout 20 env LD_PRELOAD="$SHIM" "$HELPERS/stages"
	[[ $output == constructor*destructor* ]] || { echo "it did not run: $output"; return 1; }
}

@test "a second start is refused with the holder's PID and status 1, and none of its code runs" {
	start_holder "$HELPERS/hold"
	refused
	[[ $stderr == "$(refusal job "$HOLDER")" ]]
	# The holder is not disturbed: refused again, in the same words, and alive.
	refused
	[[ $stderr == "$(refusal job "$HOLDER")" ]]
	kill -0 "$HOLDER"
}

@test "the sentence is one line that ends in a newline" {
	start_holder "$HELPERS/hold"
	guarded "$HELPERS/stages" 2>"$BATS_TEST_TMPDIR/words" || :
	printf 'Another %s process is already running (pid %d).\n' "'job'" "$HOLDER" >"$BATS_TEST_TMPDIR/expected"
	cmp "$BATS_TEST_TMPDIR/expected" "$BATS_TEST_TMPDIR/words"
}

@test "EXCLUSIVELOCK_EXIT_CODE is the status of a refused start" {
	start_holder "$HELPERS/hold"
	for code in 0 1 75 255; do
		EXCLUSIVELOCK_EXIT_CODE=$code run --separate-stderr "-$code" guarded "$HELPERS/stages"
		[[ $output == "" ]]
		[[ $stderr == "$(refusal job "$HOLDER")" ]]
	done
}

@test "EXCLUSIVELOCK_QUIET=1 refuses without a word, with the same status" {
	start_holder "$HELPERS/hold"
	EXCLUSIVELOCK_QUIET=1 refused
	[[ $stderr == "" ]]
	EXCLUSIVELOCK_QUIET=0 refused
	[[ $stderr == "$(refusal job "$HOLDER")" ]]
}

@test "after a normal end the lock file is gone and the next start succeeds" {
	start_holder "$HELPERS/hold"
	file_is_there "$LOCK"
	kill -TERM "$HOLDER"
	wait "$HOLDER"
	file_is_gone "$LOCK"
	starts
	[[ -z $(ls -A "$LOCKS") ]]
}

@test "when the holder is killed by SIGKILL, the next start succeeds at once" {
	for _ in {1..10}; do
		start_holder "$HELPERS/hold"
		refused
		kill -KILL "$HOLDER"
		wait "$HOLDER" || :
		starts
	done
}

@test "a holder that is a zombie does not block" {
	bash -c '"$@" & exec sleep 1000' bash env LD_PRELOAD="$SHIM" "$HELPERS/hold" >"$BATS_TEST_TMPDIR/out" 3>&- &
	ENDLATER+=("$!")
	poll grep -q ready "$BATS_TEST_TMPDIR/out"
	read -r _ zombie <"$BATS_TEST_TMPDIR/out"
	refused
	kill -KILL "$zombie"
	poll process_is_zombie "$zombie"
	starts
	# Nor does it when its PID was recorded by a peer, without a stamp.
	printf '%d' "$zombie" >"$LOCK"
	starts
}

@test "a holder whose main thread has ended while another thread runs still blocks" {
	start_holder "$HELPERS/leaderless"
	refused
	[[ $stderr == "$(refusal job "$HOLDER")" ]]
}

@test "a process whose main thread has ended counts as alive when a peer recorded it" {
	"$HELPERS/leaderless" >"$BATS_TEST_TMPDIR/out" 3>&- &
	OTHER=$!
	ENDLATER+=("$OTHER")
	poll grep -q ready "$BATS_TEST_TMPDIR/out"
	printf '%d' "$OTHER" >"$LOCK"
	refused
	[[ $stderr == *"(pid $OTHER)."* ]]
}

@test "a left-over PID that belongs to another process by now does not block" {
	start_other
	printf '%d\n' "$OTHER" >"$LOCK"
	touch -d "@1700000000.$(stamp_of "$OTHER" 1)" "$LOCK"
	starts
}

@test "a stamped PID whose process started at just that time blocks" {
	start_other
	printf '%d\n' "$OTHER" >"$LOCK"
	touch -d "@1700000000.$(stamp_of "$OTHER")" "$LOCK"
	refused
	[[ $stderr == "$(refusal job "$OTHER")" ]]
	[[ $(<"$LOCK") == "$OTHER" ]]
}

@test "a PID without a stamp blocks as long as such a process lives" {
	start_other
	printf '%d' "$OTHER" >"$LOCK"
	refused
	[[ $stderr == "$(refusal job "$OTHER")" ]]
	kill -KILL "$OTHER"
	wait "$OTHER" || :
	starts
}

@test "a lock file that names no process does not block" {
	# kill(2) would answer "alive" for 0, for -1, and for what is a living process' PID when it wraps around.
	start_other
	for content in '' 0 -1 -2 $((4294967296 + OTHER)) "184467440737$(printf %08d $((9551616 + OTHER)))" "0x$OTHER" "x$OTHER" \
		"$OTHER.5" 999999999999999999999 nonsense "$(seq 5000)" $'\n'; do
		printf '%s' "$content" >"$LOCK"
		starts || { printf 'content %q\n' "$content"; false; }
	done
}

@test "starts one after the other are never refused while monitors read the holders' memory maps" {
	run -0 timeout 300 "$HELPERS/monitored" exit 60 "$SHIM"
}

@test "starts after SIGKILLed holders are never refused while monitors read the holders' memory maps" {
	run -0 timeout 300 "$HELPERS/monitored" kill 60 "$SHIM"
}

@test "the status of a refused start does not depend on where its standard error goes" {
	start_holder "$HELPERS/hold"
	export EXCLUSIVELOCK_EXIT_CODE=75
	# (A redirection of `run` itself would not reach the program.)
	for redirection in '2>&-' '2>/dev/full' '0<&- 1>&- 2>&-' '2</dev/null'; do
		run -75 sh -c "exec \"\$@\" $redirection" sh env LD_PRELOAD="$SHIM" "$HELPERS/stages"
		[[ $output == "" ]] || { echo "$redirection: $output"; false; }
	done
	for kind in closed-pipe full-pipe full-terminal; do
		run -75 timeout 20 "$HELPERS/stderr_is" "$kind" env LD_PRELOAD="$SHIM" "$HELPERS/stages"
		[[ $output == "" ]] || { echo "$kind: $output"; false; }
	done
}

@test "the status of a refused start does not depend on how much of a long message its terminal takes" {
	EXCLUSIVELOCK_NAME=$(printf 'long%.0s' {1..1000})
	start_holder "$HELPERS/hold"
	run -1 timeout 20 "$HELPERS/stderr_is" almost-full-terminal env LD_PRELOAD="$SHIM" "$HELPERS/stages"
	[[ $output == "" ]]
}

@test "log lines for a standard error that nobody reads neither kill nor stop the program" {
	export EXCLUSIVELOCK_LOG=stderr
	for kind in closed-pipe full-pipe full-terminal; do
		run -7 timeout 20 "$HELPERS/stderr_is" "$kind" env LD_PRELOAD="$SHIM" "$HELPERS/stages" 7
		[[ $output == constructor*destructor* ]] || { echo "$kind: $output"; false; }
	done
}

@test "no name can drive the reader's terminal" {
	EXCLUSIVELOCK_NAME=$(printf 'a\033[2Jb\nc\td\a\r\177\233') start_holder "$HELPERS/hold"
	EXCLUSIVELOCK_NAME=$(printf 'a\033[2Jb\nc\td\a\r\177\233') guarded "$HELPERS/stages" 2>"$BATS_TEST_TMPDIR/words" || :
	[[ $(wc -l <"$BATS_TEST_TMPDIR/words") == 1 ]]
	LC_ALL=C run -1 grep -q '[^ -~]' "$BATS_TEST_TMPDIR/words"
	grep -q "^$(refusal 'a.*2Jb.*c.*d.*' "$HOLDER")$" "$BATS_TEST_TMPDIR/words"
}

@test "signals of the program's own that were blocked and pending stay, and our words add no SIGPIPE" {
	local pending plain
	blocked_with() {
		"$HELPERS/stderr_is" closed-pipe env LD_PRELOAD="$1" EXCLUSIVELOCK_LOG=stderr /usr/bin/python3 -c 'import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGPIPE, signal.SIGXFSZ])
if sys.argv[1] == "1":
    os.kill(os.getpid(), signal.SIGPIPE)
    os.kill(os.getpid(), signal.SIGXFSZ)
os.environ["EXCLUSIVELOCK_NAME"] = "inner"
os.execvp("grep", ["grep", sys.argv[2], "/proc/self/status"])' "$2" "$3"
	}
	for pending in 0 1; do
		plain=$(blocked_with "" "$pending" ShdPnd)
		[[ $plain == *0"${pending}00${pending}000" && $(blocked_with "$SHIM" "$pending" ShdPnd) == "$plain" ]]
	done
	# One that comes of writing would be the thread's.
	[[ $(blocked_with "$SHIM" 0 SigPnd) == *0000 ]]
}
