"""A root task that declares n units, and n subtasks that each do one unit.

    PROGRESS_LEDGER_URL=http://localhost:8080 python units_and_subtasks.py [N]

A retry of a failed subtask replaces the earlier attempt, so the result is n of n, however often subtasks are retried.
"""

from __future__ import annotations

import random
import sys
from concurrent.futures import ThreadPoolExecutor

from progress_ledger import Client, Job


def root(job: Job, n: int) -> None:
    """Declares the units."""
    with job.execution("root") as context:
        context.progress().add(n)


def subtask(job: Job, number: int) -> None:
    """Does one unit; about every third attempt fails after that."""
    attempt = 1
    while True:
        try:
            with job.execution(f"subtask-{number}", attempt=attempt) as context:
                context.progress().done(1)
                if random.random() < 1 / 3:
                    raise ConnectionError("the data store closed the connection")
            return
        except ConnectionError:
            attempt += 1


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    with Client() as ledger:
        job = ledger.jobs.create("units and subtasks")
        root(job, n)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda number: subtask(job, number), range(n)))
        job.finish()
        for indicator in ledger.jobs.find(job.id).progress:
            print(f"{indicator.label or 'units'}: {indicator.done}/{indicator.total}")


if __name__ == "__main__":
    main()
