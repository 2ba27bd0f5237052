"""The notes of reports: messages, links and units, and the messages of exceptions."""

from __future__ import annotations

import re
import sys
from typing import Callable

from . import values
from .counter import Notes
from .errors import InvalidValueError
from .losses import describe
from .settings import ERROR_LENGTH_MAX, LINK_LENGTH_MAX, MESSAGE_LENGTH_MAX, UNIT_LENGTH_MAX

# Called with the kind and the message of a note that cannot be reported.
Refusal = Callable[[str, str], None]

# The control characters of Unicode (category Cc), without the line feed that a message may contain.
_CONTROLS = re.compile("[\0-\t\v-\x1f\x7f-\x9f]")
# The characters of RFC 3986; the others must be percent-encoded.
_LINK = re.compile(
    r"https?://(?:\[[0-9a-f:.]+\]|[^\s/?#@:\[\]]+)(?::([0-9]{0,5}))?(?:[/?#][^\s]*)?", re.ASCII | re.IGNORECASE
)
_NOT_IN_LINKS = re.compile(r"[^!-~]|[\"<>\\^`{|}]|%(?![0-9A-Fa-f]{2})")
_PORT_MAX = 65_535
# A URL with user information, up to the last "@" of the word: a password may contain any character.
_USER = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]*://)[^\s]*@")
# The length of the text in which credentials are looked for; five times that of a message.
_SCANNED_LENGTH_MAX = 1_000
# The query of a URL, which may contain a signature or a token.
_QUERY = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]*://[^\s?]*)\?[^\s]*")


def message(value: str) -> str:
    """Returns a message of 1 to 1,000 characters.

    It is text for people: a longer one is cut, and control characters other than line feeds become spaces.
    """
    if not isinstance(value, str):
        raise InvalidValueError(f"a message must be a string, not {describe(value)}")
    text = _CONTROLS.sub(" ", str.__str__(value)[:MESSAGE_LENGTH_MAX])
    return values.text(text, "a message", 1, MESSAGE_LENGTH_MAX)


def link(value: str) -> str:
    """Returns a link: a URL with `http` or `https`, without a user or a password."""
    text = values.text(value, "a link", 1, LINK_LENGTH_MAX)
    found = _LINK.fullmatch(text)
    if found is None or int(found[1] or 0) > _PORT_MAX or _NOT_IN_LINKS.search(text):
        # Without the text, which may contain a password.
        raise InvalidValueError("a link must be an http or https URL, percent-encoded and without a user or a password")
    return text


def unit(value: str) -> str:
    """Returns the unit of an indicator, such as `bytes` or `tiles`: 1 to 32 characters."""
    text = values.text(value, "a unit", 1, UNIT_LENGTH_MAX)
    if "\n" in text or _CONTROLS.search(text):
        raise InvalidValueError("a unit must not contain control characters")
    return text


def notes(given_message: str | None, given_link: str | None, refuse: Refusal) -> Notes:
    """Returns the valid ones of a message and a link; the others are refused. An empty one counts as absent."""
    found: Notes = {}
    for name, value, check in (("message", given_message, message), ("link", given_link, link)):
        if value is None or value == "":
            continue
        try:
            found[name] = check(value)
        except Exception as error:
            refuse(name, f"the {name} of a report is dropped: {error}")
    return found


def outcome_of_error(error: BaseException | None) -> str:
    """Returns the outcome of an execution that an exception has left; None if none has."""
    if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
        return "succeeded"
    if isinstance(error, (KeyboardInterrupt, GeneratorExit)):
        return "canceled"
    # Without an import of asyncio, which takes long. If it is not imported, nothing raises its errors.
    asyncio = sys.modules.get("asyncio")
    return "canceled" if asyncio is not None and isinstance(error, asyncio.CancelledError) else "failed"


def message_of_error(error: BaseException, with_text: bool) -> str:
    """Returns the type of an exception, and with its text the first line of at most 200 characters.

    The text is without credentials: users, passwords and queries of URLs are removed.
    """
    kind = type(error)
    module = kind.__module__
    name = kind.__qualname__ if module in ("builtins", "__main__") else f"{module}.{kind.__qualname__}"
    if not with_text:
        return name[:ERROR_LENGTH_MAX]
    try:
        lines = str(error).strip().splitlines()
        # The patterns take quadratic time.
        if lines and len(lines[0]) > _SCANNED_LENGTH_MAX:
            lines[0] = _cut(lines[0])
    except Exception:
        # An exception's own `__str__` may raise anything.
        lines = []
    text = f"{name}: {without_credentials(lines[0])}" if lines else name
    return text if len(text) <= ERROR_LENGTH_MAX else f"{text[: ERROR_LENGTH_MAX - 1]}…"


def _cut(line: str) -> str:
    """The beginning of a long line, without a URL that is cut within its credentials."""
    line = line[:_SCANNED_LENGTH_MAX]
    begin = re.search(r"\S*\Z", line)
    whole, last = (line, "") if begin is None else (line[: begin.start()], begin.group())
    beginning, separator, _ = last.partition("://")
    return f"{whole}{beginning}{separator}"


def without_credentials(text: str) -> str:
    """Removes users, passwords and queries from the URLs in a text."""
    return _QUERY.sub(r"\1?…", _USER.sub(r"\1", text))
