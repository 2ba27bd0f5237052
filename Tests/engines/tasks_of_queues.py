"""The tasks of the tests of RQ, Dramatiq and Huey, which their workers import."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from huey import RedisHuey

import progress_ledger.dramatiq
import progress_ledger.huey
from progress_ledger import current, progress

from support import is_first

BROKER = os.environ.get("TEST_BROKER", "redis://127.0.0.1:1/0")
FOLDER = os.environ.get("TEST_FOLDER", "")

# A short time, after which a worker without a heartbeat is dead.
broker = RedisBroker(url=BROKER, heartbeat_timeout=3_000, maintenance_chance=1_000_000)
dramatiq.set_broker(broker)
progress_ledger.dramatiq.install(broker)
huey = RedisHuey("test", url=BROKER)
progress_ledger.huey.install(huey)


def work(number: int) -> int:
    """Number 0 fails twice, and number 1 kills its worker once; each has reported before."""
    progress("work").add(10)
    progress("work").done(10)
    if number == 0 and (is_first(FOLDER, "first") or is_first(FOLDER, "second")):
        raise ConnectionError("not yet")
    if number == 1 and is_first(FOLDER, "killed"):
        current().flush()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def slow() -> None:
    """Waits in its first start until another worker has carried it out, and then reports once more."""
    progress("slow").add(1)
    progress("slow").done(1)
    if is_first(FOLDER, "slow began"):
        current().flush()
        (Path(FOLDER) / "process").write_text(str(os.getpid()))
        deadline = time.monotonic() + 120
        while not (Path(FOLDER) / "second has ended").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        progress("slow").done(1000)
        current().flush()
        (Path(FOLDER) / f"superseded {current().superseded}").touch()
    else:
        (Path(FOLDER) / "second has ended").touch()


@dramatiq.actor(max_retries=3, min_backoff=10, max_backoff=20)
def work_of_dramatiq(number: int) -> None:
    work(number)


@dramatiq.actor(max_retries=3)
def slow_of_dramatiq() -> None:
    slow()


@dramatiq.actor(max_retries=0)
def doomed_of_dramatiq() -> None:
    raise ValueError


@huey.task(retries=3)
def work_of_huey(number: int) -> None:
    work(number)
