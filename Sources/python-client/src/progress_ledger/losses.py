"""Reports that cannot be sent: each kind of loss is logged once."""

from __future__ import annotations

import logging
import reprlib

logger = logging.getLogger("progress_ledger")


class LossLog:
    """Logs each kind of loss once; the caller counts."""

    def __init__(self) -> None:
        self._logged: set[str] = set()

    def log(self, kind: str, message: str, *arguments: object, level: int = logging.ERROR) -> None:
        """Logs a message unless one of this kind was logged before. Never raises."""
        if kind in self._logged:
            return
        self._logged.add(kind)
        try:
            logger.log(level, f"{message} (logged once)", *arguments)
        except Exception:
            # An error in one of the program's log handlers must not end the task that reports.
            pass

    def forget(self) -> None:
        """Forgets the logged kinds, in a forked child."""
        self._logged.clear()


def describe(value: object) -> str:
    """Returns a short description of any value. Never raises, even if the value's `repr` does."""
    try:
        if isinstance(value, int) and value.bit_length() > 100:
            return f"an integer of {value.bit_length()} bits"
        return reprlib.repr(value)
    except Exception:
        return f"an object of type {type(value).__name__}"
