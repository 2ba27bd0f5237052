"""A clock that moves only when a caller pauses or a test moves it."""

from __future__ import annotations

import threading

from progress_ledger import Client
from progress_ledger.clock import Clock


class ManualClock:
    """A clock for one client, or for the parts of one."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []
        self.clock = Clock(lambda: self.now, self.pause, self._wait)

    def pause(self, seconds: float) -> None:
        self.now += seconds
        self.pauses.append(seconds)

    def _wait(self, event: threading.Event, seconds: float) -> bool:
        self.pause(seconds)
        return event.is_set()

    def give(self, client: Client) -> Client:
        """Makes the calls and watches of a client use this clock."""
        requester = client._ledger.requester
        assert requester is not None
        requester.clock = self.clock
        return client
