"""One run of a task, as the code of the task sees it."""

from __future__ import annotations

import asyncio
import os
import socket
import uuid
from collections.abc import AsyncIterable, Iterable
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Callable, SupportsIndex, TypeVar

from . import calls, values
from .errors import InvalidValueError, LedgerError
from .reporter import Counter, Reporter
from .reporting import Progress, SilentProgress
from .sender import Sender
from .settings import LABELS_PER_EXECUTION_MAX
from .settlement import logger
from .stats import Stats
from .tracking import Tracking

T = TypeVar("T")

_current: ContextVar[Execution | None] = ContextVar("progress_ledger_execution", default=None)


class Execution:
    """One run of a task: a context, in which progress is reported.

        with job.execution("tile-17", attempt=2) as context:
            context.progress("download").done(1)

    Entering it starts the run, which supersedes every earlier run of the task; leaving it says how it ended: succeeded,
    failed where an exception leaves it, canceled where that is a `KeyboardInterrupt` or `asyncio.CancelledError`. The
    start and all reports are sent by a thread in the background. Leaving waits until they are recorded, for
    `Settings.flush_seconds` at most, so that an engine is not told that a task is done before the ledger knows it;
    where the ledger is out of reach it does not wait. Nothing here ever raises because of the ledger.

    May be used by any number of threads and coroutines, and after a fork by the child too: what a forked child reports
    counts for the same execution, and only the process that entered the context ends it.

    `async with` is the same for coroutines.
    """

    def __init__(
        self,
        sender: Sender | None,
        reporter: Reporter | None,
        task: str,
        attempt: int | None,
        name: str,
        attempt_source: str | None,
        on_superseded: Callable[[Execution], Any] | None,
    ) -> None:
        self._sender = sender
        self._reporter = reporter
        self._task = task
        self._attempt = attempt
        self._name = name
        self._attempt_source = attempt_source
        self._progress: dict[str | None, Progress] = {}
        self._process: int | None = None
        self._is_finished = False
        self._token: Token[Execution | None] | None = None
        self._on_superseded = on_superseded
        if reporter is not None:
            reporter.on_superseded = self._tell_superseded

    @property
    def task(self) -> str:
        """The task that this is a run of."""
        return self._task

    @property
    def execution(self) -> str:
        """The name of this run, unique within its task."""
        return self._name

    @property
    def attempt(self) -> int | None:
        """The attempt that was given or that the engine told; None where the ledger numbers the run, until `check`."""
        return self._attempt

    @property
    def superseded(self) -> bool:
        """Whether the ledger has said that a newer run of the task counts. A zombie asks this and stops.

        Known from the answer to the first report after the newer run began: no request is made here.
        """
        return self._reporter is not None and self._reporter.is_superseded

    @property
    def stats(self) -> Stats:
        """What became of its reports so far."""
        return Stats.of(self._sender if self._reporter is not None else None, self._reporter)

    def progress(self, label: str | None = None) -> Progress:
        """The indicator of this label, to report to; without a label, the job's default one.

        Refuses a label of more than 100 characters, and the 1,001st label of an execution, with `InvalidValueError`.
        The same label gives the same object. Costs less than a microsecond.
        """
        found = self._progress.get(label)
        return found if found is not None else self._make_progress(values.label(label))

    def _make_progress(self, label: str | None) -> Progress:
        if self._sender is None or self._reporter is None:
            self._refuse_too_many(label)
            return self._progress.setdefault(label, SilentProgress(label))
        with self._sender.lock:
            found = self._progress.get(label)
            if found is None:
                self._refuse_too_many(label)
                counter = Counter(label)
                found = Progress(label, self._sender, self._reporter, counter)
                self._reporter.counters[label] = counter
                self._progress[label] = found
            return found

    def _refuse_too_many(self, label: str | None) -> None:
        if label not in self._progress and len(self._progress) >= LABELS_PER_EXECUTION_MAX:
            raise InvalidValueError(
                f"an execution has at most {LABELS_PER_EXECUTION_MAX:,} labels; {label!r} is one more"
            )

    def track(
        self,
        iterable: Iterable[T] | AsyncIterable[T],
        label: str | None = None,
        total: SupportsIndex | None = None,
    ) -> Tracking[T]:
        """The items of an iterable, each reported done when the next one is asked for.

            for tile in context.track(tiles, label="download"):
                download(tile)

        Declares `total`, or the length of the iterable, as work to do when the loop begins; where it has no length,
        each item when it comes. An item in whose turn the loop is left is not done. Asynchronous iterables go with
        `async for`.
        """
        return Tracking(self.progress(label), iterable, None if total is None else values.increment(total))

    # Its life

    def start(self) -> Execution:
        """Starts the run; `with` does it. Returns at once."""
        if self._process is not None:
            raise RuntimeError("an execution is one run and is entered once; ask the job for another")
        self._process = os.getpid()
        if self._sender is not None and self._reporter is not None:
            self._sender.start(self._reporter)
        return self

    def finish(self, outcome: str = "succeeded") -> None:
        """Says how the run ended, once; `with` does it. `succeeded`, `failed` or `canceled`. Returns at once."""
        values.choice(outcome, "the outcome of an execution", values.EXECUTION_OUTCOMES)
        if self._process is None:
            raise RuntimeError("an execution that has not begun cannot end; enter it")
        if self._is_finished or self._process != os.getpid():
            return
        self._is_finished = True
        if self._sender is not None and self._reporter is not None:
            self._sender.finish(self._reporter, outcome)

    def flush(self, seconds: float | None = None) -> bool:
        """Sends what waits, and waits until the ledger has recorded it.

        Returns whether it has recorded all that was reported so far: False also where something was given up. What
        other threads report meanwhile is not waited for. `seconds` is `Settings.flush_seconds` unless told; a ledger
        that is out of reach is waited for too.
        """
        if self._sender is None or self._reporter is None:
            return True
        reporter = self._reporter
        has_settled = self._sender.hurry(reporter.job)
        limit = self._sender.settings.flush_seconds if seconds is None else seconds
        is_settled = self._sender.wait(lambda: reporter.is_settled or has_settled(), limit, is_patient=True)
        return is_settled and not reporter.tally.dropped

    def check(self) -> bool:
        """Asks the ledger whether this run still counts; False tells a zombie to stop.

        For runs that are silent for long: all others learn of it by reporting. Waits for the answer, for
        `Settings.patience_seconds` at most; where there is none, it is what is known. The ledger notes the question.
        """
        if self._sender is None or self._reporter is None:
            return True
        call = calls.start_execution(self._reporter.job.job, self._task, self._name, self._attempt)
        try:
            started = self._sender.requester.ask(call)
        except LedgerError as error:
            logger.debug("the ledger cannot be asked whether an execution counts: %s", error)
            return not self.superseded
        if self._attempt is None:
            self._attempt = started.attempt
        if not started.is_last:
            self._sender.supersede(self._reporter)
        return not self.superseded

    def __enter__(self) -> Execution:
        self.start()
        self._token = _current.set(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._leave(error)
        if self._sender is not None and self._reporter is not None:
            reporter = self._reporter
            self._sender.wait(lambda: reporter.is_settled, self._sender.settings.flush_seconds, is_patient=False)

    async def __aenter__(self) -> Execution:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._leave(error)
        if self._sender is not None and self._reporter is not None:
            reporter = self._reporter
            await self._sender.wait_async(lambda: reporter.is_settled, self._sender.settings.flush_seconds)

    def _leave(self, error: BaseException | None) -> None:
        if self._token is not None:
            try:
                _current.reset(self._token)
            except ValueError:
                # Left in another context than entered, as generators can be: that one is gone, and this one unchanged.
                pass
            self._token = None
        self.finish(_outcome(error))

    def _tell_superseded(self) -> None:
        if self._is_finished:
            # Engines start the next run while the one before is ending: there is nothing left to stop.
            return
        source = f" (its attempt, {self._attempt}, is {self._attempt_source}'s)" if self._attempt_source else ""
        logger.warning(
            "execution %s of task %s is superseded%s: a newer one counts, this one should stop",
            self._name, self._task, source,
        )  # fmt: skip
        if self._on_superseded is not None:
            self._on_superseded(self)

    def __repr__(self) -> str:
        attempt = "" if self._attempt is None else f" attempt {self._attempt}"
        return f"<Execution {self._name} of {self._task}{attempt}{' superseded' if self.superseded else ''}>"


def _outcome(error: BaseException | None) -> str:
    if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
        return "succeeded"
    if isinstance(error, (KeyboardInterrupt, asyncio.CancelledError, GeneratorExit)):
        return "canceled"
    return "failed"


def new_name() -> str:
    """A name that no other execution has, and that tells which machine it ran on."""
    # The system may give a host any bytes for a name.
    host = socket.gethostname()[:64].encode("ascii", "replace").decode()
    return f"{host}-{uuid.uuid4().hex}"


def current() -> Execution:
    """The execution whose context the caller is in; outside of any, one that reports to nobody.

    Follows `contextvars`: a coroutine or a thread sees the execution that it was started in only where the context goes
    with it (`asyncio` does that, `threading` does not).
    """
    return _current.get() or silent("outside of any execution")


def progress(label: str | None = None) -> Progress:
    """The indicator of this label in the execution whose context the caller is in; outside of any, one of no job."""
    return current().progress(label)


def silent(task: str) -> Execution:
    """An execution that checks what it is given and reports to nobody: the same task runs in a unit test."""
    return Execution(None, None, task, None, "silent", None, None)
