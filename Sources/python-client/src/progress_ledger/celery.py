"""Celery tasks as executions.

The messages contain the job, and Celery provides the attempt.

    app = Celery("tiles", task_cls="progress_ledger.celery:LedgerTask")  # all tasks; or base=LedgerTask for one

    @app.task(bind=True, acks_late=True, max_retries=5)
    def download(self, tile):
        progress("download").done(1)

    with reporting_to(job):
        group(download.s(tile) for tile in tiles).apply_async()

Every task that is sent within `reporting_to`, or by a task that reports to a job, reports to the same job: members of
groups, chains and chords too. Others report to the job `PROGRESS_LEDGER_JOB` of the worker, if it is set. A retry is
the next attempt and supersedes the previous one; a task that waits for its retry has not failed. A message that is
delivered twice, or again after a worker was lost, is another execution with the same attempt; the later one counts. The
reports of an execution are recorded before Celery acknowledges the task. A task that another one calls, directly or by
`apply`, belongs to the execution of its caller. Celery's own tasks, such as `celery.chord_unlock`, report nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from celery import Task, current_task
from celery.exceptions import Ignore, Reject, Retry
from celery.signals import before_task_publish

from .asynchronous import AsyncJob
from .contexts import is_within_execution, silent
from .integration import execution_of, harmless, job_by_id, use
from .job import Job

__all__ = ["LedgerTask", "job_of", "reporting_to", "use"]

HEADER = "progress_ledger_job"

# Celery's own tasks that call other tasks, and so report for them.
_CALLING = frozenset(("celery.map", "celery.starmap"))

_job: ContextVar[str | None] = ContextVar("progress_ledger_celery_job", default=None)
# The message whose execution this context is in: its id and its attempt.
_message: ContextVar[tuple[str, int] | None] = ContextVar("progress_ledger_celery_message", default=None)


@contextmanager
def reporting_to(job: Job | AsyncJob | str) -> Iterator[None]:
    """Makes every task that is sent within this context report to a job."""
    token = _job.set(job if isinstance(job, str) else job.id)
    try:
        yield
    finally:
        _job.reset(token)


def job_of(request: Any) -> str | None:
    """The job id in a message."""
    found = getattr(request, HEADER, None) or (getattr(request, "headers", None) or {}).get(HEADER)
    return found if isinstance(found, str) and found else None


@before_task_publish.connect(weak=False)  # type: ignore[untyped-decorator,unused-ignore]
@harmless
def _pass_on(headers: dict[str, Any] | None = None, **_: Any) -> None:
    # Celery sends the next task of a chain after the body of a task. By then only the request still has the job.
    job = _job.get() or (job_of(current_task.request) if current_task else None)
    if job is not None and headers is not None:
        headers.setdefault(HEADER, job)


class LedgerTask(Task):  # type: ignore[misc]
    """A base class for tasks. Each delivery is an execution in the job of the message.

    Within it, `progress_ledger.progress` and `progress_ledger.current` belong to the execution. A task without a job,
    called directly in a unit test for example, reports nothing.
    """

    abstract = True

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        # `run`, not `super().__call__`, which would hide the request from the task.
        job = self._ledger_job()
        if job is None:
            if is_within_execution():
                return self.run(*arguments, **options)
            # A silent execution, because reports outside of any execution would be counted as dropped and logged.
            with silent(str(self.name)):
                return self.run(*arguments, **options)
        message = _message.set((self.request.id, self.request.retries))
        try:
            return self._run_within_execution(job, arguments, options)
        finally:
            _message.reset(message)

    @harmless
    def _ledger_job(self) -> str | None:
        """The job of the message that is delivered; None if none is, or if its sender calls the task itself."""
        request, name = self.request, str(self.name)
        if request.called_directly or (name.startswith("celery.") and name not in _CALLING):
            return None
        caller = _message.get()
        if caller is not None and (caller == (request.id, request.retries) or _is_called(request, caller)):
            return None
        return job_of(request) or _job.get() or os.environ.get("PROGRESS_LEDGER_JOB")

    def _run_within_execution(self, job: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        with reporting_to(job), execution_of(lambda: job_by_id(job).execution(), self.name) as execution:
            try:
                return self.run(*arguments, **options)
            except (Retry, Reject) as error:
                if isinstance(error, Retry) or error.requeue:
                    # Celery delivers it again, with the next attempt or with this one.
                    execution.leave()
                raise
            except Ignore:
                # The task has handled the situation itself.
                execution.finish("succeeded")
                raise


def _is_called(request: Any, caller: tuple[str, int]) -> bool:
    """Whether a task runs another one in place, by `apply`, which is not a retry of itself in place."""
    return bool(request.is_eager) and request.id != caller[0]
