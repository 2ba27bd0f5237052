"""Airflow: its scheduler, API server and DAG processor, with tasks that are killed, fail, and run twice."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from progress_ledger import Client, Job

from ledger_process import LedgerProcess
from support import attempts, figures, notes, wait_until

HERE = Path(__file__).parent
SECONDS = 170
# The triggerer and the scheduler would serve logs on all addresses.
PARTS = [
    ["api-server"],
    ["dag-processor"],
    ["triggerer", "--skip-serve-logs"],
    ["scheduler", "--skip-serve-logs"],
]


@pytest.fixture(scope="module")
def folder(server: LedgerProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A running Airflow; the folder is shared by the test and the tasks."""
    folder = tmp_path_factory.mktemp("airflow")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {
        "CORE__DAGS_FOLDER": HERE / "airflow-dags",
        "CORE__PLUGINS_FOLDER": HERE / "airflow-plugins",
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__PARALLELISM": "4",
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "API__HOST": "127.0.0.1",
        "API__PORT": port,
        "API__BASE_URL": f"http://127.0.0.1:{port}",
        "API__WORKERS": "1",
        "API_AUTH__JWT_SECRET": "a secret of sufficient length for the signature of tokens, used in this test only",
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "8",
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        "USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    environment = {
        **os.environ,
        **{f"AIRFLOW__{name}": str(value) for name, value in settings.items()},
        "AIRFLOW_HOME": str(folder),
        "TEST_FOLDER": str(folder),
        "PROGRESS_LEDGER_URL": server.url,
    }
    command = [sys.executable, "-m", "airflow"]
    subprocess.run([*command, "db", "migrate"], env=environment, check=True, capture_output=True)
    processes = []
    with (folder / "log").open("w") as log:
        try:
            for part, *options in PARTS:
                processes.append(
                    subprocess.Popen(
                        [*command, part, *options],
                        env=environment,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
                )
                # Airflow gives up a task whose supervisor does not reach the API server.
                wait_until(lambda: is_open(port), SECONDS)
            yield folder
        finally:
            for process in processes:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    print((folder / "log").read_text()[-8000:])


def is_open(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def job_of(ledger: Client, dag: str) -> Job:
    """Returns the job of the only run of a DAG, when it is there."""
    found = wait_until(lambda: list(ledger.jobs.list(name=dag)), SECONDS)
    assert len(found) == 1
    return found[0]


def test_killed_and_retried_tasks_count_once(folder: Path, ledger: Client) -> None:
    job = job_of(ledger, "mosaic")
    wait_until(lambda: job.refresh().is_finished, SECONDS)
    assert job.state == "completed"
    assert job.key.startswith("airflow/mosaic/")
    assert figures(job) == {"tiles": (4, 4)}
    assert attempts(job) == {
        "plan": [(1, "succeeded")],
        "tile[0]": [(1, None), (2, "succeeded")],
        "tile[1]": [(1, None), (2, "succeeded")],
        "tile[2]": [(1, "succeeded")],
        "tile[3]": [(1, "canceled")],
    }


def test_a_killed_task_without_a_retry_has_failed(folder: Path, ledger: Client) -> None:
    job = job_of(ledger, "doomed")
    wait_until(lambda: job.refresh().is_finished, SECONDS)
    assert job.state == "failed"
    assert attempts(job) == {"kill": [(1, "failed")]}
    [(_, link)] = notes(job)["kill"]
    assert link is not None
    assert link.endswith("/tasks/kill?try_number=1")
    assert figures(job) == {"units": (1, 0)}


def test_killed_tasks_have_failed_although_their_dag_run_succeeds(folder: Path, ledger: Client) -> None:
    job = job_of(ledger, "tolerated")
    wait_until(lambda: job.refresh().is_finished, SECONDS)
    assert job.state == "completed"
    assert figures(job) == {"units": (111, 0)}
    assert attempts(job) == {
        "kill": [(1, "failed")],
        "kill_later": [(1, None), (1, "failed")],
        "after": [(1, "succeeded")],
    }


def test_a_deferred_task_continues_and_a_rescheduled_sensor_begins_again(folder: Path, ledger: Client) -> None:
    job = job_of(ledger, "waiting")
    wait_until(lambda: job.refresh().is_finished, SECONDS)
    assert attempts(job) == {"deferred": [(1, "succeeded")], "sensor": [(1, None), (1, "succeeded")]}
    assert figures(job) == {"units": (10, 10), "looks": (1, 0)}


def test_of_a_task_that_runs_twice_at_once_the_later_try_counts(folder: Path, ledger: Client) -> None:
    wait_until((folder / "frozen").exists, SECONDS)
    supervisor, process = map(int, wait_until((folder / "frozen").read_text).split())
    for one in (supervisor, process):
        os.kill(one, signal.SIGSTOP)
    job = job_of(ledger, "twice")
    wait_until(lambda: job.refresh().is_finished, SECONDS)
    (folder / "second has ended").touch()
    # Only the task: its supervisor would end it at once.
    os.kill(process, signal.SIGCONT)
    wait_until(lambda: list(folder.glob("superseded *")), SECONDS)
    assert (folder / "superseded True").exists()
    os.kill(supervisor, signal.SIGCONT)
    assert figures(job) == {"units": (1, 1)}
    assert attempts(job) == {"slow": [(1, None), (2, "succeeded")]}
