"""The execution of the current context."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from . import lifecycle
from .execution import Execution, current_execution
from .losses import LossLog
from .reporting import DroppedProgress, Progress

if TYPE_CHECKING:
    from .handle import Handle


class _LostExecution(Execution):
    """An execution whose reports cannot be sent: all of them are dropped and counted."""

    def progress(self, label: str | None = None, unit: str | None = None) -> Progress:
        return DroppedProgress(None, self)

    def finish(self, outcome: str = "succeeded", *, message: str | None = None, link: str | None = None) -> None:
        self._is_finished = True


class _NoExecution(_LostExecution):
    """The state outside of every execution, in which reports are dropped, counted and logged once."""

    def drop(self, kind: str | None = None, message: str = "") -> None:
        self._counts.refuse()
        # A program without a ledger, a unit test for example, loses nothing.
        level = logging.WARNING if lifecycle.has_ledger() else logging.DEBUG
        self._losses.log(
            f"no context {level}",
            "progress is reported outside of every execution and is dropped: threads of a pool and other processes do "
            "not inherit the context; use `execution.carry(function)`, or a separate execution for each task",
            level=level,
        )

    def __reduce__(self) -> str:  # type: ignore[override]
        return "_nowhere"


_nowhere = _NoExecution(None, None, "outside of any execution", None, "none", None, None)


def current() -> Execution:
    """Returns the execution of the current context.

    Outside of any execution, it returns that of the process, which `PROGRESS_LEDGER_EXECUTION` and the other variables
    of `Handle.variables` identify. Without them, it returns one that drops its reports.

    It uses `contextvars`: a coroutine or a thread has the execution that it was started in only if it inherits the
    context (`asyncio` and `Execution.carry` pass it on, `threading` does not). Reports outside of any execution are
    counted in `current().stats.dropped` and logged once.
    """
    return current_execution.get() or _of_process() or _nowhere


# The execution of this process, and the handle in its environment.
_process_execution: tuple[Handle, Execution] | None = None


def _of_process() -> Execution | None:
    """The execution that the environment identifies; None if there is none."""
    global _process_execution
    if not os.environ.get("PROGRESS_LEDGER_EXECUTION"):
        return None
    from .handle import Handle

    handle = Handle.from_environment()
    if handle is None or handle.url is None:
        return None
    known = _process_execution
    if known is None or known[0] != handle:
        known = _process_execution = (handle, handle.attach())
    return known[1]


def is_within_execution() -> bool:
    """Returns whether the caller is in the context of an execution."""
    return current_execution.get() is not None or _of_process() is not None


def progress(label: str | None = None, unit: str | None = None) -> Progress:
    """Returns the indicator with this label in the execution of the current context; see `current`."""
    execution = current()
    execution.warn_if_repeated()
    return execution.progress(label, unit)


def silent(task: str) -> Execution:
    """Returns an execution for unit tests, which checks values and sends nothing."""
    return Execution(None, None, task, None, "silent", None, None)


def lost(task: str, losses: LossLog) -> Execution:
    """Returns an execution whose reports are dropped and counted."""
    return _LostExecution(None, None, task, None, "none", None, None, losses)
