#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# PostgreSQL: a control program that starts a server and ends, in scope tree.
# shellcheck disable=SC2030,SC2031,SC2154 # every test is a subshell; set by bats

load daemon

setup() {
	daemon_setup
	BIN=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n 1)
	[[ -x $BIN/initdb ]] || skip "needs PostgreSQL's server"
	needs psql
	PLACE=
	owner=(env)
	if [[ $EUID -eq 0 ]]; then
		# The server does not run as root.
		make_public_place
		place_launcher "$PLACE"
		LAUNCH=$PLACE/exlock-launch
		owner=(as_user)
	fi
	DATA=${PLACE:-$BATS_TEST_TMPDIR}/data
	export PGHOST=${PLACE:-$BATS_TEST_TMPDIR}/socket PGDATABASE=postgres PGUSER=owner PSQLRC=/dev/null
}

teardown() {
	[[ -z ${SERVER:-} ]] || kill -QUIT "$SERVER" 2>/dev/null || :
	[[ -z ${SERVER:-} ]] || poll process_has_ended "$SERVER" || :
	end_daemons
	remove_public_place
}

prepare() {
	rm -rf "$DATA" "$PGHOST"
	mkdir -m 700 "$DATA" "$PGHOST"
	[[ $EUID -ne 0 ]] || chown 65534:65534 "$DATA" "$PGHOST"
}

# Runs COMMAND of the server's in scope tree, where there is a lock.
in_tree() {
	if [[ $WAY == with ]]; then
		"${owner[@]}" "$LAUNCH" --scope tree --name postgresql "$@"
	else
		"${owner[@]}" "$@"
	fi
}

# Without what works in the background, and opens files in its own time.
control() {
	in_tree "$BIN/pg_ctl" -D "$DATA" -s -w -l "$DATA/log" -o "-c listen_addresses='' -k '$PGHOST' -c shared_buffers=1MB \
		-c autovacuum=off -c max_logical_replication_workers=0 -c bgwriter_lru_maxpages=0" "$@"
}

# Refused, in the name of a process of the server's.
assert_refused_by_server() {
	local pid
	run -1 control start
	[[ $output == $(refusal postgresql '*') ]] || { echo "$output"; return 1; }
	pid=$(grep -o '[0-9]*' <<<"$output" | tail -n 1)
	[[ $pid == "$SERVER" || $(ps -o ppid= -p "$pid") -eq $SERVER ]]
}

see_log() {
	sed -E 's/^[^[]*\[[0-9]+\] //; s/database system was shut down at .*/database system was shut down/;
		s/(process|PID) [0-9]+/\1 #/; s/wrote [0-9]+ .*/wrote #/' "$DATA/log" >seen/log
}

has_no_client() { [[ -z $(pgrep -P "$SERVER" -f 'postgres: owner') ]]; }

serve() {
	prepare
	observe init "${owner[@]}" env LD_PRELOAD="$PRELOAD" EXCLUSIVELOCK_NAME=initdb "$BIN/initdb" -D "$DATA" -A trust -U owner --no-sync \
		--no-instructions --no-locale -E UTF8
	[[ $(<seen/init.status) -eq 0 ]] || cat seen/init.*
	observe start control start
	read -r SERVER <"$DATA/postmaster.pid"
	with_shim assert_refused_by_server
	observe query psql -Atc 'create table t as select generate_series(1, 1000) as i' -c 'select sum(i) from t' -c 'select error'
	wait_for has_no_client
	see_processes running "$SERVER" "\\!descriptor [0-9]+ $LOCKS/!d"
	with_shim assert_refused_by_server
	"${owner[@]}" "$BIN/pg_ctl" -D "$DATA" -s -w -m fast stop
	wait_for process_has_ended "$SERVER"
	with_shim assert_free postgresql
	see_log
}

@test "PostgreSQL is set up, started in a tree, asked and stopped as without the shim, exclusive as long as its server lives" {
	without_and_with serve
	grep -qx 500500 with/seen/query.out
	no_lock_file
}
