"""The jobs of RQ as executions.

    queue = Queue("tiles", connection=redis, job_class="progress_ledger.rq.LedgerJob")

    with reporting_to(job):
        queue.enqueue(download, tile, retry=Retry(max=3))

and `rq worker --job-class progress_ledger.rq.LedgerJob tiles`. Within a job of RQ, `progress_ledger.progress` and
`progress_ledger.current` belong to its execution. The job of the ledger travels in `meta`, also to jobs that jobs
enqueue; without one, it is `PROGRESS_LEDGER_JOB` of the worker. A retry is the next attempt. A job that is started
again after its worker was lost is the next attempt or another execution with the same one, and the later one counts.
The reports of an execution are recorded before RQ has its result.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from rq.job import Job as RQJob
from rq.job import Retry

from .asynchronous import AsyncJob
from .execution import Execution
from .integration import execution_of, harmless, job_by_id, task_name
from .job import Job

# The key in the metadata of a job of RQ, and the keys of its value.
META = "progress_ledger"

_job: ContextVar[str | None] = ContextVar("progress_ledger_rq_job", default=None)


@contextmanager
def reporting_to(job: Job | AsyncJob | str) -> Iterator[None]:
    """Makes every job of RQ that is enqueued within this context report to a job of the ledger."""
    token = _job.set(job if isinstance(job, str) else job.id)
    try:
        yield
    finally:
        _job.reset(token)


class LedgerJob(RQJob):  # type: ignore[misc,unused-ignore]
    """A job of RQ whose every start is an execution."""

    def to_dict(self, *arguments: Any, **options: Any) -> Any:
        self._carry()
        return super().to_dict(*arguments, **options)

    @harmless
    def _carry(self) -> None:
        """Adds the job of the ledger to what RQ stores, and the number of retries, of which RQ keeps those left."""
        known = self.meta.get(META) or {"job": _job.get(), "retries": 0}
        self.meta[META] = {**known, "retries": max(known["retries"], self.retries_left or 0)}

    def perform(self) -> Any:
        id = self._ledger_job()
        with execution_of(self._make_execution, self.func_name) as execution:
            token = _job.set(id)
            try:
                result = super().perform()
            except Exception:
                if self.should_retry:
                    execution.leave()
                raise
            finally:
                _job.reset(token)
            if isinstance(result, Retry):
                execution.leave()
            return result

    def _ledger_job(self) -> str | None:
        found = self.meta.get(META) if isinstance(self.meta, dict) else None
        id = found.get("job") if isinstance(found, dict) else None
        return id or os.environ.get("PROGRESS_LEDGER_JOB")

    def _make_execution(self) -> Execution | None:
        id = self._ledger_job()
        if id is None:
            return None
        found = self.meta.get(META) or {}
        # Retries after failures, and those that the function itself has asked for.
        retries = (found.get("retries") or 0) - (self.retries_left or 0) + (self.number_of_retries or 0)
        return job_by_id(id).execution(task_name(f"{self.func_name}[{self.id}]"), max(0, retries) + 1)
