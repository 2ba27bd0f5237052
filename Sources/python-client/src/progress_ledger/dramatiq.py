"""The messages of Dramatiq as executions.

    from progress_ledger.dramatiq import install

    install(broker)  # one line: every actor reports

    with reporting_to(job):
        download.send(tile)

Within an actor, `progress_ledger.progress` and `progress_ledger.current` belong to its execution. The job travels in
the options of messages, also to messages that actors send; without one, it is `PROGRESS_LEDGER_JOB` of the worker. A
retry is the next attempt. A message that is delivered again, because its worker was lost, is another execution with the
same attempt, and the later one counts. The reports of an execution are recorded before its message is acknowledged.

Actors that are coroutines run in another thread, where `progress_ledger.progress` finds no execution.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any

from dramatiq import Broker, Message, Middleware
from dramatiq.middleware import Retries

from .asynchronous import AsyncJob
from .execution import Execution
from .integration import execution_of, harmless, job_by_id, task_name
from .job import Job

OPTION = "progress_ledger_job"

_job: ContextVar[str | None] = ContextVar("progress_ledger_dramatiq_job", default=None)


@contextmanager
def reporting_to(job: Job | AsyncJob | str) -> Iterator[None]:
    """Makes every message that is sent within this context report to a job."""
    token = _job.set(job if isinstance(job, str) else job.id)
    try:
        yield
    finally:
        _job.reset(token)


def install(broker: Broker) -> None:
    """Makes all actors of a broker report. Call it where the broker is made, for senders and workers alike."""
    has_retries = any(isinstance(one, Retries) for one in broker.middleware)
    # Then `Retries` has decided when the middleware learns the end of a message.
    broker.add_middleware(LedgerMiddleware(), before=Retries if has_retries else None)


class LedgerMiddleware(Middleware):  # type: ignore[misc,unused-ignore]
    """The middleware that `install` adds."""

    def __init__(self) -> None:
        # A thread processes one message at a time.
        self._thread = threading.local()

    @harmless
    def before_enqueue(self, broker: Broker, message: Message[Any], delay: int | None) -> None:
        job = _job.get()
        if job is not None:
            message.options.setdefault(OPTION, job)

    @harmless
    def before_process_message(self, broker: Broker, message: Message[Any]) -> None:
        id = message.options.get(OPTION) or os.environ.get("PROGRESS_LEDGER_JOB")

        def make() -> Execution | None:
            if id is None:
                return None
            name = task_name(f"{message.actor_name}[{message.message_id}]")
            return job_by_id(id).execution(name, int(message.options.get("retries", 0)) + 1)

        execution = execution_of(make, message.actor_name)
        execution.__enter__()
        self._thread.running = (execution, _job.set(id))

    @harmless
    def after_process_message(
        self, broker: Broker, message: Message[Any], *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        running: tuple[Execution, Token[str | None]] | None = getattr(self._thread, "running", None)
        if running is None:
            return
        self._thread.running = None
        execution, token = running
        _job.reset(token)
        if exception is not None and not message.failed and any(isinstance(one, Retries) for one in broker.middleware):
            # It has been enqueued again.
            execution.leave()
        execution.__exit__(None if exception is None else type(exception), exception, None)

    @harmless
    def after_skip_message(self, broker: Broker, message: Message[Any]) -> None:
        running = getattr(self._thread, "running", None)
        if running is not None:
            running[0].finish("canceled")
        self.after_process_message(broker, message)
