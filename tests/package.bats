# SPDX-License-Identifier: MIT
# The Debian package: built, looked at by lintian, installed, used and removed, on a system that is thrown away. And the
# source tarball.

# shellcheck disable=SC2016 # $ is for the shell inside

load test_helper

# Builds the package from a copy of what git knows of.
build_package() {
	local tree=$PACKAGES/exlock file
	mkdir "$tree"
	cd "$BATS_TEST_DIRNAME/.." || return
	git ls-files -z | while read -r -d '' file; do
		[[ ! -e $file ]] || cp --parents "$file" "$tree"
	done
	cd "$tree" || return
	env -u CC -u MAKEFLAGS dpkg-buildpackage -b -us -uc >"$PACKAGES/log" 2>&1
}

setup_file() {
	export PACKAGES=$BATS_FILE_TMPDIR
	[[ -x /usr/bin/dh && -x /usr/bin/scdoc && -x /usr/bin/lintian ]] || return 0
	git -C "$BATS_TEST_DIRNAME" rev-parse >/dev/null 2>&1 || return 0
	if ! (build_package); then
		cat "$PACKAGES/log"
		return 1
	fi
}

setup() {
	clean_environment
}

needs_package() {
	[[ -d $PACKAGES/exlock ]] || skip "needs a git checkout, debhelper, scdoc and lintian"
}

# A package, and a copy of this system that is gone afterwards: whatever is written goes into memory.
needs_copy() {
	needs_package
	[[ $EUID -eq 0 ]] || skip "needs root"
	on_a_copy true || {
		[[ $? -ne 77 ]] || skip "needs overlayfs"
		return 1
	}
}

# Runs a line of shell as root on such a copy.
on_a_copy() {
	unshare --mount sh -euc '
		mount -t tmpfs none /mnt
		mkdir /mnt/upper /mnt/work /mnt/root
		mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work none /mnt/root 2>/dev/null || exit 77
		for file in proc sys dev; do mount --rbind "/$file" "/mnt/root/$file"; done
		mount -t tmpfs none /mnt/root/run
		mkdir -p /mnt/root/run/lock /mnt/root/packages
		mount --bind "$1" /mnt/root/packages
		# The index of all manual pages would be made anew at each install (man-db.postinst).
		[ ! -e /usr/bin/mandb ] || ln -sf /bin/true /mnt/root/usr/bin/mandb
		exec chroot /mnt/root sh -euc "$2"' sh "$PACKAGES" "$1"
}

@test "lintian finds no errors in the package" {
	needs_package
	run -0 lintian --fail-on error --allow-root "$PACKAGES"/*.changes
	[[ $output != *"E: "* ]]
}

@test "the package can be installed, used, and removed without a trace" {
	needs_copy
	run -0 on_a_copy '
		unset EXCLUSIVELOCK_DIR
		dpkg -i /packages/exlock_*.deb >/dev/null
		LD_PRELOAD=libexlock.so EXCLUSIVELOCK_NAME=by-name sh -c "
			LD_PRELOAD=libexlock.so EXCLUSIVELOCK_INSTANCE= EXCLUSIVELOCK_NAME=other sh -c \"echo preloaded \\\$EXCLUSIVELOCK_LOCKFILE\"
			exlockctl status by-name >/dev/null && echo held"
		exlock-launch -n job sh -c "setsid --wait exlock-launch -n other true; exlockctl status job"
		exlock-launch --version
		dpkg -r exlock >/dev/null
		dpkg -L exlock 2>/dev/null | grep -c . || :
		find /usr \( -name "*exlock*" -o -name "*exclusivelock*" \) 2>/dev/null || :'
	[[ $output == *"preloaded $(lock_file other /var/lock)"* && $output == *held* ]]
	[[ $output == *"job: held by pid "* && $output == *"exlock-launch 0."* ]]
	[[ ${lines[-1]} == 0 ]]
}

@test "the package makes /run/lock for all users where there is none, and leaves one that is there as it is" {
	needs_copy
	command -v systemd-tmpfiles >/dev/null || skip "no systemd-tmpfiles"
	run -0 on_a_copy '
		unset EXCLUSIVELOCK_DIR
		create() { systemd-tmpfiles --create /usr/lib/tmpfiles.d/zz-exlock.conf; stat -c "%a %u" /run/lock; }
		rmdir /run/lock
		dpkg -i /packages/exlock_*.deb >/dev/null
		[ ! -d /run/lock ] || rmdir /run/lock
		create
		chmod 755 /run/lock
		create
		rm /var/lock
		create
		exlock-launch -n job -p'
	[[ $output == $'1777 0\n755 0\n755 0\n/var/lock/'"$LOCK_PREFIX"job.lock ]] || { echo "$output"; false; }
}

@test "a program can be built against the development package" {
	needs_copy
	run -0 on_a_copy '
		dpkg -i /packages/libexclusivelock1_*.deb /packages/libexclusivelock-dev_*.deb >/dev/null
		cd /mnt && gcc -o once /packages/exlock/tests/examples/once.c $(pkg-config --cflags --libs exclusivelock)
		EXCLUSIVELOCK_DIR=/mnt ./once </dev/null
		gcc -static -o static /packages/exlock/tests/examples/once.c $(pkg-config --static --cflags --libs exclusivelock)
		EXCLUSIVELOCK_DIR=/mnt ./static </dev/null
		ls /usr/include/exclusivelock.h /usr/include/exclusivelock.hpp'
	[[ ${lines[0]} == "the only one" && ${lines[1]} == "the only one" ]]
}

@test "the bare name in LD_PRELOAD guards on a system with the package" {
	needs_copy
	run -1 on_a_copy '
		unset EXCLUSIVELOCK_DIR
		dpkg -i /packages/exlock_*.deb >/dev/null
		mkfifo /mnt/go
		exlock-launch -n one cat /mnt/go & holder=$!
		for try in $(seq 5000); do ! exlockctl status one >/dev/null || break; done
		status=0
		LD_PRELOAD=libexlock.so EXCLUSIVELOCK_NAME=one touch /mnt/intruder || status=$?
		[ ! -e /mnt/intruder ] && kill $holder && exit $status'
	[[ $output == $(refusal one '*') ]]
}

@test "meson dist makes a tarball that has everything the build needs" {
	git -C "$SOURCE" rev-parse >/dev/null 2>&1 || skip "needs a git checkout"
	run -0 meson dist -C "$BUILD" --no-tests --allow-dirty --formats gztar
	cd "$BATS_TEST_TMPDIR"
	tar xzf "$BUILD"/meson-dist/exlock-*.tar.gz
	rm -r "$BUILD/meson-dist"
	# What is there is tried, not the code.
	CFLAGS=-O0 meson setup made exlock-*/ >/dev/null
	ninja -C made libexlock.so exlock-launch >/dev/null
	[[ -s made/libexlock.so ]]
}
