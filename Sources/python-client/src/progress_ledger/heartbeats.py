"""Repeated starts, which show that open executions live."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from typing import Any

from .counter import Event
from .reporter import Reporter


class Heartbeat(dict[str, Any]):
    """A repeated start.

    It is no report: nothing counts it, and it is not sent after the end of the execution.
    """


class Heartbeats:
    """The times at which open executions repeat their starts.

    An execution that is not referenced any more, and was not ended, is forgotten.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        # Ascending, because each execution is moved to the end when its time is set.
        self._times: dict[weakref.ref[Reporter], float] = {}

    @property
    def next_due(self) -> float | None:
        """The time of the next one; None without open executions."""
        return next(iter(self._times.values()), None)

    def clear(self) -> None:
        """Forgets all executions."""
        self._times.clear()

    def schedule(self, reporter: Reporter, now: float) -> None:
        """Sets the time of an execution whose events were settled now."""
        key = weakref.ref(reporter)
        self._times.pop(key, None)
        if _repeats_start(reporter):
            self._times[key] = now + self._interval

    def take(self, now: float) -> Iterator[Reporter]:
        """Removes and returns the executions that repeat their starts now."""
        while (due := self.next_due) is not None and due <= now:
            key = next(iter(self._times))
            del self._times[key]
            reporter = key()
            if reporter is None or not _repeats_start(reporter) or reporter.is_lost:
                continue
            # The settlement of unsent reports schedules the next one.
            if reporter.is_settled:
                yield reporter


def _repeats_start(reporter: Reporter) -> bool:
    """Whether an execution shows that it lives: if it is superseded or its job has ended, no caller asks."""
    return reporter.is_open and not reporter.is_superseded and reporter.job_ended is None


def report_count(entries: Iterable[tuple[Event, Reporter | None]]) -> int:
    """The number of events that are no heartbeats."""
    return sum(not isinstance(event, Heartbeat) for event, _ in entries)


def is_wanted(event: Event, owner: Reporter | None, latest: float) -> bool:
    """Whether an event is still to be sent; `latest` is the end of an execution before which it is not."""
    if owner is None:
        return True
    if isinstance(event, Heartbeat):
        return owner.is_open
    return owner.ended_at is None or owner.ended_at > latest
