# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# For quickstart and check: what they need from the distribution.

# What the build needs.
# shellcheck disable=SC2034 # whoever reads this file uses it
BUILD_PACKAGES='gcc libc6-dev meson ninja-build pkg-config libbsd-dev libjansson-dev libmd-dev scdoc'

# Prints those of the packages named that are not installed.
missing_packages() {
	for package; do
		status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) || status=none
		[ "$status" = installed ] || printf '%s ' "$package"
	done
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
	as_root=
	[ "$(id -u)" -eq 0 ] || as_root=sudo
	# shellcheck disable=SC2086 # $as_root may be nothing, $missing is a list
	{
		$as_root apt-get --quiet update
		$as_root env DEBIAN_FRONTEND=noninteractive apt-get --quiet --yes --no-install-recommends install $missing
	} >&2 </dev/null
}
