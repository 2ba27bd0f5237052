"""HTTP/1.1 to one server, with bounded connections and a deadline for each exchange. It does not retry."""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Callable

from .connection import READ_BYTES, Connection, Server
from .credentials import TokenFile

# The largest response in memory: a page of 1,000 tasks with long names is smaller.
RESPONSE_BYTES_MAX = 64 << 20
# The idle connections to keep: one for the sender, the others for threads that read.
IDLE_CONNECTIONS_MAX = 4


@dataclass(frozen=True)
class Request:
    """An HTTP request. Immutable, so that it can be sent any number of times."""

    method: str
    target: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Response:
    """A complete HTTP response. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    was_repeated: bool = False
    """Whether the request was sent twice, because the idle connection had been closed."""


class ExchangeError(Exception):
    """An exchange without a response.

    `sent`: whether the server may have received the request.
    """

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class Stream:
    """A response that is read piece by piece. Close it, from any thread, to end it."""

    def __init__(self, transport: Transport, connection: Connection, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = _lower(response.getheaders())
        self._transport = transport
        self._connection = connection
        self._response = response

    def pieces(self, silence_seconds_max: Callable[[], float]) -> Iterator[bytes]:
        """Yields the body, piece by piece.

        Raises `ExchangeError` after a silence. The limit of the silence is evaluated before each piece.
        """
        try:
            while True:
                self._connection.set_deadline(time.monotonic() + silence_seconds_max())
                piece = self._response.read1(READ_BYTES)
                if not piece:
                    return
                yield piece
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ExchangeError(f"the stream broke off: {_describe(error)}", sent=True) from error
        finally:
            self.close()

    def read(self) -> bytes:
        """Returns the rest of the body, within the deadline of the exchange."""
        try:
            return self._response.read(RESPONSE_BYTES_MAX)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ExchangeError(f"the response broke off: {_describe(error)}", sent=True) from error

    def close(self) -> None:
        self._connection.abort()
        self._transport.discard(self._connection)


class Transport:
    """Connections to one server. Any number of threads may use it."""

    def __init__(self, server: Server, token: str | TokenFile | None, idle_seconds: float) -> None:
        self.server = server
        self._token = token
        self._idle_seconds = idle_seconds
        self._lock = threading.Lock()
        self._idle: list[Connection] = []
        self._all: dict[Connection, None] = {}

    def perform(self, request: Request, seconds: float, *, may_reuse: bool = True) -> Response:
        """Sends a request once and returns its response, with any status.

        `may_reuse` is False for a request that must not be sent twice: the server may have closed an idle connection,
        which looks like a lost response.
        """
        connection, response, was_repeated = self._exchange(request, time.monotonic() + seconds, may_reuse)
        try:
            body = response.read(RESPONSE_BYTES_MAX)
            if not response.isclosed() and response.read(1):
                raise ExchangeError(f"the response is longer than {RESPONSE_BYTES_MAX} bytes", sent=True)
            if len(body) < int(response.headers.get("Content-Length") or 0) and response.status != 304:
                # `http.client` checks this only for reads without a limit.
                raise ExchangeError("the response broke off", sent=True)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.discard(connection)
            raise ExchangeError(f"the response broke off: {_describe(error)}", sent=True) from error
        except BaseException:
            self.discard(connection)
            raise
        if response.will_close:
            self.discard(connection)
        else:
            self._give_back(connection)
        return Response(response.status, _lower(response.getheaders()), body, was_repeated)

    def open(self, request: Request, seconds: float) -> Stream:
        """Sends a request on a new connection and returns as soon as the response begins."""
        connection, response, _ = self._exchange(request, time.monotonic() + seconds, False)
        return Stream(self, connection, response)

    def close(self) -> None:
        """Closes the idle connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            self.discard(connection)

    def forget(self) -> None:
        """Closes a forked child's copies of the parent's connections."""
        # A thread that does not exist in the child may hold the lock.
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
                # The idle connection was closed. The request is sent again, once, on a new one.
                self.discard(connection)
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.discard(connection)
                raise ExchangeError(f"no response from {self.server.url}: {_describe(error)}", sent=True) from error
        connection = Connection(self.server)
        with self._lock:
            self._all[connection] = None
        try:
            connection.open(deadline)
        except (OSError, ValueError) as error:
            # `ValueError`: the host's name is invalid, for example because a part has 64 characters.
            self.discard(connection)
            raise ExchangeError(f"no connection to {self.server.url}: {_describe(error)}", sent=False) from error
        try:
            return connection, self._send(connection, request, deadline), was_repeated
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.discard(connection)
            raise ExchangeError(f"no response from {self.server.url}: {_describe(error)}", sent=True) from error

    def _send(self, connection: Connection, request: Request, deadline: float) -> http.client.HTTPResponse:
        connection.set_deadline(deadline)
        headers = dict(request.headers)
        headers.setdefault("Accept", "application/json")
        if request.body is not None:
            headers.setdefault("Content-Type", "application/json")
        token = self._token.current() if isinstance(self._token, TokenFile) else self._token
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
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


def _describe(error: BaseException) -> str:
    return str(error) or type(error).__name__
