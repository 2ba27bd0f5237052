"""Prefect: runs that are retried, killed and run twice, with a real server of Prefect."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL
from prefect.states import Pending
from prefect.testing.utilities import prefect_test_harness

from progress_ledger import Client, Job, integration

import flows_of_prefect as flows
from ledger_process import LedgerProcess
from support import attempts, figures, wait_until


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
def processes() -> Iterator[Callable[[UUID], subprocess.Popen[bytes]]]:
    """Starts processes that carry out a flow run, as a worker of Prefect does."""
    started: list[subprocess.Popen[bytes]] = []

    def start(run: UUID) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PREFECT_API_URL": str(PREFECT_API_URL.value())}
        started.append(subprocess.Popen([sys.executable, flows.__file__, str(run)], env=environment))
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


def test_a_killed_flow_that_is_run_again_counts_once(
    ledger: Client, tmp_path: Path, processes: Callable[[UUID], subprocess.Popen[bytes]]
) -> None:
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
    ledger: Client, tmp_path: Path, processes: Callable[[UUID], subprocess.Popen[bytes]]
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
