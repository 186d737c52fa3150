#!/usr/bin/env bats
# SPDX-License-Identifier: MIT
# What exlock-launch makes of its arguments, any of them, compared with Python's getopt.
# shellcheck disable=SC2154 # set by the helper

load test_helper

setup() {
	clean_environment
	cd "$BATS_TEST_TMPDIR" || return
}

@test "random arguments are understood as getopt understands them, and values keep every byte" {
	/usr/bin/python3 - "$HELPERS/options" 3>&- <<-'PYTHON'
		import getopt, os, random, shutil, subprocess, sys
		SEED = int(os.environ.get("EXLOCK_OPTIONS_SEED") or random.randrange(1 << 32))
		print("EXLOCK_OPTIONS_SEED =", SEED)
		random.seed(SEED)
		LONG = {"name": "n", "by-args": "a", "dir": "d", "user": "u", "wait": "w", "timeout": "t", "flag": "f", "exit-code": "E",
		        "quiet": "q", "verbose": "v", "scope": "s", "no-preload": "P", "print-lockfile": "p"}
		LONG_ONLY = {"ttl": "CLUSTER_TTL", "cacert": "CLUSTER_CACERT", "cert": "CLUSTER_CERT", "key": "CLUSTER_KEY",
		             "cluster-user": "CLUSTER_USER", "password-file": "CLUSTER_PASSWORD_FILE", "at-least": "CLUSTER_AT_LEAST"}
		VALUED = "ndtEs"
		LETTERS = "".join(letter + ":" * (letter in VALUED) for letter in LONG.values())
		NAMES = [name + "=" * (letter in VALUED) for name, letter in LONG.items()] + [name + "=" for name in [*LONG_ONLY, "cluster"]] + ["close"]
		COMMANDS = ["cat", "/bin/sh", "", "-", "no such command", "/", "/etc/passwd", "-n"]

		def value():
		    return random.choice(["", "x", "-", "--", "-q", "a b", "'", '"', "\\", "$HOME", "`id`", "*", "a=b", "\n", "x\n",
		        os.fsdecode(bytes(random.choices(range(1, 256), k=random.randrange(1, 9))))])

		def option():
		    "One option in any of its forms; now and then something that is none, or lacks its value."
		    name, letter = random.choice([*LONG.items(), *LONG_ONLY.items()])
		    cluster = "-" + "".join(random.choices("awfqvPp", k=random.randrange(3)))
		    if random.randrange(30) == 0:
		        return ["--close"]
		    if random.randrange(30) == 0:
		        return [random.choice(["-Z", "-qZ", "--bogus", "--quiet=1", "--=x", "---", "--wait=", "-q-", "-n", "--name"])]
		    if name in LONG_ONLY:
		        return ["--cluster=x"] * (random.randrange(6) > 0) + random.choice([["--" + name, value()], ["--" + name + "=" + value()]])
		    if letter in VALUED:
		        return random.choice([[cluster + letter, value()], ["--" + name, value()], ["--" + name + "=" + value()],
		            [cluster + letter + (value() or "x")]])
		    return random.choice([[cluster + letter], ["--" + name]])

		def file_of(command):
		    "The file that the command is, or the status without one."
		    file = command if "/" in command else shutil.which(command, mode=os.F_OK) if command else None
		    if not file or not os.path.exists(file):
		        return 127
		    return file if os.access(file, os.X_OK) and not os.path.isdir(file) else 126

		def model(arguments):
		    "The status of a failure, or what is understood, and EXCLUSIVELOCK_* of the environment that it makes."
		    asked = {}
		    name, flags = "", set()
		    try:
		        options, command = getopt.getopt(arguments, LETTERS, NAMES)
		    except getopt.GetoptError:
		        return 125
		    for option, text in options:
		        if option == "--cluster":
		            asked["CLUSTER"] = text
		            continue
		        if option == "--close":
		            flags.add("close")
		            continue
		        if option[2:] in LONG_ONLY:
		            asked[LONG_ONLY[option[2:]]] = text
		            continue
		        letter = LONG[option[2:]] if option.startswith("--") else option[1:]
		        name = text if letter == "n" else name
		        flags.add(letter)
		        asked.update({"a": {"BY": "args"}, "d": {"DIR": text}, "u": {"DIR": "user"}, "w": {"ON_HELD": "wait"},
		            "t": {"ON_HELD": "wait", "TIMEOUT": text}, "f": {"ON_HELD": "flag"}, "E": {"EXIT_CODE": text},
		            "q": {"QUIET": "1"}, "v": {"LOG": "stderr"}, "s": {"SCOPE": text}}.get(letter, {}))
		    if "CLUSTER" not in asked and any(variable in asked for variable in LONG_ONLY.values()):
		        return 125
		    if command:
		        file = file_of(command[0])
		        if isinstance(file, int):
		            return file
		        command = [file, *command]
		    elif "p" not in flags:
		        return 125
		    flags = ["--close"] * ("close" in flags) + ["--no-preload"] * ("P" in flags) + ["--print"] * ("p" in flags)
		    return [["--name=" + name] * bool(name) + flags + ["--"] + command, asked]

		def launched(arguments):
		    environment = {name: value for name, value in os.environ.items() if not name.startswith("EXCLUSIVELOCK_")}
		    done = subprocess.run([sys.argv[1], *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
		        stdin=subprocess.DEVNULL, timeout=20)
		    if done.returncode:
		        assert done.stderr.startswith(b"exlock-launch: ") and not done.stdout, done
		        return done.returncode
		    count, *words = os.fsdecode(done.stdout).split("\0")[:-1]
		    given, rest = words[:int(count)], words[int(count):]
		    return [given, {name[len("EXCLUSIVELOCK_"):]: value for name, _, value in (word.partition("=") for word in rest)
		        if name.startswith("EXCLUSIVELOCK_")}]

		for _ in range(int(os.environ.get("EXLOCK_OPTIONS_RUNS") or 400)):
		    arguments = [word for _ in range(random.randrange(5)) for word in option()]
		    arguments += ["--"] * (random.randrange(4) == 0)
		    if random.randrange(8):
		        arguments += [random.choice(COMMANDS[:random.choice((2, 2, 2, 8))])] + [value() for _ in range(random.randrange(3))]
		    expected, got = model(arguments), launched(arguments)
		    assert got == expected, (arguments, got, expected)
	PYTHON
}

@test "a table of options that there is no room for does not compile" {
	local last
	command -v cc >/dev/null || skip "needs a C compiler"
	cc -fsyntax-only -w -I"$SOURCE/src" "$SOURCE/src/options.c"
	last=$(grep -m1 '"version", NONE' "$SOURCE/src/options.c")
	awk -v last="$last" '{ print } $0 == last { for (i = 0; i < 2; i++) print }' "$SOURCE/src/options.c" >options.c
	run ! cc -fsyntax-only -w -I"$SOURCE/src" options.c
	[[ $output == *"OPTIONS_SETTINGS has no room for all options"* ]]
}
