"""The clock of a client, and the ledger's, which makes ages independent of the local time of day."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Callable


@dataclass(frozen=True)
class Clock:
    """The monotonic time of a client, and the pauses of its callers. Tests replace it, and wait for neither.

    The deadlines of connections are not among it, because sockets keep them.
    """

    now: Callable[[], float] = time.monotonic
    """The time in seconds."""
    sleep: Callable[[float], object] = time.sleep
    """Pauses for some seconds."""
    wait: Callable[[threading.Event, float], bool] = threading.Event.wait
    """Pauses for some seconds, or until an event, and returns whether it happened."""


SYSTEM_CLOCK = Clock()


class ServerClock:
    """The ledger's time: the time of its last response plus the monotonic time since."""

    def __init__(self, monotonic: Callable[[], float] = SYSTEM_CLOCK.now) -> None:
        self._monotonic = monotonic
        self._known: tuple[datetime, float] | None = None

    def set(self, now: datetime | None) -> None:
        """Sets the time of a response that has just arrived.

        None changes nothing.
        """
        if now is not None:
            self._known = now, self._monotonic()

    def now(self) -> datetime | None:
        """The time of the ledger; None before its first response."""
        if self._known is None:
            return None
        then, read_at = self._known
        return then + timedelta(seconds=self._monotonic() - read_at)


def response_date(headers: Mapping[str, str]) -> datetime | None:
    """Returns the `Date` of a response, or None if it is missing or invalid."""
    # `http.client` has imported it.
    from email.utils import parsedate_to_datetime

    try:
        date = parsedate_to_datetime(headers.get("date", ""))
    except (TypeError, ValueError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=timezone.utc)
