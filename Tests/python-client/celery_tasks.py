"""The tasks of the Celery test. A real worker imports this file and runs them."""

from __future__ import annotations

import os
import signal
from typing import Any

import redis
from celery import Celery, Task, chain, chord
from celery.exceptions import Ignore

from progress_ledger import current, progress
from progress_ledger.celery import LedgerTask

BROKER = os.environ.get("TEST_BROKER", "redis://127.0.0.1:1/0")
N = 4

app = Celery("celery_tasks", broker=BROKER, backend=BROKER, task_cls="progress_ledger.celery:LedgerTask")
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    worker_hijack_root_logger=False,
    broker_connection_retry_on_startup=True,
)
# The state that the tasks of the test share.
shared = redis.Redis.from_url(BROKER, socket_timeout=None)


def is_first(event: str) -> bool:
    """Returns whether this is the first call for an event, in any process."""
    return bool(shared.setnx(f"first:{event}", 1))


@app.task(base=LedgerTask)
def root() -> None:
    """Declares all units and then sends the tasks that do them, in this order for every reader."""
    progress("finalize").add(1)
    progress("step1").add(N)
    progress("step2").add(N)
    current().flush()
    steps = [chain(step1.si(number), step2.si(number)) for number in range(N)]
    shared.set("workflow", chord(steps, finalize.si()).apply_async().id)


@app.task(base=LedgerTask, bind=True, max_retries=3)
def step1(self: Any, number: int) -> None:
    """Number 0 fails after it has reported; number 1 is delivered twice, and both run at once."""
    progress("step1").done(1)
    if number == 0 and is_first("failure"):
        raise self.retry(countdown=0)
    if number == 1:
        if is_first("delivery"):
            current().flush()
            # The same message again, without the rest of the chain.
            self.apply_async((number,), task_id=self.request.id)
            assert shared.blpop("second delivery has begun", 30)
            progress("step1").done(1000)
            current().flush()
            shared.set("zombie was superseded", int(current().superseded))
            shared.rpush("first delivery has ended", 1)
        else:
            current().flush()
            shared.rpush("second delivery has begun", 1)
            assert shared.blpop("first delivery has ended", 30)


@app.task(base=LedgerTask, bind=True, autoretry_for=(ConnectionError,), retry_backoff=False, default_retry_delay=0)
def step2(self: Any, number: int) -> None:
    """Number 2 loses its worker process after it has reported; number 3 fails twice before it has."""
    if number == 2:
        progress("step2").done(1)
        if is_first("crash"):
            current().flush()
            os.kill(os.getpid(), signal.SIGKILL)
        return
    if number == 3 and self.request.retries < 2:
        raise ConnectionError("not yet")
    progress("step2").done(1)


@app.task(base=LedgerTask)
def finalize() -> None:
    """Does the last unit and ends with `Ignore`."""
    progress("finalize").done(1)
    shared.rpush("finished", 1)
    raise Ignore


@app.task(base=LedgerTask, bind=True, max_retries=1)
def nested(self: Any, depth: int) -> None:
    """Calls itself, another task in place, and is retried once."""
    progress("nested").done(1)
    if depth:
        nested(depth - 1)
        return
    other.apply()
    if self.request.retries == 0:
        raise self.retry(countdown=0)


@app.task(base=LedgerTask)
def other(number: int = 0) -> None:
    progress("nested").done(10)


@app.task(base=LedgerTask)
def mapped(number: int) -> None:
    progress("mapped").done(number)


@app.task(base=Task)
def plain() -> tuple[str | None, int]:
    """A task without the base class, which still gets its attempt from the engine."""
    from progress_ledger import Client

    context = Client().job().execution()
    return context.task, context.attempt or 0
