"""Whether the ledger answers, when to try again, and for how long to wait for it. No clock, no I/O."""

from __future__ import annotations

from .delivery import pause
from .settings import Settings

# How long reports do not wait for the projection after it did not get to them within the ledger's 5 s.
VERDICT_PAUSE_SECONDS = 30.0
# For how long it is remembered that the end of something has waited in vain. The ends that follow each other when a
# process stops (of its executions, of its client, of itself) share one wait; those of another hour do not.
VAIN_WAIT_MEMORY_SECONDS = 60.0


class Contact:
    """What the tries so far have shown. All times are of one steady clock."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.not_before = 0.0
        """When to try again at the earliest."""
        self.verdicts_not_before = 0.0
        """When to wait for verdicts again at the earliest."""
        self.failed_requests = 0
        self.last_error: str | None = None
        self._failures = 0
        self._failing_since: float | None = None
        self._is_slow = False
        self._waited_in_vain = 0.0
        self._waited_until = float("-inf")

    def failed(self, reason: str, asked: float | None, now: float, chance: float) -> bool:
        """A try brought no record. Returns whether an outage begins with it."""
        self.blamed(reason)
        self._failures += 1
        self.not_before = now + pause(self._failures, asked, chance, self._settings)
        if self._failing_since is not None:
            return False
        self._failing_since = now
        return True

    def blamed(self, reason: str) -> None:
        """The ledger answered, and did not take what was sent."""
        self.failed_requests += 1
        self.last_error = reason

    def answered(self, took: float, now: float) -> float | None:
        """A try was recorded after so many seconds. Returns how long the outage was that ends with it, if any."""
        self._failures = 0
        self._waited_in_vain = 0.0
        self.not_before = 0.0
        if took <= self._settings.outage_patience_seconds:
            self._is_slow = False
        began, self._failing_since = self._failing_since, None
        return None if began is None else now - began

    def left_at_end(self, seconds: float, now: float) -> float:
        """What is left of the time that an end may wait, after the ends before it that waited in vain."""
        if now - self._waited_until > VAIN_WAIT_MEMORY_SECONDS:
            self._waited_in_vain = 0.0
        return max(0.0, seconds - self._waited_in_vain)

    def waited_in_vain(self, began: float, now: float) -> None:
        """An end has waited and nothing was delivered. Waits at the same time count once."""
        self._waited_in_vain += max(0.0, now - max(began, self._waited_until))
        self._waited_until = max(now, self._waited_until)

    def missed_verdicts(self, now: float) -> None:
        """The projection did not get to what was recorded."""
        self.verdicts_not_before = now + VERDICT_PAUSE_SECONDS

    def patience(self, deadline: float, now: float, is_patient: bool) -> float | None:
        """How long to wait before looking again whether something is delivered; None to give up.

        A ledger that is away, or that has let somebody wait in vain, is not waited for, unless `is_patient`.
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
        """Whether it has not answered for longer than anybody should wait."""
        return self._failing_since is not None and now - self._failing_since >= self._settings.outage_patience_seconds
