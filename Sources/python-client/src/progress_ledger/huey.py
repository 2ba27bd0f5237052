"""The tasks of Huey as executions.

    from progress_ledger.huey import install

    install(huey)  # one line: every task reports to PROGRESS_LEDGER_JOB of the consumer

Within a task, `progress_ledger.progress` and `progress_ledger.current` belong to its execution. A retry is the next
attempt. The reports of an execution are recorded before its worker takes the next task. Huey itself delivers at most
once: a task whose consumer is killed is not repeated. A task that is enqueued within another one of an immediate
instance (`immediate=True`) has an execution of its own, within that of the other one.
"""

from __future__ import annotations

import threading
from typing import Any

from huey.signals import SIGNAL_CANCELED

from .execution import Execution
from .integration import execution_of, harmless, job_by_id, task_name


def install(huey: Any) -> None:
    """Makes all tasks of a Huey instance report."""
    running = _Running()
    huey.pre_execute(name="progress_ledger")(running.begin)
    huey.post_execute(name="progress_ledger")(running.end)
    huey.signal(SIGNAL_CANCELED)(running.cancel)


class _Running(threading.local):
    """The executions of a worker's thread, from the outermost on."""

    def __init__(self) -> None:
        self.executions: list[tuple[str, Execution]] = []

    @harmless
    def begin(self, task: Any) -> None:
        def make() -> Execution:
            # Huey counts the retries that are left.
            attempt = max(0, (task.default_retries or 0) - (task.retries or 0)) + 1
            return job_by_id(None).execution(task_name(f"{task.name}[{task.id}]"), attempt)

        execution = execution_of(make, task.name)
        execution.__enter__()
        self.executions.append((task.id, execution))

    @harmless
    def end(self, task: Any, value: Any, error: BaseException | None) -> None:
        execution = self._take(task)
        if execution is None:
            return
        if error is not None and task.retries:
            execution.leave()
        execution.__exit__(None if error is None else type(error), error, None)

    @harmless
    def cancel(self, signal: Any, task: Any, *_: Any) -> None:
        """Ends the execution of a task that a later hook has canceled; Huey calls no other hook for it."""
        execution = self._take(task)
        if execution is not None:
            execution.finish("canceled")
            execution.__exit__(None, None, None)

    def _take(self, task: Any) -> Execution | None:
        if not self.executions or self.executions[-1][0] != task.id:
            return None
        return self.executions.pop()[1]
