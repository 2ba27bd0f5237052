"""The state of one execution in a reporting process: unsent reports, their numbers, and counts."""

from __future__ import annotations

import functools
import itertools
import random
import weakref
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Callable, Optional

from .counter import Counter, Event, Notes
from .settings import REPORT_MAX

if TYPE_CHECKING:
    from .jobs import Ledger
    from .report_buffer import JobReportBuffer

# After a fork, two processes that report for one execution must never use the same number. The process that started the
# execution has the first range of 2^33 numbers, its first child the second one, and so on for 2^19 children. Deeper
# descendants draw a random range from the upper half of all numbers: two overlap with a probability below 1 in 10^6.
RANGE = 2**33
RANGES = 2**19

# The number of ended executions with caller-given names whose numbering is kept, because the caller may use the name
# again. About 2 MB.
NAMED_EXECUTIONS_MAX = 10_000


class Lineage:
    """The descent of this process from the first one: the index of each fork."""

    def __init__(self) -> None:
        self.path: tuple[int, ...] = ()
        self._forks = 0

    def fork(self) -> None:
        """Counts a fork, in the parent before it happens."""
        self._forks += 1

    def descend(self) -> None:
        """Appends the fork index, in the child."""
        self.path += (self._forks,)
        self._forks = 0


process_lineage = Lineage()


def first_report(origin: tuple[int, ...], lineage: tuple[int, ...], draw: Callable[[int, int], int]) -> int:
    """Returns the first report number of a process for an execution.

    `lineage` is the fork index of each ancestor of the process; `origin` is the lineage of the process that started the
    execution.
    """
    descent = lineage[len(origin) :]
    if not descent:
        return 1
    if len(descent) == 1 and descent[0] < RANGES:
        return descent[0] * RANGE + 1
    return draw(RANGE * RANGES, REPORT_MAX - RANGE)


class Numbering:
    """The report numbers of one execution in this process.

    Takes no lock, because another thread may fork at any time.
    """

    __slots__ = ("__weakref__", "_is_random", "_numbers", "_origin", "_path")

    def __init__(self, origin: tuple[int, ...]) -> None:
        self._origin = self._path = origin
        self._is_random = False
        self._numbers = itertools.count(1)

    def become_random(self, path: tuple[int, ...]) -> None:
        """Continues in a random range, for a part whose ledger does not number parts separately.

        So do its forked children.
        """
        self._is_random = True
        self._begin(path)

    def _begin(self, path: tuple[int, ...]) -> None:
        draw = random.SystemRandom().randint
        self._path = path
        first = draw(RANGE * RANGES, REPORT_MAX - RANGE) if self._is_random else first_report(self._origin, path, draw)
        self._numbers = itertools.count(first)

    def take(self, path: tuple[int, ...]) -> int:
        """Returns the next number for the process with this lineage."""
        if self._path != path:
            self._begin(path)
        return next(self._numbers)


NumberingKey = tuple[str, str, str, Optional[str]]


class Numberings:
    """The numberings of this process, by execution.

    Objects, clients and contexts that report to the same named execution share one numbering: the ledger would discard
    a number that is used twice as a duplicate.
    """

    def __init__(self, lineage: Lineage) -> None:
        self.lineage = lineage
        self._all: weakref.WeakValueDictionary[NumberingKey, Numbering] = weakref.WeakValueDictionary()
        self._named: OrderedDict[NumberingKey, Numbering] = OrderedDict()

    def of(self, job: str, task: str, execution: str, part: str | None = None, *, is_named: bool) -> Numbering:
        """Returns the numbering of an execution, or of a part of it.

        If the caller named it, it is kept after its end.
        """
        key = (job, task, execution, part)
        found = self._all.get(key)
        if found is None:
            found = self._all.setdefault(key, Numbering(self.lineage.path))
        if is_named:
            self._named[key] = found
            if len(self._named) > NAMED_EXECUTIONS_MAX:
                self._named.popitem(last=False)
        return found


process_numberings = Numberings(process_lineage)


class ReportCounts:
    """Counts of reports by their fate."""

    __slots__ = ("delivered", "discarded", "dropped", "refused", "superseded", "taken")

    def __init__(self) -> None:
        self.taken = 0
        self.refused = 0
        self.delivered = 0
        self.superseded = 0
        self.discarded = 0
        self.dropped = 0

    def refuse(self) -> None:
        """Counts a refused call."""
        self.refused += 1
        self.dropped += 1


class FlushTicket:
    """The position of one execution in the send queue, with the counters to send.

    A ticket closes as soon as its counters are frozen; later reports open another ticket at the end of the queue.
    Therefore every execution gets its share even if others never stop reporting, and a flush can determine the reports
    before it.
    """

    __slots__ = ("counters", "reporter")

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter
        self.counters: deque[Counter] = deque()


class Reporter:
    """The reporting state of one execution in this process."""

    __slots__ = (
        "__weakref__",
        "_calls_told",
        "attempt",
        "counters",
        "counts",
        "ended_at",
        "entries",
        "execution",
        "in_flight",
        "is_known",
        "is_open",
        "is_refused",
        "is_superseded",
        "job",
        "job_ended",
        "ledger",
        "link",
        "needs_heartbeat",
        "needs_start",
        "notes",
        "numbering",
        "on_job_ended",
        "on_superseded",
        "outcome",
        "part",
        "task",
        "ticket",
        "tickets",
        "unless_canceled",
    )  # fmt: skip

    def __init__(
        self,
        job: JobReportBuffer,
        task: str,
        execution: str,
        attempt: int | None,
        *,
        is_named: bool = False,
        unless_canceled: bool = True,
        link: str | None = None,
        part: str | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        # The parts of the client, for handles.
        self.ledger = ledger
        self.job = job
        self.task = task
        self.execution = execution
        self.attempt = attempt
        # The name of this process within the execution, if another one has started it.
        self.part = part
        # The link of the start, and the notes of the end.
        self.link = link
        self.notes: Notes = {}
        self.counters: dict[str | None, Counter] = {}
        self.needs_start = False
        self.needs_heartbeat = False
        # Whether the ledger has recorded an event of it that this process or its ancestor has sent.
        self.is_known = False
        # Whether this process has started the execution and not ended it.
        self.is_open = False
        self.outcome: str | None = None
        # The time of its end, or of the last report after it; None while it is open.
        self.ended_at: float | None = None
        # The number of contexts of an execution of another process that are open in this one.
        self.entries = 0
        self.in_flight = 0
        # The open ticket, and the number of unsettled tickets.
        self.ticket: FlushTicket | None = None
        self.tickets = 0
        self.numbering = job.buffer.numberings.of(job.job, task, execution, part, is_named=is_named)
        self.counts = ReportCounts()
        self._calls_told = 0
        self.is_superseded = False
        self.on_superseded: Callable[[], None] | None = None
        self.unless_canceled = unless_canceled
        # Whether a canceled job has refused its start, or the first report of its part.
        self.is_refused = False
        # The state in which the job has ended; None while it is running.
        self.job_ended: str | None = None
        self.on_job_ended: Callable[[str], None] | None = None

    def counter(self, label: str | None) -> Counter:
        """Returns the counter of a label."""
        return self.counters.setdefault(label, Counter(label))

    def clear_unsent(self) -> None:
        """Forgets everything unsent in a forked child, because the parent sends it."""
        self.in_flight = self.tickets = 0
        self.ticket = self.outcome = None
        self.needs_start = self.needs_heartbeat = False
        for counter in self.counters.values():
            # The parent sends them, so they are part of the position of the child.
            counter.frozen_total, counter.frozen_done = counter.declared, counter.position
            counter.clear()

    @property
    def is_lost(self) -> bool:
        """Whether nothing of it will ever be recorded."""
        return self.is_refused or self.job.is_unknown

    @property
    def is_settled(self) -> bool:
        """Whether nothing is queued or in flight."""
        return self.tickets == 0 and self.in_flight == 0

    @property
    def waiting(self) -> int:
        """The number of events in flight and of events not made yet."""
        counters = sum(counter.is_waiting for counter in self.counters.values())
        return self.in_flight + counters + self.needs_start + (self.outcome is not None)

    def become_superseded(self) -> list[Callable[[], None]]:
        """Marks the execution as superseded, and returns its callbacks the first time."""
        if self.is_superseded or self.on_superseded is None:
            self.is_superseded = True
            return []
        self.is_superseded = True
        return [self.on_superseded]

    def job_has_state(self, state: str | None) -> list[Callable[[], None]]:
        """Records the state of the job in a response, and returns the callbacks of a new end.

        None changes nothing.
        """
        ended = None if state == "running" else state
        if state is None or ended == self.job_ended:
            return []
        self.job_ended = ended
        if ended is None or self.on_job_ended is None:
            return []
        return [functools.partial(self.on_job_ended, ended)]

    def number_without_part(self, path: tuple[int, ...]) -> int:
        """Returns a number that is unique in the whole execution, and the same kind of numbers from now on."""
        if self.part is not None:
            self.part = None
            self.numbering.become_random(path)
        return self.numbering.take(path)

    def take_calls(self) -> int:
        """Returns the number of `add` and `done` calls since the last call of this method."""
        told, self._calls_told = self._calls_told, self.counts.taken
        return self.counts.taken - told

    def event(self, type: str) -> Event:
        event: Event = {"type": type, "task": self.task, "execution": self.execution}
        if self.attempt is not None:
            event["attempt"] = self.attempt
        if self.part is not None and type == "progress":
            event["part"] = self.part
        return event

    def start_event(self) -> Event:
        """The start of the execution, with its link."""
        event = self.event("execution_started")
        if self.link is not None:
            event["link"] = self.link
        return event

    def end_event(self) -> Event:
        """The end of the execution."""
        event = self.event("execution_finished")
        event["outcome"] = self.outcome
        event.update(self.notes)
        return event
