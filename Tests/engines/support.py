"""What tests of engines and the tasks of their workers share. Workers import it too."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from progress_ledger import Job


def figures(job: Job) -> dict[str | None, tuple[int, int]]:
    """Returns the indicators of a fresh read: label → (done, total)."""
    return {indicator.label: (indicator.done, indicator.total) for indicator in job.refresh().progress}


def attempts(job: Job) -> dict[str, list[tuple[int, str | None]]]:
    """Returns the attempt and the outcome of each execution, by task."""
    return {task.task: [(one.attempt, one.outcome) for one in task.executions] for task in job.tasks()}


def notes(job: Job) -> dict[str, list[tuple[str | None, str | None]]]:
    """Returns the message and the link of each execution, by task."""
    return {task.task: [(one.message, one.link) for one in task.executions] for task in job.tasks()}


def wait_until(is_true: Callable[[], Any], seconds: float = 60) -> Any:
    """Waits until a condition holds, which another process makes true; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := is_true()):
        assert time.monotonic() < deadline, f"still not so after {seconds} s"
        time.sleep(0.05)
    return found


def is_first(folder: str | Path, event: str) -> bool:
    """Returns whether this is the first call for an event, in any process."""
    try:
        (Path(folder) / event).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
