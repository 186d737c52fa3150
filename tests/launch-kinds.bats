# SPDX-License-Identifier: MIT
# Commands that the preload cannot reach, or that would not bear it: the launcher keeps each of them exclusive.
# shellcheck disable=SC2030,SC2031 # every test is a subshell

load test_helper

setup() {
	clean_environment
	# A private place that an ordinary user can reach, when root tests as one.
	OPEN=$(mktemp -d /tmp/exlock.XXXXXX)
	chmod 755 "$OPEN"
	cd "$OPEN" || return
}

teardown() {
	end_processes
	rm -rf "$OPEN"
}

# Builds the program that waits for SIGTERM with COMPILER OPTION...; skips where that is not possible here.
build_hold() {
	command -v "$1" >/dev/null || skip "no $1"
	"$@" -std=gnu11 -o "$OPEN/program" "$SOURCE/tests/helpers/hold.c" 2>"$OPEN/errors" || skip "$* does not link here"
}

start_launched() {
	: >out
	"${AS[@]}" "$LAUNCH" -n kind "$@" >out 2>err 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	poll file_has_content "${READY:-out}"
}

assert_all_refused() {
	run -1 "${AS[@]}" "$LAUNCH" -n kind touch "$OPEN/intruder"
	[[ $output == "$(refusal kind "$HOLDER")" ]]
	run -1 "${AS[@]}" "$LAUNCH" -n kind "$@"
	[[ $output == "$(refusal kind "$HOLDER")" ]]
	file_is_gone intruder
	assert_refused kind "$HOLDER"
	run -1 timeout 10 "$SOURCE/tests/peers/exclusive.py" kind
	[[ $output == "$(refusal kind "$HOLDER")" ]]
}

# Launched as AS (a command and its options, or nothing) COMMAND is exclusive, whether it is killed or ends.
assert_exclusive() {
	local signal
	for signal in KILL TERM; do
		rm -f "${READY:-}"
		start_launched "$@"
		grep -qx ".*$HOLDER" "${READY:-out}"
		[[ ! -s err ]]
		assert_all_refused "$@"
		kill -"$signal" "$HOLDER"
		wait "$HOLDER" || [[ $signal == KILL ]]
		run -0 "${AS[@]}" "$LAUNCH" -n kind true
		[[ $output == "" ]]
	done
}

@test "a static program" {
	assert_exclusive "$HELPERS/hold-static"
}

@test "a static-pie program" {
	build_hold cc -static-pie -fPIE
	assert_exclusive "$OPEN/program"
}

@test "a program linked with musl" {
	build_hold musl-gcc
	assert_exclusive "$OPEN/program"
}

@test "a static program linked with musl" {
	build_hold musl-gcc -static
	assert_exclusive "$OPEN/program"
}

@test "a program linked with musl takes the library directly" {
	build_hold musl-gcc
	start_holder EXCLUSIVELOCK_NAME=kind "$OPEN/program"
	assert_refused kind "$HOLDER"
	# The kernel's lock is there: it is the library that took it.
	run -1 flock --nonblock "$(lock_file kind)" true
	run -1 env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=kind "$OPEN/program"
	[[ $output == "$(refusal kind "$HOLDER")" ]]
	kill -TERM "$HOLDER"
	wait "$HOLDER"
	file_is_gone "$(lock_file kind)"
	run -0 env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=kind true
}

@test "a 32-bit program on a 64-bit machine" {
	build_hold cc -m32 -static
	cc -m32 -static -x c -o "$OPEN/any" - <<<'int main(void) { return 0; }'
	"$OPEN/any" 2>/dev/null || skip "this kernel runs no 32-bit programs"
	assert_exclusive "$OPEN/program"
	assert_exclusive "$OPEN/program"
}

@test "a 32-bit program, and a script of one, gets no library that it cannot load, and keeps the user's own" {
	build_hold cc -m32
	"$OPEN/program" </dev/null >out 2>err 3>&- &
	ENDLATER+=("$!")
	poll process_has_begun "$!" || skip "this kernel runs no 32-bit programs"
	assert_exclusive "$OPEN/program"
	printf '#!%s/program\n' "$OPEN" >script
	chmod 755 script
	assert_exclusive "$OPEN/script"
	start_launched "$OPEN/program"
	[[ $(tr '\0' '\n' <"/proc/$HOLDER/environ") != *LD_PRELOAD=* ]]
	kill -KILL "$HOLDER"
	poll process_has_ended "$HOLDER"
	: >out
	LD_PRELOAD=libm.so.6 "$LAUNCH" -n kind "$OPEN/program" >out 2>err 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	poll file_has_content out
	grep -qzx LD_PRELOAD=libm.so.6 "/proc/$HOLDER/environ"
}

process_has_begun() { [[ -s out ]] || process_has_ended "$1"; [[ -s out ]]; }

# Copies FROM to TO as if it was another machine's, MACHINE in two bytes.
copy_for_machine() {
	cp "$1" "$2"
	printf '%b' "$3" | dd of="$2" bs=1 seek=18 conv=notrunc status=none
}

# The preload with which the launcher in this folder calls exec for COMMAND, which cannot be run here.
preload_for() {
	run strace -v -s 100000 -e trace=execve -o trace "$BUILT_LAUNCH" --shim="$OPEN/lib/x86_64-linux-gnu/libexlock.so" --keeper= -n kind "$1"
	PRELOAD=$(sed -n 2p trace | grep -o '"LD_PRELOAD=[^"]*"' || :)
}

@test "another architecture's program gets that architecture's library, if it is installed beside ours" {
	[[ $(uname -m) == x86_64 ]] || skip "the folders are x86-64's"
	command -v strace >/dev/null || skip "no strace"
	local arm='\xb7\x00' riscv='\xf3\x00'
	mkdir -p lib/{x86_64,aarch64,riscv64}-linux-gnu
	cp "$BUILD/libexlock.so" lib/x86_64-linux-gnu
	copy_for_machine "$HELPERS/hold" program "$arm"
	preload_for "$OPEN/program"
	[[ $PRELOAD == "" ]]
	copy_for_machine "$BUILD/libexlock.so" lib/aarch64-linux-gnu/libexlock.so "$arm"
	preload_for "$OPEN/program"
	[[ $PRELOAD == "\"LD_PRELOAD=$OPEN/lib/aarch64-linux-gnu/libexlock.so\"" ]]
	printf '#!%s/program\n' "$OPEN" >script
	chmod 755 script
	preload_for "$OPEN/script"
	[[ $PRELOAD == "\"LD_PRELOAD=$OPEN/lib/aarch64-linux-gnu/libexlock.so\"" ]]
	# What is there is another one's.
	copy_for_machine "$HELPERS/hold" program "$riscv"
	copy_for_machine "$BUILD/libexlock.so" lib/riscv64-linux-gnu/libexlock.so "$arm"
	preload_for "$OPEN/program"
	[[ $PRELOAD == "" ]]
}

@test "a program built with gcc's shared ASan runtime, without the preload" {
	build_hold gcc -fsanitize=address
	assert_exclusive -P "$OPEN/program"
}

@test "a program that closes every descriptor, as sudo does" {
	READY=$OPEN/ready
	assert_exclusive "$HELPERS/closeall" closefrom "$READY"
	assert_exclusive -P "$HELPERS/closeall" close_range "$READY"
}

@test "a program that clears its environment and runs another" {
	assert_exclusive env -i "$HELPERS/hold"
	assert_exclusive -P env -i "$HELPERS/hold"
}

# Root prepares COMMAND for an ordinary user, who gets a launcher of his own that he can read.
as_ordinary_user() {
	[[ $EUID -eq 0 ]] || skip "needs root"
	[[ $(findmnt -n -o OPTIONS -T "$OPEN") != *nosuid* ]] || skip "/tmp is mounted nosuid"
	cp "$HELPERS/hold" "$HELPERS/closeall" "$OPEN"
	place_launcher "$OPEN"
	LAUNCH=$OPEN/exlock-launch
	LOCKS=$OPEN/locks
	export EXCLUSIVELOCK_DIR=$LOCKS
	mkdir "$LOCKS"
	chmod 1777 "$LOCKS"
	AS=(setpriv --reuid=65534 --regid=65534 --clear-groups)
}

@test "an ordinary user's program" {
	as_ordinary_user
	assert_exclusive "$OPEN/hold"
}

@test "a set-user-ID program of root's, started by an ordinary user" {
	as_ordinary_user
	chmod 4755 hold
	assert_exclusive "$OPEN/hold"
	start_launched "$OPEN/hold"
	[[ $(awk '/^Uid:/ { print $2, $3 }' "/proc/$HOLDER/status") == "65534 0" ]]
}

@test "a set-user-ID program that closes every descriptor, as sudo is and does" {
	as_ordinary_user
	chmod 4755 closeall
	mkdir given
	chmod 1777 given
	READY=$OPEN/given/ready
	assert_exclusive "$OPEN/closeall" closefrom "$READY"
}

@test "a program with file capabilities, started by an ordinary user" {
	as_ordinary_user
	command -v setcap >/dev/null || skip "no setcap"
	setcap cap_net_bind_service=ep hold || skip "no file capabilities here"
	assert_exclusive "$OPEN/hold"
}
