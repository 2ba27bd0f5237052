"""Why the ledger did not do as it was asked. Reporting never raises these; reading and creating do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class LedgerError(Exception):
    """Something that was asked of the ledger failed. Switch on the class, never on the text.

    `status` is that of the HTTP answer, where there was one; `errors` are the ledger's own words on each wrong field.
    """

    def __init__(self, message: str, *, status: int | None = None, errors: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.errors = tuple(errors)


class InvalidValueError(LedgerError, ValueError):
    """A value that the ledger would refuse, or has refused: negative, fractional, too large, too long."""


class NotFoundError(LedgerError, LookupError):
    """There is no such job, or no such indicator."""


class ConflictError(LedgerError):
    """It contradicts what the ledger holds already: a key that belongs to another job, for example."""


class UnauthorizedError(LedgerError):
    """The token is missing, unknown, revoked, or does not allow this."""


class UnavailableError(LedgerError):
    """The ledger could not be reached, or could take no more. Nothing was taken, and trying again later is safe."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        errors: Sequence[Mapping[str, Any]] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, status=status, errors=errors)
        self.retry_after = retry_after


class OutcomeUnknownError(LedgerError):
    """The request was sent and its answer was lost: it may or may not have been done."""


class UnexpectedAnswerError(LedgerError):
    """The answer is not one of a progress ledger of this version."""
