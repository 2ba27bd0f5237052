"""The public counts of reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .reporter import Reporter
    from .sender import Sender


@dataclass(frozen=True)
class Stats:
    """Counts of the reports of one execution, or of a whole client, in this process.

    `dropped` is the number to watch: 0 means that nothing was lost. The clients for Swift and Go count the same.
    """

    taken: int = 0
    """Accepted calls of `add` and `done`."""
    refused: int = 0
    """Refused calls, which changed nothing: their values are invalid. They are also part of `dropped`."""
    delivered: int = 0
    """Events that the ledger has recorded, including the start and the end of the execution.

    One event contains the increments of up to a second. Discarded events are not included.
    """
    superseded: int = 0
    """Delivered events that a newer execution of the task supersedes."""
    discarded: int = 0
    """Recorded events that will never count, because another process uses the same execution name.

    They are also part of `dropped`.
    """
    dropped: int = 0
    """Everything that was lost.

    These are refused calls, discarded events, events that the ledger refused, events that were given up, and reports
    beyond the buffer.
    """
    pending: int = 0
    """Events that the ledger has not recorded yet."""
    failures: int = 0
    """Failed requests of this client."""
    last_error: str | None = None
    """The reason of the last failure; None after a success."""
    is_superseded: bool = False
    """Whether a newer execution of the task has started; False for a whole client."""

    job_ended: str | None = None
    """The state in which the job has ended, as far as this client knows; None while it runs, and for a whole client."""

    # Deprecated names. They do not warn, because a warning can be an error that ends the task.

    @property
    def calls(self) -> int:
        """Deprecated: use `taken`."""
        return self.taken

    @property
    def waiting(self) -> int:
        """Deprecated: use `pending`."""
        return self.pending

    @property
    def recorded(self) -> int:
        """Deprecated: use `delivered`."""
        return self.delivered

    @property
    def failed_requests(self) -> int:
        """Deprecated: use `failures`."""
        return self.failures

    @classmethod
    def of_refused(cls, refused: int, dropped: int | None = None) -> Stats:
        """Returns the counts without a sender: refused calls, and with notes everything dropped."""
        return cls(refused=refused, dropped=refused if dropped is None else dropped)

    @classmethod
    def of(cls, sender: Sender | None, reporter: Reporter | None = None) -> Stats:
        """Returns the counts of one reporter, or of all reporters of a sender."""
        if sender is None:
            return cls()
        with sender.lock:
            counts = sender.buffer.counts if reporter is None else reporter.counts
            return cls(
                taken=counts.taken,
                refused=counts.refused,
                delivered=counts.delivered,
                superseded=counts.superseded,
                discarded=counts.discarded,
                dropped=counts.dropped,
                pending=sender.buffer.waiting if reporter is None else reporter.waiting,
                failures=sender.health.failed_requests,
                last_error=sender.health.last_error,
                is_superseded=reporter is not None and reporter.is_superseded,
                job_ended=reporter.job_ended if reporter is not None else None,
            )
