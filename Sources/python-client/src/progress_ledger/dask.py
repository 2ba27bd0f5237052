"""The tasks of a Dask cluster (`distributed`) as executions.

    from progress_ledger.dask import install

    install(client, job)  # one line: every task of the cluster reports to this job

Within a task, `progress_ledger.progress` and `progress_ledger.current` belong to its execution. The key is the task,
and the scheduler's run of the key is the attempt: a key that is computed again, because its worker died, its result was
lost or it is retried, supersedes its earlier runs, whichever reports first. The reports of a run are recorded before
the scheduler considers the key done.

Not seen: progress within the processes of a `ProcessPoolExecutor`.
"""

from __future__ import annotations

import asyncio
import pickle
import uuid
from contextlib import AbstractContextManager
from typing import Any, Callable

import dask
from distributed import Client as DaskClient
from distributed import Scheduler, SchedulerPlugin, Worker, WorkerPlugin
from distributed.core import clean_exception
from distributed.scheduler import KilledWorker
from distributed.worker_state_machine import ExecuteFailureEvent, RescheduleEvent, StateMachineEvent

from .execution import Execution
from .integration import fail, harmless, job_by_id, task_name
from .job import Job

NAME = "progress-ledger"
ANNOTATION = "progress_ledger_job"

# The attempts of one generation: a scheduler numbers its runs from 0 on, and the ledger takes attempts below 2^31.
RUNS_PER_GENERATION = 100_000_000


def install(client: DaskClient, job: Job | str | None = None, *, generation: int = 1) -> None:
    """Makes the tasks of a cluster report, on its present and later workers and its scheduler.

    `job`: the job of all tasks; without it, only tasks within `reporting_to` report. `generation`: 1 to 20. A restarted
    or another scheduler numbers its runs from the beginning. If it computes the same keys for the same job, give it a
    higher generation, so that its runs supersede the earlier ones.

    The workers and the scheduler need `PROGRESS_LEDGER_URL` and this package. Raises what `register_plugin` raises.
    """
    id = job if isinstance(job, str) or job is None else job.id
    series = uuid.uuid4().hex[:12]
    client.register_plugin(LedgerWorkerPlugin(id, generation, series))
    client.register_plugin(LedgerSchedulerPlugin(id, generation, series))


def reporting_to(job: Job | str) -> AbstractContextManager[Any]:
    """Makes the tasks that are made in this context report to a job; see `dask.annotate`."""
    found: AbstractContextManager[Any] = dask.annotate(**{ANNOTATION: job if isinstance(job, str) else job.id})
    return found


class _Plugin:
    """The parts that worker and scheduler share: the names of executions."""

    name = NAME

    def __init__(self, job: str | None, generation: int, series: str) -> None:
        self._job = job
        self._generation = generation
        # Distinguishes the runs of two schedulers that have the same number.
        self._series = series

    @harmless
    def execution(self, state: Any) -> Execution | None:
        """Returns the execution of the current run of a key; None if it belongs to no job."""
        job = (state.annotations or {}).get(ANNOTATION) or self._job
        run = state.run_id
        if job is None or run is None or run < 0:
            return None
        attempt = (self._generation - 1) * RUNS_PER_GENERATION + run + 1
        return job_by_id(job).execution(task_name(str(state.key)), attempt, execution=f"{self._series}-{run}")


class LedgerWorkerPlugin(_Plugin, WorkerPlugin):  # type: ignore[misc,unused-ignore]
    """Makes the tasks of a worker report; see `install`."""

    def setup(self, worker: Worker) -> None:
        execute: Callable[..., Any] = worker.execute

        async def execute_and_report(key: Any, *, stimulus_id: str) -> StateMachineEvent:
            # No other coroutine runs before the worker itself reads the run of the key.
            state = worker.state.tasks.get(key)
            execution = self.execution(state) if state is not None else None
            if execution is None:
                return await execute(key, stimulus_id=stimulus_id)
            # The threads of the worker inherit the context, and so do coroutines.
            async with execution:
                try:
                    event = await execute(key, stimulus_id=stimulus_id)
                except asyncio.CancelledError:
                    # The worker closes, and another one computes the key.
                    execution.leave()
                    raise
                if isinstance(event, RescheduleEvent):
                    execution.leave()
                elif isinstance(event, ExecuteFailureEvent):
                    fail(execution, _exception_of(event))
                return event

        self._execute = execute
        worker.execute = execute_and_report

    def teardown(self, worker: Worker) -> None:
        worker.execute = self._execute


class LedgerSchedulerPlugin(_Plugin, SchedulerPlugin):  # type: ignore[misc,unused-ignore]
    """Reports the tasks as failed that Dask gives up because they killed too many workers; see `install`."""

    async def start(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    @harmless
    def transition(self, key: Any, start: str, finish: str, *arguments: Any, **options: Any) -> None:
        if start != "processing" or finish != "erred" or not _is_killed(options.get("exception")):
            # Workers report all other outcomes themselves.
            return
        execution = self.execution(self._scheduler.tasks[key])
        if execution is not None:
            execution.start()
            execution.finish("failed", message=KilledWorker.__qualname__)


@harmless
def _exception_of(event: ExecuteFailureEvent) -> object:
    return clean_exception(getattr(event.exception, "data", event.exception))[1]


def _is_killed(exception: Any) -> bool:
    # The scheduler itself pickles no other exceptions; those of workers are in wrappers of their own.
    return isinstance(exception, bytes) and isinstance(pickle.loads(exception), KilledWorker)
