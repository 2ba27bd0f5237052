"""A job, for synchronous code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from .errors import InvalidValueError, NotFoundError, OutcomeUnknownError, UnavailableError
from .jobs import JobBase, empty_snapshot, event_filters, time_text
from .lazy import LazyModule
from .report_buffer import JobReportBuffer
from .rows import Rows
from .shown import Shown

if TYPE_CHECKING:
    from . import calls
    from .answer import Answer
    from .answers import Conservation, Contribution, HistoryPoint, Indicator, JobTask, Snapshot
    from .display import Display
    from .estimate import Estimate
    from .requester import Requester
    from .watching import Watch
else:
    calls = LazyModule("calls")

# The time for which a notebook cell waits for the ledger before it shows the last state that it has.
VIEW_PATIENCE_SECONDS = 1.0


@dataclass(frozen=True)
class Explanation:
    """The contribution of each execution to an indicator.

    Iterable; `to_pandas()` makes a data frame.
    """

    label: str | None
    sequence: int
    conservation: Conservation
    executions: Rows[Contribution]

    def __iter__(self) -> Iterator[Contribution]:
        return iter(self.executions)

    def to_pandas(self) -> Any:
        """Returns a data frame with one row per execution."""
        return self.executions.to_pandas()


class Job(JobBase, Shown):
    """A job of the ledger, to report to and to read.

    Its properties (`state`, `progress`, …) are those of `snapshot`, the last snapshot that was read. `refresh` reads
    a new one; `watch` follows the job. In a notebook, a job at the end of a cell is shown as a live view.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return Job, (self._ledger, self._id, self._known)

    # Reading

    @property
    def known(self) -> Snapshot | None:
        """The snapshot that was read last; None if none was. Makes no request."""
        return self._known

    @property
    def snapshot(self) -> Snapshot:
        """The snapshot that was read last; it is read now if there is none."""
        return self._known if self._known is not None else self.refresh()

    def refresh(self) -> Snapshot:
        """Reads the current snapshot, with everything recorded before.

        Raises `NotFoundError` if the job does not exist, and `UnavailableError` if the ledger does not respond.
        """
        return self._remember(read(self._ledger.requester, self._id, self._buffer))

    @property
    def name(self) -> str:
        """The job's name."""
        return self.snapshot.name

    @property
    def key(self) -> str | None:
        """The job's key, unique in the ledger."""
        return self.snapshot.key

    @property
    def state(self) -> str:
        """`running`, `completed`, `failed` or `canceled`, as of `snapshot`."""
        return self.snapshot.state

    @property
    def progress(self) -> tuple[Indicator, ...]:
        """The job's indicators, as of `snapshot`."""
        return self.snapshot.progress

    @property
    def estimate(self) -> Estimate | None:
        """The estimate of the job's remaining time, as of `snapshot`; None from an older ledger."""
        return self.snapshot.estimate

    def answer(self) -> Answer:
        """Asks the ledger how far the job is, when it ends and what holds it up.

        It does not contain unsent reports of this process. Ask again after `Answer.ask_again_seconds`. Raises
        `NotFoundError` if the job does not exist, or without a ledger.
        """
        if self._ledger.requester is None:
            raise NotFoundError("there is no ledger: no URL is configured")
        return self._ledger.requester.ask(calls.answer(self._id))

    def snapshot_at(
        self, sequence: int | None = None, at: datetime | str | None = None, policy: str = "last"
    ) -> Snapshot:
        """Returns the snapshot at a sequence or a time, or by another counting policy.

        The policy is `last`, `last_successful` or `all`.
        """
        if sequence is not None and at is not None:
            raise InvalidValueError("give a sequence or a time, not both")
        if self._ledger.requester is None:
            return self.snapshot
        return self._ledger.requester.ask(calls.read_past(self._id, sequence, time_text(at), policy))

    def watch(self) -> Watch:
        """Returns an iterator over the job's snapshots as they change, until it has finished.

        Each one becomes the job's `snapshot`. See `Watch`.

        for snapshot in job.watch():
            print(snapshot)
        """
        return self.watch_until(None)

    def watch_until(self, deadline: float | None) -> Watch:
        """Like `watch`, but raises `TimeoutError` at a time of `time.monotonic()`."""
        from .watching import EmptyWatch, Watch

        if self._ledger.requester is None:
            return EmptyWatch(self.snapshot)
        return Watch(self._ledger.requester, self._id, deadline, self._remember)

    def wait(self, timeout: float | None = None) -> Snapshot:
        """Waits until the job has finished, and returns its last snapshot.

        Raises `TimeoutError` after `timeout` seconds.
        """
        if self._ledger.requester is None:
            return self.snapshot
        from .watching import wait

        return wait(self._watch_for(timeout))

    def _watch_for(self, seconds: float | None) -> Watch:
        requester = self._ledger.requester
        if requester is None or seconds is None:
            return self.watch()
        return self.watch_until(requester.clock.now() + seconds)

    def history(self, label: str | None = None, points: int = 500) -> Rows[HistoryPoint]:
        """Returns the history of an indicator, with the cause of every decrease.

        It has at most `points` points (2 to 10,000).
        """
        requester = self._ledger.requester
        if requester is None:
            return Rows(lambda: ())
        call = calls.history(self._id, label, points)
        return Rows(lambda: requester.ask(call))

    def explain(self, label: str | None = None, at_sequence: int | None = None) -> Explanation:
        """Returns the contribution of each execution to an indicator, and how much of it counts.

        Raises `NotFoundError` if no event has named the indicator.
        """
        requester = self._ledger.requester
        if requester is None:
            raise NotFoundError("there is no ledger: no URL is configured")
        first = requester.ask(calls.explain(self._id, label, at_sequence, None))

        def contributions() -> Iterator[Contribution]:
            yield from first.contributions
            if first.cursor is not None:
                yield from requester.pages(
                    lambda cursor: calls.contributions(self._id, label, at_sequence, cursor), first.cursor
                )

        return Explanation(label or None, first.sequence, first.conservation, Rows(contributions))

    def tasks(self, state: str | None = None, *, silent: bool = False) -> Rows[JobTask]:
        """Returns the job's tasks, or those of one state, with their executions, in the order of their start.

        `silent=True` selects those with an execution that has sent nothing for longer than plausible.
        """
        requester = self._ledger.requester
        if requester is None:
            return Rows(lambda: ())
        calls.list_tasks(self._id, state, silent, None)
        return Rows(lambda: requester.pages(lambda cursor: calls.list_tasks(self._id, state, silent, cursor)))

    def events(
        self,
        *,
        task: str | None = None,
        execution: str | None = None,
        label: str | None = None,
        type: str | None = None,
        verdict: str | None = None,
        order: str = "asc",
    ) -> Rows[dict[str, Any]]:
        """Returns the job's events in the ledger's own format, each with its `verdict`.

        `label=""` selects the default indicator; None selects all.
        """
        requester = self._ledger.requester
        filters = event_filters(task, execution, label, type, verdict, order)
        if requester is None:
            return Rows(lambda: ())
        return Rows(lambda: requester.pages(lambda after: calls.list_events(self._id, filters, after)))

    # Reporting

    def finish(self, outcome: str = "completed", *, message: str | None = None) -> bool:
        """Reports the end of the job: `completed`, `failed` or `canceled`.

        `message`: why it ended, in up to 1,000 characters.

        It is sent after all reports of this process. Like all reports it never raises: an invalid outcome is dropped,
        counted and logged. Returns whether it is recorded; if not, it is sent once the ledger is reachable, and dropped
        if the ledger refuses it.
        """
        if not self._begin_finish(outcome, message):
            return False
        buffer, sender = self._buffer, self._ledger.sender
        if buffer is None or sender is None:
            return True
        is_settled = sender.wait_at_end(lambda: buffer.is_settled)
        return is_settled and not buffer.is_end_lost

    async def finish_async(self, outcome: str = "completed", *, message: str | None = None) -> bool:
        """Coroutine variant of `finish`."""
        if not self._begin_finish(outcome, message):
            return False
        buffer, sender = self._buffer, self._ledger.sender
        if buffer is None or sender is None:
            return True
        is_settled = await sender.wait_at_end_async(lambda: buffer.is_settled)
        return is_settled and not buffer.is_end_lost

    # Showing

    def display(self) -> Display:
        """Shows the job in a notebook as a live view.

        Returns the view; its `wait()` waits for the job's end.
        """
        from .display import Display

        return Display.show(self.watch(), self._id, self._known, self._clock, self.page)

    def rows(self) -> Iterator[dict[str, Any]]:
        """The job as a row of a table."""
        snapshot = self.snapshot
        yield {
            "job": self._id, "name": snapshot.name, "key": snapshot.key, "state": snapshot.state,
            "percent": snapshot.percent, "tasks": snapshot.tasks.total, "created_at": snapshot.created_at,
            "updated_at": snapshot.updated_at, "finished_at": snapshot.finished_at,
        }  # fmt: skip

    def _read_for_view(self) -> Snapshot:
        requester = self._ledger.requester
        if requester is not None:
            return self._remember(requester.ask(calls.read_job(self._id), VIEW_PATIENCE_SECONDS))
        return self.snapshot


def read(requester: Requester | None, job: str, buffer: JobReportBuffer | None) -> Snapshot:
    """Reads a snapshot with everything recorded before, if it is folded in time."""
    if requester is None:
        return empty_snapshot(job)
    snapshot = requester.ask(calls.read_job(job))
    min_sequence = max(0 if buffer is None else buffer.last_sequence, snapshot.ledger_sequence)
    if snapshot.sequence < min_sequence:
        try:
            return requester.ask(calls.read_job(job, min_sequence), patience=0)
        except (UnavailableError, OutcomeUnknownError, InvalidValueError):
            # The projection lags by more than 5 s, or the ledger was restored to an earlier state.
            if buffer is not None and snapshot.ledger_sequence < buffer.last_sequence:
                # Later reads must not wait for the lost events.
                buffer.last_sequence = snapshot.ledger_sequence
    return snapshot
