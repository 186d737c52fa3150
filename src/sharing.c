// SPDX-License-Identifier: MIT
#include "sharing.h"

#include "loader.h"
#include "scratch.h"
#include "text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

// Of a directory not more links than this are read: it is about a warning only.
#define LINKS_MAX 4096
#define ENTRIES_SIZE (SCRATCH_SIZE - PATH_MAX)

// Each word is a name without its version (python3.11 is python), or with a * how a name begins.
#define SHELLS "sh:bash:rbash:dash:ash:ksh:ksh93u+m:mksh:oksh:yash:zsh:fish:csh:tcsh:rc:es:elvish:nu:xonsh:pwsh:powershell:"
#define INTERPRETERS "python:pypy:ipython:perl:ruby:jruby:irb:node:nodejs:deno:bun:java:jshell:kotlin:scala:groovy:clojure:php:hhvm:lua:luajit:" \
		     "tclsh:wish:expect:R:Rscript:julia:octave:octave-cli:awk:gawk:mawk:nawk:original-awk:ghci:runghc:runhaskell:guile:sbcl:clisp:racket:" \
		     "swipl:erl:escript:elixir:iex:gjs:mono:mono-sgen:dotnet:wine:wine-stable:wine-development:box64:qemu-*:"
#define RUNNERS "make:gmake:just:npm:npx:pnpm:pnpx:yarn:bunx:uv:uvx:pipx:pipenv:poetry:conda:mamba:micromamba:bundle:rake:cargo:go:tox:nox:ant:mvn:" \
		"gradle:parallel:xargs:run-parts:chronic:cronic:watch:entr:run-one:run-this-one:keep-one-running:hyperfine:logsave:"
#define USERS "sudo:su:doas:runuser:setpriv:pkexec:gosu:su-exec:chpst:s6-setuidgid:setuidgid:sg:newgrp:capsh:"
#define MODIFIERS "nice:ionice:chrt:taskset:numactl:nohup:setsid:timeout:time:stdbuf:unbuffer:script:env:prlimit:setarch:softlimit:s6-softlimit:" \
		  "cpulimit:cgexec:choom:uclampset:coresched:catchsegv:faketime:eatmydata:proxychains:torsocks:torify:tsocks:"
#define SUPERVISORS "start-stop-daemon:daemonize:daemon:tini:tini-static:dumb-init:catatonit:execlineb:systemd-run:systemd-cat:systemd-inhibit:flock:" \
		    "setlock:s6-setlock:lckdo:solo:exlock-launch:"
#define PLACES "chroot:unshare:nsenter:bwrap:firejail:fakeroot:fakeroot-sysv:fakeroot-tcp:fakeroot-ng:fakechroot:pseudo:proot:schroot:nsjail:minijail:systemd-nspawn:machinectl:docker:" \
	       "podman:nerdctl:kubectl:lxc:lxc-attach:incus:flatpak:snap:apptainer:singularity:ssh:sshpass:autossh:mosh:rsh:"
#define TERMINALS "screen:tmux:byobu:dtach:abduco:xvfb-run:dbus-run-session:dbus-launch:ssh-agent:"
#define DEBUGGERS "strace:ltrace:gdb:lldb:valgrind:perf:rr:uftrace:"
// Programs of many names, which they are called by.
#define MANY_NAMES "busybox*:toybox*:coreutils*:uutils*:pg_wrapper:"
#define MORE_OF_MANY_NAMES "snap:rustup:volta-shim:mise:systemctl:xtables-legacy-multi:xtables-nft-multi:mtools:"

static bool is_word(const char *words, const char *path)
{
	const char *name = text_basename(path);
	size_t length = strlen(name);

	while (length > 1 && ((name[length - 1] >= '0' && name[length - 1] <= '9') || name[length - 1] == '.' || name[length - 1] == '-'))
		length--;
	for (const char *at = words, *end; *at; at = end + 1) {
		end = at + strcspn(at, ":");
		size_t size = (size_t)(end - at) - (end[-1] == '*');

		if (*at == *name && (end[-1] == '*' ? length >= size : length == size) && memcmp(at, name, size) == 0)
			return true;
	}
	return false;
}

static bool is_runner(const char *path)
{
	return is_word(SHELLS INTERPRETERS RUNNERS USERS MODIFIERS SUPERVISORS PLACES TERMINALS DEBUGGERS MANY_NAMES, path) || loader_is(path);
}

// Whether NAME in FOLDER is a link to TARGET, of LENGTH.
static bool leads_to(int folder, const char *name, const char *target, ssize_t length)
{
	char *other = scratch_get();
	bool same = other && readlinkat(folder, name, other, PATH_MAX) == length && memcmp(other, target, (size_t)length) == 0;

	scratch_free(other);
	return same;
}

// Whether one of the entries in MEMORY, SIZE bytes of them, is a link to TARGET that is not called NAME. LEFT: how many links may be read.
static bool search(int folder, const char *memory, ssize_t size, const char *name, const char *target, ssize_t length, int *left)
{
	const struct dirent64 *entry;

	for (ssize_t at = 0; at < size && *left > 0; at += entry->d_reclen) {
		entry = (const void *)(memory + at);
		if (entry->d_type != DT_LNK || strcmp(entry->d_name, name) == 0)
			continue;
		--*left;
		if (leads_to(folder, entry->d_name, target, length))
			return true;
	}
	return false;
}

// Whether FILE is a link, and beside it there is another one with the same text. A link is not followed: it may lead to a file server that
// does not answer.
static bool has_sibling(const char *file, char memory[SCRATCH_SIZE])
{
	char *target = memory, *entries = memory + PATH_MAX;
	const char *name = text_basename(file);
	struct text folder_path = text_in(entries, ENTRIES_SIZE);
	ssize_t length = readlinkat(AT_FDCWD, file, target, PATH_MAX), size;
	int folder, left = LINKS_MAX;
	bool found = false;

	if (length <= 0)
		return false;
	text_bytes(&folder_path, file, (size_t)(name - file));
	text_add(&folder_path, ".");
	folder = openat(AT_FDCWD, entries, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder == -1)
		return false;
	while (!found && left > 0 && (size = getdents64(folder, entries, ENTRIES_SIZE)) > 0)
		found = search(folder, entries, size, name, target, length, &left);
	(void)close(folder);
	return found;
}

enum sharing sharing_find(const char *file, const char *program, bool arguments)
{
	bool other_name = strcmp(text_basename(file), text_basename(program)) != 0;
	enum sharing sharing = SHARING_NONE;
	char *memory;

	if (other_name && is_word(MANY_NAMES MORE_OF_MANY_NAMES, program))
		return SHARING_LINKS;
	if (arguments && (is_runner(program) || (other_name && is_runner(file))))
		return SHARING_RUNNER;
	if (other_name && (memory = scratch_get()) != NULL) {
		sharing = has_sibling(file, memory) ? SHARING_LINKS : SHARING_NONE;
		scratch_free(memory);
	}
	return sharing;
}
