"""Validation of values by the rules of the ledger's specification."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import SupportsIndex

from . import settings
from .errors import InvalidValueError
from .losses import describe

# 30 days: longer waits overflow the system calls of some platforms.
SECONDS_MAX = 30 * 86_400.0


def integer(value: SupportsIndex, name: str, least: int, most: int) -> int:
    """Returns the value as an `int`.

    Integers of other libraries (numpy's, for example) are integers too.
    """
    if isinstance(value, bool):
        raise InvalidValueError(f"{name} must be an integer, not {value}")
    try:
        number = operator.index(value)
    except Exception:
        # Not only `TypeError`: an object's own `__index__` may raise anything.
        raise InvalidValueError(f"{name} must be an integer, not {describe(value)}") from None
    if not least <= number <= most:
        raise InvalidValueError(f"{name} must be from {least} to {most}, not {describe(number)}")
    return number


def increment(value: SupportsIndex) -> int:
    """Validates a number of units, 0 to 2^53 − 1."""
    return integer(value, "the number of units", 0, settings.INCREMENT_MAX)


def text(value: str, name: str, least: int, most: int) -> str:
    """Returns the value if the ledger accepts it. Lengths are in Unicode scalars."""
    if not isinstance(value, str):
        raise InvalidValueError(f"{name} must be a string, not {describe(value)}")
    if not least <= len(value) <= most:
        raise InvalidValueError(f"{name} must have {least} to {most} characters, not {len(value)}")
    if "\0" in value:
        raise InvalidValueError(f"{name} must not contain NUL")
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise InvalidValueError(f"{name} must not contain a lone surrogate") from None
    # A subclass of `str` could be printed or compared differently.
    return value if type(value) is str else str.__str__(value)


def label(value: str | None) -> str | None:
    """Validates a label; None and `""` are the default indicator."""
    if value is None or value == "":
        return None
    return text(value, "a label", 1, settings.LABEL_LENGTH_MAX)


def seconds(value: float | None, default: float) -> float:
    """Limits a wait to the range of every system call; returns the default for None and other types."""
    try:
        number = default if value is None else float(value)
    except Exception:
        return default
    return default if number != number else min(max(number, 0.0), SECONDS_MAX)


def task(value: str) -> str:
    """The name of a task."""
    return text(value, "the name of a task", 1, settings.TASK_LENGTH_MAX)


def execution(value: str) -> str:
    """The name of an execution."""
    return text(value, "the name of an execution", 1, settings.EXECUTION_LENGTH_MAX)


def attempt(value: SupportsIndex | None) -> int | None:
    """An attempt, or None if the ledger assigns it."""
    return None if value is None else integer(value, "an attempt", 1, settings.ATTEMPT_MAX)


def choice(value: str, name: str, choices: tuple[str, ...]) -> str:
    """Validates one of several values."""
    if not isinstance(value, str) or value not in choices:
        raise InvalidValueError(f"{name} must be one of {', '.join(choices)}, not {describe(value)}")
    return value


def job_name(value: str) -> str:
    """The name of a job."""
    return text(value, "the name of a job", 1, settings.JOB_NAME_LENGTH_MAX)


def job_key(value: str | None) -> str | None:
    """The unique key of a job."""
    return None if value is None else text(value, "the key of a job", 1, settings.JOB_KEY_LENGTH_MAX)


def tags(value: Mapping[str, str] | None) -> dict[str, str]:
    """The tags of a job."""
    checked = {}
    for name, content in (value or {}).items():
        text(name, "the name of a tag", 1, settings.TAG_NAME_LENGTH_MAX)
        checked[name] = text(content, f"the tag {name!r}", 0, settings.TAG_VALUE_LENGTH_MAX)
    if len(checked) > settings.TAGS_MAX:
        raise InvalidValueError(f"a job has at most {settings.TAGS_MAX} tags, not {len(checked)}")
    return checked


EXECUTION_OUTCOMES = ("succeeded", "failed", "canceled")
JOB_OUTCOMES = ("completed", "failed", "canceled")
JOB_STATES = ("running", "completed", "failed", "canceled")
TASK_STATES = ("running", "succeeded", "failed", "canceled", "abandoned")
POLICIES = ("last", "last_successful", "all")
