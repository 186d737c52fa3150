# SPDX-License-Identifier: MIT
# What every topic finds, whoever runs the tests, and wherever: bats reads this before the first one.

# shellcheck shell=bash disable=SC2034,SC2154,SC2317 # for bats; set and called by it

# What a path may consist of, so that the loader preloads from there, and any shell takes it as it is.
PLAIN_PATH='^[A-Za-z0-9/._+-]*$'

# bats cannot do it: a shell keeps ignoring what was ignored when it began, as SIGINT is in the background of a script.
bats-exec-file() { env --default-signal "$BATS_LIBEXEC/bats-exec-file" "$@" </dev/null; }

# The limits that may be too high or too low; one that the caller has set for good is not raised.
settle_limits() {
	ulimit -Sc 0
	ulimit -Sn 1024 2>/dev/null || ulimit -Sn "$(ulimit -Hn)"
	ulimit -Ss 8192 2>/dev/null || ulimit -Ss "$(ulimit -Hs)"
}

# LD_LIBRARY_PATH: "meson test" names its build folder there, and a program of another build would load that one's library.
settle_environment() {
	local variable
	for variable in LANG LANGUAGE ${!LC_@} CDPATH LD_LIBRARY_PATH; do
		unset "$variable" 2>/dev/null
	done
	export TZ=UTC
	umask 022
}

# Where every test's folder is.
settle_folder() {
	[[ ! $TMPDIR$BATS_RUN_TMPDIR =~ $PLAIN_PATH ]] || return 0
	export TMPDIR=/tmp BATS_TMPDIR=/tmp
	BATS_RUN_TMPDIR=$(mktemp -d /tmp/bats-run-XXXXXX)
	teardown_suite() { rm -rf "$BATS_RUN_TMPDIR"; }
}

# Whether the loader preloads from FOLDER, which others may read as well.
serves_all() { [[ $1 =~ $PLAIN_PATH && -z $(find "$1/libexlock.so" "$1/tests/launcher" ! -perm -005) ]]; }

# What is built is used where it is, or else in a copy.
settle_build() {
	local build=${EXLOCK_BUILD:-${BASH_SOURCE[0]%/*}/../build}
	build=$(cd "$build" && pwd)
	export EXLOCK_CONFIGURED=$build EXLOCK_BUILD=$build
	[[ -x $build/tests/launcher ]] || {
		echo "no tests are built in $build: meson configure -Dtests=true there, then ninja"
		return 1
	}
	if serves_all "$build"; then return 0; fi
	EXLOCK_BUILD=$BATS_RUN_TMPDIR/build
	mkdir "$EXLOCK_BUILD"
	(cd "$build" && find . -maxdepth 3 ! -type d \( -perm -u+x -o -name '*.so*' \) -exec cp -d --parents -t "$EXLOCK_BUILD" {} +)
	mkdir "$EXLOCK_BUILD/built"
	mv "$EXLOCK_BUILD/exlock-launch" "$EXLOCK_BUILD/built"
	cp "$EXLOCK_BUILD/tests/launcher" "$EXLOCK_BUILD/exlock-launch"
	chmod -R a+rX "$EXLOCK_BUILD"
}

setup_suite() {
	settle_environment
	settle_limits
	settle_folder
	settle_build
}
