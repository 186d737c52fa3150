# SPDX-License-Identifier: MIT
# exlockctl: what it says of locks in every state, to people and to programs, and that looking changes nothing.

# shellcheck disable=SC2030,SC2031 # every test is a subshell

load test_helper

setup() {
	clean_environment
	CTL=$BUILD/exlockctl
	[[ -x $CTL ]] || skip "exlockctl was not built: no jansson"
	ENDLATER=()
}

teardown() {
	end_processes
}

# hold NAME COMMAND...: starts COMMAND in the background and waits until exlockctl says that NAME is held.
hold() {
	local name=$1
	shift
	"$@" >/dev/null 2>&1 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	poll "$CTL" status "$name" >/dev/null
}

# Prints FIELD of NAME as JSON has it.
field() {
	"$CTL" --json status "$1" | /usr/bin/python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$2"
}

@test "a guarded program is held, with its PID, its user and its command" {
	hold nightly env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=nightly "$HELPERS/hold"
	run -0 "$CTL" status nightly
	[[ $output == "nightly: held by pid $HOLDER of $(id -un) since "*": $HELPERS/hold" ]]
	[[ $(field nightly state) == held && $(field nightly pid) == "$HOLDER" && $(field nightly user) == "$(id -un)" ]]
}

@test "a daemon whose recorded parent has ended is held by the daemon" {
	guarded EXCLUSIVELOCK_NAME=d "$HELPERS/daemonize" single exit_group "$BATS_TEST_TMPDIR/pid" 3>&-
	poll file_has_content "$BATS_TEST_TMPDIR/pid"
	ENDLATER+=("$(<"$BATS_TEST_TMPDIR/pid")")
	[[ $(field d state) == held && $(field d pid) == "$(<"$BATS_TEST_TMPDIR/pid")" ]]
}

@test "a Python program and a static one without the descriptor are held by their PID alone" {
	hold python /usr/bin/python3 "$BATS_TEST_DIRNAME/peers/exclusive.py" python
	[[ $(field python state) == held-by-pid && $(field python pid) == "$HOLDER" ]]
	hold static "$LAUNCH" --close -n static "$HELPERS/hold-static"
	[[ $(field static state) == held-by-pid && $(field static pid) == "$HOLDER" ]]
	run -0 "$CTL" status static
	[[ $output == "static: held, by its PID alone, by pid $HOLDER "* ]]
}

@test "flock(1) on the lock file is held" {
	hold f flock --no-fork "$(lock_file f)" "$HELPERS/hold"
	[[ $(field f state) == held ]]
}

@test "a name without a file is free, and so is one with a stale file, which names who left it" {
	run -1 "$CTL" status nobody
	[[ $output == "nobody: free" ]]
	printf '2147483647\n' >"$(lock_file stale)"
	run -1 "$CTL" status stale
	[[ $output == "stale: free (left behind by pid 2147483647, which has ended)" ]]
	[[ $(field stale held) == False ]]
}

@test "content that is no PID is called malformed, an empty file starting" {
	echo rubbish >"$(lock_file m)"
	: >"$(lock_file e)"
	run -1 "$CTL" status m
	[[ $output == *malformed* ]]
	[[ $(field m state) == malformed && $(field e state) == starting ]]
	run -1 "$CTL" status e
	[[ $output == "e: free (the lock file is empty: "* ]]
	run -0 "$CTL" --json list
	[[ $output == "["*'"state": "starting"'*'"state": "malformed"'*"]" ]]
}

@test "a file that may not be read says why, 125" {
	[[ $EUID -eq 0 ]] || skip "needs root"
	make_public_place
	cp "$CTL" "$PLACE"
	: >"$(lock_file secret)"
	chmod 600 "$(lock_file secret)"
	run -125 as_user "$PLACE/exlockctl" status secret
	[[ $output == "secret: "*": Permission denied" ]]
	run -125 as_user "$PLACE/exlockctl" wait secret
	[[ $output == "exlockctl: "*": Permission denied" ]]
	run -0 as_user "$PLACE/exlockctl" --names list
	[[ $output == secret ]]
	remove_public_place
}

@test "list shows every lock file once, aligned, and nothing else" {
	hold one env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=one "$HELPERS/hold"
	printf '2147483647\n' >"$(lock_file "a longer name")"
	: >"$LOCKS/another.lock"
	run -0 "$CTL" list
	((${#lines[@]} == 3))
	[[ ${lines[0]} == "NAME           STATE  "*"PID  USER"*"SINCE  "*"  COMMAND" ]]
	[[ ${lines[1]} == "a longer name  stale  "* ]]
	[[ ${lines[2]} == "one            held   "*"$HOLDER  $(id -un) "*"  $HELPERS/hold" ]]
}

@test "in an empty directory list prints the head alone, and --json an empty list" {
	run -0 "$CTL" list
	((${#lines[@]} == 1))
	[[ $("$CTL" --json list) == "[]" ]]
}

@test "names come back from file names as they were, cut ones and control characters visibly" {
	local long
	long=$(printf 'x%.0s' {1..300})
	printf '1\n' >"$("$CTL" path $'a b/\e[31m\n%+')"
	printf '1\n' >"$("$CTL" path "$long")"
	run -0 "$CTL" list
	[[ $output == *'a b/\033[31m\012%+  '* && $output == *"${long:0:100}"*"...  "* && $output != *$'\e'* ]]
}

@test "--names shows names that the user's locale can print, and none that could drive a terminal" {
	local name control=($'\e[31m' $'\x9b31m' $'a\xc2\x9b31m' $'\xc2\x85' $'\x7f' $'two\nlines' $'\r' $'\xff' $'\xc3' $'\xe2\x82' $'\x8d')
	for name in plain "with blanks" $'caf\xc3\xa9' $'\xe2\x82\xac' "${control[@]}"; do printf '1\n' >"$("$CTL" path "$name")"; done
	run -0 env LC_ALL=C.UTF-8 "$CTL" -1 list
	[[ $output == $'\xe2\x82\xac\ncaf\xc3\xa9\nplain\nwith blanks' ]] || { printf '%q\n' "$output"; false; }
	run -0 env LC_ALL=C "$CTL" --names list
	[[ $output == $'plain\nwith blanks' ]] || { printf '%q\n' "$output"; false; }
	# The user's locale is not that of what else is said.
	LC_ALL=C.UTF-8 "$CTL" list >"$BATS_TEST_TMPDIR/table"
	[[ $(wc -l <"$BATS_TEST_TMPDIR/table") == 16 ]]
	LC_ALL=C run -1 grep '[^ -~]' "$BATS_TEST_TMPDIR/table"
}

# Runs COMMAND in two locales: whatever it says is printable ASCII, and it says something.
assert_printable() {
	local locale
	for locale in C C.UTF-8; do
		LC_ALL=$locale timeout 20 "$@" >"$BATS_TEST_TMPDIR/said" 2>&1 || :
		file_has_content "$BATS_TEST_TMPDIR/said" || { echo "nothing: $*"; return 1; }
		! LC_ALL=C grep '[^ -~]' "$BATS_TEST_TMPDIR/said" || { printf '%q ' "$@"; return 1; }
	done
}

@test "no message shows a byte that could drive a terminal, wherever that comes from" {
	local evil=$'\e[31m\x9b31m\xc2\x9b31m\xff\x7f\r\n!' variable
	hold "$evil" "$LAUNCH" -n "$evil" "$HELPERS/hold" "$evil"
	mkdir "$LOCKS/$evil"
	mkdir -p "$LOCKS/foreign" && ln -s nowhere "$(EXCLUSIVELOCK_DIR=$LOCKS/foreign "$CTL" path "$evil")"
	assert_printable "$CTL" list
	assert_printable "$CTL" --json list
	assert_printable "$CTL" status "$evil"
	assert_printable "$CTL" --json status "$evil"
	assert_printable "$CTL" status "free$evil"
	assert_printable "$CTL" "$evil"
	assert_printable "$CTL" "-$evil" list
	assert_printable "$CTL" "--$evil" list
	assert_printable "$CTL" --dir "$evil" list
	assert_printable "$CTL" --dir "/$evil" list
	assert_printable "$CTL" --dir "/$evil" status "$evil"
	assert_printable "$CTL" --dir "$LOCKS/$evil" --json status "$evil"
	assert_printable "$CTL" --dir "$LOCKS/foreign" status "$evil"
	assert_printable "$CTL" --timeout "$evil" list
	assert_printable env EXCLUSIVELOCK_DIR="$evil" "$CTL" list
	assert_printable "$LAUNCH" -n "$evil" true
	assert_printable "$LAUNCH" --replace="$evil" -n "$evil" true
	assert_printable "$LAUNCH" "--$evil" true
	assert_printable "$LAUNCH" -n other "/$evil"
	assert_printable "$LAUNCH" -d "/$evil" -n "$evil" true
	assert_printable "$LAUNCH" -v -d "$LOCKS/$evil" -n "$evil" true
	for variable in BY ON_HELD TIMEOUT EXIT_CODE QUIET SCOPE ON_ERROR DIR LOG; do
		assert_printable env "EXCLUSIVELOCK_$variable=$evil" EXCLUSIVELOCK_NAME="$evil" LD_PRELOAD="$SHIM" true
		assert_printable env "EXCLUSIVELOCK_$variable=$evil" "$LAUNCH" -n "$evil" true
	done
	assert_printable env EXCLUSIVELOCK_NAME="$evil" "$HELPERS/api" die "$evil"
	printf '%s' "$HOLDER" >"$(lock_file "bare$evil")"
	assert_printable "$LAUNCH" --replace -n "bare$evil" true
}

@test "the output has no escape sequences, and only a terminal cuts lines" {
	local wide
	hold w env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=w "$HELPERS/hold" "$(printf 'y%.0s' {1..200})"
	wide=$("$CTL" list)
	[[ $wide == *yyyyyyyyyy && $wide != *$'\e'* ]]
	command -v script >/dev/null || skip "needs script(1)"
	run -0 script -qec "stty cols 60; $CTL list" /dev/null
	[[ $output != *$'\e'* ]]
	for line in "${lines[@]}"; do ((${#line} <= 61)); done
}

@test "path prints the path that a start would use, and needs no file" {
	[[ $("$CTL" path 'a b/c') == "$(lock_file 'a b/c')" ]]
	[[ $("$CTL" path x) == "$("$LAUNCH" -n x -p)" ]]
	[[ $(EXCLUSIVELOCK_DIR='' "$CTL" path x) == "$(EXCLUSIVELOCK_DIR='' "$LAUNCH" -n x -p)" ]]
	[[ $("$CTL" --dir /some/where path x) == "$(lock_file x /some/where)" ]]
	[[ $("$CTL" -u path x) == "$("$LAUNCH" -u -n x -p)" ]]
	[[ $("$CTL" -u path x) == "$(EXCLUSIVELOCK_DIR=user "$CTL" path x)" ]]
}

@test "looking takes no lock, not even for an instant, and changes no file" {
	command -v strace >/dev/null || skip "needs strace"
	hold one env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=one "$HELPERS/hold"
	printf '2147483647\n' >"$(lock_file stale)"
	run -0 strace -f -o "$BATS_TEST_TMPDIR/trace" -e trace=flock,fcntl,openat,unlink,unlinkat,utimensat,ftruncate "$CTL" list
	run ! grep -E 'flock\(|F_(OFD_)?SETLK|unlink|utimens|truncate|'"$LOCKS"'.*(O_RDWR|O_WRONLY|O_CREAT)' "$BATS_TEST_TMPDIR/trace"
	grep -q "$LOCKS.*O_RDONLY" "$BATS_TEST_TMPDIR/trace"
}

@test "wait comes back when the holder has ended, at once when nobody holds" {
	run -0 "$CTL" wait nobody
	hold one env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=one "$HELPERS/hold"
	"$CTL" wait one 3>&- &
	WAITER=$!
	ENDLATER+=("$WAITER")
	poll grep -q '^State:.S' "/proc/$WAITER/status"
	kill "$HOLDER"
	wait "$WAITER"
	run -1 "$CTL" status one
}

@test "wait comes back for every kind of holder" {
	hold python /usr/bin/python3 "$BATS_TEST_DIRNAME/peers/exclusive.py" python
	"$CTL" wait python 3>&- &
	WAITER=$!
	kill "$HOLDER"
	wait "$WAITER"
	hold f flock --no-fork "$(lock_file f)" "$HELPERS/hold"
	"$CTL" wait f 3>&- &
	WAITER=$!
	kill "$HOLDER"
	wait "$WAITER"
}

@test "wait with a timeout ends with 1 when it is over" {
	hold one env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=one "$HELPERS/hold"
	run -1 "$CTL" --timeout 0.05 wait one
	[[ $output == "" ]]
	run -1 "$CTL" -t 0 wait one
}

@test "what cannot be understood is an error of one line, 125" {
	local arguments
	for arguments in "" "nonsense" "status" "status a b" "list a" "--timeout x wait a" "--dir relative list" "--what list"; do
		# shellcheck disable=SC2086 # a list
		run -125 "$CTL" $arguments
		[[ ${lines[0]} == "exlockctl: "* || ${lines[0]} == "$CTL: "* ]]
		((${#lines[@]} == 1))
	done
	run -125 "$CTL" --dir "/$(printf 'x%.0s' {1..4096})" path a
	[[ $output == "exlockctl: "*": File name too long" ]]
	run -125 "$CTL" --dir /nowhere list
	[[ $output == "exlockctl: /nowhere: No such file or directory" ]]
}

@test "output that cannot be written is an error" {
	[[ -c /dev/full ]] || skip "needs /dev/full"
	run -125 bash -c "$CTL list >/dev/full"
	[[ $output == "exlockctl: "*"No space left on device" ]]
}

@test "--help fits a terminal and names every option and command" {
	run -0 "$CTL" --help
	((${#lines[@]} <= 24))
	for word in list status path wait --dir --user --json --timeout --help --version; do
		[[ $output == *"$word"* ]]
	done
	[[ $("$CTL" --version) == "exlockctl "[0-9]* ]]
}
