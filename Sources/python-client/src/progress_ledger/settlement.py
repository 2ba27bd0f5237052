"""Applies the response to a batch to its report buffer, and collects the log messages, without I/O or clock."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Callable

from .batch import OPTIONAL_FIELDS, Batch
from .disposition import Action, Disposition
from .losses import logger
from .report_buffer import ReportBuffer
from .server_health import ServerHealth
from .settings import Settings

Callback = Callable[[], None]


class Settlement:
    """Settles the batches of one report buffer. The caller holds the buffer's lock."""

    def __init__(self, buffer: ReportBuffer, health: ServerHealth, settings: Settings) -> None:
        self._buffer = buffer
        self._health = health
        self._settings = settings
        self._has_logged = False

    def settle(self, batch: Batch, disposition: Disposition, took: float, now: float, chance: float) -> list[Callback]:
        """Applies the disposition of a batch.

        Returns callbacks to run after the lock is released.

        `took` is the duration of the request in seconds; `chance` is a random number from 0 to 1.
        """
        callbacks: list[Callback] = []
        action, reason = disposition.action, disposition.reason
        if action is Action.REFUSED and batch.tries == 1 and not disposition.was_repeated:
            # The only request has recorded nothing.
            batch.tries = 0
        if action is Action.REFUSED and batch.tries and self._refuses_part(batch, disposition):
            # An older ledger behind the same address, but a newer one may have recorded the batch by its parts.
            action = Action.FAULT
        if action is Action.FAULT:
            batch.faults += 1
            action = Action.REFUSED if batch.faults >= self._settings.refusals_max else Action.TRY_AGAIN
        if action is Action.RECORDED:
            self._recorded(batch, disposition, took, now, callbacks)
        elif action is Action.TRY_AGAIN:
            self._buffer.postpone(batch.job)
            if self._health.record_failure(reason, disposition.retry_after, now, chance):
                callbacks.append(
                    lambda: logger.warning(
                        "the ledger does not take reports; they wait while the task continues: %s (logged once)",
                        reason,
                    )
                )
        elif action is Action.NO_SUCH_JOB:
            self._health.record_refusal(reason)
            count = self._buffer.abandon(batch.job, now)
            callbacks.append(self.loss_callback(f"{count} events are lost: {reason}"))
        elif action is Action.JOB_CANCELED and batch.conditional_reporters:
            self._health.record_refusal(reason)
            self._health.end_pauses()
            callbacks += batch.job.has_state(disposition.job_state)
            self._buffer.refuse_starts(batch)
            callbacks.append(lambda: logger.info("executions of a canceled job do not start: %s", reason))
        else:
            self._health.record_refusal(reason)
            self._health.end_pauses()
            if action is Action.TOO_LARGE and len(batch) > 1:
                self._buffer.batch_size_max = min(self._buffer.batch_size_max, len(batch) // 2)
            self._divide(batch, disposition, now, callbacks)
        return callbacks

    def _divide(self, batch: Batch, disposition: Disposition, now: float, callbacks: list[Callback]) -> None:
        """Drops the refused fields or events, or splits the batch to find them."""
        if self._strip(batch, disposition, callbacks):
            return
        indexes = list(range(len(batch)))
        if disposition.refused:
            bad = set(disposition.refused)
            self._buffer.replace(batch, [[index for index in indexes if index not in bad]])
            lost = len(bad)
        elif len(batch) > 1:
            half = len(batch) // 2
            self._buffer.replace(batch, [indexes[:half], indexes[half:]])
            return
        else:
            self._buffer.settle(batch, (), now)
            lost = 1
        callbacks.append(self.loss_callback(f"{lost} events were refused and are lost: {disposition.reason}"))

    def _strip(self, batch: Batch, disposition: Disposition, callbacks: list[Callback]) -> bool:
        """Removes refused fields that an event can do without, and returns whether there are any.

        The units of an event must not be lost because of its message.
        """
        refused = [
            (index, name)
            for index, name in disposition.refused_fields
            if name in OPTIONAL_FIELDS and name in batch.entries[index][0] and not (name == "part" and batch.tries)
        ]
        if not refused:
            return False
        unknown = self._buffer.strip(batch, refused)
        if unknown:
            callbacks.append(_unknown_callback(unknown))
        # Without its part, a report has another number, and nothing is lost.
        lost = [index for index, name in refused if name not in unknown and name != "part"]
        for index in lost:
            self._buffer.drop(batch.entries[index][1])
        if lost:
            callbacks.append(self.loss_callback(f"{len(lost)} notes of reports were refused: {disposition.reason}"))
        return True

    def _refuses_part(self, batch: Batch, disposition: Disposition) -> bool:
        return any(name == "part" and name in batch.entries[index][0] for index, name in disposition.refused_fields)

    def _recorded(
        self, batch: Batch, disposition: Disposition, took: float, now: float, callbacks: list[Callback]
    ) -> None:
        job = batch.job
        job.last_sequence = max(job.last_sequence, disposition.last_sequence)
        self._buffer.record_fields(batch)
        verdicts = disposition.verdicts
        kept = list(range(len(batch)))
        if verdicts is None:
            if batch.awaits_verdicts:
                self._health.record_missed_verdicts(now)
        else:
            # A duplicate in a batch that was sent once comes from another process that uses the same numbers.
            is_first = batch.tries == 1 and not disposition.was_repeated
            bad = ("conflict", "over_limit", "duplicate") if is_first else ("conflict", "over_limit")
            kept = [index for index in kept if verdicts[index] not in bad]
            for index in set(range(len(batch))).difference(kept):
                self._buffer.discard(batch.entries[index][1])
            if len(kept) < len(batch):
                callbacks.append(self.loss_callback(_contradiction(batch, verdicts, set(kept))))
            for (_, reporter), verdict in zip(batch.entries, verdicts):
                if reporter is not None and verdict == "superseded":
                    reporter.counts.superseded += 1
                    self._buffer.counts.superseded += 1
                    callbacks.extend(reporter.become_superseded())
        callbacks.extend(job.has_state(disposition.job_state))
        self._buffer.settle(batch, kept, now)
        outage = self._health.record_success(took, now)
        if outage is not None:
            callbacks.append(lambda: logger.info("the ledger takes reports again, after %.0f s", outage))

    def loss_callback(self, message: str) -> Callback:
        """Returns a callback that logs a loss: the first one as an error, later ones for debugging."""

        def log() -> None:
            level = logging.DEBUG if self._has_logged else logging.ERROR
            self._has_logged = True
            logger.log(level, "%s (logged once)", message)

        return log


def _unknown_callback(fields: frozenset[str]) -> Callback:
    """Returns a callback that logs the fields without which the reports are sent."""
    return lambda: logger.warning(
        "this ledger is older than the client: reports are sent without %s (logged once)", ", ".join(sorted(fields))
    )


def _contradiction(batch: Batch, verdicts: Sequence[str | None], kept: set[int]) -> str:
    """Returns the message about recorded events of a batch that are not counted."""
    lost = [index for index in range(len(batch)) if index not in kept]
    event = batch.entries[lost[0]][0]
    message = (
        f"{len(lost)} recorded events are not counted; the first one is a report of execution "
        f"{event.get('execution')} of task {event.get('task')} with the verdict {verdicts[lost[0]]}"
    )
    if verdicts[lost[0]] in ("duplicate", "conflict"):
        message += ": another process reports for the same execution or did so before; use one execution per process"
    return message
