"""One execution as a process reports for it: what waits, how reports are numbered, what became of them."""

from __future__ import annotations

import random
from collections import deque
from typing import TYPE_CHECKING, Any, Callable

from .settings import REPORT_MAX

if TYPE_CHECKING:
    from .outbox import JobOutbox

# Processes that report for the same execution after a fork must never use the same number. The process that started the
# execution has the first range of 2^33 numbers, its first child the second one, and so on for 2^19 children; a child's
# child draws its numbers from the upper half of all, where a range that meets another is less likely than 1 in 10^6.
RANGE = 2**33
RANGES = 2**19

Event = dict[str, Any]


def first_report(origin: tuple[int, ...], lineage: tuple[int, ...], draw: Callable[[int, int], int]) -> int:
    """The first number of a process's reports for an execution.

    `lineage` is how the process descends from the first one: the how-manieth fork of each ancestor. `origin` is that of
    the process that started the execution.
    """
    descent = lineage[len(origin) :]
    if not descent:
        return 1
    if len(descent) == 1 and descent[0] < RANGES:
        return descent[0] * RANGE + 1
    return draw(RANGE * RANGES, REPORT_MAX - RANGE)


class Tally:
    """What became of reports, counted."""

    __slots__ = ("calls", "dropped", "recorded", "superseded")

    def __init__(self) -> None:
        self.calls = 0
        self.recorded = 0
        self.superseded = 0
        self.dropped = 0


class Counter:
    """What was reported of one label of one execution and is not frozen yet."""

    __slots__ = ("done", "is_waiting", "label", "total")

    def __init__(self, label: str | None) -> None:
        self.label = label
        self.total = 0
        self.done = 0
        self.is_waiting = False


class Turn:
    """What an execution has to say when its turn comes. Nothing is added once that has begun.

    So everybody's turn comes, also where nobody ever rests, and what was reported before is told from what came after.
    """

    __slots__ = ("counters", "reporter")

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter
        self.counters: deque[Counter] = deque()


class Reporter:
    """One execution as this process reports for it."""

    __slots__ = (
        "_calls_told",
        "attempt",
        "counters",
        "execution",
        "in_flight",
        "is_superseded",
        "job",
        "lineage",
        "needs_start",
        "next_report",
        "on_superseded",
        "origin",
        "outcome",
        "tally",
        "task",
        "turn",
        "turns",
    )  # fmt: skip

    def __init__(self, job: JobOutbox, task: str, execution: str, attempt: int | None) -> None:
        self.job = job
        self.task = task
        self.execution = execution
        self.attempt = attempt
        self.counters: dict[str | None, Counter] = {}
        self.needs_start = False
        self.outcome: str | None = None
        self.in_flight = 0
        # The turn in which what is reported now is sent, and how many of its turns are not over.
        self.turn: Turn | None = None
        self.turns = 0
        self.origin = self.lineage = job.outbox.lineage
        self.next_report = 1
        self.tally = Tally()
        self._calls_told = 0
        self.is_superseded = False
        self.on_superseded: Callable[[], None] | None = None

    @property
    def is_settled(self) -> bool:
        """Whether nothing of it waits or is on its way."""
        return self.turns == 0 and self.in_flight == 0

    @property
    def waiting(self) -> int:
        """Events that are on their way or still to be made."""
        counters = sum(counter.is_waiting for counter in self.counters.values())
        return self.in_flight + counters + self.needs_start + (self.outcome is not None)

    def take_report(self, lineage: tuple[int, ...]) -> int:
        if self.lineage != lineage:
            self.lineage = lineage
            self.next_report = first_report(self.origin, lineage, random.SystemRandom().randint)
        number = self.next_report
        self.next_report += 1
        return number

    def become_superseded(self) -> list[Callable[[], None]]:
        """Notes that a newer execution counts. Returns whom to tell: each is told once."""
        if self.is_superseded or self.on_superseded is None:
            self.is_superseded = True
            return []
        self.is_superseded = True
        return [self.on_superseded]

    def take_calls(self) -> int:
        """The calls since this was asked last."""
        told, self._calls_told = self._calls_told, self.tally.calls
        return self.tally.calls - told

    def event(self, type: str) -> Event:
        event: Event = {"type": type, "task": self.task, "execution": self.execution}
        if self.attempt is not None:
            event["attempt"] = self.attempt
        return event
