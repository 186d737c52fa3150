# SPDX-License-Identifier: MIT
# exlock-launch hands the lock over as an open descriptor: what loads the library maps and closes it, everything else keeps it as under flock(1).

# shellcheck disable=SC2016,SC2030,SC2031 # every test is a subshell; $ is for the shell inside
load test_helper

setup() {
	clean_environment
	STEPS=$HELPERS/steps
	STATIC=$HELPERS/steps-static
	cd "$BATS_TEST_TMPDIR" || return
	FILE=$(lock_file job)
}

teardown() {
	end_processes
	remove_public_place
	[[ -z ${AWAY-} ]] || rm -f "$AWAY"
}

# The launcher with these words, and no descriptor but the standard ones.
launch() {
	"$STEPS" close exec "$LAUNCH" "$@"
}

# Starts the launcher with these words in the background, and waits for "ready PID" of what has become of it; sets HOLDER to that PID.
start_launched() {
	: >out
	"$STEPS" close exec "$LAUNCH" "$@" >out 2>err 3>&- &
	ENDLATER+=("$!")
	poll grep -q ready out
	HOLDER=$(sed -n 's/^ready //p' out)
	ENDLATER+=("$HOLDER")
	[[ ! -s err ]]
}

# Under NAME (default: job) nobody gets in: neither ours by the preload and by the launcher, nor flock(1).
assert_held() {
	local name=${1-job}
	run -1 env EXCLUSIVELOCK_NAME="$name" LD_PRELOAD="$SHIM" touch intruder
	[[ $output == "$(refusal_start "$name")"* ]]
	run -1 "$LAUNCH" -n "$name" touch intruder
	[[ $output == "$(refusal_start "$name")"* ]]
	file_is_gone intruder
	assert_flock_is_refused "$name"
}

assert_flock_is_refused() {
	run -1 flock --nonblock "$(lock_file "${1-job}")" true
}

assert_launches() {
	run -0 "$LAUNCH" -n "${1-job}" echo in
	[[ $output == in ]]
}

end_holder() {
	kill -TERM "$HOLDER"
	poll process_has_ended "$HOLDER"
}

# What a program lists that has got no descriptor of ours.
assert_lists_none() {
	run -0 "$@"
	[[ $output == "" ]] || { echo "$output"; false; }
}

@test "a static program that becomes a daemon keeps the lock until it has ended" {
	start_launched -n job "$STATIC" leave hold
	assert_held
	end_holder
	assert_launches
}

@test "a program that becomes a daemon without the preload keeps the lock" {
	start_launched -P -n job "$STEPS" leave leave hold
	assert_held
	end_holder
	assert_launches
}

@test "a static daemon that is killed leaves the lock free" {
	start_launched -n job "$STATIC" leave hold
	kill -KILL "$HOLDER"
	poll process_has_ended "$HOLDER"
	assert_launches
}

@test "whatever a command without the library has started keeps the lock, too, as under flock(1)" {
	start_launched -P -n job sh -c '"$0" hold & exit' "$STATIC"
	assert_held
	end_holder
	assert_launches
}

# Sets IN_CONTAINER, the words before a command. No function, which in the background would be a shell with unshare as its child.
needs_containers() {
	IN_CONTAINER=(unshare --fork --pid --mount-proc --kill-child)
	[[ $EUID -eq 0 ]] || IN_CONTAINER+=(--user --map-root-user)
	"${IN_CONTAINER[@]}" true 2>/dev/null || skip "needs root, or user namespaces"
}

@test "a static program in one PID namespace refuses starts outside and in another one" {
	needs_containers
	"${IN_CONTAINER[@]}" "$LAUNCH" -n job "$STATIC" hold >out 2>err 3>&- &
	CONTAINER=$!
	ENDLATER+=("$CONTAINER")
	poll grep -q ready out
	HOLDER=$(pgrep -P "$CONTAINER")
	ENDLATER+=("$HOLDER")
	assert_held
	run -1 "${IN_CONTAINER[@]}" "$LAUNCH" -n job echo in
	[[ $output == "$(refusal_start job)"* ]]
	kill -KILL "$HOLDER"
	wait "$CONTAINER" || :
	assert_launches
}

@test "a static program in one time namespace refuses starts outside" {
	unshare --time --boottime 1000 true 2>/dev/null || skip "needs root, and time namespaces"
	unshare --time --boottime 1000 --fork "$LAUNCH" -n job "$STATIC" leave hold >out 2>err 3>&- &
	ENDLATER+=("$!")
	poll grep -q ready out
	HOLDER=$(sed -n 's/^ready //p' out)
	ENDLATER+=("$HOLDER")
	assert_held
	end_holder
	assert_launches
}

@test "a program that loads the library sees no descriptor" {
	assert_lists_none launch -n job "$STEPS" list
	EXCLUSIVELOCK_ONLY=other assert_lists_none launch -n job "$STEPS" list
	assert_lists_none launch -n job sh -c '"$0" list; exit' "$STEPS"
	assert_lists_none launch -n job sh -c 'exec "$0" list' "$STEPS"
	assert_lists_none launch -n job -w -t 5 "$STEPS" list
	assert_lists_none launch -n one "$LAUNCH" -n two "$LAUNCH" -n three "$STEPS" list
}

@test "it keeps the flock from before main until it has ended, and gives it back" {
	start_launched -n job "$STEPS" list hold
	assert_held
	[[ $(<out) == "ready $HOLDER" ]]
	end_holder
	file_is_gone "$FILE"
	assert_free job
}

@test "a program that loads the library is guarded also where EXCLUSIVELOCK_ONLY does not name it" {
	EXCLUSIVELOCK_ONLY=other start_launched -n job "$STEPS" leave hold
	assert_held
	end_holder
	assert_launches
	EXCLUSIVELOCK_ONLY=other start_launched -n job "$STEPS" hold
	assert_held
	end_holder
	file_is_gone "$FILE"
}

@test "a program that loads no library sees one descriptor, high up and open for reading only" {
	local fd file more
	run -0 launch -n job "$STATIC" list spoil
	read -r fd file more <<<"$output"
	[[ $file == "$FILE" && $more == "" && $fd -ge 1000 && ${#lines[@]} -eq 1 ]] || { echo "$output"; false; }
	run -0 launch -P -n job "$STEPS" list spoil
	[[ $output == "1000 $FILE" ]]
}

@test "a command that has dropped its privileges cannot write to the record by it, nor cut the file" {
	make_public_place
	cp "$BUILD/tests/steps-static" "$PLACE"
	FILE=$(lock_file job)
	: >"$BATS_TEST_TMPDIR/out"
	"$STEPS" close exec "$LAUNCH" -P -n job setpriv --reuid=65534 --regid=65534 --clear-groups sh -c 'fd=/proc/self/fd/1000
		"$0" spoil; (: >"$fd") || echo "not opened"; (echo 1 >>"$fd") || echo "not appended"; exec "$0" hold' "$PLACE/steps-static" >out 2>err 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	poll grep -q ready out
	[[ $(<out) == $'not opened\nnot appended\n'"ready $HOLDER" ]]
	[[ $(<"$FILE") == "$HOLDER" ]]
	assert_flock_is_refused
}

@test "--close hands nothing over: the command has its PID alone" {
	assert_lists_none launch --close -n job "$STATIC" list
	start_launched --close -n job "$STATIC" hold
	run -1 "$LAUNCH" -n job echo in
	[[ $output == "$(refusal job "$HOLDER")" ]]
	run -0 flock --nonblock "$FILE" true
	end_holder
	start_launched --close -n job "$STEPS" hold
	assert_held
	end_holder
	assert_free job
	# What flock(1) calls a background job.
	start_launched --close -P -n job sh -c '"$0" hold & exit' "$STATIC"
	assert_launches
}

@test "--close does not go with scope tree, which needs the descriptor" {
	run -125 "$LAUNCH" --close -s tree -n job touch intruder
	[[ $output == "exlock-launch: --close and --scope tree do not go together: a tree keeps the lock by that descriptor" ]]
	run -125 env EXCLUSIVELOCK_SCOPE=tree "$LAUNCH" --close -n job touch intruder
	file_is_gone intruder
}

@test "three launchers around a program: it keeps all three locks, and sees no descriptor" {
	local name
	start_launched -n one "$LAUNCH" -n two "$LAUNCH" -n three "$STEPS" list hold
	[[ $(<out) == "ready $HOLDER" ]]
	for name in one two three; do
		assert_held "$name"
		run -1 "$LAUNCH" -n "$name" true
		[[ $output == "$(refusal "$name" "$HOLDER")" ]]
	done
	end_holder
	for name in one two three; do
		assert_launches "$name"
	done
}

@test "eleven launchers around a program: it sees no descriptor; a static one has nine" {
	local number words=()
	for number in {1..11}; do words+=("$LAUNCH" -n "lock-$number"); done
	assert_lists_none "$STEPS" close exec "${words[@]}" "$STEPS" list
	run -0 "$STEPS" close exec "${words[@]}" "$STATIC" list
	[[ ${#lines[@]} -eq 9 && $output == *lock-3.lock* && $output == *lock-11.lock* && $output != *lock-[12].lock* ]] ||
		{ echo "$output"; false; }
}

@test "three launchers around a static daemon: it keeps all three locks" {
	local name
	start_launched -n one "$LAUNCH" -n two "$LAUNCH" -n three "$STATIC" leave list hold
	[[ $(grep -c "^[0-9]\{4\} $LOCKS/" out) -eq 3 ]]
	for name in one two three; do
		assert_held "$name"
	done
	end_holder
	for name in one two three; do
		assert_launches "$name"
	done
}

@test "a static program between launchers does not lose the outer lock" {
	start_launched -n one "$STATIC" exec "$LAUNCH" -n two "$STEPS" list leave hold
	[[ $(<out) == "ready $HOLDER" ]]
	assert_held one
	assert_held two
	end_holder
	assert_launches one
	assert_launches two
}

@test "the library takes over what a static program before it was given" {
	start_launched -n job "$STATIC" exec "$STEPS" list leave hold
	[[ $(<out) == "ready $HOLDER" ]]
	assert_held
	end_holder
	assert_launches
}

@test "a program under another name that a static one becomes has both locks" {
	start_launched -s tree -n one "$STATIC" name two exec "$STEPS" leave close hold
	assert_held one
	end_holder
	assert_launches one
	start_launched -n one "$STATIC" name two exec "$STEPS" list leave hold
	[[ $(<out) == "ready $HOLDER" ]]
	assert_held one
	end_holder
	assert_launches one
}

@test "a static program that has closed it keeps the lock by its PID, and what it becomes takes the flock again" {
	start_launched -n job "$STATIC" close hold
	run -1 "$LAUNCH" -n job touch intruder
	[[ $output == "$(refusal job "$HOLDER")" ]]
	end_holder
	start_launched -n job "$STATIC" close exec "$STEPS" list hold
	[[ $(<out) == "ready $HOLDER" ]]
	assert_held
	end_holder
	assert_free job
}

@test "a file that has its number by now is left alone" {
	echo theirs >other
	run -0 launch -n job "$STATIC" use "$PWD/other" exec "$STEPS" list
	[[ $output == "1000 $PWD/other" ]]
	run -0 launch -n job "$STATIC" use "$PWD/other" fork exec "$STEPS" list
	[[ $output == "1000 $PWD/other" ]]
	run -0 launch -n job "$STATIC" use "$PWD/other" exec "$LAUNCH" -n two "$STEPS" list
	[[ $output == "1000 $PWD/other" ]]
	run -0 launch -n job "$STATIC" use "$PWD/other" exec "$LAUNCH" -n job "$STEPS" list
	[[ $output == "1000 $PWD/other" ]]
}

@test "a child of a static program that loads the library closes it, however it was started" {
	assert_lists_none launch -n job "$STATIC" fork exec "$STEPS" list
	assert_lists_none launch -n job "$STATIC" vfork "$STEPS" list
	assert_lists_none launch -n outer "$LAUNCH" -n inner "$STATIC" fork exec "$STEPS" list
	EXCLUSIVELOCK_ONLY=other assert_lists_none launch -n job "$STATIC" fork exec "$STEPS" list
}

@test "such a child does not keep the lock when the static program has ended" {
	start_launched -n job "$STATIC" leave exec "$STEPS" hold
	assert_launches
}

@test "a launcher in a child of another one's command gives its command no descriptor of that one" {
	assert_lists_none launch -P -n one sh -c '"$0" -n two "$1" list; exit' "$LAUNCH" "$STEPS"
	run -0 launch -P -n one sh -c '"$0" -n two "$1" list; exit' "$LAUNCH" "$STATIC"
	[[ $output == "1000 $(lock_file two)" ]] || { echo "$output"; false; }
	start_launched -P -n one "$STATIC" leave exec "$LAUNCH" -n two "$STATIC" hold
	assert_held two
	assert_launches one
}

@test "a launcher that asks for the lock that it has inherited does not wait for itself" {
	start_launched -P -n job "$STATIC" leave exec timeout 20 "$LAUNCH" -w -n job "$STEPS" list hold
	[[ $(<out) == "ready $HOLDER" ]]
	assert_held
	end_holder
	assert_free job
	start_launched -P -n job "$STATIC" leave exec "$LAUNCH" -n job "$STATIC" list hold
	[[ $(<out) == "1001 $FILE"$'\n'"ready $HOLDER" ]]
	run -1 "$LAUNCH" -n job touch intruder
	[[ $output == "$(refusal job "$HOLDER")" ]]
	end_holder
	assert_launches
}

@test "nor where its own process took it, and it goes on with it" {
	start_launched -P -n job "$STATIC" exec "$LAUNCH" -n job "$STEPS" list hold
	[[ $(<out) == "ready $HOLDER" ]]
	assert_held
	end_holder
	assert_free job
}

@test "below a living holder a launcher for its lock lets the command pass, without the descriptor" {
	assert_lists_none launch -P -n job sh -c '"$0" -n job "$1" list; exit' "$LAUNCH" "$STATIC"
}

@test "in scope tree the descriptor is open for reading only, and stays in all descendants" {
	run -0 launch -s tree -n job sh -c '"$0" list spoil; sh -c "\"\$0\" list spoil; exit" "$1"; exit' "$STEPS" "$STATIC"
	[[ $output == "1000 $FILE"$'\n'"1000 $FILE" ]] || { echo "$output"; false; }
	run -0 "$STEPS" close exec env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=job EXCLUSIVELOCK_SCOPE=tree sh -c '"$0" list spoil; exit' "$STATIC"
	start_launched -s tree -n job "$STATIC" leave exec "$STEPS" leave close hold
	assert_held
	end_holder
	assert_launches
}

@test "a lock in scope tree around one in scope process stays with all descendants, and the other way round" {
	start_launched -s tree -n outer "$LAUNCH" -s process -n inner sh -c '"$0" hold & exit' "$STEPS"
	assert_held outer
	assert_launches inner
	end_holder
	assert_launches outer
	start_launched -s process -n outer "$LAUNCH" -s tree -n inner sh -c '"$0" hold & exit' "$STEPS"
	assert_held inner
	assert_launches outer
	end_holder
	assert_launches inner
}

@test "a launcher in a child of a tree hands that lock on, too, to a program that closes every descriptor" {
	start_launched -s tree -n outer sh -c '"$0" -n inner "$1" close hold & exit' "$LAUNCH" "$STEPS"
	assert_held inner
	assert_held outer
	end_holder
	assert_launches inner
	assert_launches outer
}

@test "a program that has the descriptor, but no mark that tells of it, does not wait for itself" {
	command -v strace >/dev/null || skip "no strace"
	run -0 strace -f -qq -o trace "$LAUNCH" -P -n job env -i LD_PRELOAD="$SHIM" EXCLUSIVELOCK_DIR="$LOCKS" EXCLUSIVELOCK_NAME=job "$STEPS"
	(($(grep -c 'flock(' trace) < 10))
	start_launched -P -n job env -i LD_PRELOAD="$SHIM" EXCLUSIVELOCK_DIR="$LOCKS" EXCLUSIVELOCK_NAME=job "$STEPS" hold
	assert_held
	end_holder
	assert_launches
}

@test "where a lock cannot be taken by a descriptor that is open for reading only, the command gets none, and is exclusive" {
	command -v strace >/dev/null || skip "no strace"
	# As on NFS: of a file that is new, and of one that is there.
	local error
	for error in EBADF EMFILE; do
		: >out
		"$STEPS" close exec strace -qq -o trace -e inject=flock:error="$error":when=1 "$LAUNCH" -n job "$STATIC" list hold >out 2>err 3>&- &
		poll grep -q ready out
		HOLDER=$(sed -n 's/^ready //p' out)
		ENDLATER+=("$!" "$HOLDER")
		[[ $(<out) == "ready $HOLDER" ]]
		run -1 "$LAUNCH" -n job touch intruder
		[[ $output == "$(refusal job "$HOLDER")" ]]
		end_holder
	done
}

@test "a script that clears the environment before it becomes a daemon loses the lock, but not in scope tree" {
	printf '#!/bin/sh\nexec env -i "%s" leave hold\n' "$STEPS" >start
	chmod 755 start
	start_launched -n job ./start
	assert_launches
	kill -KILL "$HOLDER"
	start_launched -s tree -n job ./start
	assert_held
	end_holder
	assert_launches
}

@test "a launcher in a tree of the same name passes at once, and the descriptor stays" {
	command -v strace >/dev/null || skip "no strace"
	run -0 launch -s tree -n job strace -f -qq -o trace "$LAUNCH" -n job "$STATIC" list
	[[ $output == "1000 $FILE" ]] || { echo "$output"; false; }
	run -0 launch -s tree -n job strace -f -qq -o trace sh -c '"$0" -n job "$1" list; exit' "$LAUNCH" "$STATIC"
	[[ $output == "1000 $FILE" ]] || { echo "$output"; false; }
	(($(grep -c 'flock(' trace) < 10))
	run -0 "$STEPS" close exec strace -f -qq -o trace "$LAUNCH" -s tree -n job "$LAUNCH" -n job "$STEPS"
	(($(grep -c 'flock(' trace) < 10))
}

# A folder with all that the dynamic program needs to run with it as root.
make_jail() {
	local file
	[[ $EUID -eq 0 ]] || skip "needs root, to change its root"
	mkdir -p jail/proc
	cp "$STEPS" jail/steps
	while read -r file; do
		mkdir -p "jail${file%/*}"
		cp "$file" "jail$file"
	done < <(ldd "$STEPS" | grep -o '/[^ ]*')
	mkdir -p "jail${SHIM%/*}"
	cp "$SHIM" "jail$SHIM"
}

@test "in a chroot without the lock's directory the library takes the lock over, and leaves no descriptor" {
	[[ -z $EXLOCK_PRELOAD_FIRST ]] || skip "needs the library alone"
	make_jail
	needs_mount_namespace
	run -0 "$STEPS" close exec unshare --mount sh -euc 'mount -t proc proc jail/proc; exec "$0" -n job "$1" enter "$2/jail" exec /steps list' "$LAUNCH" "$STATIC" "$PWD"
	[[ $output == "" ]] || { echo "$output"; false; }
	start_launched -n job "$STATIC" enter "$PWD/jail" exec /steps leave hold
	assert_held
	end_holder
	assert_launches
	# The default directory is not there.
	unset EXCLUSIVELOCK_DIR
	AWAY=$("$LAUNCH" -n "$PWD" -p)
	mkdir -p jail/tmp
	start_launched -n "$PWD" "$STATIC" enter "$PWD/jail" exec /steps leave hold
	run -1 "$LAUNCH" -n "$PWD" true
	[[ -z $(find jail -name "$LOCK_PREFIX*") ]]
	end_holder
	run -0 "$LAUNCH" -n "$PWD" "$STEPS"
}

@test "a command that enters a chroot without the library keeps the lock by the descriptor" {
	make_jail
	start_launched -P -n job "$STATIC" enter "$PWD/jail" exec /steps leave hold
	assert_held
	end_holder
	assert_launches
}

@test "with few descriptors allowed the command is not given one that it may miss, and is exclusive" {
	local limit
	for limit in 5 6 10 50 51 200; do
		run -0 "$STEPS" close exec sh -c 'ulimit -n "$1"; exec "$0" -n job "$2" list' "$LAUNCH" "$limit" "$STEPS"
		[[ $output == "" ]] || { echo "$limit: $output"; false; }
	done
	run -0 "$STEPS" close exec sh -c 'ulimit -n 60; exec "$0" -n job "$1" list' "$LAUNCH" "$STATIC"
	[[ $output == "50 $FILE" ]]
	run -0 "$STEPS" close exec sh -c 'ulimit -n 50; exec "$0" -n job "$1" list' "$LAUNCH" "$STATIC"
	[[ $output == "" ]]
}

@test "where a mapping does not keep the flock, the library keeps the descriptor for the program alone" {
	needs_mount_namespace
	cat >script <<-'EOF'
		mount -t overlay -o lowerdir=/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/work none "$EXCLUSIVELOCK_DIR" || exit 0
		launch=$1 static=$2 steps=$3 file=$4
		"$launch" -n job "$static" list
		"$launch" -n job "$static" exec "$steps" list
		"$launch" -n job sh -c '"$0" list; exit' "$steps"
		for program in "$static" "$steps"; do
			: >out
			"$launch" -n job "$program" leave hold >out &
			until grep -qs ready out; do sleep 0.01; done
			flock -n "$file" true || echo "flock: $?"
			"$launch" -n job echo in || :
			kill -TERM "$(sed 's/ready //' out)"
			until flock -n "$file" true; do sleep 0.01; done
		done
	EOF
	run -0 in_mount_namespace 'mount -t tmpfs none /mnt; mkdir /mnt/lower /mnt/upper /mnt/work; exec "$3" close exec sh -eu ./script "$@"' \
		"$LAUNCH" "$STATIC" "$STEPS" "$FILE"
	[[ $output != "" ]] || skip "no overlay file system here"
	[[ ${lines[0]} == "1000 $FILE" && ${lines[1]} == "1000 $FILE" && ${lines[2]} == "flock: 1" && ${lines[3]} == "$(refusal_start job)"* &&
		${lines[4]} == "flock: 1" && ${lines[5]} == "$(refusal_start job)"* && ${#lines[@]} -eq 6 ]] || { echo "$output"; false; }
}

@test "flock(1) never gets in during an exec, whatever kind of command it is" {
	"$HELPERS/nudge" "$FILE" 100 >nudge 3>&- &
	NUDGE=$!
	ENDLATER+=("$NUDGE")
	poll grep -q ready nudge
	for _ in {1..25}; do
		# An end by exit() has an instant of its own in which flock(1) gets in.
		run "$LAUNCH" -n job "$STEPS" die
		run "$LAUNCH" -n job "$STATIC" die
		run "$LAUNCH" -P -n job "$STEPS" exec "$STATIC" exec "$STATIC" die
		run "$LAUNCH" -n job "$STATIC" exec "$STATIC" exec "$STEPS" die
		run "$LAUNCH" -n other "$LAUNCH" -n job "$STEPS" die
		kill -0 "$NUDGE" || { cat nudge; false; }
	done
	kill -TERM "$NUDGE"
	wait "$NUDGE" || :
	[[ $(<nudge) == ready ]]
}

is_queued() { grep -Eqs -- "-> FLOCK +ADVISORY +WRITE +$1 " /proc/locks; }

@test "launchers that wait get their turn exactly in the order in which they came" {
	local turn kind
	start_launched -n job "$STEPS" hold
	ENDLATER=()
	for turn in {1..25}; do
		kind=()
		((turn % 3)) || kind=(-P)
		[[ $turn != 10 ]] || kind=(-s tree)
		"$LAUNCH" -w -n job "${kind[@]}" "$HELPERS/oracle" turns "$turn" 3>&- &
		ENDLATER+=("$!")
		poll is_queued "$!"
	done
	kill -TERM "$HOLDER"
	for turn in "${ENDLATER[@]}"; do
		wait "$turn"
	done
	seq 25 | diff turns -
}
