"""The network and the ledger fail in many ways, and the final numbers are correct."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from progress_ledger import Client, Job, Settings

from conftest import QUICK, Messages, figures
from fault_proxy import CutAfter, CutBefore, Fault, FaultProxy, Hold, Pass, Reply, problem
from ledger_process import LedgerProcess

UNAVAILABLE = Reply(503, {"title": "Overloaded", "status": 503}, {"Retry-After": "0"})


def test_a_report_with_a_lost_response_is_repeated_unchanged_and_counts_once(
    proxy: FaultProxy, faulty: Client, ledger: Client
) -> None:
    job = faulty.jobs.create("lost responses")
    with job.execution("tile") as context:
        assert context.flush()
        proxy.inject(CutAfter(), CutAfter(), CutAfter())
        context.progress().done(1)
        proxy.wait_until_seen(3)
        # This report arrives while the outcome of the first one is unknown; the repetition must not contain it.
        context.progress().done(10)
        assert context.flush()
    bodies = [seen.body for seen in proxy.appends[1:5]]
    assert bodies[0] == bodies[1] == bodies[2] == bodies[3]
    assert figures(ledger.jobs.find(job.id)) == {None: (11, 0)}
    verdicts = [event["verdict"] for event in job.events(type="progress")]
    assert verdicts.count("duplicate") == 3
    assert verdicts.count("counted") == 2
    assert context.stats.dropped == 0


@pytest.mark.parametrize("fault", [CutBefore(), CutAfter(), UNAVAILABLE, Reply(429), Reply(500), Reply(502)])
def test_a_fault_at_every_request_changes_nothing(
    proxy: FaultProxy, faulty: Client, ledger: Client, fault: Fault
) -> None:
    job = faulty.jobs.create("every request")
    for number in range(4):
        proxy.inject(fault, Pass(), fault, fault, Pass())
        with job.execution(f"task {number}") as context:
            context.progress("a").add(2)
            context.progress("a").done(1)
            assert context.flush()
            context.progress("a").done(1)
            context.progress("b").done(5)
    assert faulty.flush()
    assert figures(ledger.jobs.find(job.id)) == {"a": (8, 8), "b": (20, 0)}
    assert faulty.stats.failed_requests > 0
    assert faulty.stats.dropped == 0


def test_random_faults_never_make_a_number_wrong(proxy: FaultProxy, faulty: Client, ledger: Client) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    job = faulty.jobs.create("chaos")
    # Fewer responses 500 than make the client give an event up.
    faults: list[Fault] = [Reply(500)] * (QUICK.refusals_max - 1)
    faults += [chance.choice((Pass(), CutBefore(), CutAfter(), UNAVAILABLE)) for _ in range(50)]
    chance.shuffle(faults)
    proxy.inject(*faults)
    expected: dict[str | None, list[int]] = {}
    for number in range(12):
        with job.execution(f"task {number % 6}", attempt=number // 6 + 1) as context:
            for _ in range(chance.randrange(1, 30)):
                label, n = chance.choice(("a", "b", None)), chance.randrange(5)
                context.progress(label).done(n)
                if number >= 6:
                    expected.setdefault(label, []).append(n)
                if chance.random() < 0.2:
                    context.flush()
    assert faulty.flush(60)
    found = {label: done for label, (done, _) in figures(ledger.jobs.find(job.id)).items() if done}
    assert found == {label: sum(counts) for label, counts in expected.items() if sum(counts)}
    assert faulty.stats.dropped == 0


def test_retry_after_is_honored(proxy: FaultProxy, ledger: Client) -> None:
    faulty = Client(proxy.url, settings=QUICK)
    job = faulty.jobs.create("patient")
    proxy.inject(Reply(503, {}, {"Retry-After": "1"}))
    began = time.monotonic()
    with job.execution("tile") as context:
        proxy.wait_until_seen(2)
        assert time.monotonic() - began >= 1
        context.progress().done(1)
    assert faulty.flush()
    assert figures(ledger.jobs.find(job.id)) == {None: (1, 0)}
    faulty.close()


def test_an_outage_is_logged_once_counted_and_slows_nothing(
    proxy: FaultProxy, ledger: Client, messages: Messages
) -> None:
    faulty = Client(proxy.url, settings=QUICK)
    job = faulty.jobs.create("outage")
    proxy.inject_always(CutBefore())
    slowest = 0.0
    with job.execution("first") as context:
        for number in range(20_000):
            began = time.perf_counter()
            context.progress(f"label {number % 5}").done(1)
            slowest = max(slowest, time.perf_counter() - began)
        proxy.wait_until_seen(10)
        assert context.stats.failed_requests >= 8
        assert context.stats.last_error
        assert context.stats.recorded == 0
    # The outage is longer than every wait, so the end of an execution no longer waits.
    while not faulty._ledger.sender.health.is_away(time.monotonic()):  # type: ignore[union-attr]
        proxy.wait_until_seen(len(proxy.appends) + 1)
    began = time.perf_counter()
    for number in range(50):
        with job.execution(f"task {number}") as each:
            each.progress().done(1)
    assert time.perf_counter() - began < 10, "each would wait for a second otherwise"
    assert messages.levels() == ["WARNING"]
    proxy.inject_always(None)
    assert faulty.close(20)
    assert figures(ledger.jobs.find(job.id)) == {None: (50, 0), **{f"label {n}": (4000, 0) for n in range(5)}}
    messages.wait_for("takes reports again")
    assert messages.levels() == ["WARNING"]
    assert slowest < 3, "one call in 20,000 may have to share a core; none waits for the ledger"


def test_a_slow_ledger_does_not_delay_executions(proxy: FaultProxy, ledger: Client) -> None:
    settings = Settings(report_seconds=0.02, flush_seconds=1, pause_seconds_min=0.01, pause_seconds_max=0.05)
    faulty = Client(proxy.url, settings=settings)
    job = faulty.jobs.create("slow")
    released = threading.Event()
    proxy.inject_always(Hold(released))
    with job.execution("first") as context:
        context.progress().done(1)
    assert context.stats.waiting > 0
    began = time.perf_counter()
    for number in range(50):
        with job.execution(f"task {number}") as each:
            each.progress().done(1)
    assert time.perf_counter() - began < 10, "after one wait in vain, the ends of executions wait no more"
    proxy.inject_always(None)
    released.set()
    assert faulty.close(20)
    assert figures(ledger.jobs.find(job.id)) == {None: (51, 0)}


def test_a_late_response_counts_as_lost(proxy: FaultProxy, ledger: Client) -> None:
    settings = Settings(report_seconds=0.02, request_seconds=0.3, pause_seconds_min=0.01, pause_seconds_max=0.05)
    faulty = Client(proxy.url, settings=settings)
    job = faulty.jobs.create("late")
    released = threading.Event()
    with job.execution("tile") as context:
        assert context.flush()
        proxy.inject(Hold(released))
        context.progress().done(7)
        proxy.wait_until_seen(3)
        released.set()
        assert context.flush()
    assert proxy.appends[1].body == proxy.appends[2].body
    assert faulty.close(10)
    assert figures(ledger.jobs.find(job.id)) == {None: (7, 0)}


def test_refused_events_are_dropped_and_the_others_are_kept(
    proxy: FaultProxy, faulty: Client, ledger: Client, messages: Messages
) -> None:
    job = faulty.jobs.create("refused")
    with job.execution("tile") as context:
        assert context.flush()
        errors = [{"pointer": "/1/label", "detail": "is not liked"}]
        proxy.inject(problem(422, detail="Nothing was recorded", errors=errors))
        for label in ("a", "b", "c"):
            context.progress(label).done(1)
        assert not context.flush()
        assert (context.stats.dropped, context.stats.waiting) == (1, 0)
    messages.wait_for("were refused")
    assert messages.levels() == ["ERROR"]
    assert figures(ledger.jobs.find(job.id)) == {"a": (1, 0), "c": (1, 0)}


def test_a_refusal_without_details_drops_the_refused_event_only(
    proxy: FaultProxy, faulty: Client, ledger: Client
) -> None:
    job = faulty.jobs.create("refused")
    with job.execution("tile") as context:
        assert context.flush()
        # The requests for four events: the whole batch, its first half, its first event.
        proxy.inject(problem(400), problem(422), problem(422))
        for label in ("a", "b", "c", "d"):
            context.progress(label).done(1)
        assert not context.flush()
        assert context.stats.dropped == 1
    assert figures(ledger.jobs.find(job.id)) == {"b": (1, 0), "c": (1, 0), "d": (1, 0)}


def test_permanent_errors_of_the_ledger_drop_the_failing_event_only(proxy: FaultProxy, ledger: Client) -> None:
    settings = Settings(report_seconds=0.02, pause_seconds_min=0.001, pause_seconds_max=0.002, refusals_max=3)
    faulty = Client(proxy.url, settings=settings)
    job = faulty.jobs.create("faults")
    with job.execution("tile") as context:
        assert context.flush()
        # Three times both events, three times the first one alone, then the second one.
        proxy.inject(*[Reply(500)] * 6)
        context.progress("a").done(1)
        context.progress("b").done(1)
        assert not context.flush()
        assert context.stats.dropped == 1
    assert figures(ledger.jobs.find(job.id)) == {"b": (1, 0)}
    faulty.close()


def test_a_request_that_is_too_large_is_sent_in_parts(proxy: FaultProxy, faulty: Client, ledger: Client) -> None:
    job = faulty.jobs.create("large")
    with job.execution("tile") as context:
        assert context.flush()
        proxy.inject(Reply(413), Reply(413))
        for number in range(100):
            context.progress(f"label {number}").done(number)
        assert context.flush()
        assert context.stats.dropped == 0
    assert [len(seen.events) for seen in proxy.appends[1:5]] == [100, 50, 25, 25]
    assert figures(ledger.jobs.find(job.id)) == {f"label {number}": (number, 0) for number in range(100)}


def test_a_refused_token_loses_nothing(proxy: FaultProxy, faulty: Client, ledger: Client) -> None:
    job = faulty.jobs.create("token")
    proxy.inject(Reply(401), Reply(403), Reply(404), Reply(301, {}, {"Location": "/elsewhere"}), Reply(200))
    # A proxy refuses requests for some time.
    proxy.inject(Reply(400), Reply(422), Reply(409), Reply(415))
    with job.execution("tile") as context:
        context.progress().done(1)
    assert faulty.flush()
    assert figures(ledger.jobs.find(job.id)) == {None: (1, 0)}
    assert context.stats.dropped == 0


@pytest.fixture
def authorizations(proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The `Authorization` headers that the proxy receives."""
    seen: list[str | None] = []
    original = proxy._ask

    def ask(method: str, target: str, headers: dict[str, str], body: bytes):  # type: ignore[no-untyped-def]
        seen.append(headers.get("Authorization"))
        return original(method, target, headers, body)

    monkeypatch.setattr(proxy, "_ask", ask)
    return seen


def test_the_token_goes_with_every_request(
    proxy: FaultProxy, authorizations: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROGRESS_LEDGER_TOKEN", "secret-token")
    with Client(proxy.url, settings=QUICK) as client:
        with client.jobs.create("secret").execution("tile") as context:
            context.progress().done(1)
        assert "secret-token" not in repr(client) + repr(client._configuration)
    assert len(authorizations) >= 2
    assert set(authorizations) == {"Bearer secret-token"}


def test_a_token_file_is_read_again_when_it_changes(
    proxy: FaultProxy, authorizations: list[str | None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "token"
    path.write_text("first\n")
    monkeypatch.setenv("PROGRESS_LEDGER_TOKEN_FILE", str(path))
    with Client(proxy.url, settings=QUICK) as client:
        job = client.jobs.create("rotated")
        assert set(authorizations) == {"Bearer first"}
        path.write_text("second")
        job.refresh()
        assert authorizations[-1] == "Bearer second"
        # While the file is replaced, the last token is used.
        for wrong in ("two words\nand a line", "ünicode", ""):
            path.write_text(wrong)
            job.refresh()
            assert authorizations[-1] == "Bearer second", wrong
        path.unlink()
        job.refresh()
        assert authorizations[-1] == "Bearer second"
        os.mkfifo(path)
        job.refresh()
        assert authorizations[-1] == "Bearer second"
        path.unlink()
        path.write_text("third")
        job.refresh()
        assert authorizations[-1] == "Bearer third"
        assert "third" not in repr(client) + repr(client._configuration)
    # A token that is given has precedence.
    monkeypatch.setenv("PROGRESS_LEDGER_TOKEN", "variable")
    with Client(proxy.url) as client:
        client.job(job.id).refresh()
    assert authorizations[-1] == "Bearer variable"


def test_a_lagging_projection_does_not_slow_reports(proxy: FaultProxy, faulty: Client) -> None:
    job = faulty.jobs.create("lag")
    proxy.inject(Reply(201, {"first_sequence": 2, "last_sequence": 2, "verdicts": None}))
    with job.execution("tile") as context:
        assert context.flush()
        context.progress().done(1)
        assert context.flush()
    targets = [seen.target for seen in proxy.appends]
    assert "wait=folded" in targets[0]
    assert all("wait" not in target for target in targets[1:]), "it is not waited for again so soon"


def test_the_ledger_is_restarted_and_killed_while_reports_go_on() -> None:
    server = LedgerProcess()
    try:
        ledger = Client(server.url, settings=QUICK)
        job = ledger.jobs.create("restart")
        stop = threading.Event()
        counts: dict[int, int] = {}

        def work(number: int) -> None:
            with job.execution(f"worker {number}") as context:
                count = 0
                while not stop.is_set():
                    context.progress("units").add(1)
                    context.progress("units").done(1)
                    count += 1
                    stop.wait(0.001)
                counts[number] = count

        workers = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for worker in workers:
            worker.start()
        for end in (server.stop, server.kill):
            recorded = ledger.stats.recorded
            while ledger.stats.recorded == recorded:
                stop.wait(0.01)
            end()
            failed = ledger.stats.failed_requests
            while ledger.stats.failed_requests == failed:
                stop.wait(0.01)
            server.start()
        recorded = ledger.stats.recorded
        while ledger.stats.recorded == recorded:
            stop.wait(0.01)
        stop.set()
        for worker in workers:
            worker.join()
        assert ledger.flush(30)
        total = sum(counts.values())
        assert figures(job) == {"units": (total, total)}
        assert ledger.stats.dropped == 0
        ledger.close()
    finally:
        server.remove()


def test_clock_jumps_change_nothing(server: LedgerProcess, job: Job) -> None:
    """The wall clock of the process jumps a day back and forth at every read; reports and waits are unaffected."""
    program = f"""
import itertools, time
jumps = itertools.cycle((-86400.0, 0.0, 86400.0))
real = time.time
time.time = lambda: real() + next(jumps)
time.time_ns = lambda: int(time.time() * 1e9)
from progress_ledger import Client
ledger = Client({server.url!r})
job = ledger.job({job.id!r})
with job.execution("tile") as context:
    for _ in range(3):
        context.progress().done(1)
        assert context.flush()
began = time.monotonic()
try:
    job.wait(timeout=0.2)
except TimeoutError:
    assert time.monotonic() - began < 5
print(job.refresh().progress[0].done)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (result.stdout, result.stderr) == ("3\n", "")


def test_a_creation_with_a_lost_response_is_repeated_and_creates_one_job(
    server: LedgerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    from progress_ledger.transport import ExchangeError, Transport

    ledger = Client(server.url, settings=QUICK)
    perform = Transport.perform
    lost = [True]

    def lose_one_response(self, *arguments, **more):  # type: ignore[no-untyped-def]
        response = perform(self, *arguments, **more)
        if lost.pop() if lost else False:
            raise ExchangeError("lost", sent=True)
        return response

    monkeypatch.setattr(Transport, "perform", lose_one_response)
    created = ledger.jobs.create("once")
    assert not lost
    assert [job.id for job in ledger.jobs.list(name="once")] == [created.id]
    lost.append(True)
    job = ledger.jobs.create("twice", key="tried again")
    assert ledger.jobs.find(key="tried again").id == job.id
    assert len(list(ledger.jobs.list(name="twice"))) == 1
