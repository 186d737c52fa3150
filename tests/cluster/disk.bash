# SPDX-License-Identifier: MIT
# Members of a cluster that keep their data on disks of their own, which freeze.py can stop.

# shellcheck shell=bash disable=SC2154 # set by bats and etcd.bash

disk_needed() {
	[[ $EUID -eq 0 ]] || lacks "needs root" || return
	command -v mkfs.ext4 >/dev/null || lacks "needs mkfs.ext4 (Debian: e2fsprogs)" || return
}

# Whether there may be such disks here.
disk_can_be_had() {
	# shellcheck disable=SC2016 # the shell's in there
	[[ $EUID -eq 0 ]] && command -v mkfs.ext4 >/dev/null && truncate -s 8M "$ETCD/probe" && mkfs.ext4 -q "$ETCD/probe" &&
		in_mount_namespace 'mount -o loop "$1" /mnt' "$ETCD/probe" 2>/dev/null && rm "$ETCD/probe"
}

# Member N keeps its data on a disk of its own that can be frozen: a file, mounted where the member alone sees it.
put_on_disk() {
	local folder=$ETCD/$1
	member_end "$1"
	truncate -s 400M "$folder/disk"
	mkfs.ext4 -q "$folder/disk"
	# shellcheck disable=SC2016 # the shell's in there
	in_mount_namespace 'mount -o loop "$1/disk" /mnt && cp -a "$1/data/." /mnt' "$folder" 2>/dev/null || return
	mv "$folder/run" "$folder/begin"
	# shellcheck disable=SC2016
	printf '#!/bin/sh\nexec unshare --mount sh -euc '\''mount -o loop "$1/disk" "$1/data"; chmod 700 "$1/data"; exec sh "$1/begin"'\'' sh %q\n' \
		"$folder" >"$folder/run"
	member_start "$1"
	poll member_is_healthy "$1"
}
