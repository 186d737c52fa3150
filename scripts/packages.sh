# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# For quickstart and check: what they need from the distribution.

# What the build needs.
# shellcheck disable=SC2034 # whoever reads this file uses it
BUILD_PACKAGES='gcc libc6-dev meson ninja-build pkg-config libbsd-dev libcurl4-openssl-dev libjansson-dev libmd-dev scdoc'

# Prints those of the packages named that are not installed.
missing_packages() {
	for package; do
		status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) || status=none
		[ "$status" = installed ] || printf '%s ' "$package"
	done
}

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

# Installs what is missing of the packages named; says what it does on standard error.
install_packages() {
	command -v dpkg-query >/dev/null || {
		echo "No Debian here; needed: $*" >&2
		return 0
	}
	missing=$(missing_packages "$@")
	[ -n "$missing" ] || return 0
	echo "Installing $missing" >&2
	# shellcheck disable=SC2086 # a list
	{
		as_root apt-get --quiet update
		as_root env DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes --no-install-recommends install $missing
	} >&2 </dev/null
}

# The same for packages with servers in them, which are only to be looked at: none is started.
install_without_services() {
	policy=/usr/sbin/policy-rc.d
	made=
	[ -n "$(missing_packages "$@")" ] || return 0
	if [ ! -e "$policy" ]; then
		made=yes
		# shellcheck disable=SC2016 # the inner shell's
		as_root sh -c 'printf "#!/bin/sh\nexit 101\n" >"$1" && chmod 755 "$1"' sh "$policy"
	fi
	status=0
	install_packages "$@" || status=$?
	[ -z "$made" ] || as_root rm -f "$policy"
	return "$status"
}
