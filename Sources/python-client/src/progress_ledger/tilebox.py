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

The job in the ledger has Tilebox's name of the job, and Tilebox's id of it as its key.
"""

from __future__ import annotations

import functools
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Callable

from tilebox.workflows.runner.executor import TaskExecutor

from .client import Client
from .contexts import lost
from .errors import ConflictError
from .execution import Execution
from .job import Job
from .losses import LossLog
from .reporting import Progress
from .settings import TASK_LENGTH_MAX

JOB_WAIT_SECONDS = 2.0
"""The longest time for which the first task of a job waits until the ledger has the job."""
JOB_PAUSE_SECONDS = 30.0
"""The time after a failure for which no task waits."""
_JOBS_MAX = 1_000
_NAME_LENGTH_MAX = 200

_Wrap = Callable[[Any, Any], AbstractContextManager[None]]


def report_progress(client: Client | None = None) -> None:
    """Reports the progress of all Tilebox tasks of this process to a ledger.

    Call it before the runner starts. `client` is a client with the configuration of the environment by default; without
    a URL nothing is reported. A later call replaces the client.
    """
    global _jobs
    _jobs = _Jobs(client or Client())
    if not hasattr(TaskExecutor.execute_task, "__wrapped__"):
        TaskExecutor.execute_task = _reporting(TaskExecutor.execute_task)


class _Jobs:
    """The jobs of the ledger, by Tilebox's ids."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Job] = OrderedDict()
        self._next_try = 0.0
        self.losses = LossLog()

    def find(self, job: Any) -> Job | None:
        """Returns the job; creates it if it is new. None if the ledger does not respond in time."""
        key = str(job.id)
        with self._lock:
            found = self._known.get(key)
            if found is not None:
                self._known.move_to_end(key)
                return found
            if time.monotonic() < self._next_try:
                return None
        # A thread of its own, which may take longer: the next task then finds the job.
        thread = threading.Thread(target=self._create, args=(key, job.name), name="progress-ledger-job", daemon=True)
        thread.start()
        thread.join(JOB_WAIT_SECONDS)
        with self._lock:
            found = self._known.get(key)
            if found is None:
                self._next_try = time.monotonic() + JOB_PAUSE_SECONDS
        if found is None:
            self.losses.log("job", "the ledger has no job for Tilebox's job %s in time: its reports are dropped", key)
        return found

    def _create(self, key: str, name: str) -> None:
        jobs = self._client.jobs
        try:
            try:
                job = jobs.create(name[:_NAME_LENGTH_MAX] or "job", key)
            except ConflictError:
                # Another program has created it, with tags for example.
                job = jobs.find(key=key)
        except Exception as error:
            self.losses.log("creation", "the job for Tilebox's job %s cannot be created: %s", key, error)
            return
        with self._lock:
            self._known[key] = job
            self._next_try = 0.0
            if len(self._known) > _JOBS_MAX:
                self._known.popitem(last=False)


_jobs: _Jobs


def _reporting(execute_task: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps `TaskExecutor.execute_task`, which enters a context around the code of the task."""

    @functools.wraps(execute_task)
    def execute(self: Any, task: Any, wrap_execute_context_manager: _Wrap | None = None) -> Any:
        return execute_task(self, task, functools.partial(_within_execution, wrap_execute_context_manager))

    return execute


@contextmanager
def _within_execution(wrap: _Wrap | None, task: Any, context: Any) -> Iterator[None]:
    with _execution(task) as execution:
        _report_too(context, execution)
        with nullcontext() if wrap is None else wrap(task, context):
            yield


def _execution(task: Any) -> Execution:
    """Returns an execution of a task. Never raises."""
    name = str(task.id)
    try:
        full = f"{task.identifier.name}[{name}]"
        name = full if len(full) <= TASK_LENGTH_MAX else name
        job = _jobs.find(task.job)
        if job is not None:
            return job.execution(name, attempt=task.retry_count + 1)
    except Exception as error:
        _jobs.losses.log("task", "the reports of Tilebox's task %s are dropped: %s", name, error)
    return lost(name, _jobs.losses)


def _report_too(context: Any, execution: Execution) -> None:
    """Makes the indicators of a task's context report to an execution too."""
    find = context.progress

    def progress(label: str | None = None) -> Any:
        indicator = find(label)
        if "done" not in vars(indicator):
            _double(indicator, execution.progress(label))
        return indicator

    context.progress = progress


def _double(indicator: Any, progress: Progress) -> None:
    add, done = indicator.add, indicator.done

    def add_to_both(count: int) -> None:
        add(count)
        progress.add(count)

    def done_in_both(count: int) -> None:
        done(count)
        progress.done(count)

    indicator.add, indicator.done = add_to_both, done_in_both
