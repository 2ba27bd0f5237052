"""The ledger's clock, which makes ages independent of the local clock."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone


class ServerClock:
    """The ledger's time: the time of its last response plus the monotonic time since."""

    def __init__(self) -> None:
        self._known: tuple[datetime, float] | None = None

    def set(self, now: datetime | None) -> None:
        """Sets the time of a response that has just arrived.

        None changes nothing.
        """
        if now is not None:
            self._known = now, time.monotonic()

    def now(self) -> datetime | None:
        """The time of the ledger; None before its first response."""
        if self._known is None:
            return None
        then, read_at = self._known
        return then + timedelta(seconds=time.monotonic() - read_at)


def response_date(headers: Mapping[str, str]) -> datetime | None:
    """Returns the `Date` of a response, or None if it is missing or invalid."""
    # `http.client` has imported it.
    from email.utils import parsedate_to_datetime

    try:
        date = parsedate_to_datetime(headers.get("date", ""))
    except (TypeError, ValueError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=timezone.utc)
