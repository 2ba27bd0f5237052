"""The tasks of Luigi as executions.

    import progress_ledger.luigi

    progress_ledger.luigi.install()  # one line: every task reports to PROGRESS_LEDGER_JOB

Within `run`, `progress_ledger.progress` and `progress_ledger.current` belong to the execution. The task is Luigi's task
id. Luigi does not number its attempts, so the ledger does: the execution that starts last counts. A task that continues
after dynamic dependencies begins `run` again, as another execution. The reports of an execution are recorded before
Luigi considers the task done. A task whose process was killed stays running until it is repeated or the job ends.
"""

from __future__ import annotations

from typing import Any

import luigi
from luigi import Event

from .execution import Execution
from .integration import execution_of, fail, harmless, job_by_id, task_name

# The executions of this process by task id: Luigi's worker runs one at a time, and so do its child processes.
_running: dict[str, Execution] = {}


def install() -> None:
    """Makes all tasks of this process and of its workers report."""
    luigi.Task.event_handler(Event.START)(_begin)
    luigi.Task.event_handler(Event.SUCCESS)(_succeed)
    luigi.Task.event_handler(Event.FAILURE)(_fail)


@harmless
def _begin(task: Any) -> None:
    earlier = _running.pop(task.task_id, None)
    if earlier is not None:
        # It waited for dynamic dependencies.
        earlier.leave()
        earlier.__exit__(None, None, None)
    execution = execution_of(lambda: job_by_id(None).execution(task_name(task.task_id)), task.task_id)
    _running[task.task_id] = execution.__enter__()


@harmless
def _succeed(task: Any) -> None:
    _end(task, None)


@harmless
def _fail(task: Any, error: BaseException) -> None:
    _end(task, error)


def _end(task: Any, error: BaseException | None) -> None:
    execution = _running.pop(task.task_id, None)
    if execution is None:
        return
    if error is not None:
        fail(execution, error)
    execution.__exit__(None, None, None)
