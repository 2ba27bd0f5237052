"""An incremental parser of server-sent events, as the HTML standard defines them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .errors import UnexpectedAnswerError

# Larger than any snapshot: 10,000 labels are some 3 MB.
EVENT_BYTES_MAX = 16 << 20


@dataclass(frozen=True)
class ServerEvent:
    """One event; a comment, which is a heartbeat, has no type."""

    type: str | None
    data: str = ""
    id: str | None = None


class EventReader:
    """Parses pieces of a stream into complete events."""

    def __init__(self) -> None:
        self._rest = b""
        self._type = ""
        self._data: list[str] = []
        self._id: str | None = None
        self._size = 0

    def feed(self, piece: bytes) -> Iterator[ServerEvent]:
        """Yields the events that end in this piece.

        Raises `UnexpectedAnswerError` if one is too long.
        """
        self._rest += piece
        while True:
            line = self._take_line()
            if line is None:
                if len(self._rest) > EVENT_BYTES_MAX:
                    raise UnexpectedAnswerError("an event of the stream is too long")
                return
            event = self._take(line.decode("utf-8", errors="replace"))
            if event is not None:
                yield event

    def _take_line(self) -> bytes | None:
        ends = [index for index in (self._rest.find(b"\n"), self._rest.find(b"\r")) if index >= 0]
        if not ends:
            return None
        end = min(ends)
        if self._rest[end : end + 1] == b"\r" and end + 1 == len(self._rest):
            # A line feed may follow the carriage return in the next piece.
            return None
        line = self._rest[:end]
        self._rest = self._rest[end + (2 if self._rest[end : end + 2] == b"\r\n" else 1) :]
        return line

    def _take(self, line: str) -> ServerEvent | None:
        if not line:
            event = (
                ServerEvent(self._type or "message", "\n".join(self._data), self._id)
                if self._data or self._type
                else None
            )
            self._type, self._data, self._size = "", [], 0
            return event
        if line.startswith(":"):
            return ServerEvent(None)
        name, _, value = line.partition(":")
        value = value[1:] if value.startswith(" ") else value
        if name == "event":
            self._type = value
        elif name == "data":
            self._size += len(value)
            if self._size > EVENT_BYTES_MAX:
                raise UnexpectedAnswerError("an event of the stream is too long")
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._id = value
        return None
