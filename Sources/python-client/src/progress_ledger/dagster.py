"""The steps of Dagster as executions.

    from progress_ledger.dagster import asset, op  # instead of: from dagster import asset, op

    @asset(retry_policy=RetryPolicy(max_retries=3))
    def tiles():
        progress_ledger.progress("download").done(1)

Both take what Dagster's decorators take. A run is a job with the key `dagster/RUN_ID`, and a step of it a task by its
step key; with `PROGRESS_LEDGER_JOB`, everything reports to that job instead. A retry of a step is the next attempt
(`retry_number` + 1). A run that is executed again, from its failure for example, reports to the job of its root run:
the steps that it repeats supersede the earlier ones, and the others still count. The ledger numbers these executions.
An op that another one calls directly belongs to the execution of its caller.
"""

from __future__ import annotations

import functools
import os
from typing import Any, Callable

import dagster
from dagster import DagsterInvariantViolationError, OpExecutionContext, RetryRequested

from .execution import Execution
from .integration import job_by_id, job_by_key, task_name
from .job import Job
from .wrapping import Call, within


def asset(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """`dagster.asset`, with an execution for each attempt of its step."""
    if function is None:
        return functools.partial(asset, **options)
    return dagster.asset(**options)(within(function, _call, _is_continued))


def op(function: Callable[..., Any] | None = None, **options: Any) -> Any:
    """`dagster.op`, with an execution for each attempt of its step."""
    if function is None:
        return functools.partial(op, **options)
    return dagster.op(**options)(within(function, _call, _is_continued))


def current_job() -> Job:
    """Returns the job of the run of the current step. Makes no request."""
    if os.environ.get("PROGRESS_LEDGER_JOB"):
        return job_by_id(None)
    run = _context().dagster_run
    root = run.root_run_id or run.run_id
    return job_by_key(f"dagster/{root}", run.job_name, {"dagster.run_id": root})


def _context() -> Any:
    return OpExecutionContext.get().get_step_execution_context()


def _call() -> Call | None:
    try:
        context = _context()
    except DagsterInvariantViolationError:
        # It is called directly, in a unit test for example.
        return None
    identity = context.run_id, context.step.key, context.previous_attempt_count
    return Call(identity, functools.partial(_make, context))


def _make(context: Any) -> Execution:
    run = context.dagster_run
    is_first = (run.root_run_id or run.run_id) == run.run_id
    # The steps of a run that repeats another one count their retries from the beginning.
    attempt = context.previous_attempt_count + 1 if is_first else None
    return current_job().execution(task_name(context.step.key), attempt)


def _is_continued(error: BaseException) -> bool:
    context = _context()
    if not isinstance(error, Exception):
        return False
    if isinstance(error, RetryRequested):
        return bool(context.previous_attempt_count < error.max_retries)
    policy = context.op_retry_policy
    return policy is not None and context.previous_attempt_count < policy.max_retries
