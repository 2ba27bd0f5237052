"""RQ, Dramatiq and Huey: workers that are killed, tasks that are retried and run twice at once, with a real broker."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from progress_ledger import Job

from ledger_process import LedgerProcess
from support import attempts, figures, wait_until

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[str]:
    program = shutil.which("redis-server")
    assert program, "redis-server is missing; Scripts/setup --python installs it"
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    url = f"redis://127.0.0.1:{port}/0"
    connection = redis.Redis.from_url(url)

    def is_ready() -> bool:
        try:
            return bool(connection.ping())
        except redis.ConnectionError:
            return False

    wait_until(is_ready)
    yield url
    process.kill()
    process.wait()


@pytest.fixture
def start(server: LedgerProcess, broker: str, tmp_path: Path) -> Iterator[Start]:
    """Starts workers, in a group of processes each."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*command: str, **variables: str) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ, "PROGRESS_LEDGER_URL": server.url, "TEST_BROKER": broker, "TEST_FOLDER": str(tmp_path),
            **variables,
        }  # fmt: skip
        process = subprocess.Popen([sys.executable, *command], env=environment, start_new_session=True)
        started.append(process)
        return process

    yield start
    for process in started:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()


@pytest.fixture
def tasks(broker: str, monkeypatch: pytest.MonkeyPatch) -> object:
    """The module with the tasks, which sends to this test's broker."""
    monkeypatch.setenv("TEST_BROKER", broker)
    sys.modules.pop("tasks_of_queues", None)
    import tasks_of_queues

    return tasks_of_queues


def runs_of(job: Job) -> list[list[tuple[int, str | None]]]:
    return sorted(attempts(job).values(), key=str)


def test_rq(broker: str, start: Start, job: Job, tmp_path: Path) -> None:
    from rq import Queue, Retry

    from progress_ledger.rq import LedgerJob, reporting_to

    queue = Queue("tiles", connection=redis.Redis.from_url(broker), job_class="progress_ledger.rq.LedgerJob")
    with reporting_to(job):
        for number in range(4):
            queue.enqueue("tasks_of_queues.work", number, retry=Retry(max=3))
        queue.enqueue("tasks_of_queues.unknown")
    command = ["-m", "rq.cli", "worker", "--url", broker, "--job-class", "progress_ledger.rq.LedgerJob", "tiles"]
    start(*command)
    wait_until(lambda: (counts := job.refresh().tasks).succeeded == 4 and counts.failed == 1)
    assert figures(job) == {"work": (40, 40)}
    assert runs_of(job) == [
        [(1, "failed")],
        [(1, "succeeded")],
        [(1, "succeeded")],
        [(1, None), (2, "succeeded")],
        [(1, None), (2, None), (3, "succeeded")],
    ]
    assert isinstance(queue.fetch_job(queue.failed_job_registry.get_job_ids()[0]), LedgerJob)


def test_rq_runs_a_job_of_a_lost_worker_again(broker: str, start: Start, job: Job, tmp_path: Path) -> None:
    """The first worker is frozen and its job requeued, as by the registry of a lost worker; then it continues."""
    from rq import Queue

    from progress_ledger.rq import reporting_to

    queue = Queue("tiles", connection=redis.Redis.from_url(broker), job_class="progress_ledger.rq.LedgerJob")
    with reporting_to(job):
        found = queue.enqueue("tasks_of_queues.slow")
    command = ["-m", "rq.cli", "worker", "--url", broker, "--job-class", "progress_ledger.rq.LedgerJob", "tiles"]
    first = start(*command)
    wait_until(lambda: (tmp_path / "process").exists())
    os.kill(first.pid, signal.SIGSTOP)
    queue.enqueue_job(found)
    start(*command)
    wait_until(lambda: list(tmp_path.glob("superseded *")), 120)
    assert (tmp_path / "superseded True").exists()
    # The second start says that it has ended before its reports are recorded.
    wait_until(lambda: figures(job) == {"slow": (1, 1)})


def test_dramatiq(start: Start, job: Job, tmp_path: Path, tasks: object) -> None:
    from progress_ledger.dramatiq import reporting_to

    with reporting_to(job):
        for number in range(4):
            tasks.work_of_dramatiq.send(number)
        tasks.doomed_of_dramatiq.send()
    for _ in range(2):
        # The first one is killed by its task.
        start("-m", "dramatiq", "tasks_of_queues", "--processes", "1", "--threads", "1")
    wait_until(lambda: (counts := job.refresh().tasks).succeeded == 4 and counts.failed == 1, 120)
    assert figures(job) == {"work": (40, 40)}
    runs = runs_of(job)
    assert [(1, None), (2, None), (3, "succeeded")] in runs
    assert [(1, None), (1, "succeeded")] in runs
    assert [(1, "failed")] in runs


def test_dramatiq_delivers_a_message_of_a_lost_worker_again(
    start: Start, job: Job, tmp_path: Path, tasks: object
) -> None:
    from progress_ledger.dramatiq import reporting_to

    with reporting_to(job):
        tasks.slow_of_dramatiq.send()
    first = start("-m", "dramatiq", "tasks_of_queues", "--processes", "1", "--threads", "1")
    process = int(wait_until(lambda: (tmp_path / "process").exists() and (tmp_path / "process").read_text()))
    # Without heartbeats it is dead for the broker.
    os.kill(process, signal.SIGSTOP)
    start("-m", "dramatiq", "tasks_of_queues", "--processes", "1", "--threads", "1")
    wait_until((tmp_path / "second has ended").exists, 120)
    os.kill(process, signal.SIGCONT)
    wait_until(lambda: list(tmp_path.glob("superseded *")))
    assert first.poll() is None
    assert (tmp_path / "superseded True").exists()
    # The second start says that it has ended before its reports are recorded.
    wait_until(lambda: figures(job) == {"slow": (1, 1)})


def test_huey(start: Start, job: Job, tmp_path: Path, tasks: object) -> None:
    # A task whose consumer is killed is lost in Huey.
    (tmp_path / "killed").touch()
    for number in range(4):
        tasks.work_of_huey(number)
    start(shutil.which("huey_consumer", path=Path(sys.executable).parent) or "", "tasks_of_queues.huey",
          PROGRESS_LEDGER_JOB=job.id)  # fmt: skip
    wait_until(lambda: job.refresh().tasks.succeeded == 4)
    assert figures(job) == {"work": (40, 40)}
    assert [(1, None), (2, None), (3, "succeeded")] in runs_of(job)


def test_immediate_and_canceled_tasks_of_huey_end(
    server: LedgerProcess, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huey import MemoryHuey
    from huey.exceptions import CancelExecution

    from progress_ledger import Client, current, integration, progress
    from progress_ledger.contexts import is_within_execution
    from progress_ledger.huey import install

    monkeypatch.setenv("PROGRESS_LEDGER_JOB", job.id)
    integration.use(client := Client(server.url))
    huey = MemoryHuey("immediate", immediate=True)
    install(huey)

    @huey.task()
    def inner() -> None:
        progress().done(1)

    @huey.task()
    def outer() -> None:
        inner()
        assert current().task.startswith("outer")
        progress().done(10)

    outer()
    assert not is_within_execution()

    @huey.pre_execute(name="of the application")
    def cancel(task: object) -> None:
        raise CancelExecution

    inner()
    assert not is_within_execution()
    assert client.flush(30)
    assert figures(job) == {None: (11, 0)}
    assert runs_of(job) == [[(1, "canceled")], [(1, "succeeded")], [(1, "succeeded")]]
