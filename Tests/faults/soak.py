"""The soak: reporters and readers work while chaos kills and freezes processes."""

import time

from breaks import break_journal, break_ledger
from chaos import Chaos
from checks import all_checks
from journal import Journal, longest_pause
from processes import Postgres, Process, Server, run, wait_for
from readers import Readers
from record import create_job, read_record, tool_problems
from reporters import Reporter, Reporters
from workload import Workload

JOBS = 5


class Services:
    """Two servers and some workers on one database."""

    def __init__(self, binary, folder, database, name, workers=2):
        def environment(process):
            return {"PROGRESS_LEDGER_DATABASE": f"{database} application_name={process}"}

        def make(kind, process, *arguments):
            return kind(process, [str(binary), *arguments], folder, environment(process))

        names = [f"{name}-server-1", f"{name}-server-2"]
        self.servers = [make(Server, name, "serve", "--no-projection", "--port", "0") for name in names]
        names = [f"{name}-worker-{number}" for number in range(1, workers + 1)]
        self.workers = [make(Process, name, "project") for name in names]

    def start(self):
        for process in [*self.servers, *self.workers]:
            process.start()
        self.wait()

    def wait(self):
        """Waits until all servers listen."""
        for server in self.servers:
            wait_for(f"{server.name} to listen", lambda server=server: server.port)

    def stop(self):
        """Stops all processes with SIGTERM; returns a problem for each that does not end with code 0."""
        codes = {process.name: process.stop() for process in [*self.servers, *self.workers]}
        return [f"{name} ended with code {code}" for name, code in codes.items() if code != 0]


def run_soak(run_of, minutes):
    """Runs the soak and adds its checks and figures to the run."""
    journal = Journal()
    postgres = Postgres("soak", run_of.folder, run_of.programs)
    postgres.make()
    postgres.start()
    database = make_database(run_of.binary, postgres)
    # With this setting a killed PostgreSQL loses commits. The product must override it.
    postgres.sql("alter database ledger set synchronous_commit = off")
    services = Services(run_of.binary, run_of.folder, database, "soak")
    services.start()
    jobs = [create_job(services.servers[0], f"soak {number}") for number in range(JOBS)]
    reporters = Reporters(services.servers, Workload(jobs[:-1]), journal, run_of.seed, count=4)
    # The last job gets a thousand indicators.
    readers = Readers(services.servers, jobs[:-1], journal, run_of.seed, count=2, seldom=jobs[-1:])
    chaos = Chaos(services.servers, services.workers, postgres, journal, run_of.seed, run_of.folder / "chaos.log")
    Reporter(services.servers, reporters.workload, journal, run_of.random).send_over_limit(jobs[-1])
    reporters.start()
    readers.start()
    if run_of.broken is None:
        chaos.start()
    time.sleep(minutes * 60)
    if run_of.broken is None:
        chaos.end()
    services.wait()
    reporters.end()
    readers.end()
    check_ledger(run_of, "soak", journal, services, postgres, jobs)
    run_of.check("soak: events, reads and faults occurred", _missing_activity(run_of, journal, chaos))
    run_of.add_figures(journal)
    run_of.count("kills", chaos.kills)
    run_of.count("freezes", chaos.freezes)
    before, after = longest_pause(journal.acknowledgements())
    run_of.figures["seconds of the longest outage in the soak"] = round(after - before)


def check_ledger(run_of, part, journal, services, postgres, jobs):
    """Compares the journal with a ledger at rest, and stops the services."""
    server, other = services.servers
    wait_until_quiet(postgres)
    break_ledger(run_of.broken, journal, postgres, server)
    record = read_record(server, postgres, jobs)
    break_journal(run_of.broken, journal)
    for claim, problems in all_checks(journal, record).items():
        run_of.check(f"{part}: {claim}", problems)
    run_of.check(f"{part}: 'verify --all' finds nothing", tool_problems(run_of.binary, other, "verify", "--all"))
    run_of.check(f"{part}: 'replay' finds no difference", tool_problems(run_of.binary, other, "replay"))
    run_of.check(f"{part}: SIGTERM ends every process with code 0", services.stop())


def make_database(binary, postgres, connection=None):
    """Creates a ledger's database and returns its connection string."""
    postgres.sql("create database ledger", "postgres")
    database = connection or f"host={postgres.folder} user=postgres dbname=ledger"
    run([binary, "migrate", "--database", database])
    return database


def wait_until_quiet(postgres):
    """Waits until nothing is appended and every snapshot includes its job's last event."""
    state = """
        select coalesce(sum(head.sequence), 0), count(*) filter (where snapshot.sequence = head.sequence), count(*)
        from ledger.job_head as head
        left join ledger.snapshot as snapshot on snapshot.job_id = head.job_id and snapshot.is_live
    """

    def is_quiet():
        before = postgres.sql(state)
        time.sleep(1)
        _, up_to_date, jobs = before[0].split("|")
        return up_to_date == jobs and postgres.sql(state) == before

    wait_for("all events to be in the snapshots", is_quiet)


def _missing_activity(run_of, journal, chaos):
    counts = {"events": journal.acknowledged(), "reads": journal.reads}
    if run_of.broken is None:
        counts |= {"kills": chaos.kills, "freezes": chaos.freezes}
    return [f"no {name}" for name, count in counts.items() if count == 0]
