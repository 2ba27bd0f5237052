"""What the answer to a batch does to what waits, and who is told of it. No I/O, no clock."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Callable

from .contact import Contact
from .delivery import Judgement, Means
from .losses import logger
from .outbox import Batch, Outbox
from .settings import Settings

Callback = Callable[[], None]


class Settlement:
    """Settles the batches of one outbox. Its caller holds the outbox's lock."""

    def __init__(self, outbox: Outbox, contact: Contact, settings: Settings) -> None:
        self._outbox = outbox
        self._contact = contact
        self._settings = settings
        self._has_complained = False

    def settle(self, batch: Batch, judgement: Judgement, took: float, now: float, chance: float) -> list[Callback]:
        """Does what the answer to a batch asks for. Returns what is to be called when the lock is free again.

        `took` is how long the answer took; `chance` is a random number from 0 to 1.
        """
        callbacks: list[Callback] = []
        means, reason = judgement.means, judgement.reason
        if means is Means.FAULT:
            batch.faults += 1
            means = Means.REFUSED if batch.faults >= self._settings.refusals_max else Means.TRY_AGAIN
        if means is Means.RECORDED:
            self._recorded(batch, judgement, took, now, callbacks)
        elif means is Means.TRY_AGAIN:
            if self._contact.failed(reason, judgement.retry_after, now, chance):
                callbacks.append(lambda: logger.warning("reports wait, the task goes on: %s (told once)", reason))
        elif means is Means.NO_SUCH_JOB:
            self._contact.blamed(reason)
            count = self._outbox.abandon(batch.job)
            callbacks.append(self.complaint(f"{count} events are lost: {reason}"))
        else:
            self._contact.blamed(reason)
            self._divide(batch, judgement, callbacks)
        return callbacks

    def _divide(self, batch: Batch, judgement: Judgement, callbacks: list[Callback]) -> None:
        """Finds the events that the ledger does not take, and goes on without them."""
        places = list(range(len(batch)))
        if judgement.refused:
            bad = set(judgement.refused)
            self._outbox.replace(batch, [[place for place in places if place not in bad]])
            lost = len(bad)
        elif len(batch) > 1:
            half = len(batch) // 2
            self._outbox.replace(batch, [places[:half], places[half:]])
            return
        else:
            self._outbox.settle(batch, ())
            lost = 1
        callbacks.append(self.complaint(f"{lost} events were refused and are lost: {judgement.reason}"))

    def _recorded(self, batch: Batch, judgement: Judgement, took: float, now: float, callbacks: list[Callback]) -> None:
        job = batch.job
        job.last_sequence = max(job.last_sequence, judgement.last_sequence)
        verdicts = judgement.verdicts
        kept = list(range(len(batch)))
        if verdicts is None:
            if batch.awaits_verdicts:
                self._contact.missed_verdicts(now)
        else:
            # Of a batch that was sent once, a duplicate is another's: a second process uses the same numbers.
            is_first = batch.tries == 1 and not judgement.was_repeated
            bad = ("conflict", "over_limit", "duplicate") if is_first else ("conflict", "over_limit")
            kept = [place for place in kept if verdicts[place] not in bad]
            if len(kept) < len(batch):
                callbacks.append(self.complaint(_contradiction(batch, verdicts, set(kept))))
            for (_, reporter), verdict in zip(batch.entries, verdicts):
                if reporter is not None and verdict == "superseded":
                    reporter.tally.superseded += 1
                    self._outbox.tally.superseded += 1
                    callbacks.extend(reporter.become_superseded())
        self._outbox.settle(batch, kept)
        outage = self._contact.answered(took, now)
        if outage is not None:
            callbacks.append(lambda: logger.info("the ledger takes reports again, after %.0f s", outage))

    def complaint(self, message: str) -> Callback:
        """Says once that something is lost; after that, only to who listens closely."""

        def complain() -> None:
            level = logging.DEBUG if self._has_complained else logging.ERROR
            self._has_complained = True
            logger.log(level, "%s (told once)", message)

        return complain


def _contradiction(batch: Batch, verdicts: Sequence[str | None], kept: set[int]) -> str:
    """What is wrong with the events of a batch that the ledger has recorded and does not count."""
    lost = [place for place in range(len(batch)) if place not in kept]
    event = batch.entries[lost[0]][0]
    message = (
        f"{len(lost)} events are recorded and not counted; the first one is a report of execution "
        f"{event.get('execution')} of task {event.get('task')} with the verdict {verdicts[lost[0]]}"
    )
    if verdicts[lost[0]] in ("duplicate", "conflict"):
        message += ": another process reports for the same execution, or did before; give each an execution of its own"
    return message
