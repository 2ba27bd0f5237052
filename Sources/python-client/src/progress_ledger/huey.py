"""The tasks of Huey as executions.

    from progress_ledger.huey import install

    install(huey)  # one line: every task reports to PROGRESS_LEDGER_JOB of the consumer

Within a task, `progress_ledger.progress` and `progress_ledger.current` belong to its execution. A retry is the next
attempt. The reports of an execution are recorded before its worker takes the next task. Huey itself delivers at most
once: a task whose consumer is killed is not repeated.
"""

from __future__ import annotations

import threading
from typing import Any

from .execution import Execution
from .integration import execution_of, harmless, job_by_id, task_name


def install(huey: Any) -> None:
    """Makes all tasks of a Huey instance report."""
    thread = threading.local()

    @harmless
    def begin(task: Any) -> None:
        def make() -> Execution:
            # Huey counts the retries that are left.
            attempt = max(0, (task.default_retries or 0) - (task.retries or 0)) + 1
            return job_by_id(None).execution(task_name(f"{task.name}[{task.id}]"), attempt)

        thread.execution = execution_of(make, task.name)
        thread.execution.__enter__()

    @harmless
    def end(task: Any, value: Any, error: BaseException | None) -> None:
        execution: Execution | None = getattr(thread, "execution", None)
        if execution is None:
            return
        thread.execution = None
        if error is not None and task.retries:
            execution.leave()
        execution.__exit__(None if error is None else type(error), error, None)

    huey.pre_execute(name="progress_ledger")(begin)
    huey.post_execute(name="progress_ledger")(end)
