"""The reachability of the ledger: when to retry, and how long to wait for it.

It only decides: callers pass the time and the random numbers, and nothing is sent.
"""

from __future__ import annotations

from .disposition import asked_pause, retry_pause
from .settings import Settings

# How long appends skip `wait=folded` after the projection has missed the ledger's 5 s.
VERDICT_PAUSE_SECONDS = 30.0
# The time for which an unsuccessful wait at an end counts. When a process stops, its executions, its client and itself
# end shortly after one another and share one wait; ends an hour later do not.
VAIN_WAIT_MEMORY_SECONDS = 60.0
# The time that is left of a pause when an execution ends. Thousands of ends in a second must not be as many requests.
SKIPPED_PAUSE_SECONDS_MIN = 0.02


class ServerHealth:
    """The results of the requests so far. All times are of one monotonic clock."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.not_before = 0.0
        """The earliest time of the next request."""
        self._earliest = 0.0
        """The earliest time of a request that skips the client's own pause."""
        self.verdicts_not_before = 0.0
        """The earliest time to wait for verdicts again."""
        self.failed_requests = 0
        self.last_error: str | None = None
        self._failures = 0
        self._failing_since: float | None = None
        self._is_slow = False
        self._waited_in_vain = 0.0
        self._waited_until = float("-inf")

    def record_failure(self, reason: str, asked: float | None, now: float, chance: float) -> bool:
        """Records a request without effect, and returns whether an outage starts with it."""
        self.record_refusal(reason)
        self._failures += 1
        self.not_before = now + retry_pause(self._failures, asked, chance, self._settings)
        asked_seconds = 0.0 if asked is None else asked_pause(asked, chance, self._settings)
        self._earliest = now + max(asked_seconds, SKIPPED_PAUSE_SECONDS_MIN)
        if self._failing_since is not None:
            return False
        self._failing_since = now
        return True

    def skip_pause(self) -> None:
        """Ends the client's own pause, but not the one that the ledger asked for."""
        self.not_before = min(self.not_before, self._earliest)

    def record_refusal(self, reason: str) -> None:
        """Records a response that refuses the request."""
        self.failed_requests += 1
        self.last_error = reason

    def end_pauses(self) -> None:
        """Ends all pauses, because the ledger has responded."""
        self._failures = 0
        self.not_before = self._earliest = 0.0

    def record_success(self, took: float, now: float) -> float | None:
        """Records a success after `took` seconds, and returns the length of the outage that it ends, if any."""
        self.end_pauses()
        self.last_error = None
        self._waited_in_vain = 0.0
        if took <= self._settings.outage_patience_seconds:
            self._is_slow = False
        began, self._failing_since = self._failing_since, None
        return None if began is None else now - began

    def end_time_left(self, seconds: float, now: float) -> float:
        """Returns the part of `seconds` that is left after unsuccessful waits of other ends."""
        if now - self._waited_until > VAIN_WAIT_MEMORY_SECONDS:
            self._waited_in_vain = 0.0
        return max(0.0, seconds - self._waited_in_vain)

    def record_vain_wait(self, began: float, now: float) -> None:
        """Records an unsuccessful wait of an end since `began`. Simultaneous waits count once."""
        self._waited_in_vain += max(0.0, now - max(began, self._waited_until))
        self._waited_until = max(now, self._waited_until)

    def record_missed_verdicts(self, now: float) -> None:
        """Records that the projection did not reach recorded events in time."""
        self.verdicts_not_before = now + VERDICT_PAUSE_SECONDS

    def wait_limit(self, deadline: float, now: float, is_patient: bool) -> float | None:
        """The seconds to wait before checking the delivery again; None to give up.

        Gives up at once if the ledger is unreachable or an earlier wait was unsuccessful, unless `is_patient`.
        """
        if not is_patient and (self._is_slow or self.is_away(now)):
            return None
        if now >= deadline:
            self._is_slow = True
            return None
        if is_patient or self._failing_since is None:
            return deadline - now
        return max(0.0, min(deadline, self._failing_since + self._settings.outage_patience_seconds) - now)

    def is_away(self, now: float) -> bool:
        """Returns whether requests have failed for longer than `Settings.outage_patience_seconds`."""
        return self._failing_since is not None and now - self._failing_since >= self._settings.outage_patience_seconds
