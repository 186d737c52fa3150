# SPDX-License-Identifier: MIT
# libexclusivelock for those who build programs with it: what the header promises, the ABI, the static library, C++, Python, pkg-config.

# shellcheck disable=SC2030,SC2031 # every test is a subshell

load test_helper

setup() {
	clean_environment
	[[ -x $HELPERS/api ]] || skip "libexclusivelock was not built"
	ENDLATER=()
	cd "$BATS_TEST_TMPDIR" || return
}

teardown() { end_processes; }

# Compiles the function BODY of a program that includes the header, with the options.
compile() {
	printf '#include <exclusivelock.h>\n#include <stdlib.h>\nint f(const char *name);\nint f(const char *name) { %s }\n' "$1" >code.c
	shift
	gcc -Wall -Wextra -Wpedantic -Werror -I "$SOURCE/src" "$@" -c code.c -o code.o
}

@test "the header says what programs of version 1 were built against, in C and C++" {
	local compiler
	for compiler in 'gcc -std=c11' 'clang++ -x c++ -std=c++20'; do
		command -v "${compiler%% *}" >/dev/null || continue
		# shellcheck disable=SC2086 # a list
		$compiler -Wall -Wextra -Werror -Wno-pragmas -I "$SOURCE/src" -fsyntax-only "$BATS_TEST_DIRNAME/abi/exclusivelock_1.c"
	done
	# It would say so if the header were another one.
	mkdir changed
	sed 's/int exclusivelock_release/long exclusivelock_release/' "$SOURCE/src/exclusivelock.h" >changed/exclusivelock.h
	run ! gcc -I changed -fsyntax-only "$BATS_TEST_DIRNAME/abi/exclusivelock_1.c"
	sed 's/double patience;/float patience;/' "$SOURCE/src/exclusivelock.h" >changed/exclusivelock.h
	run ! gcc -I changed -fsyntax-only "$BATS_TEST_DIRNAME/abi/exclusivelock_1.c"
}

@test "the library exports what is recorded, under its version, and it is all that the header declares" {
	local recorded declared
	recorded=$(sed -n 's/^ \(exclusivelock_[^ ]*\)@\(EXCLUSIVELOCK_[0-9]*\) .*/\1@@\2/p' "$SOURCE/debian/libexclusivelock1.symbols" | sort)
	[[ $(nm -D --defined-only "$BUILD/libexclusivelock.so" | awk '$2 == "T" { print $3 }' | sort) == "$recorded" ]]
	declared=$(grep -o '^EXCLUSIVELOCK_[A-Z]* .*exclusivelock_[a-z_]*(' "$SOURCE/src/exclusivelock.h" | grep -o 'exclusivelock_[a-z_]*(' |
		tr -d '(' | sort)
	[[ ${recorded//@@EXCLUSIVELOCK_1/} == "$declared" ]]
	command -v dpkg-gensymbols >/dev/null || skip "the package's own check needs dpkg-dev"
	cd "$SOURCE"
	run -0 dpkg-gensymbols -c4 -v0.1.0 -plibexclusivelock1 -Idebian/libexclusivelock1.symbols -e"$BUILD/libexclusivelock.so.1" -O/dev/null
}

@test "the header has the version of the project" {
	local version numbers
	version=$(sed -n "s/^  version: '\(.*\)',/\1/p" "$SOURCE/meson.build")
	grep -q "^#define EXCLUSIVELOCK_VERSION_STRING \"$version\"" "$SOURCE/src/exclusivelock.h"
	IFS=. read -ra numbers <<<"$version"
	grep -qx "#define EXCLUSIVELOCK_VERSION $(printf '0x%02x%02x%02x' "${numbers[@]}")" "$SOURCE/src/exclusivelock.h"
}

@test "gcc warns of a lock that nobody takes, of an info without a place for it, and of a lock that is used after forever" {
	compile 'exclusivelock *lock = exclusivelock_try(name); return exclusivelock_release(lock);'
	run ! compile 'exclusivelock_try(name); return 0;'
	[[ $output == *unused-result* ]]
	run ! compile 'return exclusivelock_info(name, NULL, NULL);'
	[[ $output == *nonnull* ]]
	run ! compile 'exclusivelock *lock = exclusivelock_wait(name, 1); free(lock); return 0;'
	[[ $output == *mismatched-dealloc* || $(gcc -dumpversion) -lt 11 ]]
	run ! compile 'exclusivelock *lock = exclusivelock_or_die(name); exclusivelock_forever(lock); return exclusivelock_release(lock);'
	[[ $output == *use-after-free* || $(gcc -dumpversion) -lt 12 ]]
	# Where a release fails, it may be tried again.
	compile 'exclusivelock *lock = exclusivelock_try(name); return exclusivelock_release(lock) == -1 ? exclusivelock_release(lock) : 0;' -O2
}

@test "gcc -fanalyzer sees a lock that is lost, and says nothing of one that is released, kept or in a scope" {
	[[ $(gcc -dumpversion) -ge 11 ]] || skip "needs gcc 11"
	run ! compile 'exclusivelock *lock = exclusivelock_try(name); if (!lock) return 1; return exclusivelock_holder(name) == 0;' -fanalyzer
	[[ $output == *analyzer-malloc-leak* ]]
	run ! compile 'exclusivelock *lock = exclusivelock_open(name, NULL); if (!lock || name) return 1; exclusivelock_release(lock); return 0;' -fanalyzer
	[[ $output == *analyzer-malloc-leak* ]]
	compile 'exclusivelock *lock = exclusivelock_try(name); if (!lock) return 1; return exclusivelock_release(lock);' -fanalyzer
	compile 'exclusivelock *lock = exclusivelock_try(name); if (!lock) return 1; exclusivelock_forever(lock); return 0;' -fanalyzer
	compile 'EXCLUSIVELOCK_SCOPE(lock, name); if (!lock) return 1; return 0;' -fanalyzer
	compile 'EXCLUSIVELOCK_SCOPE_OR_DIE(lock, name); EXCLUSIVELOCK_SCOPE_WAIT(other, "b", 1.5); return other != 0;' -fanalyzer
}

@test "all kinds of scopes and structs compile without warning in each standard of C and C++" {
	local compiler
	cat >scopes.c <<-'END'
		#include <exclusivelock.h>
		#include <string.h>
		int f(void);
		int f(void)
		{
			struct exclusivelock_options options;
			struct exclusivelock_status info;
			memset(&options, 0, sizeof(options));
			options.size = sizeof(options);
			info.size = sizeof(info);
			EXCLUSIVELOCK_SCOPE_OR_DIE(a, "a");
			EXCLUSIVELOCK_SCOPE_WAIT(b, "b", 1);
			EXCLUSIVELOCK_SCOPE_OF(c, exclusivelock_open("c", &options));
			return exclusivelock_info("a", &options, &info) + exclusivelock_watch("a", NULL) + (a == b) + (b == c) + EXCLUSIVELOCK_VERSION;
		}
	END
	for compiler in 'gcc -std=c99 -Wvla -Wshadow' 'gcc -std=gnu17 -O2' 'clang -std=c99 -Wvla' 'g++ -x c++ -std=c++11 -Wshadow' \
		'g++ -x c++ -std=c++20 -O2' 'clang++ -x c++ -std=c++20'; do
		command -v "${compiler%% *}" >/dev/null || continue
		# shellcheck disable=SC2086 # a list
		$compiler -Wall -Wextra -Wpedantic -Wundef -Werror -I "$SOURCE/src" -c scopes.c -o scopes.o
	done
}

@test "a lock of C++ can be moved and not copied" {
	command -v g++ >/dev/null || skip "needs g++"
	echo '#include <exclusivelock.hpp>
		exclusive::lock f(exclusive::lock &lock) { return MOVE(lock); }' >move.cpp
	g++ -std=c++11 -Wall -Wextra -Wpedantic -Werror -I "$SOURCE/src" -DMOVE=std::move -c move.cpp
	run ! g++ -std=c++11 -I "$SOURCE/src" -DMOVE= -c move.cpp
	[[ $output == *deleted* ]]
}

@test "the static library has the functions of its header and no other name, and serves programs of either kind" {
	local link
	[[ -e $CONFIGURED/libexclusivelock.a ]] || skip "was not built: there is no static libbsd, or this is a build with a sanitizer"
	[[ $(nm -g --defined-only "$CONFIGURED/libexclusivelock.a" | awk 'NF == 3 { print $3 }' | sort) == \
		$(nm -D --defined-only "$BUILD/libexclusivelock.so" | awk '$2 == "T" { sub("@.*", "", $3); print $3 }' | sort) ]]
	for link in "" -static; do
		# shellcheck disable=SC2086 # one or none
		gcc $link -D_GNU_SOURCE -I "$SOURCE/src" -o api "$BATS_TEST_DIRNAME/helpers/api.c" "$CONFIGURED/libexclusivelock.a" -pthread
		[[ $(ldd ./api 2>&1) != *exclusivelock* ]]
		./api hold n >out 3>&- &
		HOLDER=$!
		ENDLATER+=("$HOLDER")
		poll grep -q ready out
		assert_refused n "$HOLDER"
		./api wait n >waiter 3>&- &
		ENDLATER+=("$!")
		run -3 ./api wait n 0.02
		[[ $output == "refused ETIMEDOUT" ]]
		kill "$HOLDER"
		poll grep -q ready waiter
		run -0 ./api threads other
	done
}

@test "a plugin that has the static library in itself stays loaded, and the process ends as ever" {
	local flags
	command -v pkg-config >/dev/null || skip "needs pkg-config"
	[[ -e $CONFIGURED/libexclusivelock.a ]] || skip "was not built: there is no static libbsd, or this is a build with a sanitizer"
	flags=$(PKG_CONFIG_PATH=$CONFIGURED/meson-uninstalled pkg-config --static --libs-only-other exclusivelock)
	printf '#include <exclusivelock.h>\nint go(void);\nint go(void) { return exclusivelock_release(exclusivelock_try("n")); }\n' >plugin.c
	# shellcheck disable=SC2086 # a list
	gcc -shared -fPIC -I "$SOURCE/src" -o plugin.so plugin.c "$CONFIGURED/libexclusivelock.a" $flags
	run -0 /usr/bin/python3 -c 'import _ctypes, ctypes
plugin = ctypes.CDLL("./plugin.so")
assert plugin.go() == 0
_ctypes.dlclose(plugin._handle)'
}

@test "a program can be built against what is not installed yet, by pkg-config" {
	local flags
	command -v pkg-config >/dev/null || skip "needs pkg-config"
	export PKG_CONFIG_PATH=$CONFIGURED/meson-uninstalled
	flags=$(pkg-config --cflags --libs exclusivelock)
	# shellcheck disable=SC2086 # a list
	gcc -o once "$BATS_TEST_DIRNAME/examples/once.c" $flags
	run -0 env LD_LIBRARY_PATH="$BUILD" ./once </dev/null
	[[ $output == "the only one" ]]
}

# Starts the Python program in file SCRIPT, which finds the module and the library, until it says "ready"; sets HOLDER.
start_python() {
	LD_LIBRARY_PATH=$BUILD PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$BATS_TEST_DIRNAME/examples /usr/bin/python3 "$1" >"$1.out" 2>&1 3>&- &
	HOLDER=$!
	ENDLATER+=("$HOLDER")
	poll grep -q ready "$1.out"
}

run_python() {
	run "$1" env LD_LIBRARY_PATH="$BUILD" PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$BATS_TEST_DIRNAME/examples" /usr/bin/python3 "${@:2}"
}

@test "the module for Python does what the package exclusiveprocess does: with, the decorator in both forms, die and forever" {
	cat >use.py <<-'END'
		import os, sys
		from exclusivelock import Lock, CannotAcquireLock
		with Lock(name="with") as lock:
		    assert os.path.exists(lock.lockfile) and open(lock.lockfile).read().strip() == str(os.getpid())
		    try:
		        with Lock(name="with"):
		            sys.exit(3)
		    except CannotAcquireLock as refusal:
		        print(refusal)
		assert not os.path.exists(lock.lockfile)
		with lock:
		    try:
		        with lock:
		            sys.exit(6)
		    except CannotAcquireLock:
		        pass
		assert not os.path.exists(lock.lockfile)
		with Lock() as lock:
		    assert lock.name == os.path.abspath(__file__)

		@Lock
		def plain(a, b=0):
		    return a + b

		@Lock(name="named")
		def named():
		    return os.path.exists(os.path.dirname(lock.lockfile) + "/py_exclusivelock_named.lock")

		assert plain(1, b=2) == 3 and plain(2) == 2 and named() and named()
		for wrong in lambda: Lock("name"), lambda: Lock(name="name")():
		    try:
		        wrong()
		        sys.exit(4)
		    except (TypeError, ValueError):
		        pass
		Lock(name="kept").forever()
		Lock(die=True).forever()
		print("ready", flush=True)
		sys.stdin.read() if len(sys.argv) > 1 else Lock(name="kept", die=True).forever()
		sys.exit(5)
	END
	run_python -1 use.py
	[[ ${lines[0]} == "$(refusal with '*')" || ${lines[0]} == $(refusal with '*') ]]
	[[ ${lines[1]} == ready && ${lines[2]} == $(refusal kept '*') ]]
	[[ $(ls "$LOCKS") == "" ]]
}

@test "the module for Python and the package's protocol exclude one another, and its wait ends in time, in turn and by Ctrl-C" {
	cat >hold.py <<-'END'
		import signal
		from exclusivelock import Lock
		signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
		with Lock(name="n", patience=60):
		    print("ready", flush=True)
		    signal.sigwait([signal.SIGTERM])
	END
	cat >wait.py <<-'END'
		import os, signal, sys, threading
		from exclusivelock import Lock, CannotAcquireLock
		try:
		    with Lock(name="n", patience=0.02):
		        sys.exit(3)
		except CannotAcquireLock as refusal:
		    print(refusal)
		signal.signal(signal.SIGINT, signal.default_int_handler)
		signal.signal(signal.SIGUSR1, lambda *_: print("handler", flush=True))
		print("ready", flush=True)
		try:
		    with Lock(name="n", patience=-1):
		        sys.exit(4)
		except KeyboardInterrupt:
		    print("interrupted", flush=True)
	END
	local holder waiter
	start_python hold.py
	holder=$HOLDER
	run -1 /usr/bin/python3 "$BATS_TEST_DIRNAME/peers/exclusive.py" n
	[[ $output == "$(refusal n "$holder")" ]]
	start_python wait.py
	waiter=$HOLDER
	grep -qxF "$(refusal n "$holder")" wait.py.out
	poll grep -q -- "-> FLOCK.*:$(stat -c %i "$(lock_file n)") " /proc/locks
	kill -USR1 "$waiter"
	poll grep -q handler wait.py.out
	poll grep -q -- "-> FLOCK.*:$(stat -c %i "$(lock_file n)") " /proc/locks
	kill -INT "$waiter"
	poll process_has_ended "$waiter"
	grep -q interrupted wait.py.out
	kill "$holder"
	wait "$holder"
	assert_free n
}

@test "the example with an event loop goes on when nobody holds the lock" {
	start_holder EXCLUSIVELOCK_NAME=nightly "$HELPERS/hold"
	LD_LIBRARY_PATH=$BUILD /usr/bin/python3 "$BATS_TEST_DIRNAME/examples/async.py" >async.out 2>&1 3>&- &
	ENDLATER+=("$!")
	poll grep -q meanwhile async.out
	run ! grep -q free async.out
	kill "$HOLDER"
	poll grep -q free async.out
}
