"""The job of the Dagster test. Its steps run in processes of their own."""

from __future__ import annotations

import os
import signal

from dagster import DynamicOut, DynamicOutput, RetryPolicy, RetryRequested, job

from progress_ledger import current, progress
from progress_ledger.dagster import op

from support import is_first


@op(out=DynamicOut())
def plan():
    progress("total").add(1)
    for number in range(4):
        yield DynamicOutput(number, mapping_key=str(number))


@op(retry_policy=RetryPolicy(max_retries=3))
def tile(number: int) -> int:
    """Number 0 fails twice, and number 1 kills its process once; each has reported before."""
    folder = os.environ["TEST_FOLDER"]
    progress("tiles").add(10)
    progress("tiles").done(10)
    if number == 0 and is_first(folder, "first"):
        raise ConnectionError("not yet")
    if number == 0 and is_first(folder, "second"):
        raise RetryRequested(max_retries=3)
    if number == 1 and is_first(folder, "killed"):
        current().flush()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@op
def total(numbers: list[int]) -> int:
    progress("total").done(1)
    return sum(numbers)


@op
def step():
    progress("nested").done(1)


@op
def run():
    """Calls another op directly."""
    progress("nested").done(10)
    step()
    step()


@job
def nested():
    run()


@job
def mosaic():
    total(plan().map(tile).collect())
