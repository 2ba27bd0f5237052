"""Tasks of the Tilebox test. Real runners of Tilebox's SDK, in processes of their own, import this file and run them.

python tilebox_tasks.py TILEBOX_URL LEDGER_URL FOLDER
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from tilebox.workflows import Client, ExecutionContext, Task

from progress_ledger import Client as Ledger
from progress_ledger import Settings, current, progress
from progress_ledger.tilebox import report_progress

FOLDER = Path(sys.argv[3]) if len(sys.argv) > 3 else Path()


def is_first(event: str) -> bool:
    """Returns whether this is the first call for an event, in any process."""
    try:
        (FOLDER / event).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def wait_for(event: str) -> None:
    """Waits until an event has happened, in any process."""
    deadline = time.monotonic() + 60
    while not (FOLDER / event).exists():
        assert time.monotonic() < deadline, f"{event} has not happened"
        time.sleep(0.01)


class Steady(Task):
    """Reports by both ways, and by the same indicator twice."""

    def execute(self, context: ExecutionContext) -> None:
        context.progress("tiles").add(2)
        context.progress("tiles").done(1)
        context.progress("tiles").done(1)
        context.progress().add(1)
        progress("direct").add(1)


class Asynchronous(Task):
    async def execute(self, context: ExecutionContext) -> None:
        context.progress("tiles").add(3)
        progress("tiles").done(3)


class Failing(Task):
    """Fails twice after it has reported."""

    def execute(self, context: ExecutionContext) -> None:
        context.progress("failing").add(10)
        context.progress("failing").done(4)
        if is_first("failure 1") or is_first("failure 2"):
            raise ValueError("not yet")
        context.progress("failing").done(6)


class Crashing(Task):
    """Loses its runner after it has reported."""

    def execute(self, context: ExecutionContext) -> None:
        context.progress("crashing").add(5)
        context.progress("crashing").done(5)
        if is_first("crash"):
            current().flush()
            os.kill(os.getpid(), signal.SIGKILL)


class Twice(Task):
    """Is delivered twice; the first delivery goes on reporting after the second one has begun."""

    def execute(self, context: ExecutionContext) -> None:
        context.progress("twice").add(1)
        context.progress("twice").done(1)
        current().flush()
        if is_first("first delivery"):
            wait_for("second delivery")
            context.progress("twice").done(1000)
            current().flush()
            (FOLDER / f"superseded {current().superseded}").touch()
            (FOLDER / "end of the first delivery").touch()
        else:
            (FOLDER / "second delivery").touch()
            wait_for("end of the first delivery")


TASKS = [Steady, Asynchronous, Failing, Crashing, Twice]

if __name__ == "__main__":
    report_progress(Ledger(sys.argv[2], settings=Settings(report_seconds=0.02)))
    Client(url=sys.argv[1], token="x").runner(tasks=TASKS).run_all()
