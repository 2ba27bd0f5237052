"""What both kinds of client do with jobs: everything that does not wait for an answer."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, Callable, SupportsIndex

from . import engines, values
from .answers import Snapshot, TaskCounts
from .clock import ServerClock
from .errors import InvalidValueError
from .execution import Execution, lost, new_name
from .losses import LossLog, describe
from .outbox import JobOutbox
from .reporter import Reporter
from .requester import Requester
from .sender import Sender


class Ledger:
    """What a client consists of. Without a URL, `requester` and `sender` are None and nothing is reported.

    `is_lost` tells that something is configured and cannot be used: then reports are dropped and counted.
    """

    def __init__(
        self,
        requester: Requester | None,
        sender: Sender | None,
        *,
        losses: LossLog | None = None,
        is_lost: bool = False,
    ) -> None:
        self.requester = requester
        self.sender = sender
        self.losses = losses or (sender.losses if sender is not None else LossLog())
        self.is_lost = is_lost
        # Without a sender, which counts otherwise.
        self.dropped = 0
        # One outbox for each job that somebody holds on to; the order of its events is kept in it.
        self._outboxes: weakref.WeakValueDictionary[str, JobOutbox] = weakref.WeakValueDictionary()

    def drop(self, kind: str | None = None, message: str = "") -> None:
        """Counts a report that cannot be sent and belongs to no execution; logs the first one of its kind."""
        if self.sender is not None:
            self.sender.drop(None, kind, message)
            return
        self.dropped += 1
        if kind is not None:
            self.losses.log(kind, "%s", message)

    def outbox(self, job: str) -> JobOutbox | None:
        """Where reports for a job wait."""
        if self.sender is None:
            return None
        with self.sender.lock:
            found = self._outboxes.get(job)
            if found is None:
                found = self._outboxes[job] = JobOutbox(self.sender.outbox, job)
            return found


class JobBase:
    """What is known of a job, and what can be said of it, without waiting for the ledger."""

    def __init__(self, ledger: Ledger, id: str, snapshot: Snapshot | None = None) -> None:
        self._ledger = ledger
        self._id = id
        self._outbox = ledger.outbox(id)
        self._known: Snapshot | None = None
        self._clock = ServerClock()
        if snapshot is not None:
            self._remember(snapshot)

    @property
    def id(self) -> str:
        """The id that the ledger gave it."""
        return self._id

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
    ) -> Execution:
        """A new run of a task: a context for `with` and `async with`, see `Execution`. Makes no request.

        `task`: its name, 1 to 200 characters; what the workflow engine calls it unless told.
        `attempt`: which run of the task it is, from 1 on; a higher one supersedes the lower ones, whatever comes first.
        Unless told it is the workflow engine's (`engines.detect`), and where there is none the ledger numbers the run
        when its start arrives. Give attempts of one kind only: those of one engine grow, those of two do not compare.
        `execution`: its name, unique within the task; made up unless told.
        `on_superseded`: called once, in another thread, with the execution, when the ledger says that a newer one
        counts.

        Never raises: of an execution whose task, attempt or name is wrong, all reports are dropped, counted in
        `Execution.stats` and logged once.
        """
        try:
            return self._make_execution(task, attempt, execution, on_superseded)
        except Exception as error:
            self._ledger.losses.log(
                "execution", "an execution of task %s cannot be reported: %s", describe(task), error
            )
            return lost(task if isinstance(task, str) else "unknown", self._ledger.losses)

    def _make_execution(
        self,
        task: str | None,
        attempt: SupportsIndex | None,
        execution: str | None,
        on_superseded: Callable[[Execution], Any] | None,
    ) -> Execution:
        if self._ledger.is_lost:
            return lost(describe(task), self._ledger.losses)
        engine = engines.detect() if self._takes_engine(task, attempt) else None
        name = task if task is not None else (engine.task if engine else None)
        if name is None:
            raise InvalidValueError("no workflow engine names a task here: give the task's name")
        name = values.task(name)
        if task is None and engine is not None and engine.engine == "Airflow":
            self._warn_if_mapped(name)
        number, source = values.attempt(attempt), None
        if number is None and engine is not None and engine.attempt is not None:
            number, source = engine.attempt, engine.engine
        shown = new_name() if execution is None else values.execution(execution)
        is_named = execution is not None
        reporter = None
        if self._outbox is not None:
            reporter = Reporter(self._outbox, name, shown, number, is_named=is_named)
        return Execution(self._ledger.sender, reporter, name, number, shown, source, on_superseded, self._ledger.losses)

    def _warn_if_mapped(self, name: str) -> None:
        index = engines.airflow_map_index()
        if index is not None:
            self._ledger.losses.log(
                "mapped",
                "Airflow task %s is mapped (map_index %d): its instances share one name, so that only the last one "
                "counts; give each a task name of its own",
                name, index, level=logging.WARNING,
            )  # fmt: skip

    def _takes_engine(self, task: str | None, attempt: SupportsIndex | None) -> bool:
        sender = self._ledger.sender
        allows = sender is None or sender.settings.attempt_from_engine
        return allows and (task is None or attempt is None)

    def _begin_finish(self, outcome: str) -> bool:
        """Has the end of the job sent. Returns False, and counts and logs it, if there is no such outcome."""
        try:
            values.choice(outcome, "the outcome of a job", values.JOB_OUTCOMES)
        except InvalidValueError as error:
            self._ledger.drop("job end", f"the end of job {self._id} is dropped: {error}")
            return False
        if self._ledger.is_lost:
            self._ledger.drop()
            return False
        if self._ledger.sender is not None and self._outbox is not None:
            self._ledger.sender.finish_job(self._outbox, outcome)
        return True

    def __repr__(self) -> str:
        if self._known is None:
            return f"<Job {self._id}>"
        return f"<Job {self._id} {self._known}>"


def nobody(name: str, key: str | None = None, tags: Mapping[str, str] | None = None) -> Snapshot:
    """The snapshot of a job of a client that has no ledger: it runs, and nothing is known of it."""
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
    """The query of a search through events. Here an empty label asks for the default indicator."""
    values.choice(order, "the order of events", ("asc", "desc"))
    return {
        "task": task, "execution": execution, "label": label, "type": type, "verdict": verdict, "order": order,
    }  # fmt: skip


def time_text(at: datetime | str | None) -> str | None:
    """A time as the ledger reads it."""
    if at is None or isinstance(at, str):
        return at
    if at.tzinfo is None:
        raise InvalidValueError(f"{at} has no time zone; datetime.now(timezone.utc) has one, for example")
    return at.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
