# SPDX-License-Identifier: MIT
# Shared by what runs Debian's daemons, sandboxes and tools: each does the same work without the shim and with it, in a folder
# made anew under the same name, and all that can be seen of the two must be the same.

# shellcheck shell=bash disable=SC2034,SC2154 # read by the topics; set by bats

load ../test_helper

# Not whatever else comes first in the caller's PATH.
export PATH=/usr/bin:/bin:/usr/sbin:/sbin

FACTS=$BATS_TEST_DIRNAME/facts

daemon_setup() {
	clean_environment
	export LC_ALL=C.UTF-8 TERM=xterm HOME=$BATS_TEST_TMPDIR/home
	# The test runner has its own wishes of malloc and the loader.
	unset TMUX MALLOC_PERTURB_ LD_LIBRARY_PATH
	# exlock-launch, a shell script, drops exported functions.
	export -nf bats_readlinkf 2>/dev/null || :
	mkdir "$HOME"
	cd "$BATS_TEST_TMPDIR" || return
}

# Skips the test unless the programs named are there.
needs() {
	local program
	for program; do
		command -v "$program" >/dev/null || skip "needs $program"
	done
}

# Prints the path of the shared library NAME, as the loader finds it; skips the test if it is not there.
find_library() {
	local path
	path=$(ldconfig -p | sed -n "s/^\t$1 (libc6,x86-64.*) => //p;t;s/^\t$1 (.*) => //p" | head -n 1)
	[[ -n $path ]] || return 1
	echo "$path"
}

# Runs COMMAND without the shim or with it, as without_and_with says. A preload of the same length, all separators, leaves
# the initial block of environment as long as it is with ours: some daemons write their titles over it.
wild() {
	env LD_PRELOAD="$PRELOAD" "$@"
}

# Calls SCENARIO twice, without and with the shim, each time in a fresh folder "place". What it writes into the folder "seen"
# there has to be the same.
without_and_with() {
	local scenario=$1 way
	shift
	for way in without with; do
		PRELOAD=$SHIM
		[[ $way == with ]] || PRELOAD=${SHIM//?/:}
		WAY=$way
		mkdir -p "$BATS_TEST_TMPDIR/place/seen"
		cd "$BATS_TEST_TMPDIR/place" || return
		"$scenario" "$@"
		cd "$BATS_TEST_TMPDIR" || return
		mv place "$way"
	done
	diff -ru without/seen with/seen
	[[ -n $(ls with/seen) ]]
}

# Runs COMMAND to its end and puts what it printed and its status into seen/NAME.*.
observe() {
	local name=$1 status=0
	shift
	"$@" >"seen/$name.out" 2>"seen/$name.err" </dev/null 3>&- || status=$?
	echo "$status" >"seen/$name.status"
}

# COMMAND prints the same and ends with the same status, without and with the shim.
same() {
	rm -rf without with
	without_and_with observe command wild "$@"
}

assert_status() {
	[[ $(<with/seen/command.status) == "$1" ]] || { cat with/seen/*; return 1; }
}

# Writes what /proc tells of PID and its descendants to seen/NAME, with PIDs and SED_SCRIPT's matter taken out.
see_processes() {
	"$FACTS" "$2" | sed -E "${3:-}" >"seen/$1"
	[[ -s seen/$1 ]]
}

# Only where there is a lock to judge.
with_shim() {
	[[ $WAY != with ]] || "$@"
}

# The same program, started again as ARGUMENTS say, is refused in the name of PID, and has run none of its code.
assert_again_refused() {
	local pid=$1
	shift
	run -1 env LD_PRELOAD="$SHIM" "$@"
	[[ $output == $(refusal '*' "$pid") ]] || { echo "$output"; return 1; }
}

# Prints a port of 127.0.0.1 that nobody listens at: not of those that the kernel gives to others.
free_port() {
	/usr/bin/python3 -c 'import random, socket
while True:
    port = random.randrange(20000, 32000)
    try:
        with socket.socket() as one:
            one.bind(("127.0.0.1", port))
    except OSError:
        continue
    print(port)
    break'
}

# Waits, half a minute and more, until COMMAND succeeds: what works under valgrind, or as one of many, takes its time.
wait_for() {
	local tries
	for ((tries = 0; tries < 3; tries++)); do
		poll "$@" 2>/dev/null && return
	done
	echo "never true: $*" >&2
	return 1
}

# Reads the PID file FILE into PID, as soon as there is one, and sees to that process's end.
read_pid() {
	wait_for file_has_content "$1"
	read -r PID _ <"$1"
	ENDLATER+=("$PID")
}

# Prints who works in the test's folder, was told of it, or has its lock directory in the environment: daemons leave their
# parents, and some write over their environment.
find_daemons() {
	{
		find /proc/[0-9]* -maxdepth 1 -name cwd \( -lname "$BATS_TEST_TMPDIR" -o -lname "$BATS_TEST_TMPDIR/*" \)
		grep -lsF "$BATS_TEST_TMPDIR/" /proc/[0-9]*/cmdline
		grep -lszFx "EXCLUSIVELOCK_DIR=$LOCKS" /proc/[0-9]*/environ
	} 2>/dev/null | cut -d / -f 3 | sort -u
}

# Ends what the test started, and what that started.
end_daemons() {
	local pid
	end_processes
	for pid in $(find_daemons); do
		[[ $pid == "$$" || $pid == "$BASHPID" ]] || kill -KILL "$pid" 2>/dev/null || :
	done
}

# Ends process PID by SIGNAL and waits until it has gone.
end_by() {
	kill "-$1" "$2"
	wait_for process_has_ended "$2"
}

no_lock_file() { [[ -z $(ls -A "$LOCKS") ]]; }
