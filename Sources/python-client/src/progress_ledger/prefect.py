"""The flow runs of Prefect as jobs, and their task runs as executions.

    from progress_ledger.prefect import flow, task  # instead of: from prefect import flow, task

    @task(retries=3)
    def download(tile):
        progress_ledger.progress("download").done(1)

    @flow
    def mosaic(tiles):
        progress_ledger.progress("download").add(len(tiles))
        download.map(tiles).wait()

Both take what Prefect's decorators take, and return Prefect's own objects. The job of a flow run has the key
`prefect/FLOW_RUN_ID`; within `reporting_to`, or with `PROGRESS_LEDGER_JOB`, another job is used. A retried task run is
the next attempt (`task_run.run_count`) and supersedes the previous one. A retried flow run (`flow_run.run_count`)
supersedes the task runs that it repeats; those with persisted results are not repeated, and still count. A task or flow
that another one calls by its `fn` belongs to the execution of its caller.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Callable

import prefect
from prefect.context import FlowRunContext, TaskRunContext
from prefect.exceptions import PrefectSignal
from prefect.utilities.urls import url_for

from .asynchronous import AsyncJob
from .execution import Execution
from .fork_locks import ForkLock
from .integration import harmless, job_by_id, job_by_key, losses, task_name
from .job import Job
from .wrapping import Call, within

# A retry of a flow starts the attempts of its tasks at the next multiple. Prefect has no limit for retries of a task.
RETRIES_PER_FLOW_RUN = 10_000

# The names of task runs, and the task runs with a number in their name, that a process remembers. About 20 MB. A name
# that is used again after so many others begins to count at 1, so that the later task run supersedes the earlier one.
NAMES_MAX = 50_000

# The characters of a parameter that distinguish task runs: texts may be large.
TEXT_LENGTH_MAX = 1_000

_job: ContextVar[str | None] = ContextVar("progress_ledger_prefect_job", default=None)


@contextmanager
def reporting_to(job: Job | AsyncJob | str) -> Iterator[None]:
    """Makes the flows and tasks that are called in this context report to a job.

    Task runners with threads pass it on; for others set `PROGRESS_LEDGER_JOB` in their workers.
    """
    token = _job.set(job if isinstance(job, str) else job.id)
    try:
        yield
    finally:
        _job.reset(token)


def current_job() -> Job | None:
    """Returns the job of the current flow or task; None outside of both. Makes no request."""
    given = _given_job()
    if given:
        return job_by_id(given)
    flow, task = FlowRunContext.get(), TaskRunContext.get()
    run = flow.flow_run if flow is not None else None
    id = run.id if run is not None else (task.task_run.flow_run_id if task is not None else None)
    if id is None:
        return None
    name = flow.flow.name if flow is not None and flow.flow is not None else "prefect"
    return job_by_key(f"prefect/{id}", name, {"prefect.flow_run": str(id)})


def _given_job() -> str | None:
    """The job to which all flow runs of this context report, instead of one each."""
    return _job.get() or os.environ.get("PROGRESS_LEDGER_JOB")


def task(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """`prefect.task`, with an execution for each attempt of each run."""
    if function is None:
        return functools.partial(task, **options)
    return prefect.task(within(function, _task_call, _is_task_continued), **options)


def flow(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """`prefect.flow`, with a job for each run, and an execution for the code of the flow itself."""
    if function is None:
        return functools.partial(flow, **options)
    for hook, outcome in (
        ("on_completion", "completed"), ("on_failure", "failed"), ("on_crashed", "failed"),
        ("on_cancellation", "canceled"),
    ):  # fmt: skip
        options[hook] = [*(options.get(hook) or ()), functools.partial(_finish_job, outcome)]
    return prefect.flow(within(function, _flow_call, _is_flow_continued), **options)


@harmless
def _finish_job(outcome: str, flow: Any, run: Any, state: Any) -> None:
    if not _given_job():
        job_by_key(f"prefect/{run.id}", flow.name, {"prefect.flow_run": str(run.id)}).finish(outcome)


# The end of a flow is a hook of Prefect, which has a name.
_finish_job.__name__ = "progress_ledger"


def _task_call() -> Call | None:
    context = TaskRunContext.get()
    if context is None:
        return None
    run = context.task_run
    return Call(("task", run.id, run.run_count), functools.partial(_task_execution, context))


def _task_execution(context: TaskRunContext) -> Execution | None:
    job = current_job()
    if job is None:
        return None
    run, flow = context.task_run, FlowRunContext.get()
    retries = (flow.flow_run.run_count or 1) - 1 if flow is not None and flow.flow_run is not None else 0
    name, attempt = _name_of(context, flow, retries), retries * RETRIES_PER_FLOW_RUN + run.run_count
    return job.execution(task_name(name), attempt, link=url_for("task-run", obj_id=run.id))


def _flow_call() -> Call | None:
    context, task = FlowRunContext.get(), TaskRunContext.get()
    if context is None or context.flow_run is None or context.flow is None:
        return None
    if task is not None and task.task_run.flow_run_id == context.flow_run.id:
        # A task calls the code of a flow.
        return _task_call()
    identity = "flow", context.flow_run.id, context.flow_run.run_count
    return Call(identity, functools.partial(_flow_execution, context.flow.name, context.flow_run))


def _flow_execution(flow: str, run: Any) -> Execution | None:
    job = current_job()
    if job is None:
        return None
    name = f"{flow}[{run.id}]" if _given_job() else flow
    return job.execution(task_name(name), run.run_count or 1, link=url_for("flow-run", obj_id=run.id))


def _is_task_continued(error: BaseException) -> bool:
    context = TaskRunContext.get()
    if not isinstance(error, Exception):
        # Prefect suspends the run, and calls the function again.
        return isinstance(error, PrefectSignal)
    # With a condition, Prefect decides only after the function has ended.
    return (
        context is not None
        and context.task.retry_condition_fn is None
        and context.task_run.run_count <= (context.task.retries or 0)
    )


def _is_flow_continued(error: BaseException) -> bool:
    context = FlowRunContext.get()
    if not isinstance(error, Exception):
        return isinstance(error, PrefectSignal)
    return (
        context is not None
        and context.flow is not None
        and context.flow_run is not None
        and (context.flow_run.run_count or 1) <= (context.flow.retries or 0)
    )


def _name_of(context: TaskRunContext, flow: FlowRunContext | None, retries: int) -> str:
    """The name of a task run, which is the same in each run of a retried flow, where Prefect gives it other ids.

    It contains a digest of the parameters, because these may be secret, and a number if several task runs of one flow
    run have equal parameters. Flow runs that report to one job have task runs of their own.
    """
    run, given = context.task_run, context.task.task_run_name
    of_flow = str(run.flow_run_id) if _given_job() else ""
    if flow is None or flow.detached:
        # Other processes have task runs of this flow run too, and nothing numbers those with equal parameters.
        if given is None or (isinstance(given, str) and "{" not in given):
            return f"{given or context.task.name}[{run.id}]"
        return f"{run.name}[{_digest(context, of_flow)}]"
    if given is None:
        name = f"{context.task.name}[{_digest(context, of_flow)}]"
    else:
        name = f"{run.name}[{of_flow[-12:]}]" if of_flow else str(run.name)
    number = _numbers.of(hash(run.id), hash((run.flow_run_id, retries, name)), is_retry=run.run_count > 1)
    return name if number == 1 else f"{name}#{number}"


class _Numbers:
    """Numbers the task runs of equal names in a run of a flow, from 1 on."""

    def __init__(self) -> None:
        self._lock = ForkLock()
        # By name: the number of its task runs, and the first of them.
        self._counts: OrderedDict[int, tuple[int, int]] = OrderedDict()
        # By task run: its number, from 2 on.
        self._numbers: OrderedDict[int, int] = OrderedDict()

    def of(self, run: int, name: int, *, is_retry: bool) -> int:
        """Returns the number of a task run, which its retries keep."""
        with self._lock.held:
            number = self._numbers.get(run)
            if number is not None:
                self._numbers.move_to_end(run)
                return number
            count, first = self._counts.get(name, (0, run))
            if count and first == run:
                return 1
            if count and is_retry:
                # Another task run's numbers are superseded, which is better than to count those of this one twice.
                losses.log("prefect number", "the number of a retried task run of Prefect is forgotten; it counts as 1")
                return 1
            number = count + 1
            self._counts[name] = number, first
            self._counts.move_to_end(name)
            if number > 1:
                self._numbers[run] = number
            for table in (self._counts, self._numbers):
                if len(table) > NAMES_MAX:
                    table.popitem(last=False)
            return number


_numbers = _Numbers()


def _digest(context: TaskRunContext, of_flow: str) -> str:
    """A digest of the parameters of a task run, and of its flow run if that is given."""
    if context.persist_result:
        # Prefect computes the same digest for its cache. A retried flow then repeats only some of its task runs.
        from prefect.utilities.hashing import hash_objects

        found = hash_objects(context.parameters, of_flow) if of_flow else hash_objects(context.parameters)
        if found:
            return str(found)[:12]
    parts = [of_flow, *(f"{name}={_brief(value)}" for name, value in context.parameters.items())]
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _brief(value: object) -> str:
    """A text of limited size for a parameter: hashing large values would cost the task time."""
    if isinstance(value, (str, bytes)):
        return f"{len(value)}:{value[:TEXT_LENGTH_MAX]!r}"
    if type(value) is int:
        return hex(value) if value.bit_length() < TEXT_LENGTH_MAX else f"{value.bit_length()} bits"
    return repr(value) if type(value) in (float, bool, type(None)) else type(value).__name__
