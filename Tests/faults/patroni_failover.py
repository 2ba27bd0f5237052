"""Failovers by Patroni: switchovers, killed and frozen leaders, while reporters, readers and watchers go on."""

import os
import time

import breaks
from failover import missing_events
from journal import Journal, longest_pause
from patroni import LOOP_WAIT, RETRY_TIMEOUT, TTL, Cluster
from processes import wait_for
from readers import Readers
from record import create_job
from reporters import Reporters
from roles import Roles
from run import say
from soak import Services, check_ledger, make_database, wait_until_quiet
from watchers import Watchers, backward_steps, unfinished
from workload import Workload

JOBS = 3
REPORTERS_PER_SERVER = 2
WATCHERS = 4

# The limits in seconds of the time without an acknowledged append, for each server.
SWITCHOVER_SECONDS_MAX = 3
KILL_SECONDS_MAX = TTL + 2
FREEZE_SECONDS_MAX = TTL + 5

# How long a new leader must have led before the frozen one is thawed.
LEADING_SECONDS = 30

# Without a watchdog, a thawed leader accepts writes until its Patroni has found out that it has lost the lock.
THAWED_SECONDS_MAX = LOOP_WAIT + RETRY_TIMEOUT

KINDS = {
    **breaks.KINDS,
    "frozen-servers": "both servers are frozen during a switchover",
    "two-leaders": "a standby is promoted without Patroni",
    "backward-watcher": "a sequence that a watcher was shown is changed in the test's own journal",
}


class Failovers:
    """A cluster with everything that uses it, and what happened to it."""

    def __init__(self, run_of, is_strict, etcd_version):
        self.run_of = run_of
        self.journal = Journal()
        self.cluster = Cluster(run_of.folder, run_of.programs, is_strict, etcd_version)
        self.roles = Roles(self.cluster.members)
        self.thaws = []  # (member, time)
        self.returned_locks = []

    def start(self):
        run_of, journal = self.run_of, self.journal
        self.cluster.start()
        make_database(run_of.binary, self.cluster, self.cluster.connection)
        self.services = Services(run_of.binary, run_of.folder, self.cluster.connection, "failover", workers=1)
        self.services.start()
        servers = self.services.servers
        self.jobs = [create_job(servers[0], f"failover {number}") for number in range(JOBS)]
        workload = Workload(self.jobs)
        # Each reporter uses one server, so that the outage of each server can be measured.
        self.reporters = [
            Reporters([server], workload, journal, f"{run_of.seed}/{server.name}", REPORTERS_PER_SERVER)
            for server in servers
        ]
        self.readers = Readers(servers, self.jobs, journal, run_of.seed, count=1)
        self.watchers = Watchers(servers, self.jobs, journal, run_of.seed, WATCHERS)
        for threads in (self.roles, *self.reporters, self.readers, self.watchers):
            threads.start()
        wait_for("events", lambda: journal.acknowledged() > 100)

    def end(self):
        """Ends all threads; checks watchers and leaders, and compares the journal with the ledger."""
        run_of = self.run_of
        for threads in (*self.reporters, self.readers):
            threads.end()
        wait_until_quiet(self.cluster)
        heads = {job: int(head) for job, head in self._heads()}
        try:
            wait_for("the watchers", lambda: not unfinished(self.watchers.watchers, heads), 30)
        except TimeoutError:
            # The check below names the watchers.
            pass
        self.watchers.end()
        self.roles.end()
        if run_of.broken == "backward-watcher":
            shown = self.watchers.watchers[0].shown
            shown[-1] = (shown[-1][0], 1)
        run_of.check("watchers never go backwards", backward_steps(self.watchers.watchers))
        run_of.check("every watcher is shown the last event", unfinished(self.watchers.watchers, heads))
        problems, seconds = double_leaderships(self.roles.overlaps(), self.thaws)
        run_of.check("Patroni has no two leaders, except for moments after a thaw", problems)
        run_of.check("Patroni gives no lock back to a thawed leader", self.returned_locks)
        check_ledger(run_of, "failover", self.journal, self.services, self.cluster, self.jobs)
        run_of.add_figures(self.journal)
        run_of.count("snapshots shown to watchers", sum(len(watcher.shown) for watcher in self.watchers.watchers))
        run_of.count("streams", self.watchers.streams)
        run_of.count("s with a thawed leader beside the new one", round(seconds, 1))

    def measure(self, kind, seconds_max, fault):
        """Waits for a complete cluster, causes a fault, waits again, and checks the outage of each server.

        The fault returns the member that leads afterwards, as soon as it does.
        """
        self.cluster.wait_until_complete()
        old = self.cluster.leader()
        # Appends then also wait until Patroni has found the next synchronous standby.
        seconds_max += LOOP_WAIT if self.cluster.is_strict else 0
        begin = time.monotonic()
        load = os.getloadavg()[0]
        new = fault(old)
        # A pause after a thaw counts too.
        self.cluster.wait_until_complete()
        for server in self.services.servers:
            wait_for(f"{server.name} to acknowledge", lambda: self.journal.acknowledgements(server.name)[-1] > begin)
        end = time.monotonic()
        pauses = {}
        for server in self.services.servers:
            before, after = longest_pause(self.journal.acknowledgements(server.name), begin, end)
            pauses[server.name] = after - before
        worst = max(pauses.values())
        figure = f"s without an acknowledged append: {kind}"
        self.run_of.figures[figure] = max(round(worst, 1), self.run_of.figures.get(figure, 0))
        promoted = self.roles.first_writable(new.name, begin) if new is not old else None
        details = ", ".join(f"{name} {pause:.1f} s" for name, pause in pauses.items())
        say(f"{kind}: {details}; {_promotion(new, promoted, begin)}; load {load:.1f} and {os.getloadavg()[0]:.1f}")
        problems = [f"{name}: {pause:.1f} s" for name, pause in pauses.items() if pause > seconds_max]
        self.run_of.check(f"{kind}: at most {seconds_max} s without an acknowledged append", problems)
        lost = missing_events(self.journal, self.cluster)
        self.run_of.check(f"{kind}: the leader has every acknowledged event", lost)

    def switch_over(self, old):
        self.run_of.count("switchovers")
        self.cluster.switch_over()
        return self.cluster.wait_for_other_leader(old)

    def kill(self, old):
        """Kills a leader with its Patroni, and starts it again when another one leads."""
        self.run_of.count("kills")
        old.kill()
        new = self.cluster.wait_for_other_leader(old)
        old.start()
        return new

    def kill_postmaster(self, old):
        """Kills the postmaster of the leader. Patroni starts it again, or another member leads."""
        self.run_of.count("kills")
        old.kill_postmaster()
        begin = time.monotonic()
        servers = self.services.servers
        wait_for(
            "acknowledged appends",
            lambda: all(self.journal.acknowledgements(server.name)[-1] > begin + 1 for server in servers),
            120,
        )
        return self.cluster.leader()

    def freeze(self, old):
        """Freezes a leader with its Patroni, and thaws it when another one has led for a while."""
        self.run_of.count("freezes")
        old.freeze()
        new = self.cluster.wait_for_other_leader(old)
        self._lead(new, old, LEADING_SECONDS)
        self.thaws.append((old.name, time.monotonic()))
        old.thaw()
        self._lead(new, old, LEADING_SECONDS)
        return new

    def _lead(self, new, old, seconds):
        """Watches for some time that a member keeps the leader lock."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            name = self.cluster.leader_name()
            if name != new.name:
                event = f"{name} has the lock instead of {new.name}; {old.name} was frozen before"
                self.returned_locks.append(f"double leadership by Patroni itself: {event}")
                return
            time.sleep(0.2)

    def _heads(self):
        return [row.split("|") for row in self.cluster.sql("select job_id, sequence from ledger.job_head")]


def run_failovers(run_of, rounds, is_strict, etcd_version):
    """Runs all faults and adds their checks and figures to the run."""
    failovers = Failovers(run_of, is_strict, etcd_version)
    failovers.start()
    if run_of.broken is None:
        for _ in range(rounds):
            failovers.measure("switchover", SWITCHOVER_SECONDS_MAX, failovers.switch_over)
            failovers.measure("leader and Patroni killed", KILL_SECONDS_MAX, failovers.kill)
            failovers.measure("switchover", SWITCHOVER_SECONDS_MAX, failovers.switch_over)
            failovers.measure("postmaster killed", KILL_SECONDS_MAX, failovers.kill_postmaster)
            failovers.measure("leader and Patroni frozen", FREEZE_SECONDS_MAX, failovers.freeze)
    else:
        _break(failovers, run_of.broken)
    failovers.end()


def _break(failovers, kind):
    """Causes the damage that a check must find; other kinds damage the ledger or the journal at the end."""
    cluster, servers = failovers.cluster, failovers.services.servers
    if kind == "frozen-servers":

        def fault(old):
            new = failovers.switch_over(old)
            for server in servers:
                server.freeze()
            time.sleep(SWITCHOVER_SECONDS_MAX + 1)
            for server in servers:
                server.thaw()
            return new

        failovers.measure("switchover", SWITCHOVER_SECONDS_MAX, fault)
    elif kind == "two-leaders":
        cluster.followers()[0].sql("select pg_promote(true, 30)", "postgres")
        wait_for("two members that accept writes", failovers.roles.overlaps)


def double_leaderships(overlaps, thaws):
    """Judges the periods in which two members accepted writes.

    Returns the problems, and for how many seconds a thawed leader accepted writes beside the new one. Without a
    watchdog Patroni cannot prevent that. What such a leader accepts is never acknowledged, because no standby has it.
    """
    problems, seconds = [], 0
    for begin, end, *pair in overlaps:
        is_explained = any(
            name in pair and begin >= moment - 1 and end <= moment + THAWED_SECONDS_MAX for name, moment in thaws
        )
        if is_explained:
            seconds += end - begin
        else:
            members = " and ".join(pair)
            problems.append(f"double leadership by Patroni itself: {members} for {end - begin:.1f} s at {begin:.1f}")
    return problems, seconds


def _promotion(new, promoted, begin):
    if promoted is None:
        return f"{new.name} leads"
    return f"{new.name} accepted writes after {promoted - begin:.1f} s"
