# SPDX-License-Identifier: MIT
# A gateway (gateway.py) for a topic, in the place of etcd's own.

# shellcheck shell=bash disable=SC2034,SC2154 # read by the topics; set by bats

# gateway_start [PATH=TREATMENT...]: sets ENDPOINTS to one before member 0, and ASKED to the file of what it was asked. It ends with the test.
gateway_start() {
	ASKED=$BATS_TEST_TMPDIR/asked
	rm -f "$ASKED"
	/usr/bin/python3 "$BATS_TEST_DIRNAME/cluster/gateway.py" "$(<"$ETCD/0/client")" "$@" >"$ASKED" 3>&- &
	ENDLATER+=("$!")
	poll file_has_content "$ASKED"
	ENDPOINTS=http://127.0.0.1:$(head -n 1 "$ASKED")
}
