"""One execution of a task, for the code of the task."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import AsyncIterable, Iterable
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, Callable, SupportsIndex, TypeVar

from . import engines, notes, values
from .errors import InvalidValueError
from .losses import LossLog, logger
from .reporter import ReportCounts, Reporter
from .reporting import DroppedProgress, Progress, SilentProgress
from .settings import LABELS_PER_EXECUTION_MAX
from .stats import Stats
from .tracking import Tracking

if TYPE_CHECKING:
    from .handle import Handle
    from .sender import Sender

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])

current_execution: ContextVar[Execution | None] = ContextVar("progress_ledger_execution", default=None)

# What a context has entered and not left: the execution, the one that was current before, and the rest of the entries.
_entered: ContextVar[tuple[Execution, Execution | None, Any] | None] = ContextVar(
    "progress_ledger_entered", default=None
)


class Execution:
    """One execution of a task: a context for reports of progress.

        with job.execution("tile-17", attempt=2) as context:
            context.progress("download").done(1)

    Entering it starts the execution, which supersedes all earlier ones of the task. Leaving it reports its outcome:
    succeeded, failed after an exception, canceled after `KeyboardInterrupt` or `asyncio.CancelledError`. A background
    thread sends the start and all reports. Leaving waits until they are recorded, `Settings.flush_seconds` at most, so
    that an engine does not consider a task done before the ledger has recorded it. It does not wait for an unreachable
    ledger. No method raises, neither because of the ledger nor because of an invalid value: a report that cannot be
    sent is dropped, counted in `stats.dropped` and logged once.

    An execution is one attempt. Entering it again continues its numbers and is logged; its reports add up.

    Any number of threads and coroutines may use it, and after a fork the child too: the reports of a forked child count
    for the same execution, and only the process that entered the context ends it. It can be pickled for other processes
    (see `handle`). If several threads enter the context, the last one that leaves it ends the execution, with the
    outcome of the first one that failed.

    After an exception, the message of the outcome is the type of the exception, and also the first line of its text
    with `Settings.error_messages` or `error_messages=True`.

    Coroutines use `async with` in the same way.
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
        losses: LossLog | None = None,
        on_job_ended: Callable[[Execution], Any] | None = None,
        error_messages: bool | None = None,
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
        # The number of nested entries, also of other threads, and the first failure of one of them.
        self._entries = 0
        self._failure: tuple[str, str | None] | None = None
        self._prefect_run: tuple[str, int] | None = None
        self._on_superseded = on_superseded
        self._on_job_ended = on_job_ended
        self._error_messages = error_messages
        self._losses = losses or (sender.losses if sender is not None else LossLog())
        # The losses of an execution without a ledger.
        self._counts = ReportCounts()
        if reporter is not None:
            reporter.on_superseded = self._tell_superseded
            reporter.on_job_ended = self._tell_job_ended

    @property
    def task(self) -> str:
        """The name of its task."""
        return self._task

    @property
    def execution(self) -> str:
        """The name of this execution, unique within its task."""
        return self._name

    @property
    def attempt(self) -> int | None:
        """The attempt given or read from the engine.

        None, until `check`, if the ledger assigns it.
        """
        return self._attempt

    @property
    def superseded(self) -> bool:
        """Whether a newer execution of the task counts, so that this one should stop.

        It makes no request. The response to the first report after the start of the newer execution sets it.
        """
        return self._reporter is not None and self._reporter.is_superseded

    @property
    def job_ended(self) -> str | None:
        """The state in which the job has ended; None while it is running.

        A task of a canceled job should stop. It makes no request: the responses to reports set it. It may lag: for a
        moment after a start has reopened the job, it may be that of the earlier end.
        """
        return self._reporter.job_ended if self._reporter is not None else None

    @property
    def stats(self) -> Stats:
        """Counts of its reports so far."""
        if self._sender is None or self._reporter is None:
            return Stats.of_refused(self._counts.refused, self._counts.dropped)
        return Stats.of(self._sender, self._reporter)

    def progress(self, label: str | None = None, unit: str | None = None) -> Progress:
        """Returns the indicator with this label, to report to.

        Without a label, it is the job's default indicator.

        A label is a string of at most 100 characters, and an execution has at most 1,000 labels. Never raises: reports
        for any other label are dropped, counted in `stats.dropped` and logged once. The same label gives the same
        object. Costs less than a microsecond.

        `unit`: the unit of the indicator, such as `bytes`, `files` or `tiles`, of 1 to 32 characters. The first one
        that the job's reports give counts. Numbers of `bytes` are shown as KiB, MiB, ….
        """
        try:
            found = self._progress.get(label) or self._make_progress(values.label(label))
        except Exception as error:
            return self._refuse(error)
        if unit is not None:
            found.set_unit(unit)
        return found

    def _make_progress(self, label: str | None) -> Progress:
        if self._sender is None or self._reporter is None:
            self._require_room(label)
            return self._progress.setdefault(label, SilentProgress(label, self))
        with self._sender.lock:
            found = self._progress.get(label)
            if found is None:
                self._require_room(label)
                # If the execution was entered twice, another object of it may have the counter already.
                counter = self._reporter.counter(label)
                found = self._progress[label] = Progress(label, self._sender, self._reporter, counter)
            return found

    def _require_room(self, label: str | None) -> None:
        known = self._progress if self._reporter is None else self._reporter.counters
        if label not in known and len(known) >= LABELS_PER_EXECUTION_MAX:
            raise InvalidValueError(
                f"an execution has at most {LABELS_PER_EXECUTION_MAX:,} labels; {label!r} exceeds that"
            )

    def _refuse(self, error: Exception) -> Progress:
        self._losses.log("label", f"reports of task {self._task} are dropped: {error}")
        return DroppedProgress(None, self)

    def drop(self, kind: str | None = None, message: str = "") -> None:
        """Counts a report that cannot be sent, and logs the first one of its kind.

        Used by this package itself.
        """
        if self._sender is not None and self._reporter is not None:
            self._sender.drop(self._reporter, kind, message)
            return
        self._counts.refuse()
        if kind is not None:
            self._losses.log(kind, "%s", message)

    def drop_note(self, kind: str, message: str) -> None:
        """Counts a note that cannot be sent, and logs the first one of its kind. Used by this package itself."""
        if self._sender is not None:
            self._sender.drop_note(self._reporter, kind, message)
            return
        self._counts.dropped += 1
        self._losses.log(kind, "%s", message)

    def track(
        self,
        iterable: Iterable[T] | AsyncIterable[T],
        label: str | None = None,
        total: SupportsIndex | None = None,
        initial: SupportsIndex = 0,
    ) -> Tracking[T]:
        """Iterates over an iterable; each item is reported done when the next one is requested.

            for tile in context.track(tiles, label="download"):
                download(tile)

        Declares `total`, or the length of the iterable, at the start of the loop. Without a length, it declares each
        item when it comes. If the loop is left during an item, that item is not done. Use `async for` for asynchronous
        iterables.

        `initial`: the units that an earlier execution did, which the iterable does not contain. They are reported by
        `Progress.skip`, and `total` contains them, as in `tqdm`.
        """
        return Tracking(self.progress(label), iterable, total, initial)

    def carry(self, function: F) -> F:
        """Wraps a function to call it in the context of this execution.

        Use it for threads, pools, processes and callbacks. It can be pickled if the function can.

            with ProcessPoolExecutor() as pool:
                pool.map(context.carry(download), tiles)

        Python passes contexts to coroutines and to `asyncio.to_thread`, but not to other threads and processes. There,
        `progress_ledger.progress()` finds no execution without it.
        """
        from .handle import Carried

        return Carried(self, function)  # type: ignore[return-value]

    def adopt(self) -> None:
        """Makes this execution the current one of this thread, until its end.

        For the initializer of a pool: `ThreadPoolExecutor(initializer=context.adopt)`. It can be pickled.
        """
        current_execution.set(self)

    def handle(self) -> Handle:
        """Returns a handle, by which another process reports to this execution; see `Handle`.

        The execution itself can be pickled too: unpickled in another process, it is attached to this execution, as
        `Handle.attach` does.
        """
        from .handle import Handle

        return Handle.of(self._reporter)

    def __reduce__(self) -> tuple[Any, ...]:
        from .handle import pickled, restored

        if self._reporter is None:
            return type(self), (None, None, self._task, self._attempt, self._name, None, None)
        return restored, pickled(self._reporter)

    # Start and end

    def start(self) -> Execution:
        """Starts the execution, as `with` does. Returns at once."""
        if self._process is not None and (self._process != os.getpid() or not self._is_finished):
            # It is running: this thread or this forked child reports to it too.
            return self
        if self._process is not None:
            self._losses.log(
                "entered again",
                "execution %s of task %s is entered again and its numbers add up; create a new execution if this "
                "attempt must replace them",
                self._name, self._task, level=logging.WARNING,
            )  # fmt: skip
        self._process = os.getpid()
        self._is_finished = False
        self._prefect_run = engines.prefect_run()
        if self._sender is not None and self._reporter is not None:
            self._sender.start(self._reporter)
        return self

    def finish(self, outcome: str = "succeeded", *, message: str | None = None, link: str | None = None) -> None:
        """Reports the outcome, once, as `with` does: `succeeded`, `failed` or `canceled`.

        `message`: why it ended, in up to 1,000 characters. `link`: a URL with more information, such as a log.

        Returns at once. Never raises: an invalid outcome, or the end of an execution that was not started, is dropped,
        counted and logged.
        """
        try:
            values.choice(outcome, "the outcome of an execution", values.EXECUTION_OUTCOMES)
            if self._process is None:
                raise InvalidValueError("it was not started; enter it first")
        except InvalidValueError as error:
            self.drop("end", f"the end of an execution of task {self._task} is dropped: {error}")
            return
        if self._is_finished or self._process != os.getpid():
            return
        self._is_finished = True
        if self._sender is not None and self._reporter is not None:
            self._sender.finish(self._reporter, outcome, notes.notes(message, link, self.drop_note))

    def leave(self) -> None:
        """Ends the execution in this process without an outcome: its task is still running for the ledger.

        For an attempt that its engine will retry or continue elsewhere, whose task has neither succeeded nor failed.
        Later ends of this execution report nothing. Returns at once. Never raises.
        """
        if self._process != os.getpid() or self._is_finished:
            return
        self._is_finished = True
        if self._sender is not None and self._reporter is not None:
            self._sender.leave(self._reporter)

    def flush(self, seconds: float | None = None) -> bool:
        """Sends all reports and waits until the ledger has recorded them.

        Returns whether everything reported so far is recorded; also False if something was dropped. It does not wait
        for later reports of other threads. `seconds` is `Settings.flush_seconds` by default. It also waits for an
        unreachable ledger.
        """
        if self._sender is None or self._reporter is None:
            return True
        reporter = self._reporter
        has_settled = self._sender.expedite(reporter.job)
        limit = values.seconds(seconds, self._sender.settings.flush_seconds)
        is_settled = self._sender.wait(lambda: reporter.is_settled or has_settled(), limit, is_patient=True)
        return is_settled and not reporter.counts.dropped

    def check(self) -> bool:
        """Asks the ledger whether this execution still counts; if not, it should stop.

        Use it in executions that report rarely; others get the information with their reports. It waits for the
        response, `Settings.patience_seconds` at most. Without a response it returns the last known state. The ledger
        records the request as a start of the execution. It also updates `job_ended`.
        """
        if self._sender is None or self._reporter is None:
            return True
        from . import calls

        requester = self._sender.requester
        try:
            job = self._reporter.job.identify(requester.transport, requester.settings.patience_seconds)
            call = calls.start_execution(
                job, self._task, self._name, self._attempt, unless_canceled=self._reporter.unless_canceled
            )
            started = requester.ask(call)
        except Exception as error:
            logger.debug("cannot check whether an execution counts: %s", error)
            return self._counts_still
        if self._attempt is None:
            self._attempt = started.attempt
        if not started.is_last:
            self._sender.supersede(self._reporter)
        self._sender.job_has_state(self._reporter, started.job_state)
        return self._counts_still

    @property
    def _counts_still(self) -> bool:
        return not self.superseded and not (self._reporter is not None and self._reporter.is_refused)

    def __enter__(self) -> Execution:
        self.start()
        with self._lock:
            self._entries += 1
        _entered.set((self, current_execution.get(), _entered.get()))
        current_execution.set(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._leave(error)
        if self._sender is not None and self._reporter is not None:
            reporter = self._reporter
            self._sender.wait_at_end(lambda: reporter.is_settled)

    async def __aenter__(self) -> Execution:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._leave(error)
        if self._sender is not None and self._reporter is not None:
            reporter = self._reporter
            await self._sender.wait_at_end_async(lambda: reporter.is_settled)

    def _leave(self, error: BaseException | None) -> None:
        entry, is_nested = _entered.get(), False
        # Otherwise it is left in another context than it was entered in, which is possible in generators.
        if entry is not None and entry[0] is self:
            _, before, rest = entry
            _entered.set(rest)
            current_execution.set(before)
            is_nested = _contains(rest, self)
        # Without the lock, because the text of an exception may be anybody's code.
        end = self._end_after(error)
        with self._lock:
            self._entries -= 1
            is_last = self._entries <= 0
            if not is_nested and self._failure is None and end[0] != "succeeded":
                # The entry around a nested one knows whether it handled the exception; other threads do not.
                self._failure = end
            if is_last:
                end, self._failure = self._failure or end, None
        if is_last:
            self.finish(end[0], message=end[1])

    @property
    def _lock(self) -> AbstractContextManager[Any]:
        """A lock for the entries of several threads, which forks respect."""
        return nullcontext() if self._sender is None else self._sender.lock

    def _finish_after(self, error: BaseException | None) -> None:
        outcome, message = self._end_after(error)
        self.finish(outcome, message=message)

    def _end_after(self, error: BaseException | None) -> tuple[str, str | None]:
        """The outcome, and the message of an exception."""
        outcome, message = notes.outcome_of_error(error), None
        if error is not None and outcome != "succeeded":
            with_text = self._error_messages
            if with_text is None:
                with_text = self._sender is not None and self._sender.settings.error_messages
            message = notes.message_of_error(error, with_text)
        return outcome, message

    def warn_if_repeated(self) -> None:
        """Logs once that a retried Prefect task reports to another's execution."""
        run = engines.prefect_run()
        if run is not None and run[1] > 1 and (self._prefect_run is None or run[0] != self._prefect_run[0]):
            self._losses.log(
                "repeated",
                "a Prefect task is retried within execution %s of task %s, and its reports add up; create an "
                "execution in the task itself, with attempt=task_run.run_count",
                self._name, self._task, level=logging.WARNING,
            )  # fmt: skip

    def _tell_superseded(self) -> None:
        if self._is_finished:
            # Engines start the next execution while this one ends. Then there is nothing left to stop.
            return
        source = f" (its attempt, {self._attempt}, is {self._attempt_source}'s)" if self._attempt_source else ""
        logger.warning(
            "execution %s of task %s is superseded%s: a newer execution counts, this one should stop",
            self._name, self._task, source,
        )  # fmt: skip
        self._call("on_superseded", self._on_superseded)

    def _tell_job_ended(self, state: str) -> None:
        if self._is_finished:
            # There is nothing left to stop.
            return
        logger.info("the job of execution %s of task %s is %s", self._name, self._task, state)
        self._call("on_job_ended", self._on_job_ended)

    def _call(self, name: str, callback: Callable[[Execution], Any] | None) -> None:
        """Calls a callback of the task in a separate thread, because the sender must not wait for it."""
        if callback is None:
            return

        def call() -> None:
            try:
                callback(self)
            except Exception as error:
                self._losses.log(
                    name, "%s failed for execution %s of task %s: %s: %s",
                    name, self._name, self._task, type(error).__name__, error,
                )  # fmt: skip

        try:
            threading.Thread(target=call, name="progress-ledger-callback", daemon=True).start()
        except RuntimeError:
            call()

    def __repr__(self) -> str:
        attempt = "" if self._attempt is None else f" attempt {self._attempt}"
        return f"<Execution {self._name} of {self._task}{attempt}{' superseded' if self.superseded else ''}>"


def _contains(entry: tuple[Execution, Execution | None, Any] | None, execution: Execution) -> bool:
    """Whether an execution is among these entries of a context."""
    while entry is not None and entry[0] is not execution:
        entry = entry[2]
    return entry is not None


def new_name() -> str:
    """Returns a unique name that begins with the name of this host."""
    try:
        # The name of a host may contain any bytes.
        host = socket.gethostname()[:64].encode("ascii", "replace").decode()
    except OSError:
        host = "host"
    return f"{host}-{os.urandom(16).hex()}"
