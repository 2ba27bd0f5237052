"""Tests with real runners of Tilebox's SDK: tasks that fail, crash, and are delivered twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from progress_ledger import Client, Job

from conftest import Messages, figures
from ledger_process import LedgerProcess

pytest.importorskip("tilebox.workflows", reason="Tilebox's SDK needs Python 3.11")

from tilebox_service import TileboxService


@pytest.fixture
def service() -> Iterator[TileboxService]:
    service = TileboxService("mosaic")
    yield service
    service.close()


class Runner:
    """A process with a runner. Its output goes to a file: a pipe would be open until its child for leases ends too."""

    def __init__(self, command: list[str], log: Path) -> None:
        self._log = log
        # Without telemetry, which the runner would send to the service.
        environment = {**os.environ, "OTEL_SDK_DISABLED": "true"}
        with log.open("w") as output:
            self._process = subprocess.Popen(
                command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )

    @property
    def output(self) -> str:
        return self._log.read_text()

    def end(self, code: int = 0) -> str:
        """Waits until it has no task left, and returns its output."""
        assert self._process.wait(120) == code, self.output
        return self.output

    def close(self) -> None:
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()


class Runners:
    """The runners of a test."""

    def __init__(self, service: TileboxService, ledger: str, folder: Path) -> None:
        program = Path(__file__).with_name("tilebox_tasks.py")
        self._command = [sys.executable, str(program), service.url, ledger, str(folder)]
        self._folder = folder
        self._started: list[Runner] = []

    def start(self) -> Runner:
        self._started.append(Runner(self._command, self._folder / f"log {len(self._started)}"))
        return self._started[-1]

    def close(self) -> None:
        for runner in self._started:
            runner.close()

    def wait_for(self, event: str) -> None:
        """Waits until an event has happened in a task."""
        deadline = time.monotonic() + 60
        while not (self._folder / event).exists():
            outputs = [runner.output for runner in self._started]
            assert time.monotonic() < deadline, f"{event} has not happened: {outputs}"
            time.sleep(0.01)


@pytest.fixture
def runners(service: TileboxService, server: LedgerProcess, tmp_path: Path) -> Iterator[Runners]:
    runners = Runners(service, server.url, tmp_path)
    yield runners
    runners.close()


def executions(job: Job) -> dict[str, list[tuple[int, str | None]]]:
    """The attempts and outcomes of the tasks' executions, by the class of the task."""
    return {
        task.task.partition("[")[0]: [(run.attempt, run.outcome) for run in task.executions] for task in job.tasks()
    }


def test_tasks_that_fail_crash_and_are_delivered_twice_end_with_exact_numbers(
    service: TileboxService, runners: Runners, ledger: Client, tmp_path: Path
) -> None:
    service.submit("Steady")
    service.submit("Asynchronous")
    service.submit("Failing")
    crashing = service.submit("Crashing")
    runners.start().end(-signal.SIGKILL)
    service.deliver(crashing)
    runners.start().end()

    twice = service.submit("Twice")
    first = runners.start()
    runners.wait_for("first delivery")
    service.deliver(twice)
    runners.start().end()
    first.end()
    assert (tmp_path / "superseded True").exists()

    job = ledger.jobs.find(key=str(service.job))
    assert job.name == "mosaic"
    assert figures(job) == {
        "tiles": (5, 5), None: (0, 1), "direct": (0, 1), "failing": (10, 10), "crashing": (5, 5), "twice": (1, 1),
    }  # fmt: skip
    assert executions(job) == {
        "Steady": [(1, "succeeded")],
        "Asynchronous": [(1, "succeeded")],
        "Failing": [(1, "failed"), (2, "failed"), (3, "succeeded")],
        "Crashing": [(1, None), (1, "succeeded")],
        "Twice": [(1, "succeeded"), (1, "succeeded")],
    }
    wasted = {indicator.label: indicator.attempted_done - indicator.done for indicator in job.progress}
    assert wasted["failing"] == 8
    assert wasted["crashing"] == 5
    assert wasted["twice"] == 1001
    # Tilebox gets the same numbers as without the ledger, from each result of a task.
    [steady] = [task for task in service.computed if task.display == "Steady"]
    assert [(update.label, update.done, update.total) for update in steady.progress_updates] == [
        ("tiles", 2, 2), ("", 0, 1),
    ]  # fmt: skip
    assert [[update.done for update in task.progress_updates] for task in service.failed] == [[4], [4]]


@pytest.mark.parametrize("kind", ["context", "indicator", "signature"])
def test_another_version_of_the_sdk_fails_no_task(
    server: LedgerProcess, job: Job, messages: Messages, kind: str
) -> None:
    """The objects of the SDK cannot be changed, or have other parameters."""
    from progress_ledger import tilebox

    done: list[tuple[object, ...]] = []

    class Indicator:
        __slots__ = () if kind == "indicator" else ("__dict__",)

        def add(self, count: int) -> None:
            pass

        def done(self, count: int, note: str = "") -> None:
            done.append((count, note))

    class Context:
        __slots__ = () if kind == "context" else ("__dict__",)

        def progress(self, label: str | None = None, *, unit: str = "") -> Indicator:
            return Indicator()

    context = Context()
    with job.execution("task") as execution:
        tilebox._report_too(context, execution)
        context.progress("a", unit="tiles").done(2, note="x")
        context.progress(label="a").done(1)
    assert done == [(2, "x"), (1, "")]
    assert figures(job) == ({"a": (3, 0)} if kind == "signature" else {})
    assert messages.count("fails") == (0 if kind == "signature" else 1)


def test_progress_is_reported_while_the_task_runs(service: TileboxService, runners: Runners, ledger: Client) -> None:
    twice = service.submit("Twice")
    runners.start()
    runners.wait_for("first delivery")
    assert figures(ledger.jobs.find(key=str(service.job)))["twice"][1] >= 1
    assert not service.computed
    service.deliver(twice)
    runners.start().end()


def test_an_unreachable_ledger_delays_and_fails_no_task(service: TileboxService, tmp_path: Path) -> None:
    runners = Runners(service, "http://127.0.0.1:1", tmp_path)
    for _ in range(5):
        service.submit("Steady")
    began = time.monotonic()
    runners.start().end()
    assert len(service.computed) == 5
    assert not service.failed
    assert time.monotonic() - began < 30
    runners.close()
