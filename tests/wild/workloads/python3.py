# SPDX-License-Identifier: MIT
"""What Python programs do with processes, threads, signals and exits."""
import atexit
import multiprocessing
import os
import queue
import resource
import signal
import subprocess
import sys
import threading


def show_process():
    for number in sorted(map(int, os.listdir("/proc/self/fd"))):
        try:
            print("descriptor", number, os.readlink(f"/proc/self/fd/{number}"))
        except FileNotFoundError:
            pass
    with open("/proc/self/status", encoding="ascii") as status:
        print("".join(line for line in status if line.startswith(("Sig", "Shd", "Umask", "Threads", "NoNew", "Seccomp"))))
    for name in sorted(name for name in dir(resource) if name.startswith("RLIMIT_")):
        print(name, resource.getrlimit(getattr(resource, name)))
    print("folder", os.getcwd(), "environment", sorted(os.environ.keys() - hidden()))


def hidden():
    return {name for name in os.environ if name.startswith("EXCLUSIVELOCK_") or name == "LD_PRELOAD"}


def square(number):
    return number * number


def use_threads():
    jobs, results = queue.Queue(), queue.Queue()

    def work():
        while (job := jobs.get()) is not None:
            results.put(subprocess.run(["echo", str(job)], capture_output=True, check=True).stdout)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for job in [*range(12), *[None] * len(threads)]:
        jobs.put(job)
    for thread in threads:
        thread.join()
    print("threads", sorted(results.get() for _ in range(12)))


def use_fork():
    read, write = os.pipe()
    for status in (0, 3, 255):
        if (child := os.fork()) == 0:
            os.write(write, b"child ends\n")
            os._exit(status)
        print("forked", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), os.read(read, 100))
    sys.stdout.flush()
    if (child := os.fork()) == 0:
        # Leaves by way of the exit handlers, which are the parent's, too.
        sys.exit(4)
    print("forked and left by exit", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    if (child := os.fork()) == 0:
        os.execv(sys.executable, [sys.executable, "-c", "raise SystemExit(5)"])
    print("forked and replaced", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    if (child := os.fork()) == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    print("forked and killed", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def use_subprocess():
    state = os.environ["STATE"]
    for options in ({}, {"close_fds": False}, {"start_new_session": True}, {"env": {"A": "1"}}, {"preexec_fn": os.getpid}):
        shown = subprocess.run([state], capture_output=True, check=False, **options)
        print("subprocess", sorted(options), shown.returncode, shown.stdout.decode(), shown.stderr)
    own = subprocess.run([sys.executable, "-c", "print('the same program')"], capture_output=True, check=False)
    print("own kind", own.returncode, own.stdout, own.stderr)
    print("shell", os.system("exit 6"), os.popen("seq 3 | wc -l").read())
    print("spawned", os.waitpid(os.posix_spawn(state, [state, "/dev/null"], os.environ), 0)[1])


def use_multiprocessing():
    for method in ("fork", "spawn", "forkserver"):
        with multiprocessing.get_context(method).Pool(2) as pool:
            print("multiprocessing", method, pool.map(square, range(10)))


def use_signals():
    signal.signal(signal.SIGUSR1, lambda number, frame: print("handled", number))
    os.kill(os.getpid(), signal.SIGUSR1)
    rang = threading.Event()
    signal.signal(signal.SIGALRM, lambda number, frame: rang.set())
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    print("alarm", rang.wait(60))


def main():
    atexit.register(print, "exit handler")
    atexit.register(lambda: print("child of the exit handler", subprocess.run(["sh", "-c", "exit 8"], check=False).returncode))
    show_process()
    use_threads()
    use_fork()
    use_subprocess()
    use_multiprocessing()
    use_signals()
    print("gate", subprocess.run([os.environ["GATE"] + "/gate"], capture_output=True, check=False).stdout, flush=True)
    # Still runs when everything else ends.
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    sys.exit(42)


if __name__ == "__main__":
    main()
