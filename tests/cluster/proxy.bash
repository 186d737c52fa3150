# SPDX-License-Identifier: MIT
# The fault proxy (faultproxy.c) for a topic: ways NAME of its own to members of the cluster.

# shellcheck shell=bash disable=SC2034,SC2154 # read by the topics; set by bats

# proxy_start NAME=MEMBER...: sets WAY[NAME] to the URL of a way to the member of that number. It ends with the test.
proxy_start() {
	local way name port ways=()
	declare -gA WAY=()
	for way; do
		port=$(<"$ETCD/${way#*=}/client")
		ways+=("${way%=*}=${port##*:}")
	done
	coproc PROXY { exec "$HELPERS/faultproxy" "${ways[@]}" 3>&-; }
	while read -r name port <&"${PROXY[0]}" && [[ $name != . ]]; do
		WAY[$name]=http://127.0.0.1:$port
	done
}

# proxy_tell PATTERN TREATMENT: what faultproxy.c says. Sets ANSWER.
proxy_tell() {
	echo "$*" >&"${PROXY[1]}"
	read -r ANSWER <&"${PROXY[0]}"
}
