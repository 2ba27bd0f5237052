"""HTTP/1.1 to one server: bounded connections, a deadline for each exchange, and no decision about trying again."""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Callable

from .connection import READ_BYTES, Connection, Server

# The largest answer that is held in memory: a page of 1,000 tasks with long names stays below.
ANSWER_BYTES_MAX = 64 << 20
# Idle connections that are kept. A client has one sender; more are of threads that read.
IDLE_CONNECTIONS_MAX = 4


@dataclass(frozen=True)
class Request:
    """A request as it goes out. The same object may be sent any number of times: it never changes."""

    method: str
    target: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """A whole answer. The names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    was_repeated: bool = False
    """Whether the request was sent twice, because the connection had been closed while it was idle."""


class ExchangeError(Exception):
    """An exchange that brought no answer. `sent` tells whether the server may have got the request."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class Stream:
    """An answer that is taken piece by piece. Close it, from any thread, to end it."""

    def __init__(self, transport: Transport, connection: Connection, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = _lower(response.getheaders())
        self._transport = transport
        self._connection = connection
        self._response = response

    def pieces(self, silence_seconds_max: Callable[[], float]) -> Iterator[bytes]:
        """What comes, as it comes. Raises `ExchangeError` after a silence of so long, asked for before each piece."""
        try:
            while True:
                self._connection.set_deadline(time.monotonic() + silence_seconds_max())
                piece = self._response.read1(READ_BYTES)
                if not piece:
                    return
                yield piece
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ExchangeError(f"the stream broke off: {_words(error)}", sent=True) from error
        finally:
            self.close()

    def read(self) -> bytes:
        """The rest, within the deadline of the exchange."""
        try:
            return self._response.read(ANSWER_BYTES_MAX)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ExchangeError(f"the answer broke off: {_words(error)}", sent=True) from error

    def close(self) -> None:
        self._connection.abort()
        self._transport.discard(self._connection)


class Transport:
    """Connections to one server. Any number of threads may use it."""

    def __init__(self, server: Server, token: str | None, idle_seconds: float) -> None:
        self.server = server
        self._token = token
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._all: dict[Connection, None] = {}

    def perform(self, request: Request, seconds: float, *, may_reuse: bool = True) -> Answer:
        """Sends a request once and returns its answer, whatever its status.

        `may_reuse` is False for a request that must not be sent twice: a connection that was idle may have been closed
        by the server in the meantime, which nobody can tell from a lost answer.
        """
        connection, response, was_repeated = self._exchange(request, time.monotonic() + seconds, may_reuse)
        try:
            body = response.read(ANSWER_BYTES_MAX)
            if not response.isclosed() and response.read(1):
                raise ExchangeError(f"the answer is longer than {ANSWER_BYTES_MAX} bytes", sent=True)
            if len(body) < int(response.headers.get("Content-Length") or 0) and response.status != 304:
                # `http.client` tells this only to who reads without a limit.
                raise ExchangeError("the answer broke off", sent=True)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.discard(connection)
            raise ExchangeError(f"the answer broke off: {_words(error)}", sent=True) from error
        except BaseException:
            self.discard(connection)
            raise
        if response.will_close:
            self.discard(connection)
        else:
            self._give_back(connection)
        return Answer(response.status, _lower(response.getheaders()), body, was_repeated)

    def open(self, request: Request, seconds: float) -> Stream:
        """Sends a request and returns as soon as the answer begins, on a connection of its own."""
        connection, response, _ = self._exchange(request, time.monotonic() + seconds, False)
        return Stream(self, connection, response)

    def close(self) -> None:
        """Closes the connections that nobody uses."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            self.discard(connection)

    def forget(self) -> None:
        """In a forked child: the connections are the parent's. Closes the child's copies of their descriptors."""
        # The lock may be held by a thread that the child does not have.
        self._lock = threading.Lock()
        connections, self._all, self._idle = list(self._all), {}, []
        for connection in connections:
            connection.drop()

    def discard(self, connection: Connection) -> None:
        with self._lock:
            self._all.pop(connection, None)
        connection.close()
        connection.drop()

    def _exchange(
        self, request: Request, deadline: float, may_reuse: bool
    ) -> tuple[Connection, http.client.HTTPResponse, bool]:
        connection = self._take() if may_reuse else None
        was_repeated = connection is not None
        if connection is not None:
            try:
                return connection, self._send(connection, request, deadline), False
            except (ConnectionError, http.client.BadStatusLine, ssl.SSLEOFError):
                # Closed while it was idle: the request may be sent again, and is, once, on a new connection.
                self.discard(connection)
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.discard(connection)
                raise ExchangeError(f"no answer from {self.server.url}: {_words(error)}", sent=True) from error
        connection = Connection(self.server)
        with self._lock:
            self._all[connection] = None
        try:
            connection.open(deadline)
        except (OSError, ValueError) as error:
            # `ValueError`: the name of a host that cannot be looked up, for example one with a part of 64 characters.
            self.discard(connection)
            raise ExchangeError(f"no connection to {self.server.url}: {_words(error)}", sent=False) from error
        try:
            return connection, self._send(connection, request, deadline), was_repeated
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.discard(connection)
            raise ExchangeError(f"no answer from {self.server.url}: {_words(error)}", sent=True) from error

    def _send(self, connection: Connection, request: Request, deadline: float) -> http.client.HTTPResponse:
        connection.set_deadline(deadline)
        headers = dict(request.headers)
        headers.setdefault("Accept", "application/json")
        if request.body is not None:
            headers.setdefault("Content-Type", "application/json")
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        connection.request(request.method, self.server.path + request.target, body=request.body, headers=headers)
        return connection.getresponse()

    def _take(self) -> Connection | None:
        with self._lock:
            while self._idle:
                connection = self._idle.pop()
                if time.monotonic() - connection.idle_since < self._idle_seconds:
                    return connection
                self._all.pop(connection, None)
                connection.close()
                connection.drop()
        return None

    def _give_back(self, connection: Connection) -> None:
        connection.idle_since = time.monotonic()
        with self._lock:
            if connection in self._all and len(self._idle) < IDLE_CONNECTIONS_MAX:
                self._idle.append(connection)
                return
        self.discard(connection)


def _lower(headers: list[tuple[str, str]]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers}


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
