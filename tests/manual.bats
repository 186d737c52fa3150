# SPDX-License-Identifier: MIT
# The manual pages say what is there: options, variables, exit statuses; and their examples and recipes run as they stand.

# shellcheck disable=SC2013,SC2016,SC2030,SC2031,SC2094,SC2153 # $ is for the shell inside; every test is a subshell

load test_helper

setup() {
	clean_environment
	MAN=$SOURCE/man
	ENDLATER=()
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() {
	end_processes
}

# Prints the block of code of PAGE that has WORDS in it.
block() {
	awk -v words="$2" '/^```/ { if (inside && index(text, words)) printf "%s", text; inside = !inside; text = ""; next }
		inside { text = text $0 "\n" }' "$MAN/$1.scd"
}

# Makes the programs stand-ins: each says its name and its arguments, and writes to "ran".
stand_in() {
	local program
	for program; do
		mkdir -p "$(dirname "$program")"
		printf '#!/bin/sh\necho "$(basename "$0") $*" | tee -a "%s/ran"\n' "$BATS_TEST_TMPDIR" >"$program"
		chmod +x "$program"
	done
}

# Runs a block of code as a user types it, where the programs are installed: so the library is found by its bare name.
as_installed() {
	env PATH="$BUILD:$PATH" LD_LIBRARY_PATH="$BUILD" sh -c "$1"
}

# Everything in a page that looks like an option, at the head of its item.
options_of() {
	sed -n 's/^\*-/-/p' "$MAN/$1.scd" | grep -oE -- '--[a-z][a-z-]+' | sort -u
}

@test "the manuals name every option of --help, and no other" {
	[[ $(options_of exlock-launch.1) == $("$LAUNCH" --help | grep -E '^ +-' | grep -oE -- '--[a-z][a-z-]+' | sort -u) ]]
	[[ -x $BUILD/exlockctl ]] || skip "exlockctl was not built: no jansson"
	[[ $(options_of exlockctl.1) == $("$BUILD/exlockctl" --help | grep -E '^ +-' | grep -oE -- '--[a-z][a-z-]+' | sort -u) ]]
}

@test "short options in the manuals stand for the same long ones as in --help" {
	"$LAUNCH" --help | grep -oE -- '-[A-Za-z], --[a-z-]+' | while IFS=', ' read -r short long; do
		grep -qF "*$short*, *$long*" "$MAN/exlock-launch.1.scd"
	done
}

@test "libexlock(7) and exlock-cluster(7) name every variable of the source, and no other" {
	local documented source
	documented=$(sed -n '/^# ENVIRONMENT/,/^# [FN]/p' "$MAN/libexlock.7.scd" "$MAN/exlock-cluster.7.scd" |
		grep -oE '^\*EXCLUSIVELOCK_.*' | grep -oE 'EXCLUSIVELOCK_[A-Z_]+' | sort -u)
	# REPLACED is between the launcher and its hop.
	source=$(grep -ohE 'CONFIG_PREFIX "[A-Z_]+"' "$SOURCE"/src/*.c | sed 's/.*"\(.*\)"/EXCLUSIVELOCK_\1/' |
		grep -v REPLACED | sort -u)
	diff <(echo "$documented") <(echo "$source")
}

@test "the choices of each variable in libexlock(7) are those that the library takes" {
	local variable choice
	while read -r variable choice; do
		run env LD_PRELOAD="$SHIM" EXCLUSIVELOCK_NAME=n "$variable=$choice" true
		((status == 0))
	done < <(awk '/^\*EXCLUSIVELOCK_/ { gsub(/\*/, ""); variable = $1 }
		/^\t/ && variable ~ /_(BY|ON_HELD|SCOPE|ON_ERROR)$/ {
			while (match($0, /\*[a-z]+\*/)) { print variable, substr($0, RSTART + 1, RLENGTH - 2); $0 = substr($0, RSTART + RLENGTH) } }' \
		"$MAN/libexlock.7.scd")
}

@test "exclusivelock(3) has the examples that are compiled and run" {
	local example
	for example in "$BATS_TEST_DIRNAME"/examples/{*.c,queue.cpp}; do
		[[ $(<"$MAN/exclusivelock.3.scd") == *"$(grep -v '^// SPDX' "$example")"* ]]
	done
}

@test "the pages are well-formed" {
	command -v scdoc >/dev/null || skip "needs scdoc"
	local page
	for page in "$MAN"/*.scd; do
		scdoc <"$page" >page
		! command -v man >/dev/null || [[ $(MANWIDTH=80 man --warnings -l page 2>&1 >/dev/null) == "" ]]
	done
}

@test "the examples of exlock-launch(1) run and do what is said" {
	run -0 as_installed "$(block exlock-launch.1 'refused with')"
	[[ $output == *"$(refusal_start nightly)"* && $output == *"refused with 1"* ]]
	run -0 as_installed "$(block exlock-launch.1 'for job in')"
	[[ $(sort <<<"$output") == $'one\nthree\ntwo' ]]
	[[ $(as_installed "$(block exlock-launch.1 '--print-lockfile')") == "$(lock_file nightly)" ]]
}

@test "the examples of exlockctl(1) and libexlock(7) run" {
	[[ -x $BUILD/exlockctl ]] || skip "exlockctl was not built: no jansson"
	local seen=$BATS_TEST_TMPDIR/seen file
	file=$(lock_file nightly)
	# Its seconds are for people: here the job ends when it has been looked at, and is looked at when it runs.
	run -0 as_installed "$(block exlockctl.1 '--json status' | sed "s|sleep 2|sh -c 'until [ -e $seen ]; do :; done'|
		s|^sleep 1\$|until [ -s $file ]; do :; done|; s|^exlockctl --json.*|&; touch $seen|")"
	[[ $output == *'"held": true'* ]]
	run -0 as_installed "$(block libexlock.7 'held by $EXCLUSIVELOCK_PID')"
	[[ $output == "held by "*" in $(lock_file nightly)" ]]
}

@test "the fencing example of exlock-cluster(7) changes nothing for an older start than the last, and fails loudly" {
	command -v sqlite3 >/dev/null || skip "needs sqlite3"
	local example
	# What the launcher runs, without the cluster.
	example=$(block exlock-cluster.7 'sqlite3 -bail orders.db' | sed 's/exlock-launch --cluster -n nightly//')
	sqlite3 orders.db 'CREATE TABLE orders (billed INTEGER); INSERT INTO orders VALUES (0)'
	EXCLUSIVELOCK_FENCE=7 run -0 sh -c "$example"
	[[ $output == "" && $(sqlite3 orders.db 'SELECT token, billed FROM fence, orders') == '7|1' ]]
	sqlite3 orders.db 'UPDATE orders SET billed = 0'
	EXCLUSIVELOCK_FENCE=6 run sh -c "$example"
	((status != 0))
	[[ $output == *fencing_token_is_too_old* ]]
	[[ $(sqlite3 orders.db 'SELECT token, billed FROM fence, orders') == '7|0' ]]
	# The same start may do more than one transaction.
	EXCLUSIVELOCK_FENCE=7 run -0 sh -c "$example"
	EXCLUSIVELOCK_FENCE=8 run -0 sh -c "$example"
	[[ $(sqlite3 orders.db 'SELECT token, billed FROM fence, orders') == '8|1' ]]
}

@test "recipe: a script's worker keeps the lock when the script alone is killed" {
	printf '#!/bin/sh\n"%s" >ready\necho ended\n' "$HELPERS/hold" >backup.sh
	chmod +x backup.sh
	as_installed "$(block libexlock.7 'tree ./backup.sh')" >out 2>&1 3>&- &
	ENDLATER+=("$!")
	poll grep -qs ready ready
	read -r _ WORKER <ready
	HOLDER=$(sed -n 's/^PPid:\t//p' "/proc/$WORKER/status")
	ENDLATER+=("$HOLDER" "$WORKER")
	assert_refused "$PWD/backup.sh" "$HOLDER"
	kill -KILL "$HOLDER"
	poll process_has_ended "$HOLDER"
	assert_refused "$PWD/backup.sh" "$WORKER"
	kill "$WORKER"
	poll process_has_ended "$WORKER"
	assert_free "$PWD/backup.sh"
}

@test "recipe: the line of crontab ends with 0 and without a word when the last one still runs" {
	local line
	line=$(block libexlock.7 sync-orders | tail -n 1)
	stand_in opt/sync-orders
	line=${line#\*/5 \* \* \* \* }
	line=${line//\/usr\/local\/bin/$BATS_TEST_TMPDIR/opt}
	run -0 as_installed "$line"
	[[ $output == "sync-orders " ]]
	start_holder EXCLUSIVELOCK_NAME="$BATS_TEST_TMPDIR/opt/sync-orders" "$HELPERS/hold"
	run -0 as_installed "$line"
	[[ $output == "" ]]
}

@test "recipe: the unit of systemd is one, and its environment guards" {
	local unit
	unit=$(block libexlock.7 '[Service]')
	stand_in opt/legacy_tool
	# shellcheck disable=SC2046 # one variable
	run -0 env $(sed -n 's/^Environment=//p' <<<"$unit") LD_LIBRARY_PATH="$BUILD" \
		EXCLUSIVELOCK_LOG=stderr sh -c "${BATS_TEST_TMPDIR}$(sed -n 's/^ExecStart=//p' <<<"$unit")"
	[[ $output == *"Acquired lock at"* ]]
	command -v systemd-analyze >/dev/null || skip "needs systemd-analyze to look at the unit"
	echo "${unit//\/opt/$BATS_TEST_TMPDIR/opt}" >exlock-recipe.service
	run systemd-analyze verify --man=no "$PWD/exlock-recipe.service"
	[[ $output != *exlock-recipe.service:* ]]
}

@test "recipe: with Type=forking the daemon keeps the lock of the command that started it" {
	guarded EXCLUSIVELOCK_NAME=d "$HELPERS/daemonize" daemon 1 "$BATS_TEST_TMPDIR/pid" 3>&-
	poll file_has_content pid
	ENDLATER+=("$(<pid)")
	assert_refused d "$(<pid)"
}

@test "recipe: a script that guards itself runs once, and refuses itself" {
	local script=$BATS_TEST_TMPDIR/self
	block libexlock.7 'exec exlock-launch -s tree' >"$script"
	# As crontabs start it.
	run -0 as_installed "sh $script"
	[[ $output == "the only one" ]]
	chmod +x "$script"
	run -0 as_installed "$script"
	[[ $output == "the only one" ]]
	start_holder EXCLUSIVELOCK_NAME="$script" "$HELPERS/hold"
	run -1 as_installed "$script"
	[[ $output == "$(refusal "$script" "$HOLDER")" ]]
	# Whatever the launcher is told to do, it begins again once.
	run -0 as_installed "EXCLUSIVELOCK_ON_HELD=flag timeout 20 $script"
	[[ $output == "the only one" ]]
	run -0 as_installed "EXCLUSIVELOCK_ON_ERROR=run EXCLUSIVELOCK_DIR=/nowhere timeout 20 $script"
	[[ $output == "exlock: /nowhere/"*$'\n'"the only one" ]]
	run -1 as_installed "cd $(dirname "$script") && timeout 20 sh self"
	kill "$HOLDER"
	wait "$HOLDER"
	chmod -x "$script"
	run -0 as_installed "cd $(dirname "$script") && timeout 20 sh self"
	[[ $output == "the only one" ]]
	# For bash, with a feature of its own, and without a first line.
	sed '1d; s,/bin/sh,/bin/bash,' "$script" >"$script-bash"
	echo 'list=(1 2); echo "${#list[@]} elements"' >>"$script-bash"
	run -0 as_installed "timeout 20 bash $script-bash"
	[[ $output == $'the only one\n2 elements' ]]
}

@test "recipe: a script that guards itself keeps the lock as long as a command of its runs" {
	block libexlock.7 'exec exlock-launch -s tree' | sed "s|^echo.*|'$HELPERS/hold' >ready \&|" >self
	chmod +x self
	as_installed ./self
	poll grep -qs ready ready
	read -r _ WORKER <ready
	ENDLATER+=("$WORKER")
	assert_refused "$PWD/self" "$WORKER"
}

@test "recipe: several programs under one name exclude one another" {
	stand_in ./backup ./migrate
	run -0 as_installed "$(block libexlock.7 'database ./backup')"
	[[ $output == $'backup \nmigrate ' ]]
	start_holder EXCLUSIVELOCK_NAME=database "$HELPERS/hold"
	run as_installed "$(block libexlock.7 'database ./backup')"
	[[ $output == *"Another 'database' process"*$'\n'*"Another 'database' process"* ]]
}

@test "recipe: with one lock per argument list other arguments may run, the same may not" {
	stand_in ./import
	start_holder EXCLUSIVELOCK_NAME="$BATS_TEST_TMPDIR/import orders.csv" "$HELPERS/hold"
	run -1 as_installed "$(block libexlock.7 'import orders.csv')"
	run -0 as_installed "$(block libexlock.7 'import orders.csv' | sed s/orders/customers/)"
	[[ $output == "import customers.csv" ]]
}

@test "recipe: in a queue a start waits for its turn" {
	stand_in ./report
	start_holder EXCLUSIVELOCK_NAME="$BATS_TEST_TMPDIR/report" "$HELPERS/hold"
	as_installed "$(block libexlock.7 './report')" >out 2>&1 3>&- &
	WAITER=$!
	poll grep -qs -- '-> FLOCK' /proc/locks
	file_is_gone ran
	kill "$HOLDER"
	wait "$WAITER"
	[[ $(<out) == "report " ]]
}

@test "recipe: patchelf binds the library to a binary for good" {
	command -v patchelf >/dev/null || skip "needs patchelf"
	mkdir opt
	cp "$HELPERS/hold" opt/legacy_tool
	as_installed "$(block libexlock.7 patchelf | sed "s,/opt,$PWD/opt,")"
	LD_LIBRARY_PATH=$BUILD ./opt/legacy_tool >out 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	poll grep -q ready out
	run -1 env LD_LIBRARY_PATH="$BUILD" ./opt/legacy_tool
	[[ $output == "$(refusal "$PWD/opt/legacy_tool" "$HOLDER")" ]]
}

@test "recipe: sudo guards in either order" {
	command -v sudo >/dev/null || skip "needs sudo"
	sudo -n true 2>/dev/null || skip "sudo asks for a password here"
	stand_in ./tool
	# sudo may complain of the machine's own name on standard error.
	run -0 --separate-stderr as_installed "$(block libexlock.7 'sudo ./tool' | sed 1q)"
	[[ $output == "tool " ]]
	start_holder EXCLUSIVELOCK_NAME=tool "$HELPERS/hold"
	run -1 as_installed "$(block libexlock.7 'sudo ./tool' | sed 1q)"
	[[ ${lines[-1]} == "$(refusal tool "$HOLDER")" ]]
}

@test "recipe: behind sudo the launcher guards the program by its own name" {
	stand_in ./tool
	printf '#!/bin/sh\nexec "$@"\n' >sudo
	chmod +x sudo
	local line
	line=$(block libexlock.7 'sudo ./tool' | sed -n 2p)
	PATH=$PWD:$PATH run -0 as_installed "$line"
	[[ $output == "tool " ]]
	start_holder EXCLUSIVELOCK_NAME="$PWD/tool" "$HELPERS/hold"
	PATH=$PWD:$PATH run -1 as_installed "$line"
	[[ $output == "$(refusal "$PWD/tool" "$HOLDER")" ]]
}

@test "exclusivelock(3) names every function and scope of the header, and declares them alike" {
	local line
	# A declaration may go on in a second line; attributes are the header's own.
	squeeze() { tr -s ' \t\n' ' ' | sed 's/ EXCLUSIVELOCK_N[A-Z_]*\(([0-9])\)\?;/;/g; s/; /;\n/g'; }
	squeeze <"$MAN/exclusivelock.3.scd" >page
	grep -v '^//' "$SOURCE/src/exclusivelock.h" | squeeze | grep -o 'EXCLUSIVELOCK_\(API\|RESULT\|LOCK\) [a-z].*;' | sed 's/^[A-Z_]* //' >declarations
	[[ $(wc -l <declarations) -ge 11 ]]
	while read -r line; do
		grep -qF -- "$line" page || { echo "not in the page: $line"; false; }
	done <declarations
	for line in $(grep -o '^#define EXCLUSIVELOCK_SCOPE[A-Z_]*' "$SOURCE/src/exclusivelock.h" | cut -d' ' -f2); do
		grep -q "^$line(" "$MAN/exclusivelock.3.scd"
	done
}
