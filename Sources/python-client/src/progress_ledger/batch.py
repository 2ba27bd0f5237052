"""Events that are sent together."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from .counter import Event
from .heartbeats import Heartbeat
from .reporter import Reporter

if TYPE_CHECKING:
    from .report_buffer import JobReportBuffer

# The fields without which an event is still worth recording. Older ledgers refuse those that they do not know.
OPTIONAL_FIELDS = frozenset(("message", "link", "unit", "part", "carried"))


class Watermark(NamedTuple):
    """A position in the send queue of a job, up to which it is frozen or settled."""

    tickets: int = 0
    """The number of completed tickets: see `FlushTicket`."""
    ends: int = 0
    """The number of frozen ends of the job; an end is frozen when the queue is empty."""

    def covers(self, goal: Watermark) -> bool:
        return self.tickets >= goal.tickets and self.ends >= goal.ends


@dataclass(eq=False)
class Batch:
    """Events of one job that are sent together, and repeated unchanged."""

    job: JobReportBuffer
    entries: list[tuple[Event, Reporter | None]]
    watermark: Watermark | None = None
    """The position that the batch settles; None if another batch of the same ticket follows."""
    body: bytes = field(init=False)
    faults: int = 0
    tries: int = 0
    """The number of requests that sent it and may have recorded it."""
    awaits_verdicts: bool = False
    """Whether the last request asked for verdicts."""

    def __post_init__(self) -> None:
        events = [event for event, _ in self.entries]
        self.body = json.dumps(events, ensure_ascii=False, separators=(",", ":")).encode("utf-8")

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def conditional_reporters(self) -> set[Reporter]:
        """The executions that the batch starts, or may start, unless the job is canceled.

        Any event can start an execution, also the first one of a part or of a forked child: the start of the other
        process may have been refused. A repeated start is unconditional: it reopens nothing, and its refusal would end
        the reports of an execution.
        """
        return {
            owner
            for event, owner in self.entries
            if owner is not None
            and owner.unless_canceled
            and not isinstance(event, Heartbeat)
            and (not owner.is_known or event["type"] == "execution_started")
        }

    def without(self, fields: frozenset[str], indexes: frozenset[int] | None = None) -> Batch:
        """Returns the batch without these fields of all its events, or of those at some indexes.

        A part that is not sent needs another number. So no request may have recorded the batch.
        """
        entries = []
        for index, (event, reporter) in enumerate(self.entries):
            if fields.isdisjoint(event) or (indexes is not None and index not in indexes):
                entries.append((event, reporter))
                continue
            rest = {name: content for name, content in event.items() if name not in fields}
            if "part" in event and "part" in fields and reporter is not None:
                rest["report"] = reporter.number_without_part(self.job.buffer.numberings.lineage.path)
            entries.append((Heartbeat(rest) if isinstance(event, Heartbeat) else rest, reporter))
        return Batch(self.job, entries, self.watermark, tries=self.tries)
