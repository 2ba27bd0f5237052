"""The indicators to which a task reports its total and its progress."""

from __future__ import annotations

from typing import TYPE_CHECKING, SupportsIndex

from . import values
from .reporter import Counter, Reporter
from .sender import Sender
from .settings import INCREMENT_MAX

if TYPE_CHECKING:
    from .execution import Execution


class Progress:
    """An indicator of a job, for the reports of one execution.

    `add` and `done` take increments, integers from 0 to 2^53 − 1. They return at once and never raise: a call costs
    about half a microsecond (a lock and an addition) and never waits for the ledger. An invalid value is dropped,
    counted in `stats.dropped` and logged once. Any number of threads may call them.
    """

    __slots__ = ("_counter", "_counts", "_label", "_lock", "_reporter", "_sender")

    def __init__(self, label: str | None, sender: Sender, reporter: Reporter, counter: Counter) -> None:
        self._label = label
        self._sender = sender
        self._lock = sender.lock
        self._reporter = reporter
        self._counter = counter
        self._counts = reporter.counts

    @property
    def label(self) -> str | None:
        """The indicator's label; None is the job's default indicator."""
        return self._label

    def add(self, n: SupportsIndex) -> None:
        """Declares `n` more units of work; 0 only declares the indicator."""
        # The usual case is first, because tasks call this millions of times.
        if type(n) is not int or not 0 <= n <= INCREMENT_MAX:
            checked = self._checked(n)
            if checked is None:
                return
            n = checked
        counter = self._counter
        with self._lock:
            counter.total += n
            self._counts.taken += 1
            if not counter.is_waiting:
                self._sender.enqueue(self._reporter, counter)

    def done(self, n: SupportsIndex = 1) -> None:
        """Reports `n` more finished units."""
        if type(n) is not int or not 0 <= n <= INCREMENT_MAX:
            checked = self._checked(n)
            if checked is None:
                return
            n = checked
        counter = self._counter
        with self._lock:
            counter.done += n
            self._counts.taken += 1
            if not counter.is_waiting:
                self._sender.enqueue(self._reporter, counter)

    def _checked(self, n: object) -> int | None:
        """Returns the increment as an `int`, or None, and counts a loss, if it is invalid."""
        try:
            return values.increment(n)  # type: ignore[arg-type]
        except Exception as error:
            self._sender.drop(self._reporter, "increment", f"a report is dropped: {error}")
            return None

    def __repr__(self) -> str:
        return f"<Progress {self._label!r}>"


class SilentProgress(Progress):
    """An indicator of an execution without a ledger, which checks increments and sends nothing."""

    __slots__ = ("_execution",)

    def __init__(self, label: str | None, execution: Execution) -> None:
        self._label = label
        self._execution = execution

    def add(self, n: SupportsIndex) -> None:
        self._checked(n)

    def done(self, n: SupportsIndex = 1) -> None:
        self._checked(n)

    def _checked(self, n: object) -> int | None:
        try:
            return values.increment(n)  # type: ignore[arg-type]
        except Exception as error:
            self._execution.drop("increment", f"a report is dropped: {error}")
            return None


class DroppedProgress(Progress):
    """An indicator that cannot be reported, for example because of its label; counts every report as dropped."""

    __slots__ = ("_execution",)

    def __init__(self, label: str | None, execution: Execution) -> None:
        self._label = label
        self._execution = execution

    def add(self, n: SupportsIndex) -> None:
        self._execution.drop()

    def done(self, n: SupportsIndex = 1) -> None:
        self._execution.drop()
