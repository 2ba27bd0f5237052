"""Where a task says what there is to do and what is done."""

from __future__ import annotations

from typing import SupportsIndex

from . import values
from .reporter import Counter, Reporter
from .sender import Sender
from .settings import INCREMENT_MAX


class Progress:
    """One indicator of a job, as one execution reports to it.

    `add` and `done` take increments, from 0 to 2^53 − 1, and refuse everything else with `InvalidValueError`. They
    return at once: a call costs about half a microsecond, a lock and an addition, and never waits for the ledger. Any
    number of threads may call them.
    """

    __slots__ = ("_counter", "_label", "_lock", "_reporter", "_sender", "_tally")

    def __init__(self, label: str | None, sender: Sender, reporter: Reporter, counter: Counter) -> None:
        self._label = label
        self._sender = sender
        self._lock = sender.lock
        self._reporter = reporter
        self._counter = counter
        self._tally = reporter.tally

    @property
    def label(self) -> str | None:
        """The indicator's label; None is the job's default indicator."""
        return self._label

    def add(self, n: SupportsIndex) -> None:
        """Declares `n` more units of work. 0 makes the indicator known."""
        # The usual case first: this is the path that tasks take millions of times.
        if type(n) is not int or not 0 <= n <= INCREMENT_MAX:
            n = values.increment(n)
        counter = self._counter
        with self._lock:
            counter.total += n
            self._tally.calls += 1
            if not counter.is_waiting:
                self._sender.note(self._reporter, counter)

    def done(self, n: SupportsIndex = 1) -> None:
        """Reports `n` more units done."""
        if type(n) is not int or not 0 <= n <= INCREMENT_MAX:
            n = values.increment(n)
        counter = self._counter
        with self._lock:
            counter.done += n
            self._tally.calls += 1
            if not counter.is_waiting:
                self._sender.note(self._reporter, counter)

    def __repr__(self) -> str:
        return f"<Progress {self._label!r}>"


class SilentProgress(Progress):
    """An indicator of no job: refuses what the other refuses, and reports to nobody."""

    __slots__ = ()

    def __init__(self, label: str | None) -> None:
        self._label = label

    def add(self, n: SupportsIndex) -> None:
        values.increment(n)

    def done(self, n: SupportsIndex = 1) -> None:
        values.increment(n)
