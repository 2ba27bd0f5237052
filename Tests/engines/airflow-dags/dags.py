"""The DAGs of the Airflow test. Each runs once, as soon as Airflow finds it."""

from __future__ import annotations

import os
import signal
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import BaseOperator, dag, task
from airflow.sdk.exceptions import AirflowSkipException

from progress_ledger import current, progress

# Airflow gives up a task that waits for a shorter time than its scheduler needs to notice that.
WAIT = 20
FOLDER = Path(os.environ["TEST_FOLDER"])


def is_first(event: str) -> bool:
    """Returns whether this is the first call for an event, in any process."""
    try:
        (FOLDER / event).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


options = {"schedule": "@once", "start_date": datetime(2026, 1, 1, tzinfo=timezone.utc), "catchup": False}
retries = {"retries": 3, "retry_delay": timedelta(0)}


@dag(**options)
def mosaic():
    """Mapped tasks: one kills its process, one fails, one is skipped; each has reported before."""

    @task
    def plan():
        progress("tiles").add(4)
        return [0, 1, 2, 3]

    @task(**retries)
    def tile(number):
        progress("tiles").done(1)
        if number == 0 and is_first("killed"):
            current().flush()
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 1 and is_first("failed"):
            raise ConnectionError("not yet")
        if number == 3:
            raise AirflowSkipException

    tile.expand(number=plan())


@dag(**options)
def doomed():
    """A task whose process is killed, without a retry."""

    @task
    def kill():
        progress("units").done(1)
        current().flush()
        os.kill(os.getpid(), signal.SIGKILL)

    kill()


@dag(**options)
def tolerated():
    """Tasks whose processes are killed, one after it was rescheduled, in a DAG run that nevertheless succeeds."""

    @task
    def kill():
        progress("units").done(1)
        current().flush()
        os.kill(os.getpid(), signal.SIGKILL)

    @task.sensor(mode="reschedule", poke_interval=WAIT)
    def kill_later():
        progress("units").done(10)
        is_second = not is_first("poke")
        if is_second:
            current().flush()
            os.kill(os.getpid(), signal.SIGKILL)
        return is_second

    @task(trigger_rule="all_done")
    def after():
        progress("units").done(100)

    [kill(), kill_later()] >> after()


@dag(**options)
def twice():
    """A task whose first process is frozen with its supervisor, so that Airflow starts another one meanwhile."""

    @task(**retries)
    def slow():
        progress("units").add(1)
        progress("units").done(1)
        if is_first("slow began"):
            current().flush()
            (FOLDER / "frozen").write_text(f"{os.getppid()} {os.getpid()}")
            deadline = time.monotonic() + 120
            while not (FOLDER / "second has ended").exists() and time.monotonic() < deadline:
                time.sleep(0.1)
            progress("units").done(1000)
            current().flush()
            (FOLDER / f"superseded {current().superseded}").touch()

    slow()


class Deferred(BaseOperator):
    """An operator that is deferred, and reports before and after."""

    def execute(self, context):
        progress("units").add(10)
        progress("units").done(5)
        self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=WAIT)), method_name="resume")

    def resume(self, context, event=None):
        progress("units").done(5)


@dag(**options)
def waiting():
    """A deferred task, and a sensor that is rescheduled once."""

    @task.sensor(mode="reschedule", poke_interval=WAIT)
    def sensor():
        progress("looks").done(1)
        return not is_first("sensor")

    Deferred(task_id="deferred")
    sensor()


mosaic()
doomed()
tolerated()
waiting()
twice()
