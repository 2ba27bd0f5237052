"""The flows of the Prefect test."""

from __future__ import annotations

import functools
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from prefect import unmapped
from prefect.flow_runs import suspend_flow_run
from prefect.task_runners import ProcessPoolTaskRunner

from progress_ledger import current, progress
from progress_ledger.prefect import flow, task

from support import is_first


def folder() -> str:
    return os.environ["TEST_FOLDER"]


@task(retries=3)
def download(number: int) -> int:
    """Number 1 fails twice after it has reported."""
    progress("download").done(1)
    if number == 1 and (is_first(folder(), "first") or is_first(folder(), "second")):
        raise ConnectionError("not yet")
    return number


@task
def scan() -> Iterator[int]:
    progress("scan").add(3)
    for number in range(3):
        progress("scan").done(1)
        yield number


@task(retries=1, retry_delay_seconds=0.1)
async def wait() -> None:
    progress("async").add(2)
    progress("async").done(2)
    if is_first(folder(), "async"):
        raise TimeoutError


@flow
def mosaic(tiles: int) -> None:
    progress("download").add(tiles)
    futures = download.map(range(tiles))
    # Two task runs without parameters are two tasks.
    assert list(scan()) + list(scan()) == [0, 1, 2] * 2
    wait.submit().result()
    futures.wait()


@task
def part(number: int) -> int:
    progress("parts").done(1)
    if number == 2 and is_first(folder(), "part"):
        raise ConnectionError("not yet")
    return number


@task(persist_result=True)
def kept(table: list[int]) -> int:
    """A task whose result is kept, with a parameter that is no simple value."""
    progress("kept").done(1)
    if table == [2] and is_first(folder(), "kept"):
        raise ConnectionError("not yet")
    return len(table)


@flow(retries=1)
def retried() -> None:
    """All tasks without persisted results are repeated, and of the others only the one that has failed."""
    progress("parts").add(3)
    futures = [part.submit(number) for number in range(1, 4)] + [kept.submit([number]) for number in range(1, 4)]
    for future in futures:
        future.wait()
    for future in futures:
        future.result()


@task
def slow() -> None:
    progress("slow").add(1)
    progress("slow").done(1)
    if is_first(folder(), "slow began"):
        current().flush()
        deadline = time.monotonic() + 60
        while not (Path(folder()) / "second has ended").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        progress("slow").done(1000)
        current().flush()
        (Path(folder()) / f"superseded {current().superseded}").touch()


@task
def fast(number: int) -> None:
    progress("fast").done(1)


@flow
def interrupted() -> None:
    for number in range(3):
        fast(number)
    slow()
    fast(3)


@task
def helper() -> None:
    progress("nested").done(1)


@flow
def inner() -> None:
    progress("nested").done(1)


@task
def outer() -> None:
    progress("nested").done(10)
    for _ in range(2):
        helper.fn()
    inner.fn()
    thread = threading.Thread(target=current().carry(helper.fn))
    thread.start()
    thread.join()


@flow
def nested() -> None:
    """Tasks and flows that are called by their `fn` belong to their caller."""
    progress("nested").done(100)
    outer()
    helper.fn()
    nested_again.fn()


@flow(name="nested")
def nested_again() -> None:
    progress("nested").done(1)


class Steps:
    @task
    @classmethod
    def make(cls) -> None:
        progress("methods").done(1)

    @task
    @staticmethod
    def check(text: str) -> None:
        progress("methods").done(len(text))


@flow
def methods() -> None:
    Steps.make()
    Steps.check("ab")
    task(functools.partial(Steps.check.fn, "abc"))()


@flow
def shared(part: int) -> None:
    """Several of its runs report to one job: one of them is retried, as all tasks have equal parameters."""
    progress("shared").add(2)
    for _ in range(2):
        share([part])
    named([part])


@task
def share(parts: list[int]) -> None:
    progress("shared").done(1)


@task(task_run_name="named")
def named(parts: list[int]) -> None:
    progress("named").done(1)


@flow(task_runner=ProcessPoolTaskRunner(max_workers=2))
def detached() -> None:
    """The task runs are in other processes, which do not know each other."""
    named.map([[number] for number in range(4)]).wait()
    varied.map(range(4), unmapped("x" * 10)).wait()
    share.map([[number] for number in range(4)]).wait()


@task(task_run_name="varied {text}")
def varied(number: int, text: str) -> None:
    progress("varied").done(1)


@flow
def suspended() -> None:
    progress("suspended").done(1)
    if is_first(folder(), "suspended"):
        suspend_flow_run(timeout=60)


if __name__ == "__main__":
    # As the process that a worker of Prefect starts for a flow run.
    import sys
    from uuid import UUID

    from prefect.flow_engine import load_flow_run, run_flow

    run_flow(globals()[sys.argv[2]], flow_run=load_flow_run(UUID(sys.argv[1])))
