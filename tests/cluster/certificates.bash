# SPDX-License-Identifier: MIT
# Certificates for the loopback, signed by an authority that is made for the topic.

# shellcheck shell=bash

# certificate_authority FOLDER: FOLDER/ca.crt and ca.key.
certificate_authority() {
	mkdir -p "$1"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "/CN=${1##*/} authority" \
		-keyout "$1/ca.key" -out "$1/ca.crt" 2>/dev/null
}

# certificate FOLDER NAME [SUBJECT]: FOLDER/NAME.crt and NAME.key, for a server and for a client: etcd's gateway is a client of its own server.
certificate() {
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "${3:-/CN=$2}" -keyout "$1/$2.key" -out "$1/$2.csr" 2>/dev/null
	printf 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n' >"$1/$2.ext"
	openssl x509 -req -in "$1/$2.csr" -CA "$1/ca.crt" -CAkey "$1/ca.key" -CAcreateserial -days 2 -extfile "$1/$2.ext" \
		-out "$1/$2.crt" 2>/dev/null
}
