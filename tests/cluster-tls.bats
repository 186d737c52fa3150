# SPDX-License-Identifier: MIT
# A cluster that talks TLS, and wants its clients' certificates.

# shellcheck disable=SC2030,SC2031 # every test is a subshell

load test_helper
load cluster/certificates
load cluster/etcd
load cluster/hosts

setup_file() {
	etcd_needed || return 0
	command -v openssl >/dev/null || lacks "needs openssl" || return 0
	etcd_make_folder
	certificate_authority "$ETCD/ours"
	certificate "$ETCD/ours" member
	certificate "$ETCD/ours" web1
	certificate_authority "$ETCD/foreign"
	certificate "$ETCD/foreign" web1
	printf 'cacert = "%s"\ncert = "%s"\nkey = "%s"\n' "$ETCD/ours/ca.crt" "$ETCD/ours/web1.crt" "$ETCD/ours/web1.key" >"$ETCD/curlrc"
	etcd_start 1 https --cert-file "$ETCD/ours/member.crt" --key-file "$ETCD/ours/member.key" --client-cert-auth \
		--trusted-ca-file "$ETCD/ours/ca.crt"
	export ETCDCTL_CACERT=$ETCD/ours/ca.crt ETCDCTL_CERT=$ETCD/ours/web1.crt ETCDCTL_KEY=$ETCD/ours/web1.key
}

setup() {
	cluster_environment
	OURS=(--cacert "$ETCD/ours/ca.crt" --cert "$ETCD/ours/web1.crt" --key "$ETCD/ours/web1.key")
}

@test "with the authority, a certificate and its key, by options, a start gets in and keeps others out, etcdctl included" {
	hold_on web1 "${OURS[@]}" sh -c "$STAYS" "$ORACLE"
	lease_passes
	run -1 on web2 "${OURS[@]}" echo in
	[[ $output == "$(refusal "$NAME" "$COMMAND on web1")" ]]
	etcdctl lock "$NAME" -- flock -n "$ORACLE" echo alone >"$BATS_TEST_TMPDIR/etcdctl.out" 3>&- &
	ENDLATER+=("$!")
	poll queue_is 2
	kill -TERM "$COMMAND"
	poll grep -q alone "$BATS_TEST_TMPDIR/etcdctl.out"
}

@test "they may come from the environment" {
	export EXCLUSIVELOCK_CLUSTER_CACERT=$ETCD/ours/ca.crt EXCLUSIVELOCK_CLUSTER_CERT=$ETCD/ours/web1.crt
	export EXCLUSIVELOCK_CLUSTER_KEY=$ETCD/ours/web1.key
	run -0 on web1 echo in
	[[ $output == in ]]
}

@test "a member whose certificate another authority has signed is not trusted: nothing is started" {
	OURS[1]=$ETCD/foreign/ca.crt
	assert_not_let_in certificate "${OURS[@]}"
}

@test "nor is one where no authority is named that the machine does not know" {
	assert_not_let_in certificate "${OURS[@]:2}"
}

# The last one begun on HOST, by ENDPOINT, ends without having started anything, and says so.
assert_was_not_let_in() {
	assert_ends_with 125
	grep -q "^exlock: .*$2: " "$BATS_TEST_TMPDIR/$1.err"
	file_is_gone "$BATS_TEST_TMPDIR/started"
}

# All at once: each tries for a while.
@test "without a certificate, with one of another authority, or without TLS nobody gets in" {
	local plain=http://${ETCDCTL_ENDPOINTS#https://} first second
	begin_on web1 --cacert "$ETCD/ours/ca.crt" touch "$BATS_TEST_TMPDIR/started"
	first=$KEEPER
	OURS[3]=$ETCD/foreign/web1.crt
	OURS[5]=$ETCD/foreign/web1.key
	begin_on web2 "${OURS[@]}" touch "$BATS_TEST_TMPDIR/started"
	second=$KEEPER
	ENDPOINTS=$plain begin_on web3 touch "$BATS_TEST_TMPDIR/started"
	assert_was_not_let_in web3 "$plain"
	KEEPER=$first assert_was_not_let_in web1 "$ETCDCTL_ENDPOINTS"
	KEEPER=$second assert_was_not_let_in web2 "$ETCDCTL_ENDPOINTS"
}

@test "a file that cannot be read is named" {
	OURS[3]=$BATS_TEST_TMPDIR/missing
	run -125 on web1 "${OURS[@]}" echo in
	[[ $output == *"$BATS_TEST_TMPDIR/missing"*"No such file or directory"* ]]
}

# One that has a passphrase, and does not say so in its first lines.
@test "a key with a passphrase is an error: nobody is asked for it" {
	openssl pkey -in "$ETCD/ours/web1.key" -aes256 -passout pass:secret -out "$BATS_TEST_TMPDIR/protected.key"
	OURS[5]=$BATS_TEST_TMPDIR/protected.key
	run -125 on web1 "${OURS[@]}" echo in
	[[ $output == "exlock: EXCLUSIVELOCK_CLUSTER_KEY='${OURS[5]}': is protected by a passphrase, "* ]]
	OURS[5]=$BATS_TEST_TMPDIR/late.key
	{ printf '#%.0s' {1..600} && echo && cat "$BATS_TEST_TMPDIR/protected.key"; } >"${OURS[5]}"
	# With a terminal, at which it would be asked for.
	run -125 timeout 20 script -qefc "$(printf '%q ' "$LAUNCH" --cluster="$ETCDCTL_ENDPOINTS" -n "$NAME" "${OURS[@]}" echo in)" /dev/null </dev/null
	[[ $output == *"unable to set private key file"* && $output != *"pass phrase"* ]]
}

# Client certificates and users together, as etcd 3.4 has them.
@test "where there are users a certificate with a name is refused, in etcd's words, and one without a name is good beside a user and password" {
	local root=(etcdctl --user root:toor)
	etcdctl user add root:toor
	etcdctl user grant-role root root
	etcdctl auth enable
	echo toor >"$BATS_TEST_TMPDIR/password"
	run on web1 "${OURS[@]}" --cluster-user root --password-file "$BATS_TEST_TMPDIR/password" echo in
	certificate "$ETCD/ours" nameless /O=jobs
	OURS[3]=$ETCD/ours/nameless.crt
	OURS[5]=$ETCD/ours/nameless.key
	local named=$status said=$output
	run on web1 "${OURS[@]}" --cluster-user root --password-file "$BATS_TEST_TMPDIR/password" echo in
	"${root[@]}" auth disable
	((named == 125))
	[[ $said == *"$ETCDCTL_ENDPOINTS: does not answer as etcd's JSON gateway (/v3) does: CommonName of client"* ]]
	((status == 0))
	[[ $output == in ]]
}
