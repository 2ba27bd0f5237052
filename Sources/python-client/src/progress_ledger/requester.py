"""Asks the ledger and waits for the answer, trying again where that is safe."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Callable, TypeVar

from .calls import Call, Page
from .delivery import pause
from .errors import LedgerError, OutcomeUnknownError, UnavailableError
from .settings import DEFAULTS, Settings
from .transport import ExchangeError, Transport

T = TypeVar("T")


class Requester:
    """Asks on behalf of a client. Any number of threads may use it."""

    def __init__(self, transport: Transport, settings: Settings) -> None:
        self.transport = transport
        self.settings = settings

    def ask(self, call: Call[T], patience: float | None = None) -> T:
        """The answer to a call. Tries for `Settings.patience_seconds` unless told, then raises the last failure."""
        began, tries = time.monotonic(), 0
        limit = self.settings.patience_seconds if patience is None else patience
        while True:
            tries += 1
            left = limit - (time.monotonic() - began)
            # One try gets what a request may take; of more, the last one ends with the patience.
            seconds = min(self.settings.request_seconds, left) if left > 0 else self.settings.request_seconds
            try:
                return self._ask_once(call, seconds)
            except (UnavailableError, OutcomeUnknownError) as error:
                if isinstance(error, OutcomeUnknownError) and not call.is_repeatable:
                    raise
                asked = error.retry_after if isinstance(error, UnavailableError) else None
                wait = pause(tries, asked, random.random(), self.settings)
                if time.monotonic() + wait - began > limit:
                    raise
                time.sleep(wait)

    def _ask_once(self, call: Call[T], seconds: float) -> T:
        try:
            answer = self.transport.perform(call.request, seconds, may_reuse=call.is_repeatable)
        except ExchangeError as error:
            raise _error_of(error) from error
        return call.result(answer)

    def pages(self, next_page: Callable[[str | None], Call[Page[T]]], cursor: str | None = None) -> Iterator[T]:
        """All rows of an answer that comes in pages; each page is asked for when it is needed."""
        while True:
            rows, cursor = self.ask(next_page(cursor))
            yield from rows
            if cursor is None:
                return


class UnusableRequester(Requester):
    """Raises what is wrong with the configuration whenever it is asked for something."""

    def __init__(self, problem: LedgerError) -> None:
        self._problem = problem
        self.settings = DEFAULTS

    @property
    def transport(self) -> Transport:  # type: ignore[override]
        raise self._problem

    def ask(self, call: Call[T], patience: float | None = None) -> T:
        raise self._problem


def _error_of(error: ExchangeError) -> LedgerError:
    return OutcomeUnknownError(str(error)) if error.sent else UnavailableError(str(error))
