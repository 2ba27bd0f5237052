"""A workflow of three steps that depend on each other, with tasks that fail at first and are retried.

    PROGRESS_LEDGER_URL=http://localhost:8080 python workflow.py

`finalize` needs every `step2`, and each `step2` needs its `step1`. The root declares all units. Every task reports the
unit that it does; tasks that fail afterwards report it more than once. It prints

    finalize: 1/1
    step1: 4/4
    step2: 4/4
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from progress_ledger import Client, Execution, Job

N = 4
ATTEMPTS_MAX = 3


class StepFailed(Exception):
    """What this workflow's tasks fail of."""


def run(job: Job, task: str, body: Callable[[Execution], None]) -> None:
    """Retries a task with the next attempt until it succeeds, as an engine does."""
    for attempt in range(1, ATTEMPTS_MAX + 1):
        try:
            with job.execution(task, attempt=attempt) as context:
                body(context)
            return
        except StepFailed:
            if attempt == ATTEMPTS_MAX:
                raise


def root(context: Execution) -> None:
    context.progress("finalize").add(1)
    context.progress("step1").add(N)
    context.progress("step2").add(N)


def step1(context: Execution, number: int) -> None:
    context.progress("step1").done(1)
    if number == 1 and context.attempt == 1:
        raise StepFailed("after it had reported its unit")


def step2(context: Execution, number: int) -> None:
    if number == 2 and context.attempt in (1, 2):
        raise StepFailed("before it had reported anything")
    context.progress("step2").done(1)


def finalize(context: Execution) -> None:
    context.progress("finalize").done(1)
    if context.attempt == 1:
        raise StepFailed("at the very end")


def main() -> None:
    with Client() as ledger, ThreadPoolExecutor(4) as pool:
        job = ledger.jobs.create("workflow")
        run(job, "root", root)

        def both_steps(number: int) -> None:
            run(job, f"step1-{number}", lambda context: step1(context, number))
            run(job, f"step2-{number}", lambda context: step2(context, number))

        steps: list[Future[None]] = [pool.submit(both_steps, number) for number in range(N)]
        for step in steps:
            step.result()
        run(job, "finalize", finalize)
        job.finish()
        for indicator in ledger.jobs.find(job.id).progress:
            print(f"{indicator.label}: {indicator.done}/{indicator.total}")


if __name__ == "__main__":
    main()
