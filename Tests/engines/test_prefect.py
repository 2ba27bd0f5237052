"""Prefect: runs that are retried, killed and run twice, with a real server of Prefect."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL
from prefect.states import Pending
from prefect.testing.utilities import prefect_test_harness

import progress_ledger.prefect
from progress_ledger import Client, Job, integration
from progress_ledger.prefect import _digest, _Numbers, reporting_to

import flows_of_prefect as flows
from ledger_process import LedgerProcess
from support import attempts, figures, wait_until

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture(scope="module", autouse=True)
def engine(server: LedgerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    os.environ["PREFECT_HOME"] = str(tmp_path_factory.mktemp("prefect"))
    os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
    with prefect_test_harness(server_startup_timeout=120):
        yield


@pytest.fixture(autouse=True)
def own_folder(engine: None, tmp_path: Path) -> None:
    os.environ["TEST_FOLDER"] = str(tmp_path)
    integration.use(Client())


@pytest.fixture
def processes() -> Iterator[Start]:
    """Starts processes that carry out a flow run, as a worker of Prefect does."""
    started: list[subprocess.Popen[bytes]] = []

    def start(run: UUID, name: str = "interrupted") -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PREFECT_API_URL": str(PREFECT_API_URL.value())}
        started.append(subprocess.Popen([sys.executable, flows.__file__, str(run), name], env=environment))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def job_of(ledger: Client, flow_run: object) -> Job:
    return ledger.jobs.find(key=f"prefect/{flow_run}")


def runs_of(job: Job) -> dict[str, list[list[tuple[int, str | None]]]]:
    """Returns the executions of the task runs, by the name of the task."""
    found: dict[str, list[list[tuple[int, str | None]]]] = {}
    for name, runs in attempts(job).items():
        found.setdefault(name.partition("[")[0], []).append(runs)
    return {name: sorted(runs, key=str) for name, runs in found.items()}


def test_retried_tasks_count_once(ledger: Client) -> None:
    state = flows.mosaic(3, return_state=True)
    assert state.is_completed()
    job = job_of(ledger, state.state_details.flow_run_id)
    assert figures(job) == {"download": (3, 3), "scan": (6, 6), "async": (2, 2)}
    wait_until(lambda: job.refresh().state == "completed")
    assert job.name == "mosaic"
    # A run that Prefect will retry has not failed.
    assert runs_of(job) == {
        "mosaic": [[(1, "succeeded")]],
        "download": [[(1, "succeeded")], [(1, "succeeded")], [(1, None), (2, None), (3, "succeeded")]],
        "scan": [[(1, "succeeded")], [(1, "succeeded")]],
        "wait": [[(1, None), (2, "succeeded")]],
    }


def test_a_retried_flow_repeats_some_tasks_and_all_count_once(ledger: Client) -> None:
    state = flows.retried(return_state=True)
    assert state.is_completed()
    job = job_of(ledger, state.state_details.flow_run_id)
    assert figures(job) == {"parts": (3, 3), "kept": (3, 0)}
    runs = runs_of(job)
    assert sorted(len(found) for found in runs["part"]) == [2, 2, 2]
    assert sorted(len(found) for found in runs["kept"]) == [1, 1, 2]
    assert runs["retried"] == [[(1, None), (2, "succeeded")]]


def start_again(run: UUID) -> None:
    """Lets a flow run be carried out again, as "Retry" does in the user interface."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run, Pending(), force=True)


def test_a_killed_flow_that_is_run_again_counts_once(ledger: Client, tmp_path: Path, processes: Start) -> None:
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(flows.interrupted).id
    process = processes(run)
    wait_until(lambda: (tmp_path / "slow began").exists())
    job = job_of(ledger, run)
    wait_until(lambda: figures(job) == {"fast": (3, 0), "slow": (1, 1)})
    process.kill()
    start_again(run)
    assert processes(run).wait(60) == 0
    assert figures(job) == {"fast": (4, 0), "slow": (1, 1)}
    assert job.state == "completed"
    assert runs_of(job)["slow"] == [[(1, None), (10_001, "succeeded")]]


def test_of_a_flow_that_runs_twice_at_once_the_later_run_counts(
    ledger: Client, tmp_path: Path, processes: Start
) -> None:
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(flows.interrupted).id
    first = processes(run)
    wait_until(lambda: (tmp_path / "slow began").exists())
    start_again(run)
    assert processes(run).wait(60) == 0
    (tmp_path / "second has ended").touch()
    first.wait(60)
    assert (tmp_path / "superseded True").exists()
    assert figures(job_of(ledger, run)) == {"fast": (4, 0), "slow": (1, 1)}


def test_a_task_or_flow_that_another_one_calls_by_its_function_belongs_to_its_execution(ledger: Client) -> None:
    state = flows.nested(return_state=True)
    assert state.is_completed()
    job = job_of(ledger, state.state_details.flow_run_id)
    assert figures(job) == {"nested": (100 + 10 + 4 + 2, 0)}
    assert runs_of(job) == {"nested": [[(1, "succeeded")]], "outer": [[(1, "succeeded")]]}


def test_class_and_static_methods_and_partial_functions_are_tasks(ledger: Client) -> None:
    state = flows.methods(return_state=True)
    assert state.is_completed()
    job = job_of(ledger, state.state_details.flow_run_id)
    assert figures(job) == {"methods": (6, 0)}
    assert set(runs_of(job)) == {"methods", "make", "check", "partial"}


@pytest.mark.parametrize("way", ["variable", "context"])
def test_flow_runs_that_report_to_one_job_all_count(
    ledger: Client, job: Job, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    if way == "variable":
        monkeypatch.setenv("PROGRESS_LEDGER_JOB", job.id)
    with reporting_to(job) if way == "context" else nullcontext():
        for part in range(3):
            assert flows.shared(part, return_state=True).is_completed()
    assert figures(job) == {"shared": (6, 6), "named": (3, 0)}
    assert all(runs == [(1, "succeeded")] for runs in attempts(job).values())
    assert job.state == "running"


def test_task_runs_in_other_processes_all_count(ledger: Client) -> None:
    state = flows.detached(return_state=True)
    assert state.is_completed()
    job = job_of(ledger, state.state_details.flow_run_id)
    assert figures(job) == {"named": (4, 0), "varied": (4, 0), "shared": (4, 0)}


def test_a_suspended_flow_is_running_until_it_is_resumed(ledger: Client, processes: Start) -> None:
    with get_client(sync_client=True) as client:
        # Prefect suspends only the runs of deployments.
        deployment = client.create_deployment(client.create_flow(flows.suspended), "test")
        run = client.create_flow_run_from_deployment(deployment).id
    assert processes(run, "suspended").wait(60) == 1, "it ends by the signal"
    job = job_of(ledger, run)
    assert runs_of(job) == {"suspended": [[(1, None)]]}
    with get_client(sync_client=True) as client:
        client.resume_flow_run(run)
    assert processes(run, "suspended").wait(60) == 0
    assert figures(job) == {"suspended": (1, 0)}
    assert runs_of(job) == {"suspended": [[(1, None), (1, "succeeded")]]}
    assert job.state == "completed"


def test_a_task_run_keeps_its_number_while_many_others_begin() -> None:
    numbers = _Numbers()
    first, second = (numbers.of(run, 7, is_retry=False) for run in (1, 2))
    for run in range(10, 50_000):
        assert numbers.of(run, run, is_retry=False) == 1
    assert [numbers.of(1, 7, is_retry=True), numbers.of(2, 7, is_retry=True)] == [first, second] == [1, 2]
    assert numbers.of(3, 7, is_retry=False) == 3
    # The retry of a task run whose function was not called before.
    assert numbers.of(4, 8, is_retry=True) == 1


def test_the_memory_for_the_numbers_of_task_runs_is_limited(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(progress_ledger.prefect, "NAMES_MAX", 100)
    numbers = _Numbers()
    for run in range(1_000):
        numbers.of(run, run // 2, is_retry=False)
    assert [len(numbers._counts), len(numbers._numbers)] == [100, 100]
    numbers.of(2_000, 7_000, is_retry=False)
    waiting = [numbers.of(run, 7_000, is_retry=False) for run in range(3_000, 3_102)]
    assert waiting == list(range(2, 104))
    assert numbers.of(3_000, 7_000, is_retry=True) == 1, "superseded rather than counted twice"
    assert "is forgotten" in caplog.text


def test_large_parameters_cost_a_task_no_time() -> None:
    contexts = [
        SimpleNamespace(persist_result=False, parameters={"data": data})
        for data in (bytes(50 << 20), bytes(51 << 20), "x" * (50 << 20), 10**100_000, [1], None, 1, True, 1.0)
    ]
    began = time.monotonic()
    digests = [_digest(context, "") for context in contexts]
    assert time.monotonic() - began < 0.1
    assert len(set(digests)) == len(contexts)
    assert _digest(contexts[0], "A") != _digest(contexts[0], "B")


def test_an_unreachable_ledger_costs_no_task_time(server: LedgerProcess, ledger: Client) -> None:
    server.stop()
    try:
        integration.use(client := Client())
        began = time.monotonic()
        state = flows.mosaic(3, return_state=True)
        took = time.monotonic() - began
        assert state.is_completed()
    finally:
        server.start()
    assert client.flush(30)
    assert figures(job_of(ledger, state.state_details.flow_run_id))["download"] == (3, 3)
    assert took < 10
