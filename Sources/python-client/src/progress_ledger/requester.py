"""Sends calls to the ledger, waits for responses, and retries if that is safe."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Callable, TypeVar

from .calls import Call, Page
from .clock import SYSTEM_CLOCK, Clock
from .disposition import retry_pause
from .errors import LedgerError, OutcomeUnknownError, UnavailableError
from .settings import DEFAULTS, Settings
from .transport import ExchangeError, Transport

T = TypeVar("T")


class Requester:
    """The synchronous requests of one client. Thread-safe."""

    def __init__(self, transport: Transport, settings: Settings, clock: Clock = SYSTEM_CLOCK) -> None:
        self.transport = transport
        self.settings = settings
        self.clock = clock

    def ask(self, call: Call[T], patience: float | None = None) -> T:
        """Returns the result of a call.

        Retries for `patience` or `Settings.patience_seconds`, then raises.
        """
        began, tries, is_unknown = self.clock.now(), 0, False
        limit = self.settings.patience_seconds if patience is None else patience
        while True:
            tries += 1
            left = limit - (self.clock.now() - began)
            # The last try ends with the patience. A single try gets the whole time of a request.
            seconds = min(self.settings.request_seconds, left) if left > 0 else self.settings.request_seconds
            try:
                return self._ask_once(call, seconds)
            except (UnavailableError, OutcomeUnknownError) as error:
                is_unknown = is_unknown or isinstance(error, OutcomeUnknownError)
                if isinstance(error, OutcomeUnknownError) and not call.is_repeatable:
                    raise
                asked = error.retry_after if isinstance(error, UnavailableError) else None
                wait = retry_pause(tries, asked, random.random(), self.settings)
                if self.clock.now() + wait - began > limit:
                    if call.is_new_each_time and is_unknown and isinstance(error, UnavailableError):
                        # An earlier try may have been recorded.
                        raise OutcomeUnknownError(str(error), status=error.status, errors=error.errors) from error
                    raise
                self.clock.sleep(wait)

    def _ask_once(self, call: Call[T], seconds: float) -> T:
        try:
            response = self.transport.perform(call.request, seconds, may_reuse=call.is_repeatable)
        except ExchangeError as error:
            raise _error_of(error) from error
        return call.result(response)

    def pages(self, next_page: Callable[[str | None], Call[Page[T]]], cursor: str | None = None) -> Iterator[T]:
        """Yields all rows of a paged result; each page is requested when it is needed."""
        while True:
            rows, cursor = self.ask(next_page(cursor))
            yield from rows
            if cursor is None:
                return


class UnusableRequester(Requester):
    """A requester without a usable configuration: every call raises the problem."""

    def __init__(self, problem: LedgerError) -> None:
        self._problem = problem
        self.settings = DEFAULTS
        self.clock = SYSTEM_CLOCK

    @property
    def transport(self) -> Transport:  # type: ignore[override]
        raise self._problem

    def ask(self, call: Call[T], patience: float | None = None) -> T:
        raise self._problem


def _error_of(error: ExchangeError) -> LedgerError:
    return OutcomeUnknownError(str(error)) if error.sent else UnavailableError(str(error))
