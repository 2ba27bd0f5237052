"""What a process has reported and the ledger has not recorded yet. Sends nothing, reads no clock, takes no lock.

The rule that keeps numbers exact: what goes out is **frozen** first. A frozen batch has its report numbers and its
bytes for good; while nobody knows whether the ledger recorded it, it is repeated as it is, and increments that come
meanwhile gather for the next batch. So a report that the ledger already has is recognized by its number and its equal
content, and counts once.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from .reporter import Counter, Event, Numberings, Reporter, Tally, Turn, process_numberings
from .settings import INCREMENT_MAX, Settings


class Mark(NamedTuple):
    """How far a job is, in what was frozen for it or in what is settled of that."""

    turns: int = 0
    """How many turns of executions are over: see `Turn`."""
    ends: int = 0
    """How often its end was frozen, which waits until no execution has anything to say."""

    def covers(self, goal: Mark) -> bool:
        return self.turns >= goal.turns and self.ends >= goal.ends


@dataclass(eq=False)
class Batch:
    """Events of one job that go out together, and again, exactly as they are."""

    job: JobOutbox
    entries: list[tuple[Event, Reporter | None]]
    mark: Mark | None = None
    """How far its job is settled with it; None where more of the same turn follows."""
    body: bytes = field(init=False)
    faults: int = 0
    tries: int = 0
    """How often it was sent."""
    awaits_verdicts: bool = False
    """Whether the last try asked what becomes of the events."""

    def __post_init__(self) -> None:
        events = [event for event, _ in self.entries]
        self.body = json.dumps(events, ensure_ascii=False, separators=(",", ":")).encode("utf-8")

    def __len__(self) -> int:
        return len(self.entries)


class JobOutbox:
    """What waits for one job."""

    def __init__(self, outbox: Outbox, job: str) -> None:
        self.outbox = outbox
        self.job = job
        self.queue: deque[Turn] = deque()
        self.frozen: deque[Batch] = deque()
        self.outcome: str | None = None
        self.due: float | None = None
        self.last_sequence = 0
        self.is_unknown = False
        self.is_end_lost = False
        self.taken = Mark()
        self.settled = Mark()

    @property
    def is_settled(self) -> bool:
        return not self.frozen and not self.queue and self.outcome is None

    @property
    def goal(self) -> Mark:
        """What to wait for that everything reported so far be settled: see `has_settled`."""
        return Mark(self.taken.turns + len(self.queue), self.taken.ends + (self.outcome is not None))

    def has_settled(self, goal: Mark) -> bool:
        """Whether what was reported when this was the goal is recorded, or given up. What came later may wait."""
        return self.is_settled or self.settled.covers(goal)

    def settle(self, batch: Batch) -> None:
        """Nothing of a batch waits any more."""
        if batch.mark is not None:
            self.settled = batch.mark


def _due(job: JobOutbox) -> float:
    """When a job with something to send is to be served."""
    return -inf if job.frozen or job.due is None else job.due


class Outbox:
    """What a client has still to send. Its caller holds one lock around every call."""

    def __init__(self, settings: Settings, numberings: Numberings = process_numberings) -> None:
        self.numberings = numberings
        self._settings = settings
        self._active: dict[JobOutbox, None] = {}
        self.tally = Tally()
        self.size = 0

    @property
    def is_settled(self) -> bool:
        return not self._active

    @property
    def waiting(self) -> int:
        """Events that are on their way or still to be made. Costs a pass over all that waits."""
        frozen = sum(len(batch) for job in self._active for batch in job.frozen)
        reporters = {turn.reporter for job in self._active for turn in job.queue}
        made_of = sum(reporter.waiting - reporter.in_flight for reporter in reporters)
        return frozen + made_of + sum(job.outcome is not None for job in self._active)

    # What was reported

    def start(self, reporter: Reporter, now: float) -> bool:
        """Notes that an execution begins. False where there is no room for it: then nothing of it will be reported."""
        if self.size >= self._settings.buffered_max or reporter.job.is_unknown:
            self.drop(reporter)
            return False
        reporter.needs_start = True
        self._touch(reporter, now)
        return True

    def note(self, reporter: Reporter, counter: Counter, now: float) -> bool:
        """Notes that a counter has something to be sent. False where there is no room: then it is gone."""
        if self.size >= self._settings.buffered_max or reporter.job.is_unknown:
            counter.total = counter.done = 0
            self.drop(reporter)
            return False
        counter.is_waiting = True
        self.size += 1
        self._touch(reporter, now + self._settings.report_seconds).counters.append(counter)
        return True

    def finish(self, reporter: Reporter, outcome: str, now: float) -> None:
        """Notes how an execution ended."""
        if reporter.job.is_unknown:
            self.drop(reporter)
            return
        reporter.outcome = outcome
        self._touch(reporter, now)

    def finish_job(self, job: JobOutbox, outcome: str, now: float) -> None:
        """Notes how a job ended: sent after everything that was reported for it before."""
        job.outcome = outcome
        job.is_end_lost = False
        self._activate(job, now)

    def active(self) -> list[JobOutbox]:
        """The jobs for which something is to be sent."""
        return list(self._active)

    def hurry(self, job: JobOutbox, now: float) -> None:
        """What waits for a job is to be sent at once."""
        if job.queue or job.outcome is not None:
            job.due = now

    def drop(self, reporter: Reporter | None) -> None:
        """Counts a report that is lost."""
        if reporter is not None:
            reporter.tally.dropped += 1
        self.tally.dropped += 1

    def _give_up(self, job: JobOutbox, reporter: Reporter | None) -> None:
        """An event of this execution, or the end of the job, is not sent any more."""
        if reporter is not None:
            reporter.in_flight -= 1
            self.drop(reporter)
        else:
            job.is_end_lost = True
            self.tally.dropped += 1

    def _touch(self, reporter: Reporter, due: float) -> Turn:
        """Has an execution sent by then. Returns its turn, which has not begun."""
        turn = reporter.turn
        if turn is None:
            turn = reporter.turn = Turn(reporter)
            reporter.turns += 1
            reporter.job.queue.append(turn)
            self.size += 1
        self._activate(reporter.job, due)
        return turn

    def _activate(self, job: JobOutbox, due: float) -> None:
        self._active[job] = None
        if job.due is None or due < job.due:
            job.due = due

    # What goes out

    def next_due(self) -> float | None:
        """When something is to be sent next; None where nothing waits. What is frozen is due since ever."""
        return min((_due(job) for job in list(self._active)), default=None)

    def next_batch(self, now: float) -> Batch | None:
        """What is to be sent now, if anything. It stays the next one of its job until it is settled."""
        job = min(list(self._active), key=_due, default=None)
        if job is None or _due(job) > now:
            return None
        if not job.frozen:
            self._freeze(job)
        return job.frozen[0]

    def _freeze(self, job: JobOutbox) -> None:
        entries: list[tuple[Event, Reporter | None]] = []
        most = self._settings.events_per_request_max
        turns, ends = job.taken
        while job.queue and len(entries) < most:
            if not self._freeze_turn(job.queue[0], entries, most):
                break
            job.queue.popleft()
            self.size -= 1
            turns += 1
        if job.outcome is not None and not job.queue and len(entries) < most:
            entries.append(({"type": "job_finished", "outcome": job.outcome}, None))
            job.outcome = None
            ends += 1
        job.taken = Mark(turns, ends)
        if not job.queue and job.outcome is None:
            job.due = None
        for _, owner in entries:
            if owner is not None:
                owner.in_flight += 1
                self.tally.calls += owner.take_calls()
        self.size += len(entries)
        job.frozen.append(Batch(job, entries, job.taken))

    def _freeze_turn(self, turn: Turn, entries: list[tuple[Event, Reporter | None]], most: int) -> bool:
        """Moves what an execution says in its turn into `entries`; False where there was no room for all of it."""
        reporter = turn.reporter
        if reporter.turn is turn:
            reporter.turn = None
        if reporter.needs_start:
            entries.append((reporter.event("execution_started"), reporter))
            reporter.needs_start = False
        while turn.counters:
            while turn.counters[0].is_waiting:
                if len(entries) >= most:
                    return False
                entries.append((self._progress(reporter, turn.counters[0]), reporter))
            turn.counters.popleft()
        # The end comes after whatever was reported, which may wait for a turn that is still to come.
        if reporter.outcome is not None and reporter.turns == 1:
            if len(entries) >= most:
                return False
            event = reporter.event("execution_finished")
            event["outcome"] = reporter.outcome
            entries.append((event, reporter))
            reporter.outcome = None
        reporter.turns -= 1
        return True

    def _progress(self, reporter: Reporter, counter: Counter) -> Event:
        event = reporter.event("progress")
        event["report"] = reporter.numbering.take(self.numberings.lineage.path)
        if counter.label is not None:
            event["label"] = counter.label
        # One event holds at most 2^53 − 1 units; what is beyond waits for the next.
        total, done = min(counter.total, INCREMENT_MAX), min(counter.done, INCREMENT_MAX)
        if total:
            event["total"] = total
        if done:
            event["done"] = done
        counter.total -= total
        counter.done -= done
        if not counter.total and not counter.done:
            counter.is_waiting = False
            self.size -= 1
        return event

    # What became of it

    def settle(self, batch: Batch, kept: Iterable[int]) -> None:
        """The events at these places are recorded; the others are given up."""
        recorded = set(kept)
        for place, (_, reporter) in enumerate(batch.entries):
            if place not in recorded:
                self._give_up(batch.job, reporter)
            elif reporter is not None:
                reporter.in_flight -= 1
                reporter.tally.recorded += 1
                self.tally.recorded += 1
        self._remove(batch)

    def replace(self, batch: Batch, parts: list[list[int]]) -> None:
        """Sends a batch again in parts, in order; what is in none of them is given up."""
        kept = {place for part in parts for place in part}
        for place, (_, reporter) in enumerate(batch.entries):
            if place not in kept:
                self._give_up(batch.job, reporter)
        job = batch.job
        job.frozen.popleft()
        self.size -= len(batch) - len(kept)
        again = [Batch(job, [batch.entries[place] for place in part], tries=batch.tries) for part in parts if part]
        if again:
            again[-1].mark = batch.mark
        else:
            job.settle(batch)
        job.frozen.extendleft(reversed(again))
        self._rest(job)

    def abandon(self, job: JobOutbox) -> int:
        """There is no such job: nothing that waits for it can ever be sent. Returns how much that was."""
        job.is_unknown = True
        count = 0
        while job.frozen or job.queue or job.outcome is not None:
            if not job.frozen:
                self._freeze(job)
            count += len(job.frozen[0])
            self.settle(job.frozen[0], ())
        return count

    def _remove(self, batch: Batch) -> None:
        batch.job.frozen.popleft()
        batch.job.settle(batch)
        self.size -= len(batch)
        self._rest(batch.job)

    def _rest(self, job: JobOutbox) -> None:
        """Forgets a job that has nothing more to send."""
        if job.is_settled:
            self._active.pop(job, None)
            job.due = None

    # Forks

    def become_child(self) -> None:
        """In the child: what waits is the parent's, who sends it. What the child reports from now on is its own."""
        for job in self._active:
            owners = {owner for batch in job.frozen for _, owner in batch.entries if owner}
            for reporter in owners.union(turn.reporter for turn in job.queue):
                reporter.in_flight = 0
                reporter.turn = None
                reporter.turns = 0
                reporter.needs_start = False
                reporter.outcome = None
                for counter in reporter.counters.values():
                    counter.total = counter.done = 0
                    counter.is_waiting = False
            job.frozen.clear()
            job.queue.clear()
            job.outcome = job.due = None
            job.settled = job.taken
        self._active.clear()
        self.size = 0
        self.tally = Tally()
