"""The failover: a synchronous standby is promoted, then the next standby is killed."""

import threading
import time
from json import dumps
from random import Random

from api import Client, Lost
from journal import ACKNOWLEDGED, REFUSED, UNKNOWN, Exchange, Journal
from processes import Postgres, wait_for
from readers import Readers
from record import create_job
from reporters import Reporter, Reporters
from soak import Services, check_ledger, make_database
from workload import Workload

JOBS = 3

# The limit of the time until a write has its response, with 3 s more for a busy machine.
WRITE_SECONDS_MAX = 35 + 3

# After a promotion, a server acknowledges again within the time limit of a write in progress.
RECOVERY_SECONDS_MAX = WRITE_SECONDS_MAX

_WAITING = "from pg_stat_activity where wait_event = 'SyncRep'"


def run_failover(run_of):
    """Runs the failover and adds its checks and figures to the run."""
    journal = Journal()
    first, second = (Postgres(name, run_of.folder, run_of.programs) for name in ("first", "second"))
    first.make()
    first.start()
    make_database(run_of.binary, first)
    add_standby(first, second)
    hosts = f"host={first.folder},{second.folder} target_session_attrs=read-write"
    services = Services(run_of.binary, run_of.folder, f"{hosts} user=postgres dbname=ledger", "failover")
    services.start()
    jobs = [create_job(services.servers[0], f"failover {number}") for number in range(JOBS)]
    workload = Workload(jobs)
    reporters = Reporters(services.servers, workload, journal, run_of.seed, count=4)
    # A commit becomes visible only once the standby has it, so snapshots that were read stay valid after a failover.
    readers = Readers(services.servers, jobs, journal, run_of.seed, count=1)
    reporters.start()
    readers.start()
    wait_for("events", lambda: journal.acknowledged() > 100)
    time.sleep(run_of.random.uniform(1, 4))

    lose_primary(run_of, journal, first, second)
    reporters.end()
    readers.end()
    run_of.check("failover: the promoted standby has every acknowledged event", missing_events(journal, second))
    lose_standby(run_of, journal, services, second, workload)
    check_ledger(run_of, "failover", journal, services, second, jobs)
    run_of.add_figures(journal)


def add_standby(primary, standby):
    """Creates a standby; all later commits of the primary wait for it."""
    standby.make_standby(primary)
    standby.start()
    set_standby(primary, standby.name)


def set_standby(primary, name):
    """Makes commits wait for a standby, and waits until it follows."""
    primary.sql(f"alter system set synchronous_standby_names = '{name}'", "postgres")
    primary.sql("select pg_reload_conf()", "postgres")
    state = f"select 1 from pg_stat_replication where application_name = '{name}' and sync_state = 'sync'"
    wait_for(f"{name} to follow", lambda: primary.sql(state, "postgres"))


def lose_primary(run_of, journal, first, second):
    """Freezes or kills the primary, promotes the standby, and measures the outage."""
    if run_of.random.random() < 0.5:
        first.kill()
        run_of.count("kills")
    else:
        first.freeze()
        run_of.count("freezes")
    time.sleep(run_of.random.uniform(0, 3))
    # The promoted server waits for no standby, because it was copied before that setting was made.
    second.sql("select pg_promote(true, 60)", "postgres")
    promoted = time.monotonic()
    before = journal.acknowledged()
    try:
        wait_for("an acknowledged event", lambda: journal.acknowledged() > before, seconds=120)
        seconds = time.monotonic() - promoted
        run_of.figures["seconds from promotion to acknowledgement"] = round(seconds)
        problems = [f"that took {seconds:.0f} s"] if seconds > RECOVERY_SECONDS_MAX else []
    except TimeoutError as error:
        problems = [str(error)]
    run_of.check(f"failover: events are acknowledged {RECOVERY_SECONDS_MAX} s after the promotion", problems)
    # Both servers acknowledge more events before the end. The old primary never returns.
    wait_for("further events", lambda: journal.acknowledged() > before + 200, seconds=120)
    first.kill()


def lose_standby(run_of, journal, services, primary, workload):
    """Gives the new primary a standby, kills it, and lets it return."""
    standby = Postgres("third", run_of.folder, run_of.programs)
    add_standby(primary, standby)
    standby.kill()
    run_of.count("kills")
    for claim, problems in standby_away(services, workload.jobs, journal, primary).items():
        run_of.check(f"standby away: {claim}", problems)
    standby.start()
    reporter = Reporter(services.servers, workload, journal, Random(f"{run_of.seed}/return"))
    run_of.check("standby away: events are acknowledged again when it is back", unacknowledged(reporter, workload))


def missing_events(journal, postgres):
    """Lists the events acknowledged so far that a PostgreSQL does not have at their sequences."""
    # More may be acknowledged while the query runs.
    exchanges = list(journal.exchanges)
    query = """
        select job_id, sequence, to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
        from ledger.event
        """
    rows = {tuple(row.split("|")) for row in postgres.sql(query)}
    problems = []
    for exchange in exchanges:
        if exchange.outcome != ACKNOWLEDGED:
            continue
        sequences = dict(exchange.first_sequences)
        for job, event in exchange.events:
            if (job, str(sequences[job]), event["at"]) not in rows:
                problems.append(f"{event} at {sequences[job]} of {job} was acknowledged")
            sequences[job] += 1
    return problems


class Write:
    """A write that no standby confirms. Its response must come in time and must not be a success."""

    def __init__(self, claim, server, path, body):
        self.claim = claim
        self.server = server
        self.path = path
        self.body = body
        self.problems = []
        self.response = ""
        self.status = None
        self.title = "Outcome unknown"
        self.thread = threading.Thread(target=self._send, daemon=True)
        self.thread.start()

    def _send(self):
        begin = time.monotonic()
        try:
            response = Client([self.server], 90).send_to(self.server.port, "POST", self.path, dumps(self.body))
            self.response, self.status, self.title = str(response), response.status, response.title
        except Lost as error:
            self.response = str(error)
        seconds = time.monotonic() - begin
        if self.status != 503:
            self.problems.append(f"the response to POST {self.path} was {self.response}")
        if seconds > WRITE_SECONDS_MAX:
            self.problems.append(f"the response to POST {self.path} took {seconds:.0f} s")

    @property
    def outcome(self):
        """The outcome; a write that waited behind another one may be refused."""
        return REFUSED if self.status == 503 and self.title != "Outcome unknown" else UNKNOWN


def standby_away(services, jobs, journal, primary):
    """Sends writes that no standby confirms, and cancels the waits of one server.

    Returns claims with the problems that contradict them. The journal gets the events, for the comparison at the end.
    """
    waiting, cancelled = services.servers
    events = [journal.mark({"type": "progress", "task": "standby away", "done": 1}) for _ in range(2)]
    start = {"task": "standby away", "execution": "standby away"}
    cancellation = "an append whose wait is cancelled is not acknowledged"
    writes = [
        Write("an append is not acknowledged", waiting, f"/v1/jobs/{jobs[0]}/events", events[0]),
        Write(cancellation, cancelled, f"/v1/jobs/{jobs[1]}/events", events[1]),
        Write("a new job is not acknowledged", waiting, "/v1/jobs", {"name": "standby away"}),
        Write("a start is not acknowledged", waiting, f"/v1/jobs/{jobs[2]}/executions", start),
    ]
    count = cancel_waits(primary, cancelled.name, lambda: any(write.thread.is_alive() for write in writes))
    for job, event, write in zip(jobs, events, writes):
        journal.add(Exchange([(job, event)], write.outcome, write.response, {}))
    claims = {write.claim: write.problems for write in writes}
    claims["a wait was cancelled"] = [] if count else ["there was none"]
    is_any_unknown = any(write.outcome == UNKNOWN for write in writes)
    claims["some outcome was unknown"] = [] if is_any_unknown else ["there was none"]
    return claims


def cancel_waits(postgres, application, is_waiting):
    """Cancels one server's waits while a condition holds, and returns their number."""
    count = 0
    while is_waiting():
        cancel = f"select pg_cancel_backend(pid) {_WAITING} and application_name = '{application}'"
        count += len(postgres.sql(cancel, "postgres"))
        time.sleep(0.5)
    return count


def unacknowledged(reporter, workload):
    """Returns a problem if no event is acknowledged within a minute."""
    job = workload.jobs[0]
    events = [(job, workload.event(reporter.random, job)) for _ in range(5)]
    try:
        wait_for("an acknowledged event", lambda: reporter.append(events))
    except TimeoutError as error:
        return [str(error)]
    return []
