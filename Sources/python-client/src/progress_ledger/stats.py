"""What became of reports, counted."""

from __future__ import annotations

from dataclasses import dataclass

from .reporter import Reporter
from .sender import Sender


@dataclass(frozen=True)
class Stats:
    """What became of the reports of one execution, or of all of a client, in this process."""

    calls: int
    """Calls of `add` and `done`."""
    waiting: int
    """Events that the ledger has not recorded yet."""
    recorded: int
    """Events that the ledger has recorded. One event holds the increments of up to a second."""
    superseded: int
    """Of the recorded ones, those that do not count, because a newer execution of the task had begun."""
    dropped: int
    """Reports that are lost: wrong values, refused by the ledger, or more than the buffer holds. 0 unless something is
    wrong."""
    failed_requests: int
    """Requests of this client that brought no record: the ledger was down, slow or refused. They are repeated."""
    last_error: str | None
    """What the last failed request failed of."""

    @classmethod
    def of_dropped(cls, dropped: int) -> Stats:
        """Those of what has no sender: nothing but losses."""
        return cls(0, 0, 0, 0, dropped, 0, None)

    @classmethod
    def of(cls, sender: Sender | None, reporter: Reporter | None = None) -> Stats:
        """Of one reporter, or of all that a sender has had."""
        if sender is None:
            return cls(0, 0, 0, 0, 0, 0, None)
        with sender.lock:
            tally = sender.outbox.tally if reporter is None else reporter.tally
            waiting = sender.outbox.waiting if reporter is None else reporter.waiting
            return cls(
                tally.calls, waiting, tally.recorded, tally.superseded, tally.dropped, sender.contact.failed_requests,
                sender.contact.last_error,
            )  # fmt: skip
