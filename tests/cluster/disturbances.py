# SPDX-License-Identifier: MIT
"""What comes over hosts and members. Each is a generator that yields for how long, in seconds, the storm is to go on before the next
step; when it is over, all is well again but for what a keeper that is gone has left."""
import collections
import os
import random
import signal
import time

Holder = collections.namedtuple("Holder", "host pid keeper fence children is_long")
# Polls, each a hundredth of a second: for what has to be over at once, on a machine that has other things to do.
AT_ONCE = 300


def lives(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def one_that_is_in(storm, suitable=lambda holder: True):
    """Goes on until one is in that does not end by itself, and keeps it."""
    storm.long_wanted = True
    end = time.monotonic() + 10 * storm.ttl
    while time.monotonic() < end:
        holder = storm.holder()
        if holder and holder.is_long and suitable(holder):
            storm.kept, storm.long_wanted = holder, False
            return holder
        if holder and holder.is_long:
            send(holder.pid, signal.SIGUSR1)
        yield 0.005
    storm.long_wanted = False
    storm.fail("no command got in that could be disturbed")
    return None


def is_to_be_gone(storm, holder, why):
    for _ in range(AT_ONCE):
        if not lives(holder.pid):
            return
        time.sleep(0.01)
    storm.fail(f"the command {holder.pid} outlived {why}")
    send(holder.pid, signal.SIGUSR1)


def without_children(holder):
    # A keeper that is killed cannot end its command's descendants; nor does it, in scope "process", where that was killed.
    return not holder.children


def keeper_killed(storm):
    holder = yield from one_that_is_in(storm, without_children)
    if holder:
        storm.count["kills"] += 1
        send(holder.keeper, signal.SIGKILL)
        is_to_be_gone(storm, holder, "its keeper")


def command_killed(storm):
    holder = yield from one_that_is_in(storm, without_children)
    if holder:
        storm.count["kills"] += 1
        send(holder.pid, signal.SIGKILL)


def starts_killed(storm):
    for _ in range(10):
        for process, start in random.sample(list(storm.running.items()), len(storm.running) // 3):
            if start.host and not start.children:
                storm.count["kills"] += 1
                send(process.pid, signal.SIGKILL)
        yield 0.1


def starts_stopped(storm):
    chosen = [process.pid for process, start in storm.running.items() if start.host]
    for pid in chosen:
        send(pid, signal.SIGSTOP)
    met = set()
    end = time.monotonic() + 1.5 * storm.ttl
    while time.monotonic() < end:
        holder = storm.holder()
        # One whose command was about to begin.
        if holder and holder.keeper in chosen and holder not in met:
            mark_as_stopped(storm, holder)
            met.add(holder)
        yield 0.01
    for pid in chosen:
        send(pid, signal.SIGCONT)
    for holder in met:
        is_to_be_gone(storm, holder, "its keeper's awakening")


def mark_as_stopped(storm, holder):
    open(f"{storm.folder}/stopped/{holder.fence}", "w").close()


def stop(storm, holder, and_command):
    mark_as_stopped(storm, holder)
    send(holder.keeper, signal.SIGSTOP)
    if and_command:
        send(holder.pid, signal.SIGSTOP)


def stopped(storm, and_command):
    holder = yield from one_that_is_in(storm)
    if holder:
        stop(storm, holder, and_command)
        yield 1.5 * storm.ttl
        if and_command:
            send(holder.pid, signal.SIGCONT)
        send(holder.keeper, signal.SIGCONT)
        is_to_be_gone(storm, holder, "its keeper's awakening")


def keeper_stopped(storm):
    yield from stopped(storm, False)


def host_asleep(storm):
    yield from stopped(storm, True)


def keeper_stopped_shortly(storm):
    holder = yield from one_that_is_in(storm)
    if holder:
        send(holder.keeper, signal.SIGSTOP)
        yield 0.2 * storm.ttl
        send(holder.keeper, signal.SIGCONT)


def host_treated(storm, treatment):
    holder = yield from one_that_is_in(storm)
    host = holder.host if holder else random.choice(storm.proxy.hosts)
    storm.proxy.tell(host + ".*", treatment)
    yield 1.5 * storm.ttl
    storm.proxy.tell(host + ".*", "pass")


def host_cut(storm):
    yield from host_treated(storm, "drop")


def host_refused(storm):
    yield from host_treated(storm, "refuse")


def host_unanswered(storm):
    yield from host_treated(storm, "mute")


def host_delayed(storm):
    yield from host_treated(storm, f"delay {random.randrange(50, 1000 * storm.ttl)}")


def all_delayed(storm):
    storm.proxy.tell("*", f"delay {random.randrange(20, 150)}")
    yield storm.ttl
    storm.proxy.tell("*", "pass")


def answers_lost(storm):
    for text in random.sample(("/v3/kv/txn", "/v3/lease/grant", "/v3/lease/keepalive", "/v3/lease/revoke", "/v3/kv/range"), 3):
        storm.proxy.tell("*", "lose " + text)
        yield storm.ttl / 2
    storm.proxy.tell("*", "pass")


def some_members(storm, chosen, end, begin):
    yield from storm.without_peers()
    yield from one_that_is_in(storm)
    chosen = chosen()
    for member in chosen:
        end(member)
    yield 1.5 * storm.ttl
    for member in chosen:
        begin(member)
    yield from storm.members_are_back()


def leader_killed(storm):
    yield from some_members(storm, lambda: [storm.members.leader()], storm.members.kill, storm.members.start)


def any_members(storm, count):
    return lambda: random.sample(list(storm.members), count)


def frozen(storm, count):
    members = storm.members
    yield from some_members(
        storm, any_members(storm, count), lambda m: members.signal(m, signal.SIGSTOP), lambda m: members.signal(m, signal.SIGCONT)
    )


def minority_stopped(storm):
    yield from frozen(storm, 1)


def majority_stopped(storm):
    yield from frozen(storm, 2)


def majority_killed(storm):
    yield from some_members(storm, any_members(storm, 2), storm.members.kill, storm.members.start)


ALL = [
    keeper_killed, command_killed, starts_killed, starts_stopped, keeper_stopped, host_asleep, keeper_stopped_shortly, host_cut, host_refused,
    host_unanswered, host_delayed, all_delayed, answers_lost, leader_killed, minority_stopped, majority_stopped, majority_killed,
]
