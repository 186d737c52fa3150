#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# Tools that start helpers of their own, have locks of their own, or sandbox themselves: the same with and without the shim,
# and no helper of theirs is refused.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2153,SC2154,SC2317 # code for others; subshells; set by bats; compare calls them

load compare

setup() {
	wild_setup
	# A pause, once, for whoever starts a command of the user's choice.
	printf '#!/bin/sh\n[ -e "$GATE/reached" ] || "$GATE/gate" >&2\nexec "$@"\n' >"$GATE/through"
	chmod +x "$GATE/through"
}

teardown() {
	[[ ! -d $HOME/.gnupg ]] || GNUPGHOME=$HOME/.gnupg gpgconf --kill all
	wild_teardown
}

# A few files, the same every time.
make_tree() {
	mkdir -p tree/folder/deep
	seq 1 20000 >tree/numbers
	seq 5 | tee tree/folder/few >tree/folder/deep/few
	ln -s ../few tree/folder/deep/link
	ln tree/numbers tree/folder/hard
	chmod 640 tree/folder/few
	find tree -exec touch -h -d '2020-02-02 02:02:02 UTC' {} +
}

@test "git: hooks, a pager, a clone over its own transport, a garbage collection" {
	needs git
	ENVIRONMENT+=(GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_DATE='2020-02-02 02:02:02 +0000' GIT_COMMITTER_DATE='2020-02-02 02:02:02 +0000'
		GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b)
	prepare() {
		make_tree
		cd tree && git -c init.defaultBranch=main init -q . && git add . && git config gc.auto 0
		git config core.pager 'sed s/^/paged:/' && git config commit.gpgsign false
		printf '#!/bin/sh\necho hook runs; git log --oneline 2>&1; "$GATE/gate"\n' >.git/hooks/pre-commit
		chmod +x .git/hooks/pre-commit
	}
	files_left() { git -C "$FOLDER/tree" log --format=%H && git -C "$FOLDER/tree" status --short; }
	compare git commit -q -m first
	assert_shown '^hook runs'
	assert_shown '^go'
	assert_status 0
	prepare() {
		make_tree
		cd tree && git -c init.defaultBranch=main init -q . && git add . && env "${ENVIRONMENT[@]}" git commit -q -m first
		git config core.pager 'sed s/^/paged:/'
	}
	compare_briefly git --paginate log --stat
	assert_status 0
	files_left() { git -C copy log --format=%H; }
	compare_briefly git clone -q --no-local . copy
	assert_status 0
	files_left() { git log --format=%H && git fsck --full; }
	compare_briefly git gc -q --aggressive --prune=now
	assert_status 0
	compare_briefly script -qec 'git log --oneline' /dev/null
	assert_shown '^paged:'
}

@test "gcc: cc1, as and ld, alone and through a wrapper, with errors and in parallel" {
	needs gcc
	prepare() {
		printf '#include <stdio.h>\nint main(void) { puts("compiled"); return 0; }\n' >good.c
		printf 'int main(void) { return undeclared; }\n' >bad.c
		printf 'int other(void); int main(void) { return other(); }\n' >unlinked.c
	}
	mask() { sed -E 's!/cc[A-Za-z0-9]{6}!/cc#!g'; }
	compare gcc -wrapper "$GATE/through" -c -o good.o good.c
	assert_status 0
	compare_briefly gcc -pipe -O2 -save-temps -o program good.c
	assert_status 0
	compare_briefly gcc -flto=2 -O2 -o program good.c
	assert_status 0
	compare_briefly gcc -o program bad.c
	assert_status 1
	compare_briefly gcc -o program unlinked.c
	assert_shown 'undefined reference'
}

@test "make: jobs in parallel, makes of its own, a failing recipe" {
	needs make
	prepare() {
		mkdir below
		cat >Makefile <<-'MAKE'
			all: a b c d below gate
			a b c d:; @echo $@ >$@; $(MAKE) --no-print-directory -C below $@
			below:; @$(MAKE) --no-print-directory -C below all
			gate:; @$(GATE)/gate
			fail:; @sh -c 'exit 3'
			killed:; @sh -c 'kill -KILL $$$$'
			.PHONY: all below gate fail killed
		MAKE
		cat >below/Makefile <<-'MAKE'
			all: e f g
			%:; @echo $(origin MAKEFLAGS) $(filter -j%,$(MAKEFLAGS)) >$@; test -z "$$LD_PRELOAD" || echo preload goes on
		MAKE
	}
	compare make -s -j 4 -O
	assert_status 0
	[[ -s below/a && -s below/g ]]
	compare_briefly make -k fail killed
	assert_status 2
}

@test "tar: a compressor as its child, a pipe to itself" {
	needs tar gzip
	prepare() { make_tree; }
	compare tar -c --sort=name --owner=0 --group=0 --use-compress-program="$GATE/through gzip -n" -f tree.tgz tree
	assert_status 0
	tar -tzf tree.tgz | grep -q deep/link
	compare_briefly tar --checkpoint=10 --checkpoint-action=exec='echo $TAR_CHECKPOINT' -czf /dev/null tree
	assert_shown '^10$'
	prepare() {
		make_tree
		tar -czf tree.tgz tree
		rm -r tree
	}
	compare_briefly tar -xf tree.tgz --to-command='cat >/dev/null; echo "$TAR_REALNAME"'
	assert_shown deep/few
	compare_briefly tar -xf no-such-file
	assert_status 2
}

@test "rsync: three processes on one machine, a remote shell" {
	needs rsync
	prepare() { make_tree; }
	mask() { sed '/^sent /d; /^total size/d'; }
	# Host "env": its remote command line goes to env, as its arguments.
	compare rsync -aHv --rsh="$GATE/through" tree/ env:copy
	assert_status 0
	[[ -s copy/folder/deep/few ]]
	compare_briefly rsync -aHv --delete --partial-dir=partial tree/ copy
	assert_status 0
	compare_briefly rsync -a no-such-folder/ copy
	assert_status 23
}

@test "sqlite3: its locks on the database are its own" {
	needs sqlite3
	prepare() {
		sqlite3 data.db 'CREATE TABLE numbers(n); INSERT INTO numbers VALUES(1);'
		cat >script.sql <<-SQL
			BEGIN EXCLUSIVE;
			INSERT INTO numbers VALUES(2);
			.shell sqlite3 data.db 'INSERT INTO numbers VALUES(3)'
			.shell grep -c POSIX /proc/locks >/dev/null; $GATE/gate
			COMMIT;
			.shell sqlite3 data.db 'INSERT INTO numbers VALUES(4)'
			PRAGMA journal_mode=WAL;
			SELECT group_concat(n) FROM numbers;
			.exit 5
		SQL
	}
	compare sqlite3 data.db '.read script.sql'
	assert_shown 'database is locked'
	assert_shown '^1,2,4'
	assert_status 5
}

@test "curl: a file, an error, a server on the loopback" {
	needs curl python3
	prepare() { make_tree; }
	compare_briefly curl -sS "file://$FOLDER/tree/numbers"
	assert_status 0
	compare_briefly curl -sS "file://$FOLDER/no-such-file"
	assert_status 37
	start_server
	# Its progress meter tells speeds, whatever it is asked to be silent about.
	mask() { sed '/--:--/d'; }
	compare curl -sS --no-buffer "http://127.0.0.1:$PORT/gate" "http://127.0.0.1:$PORT/numbers"
	assert_status 0
	assert_shown '^go'
	assert_shown '^20000'
	compare_briefly curl -sS --parallel -f "http://127.0.0.1:$PORT/numbers" -o one "http://127.0.0.1:$PORT/missing" -o two
	assert_status 22
}

# A server on a free port. What it gives for /gate waits at the gate. Sets PORT.
start_server() {
	GATE=$GATE python3 "$WORKLOADS/server.py" >"$BATS_TEST_TMPDIR/port" 2>/dev/null 3>&- &
	ENDLATER+=("$!")
	poll file_has_content "$BATS_TEST_TMPDIR/port"
	PORT=$(<"$BATS_TEST_TMPDIR/port")
}

@test "gpg: its agent stays behind, holds no lock, and is not refused" {
	needs gpg gpgconf gpg-connect-agent
	mask() { sed -E 's/[0-9A-F]{40}/FINGERPRINT/g; s/key [0-9A-F]{16}/key #/'; }
	files_left() { :; }
	# One of the last run's that is still ending would take away the sockets of this run's.
	no_agent() {
		local pid
		for pid in $(pgrep -x gpg-agent); do
			! tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | grep -qxF "HOME=$HOME" || { kill "$pid"; return 1; }
		done
	}
	prepare() {
		wait_for no_agent
		mkdir -m 700 "$HOME/.gnupg"
		seq 10 >numbers
	}
	compare_briefly gpg --batch --passphrase '' --quick-generate-key someone ed25519 sign never
	assert_status 0
	# The last run's agent is still there, and outlives its starter.
	GNUPGHOME=$HOME/.gnupg gpg-connect-agent --no-autostart 'GETINFO pid' /bye | grep -qx 'D [0-9]*'
	prepare() {
		wait_for no_agent
		seq 10 >numbers
		mkdir -m 700 "$HOME/.gnupg"
		env "${ENVIRONMENT[@]}" gpg -q --batch --passphrase '' --quick-generate-key someone ed25519 sign never 2>/dev/null
		wait_for no_agent
		mkfifo signed
		{ cat numbers && "$GATE/gate" >/dev/null; } >signed 3>&- &
		ENDLATER+=("$!")
	}
	mask() { sed '/^[A-Za-z0-9+/=]\{20,\}$/d; /^=/d'; }
	compare gpg --batch --clearsign --output - signed
	assert_status 0
	assert_shown 'BEGIN PGP SIGNATURE'
}

@test "man: a pipeline of children under a seccomp filter" {
	needs man
	prepare() {
		printf '.TH WILD 1\n.SH NAME\nwild \\- a page\n.SH TABLE\n.TS\nl l.\na\tb\n.TE\n' >wild.1
		gzip -kn wild.1
	}
	# Comes before Debian's tbl, in the middle of the pipeline.
	mkdir "$BATS_TEST_TMPDIR/bin"
	printf '#!/bin/sh\nexec "$GATE/through" /usr/bin/tbl "$@"\n' >"$BATS_TEST_TMPDIR/bin/tbl"
	chmod +x "$BATS_TEST_TMPDIR/bin/tbl"
	ENVIRONMENT+=("MANPATH=$FOLDER" "PATH=$BATS_TEST_TMPDIR/bin:$PATH")
	compare man -l wild.1.gz
	assert_status 0
	assert_shown 'a page'
	ENVIRONMENT+=("PATH=$PATH" SOURCE_DATE_EPOCH=0)
	compare_briefly man -t -l wild.1
	assert_status 0
	compare_briefly man no-such-page
	assert_status 16
	compare_briefly script -qec 'man -P cat -l wild.1' /dev/null
	assert_shown 'a page'
}

@test "file: types, inside compressed files, from a pipe that is not yet full" {
	needs file
	prepare() {
		make_tree
		cp /bin/true program
		tar -cf - tree | gzip -n >tree.tgz
		mkfifo fifo
		{ seq 9 && "$GATE/gate" >/dev/null; } >fifo 3>&- &
		ENDLATER+=("$!")
	}
	INPUT=$FOLDER/fifo
	# The gate is before the program here, which may not have begun yet.
	guarded_pid() {
		poll grep -qsx "$1" "$(lock_file wild)"
		echo "$1"
	}
	compare file -z -s program tree.tgz tree/numbers tree/folder/deep/link no-such-file -
	assert_status 0
	assert_shown 'gzip compressed'
}

@test "gpg-agent: as a daemon it holds its name after its starter has left, until it is told to go" {
	needs gpg-agent gpgconf gpg-connect-agent
	mkdir -p "$HOME"
	mkdir -m 700 "$HOME/.gnupg"
	export GNUPGHOME=$HOME/.gnupg EXCLUSIVELOCK_NAME=agent
	run -0 guarded gpg-agent --daemon --quiet true
	run -0 gpg-connect-agent --no-autostart 'GETINFO pid' /bye
	agent=$(sed -n 's/^D //p' <<<"$output")
	ENDLATER+=("$agent")
	if cat "/proc/$agent/maps" >/dev/null 2>&1; then
		assert_refused agent "$agent"
	else
		# It hides what it maps from all but root, and so who it is that holds.
		run -1 env LD_PRELOAD="$SHIM" touch intruder
		[[ $output == "$(refusal agent)" ]]
	fi
	gpgconf --kill gpg-agent
	poll process_has_ended "$agent"
	assert_free agent
}
