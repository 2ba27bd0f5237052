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
supersedes the task runs that it repeats; those with persisted results are not repeated, and still count.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Callable

import prefect
from prefect.context import FlowRunContext, TaskRunContext
from prefect.utilities.urls import url_for

from .asynchronous import AsyncJob
from .execution import Execution
from .fork_locks import ForkLock
from .integration import harmless, job_by_id, job_by_key, task_name, within
from .job import Job

# A retry of a flow starts the attempts of its tasks at the next multiple. Prefect has no limit for retries of a task.
RETRIES_PER_FLOW_RUN = 10_000

# The number of task runs whose names a process remembers. About 2 MB.
NAMES_MAX = 10_000

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
    given = _job.get() or os.environ.get("PROGRESS_LEDGER_JOB")
    if given:
        return job_by_id(given)
    flow, task = FlowRunContext.get(), TaskRunContext.get()
    run = flow.flow_run if flow is not None else None
    id = run.id if run is not None else (task.task_run.flow_run_id if task is not None else None)
    if id is None:
        return None
    name = flow.flow.name if flow is not None and flow.flow is not None else "prefect"
    return job_by_key(f"prefect/{id}", name, {"prefect.flow_run": str(id)})


def task(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """`prefect.task`, with an execution for each attempt of each run."""
    if function is None:
        return functools.partial(task, **options)
    return prefect.task(within(function, _task_execution, _will_retry_task), **options)


def flow(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """`prefect.flow`, with a job for each run, and an execution for the code of the flow itself."""
    if function is None:
        return functools.partial(flow, **options)
    for hook, outcome in (
        ("on_completion", "completed"), ("on_failure", "failed"), ("on_crashed", "failed"),
        ("on_cancellation", "canceled"),
    ):  # fmt: skip
        options[hook] = [*(options.get(hook) or ()), functools.partial(_finish_job, outcome)]
    return prefect.flow(within(function, _flow_execution, _will_retry_flow), **options)


@harmless
def _finish_job(outcome: str, flow: Any, run: Any, state: Any) -> None:
    if not _job.get() and not os.environ.get("PROGRESS_LEDGER_JOB"):
        job_by_key(f"prefect/{run.id}", flow.name, {"prefect.flow_run": str(run.id)}).finish(outcome)


# The end of a flow is a hook of Prefect, which has a name.
_finish_job.__name__ = "progress_ledger"


def _task_execution() -> Execution | None:
    job, context = current_job(), TaskRunContext.get()
    if job is None or context is None:
        return None
    run, flow = context.task_run, FlowRunContext.get()
    retries = (flow.flow_run.run_count or 1) - 1 if flow is not None and flow.flow_run is not None else 0
    name, attempt = _names.of(context, flow, retries), retries * RETRIES_PER_FLOW_RUN + run.run_count
    return job.execution(task_name(name), attempt, link=url_for("task-run", obj_id=run.id))


def _flow_execution() -> Execution | None:
    job, context = current_job(), FlowRunContext.get()
    if job is None or context is None or context.flow_run is None or context.flow is None:
        return None
    link = url_for("flow-run", obj_id=context.flow_run.id)
    return job.execution(task_name(context.flow.name), context.flow_run.run_count or 1, link=link)


def _will_retry_task(error: Exception) -> bool:
    context = TaskRunContext.get()
    # With a condition, Prefect decides only after the function has ended.
    return (
        context is not None
        and context.task.retry_condition_fn is None
        and context.task_run.run_count <= (context.task.retries or 0)
    )


def _will_retry_flow(error: Exception) -> bool:
    context = FlowRunContext.get()
    return (
        context is not None
        and context.flow is not None
        and context.flow_run is not None
        and (context.flow_run.run_count or 1) <= (context.flow.retries or 0)
    )


class _Names:
    """The names of task runs, which are the same in each run of a retried flow.

    Prefect gives them other ids then. A name contains a digest of the parameters, because these may be secret, and a
    number if several task runs of one flow run have equal parameters.
    """

    def __init__(self) -> None:
        self._lock = ForkLock()
        self._names: OrderedDict[Any, str] = OrderedDict()
        self._counts: OrderedDict[Any, Counter[str]] = OrderedDict()

    def of(self, context: TaskRunContext, flow: FlowRunContext | None, retries: int) -> str:
        run = context.task_run
        if context.task.task_run_name is not None:
            name = str(run.name)
        elif flow is None or flow.detached:
            # Other processes have task runs of this flow run too, and nothing numbers those with equal parameters.
            return f"{context.task.name}[{run.id}]"
        else:
            name = f"{context.task.name}[{_digest(context)}]"
        if flow is None or flow.detached:
            return name
        with self._lock.held:
            found = self._names.get(run.id)
            if found is None:
                counts = self._counts.setdefault((run.flow_run_id, retries), Counter())
                counts[name] += 1
                found = self._names[run.id] = name if counts[name] == 1 else f"{name}#{counts[name]}"
                if len(self._names) > NAMES_MAX:
                    self._names.popitem(last=False)
                if len(self._counts) > NAMES_MAX:
                    self._counts.popitem(last=False)
            return found


_names = _Names()


def _digest(context: TaskRunContext) -> str:
    """A digest of the parameters of a task run."""
    if context.persist_result:
        # Prefect computes the same digest for its cache. A retried flow then repeats only some of its task runs.
        from prefect.utilities.hashing import hash_objects

        found = hash_objects(context.parameters)
        if found:
            return str(found)[:12]
    # Large values would cost the task time.
    simple = {
        name: value if isinstance(value, (str, bytes, int, float, bool, type(None))) else type(value).__name__
        for name, value in context.parameters.items()
    }
    return hashlib.sha256(repr(simple).encode("utf-8", "surrogatepass")).hexdigest()[:12]
