"""Tests with a real broker and worker: tasks that are retried, crash, and are delivered twice."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from progress_ledger import Client, Job, current

from conftest import QUICK, figures
from ledger_process import LedgerProcess


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = shutil.which("redis-server")
    assert program, "redis-server is missing; Scripts/setup --python installs it"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("redis")
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert any("Ready to accept connections" in line for line in process.stdout)
    yield f"redis://127.0.0.1:{port}/0"
    process.terminate()
    process.communicate()


@pytest.fixture(scope="module")
def worker(server: LedgerProcess, broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    environment = {**os.environ, "PROGRESS_LEDGER_URL": server.url, "TEST_BROKER": broker}
    log = tmp_path_factory.mktemp("worker") / "log"
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "celery_tasks",
        "worker",
        "--pool",
        "prefork",
        "--concurrency",
        "3",
    ]
    command += ["--loglevel", "INFO", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=Path(__file__).parent, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
        yield log
        process.terminate()
        process.wait(60)
    print(log.read_text()[-4000:])


def test_a_workflow_that_retries_crashes_and_is_delivered_twice_ends_with_exact_numbers(
    server: LedgerProcess, broker: str, worker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_BROKER", broker)
    from progress_ledger.celery import reporting_to

    import celery_tasks

    with Client(server.url, settings=QUICK) as ledger:
        job = ledger.jobs.create("workflow")
        with reporting_to(job):
            celery_tasks.root.apply_async()
        assert celery_tasks.shared.blpop("finished", 90), worker.read_text()[-4000:]
        # `finalize` has reported, and reports once more at its end.
        for snapshot in job.watch():
            if snapshot.tasks.succeeded == 10:
                break
        lines = [f"{indicator.label}: {indicator.done}/{indicator.total}" for indicator in job.refresh().progress]
        assert lines == ["finalize: 1/1", "step1: 4/4", "step2: 4/4"]
        assert celery_tasks.shared.get("zombie was superseded") == b"1"
        runs: dict[str, list[list[int]]] = {}
        outcomes: dict[str, list[list[str | None]]] = {}
        for task in job.tasks():
            name = task.task.partition("[")[0].rpartition(".")[2]
            runs.setdefault(name, []).append([run.attempt for run in task.executions])
            outcomes.setdefault(name, []).append([run.outcome for run in task.executions])
        assert sorted(runs["step1"]) == [[1], [1], [1, 1], [1, 2]]
        assert sorted(runs["step2"]) == [[1], [1], [1, 1], [1, 2, 3]]
        assert runs["root"] == runs["finalize"] == [[1]]
        # An execution that Celery retries has not failed, and one whose process was killed has no outcome either.
        assert [None, None, "succeeded"] in outcomes["step2"]
        assert {tuple(found[:-1]) for found in outcomes["step1"]} == {(), (None,), ("succeeded",)}
        assert "WorkerLostError" in worker.read_text()
        wasted = {indicator.label: indicator.attempted_done - indicator.done for indicator in job.progress}
        assert wasted == {"finalize": 0, "step1": 1 + 1001, "step2": 1}
        assert figures(job)["step1"] == (4, 4)


def runs_of(job: Job) -> dict[str, list[list[tuple[int, str | None]]]]:
    """Returns the attempt and the outcome of each execution, by the name of the task."""
    found: dict[str, list[list[tuple[int, str | None]]]] = {}
    for task in job.tasks():
        name = task.task.partition("[")[0].rpartition(".")[2]
        found.setdefault(name, []).append([(run.attempt, run.outcome) for run in task.executions])
    return found


def test_a_task_that_another_one_calls_in_place_belongs_to_its_execution(
    broker: str, worker: Path, ledger: Client
) -> None:
    from progress_ledger.celery import reporting_to

    import celery_tasks

    job = ledger.jobs.create("nested")
    with reporting_to(job):
        celery_tasks.nested.apply_async((2,)).get(timeout=60)
    assert figures(job) == {"nested": (13, 0)}
    assert runs_of(job) == {"nested": [[(1, None), (2, "succeeded")]]}


def test_tasks_that_celery_itself_calls_report_and_its_other_own_tasks_do_not(
    broker: str, worker: Path, ledger: Client
) -> None:
    from progress_ledger.celery import reporting_to

    import celery_tasks

    job = ledger.jobs.create("own tasks")
    with reporting_to(job):
        celery_tasks.mapped.map([1, 2, 3]).apply_async().get(timeout=60)
        celery_tasks.mapped.chunks([(10,), (20,), (30,)], 2).group().apply_async().get(timeout=60)
        celery_tasks.app.tasks["celery.accumulate"].apply_async((1, 2)).get(timeout=60)
        celery_tasks.app.tasks["celery.backend_cleanup"].apply_async().get(timeout=60)
    for snapshot in job.watch():
        if snapshot.tasks.succeeded == 3:
            break
    assert figures(job) == {"mapped": (66, 0)}
    assert runs_of(job) == {"map": [[(1, "succeeded")]], "starmap": [[(1, "succeeded")]] * 2}


def test_a_job_without_a_valid_id_fails_no_task(monkeypatch: pytest.MonkeyPatch) -> None:
    import celery_tasks

    monkeypatch.setenv("PROGRESS_LEDGER_JOB", "no id")
    assert celery_tasks.other.apply().successful()


def test_tasks_without_the_base_know_their_attempt_too(broker: str, worker: Path) -> None:
    import celery_tasks

    result = celery_tasks.plain.apply_async()
    task, attempt = result.get(timeout=60)
    assert (task, attempt) == (f"celery_tasks.plain[{result.id}]", 1)


def test_a_task_that_is_called_directly_reports_nothing() -> None:
    import celery_tasks

    began = time.monotonic()
    dropped = current().stats.dropped
    celery_tasks.step2(0)
    assert time.monotonic() - began < 5
    assert current().stats.dropped == dropped, "a unit test loses nothing"
