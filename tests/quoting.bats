#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# How a given name, whatever its bytes, becomes the name of a file.
# shellcheck disable=SC2030,SC2031,SC2154 # every test is a subshell; run sets $stderr

load test_helper

setup() {
	clean_environment
}

teardown() {
	end_processes
}

# Runs the Python lines on standard input after these, which know how to start a guarded program under a name.
python() {
	/usr/bin/python3 - "$SHIM" 3>&- <<-PYTHON
		import os, random, subprocess, sys
		from urllib.parse import quote_plus
		LOCKS = os.environb[b"EXCLUSIVELOCK_DIR"]
		PREFIX = b"$LOCK_PREFIX"
		def locked(name, **more):
		    "The path of the lock file that a program guarded under this name sees."
		    environment = dict(os.environb)
		    environment.update({b"LD_PRELOAD": os.fsencode(sys.argv[1]), b"EXCLUSIVELOCK_NAME": name})
		    done = subprocess.run(["/usr/bin/printenv", "EXCLUSIVELOCK_LOCKFILE"], env=environment,
		        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20)
		    assert (done.returncode, done.stderr) == (0, b""), (name, done)
		    return done.stdout[:-1]
		def same(name):
		    "Python's own idea of it."
		    expected = LOCKS + b"/" + PREFIX + quote_plus(name).encode() + b".lock"
		    assert locked(name) == expected, (name, locked(name), expected)
		$(cat)
		assert os.listdir(LOCKS) == [], os.listdir(LOCKS)
	PYTHON
}

@test "every byte from 1 to 255 is quoted as Python's quote_plus does" {
	python <<-'PYTHON'
		for byte in range(1, 256):
		    same(bytes([byte]))
		    same(b"before" + bytes([byte, byte]) + b"after")
		same(bytes(range(1, 64)))
	PYTHON
}

@test "random names are quoted as Python's quote_plus does" {
	python <<-'PYTHON'
		seed = random.randrange(1 << 32)
		print("seed", seed)
		random.seed(seed)
		for _ in range(200):
		    same(bytes(random.randrange(1, 256) for _ in range(random.randrange(1, 70))))
	PYTHON
}

# The same for names without end, which need no process each: any bytes, any length, many where the longest possible file name is.
# The Python lines on standard input ask for what they want to know with check(names).
names() {
	/usr/bin/python3 - "$HELPERS/quote" "$LAUNCH" 3>&- <<-PYTHON
		import hashlib, os, random, subprocess, sys
		from urllib.parse import quote_plus
		PREFIX = "$LOCK_PREFIX"
		LONGEST = 255 - len(PREFIX + ".lock")
		COUNT = int(os.environ.get("EXLOCK_QUOTE_NAMES") or 20000)
		SEED = int(os.environ.get("EXLOCK_QUOTE_SEED") or random.randrange(1 << 32))
		print("EXLOCK_QUOTE_SEED =", SEED)
		random.seed(SEED)
		PLAIN = [byte for byte in range(1, 256) if len(quote_plus(bytes([byte]))) == 1]
		ESCAPED = [byte for byte in range(1, 256) if byte not in PLAIN]
		def file_name(name):
		    "Python's own idea of it; one that is too long keeps its beginning, and ends in a digest of the whole."
		    quoted = PREFIX + quote_plus(name)
		    if len(quoted + ".lock") > 255:
		        quoted = quoted[:255 - 64 - len(".lock")] + hashlib.sha256(name).hexdigest()
		    return quoted.encode() + b".lock"
		def random_name(length):
		    return bytes(random.choices(range(1, 256), k=length))
		def quoted_to(length):
		    "A name of so many bytes once it is quoted, or up to two more."
		    name = []
		    while length > 0:
		        name.append(random.choice(random.choice((PLAIN, ESCAPED))))
		        length -= 1 if name[-1] in PLAIN else 3
		    return bytes(name)
		def any_name():
		    kind = random.randrange(20)
		    if kind == 0:
		        return random_name(random.randrange(5001))
		    return quoted_to(random.randrange(LONGEST - 6, LONGEST + 6)) if kind < 10 else random_name(random.randrange(100))
		def check(names, paths):
		    assert len(paths) == len(names), (len(paths), len(names))
		    for name, path in zip(names, paths):
		        expected = b"/d/" + file_name(name)
		        assert path == expected, (name, path, expected)
		$(cat)
	PYTHON
}

@test "random names of any length have the file names that Python gives them" {
	names <<-'PYTHON'
		names = [bytes([byte]) for byte in range(1, 256)] + [b""] + [any_name() for _ in range(COUNT)]
		done = subprocess.run([sys.argv[1], "/d"], input=b"".join(name + b"\0" for name in names), stdout=subprocess.PIPE,
		    check=True, timeout=300)
		check(names, done.stdout.split(b"\0")[:-1])
	PYTHON
}

@test "the launcher leaves names as they are, whatever their bytes" {
	names <<-'PYTHON'
		names = [bytes(range(1, 128)), bytes(range(128, 256)), b"-", b"--", b"\n", b"a\n", b"'", b"\\"]
		names += [any_name() or b"x" for _ in range(150)]
		def launch(*arguments, **more):
		    done = subprocess.run([sys.argv[2], "-p", "-d", "/d", *arguments], stdout=subprocess.PIPE, timeout=20, check=True, **more)
		    return done.stdout[:-1]
		check(names, [launch("-n", name) for name in names])
		check(names, [launch(b"--name=" + name) for name in names])
		check(names, [launch("cat", env={**os.environb, b"EXCLUSIVELOCK_NAME": name}) for name in names])
	PYTHON
}

@test "names that would be special as paths are ordinary names" {
	python <<-'PYTHON'
		for name in b".", b"..", b"/", b"../..", b"../../etc/passwd", b"//", b"~", b"-", b"--", b" ", b"  ", b"\n", b"a\nb\n", \
		        b"%", b"%2F", b"+", b"*", b"$HOME", b"a", b"name=value", b"\xc3\xa9", b"\xff\xfe":
		    same(name)
	PYTHON
}

@test "names up to the longest possible file name are kept as they are" {
	python <<-'PYTHON'
		longest = 255 - len(PREFIX + b".lock")
		for length in range(longest - 3, longest + 1):
		    same(b"n" * length)
		    same(b"/" * (length // 3) + b"n" * (length % 3))
	PYTHON
}

@test "a longer name keeps its beginning, and one file name of at most 255 bytes is its own" {
	python <<-'PYTHON'
		longest = 255 - len(PREFIX + b".lock")
		names = [b"n" * length for length in (longest + 1, longest + 2, 250, 251, 255, 256, 4096)]
		names += [b"n" * longest + bytes([byte]) for byte in b"ab/"]
		names += [b"n" * 100 + b"x" + b"n" * 200, b"n" * 150 + b"x" + b"n" * 150, b"n" * 300 + b"x"]
		names += [b"/" * length for length in (longest // 3 + 1, 250, 5000)]
		names += [b"/" * 4999 + b"x", b"\xff" * 100000, b"n" * 100000]
		seen = {}
		for name in names:
		    path = locked(name)
		    folder, base = os.path.split(path)
		    assert folder == LOCKS and len(base) <= 255 and base.endswith(b".lock"), (name, path)
		    start = PREFIX + quote_plus(name[:20]).encode()
		    assert base.startswith(start), (name, path)
		    assert path not in seen, (name, seen[path])
		    seen[path] = name
		    assert locked(name) == path, name
	PYTHON
}

@test "under a name of any length a second start is refused" {
	for name in x "$(printf 'n%.0s' {1..250})" "$(printf '/%.0s' {1..5000})" .. $'two\nlines' $'\xff\x01'; do
		export EXCLUSIVELOCK_NAME=$name
		start_holder "$HELPERS/hold"
		run --separate-stderr -1 guarded "$HELPERS/stages"
		[[ $output == "" ]]
		[[ $stderr == $(refusal '*' "$HOLDER") ]] || { echo "$stderr"; false; }
		[[ ${#name} -gt 1 || $stderr == "$(refusal x "$HOLDER")" ]]
		kill -TERM "$HOLDER"
		wait "$HOLDER"
		[[ -z $(ls -A "$LOCKS") ]]
	done
}

@test "the message shows any name without a byte that is not printable" {
	# shellcheck disable=SC2059
	name=$(printf "$(printf '\\x%02x' {1..255})")x
	EXCLUSIVELOCK_NAME=$name start_holder "$HELPERS/hold"
	EXCLUSIVELOCK_NAME=$name guarded "$HELPERS/stages" 2>"$BATS_TEST_TMPDIR/words" || :
	[[ $(wc -l <"$BATS_TEST_TMPDIR/words") == 1 ]]
	LC_ALL=C run -1 grep -q '[^ -~]' "$BATS_TEST_TMPDIR/words"
	grep -q "^$(refusal '.*abc.*xyz.*' "$HOLDER")$" "$BATS_TEST_TMPDIR/words"
}

@test "arguments as part of the name may be of any length" {
	export EXCLUSIVELOCK_BY=args
	mapfile -t many < <(seq 100000)
	run -0 timeout 20 env LD_PRELOAD="$SHIM" /usr/bin/printenv EXCLUSIVELOCK_LOCKFILE
	short=$output
	run -0 --separate-stderr timeout 20 env LD_PRELOAD="$SHIM" /usr/bin/printf '%.0s' "${many[@]}"
	[[ $stderr == "" ]]
	[[ $short == "$(lock_file '/usr/bin/printenv EXCLUSIVELOCK_LOCKFILE')" ]]
}
