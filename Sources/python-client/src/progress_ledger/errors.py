"""The errors of reading and creating. Reporting raises none of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class LedgerError(Exception):
    """A failed request. Switch on the class, never on the text.

    `status` is the HTTP status, if there was a response; `errors` are the ledger's messages on each invalid field.
    """

    def __init__(self, message: str, *, status: int | None = None, errors: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.errors = tuple(errors)


class InvalidValueError(LedgerError, ValueError):
    """A value that the ledger would refuse or has refused.

    It is negative, fractional, too large or too long, for example.
    """


class NotFoundError(LedgerError, LookupError):
    """The job or the indicator does not exist."""


class ConflictError(LedgerError):
    """A conflict with recorded data: a key that belongs to another job, for example."""


class UnauthorizedError(LedgerError):
    """The token is missing, unknown, revoked, or does not allow this."""


class UnavailableError(LedgerError):
    """The ledger was unreachable or overloaded.

    Nothing was recorded, and a retry is safe.
    """

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
    """The response was lost; the request may or may not have been carried out."""


class UnexpectedAnswerError(LedgerError):
    """The response is not that of a progress ledger of this version."""
