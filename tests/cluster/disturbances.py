# SPDX-License-Identifier: MIT
"""What comes over hosts and members. Each is a generator that yields for how long, in seconds, the storm is to go on before the next
step; when it is over, all is well again but for what a keeper that is gone has left."""
import random
import signal
import time

from processes import family_of, send, victim_lives

# Polls, each a hundredth of a second: for what has to be over at once, on a machine that has other things to do.
AT_ONCE = 300


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
        if not victim_lives(holder.pid):
            return
        time.sleep(0.01)
    storm.fail(f"the command {holder.pid} outlived {why}")
    send(holder.pid, signal.SIGUSR1)


def kill_holder(storm, whom, suitable=lambda holder: True):
    holder = yield from one_that_is_in(storm, suitable)
    if holder:
        storm.count["kills"] += 1
        send(whom(holder), signal.SIGKILL)
        is_to_be_gone(storm, holder, "its keeper")


def keeper_killed(storm):
    yield from kill_holder(storm, lambda holder: holder.keeper)


def warden_killed(storm):
    yield from kill_holder(storm, lambda holder: holder.parent)


def command_killed(storm):
    # In scope "process" its children might go on, as they may anywhere.
    yield from kill_holder(storm, lambda holder: holder.pid, lambda holder: not holder.children)


def starts_killed(storm):
    for _ in range(10):
        for process, start in random.sample(list(storm.running.items()), len(storm.running) // 3):
            if start.host:
                storm.count["kills"] += 1
                send(process.pid, signal.SIGKILL)
        yield 0.1


def stopped(storm, whom):
    """The command has to be dead in time all the same."""
    holder = yield from one_that_is_in(storm)
    if holder:
        send(whom(holder), signal.SIGSTOP)
        yield 1.5 * storm.ttl
        send(whom(holder), signal.SIGCONT)
        is_to_be_gone(storm, holder, "its lease")


def keeper_stopped(storm):
    yield from stopped(storm, lambda holder: holder.keeper)


def warden_stopped(storm):
    holder = yield from one_that_is_in(storm)
    if holder:
        send(holder.parent, signal.SIGSTOP)
        # The keeper alone has to see to it then.
        storm.proxy.tell(holder.host + ".*", "drop")
        yield 1.5 * storm.ttl
        is_to_be_gone(storm, holder, "its lease")
        send(holder.parent, signal.SIGCONT)
        storm.proxy.tell(holder.host + ".*", "pass")


def starts_stopped(storm):
    chosen = [process.pid for process, start in storm.running.items() if start.host]
    for pid in chosen:
        send(pid, signal.SIGSTOP)
    yield 1.5 * storm.ttl
    for pid in chosen:
        send(pid, signal.SIGCONT)


def host_asleep(storm):
    """All that runs on a host is stopped at once. Nobody can end its command then: it is marked, so that whoever meets it withdraws. When
    it wakes up, the keeper's or the warden's first act is to kill it, and all that it writes until then is refused."""
    holder = yield from one_that_is_in(storm)
    host = holder.host if holder else random.choice(storm.proxy.hosts)
    asleep = [pid for process, start in storm.running.items() if start.host == host for pid in family_of(process.pid)]
    if holder:
        open(f"{storm.folder}/stopped/{holder.fence}", "w").close()
    storm.sleeping = host
    for pid in asleep:
        send(pid, signal.SIGSTOP)
    yield 1.5 * storm.ttl
    # In any order; but the command may have the processor first, for longer than one would think.
    if holder:
        send(holder.pid, signal.SIGCONT)
        yield random.choice((0, 0.05))
    for pid in random.sample(asleep, len(asleep)):
        send(pid, signal.SIGCONT)
    storm.sleeping = None
    if holder:
        is_to_be_gone(storm, holder, "its host's awakening")


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


def one_with_the_leader_alone(storm):
    """Goes on until one is in, whose host reaches the leader, and no other member."""
    yield from storm.without_peers()
    holder = yield from one_that_is_in(storm)
    leader = storm.members.leader()
    if holder:
        storm.proxy.tell(holder.host + ".*", "drop")
        storm.proxy.tell(f"{holder.host}.{leader}", "pass")
    return holder, leader


def renewals_alone(storm):
    """The way to the members answers renewals, as a leader does that has lost the others, and nothing else."""
    holder = yield from one_that_is_in(storm)
    if holder:
        storm.proxy.tell(holder.host + ".*", "renewals")
        yield 1.5 * storm.ttl
        is_to_be_gone(storm, holder, "its lease")
        storm.proxy.tell(holder.host + ".*", "pass")


def leader_disk_frozen(storm):
    """Such a leader: what it writes hangs, and renewals it answers out of its memory. The others elect a new one."""
    if not storm.members.has_disks():
        return
    holder, leader = yield from one_with_the_leader_alone(storm)
    freezer = storm.members.freeze(leader)
    yield 2.5 * storm.ttl
    storm.members.thaw(freezer)
    storm.proxy.tell("*", "pass")
    yield from storm.members_are_back()
    if holder:
        is_to_be_gone(storm, holder, "its lease")


def old_leader_resumed(storm):
    """It was stopped for an election, believes that it still leads, and answers for a moment as if it did."""
    holder, leader = yield from one_with_the_leader_alone(storm)
    storm.members.signal(leader, signal.SIGSTOP)
    yield random.uniform(0.3, 0.9) * storm.ttl
    storm.members.signal(leader, signal.SIGCONT)
    yield 1.5 * storm.ttl
    storm.proxy.tell("*", "pass")
    yield from storm.members_are_back()
    # Its lease may have been renewed since. What is looked for is in storm.py's Watchman.
    if holder and victim_lives(holder.pid):
        send(holder.pid, signal.SIGUSR1)


def any_members(storm, count):
    return lambda: random.sample(list(storm.members), count)


def frozen(storm, chosen):
    members = storm.members
    yield from some_members(
        storm, chosen, lambda m: members.signal(m, signal.SIGSTOP), lambda m: members.signal(m, signal.SIGCONT)
    )


def leader_stopped(storm):
    # It wakes up and believes that it still leads, and that the leases which it knows have ended.
    yield from frozen(storm, lambda: [storm.members.leader()])


def minority_stopped(storm):
    yield from frozen(storm, any_members(storm, 1))


def majority_stopped(storm):
    yield from frozen(storm, any_members(storm, 2))


def majority_killed(storm):
    yield from some_members(storm, any_members(storm, 2), storm.members.kill, storm.members.start)


ALL = [
    keeper_killed, warden_killed, command_killed, starts_killed, starts_stopped, keeper_stopped, warden_stopped, host_asleep,
    keeper_stopped_shortly, host_cut, host_refused, host_unanswered, host_delayed, all_delayed, answers_lost, leader_killed,
    leader_stopped, minority_stopped, majority_stopped, majority_killed, renewals_alone, leader_disk_frozen, old_leader_resumed,
]
