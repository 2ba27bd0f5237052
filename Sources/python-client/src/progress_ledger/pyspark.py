"""The partitions of Spark as executions.

    from progress_ledger.pyspark import reporting

    rdd.mapPartitions(reporting(job, "scan")(scan))  # or df.mapInPandas(reporting(job, "scan")(scan), schema)

`scan` takes an iterator and returns one; within it, `progress_ledger.progress` and `progress_ledger.current` belong to
the execution. Partition 7 is the task `scan[7]`, and Spark's id of the attempt, which grows over all of an application,
is the attempt. So a partition that is computed again, because its executor was lost, it failed, or another action such
as `take` needs it once more, counts once. Use another name for each transformation, and another job for each
application.

With `spark.speculation`, the copy of a task that starts last counts, even if Spark kills it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, Callable

from pyspark import TaskContext

from .execution import Execution
from .integration import task_name
from .job import Job
from .wrapping import Call, iterator_within


def reporting(job: Job, name: str) -> Callable[[Callable[..., Any]], Callable[..., Iterator[Any]]]:
    """Makes a function of the iterator of a partition report to a job.

    The job travels to the executors without a token, which they read from `PROGRESS_LEDGER_TOKEN_FILE`.
    """
    return functools.partial(_reporting, job, name)


def _reporting(job: Job, name: str, function: Callable[..., Any]) -> Callable[..., Iterator[Any]]:
    @functools.wraps(function)
    def call(*arguments: Any) -> Iterator[Any]:
        return iterator_within(function, functools.partial(_call, job, name), *arguments)

    return call


def _call(job: Job, name: str) -> Call | None:
    context = TaskContext.get()
    if context is None:
        return None
    task, attempt = f"{name}[{context.partitionId()}]", context.taskAttemptId() + 1
    return Call((task, attempt), functools.partial(_make, job, task, attempt))


def _make(job: Job, task: str, attempt: int) -> Execution:
    return job.execution(task_name(task), attempt)
