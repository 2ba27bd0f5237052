"""The parts of a job that both kinds of client share: everything that needs no response."""

from __future__ import annotations

import functools
import os
import weakref
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Callable, SupportsIndex

from . import engines, notes, values
from .clock import ServerClock
from .contexts import lost
from .errors import InvalidValueError
from .execution import Execution, new_name
from .losses import LossLog, describe
from .report_buffer import JobReportBuffer
from .reporter import Reporter
from .settings import PARTS_MAX

if TYPE_CHECKING:
    from .answers import Snapshot
    from .client import Configuration
    from .requester import Requester
    from .sender import Sender

ExecutionKey = tuple[str, str, str]


class Ledger:
    """The parts of a client.

    Without a URL, `requester` and `sender` are None and nothing is reported.

    `problem`: the configuration is unusable, so that reports are dropped and counted.
    """

    def __init__(
        self,
        requester: Requester | None,
        sender: Sender | None,
        *,
        losses: LossLog | None = None,
        problem: InvalidValueError | None = None,
        configuration: Configuration | None = None,
    ) -> None:
        self.configuration = configuration
        # Identifies it in other processes; set when it is pickled.
        self.identity: str | None = None
        self.requester = requester
        self.sender = sender
        self.losses = losses or (sender.losses if sender is not None else LossLog())
        self.problem = problem
        # Used only without a sender, which has its own counts.
        self.dropped = 0
        # One report buffer per referenced job; it keeps the order of its events.
        self.buffers: weakref.WeakValueDictionary[str, JobReportBuffer] = weakref.WeakValueDictionary()
        # The executions that this process has started, and those of other processes to which it reports. The latter are
        # kept for some time after their last use.
        self._reporters: weakref.WeakValueDictionary[ExecutionKey, Reporter] = weakref.WeakValueDictionary()
        self._parts: OrderedDict[ExecutionKey, Reporter] = OrderedDict()

    @property
    def is_lost(self) -> bool:
        """Whether the configuration is unusable."""
        return self.problem is not None

    def drop(self, kind: str | None = None, message: str = "") -> None:
        """Counts a report that cannot be sent and belongs to no execution, and logs the first of its kind."""
        if self.sender is not None:
            self.sender.drop(None, kind, message)
            return
        self.dropped += 1
        if kind is not None:
            self.losses.log(kind, "%s", message)

    def buffer(self, job: str) -> JobReportBuffer | None:
        """The report buffer of a job."""
        if self.sender is None:
            return None
        with self.sender.lock:
            found = self.buffers.get(job)
            if found is None:
                found = self.buffers[job] = JobReportBuffer(self.sender.buffer, job)
            return found

    def register(self, reporter: Reporter, job: str | None = None) -> None:
        """Registers an execution that this process starts, or reports to, under another name of its job if given."""
        if self.sender is not None:
            with self.sender.lock:
                self._reporters[job or reporter.job.job, reporter.task, reporter.execution] = reporter

    def reporter_of(self, job: str, task: str, execution: str, attempt: int | None) -> Reporter:
        """Returns the reporter of an execution that this or another process has started.

        Reports to another process's execution are those of a part of it. A part has a new name if it was not used for
        so long that it is forgotten, so that its numbers never repeat.
        """
        buffer = self.buffer(job)
        if buffer is None or self.sender is None:
            raise InvalidValueError("there is no ledger")
        key = (job, task, execution)
        with self.sender.lock:
            found = self._reporters.get(key)
            if found is None:
                found = Reporter(buffer, task, execution, attempt, part=new_name(), ledger=self)
                self._reporters[key] = found
            if found.part is not None or key in self._parts:
                self._parts[key] = found
                self._parts.move_to_end(key)
                if len(self._parts) > PARTS_MAX:
                    self._parts.popitem(last=False)
            # It is to learn of the end of its job.
            buffer.reporters.add(found)
            return found

    def __reduce__(self) -> tuple[Any, ...]:
        from .client import shared_ledger, unusable

        if self.configuration is not None:
            return shared_ledger, (share(self), self.configuration)
        return (unusable, (self.problem,)) if self.problem is not None else (Ledger, (None, None))


# The clients whose jobs and executions were pickled by this process or by an ancestor, by identity.
shared: weakref.WeakValueDictionary[str, Ledger] = weakref.WeakValueDictionary()


def share(ledger: Ledger) -> str:
    """Returns the identity of a client, by which this process finds it when it unpickles its jobs."""
    if ledger.identity is None:
        ledger.identity = new_name()
        shared[ledger.identity] = ledger
    return ledger.identity


class JobBase:
    """The operations of a job that do not wait for the ledger."""

    def __init__(self, ledger: Ledger, id: str, snapshot: Snapshot | None = None) -> None:
        self._ledger = ledger
        self._id = id
        self._buffer = ledger.buffer(id)
        self._known: Snapshot | None = None
        self._clock = ServerClock()
        if snapshot is not None:
            self._remember(snapshot)

    @property
    def id(self) -> str:
        """The id assigned by the ledger."""
        return self._id

    @property
    def page(self) -> str | None:
        """The URL of the job's page, to open in a browser; None without a ledger."""
        requester = self._ledger.requester
        return None if requester is None else f"{requester.transport.server.url.rstrip('/')}/jobs/{self._id}"

    def _remember(self, snapshot: Snapshot) -> Snapshot:
        """Keeps a snapshot that has just been read."""
        self._known = snapshot
        self._clock.set(snapshot.now)
        return snapshot

    def execution(
        self,
        task: str | None = None,
        attempt: SupportsIndex | None = None,
        *,
        execution: str | None = None,
        on_superseded: Callable[[Execution], Any] | None = None,
        on_job_ended: Callable[[Execution], Any] | None = None,
        unless_canceled: bool = True,
        link: str | None = None,
        error_messages: bool | None = None,
    ) -> Execution:
        """Returns a new execution of a task, a context for `with` and `async with`; see `Execution`.

        It makes no request.

        `task`: its name, 1 to 200 characters; by default the workflow engine's.
        `attempt`: its number, from 1 on. A higher attempt supersedes lower ones, whichever arrives first. By default
        the workflow engine's (`engines.detect`), unless `task` is given and the engine counts the starts of a
        process (Slurm, AWS Batch, Kubernetes); without an engine, the ledger numbers executions as their starts
        arrive. Use attempts from one source only, because those of two engines are not comparable.
        `execution`: its name, unique within the task; generated by default.
        `on_superseded`: called once, in a thread of its own, with the execution, when a newer one counts.
        `on_job_ended`: called in a thread of its own, with the execution, when the job has ended before it
        (`Execution.job_ended`): once for each end.
        `unless_canceled`: whether a canceled job refuses the execution, which then reports nothing; otherwise its start
        reopens the job.
        `link`: a URL with more information, such as the page or the log of the engine.
        `error_messages`: whether the message of a failure contains the text of the exception; by default
        `Settings.error_messages`.

        Without any of the first three, in a process that `Handle.variables` were passed to, it is the execution that
        they identify, if it belongs to this job: see `Handle.attach`.

        Never raises: if the task, the attempt or the name is invalid, all reports of the execution are dropped, counted
        in `Execution.stats` and logged once.
        """
        try:
            return self._attached_execution(task, attempt, execution) or self._make_execution(
                task, attempt, execution, on_superseded, on_job_ended, bool(unless_canceled), link, error_messages
            )
        except Exception as error:
            self._ledger.losses.log(
                "execution", "an execution of task %s cannot be reported: %s", describe(task), error
            )
            return lost(task if isinstance(task, str) else "unknown", self._ledger.losses)

    def _attached_execution(
        self, task: str | None, attempt: SupportsIndex | None, execution: str | None
    ) -> Execution | None:
        """The execution of this job that the environment identifies, if the caller identifies none."""
        is_identified = task is not None or attempt is not None or execution is not None
        if is_identified or not os.environ.get("PROGRESS_LEDGER_EXECUTION"):
            return None
        from .handle import Handle, attached

        handle = Handle.from_environment()
        return attached(self._ledger, handle) if handle is not None and handle.job == self._id else None

    def _make_execution(
        self,
        task: str | None,
        attempt: SupportsIndex | None,
        execution: str | None,
        on_superseded: Callable[[Execution], Any] | None,
        on_job_ended: Callable[[Execution], Any] | None,
        unless_canceled: bool,
        link: str | None,
        error_messages: bool | None,
    ) -> Execution:
        if self._ledger.is_lost:
            return lost(describe(task), self._ledger.losses)
        engine = engines.detect() if self._takes_engine(task, attempt) else None
        name = task if task is not None else (engine.task if engine else None)
        if name is None:
            raise InvalidValueError("no workflow engine provides a task name here; give one")
        name = values.task(name)
        number, source = values.attempt(attempt), None
        if number is None and engine is not None:
            number = engine.attempt if task is None else engine.attempt_of_code
            source = None if number is None else engine.engine
        shown = new_name() if execution is None else values.execution(execution)
        is_named = execution is not None
        reporter = None
        if self._buffer is not None:
            reporter = Reporter(
                self._buffer, name, shown, number, is_named=is_named, unless_canceled=unless_canceled,
                ledger=self._ledger,
            )  # fmt: skip
            self._ledger.register(reporter)
        made = Execution(
            self._ledger.sender, reporter, name, number, shown, source, on_superseded, self._ledger.losses,
            on_job_ended, error_messages,
        )  # fmt: skip
        if reporter is not None:
            reporter.link = notes.notes(None, link, made.drop_note).get("link")
        return made

    def _takes_engine(self, task: str | None, attempt: SupportsIndex | None) -> bool:
        sender = self._ledger.sender
        allows = sender is None or sender.settings.attempt_from_engine
        return allows and (task is None or attempt is None)

    def _begin_finish(self, outcome: str, message: str | None) -> bool:
        """Queues the end of the job.

        Returns False, and counts and logs a loss, if the outcome is invalid.
        """
        try:
            values.choice(outcome, "the outcome of a job", values.JOB_OUTCOMES)
        except InvalidValueError as error:
            self._ledger.drop("job end", f"the end of job {self._id} is dropped: {error}")
            return False
        if self._ledger.is_lost:
            self._ledger.drop()
            return False
        if self._ledger.sender is not None and self._buffer is not None:
            sender = self._ledger.sender
            found = notes.notes(message, None, functools.partial(sender.drop_note, None))
            sender.finish_job(self._buffer, outcome, found)
        return True

    def __repr__(self) -> str:
        if self._known is None:
            return f"<Job {self._id}>"
        return f"<Job {self._id} {self._known}>"


def empty_snapshot(name: str, key: str | None = None, tags: Mapping[str, str] | None = None) -> Snapshot:
    """The snapshot of a job without a ledger: running and empty."""
    from .answers import Snapshot, TaskCounts

    return Snapshot(NO_JOB, key, name, values.tags(tags), "running", 0, 0, None, None, None, None, TaskCounts(), ())


NO_JOB = "00000000-0000-0000-0000-000000000000"


def event_filters(
    task: str | None,
    execution: str | None,
    label: str | None,
    type: str | None,
    verdict: str | None,
    order: str,
) -> dict[str, Any]:
    """Returns the query of a search for events, in which an empty label selects the default indicator."""
    values.choice(order, "the order of events", ("asc", "desc"))
    return {
        "task": task, "execution": execution, "label": label, "type": type, "verdict": verdict, "order": order,
    }  # fmt: skip


def time_text(at: datetime | str | None) -> str | None:
    """Converts a time to the ledger's format."""
    if at is None or isinstance(at, str):
        return at
    if at.tzinfo is None:
        raise InvalidValueError(f"{at} has no time zone; use one with a zone, such as datetime.now(timezone.utc)")
    return at.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
