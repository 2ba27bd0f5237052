"""The public counts of reports."""

from __future__ import annotations

from dataclasses import dataclass

from .reporter import Reporter
from .sender import Sender


@dataclass(frozen=True)
class Stats:
    """Counts of the reports of one execution, or of a whole client, in this process."""

    calls: int
    """Calls of `add` and `done`."""
    waiting: int
    """Events that the ledger has not recorded yet."""
    recorded: int
    """Events that the ledger has recorded.

    One event contains the increments of up to a second.
    """
    superseded: int
    """Recorded events that a newer execution of the task supersedes."""
    dropped: int
    """Lost reports: invalid values, refused by the ledger, or more than the buffer holds."""
    failed_requests: int
    """Failed requests of this client, all of which are repeated."""
    last_error: str | None
    """The reason of the last failure."""

    @classmethod
    def of_dropped(cls, dropped: int) -> Stats:
        """Returns the counts without a sender, which are losses only."""
        return cls(0, 0, 0, 0, dropped, 0, None)

    @classmethod
    def of(cls, sender: Sender | None, reporter: Reporter | None = None) -> Stats:
        """Returns the counts of one reporter, or of all reporters of a sender."""
        if sender is None:
            return cls(0, 0, 0, 0, 0, 0, None)
        with sender.lock:
            counts = sender.outbox.counts if reporter is None else reporter.counts
            waiting = sender.outbox.waiting if reporter is None else reporter.waiting
            return cls(
                counts.calls, waiting, counts.recorded, counts.superseded, counts.dropped,
                sender.health.failed_requests, sender.health.last_error,
            )  # fmt: skip
