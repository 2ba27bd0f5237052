"""Jobs that are created by their first report: their contexts in other processes and in this one."""

from __future__ import annotations

import multiprocessing
import pickle
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest
from manual_clock import ManualClock

from progress_ledger import Client, Handle, Job, Settings, UnavailableError, integration
from progress_ledger.transport import ExchangeError, Request, Transport

from conftest import QUICK, figures
from ledger_process import LedgerProcess


@pytest.fixture
def client(server: LedgerProcess) -> Iterator[Client]:
    with Client(server.url, settings=QUICK) as client:
        integration.use(client)
        yield client


@pytest.fixture
def silence() -> Iterator[str]:
    """The URL of a server that accepts connections and does not respond."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def report(context: Any, number: int) -> None:
    with context:
        context.progress("a").done(number)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_contexts_and_jobs_by_key_work_in_other_processes(client: Client, method: str) -> None:
    job = integration.job_by_key(f"pickled {method}", "pickled", {"a": "b"})
    with job.execution("tile", attempt=1) as context:
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
            list(pool.map(report, [context] * 10, range(1, 11)))
            assert pool.submit(job_id, job).result() == job.id
        context.progress("a").done(100)
    assert figures(client.jobs.find(key=f"pickled {method}")) == {"a": (155, 0)}
    assert len(list(job.events(type="execution_started"))) == 1


def job_id(job: Job) -> str:
    return job.id


def test_a_copy_or_a_handle_in_the_same_process_is_the_same_execution(client: Client) -> None:
    job = integration.job_by_key("same", "same")
    with job.execution("tile", attempt=1) as context:
        context.progress("a").set_done(100)
        pickle.loads(pickle.dumps(context)).progress("a").set_done(110)
        pickle.loads(pickle.dumps(context.progress("a"))).set_done(120)
        with context.handle().attach(client) as attached:
            attached.progress("a").set_done(150)
        assert pickle.loads(pickle.dumps(job)).id == job.id
        assert pickle.loads(pickle.dumps(context)).progress("a")._counter is context.progress("a")._counter
    assert figures(job) == {"a": (150, 0)}


def test_a_job_that_cannot_be_created_holds_up_no_other_one(client: Client) -> None:
    refused = integration.job_by_key("refused", "refused", {"ledger.deadline": "never"})
    good = client.jobs.create("good")
    with refused.execution("t", attempt=1) as lost:
        lost.progress("a").done(1)
        with good.execution("t", attempt=1) as context:
            context.progress("a").done(2)
        assert figures(good) == {"a": (2, 0)}
    assert not list(client.jobs.list(key="refused"))
    assert not client.flush(10), "its reports are lost"
    assert client.stats.pending == 0, "nothing waits for it"
    with pytest.raises(UnavailableError, match="422"):
        _ = refused.id


def test_a_part_that_is_still_in_use_is_not_forgotten(
    client: Client, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("progress_ledger.jobs.PARTS_MAX", 3)
    handles = [Handle(job.id, f"tile {number}", "execution", 1, client.url) for number in range(5)]
    with handles[0].attach(client) as first:
        first.progress("a").set_done(100)
        for handle in handles[1:]:
            handle.attach(client)
        with handles[0].attach(client) as second:
            second.progress("a").set_done(120)
    assert client.flush(10)
    assert figures(job) == {"a": (120, 0)}


def test_pickling_waits_for_no_ledger_and_everything_else_fails_as_documented(
    silence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Request] = []

    def perform(_: Transport, request: Request, *__: object, **___: object) -> None:
        asked.append(request)
        raise ExchangeError("no response", sent=True)

    monkeypatch.setattr(Transport, "perform", perform)
    clock = ManualClock()
    client = clock.give(Client(silence, settings=Settings(flush_seconds=0.01)))
    integration.use(client)
    job = integration.job_by_key("silent", "silent")
    context = job.execution("tile", attempt=1)
    for _ in range(100):
        copied = pickle.loads(pickle.dumps((context, context.progress("a"), context.carry(print), job)))
        assert repr(copied[3]) == repr(job) == "<Job with the key 'silent'>"
    assert not asked
    for _ in range(20):
        handle = context.handle()
    assert len(asked) == 1, "a failure is remembered"
    clock.now += 30
    handle = context.handle()
    assert len(asked) == 2, "for a while"
    assert handle.variables() == {}
    attached = handle.attach()
    attached.progress("a").done(1)
    assert attached.stats.dropped == 1
    with pytest.raises(UnavailableError):
        _ = job.id


def test_a_handle_asks_for_the_id_again_after_a_while(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    context = integration.job_by_key("again", "again").execution("tile")
    assert context._reporter is not None
    context._reporter.job.unknown_until = time.monotonic() + 3600
    monkeypatch.setattr(Transport, "perform", None)
    assert not context.handle().job
    monkeypatch.undo()
    context._reporter.job.unknown_until = 0.0
    assert context.handle().job
