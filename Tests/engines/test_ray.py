"""Ray: tasks and actors whose workers are killed, that raise, and that leave a process behind which still reports."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

# Nodes on the loopback address only: the name says less than the variable does.
os.environ.update(RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER="0", RAY_USAGE_STATS_ENABLED="0")

import pytest
import ray
from ray.cluster_utils import Cluster

from progress_ledger import Client, Job, current, progress
from progress_ledger.ray import environment, remote

from ledger_process import LedgerProcess
from support import attempts, figures, is_first, wait_until


@pytest.fixture(scope="module")
def cluster(server: LedgerProcess) -> Iterator[Cluster]:
    # Ray writes its address there, and does not create it.
    Path(tempfile.gettempdir(), "ray").mkdir(exist_ok=True)
    # The path of a Unix socket is short.
    folder = tempfile.mkdtemp(prefix="ray.", dir="/tmp")
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 4,
            "include_dashboard": False,
            "temp_dir": folder,
            "object_store_memory": 100 << 20,
        },
    )  # fmt: skip
    yield cluster
    ray.shutdown()
    cluster.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def job(cluster: Cluster, ledger: Client) -> Iterator[Job]:
    job = ledger.jobs.create("test")
    ray.init(cluster.address, runtime_env=environment(job), log_to_driver=False)
    yield job
    ray.shutdown()


def runs_of(job: Job) -> dict[str, list[list[tuple[int, str | None]]]]:
    found: dict[str, list[list[tuple[int, str | None]]]] = {}
    for name, runs in attempts(job).items():
        found.setdefault(name.partition("[")[0], []).append(runs)
    return {name: sorted(runs, key=str) for name, runs in found.items()}


def report(label: str) -> None:
    progress(label).add(10)
    for _ in range(10):
        progress(label).done(1)


@remote(max_retries=2, retry_exceptions=True)
def work(number: int, folder: str) -> int:
    """Number 0 kills its worker once, number 1 raises twice, and number 2 always; each has reported before."""
    report("work")
    if number == 0 and is_first(folder, "killed"):
        current().flush()
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 1 and (is_first(folder, "first") or is_first(folder, "second")):
        raise ConnectionError("not yet")
    if number == 2:
        raise ValueError("never")
    return number


def test_killed_workers_and_retries_count_once(job: Job, tmp_path: Path) -> None:
    tasks = [work.remote(number, str(tmp_path)) for number in range(4)]
    for number, task in enumerate(tasks):
        if number == 2:
            with pytest.raises(ValueError, match="never"):
                ray.get(task)
        else:
            assert ray.get(task) == number
    assert figures(job) == {"work": (40, 40)}
    assert runs_of(job)["work"] == [
        [(1, "failed"), (2, "failed"), (3, "failed")],
        [(1, "failed"), (2, "failed"), (3, "succeeded")],
        [(1, "succeeded")],
        [(1, None), (2, "succeeded")],
    ]


@remote(max_restarts=-1, max_task_retries=-1)
class Counter:
    def __init__(self, folder: str) -> None:
        self.folder = folder

    def count(self, number: int) -> int:
        report("actor")
        if number == 1 and is_first(self.folder, "actor killed"):
            current().flush()
            os.kill(os.getpid(), signal.SIGKILL)
        return number


@remote(max_restarts=-1, max_task_retries=-1)
class Coroutines:
    async def count(self, number: int, folder: str) -> int:
        report("coroutine")
        if number == 1 and is_first(folder, "coroutine killed"):
            current().flush()
            os.kill(os.getpid(), signal.SIGKILL)
        return number


def test_calls_of_actors_that_are_restarted_count_once(job: Job, tmp_path: Path) -> None:
    counter, coroutines = Counter.remote(str(tmp_path)), Coroutines.remote()
    assert ray.get([counter.count.remote(number) for number in range(3)]) == [0, 1, 2]
    assert ray.get([coroutines.count.remote(number, str(tmp_path)) for number in range(3)]) == [0, 1, 2]
    assert figures(job) == {"actor": (30, 30), "coroutine": (30, 30)}
    assert [(1, None), (2, "succeeded")] in runs_of(job)["Counter.count"]


@remote
class Nested:
    """An actor whose public methods call each other, also in a thread."""

    def run(self) -> str | None:
        progress("nested").done(10)
        for _ in range(3):
            self.step()
        thread = threading.Thread(target=current().carry(self.step))
        thread.start()
        thread.join()
        progress("nested").done(10)
        return current().task

    def step(self) -> None:
        progress("nested").done(1)

    async def wait(self) -> None:
        progress("nested").done(100)
        await self.look()

    async def look(self) -> None:
        progress("nested").done(100)


def test_a_method_that_another_one_calls_belongs_to_its_execution(job: Job) -> None:
    actor = Nested.remote()
    task = ray.get(actor.run.remote())
    ray.get([actor.wait.remote(), actor.step.remote()])
    assert figures(job) == {"nested": (225, 0)}
    assert task.startswith("Nested.run[")
    assert {name: len(runs) for name, runs in runs_of(job).items()} == {
        "Nested.run": 1, "Nested.wait": 1, "Nested.step": 1,
    }  # fmt: skip
    assert all(len(runs) == 1 for runs in attempts(job).values())


# A process that a task has started, and that survives the worker: it reports when the next attempt has ended.
SURVIVOR = """
import sys, time
from pathlib import Path
from progress_ledger import current, progress

folder = Path(sys.argv[1])
deadline = time.monotonic() + 170
while not (folder / "second has ended").exists() and time.monotonic() < deadline:
    time.sleep(0.05)
progress("slow").done(1000)
current().flush()
(folder / f"superseded {current().superseded}").touch()
"""


@remote(max_retries=2)
def slow(folder: str) -> None:
    progress("slow").add(1)
    progress("slow").done(1)
    if is_first(folder, "slow began"):
        current().flush()
        environment = {**os.environ, **current().handle().variables()}
        subprocess.Popen([sys.executable, "-c", SURVIVOR, folder], env=environment, start_new_session=True)
        os.kill(os.getpid(), signal.SIGKILL)


def test_reports_of_a_process_that_survives_its_worker_do_not_count(job: Job, tmp_path: Path) -> None:
    ray.get(slow.remote(str(tmp_path)))
    (tmp_path / "second has ended").touch()
    wait_until(lambda: list(tmp_path.glob("superseded *")))
    assert (tmp_path / "superseded True").exists()
    assert figures(job) == {"slow": (1, 1)}
    assert runs_of(job) == {"slow": [[(1, None), (2, "succeeded")]]}


def test_an_unreachable_ledger_costs_no_task_its_result(job: Job, server: LedgerProcess, tmp_path: Path) -> None:
    server.stop()
    try:
        began = time.monotonic()
        assert ray.get([work.remote(number, str(tmp_path)) for number in range(3, 13)]) == list(range(3, 13))
        # Most of it is the start of Ray's workers.
        assert time.monotonic() - began < 120
    finally:
        server.start()
    wait_until(lambda: figures(job) == {"work": (100, 100)})
