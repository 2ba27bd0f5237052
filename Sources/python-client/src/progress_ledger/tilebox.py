"""Tasks of Tilebox Workflows as executions.

The progress of a task in a runner of Tilebox's SDK is also reported to a ledger, live.

    from progress_ledger.tilebox import report_progress

    report_progress()
    client.runner(tasks=[Download]).run_forever()

Each task that this process executes is an execution. Tilebox provides the attempt: a task that failed is retried as the
next attempt, which supersedes the previous one. A task that is delivered twice, or again after a runner was lost, is
another execution; if Tilebox did not count a failure, both have the same attempt and the later one counts.
`context.progress` reports to both systems; `progress_ledger.progress` and `progress_ledger.current` belong to the
execution too. The reports are recorded before Tilebox gets the result of the task.

The job in the ledger has Tilebox's name of the job, and Tilebox's id of it as its key. Its first report creates it.
Nothing ends it: Tilebox does not tell its runners the end of a job.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Callable

from tilebox.workflows.runner.executor import TaskExecutor

from . import integration
from .client import Client
from .execution import Execution
from .integration import execution_of, harmless, job_by_key, losses, task_name

_Wrap = Callable[[Any, Any], AbstractContextManager[None]]


def report_progress(client: Client | None = None) -> None:
    """Reports the progress of all Tilebox tasks of this process to a ledger.

    Call it before the runner starts. `client` is that of all integrations by default, which the environment configures;
    without a URL nothing is reported.
    """
    if client is not None:
        integration.use(client)
    if "wrap_execute_context_manager" not in inspect.signature(TaskExecutor.execute_task).parameters:
        losses.log("tilebox", "this version of Tilebox's SDK is unknown, and progress of its tasks is not reported")
    elif not hasattr(TaskExecutor.execute_task, "__wrapped__"):
        TaskExecutor.execute_task = _reporting(TaskExecutor.execute_task)


def _reporting(execute_task: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps `TaskExecutor.execute_task`, which enters a context around the code of the task."""

    @functools.wraps(execute_task)
    def execute(self: Any, task: Any, wrap_execute_context_manager: _Wrap | None = None) -> Any:
        return execute_task(self, task, functools.partial(_within_execution, wrap_execute_context_manager))

    return execute


@contextmanager
def _within_execution(wrap: _Wrap | None, task: Any, context: Any) -> Iterator[None]:
    with execution_of(functools.partial(_execution, task), task.id) as execution:
        _report_too(context, execution)
        with nullcontext() if wrap is None else wrap(task, context):
            yield


def _execution(task: Any) -> Execution:
    job = job_by_key(str(task.job.id), task.job.name or "job")
    name = task_name(f"{task.identifier.name}[{task.id}]")
    return job.execution(name, attempt=task.retry_count + 1)


@harmless
def _report_too(context: Any, execution: Execution) -> None:
    """Makes the indicators of a task's context report to an execution too."""
    find = context.progress

    @functools.wraps(find)
    def progress(*arguments: Any, **options: Any) -> Any:
        indicator = find(*arguments, **options)
        _double(indicator, execution, arguments, options)
        return indicator

    context.progress = progress


@harmless
def _double(indicator: Any, execution: Execution, arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
    """Makes an indicator report to an execution too; the arguments are those of `context.progress`."""
    if "done" in vars(indicator):
        return
    progress = execution.progress(arguments[0] if arguments else options.get("label"))
    add, done = indicator.add, indicator.done

    @functools.wraps(add)
    def add_to_both(count: int, *arguments: Any, **options: Any) -> None:
        add(count, *arguments, **options)
        progress.add(count)

    @functools.wraps(done)
    def done_in_both(count: int, *arguments: Any, **options: Any) -> None:
        done(count, *arguments, **options)
        progress.done(count)

    indicator.add, indicator.done = add_to_both, done_in_both
