# SPDX-License-Identifier: MIT
# Who else asks for the name: etcd's own etcdctl, those that wait, and the machine's own lock.

# shellcheck disable=SC2016,SC2030,SC2031 # $ is for the shell inside; every test is a subshell

load test_helper
load cluster/etcd
load cluster/hosts
load cluster/proxy

# As begin_on, by etcdctl. It is ended by the end of its command, which alone gives its key back.
begin_etcdctl() {
	local out=$BATS_TEST_TMPDIR/$1.out
	shift
	: >"$out"
	etcdctl lock --ttl 5 "$NAME" -- "$@" >"$out" 2>&1 </dev/null 3>&- &
	ENDLATER+=("$!")
}

@test "while etcdctl holds the name a start is refused, and one that waits gets in when it is free" {
	begin_etcdctl etcdctl sh -c "$STAYS" "$ORACLE"
	poll grep -q ^ready "$BATS_TEST_TMPDIR/etcdctl.out"
	read -r _ COMMAND <"$BATS_TEST_TMPDIR/etcdctl.out"
	run -1 on web1 echo in
	[[ $output == "$(refusal "$NAME")" ]]
	begin_on web2 --wait flock -n "$ORACLE" echo alone
	poll queue_is 2
	kill -TERM "$COMMAND"
	poll grep -q alone "$BATS_TEST_TMPDIR/web2.out"
	wait "$KEEPER"
}

@test "while a start of ours holds the name etcdctl waits, and gets in when it is free" {
	hold_on web1 sh -c "$STAYS" "$ORACLE"
	begin_etcdctl etcdctl flock -n "$ORACLE" echo alone
	poll queue_is 2
	[[ ! -s $BATS_TEST_TMPDIR/etcdctl.out ]]
	kill -TERM "$COMMAND"
	poll grep -q alone "$BATS_TEST_TMPDIR/etcdctl.out"
}

@test "those that wait, on several hosts and by etcdctl, get their turn in the order of their coming" {
	local n
	hold_on web1 sh -c "$STAYS" "$ORACLE"
	for n in 2 3 4 5 6 7; do
		# shellcheck disable=SC2016 # the command's
		set -- sh -c 'flock -n "$0" true && echo "$1" >>"$2"' "$ORACLE" "$n" "$BATS_TEST_TMPDIR/order"
		if ((n % 3 == 0)); then begin_etcdctl "web$n" "$@"; else begin_on "web$n" --wait "$@"; fi
		poll queue_is "$n"
	done
	kill -TERM "$COMMAND"
	poll queue_is 0
	[[ $(tr '\n' ' ' <"$BATS_TEST_TMPDIR/order") == "2 3 4 5 6 7 " ]]
}

@test "one that is killed while it waits holds up those behind it for no longer than a lease" {
	hold_on web1 sh -c "$STAYS" "$ORACLE"
	local holder=$COMMAND killed
	begin_on web2 --wait echo in
	killed=$KEEPER
	poll queue_is 2
	begin_on web3 --wait flock -n "$ORACLE" echo alone
	poll queue_is 3
	kill -KILL "$killed"
	kill -TERM "$holder"
	poll grep -q alone "$BATS_TEST_TMPDIR/web3.out"
	[[ ! -s $BATS_TEST_TMPDIR/web2.out ]]
}

@test "one that gives up waiting leaves its place" {
	hold_on web1 sh -c "$STAYS" "$ORACLE"
	run -1 on web2 -t 0.3 echo in
	[[ $output == "$(refusal "$NAME" "$COMMAND on web1")" ]]
	queue_is 1
}

@test "one whose key somebody deletes while it waits gets its turn all the same" {
	hold_on web1 sh -c "$STAYS" "$ORACLE"
	begin_on web2 --wait flock "$ORACLE" echo alone
	poll queue_is 2
	etcdctl del --prefix "$NAME/"
	poll grep -q alone "$BATS_TEST_TMPDIR/web2.out"
}

@test "beside a start that waits a second one on the same host is told that it waits, and not that it runs" {
	hold_on web1 sh -c "$STAYS" "$ORACLE"
	begin_on web2 --wait true
	poll queue_is 2
	run -1 on web2 true
	[[ $output =~ ^"Another '$NAME' process is waiting for its turn in the cluster (pid "[0-9]+")."$ ]]
	EXCLUSIVELOCK_DIR=$BATS_TEST_TMPDIR/web2 run -1 "$LAUNCH" -n "$NAME" true
	[[ $output == *"is waiting for its turn in the cluster (pid "* ]]
}

# requests_for COMMAND...: sets ANSWER to how many requests went by the proxy's way while COMMAND ran.
requests_for() {
	local before
	proxy_tell way count
	before=${ANSWER%% *}
	"$@"
	proxy_tell way count
	ANSWER=$((${ANSWER%% *} - before))
}

hand_over() {
	kill -TERM "$COMMAND"
	poll grep -q alone "$BATS_TEST_TMPDIR/web2.out"
}

@test "when the holder has gone the next one starts without asking anything: what it watches says all" {
	proxy_start way=0
	hold_on web1 --ttl 60 sh -c "$STAYS" "$ORACLE"
	ENDPOINTS=${WAY[way]} begin_on web2 --ttl 60 --wait sh -c 'flock -n "$0" echo alone; exec sleep 1000' "$ORACLE"
	poll queue_is 2
	poll is_watched
	requests_for hand_over
	# The watch on its own key, as the holder.
	((ANSWER <= 1)) || { echo "$ANSWER requests" && false; }
}

# Three requests of one that waits, and the watch.
is_watched() {
	proxy_tell way count
	((${ANSWER%% *} >= 4))
}

@test "one that waits in the first place, whose key is deleted together with the holder's, does not start on that" {
	local n
	hold_on web1 sh -c "$STAYS" "$ORACLE"
	begin_on web2 --wait sh -c 'echo "$EXCLUSIVELOCK_FENCE"; flock "$0" true; exec sleep 1000' "$ORACLE"
	poll queue_is 2
	for n in 1 2; do etcdctl get --prefix "$NAME/" >/dev/null; done
	etcdctl del --prefix "$NAME/"
	poll file_has_content "$BATS_TEST_TMPDIR/web2.out"
	# It has the key that it made anew.
	[[ $(etcdctl get --prefix -w fields "$NAME/") == *"\"CreateRevision\" : $(<"$BATS_TEST_TMPDIR/web2.out")"* ]]
	[[ ! -s $BATS_TEST_TMPDIR/web2.err ]]
}

@test "a command whose key somebody deletes is killed: the name is another's by then" {
	hold_on web1 sh -c "$STUBBORN" "$ORACLE"
	etcdctl del --prefix "$NAME/"
	assert_ends_with 123
	flock -n "$ORACLE" true
	grep -q deleted "$BATS_TEST_TMPDIR/web1.err"
}

@test "on the holder's own host a start is refused by the machine's lock, and no member is asked" {
	proxy_start way=0
	hold_on web1 sh -c "$STAYS" "$ORACLE"
	ENDPOINTS=${WAY[way]} run -1 on web1 echo in
	[[ $output == "$(refusal "$NAME" "$COMMAND")" ]]
	proxy_tell way count
	[[ $ANSWER == "0 0 0" ]]
}

@test "the fencing token rises with every start, whoever makes it, and is the revision that etcd made the key at" {
	local last=0 token n
	for n in 1 2 3; do
		run -0 on "web$n" printenv EXCLUSIVELOCK_FENCE
		((output > last))
		last=$output
		# shellcheck disable=SC2016 # the command's
		run -0 etcdctl lock "$NAME" -- sh -c 'echo "$ETCD_LOCK_KEY"; etcdctl get -w fields "$ETCD_LOCK_KEY"'
		token=$(sed -n 's/^"CreateRevision" : //p' <<<"$output")
		((token > last))
		last=$token
	done
	# shellcheck disable=SC2016 # the command's
	run -0 on web1 sh -c 'echo "$EXCLUSIVELOCK_FENCE"; etcdctl get --prefix -w fields "$0/"' "$NAME"
	[[ $output == *"\"CreateRevision\" : ${lines[0]}"* ]]
}
