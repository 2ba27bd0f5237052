"""One execution as a process reports for it: what waits, how reports are numbered, what became of them."""

from __future__ import annotations

import itertools
import random
import weakref
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Callable

from .settings import REPORT_MAX

if TYPE_CHECKING:
    from .outbox import JobOutbox

# Processes that report for the same execution after a fork must never use the same number. The process that started the
# execution has the first range of 2^33 numbers, its first child the second one, and so on for 2^19 children; a child's
# child draws its numbers from the upper half of all, where a range that meets another is less likely than 1 in 10^6.
RANGE = 2**33
RANGES = 2**19

# Executions named by the caller whose numbers are remembered after they have ended, because the name may come again.
# Some 2 MB.
NAMED_EXECUTIONS_MAX = 10_000

Event = dict[str, Any]


class Lineage:
    """How this process descends from the first one: the index of each fork on the way."""

    def __init__(self) -> None:
        self.path: tuple[int, ...] = ()
        self._forks = 0

    def fork(self) -> None:
        """In the parent, before it forks: so that the child knows its index."""
        self._forks += 1

    def descend(self) -> None:
        """In the child."""
        self.path += (self._forks,)
        self._forks = 0


process_lineage = Lineage()


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


class Numbering:
    """The report numbers of one execution in this process. Takes no lock: a fork may come at any time."""

    __slots__ = ("__weakref__", "_numbers", "_origin", "_path")

    def __init__(self, origin: tuple[int, ...]) -> None:
        self._origin = self._path = origin
        self._numbers = itertools.count(1)

    def take(self, path: tuple[int, ...]) -> int:
        """The next number for the process of this lineage."""
        if self._path != path:
            self._path = path
            self._numbers = itertools.count(first_report(self._origin, path, random.SystemRandom().randint))
        return next(self._numbers)


class Numberings:
    """The numberings of this process, by execution.

    Two objects, clients or contexts that report for the same execution by its name share one: a number that is used
    twice is a duplicate to the ledger, which counts it once.
    """

    def __init__(self, lineage: Lineage) -> None:
        self.lineage = lineage
        self._all: weakref.WeakValueDictionary[tuple[str, str, str], Numbering] = weakref.WeakValueDictionary()
        self._named: OrderedDict[tuple[str, str, str], Numbering] = OrderedDict()

    def of(self, job: str, task: str, execution: str, *, is_named: bool) -> Numbering:
        """The numbering of an execution. That of one named by the caller is kept when it has ended."""
        key = (job, task, execution)
        found = self._all.get(key)
        if found is None:
            found = self._all.setdefault(key, Numbering(self.lineage.path))
        if is_named:
            self._named[key] = found
            if len(self._named) > NAMED_EXECUTIONS_MAX:
                self._named.popitem(last=False)
        return found


process_numberings = Numberings(process_lineage)


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
        "__weakref__",
        "_calls_told",
        "attempt",
        "counters",
        "execution",
        "in_flight",
        "is_superseded",
        "job",
        "needs_start",
        "numbering",
        "on_superseded",
        "outcome",
        "tally",
        "task",
        "turn",
        "turns",
    )  # fmt: skip

    def __init__(
        self, job: JobOutbox, task: str, execution: str, attempt: int | None, *, is_named: bool = False
    ) -> None:
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
        self.numbering = job.outbox.numberings.of(job.job, task, execution, is_named=is_named)
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
