"""Dask: a cluster in which workers are killed, results are lost, tasks are retried and given up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import Client as DaskClient
from distributed import Scheduler
from distributed.scheduler import KilledWorker

from progress_ledger import Client, Job, current, progress
from progress_ledger.dask import install, reporting_to

from ledger_process import LedgerProcess
from support import attempts, figures, is_first, notes, wait_until

SCHEDULER = """
import asyncio, sys
from distributed import Nanny, Scheduler, Worker

async def main():
    scheduler = await Scheduler(host="127.0.0.1", port=0, dashboard=False)
    nannies = [await Nanny(scheduler.address, nthreads=2, name=str(n), local_directory=sys.argv[1]) for n in range(2)]
    print(scheduler.address, flush=True)
    await scheduler.finished()

if __name__ == "__main__":
    asyncio.run(main())
"""


@pytest.fixture
def cluster(server: LedgerProcess, tmp_path: Path) -> Iterator[DaskClient]:
    """A scheduler and two workers in processes of their own; nannies restart killed workers."""
    (tmp_path / "cluster.py").write_text(SCHEDULER)
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "cluster.py"), str(tmp_path)], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PROGRESS_LEDGER_URL": server.url, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"},
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        with DaskClient(process.stdout.readline().strip()) as client:
            yield client
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def work(number: int, folder: str) -> int:
    """Number 0 kills its worker once, number 1 fails once, number 2 kills every worker."""
    progress("units").add(10)
    for _ in range(10):
        progress("units").done(1)
    if number == 0 and is_first(folder, "killed"):
        current().flush()
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 1 and is_first(folder, "failed"):
        raise ConnectionError("not yet")
    if number == 2:
        current().flush()
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def test_killed_workers_and_retries_count_once(cluster: DaskClient, job: Job, tmp_path: Path) -> None:
    install(cluster, job)
    futures = [cluster.submit(work, n, str(tmp_path), key=f"work-{n}", retries=2 * (n == 1)) for n in (0, 1, 3, 4)]
    cluster.gather(futures)
    assert figures(job) == {"units": (40, 40)}
    runs = attempts(job)
    assert {task: [outcome for _, outcome in found][-1] for task, found in runs.items()} == {
        "work-0": "succeeded", "work-1": "succeeded", "work-3": "succeeded", "work-4": "succeeded",
    }  # fmt: skip
    assert runs["work-0"][0][1] is None, "a killed run has no outcome"
    assert [outcome for _, outcome in runs["work-1"]] == ["failed", "succeeded"]
    assert notes(job)["work-1"][0][0] == "ConnectionError"
    for found in runs.values():
        assert [attempt for attempt, _ in found] == sorted({attempt for attempt, _ in found})


def test_a_lost_result_is_computed_again_and_counts_once(cluster: DaskClient, job: Job, tmp_path: Path) -> None:
    install(cluster, job)
    first = cluster.submit(work, 5, str(tmp_path), key="lost")
    process = first.result()
    # The result is in the memory of the killed worker only, so that a dependent task needs it once more.
    os.kill(process, signal.SIGKILL)
    again = cluster.submit(lambda of: of, first, key="dependent")
    assert again.result() != process
    assert figures(job) == {"units": (10, 10)}
    runs = attempts(job)
    assert len(runs["lost"]) == 2
    assert runs["lost"][-1][1] == runs["dependent"][-1][1] == "succeeded"


def test_a_task_that_kills_every_worker_has_failed(cluster: DaskClient, job: Job, tmp_path: Path) -> None:
    install(cluster, job)
    with pytest.raises(KilledWorker):
        cluster.submit(work, 2, str(tmp_path), key="deadly").result()
    wait_until(lambda: attempts(job)["deadly"][-1][1] == "failed")
    assert [outcome for _, outcome in attempts(job)["deadly"]] == [None, "failed"]
    assert notes(job)["deadly"][-1][0] == "KilledWorker"
    assert figures(job) == {"units": (10, 10)}, "its last run counts until another one starts"


def test_a_worker_that_was_presumed_dead_reports_in_vain(cluster: DaskClient, job: Job, tmp_path: Path) -> None:
    """The second delivery: the scheduler forgets a worker that still computes, and gives its key to another one."""

    def slow(folder: str) -> int:
        progress("units").add(1)
        progress("units").done(1)
        current().flush()
        if is_first(folder, "slow began"):
            deadline = time.monotonic() + 60
            while not (Path(folder) / "second has ended").exists() and time.monotonic() < deadline:
                time.sleep(0.05)
            progress("units").done(1000)
            current().flush()
            (Path(folder) / f"superseded {current().superseded}").touch()
        return os.getpid()

    def forget(dask_scheduler: Scheduler) -> None:
        [address] = [worker for worker, state in dask_scheduler.workers.items() if state.processing]
        dask_scheduler.loop.add_callback(
            dask_scheduler.remove_worker, address=address, stimulus_id="test", close=False, expected=True
        )

    install(cluster, job)
    future = cluster.submit(slow, str(tmp_path), key="slow")
    wait_until(lambda: (tmp_path / "slow began").exists() and figures(job) == {"units": (1, 1)})
    cluster.run_on_scheduler(forget)
    future.result(timeout=60)
    (tmp_path / "second has ended").touch()
    wait_until(lambda: (tmp_path / "superseded True").exists())
    assert figures(job) == {"units": (1, 1)}


def test_annotated_tasks_report_to_their_own_job(cluster: DaskClient, ledger: Client, tmp_path: Path) -> None:
    async def coroutine() -> None:
        progress("units").done(1)

    mine, other = ledger.jobs.create("mine"), ledger.jobs.create("other")
    install(cluster)
    with reporting_to(mine):
        futures = [cluster.submit(work, 7, str(tmp_path), key="a"), cluster.submit(coroutine, key="b")]
    with reporting_to(other):
        futures.append(cluster.submit(work, 8, str(tmp_path), key="a2"))
    futures.append(cluster.submit(work, 9, str(tmp_path), key="silent"))
    cluster.gather(futures)
    assert figures(mine) == {"units": (11, 10)}
    assert figures(other) == {"units": (10, 10)}
    assert set(attempts(mine)) == {"a", "b"}


def test_an_unreachable_ledger_costs_no_task_its_result(cluster: DaskClient, server: LedgerProcess, job: Job) -> None:
    install(cluster, job)
    server.stop()
    try:
        began = time.monotonic()
        futures = [cluster.submit(lambda n: progress("units").done(n), n, key=f"n-{n}") for n in range(1, 21)]
        cluster.gather(futures)
        assert time.monotonic() - began < 10
    finally:
        server.start()
    wait_until(lambda: figures(job) == {"units": (210, 0)})
