"""The reports of a process that the ledger has not recorded yet.

It sends nothing, reads no clock and takes no lock.

The rule that keeps totals exact: reports are **frozen** before they are sent. A frozen batch keeps its report numbers
and its bytes. While its outcome is unknown it is repeated unchanged, and new increments gather for the next batch.
Therefore the ledger recognizes a report that it already has by its number and its equal content, and counts it once.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterable
from math import inf
from typing import TYPE_CHECKING, Callable

from .batch import OPTIONAL_FIELDS, Batch, Watermark
from .counter import Counter, Event, Notes
from .heartbeats import Heartbeat, Heartbeats, is_wanted, report_count
from .reporter import FlushTicket, Numberings, ReportCounts, Reporter, process_numberings
from .settings import Settings

if TYPE_CHECKING:
    from .transport import Transport


class JobReportBuffer:
    """The unsent reports of one job."""

    def __init__(self, buffer: ReportBuffer, job: str) -> None:
        self.buffer = buffer
        self.job = job
        # The key, the name and the tags by which another process finds the job; None if it needs its id.
        self.origin: tuple[str, str, dict[str, str]] | None = None
        # The time before which the ledger is not asked for its id again.
        self.unknown_until = 0.0
        self.queue: deque[FlushTicket] = deque()
        self.frozen: deque[Batch] = deque()
        self.outcome: str | None = None
        self.notes: Notes = {}
        self.due: float | None = None
        self.last_sequence = 0
        self.is_unknown = False
        self.is_end_lost = False
        self.taken = Watermark()
        self.settled = Watermark()
        # The executions to tell of the end of the job.
        self.reporters: weakref.WeakSet[Reporter] = weakref.WeakSet()

    def identify(self, transport: Transport, seconds: float) -> str:
        """Returns the job's id, for one request within `seconds`.

        A subclass may need a request to find it, and raises `ExchangeError` if that fails.
        """
        return self.job

    @property
    def is_settled(self) -> bool:
        return not self.frozen and not self.queue and self.outcome is None

    @property
    def goal(self) -> Watermark:
        """The position at which everything reported so far is settled: see `has_settled`."""
        return Watermark(self.taken.tickets + len(self.queue), self.taken.ends + (self.outcome is not None))

    def has_settled(self, goal: Watermark) -> bool:
        """Whether everything reported before this goal is recorded or dropped."""
        return self.is_settled or self.settled.covers(goal)

    def has_state(self, state: str | None) -> list[Callable[[], None]]:
        """Tells the executions of the job's state in a response, and returns their callbacks."""
        callbacks: list[Callable[[], None]] = []
        for reporter in list(self.reporters):
            if not reporter.needs_start:
                callbacks += reporter.job_has_state(state)
            if reporter.ended_at is not None and reporter.is_settled:
                self.reporters.discard(reporter)
        return callbacks

    def settle(self, batch: Batch) -> None:
        """Advances the settled position past a batch."""
        if batch.watermark is not None:
            self.settled = batch.watermark


def _due(job: JobReportBuffer) -> float:
    """The time at which the reports of a job are due."""
    return -inf if job.frozen or job.due is None else job.due


class ReportBuffer:
    """The unsent reports of one client. The caller holds one lock around every call."""

    def __init__(self, settings: Settings, numberings: Numberings = process_numberings) -> None:
        self.numberings = numberings
        self._settings = settings
        self._active: dict[JobReportBuffer, None] = {}
        self.heartbeats = Heartbeats(settings.heartbeat_seconds)
        self.counts = ReportCounts()
        self.size = 0
        self.expired = 0
        """The number of events that were given up some time after the end of their execution."""
        self.batch_size_max = settings.events_per_request_max
        """The most events in a batch, which is smaller after the ledger or a proxy refused a larger one."""
        self.known_fields: frozenset[str] = frozenset()
        """The optional fields that the ledger has recorded before."""
        self.unknown_fields: frozenset[str] = frozenset()
        """The optional fields that the ledger does not know: it is an older one."""

    @property
    def is_settled(self) -> bool:
        return not self._active

    @property
    def waiting(self) -> int:
        """The number of events in flight and of events not made yet. Costs a pass over the queue."""
        frozen = sum(report_count(batch.entries) for job in self._active for batch in job.frozen)
        reporters = {ticket.reporter for job in self._active for ticket in job.queue}
        made_of = sum(reporter.waiting - reporter.in_flight for reporter in reporters)
        return frozen + made_of + sum(job.outcome is not None for job in self._active)

    # Reporting

    def start(self, reporter: Reporter, now: float) -> bool:
        """Queues the start of an execution.

        Returns False, and counts it as dropped, if the buffer is full.
        """
        if self.size >= self._settings.buffered_max or reporter.is_lost:
            self.drop(reporter)
            return False
        reporter.job.reporters.add(reporter)
        reporter.needs_start = True
        reporter.is_open = True
        reporter.ended_at = None
        self._touch(reporter, now)
        return True

    def enqueue(self, reporter: Reporter, counter: Counter, now: float) -> bool:
        """Queues a counter.

        Returns False, and drops its increments, if the buffer is full.
        """
        if self.size >= self._settings.buffered_max or reporter.is_lost:
            counter.clear()
            self.drop(reporter)
            return False
        counter.is_waiting = True
        if reporter.ended_at is not None:
            # Another object of the execution, or a forked child, still reports.
            reporter.ended_at = now
        self.size += 1
        self._touch(reporter, now + self._settings.report_seconds).counters.append(counter)
        return True

    def finish(self, reporter: Reporter, outcome: str, now: float, notes: Notes | None = None) -> None:
        """Queues the end of an execution."""
        reporter.is_open = False
        reporter.needs_heartbeat = False
        if reporter.is_lost:
            self.drop(reporter)
            return
        reporter.outcome = outcome
        reporter.notes = notes or {}
        reporter.ended_at = now
        self._touch(reporter, now)

    def leave(self, reporter: Reporter, now: float) -> None:
        """Ends an execution in this process without an outcome."""
        reporter.is_open = False
        reporter.needs_heartbeat = False
        reporter.ended_at = now
        self.expedite(reporter.job, now)

    def finish_job(self, job: JobReportBuffer, outcome: str, now: float, notes: Notes | None = None) -> None:
        """Queues the end of a job, after everything reported for it before."""
        job.outcome = outcome
        job.notes = notes or {}
        job.is_end_lost = False
        self._activate(job, now)

    def active(self) -> list[JobReportBuffer]:
        """The jobs with unsent reports."""
        return list(self._active)

    def expedite(self, job: JobReportBuffer, now: float) -> None:
        """Makes the unsent reports of a job due now."""
        if job.queue or job.outcome is not None:
            job.due = now

    def refuse(self, reporter: Reporter | None) -> None:
        """Counts a refused call."""
        if reporter is not None:
            reporter.counts.refuse()
        self.counts.refuse()

    def discard(self, reporter: Reporter | None) -> None:
        """Counts a recorded event that will never count. It must be dropped too."""
        if reporter is not None:
            reporter.counts.discarded += 1
        self.counts.discarded += 1

    def drop(self, reporter: Reporter | None) -> None:
        """Counts a report that is lost."""
        if reporter is not None:
            reporter.counts.dropped += 1
        self.counts.dropped += 1

    def _give_up(self, job: JobReportBuffer, event: Event, reporter: Reporter | None) -> None:
        """Drops an event of an execution, or the end of the job."""
        if isinstance(event, Heartbeat):
            return
        if reporter is not None:
            reporter.in_flight -= 1
            self.drop(reporter)
        else:
            job.is_end_lost = True
            self.counts.dropped += 1

    def _touch(self, reporter: Reporter, due: float) -> FlushTicket:
        """Makes an execution due at this time or earlier, and returns its open ticket."""
        ticket = reporter.ticket
        if ticket is None:
            ticket = reporter.ticket = FlushTicket(reporter)
            reporter.tickets += 1
            reporter.job.queue.append(ticket)
            self.size += 1
        self._activate(reporter.job, due)
        return ticket

    def _activate(self, job: JobReportBuffer, due: float) -> None:
        self._active[job] = None
        if job.due is None or due < job.due:
            job.due = due

    # Sending

    def next_due(self) -> float | None:
        """The time of the next batch; None if nothing is unsent and no execution is open.

        Frozen batches are always due.
        """
        dues = [_due(job) for job in list(self._active)]
        if (heartbeat := self.heartbeats.next_due) is not None:
            dues.append(heartbeat)
        return min(dues, default=None)

    def _queue_heartbeats(self, now: float) -> None:
        """Queues the starts that are to be repeated now."""
        for reporter in self.heartbeats.take(now):
            if self.size >= self._settings.buffered_max:
                self.heartbeats.schedule(reporter, now)
                continue
            reporter.needs_heartbeat = True
            self._touch(reporter, now)

    def postpone(self, job: JobReportBuffer) -> None:
        """Sends the batches of the other jobs before those of this one, whose fault may not be theirs."""
        if job in self._active:
            del self._active[job]
            self._active[job] = None

    def next_batch(self, now: float) -> Batch | None:
        """Returns the batch to send now, if any.

        It stays the next one of its job until it is settled. Only reports of executions that ended too long ago, and
        repeated starts of ended ones, are dropped from it.
        """
        self._queue_heartbeats(now)
        while True:
            job = min(list(self._active), key=_due, default=None)
            if job is None or _due(job) > now:
                return None
            if not job.frozen:
                self._freeze(job)
            batch = job.frozen[0]
            if not batch.entries:
                # The executions of its tickets were refused.
                self._remove(batch)
                continue
            latest = now - self._settings.delivery_seconds_after_end
            kept = [index for index, (event, owner) in enumerate(batch.entries) if is_wanted(event, owner, latest)]
            if batch.entries and len(kept) == len(batch):
                return batch
            self.expired += report_count(batch.entries) - report_count([batch.entries[index] for index in kept])
            self.replace(batch, [kept])

    def _freeze(self, job: JobReportBuffer) -> None:
        entries: list[tuple[Event, Reporter | None]] = []
        most = self.batch_size_max
        tickets, ends = job.taken
        while job.queue and len(entries) < most:
            if not self._freeze_ticket(job.queue[0], entries, most):
                break
            job.queue.popleft()
            self.size -= 1
            tickets += 1
        if job.outcome is not None and not job.queue and len(entries) < most:
            entries.append(({"type": "job_finished", "outcome": job.outcome, **job.notes}, None))
            job.outcome = None
            ends += 1
        job.taken = Watermark(tickets, ends)
        if not job.queue and job.outcome is None:
            job.due = None
        for event, owner in entries:
            if owner is not None and not isinstance(event, Heartbeat):
                owner.in_flight += 1
                self.counts.taken += owner.take_calls()
        self.size += len(entries)
        batch = Batch(job, entries, job.taken)
        job.frozen.append(batch.without(self.unknown_fields) if self.unknown_fields else batch)

    def _freeze_ticket(self, ticket: FlushTicket, entries: list[tuple[Event, Reporter | None]], most: int) -> bool:
        """Freezes a ticket into `entries`; returns False if they were full before its end."""
        reporter = ticket.reporter
        if reporter.ticket is ticket:
            reporter.ticket = None
        if reporter.needs_start:
            entries.append((reporter.start_event(), reporter))
            reporter.needs_start = False
        elif reporter.needs_heartbeat and not ticket.counters and reporter.outcome is None:
            entries.append((Heartbeat(reporter.event("execution_started")), reporter))
        reporter.needs_heartbeat = False
        while ticket.counters:
            while ticket.counters[0].is_waiting:
                if len(entries) >= most:
                    return False
                entries.append((self._progress(reporter, ticket.counters[0]), reporter))
            ticket.counters.popleft()
        # The end follows all reports, some of which may be in a later ticket.
        if reporter.outcome is not None and reporter.tickets == 1:
            if len(entries) >= most:
                return False
            entries.append((reporter.end_event(), reporter))
            reporter.outcome = None
        reporter.tickets -= 1
        return True

    def _progress(self, reporter: Reporter, counter: Counter) -> Event:
        event = reporter.event("progress")
        event["report"] = reporter.numbering.take(self.numberings.lineage.path)
        counter.freeze_into(event)
        if not counter.total and not counter.done:
            counter.is_waiting = False
            self.size -= 1
        return event

    # Settling

    def record_fields(self, batch: Batch) -> None:
        """Remembers the optional fields of a recorded batch."""
        if self.known_fields != OPTIONAL_FIELDS:
            self.known_fields = self.known_fields.union(
                *(OPTIONAL_FIELDS.intersection(event) for event, _ in batch.entries)
            )

    def strip(self, batch: Batch, refused: Iterable[tuple[int, str]]) -> frozenset[str]:
        """Removes refused fields, given with the indexes of their events; returns those that the ledger does not know.

        These it has never recorded, and refuses in every event of the batch; they are removed from all events, also
        from later ones. Otherwise only their content in those events is invalid.
        """
        indexes: dict[str, set[int]] = {}
        for index, name in refused:
            indexes.setdefault(name, set()).add(index)
        unknown = frozenset(
            name
            for name in indexes.keys() - self.known_fields
            if all(name not in event or index in indexes[name] for index, (event, _) in enumerate(batch.entries))
        )
        self.unknown_fields |= unknown
        job = batch.job
        if unknown:
            job.frozen = deque(frozen.without(unknown) for frozen in job.frozen)
        for name in indexes.keys() - unknown:
            job.frozen[0] = job.frozen[0].without(frozenset((name,)), frozenset(indexes[name]))
        return unknown

    def settle(self, batch: Batch, kept: Iterable[int], now: float) -> None:
        """Settles a batch: the events at these indexes are recorded, the others dropped."""
        recorded = set(kept)
        for index, (event, reporter) in enumerate(batch.entries):
            if reporter is not None:
                self.heartbeats.schedule(reporter, now)
            if index not in recorded:
                self._give_up(batch.job, event, reporter)
            elif reporter is not None and not isinstance(event, Heartbeat):
                reporter.in_flight -= 1
                reporter.is_known = True
                reporter.counts.delivered += 1
                self.counts.delivered += 1
        self._remove(batch)

    def replace(self, batch: Batch, parts: list[list[int]]) -> None:
        """Replaces a batch by parts of it, in order, and drops the events in none of them."""
        kept = {index for part in parts for index in part}
        for index, (event, reporter) in enumerate(batch.entries):
            if index not in kept:
                self._give_up(batch.job, event, reporter)
        job = batch.job
        job.frozen.popleft()
        self.size -= len(batch) - len(kept)
        again = [Batch(job, [batch.entries[index] for index in part], tries=batch.tries) for part in parts if part]
        if again:
            again[-1].watermark = batch.watermark
        else:
            job.settle(batch)
        job.frozen.extendleft(reversed(again))
        self._deactivate(job)

    def abandon(self, job: JobReportBuffer, now: float) -> int:
        """Drops everything for a job that does not exist. Returns the number of events."""
        job.is_unknown = True
        count = 0
        while job.frozen or job.queue or job.outcome is not None:
            if not job.frozen:
                self._freeze(job)
            count += len(job.frozen[0])
            self.settle(job.frozen[0], (), now)
        return count

    def refuse_starts(self, batch: Batch) -> int:
        """Drops everything of the executions that this batch would start, which a canceled job has refused.

        Returns the number of dropped events, and 0 if the batch starts none.
        """
        job = batch.job
        refused = batch.conditional_reporters
        for reporter in refused:
            reporter.is_refused = True
        parts = list(job.frozen)
        job.frozen.clear()
        count = 0
        for part in parts:
            kept = [entry for entry in part.entries if entry[1] not in refused]
            for event, owner in part.entries:
                if owner in refused:
                    self._give_up(job, event, owner)
            count += len(part) - len(kept)
            self.size -= len(part) - len(kept)
            if kept:
                part = part if len(kept) == len(part) else Batch(job, kept, part.watermark, tries=part.tries)
                job.frozen.append(part)
            elif job.frozen:
                job.frozen[-1].watermark = part.watermark
            else:
                job.settle(part)
        for ticket in job.queue:
            if ticket.reporter in refused:
                count += self._empty(ticket)
        self._deactivate(job)
        return count

    def _empty(self, ticket: FlushTicket) -> int:
        """Drops everything in a ticket, and returns the number of dropped events."""
        reporter = ticket.reporter
        waiting = [counter for counter in ticket.counters if counter.is_waiting]
        for counter in waiting:
            counter.clear()
            self.size -= 1
        ticket.counters.clear()
        count = len(waiting) + reporter.needs_start + (reporter.outcome is not None)
        reporter.needs_start = False
        reporter.outcome = None
        self.counts.taken += reporter.take_calls()
        for _ in range(count):
            self.drop(reporter)
        return count

    def _remove(self, batch: Batch) -> None:
        batch.job.frozen.popleft()
        batch.job.settle(batch)
        self.size -= len(batch)
        self._deactivate(batch.job)

    def _deactivate(self, job: JobReportBuffer) -> None:
        """Deactivates a job if it has no unsent reports."""
        if job.is_settled:
            self._active.pop(job, None)
            job.due = None

    # Forks

    def become_child(self) -> None:
        """Empties the buffer in a forked child, because the parent sends its reports."""
        for job in self._active:
            owners = {owner for batch in job.frozen for _, owner in batch.entries if owner}
            for reporter in owners.union(ticket.reporter for ticket in job.queue):
                reporter.clear_unsent()
            job.frozen.clear()
            job.queue.clear()
            job.outcome = job.due = None
            job.settled = job.taken
        self._active.clear()
        self.heartbeats.clear()
        self.size = 0
        self.counts = ReportCounts()
