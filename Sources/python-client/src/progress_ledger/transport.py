"""HTTP/1.1 to one server: bounded connections, a deadline for each exchange, and no decision about trying again.

Built on `http.client`, which sets time limits on single reads only; here a whole exchange has one, so that a server
that answers a byte at a time holds nobody up.
"""

from __future__ import annotations

# Looking up a host's name imports this when it is first done, in the sender's thread. A process that forks in the
# middle of an import has half a module in its child, for good: so it is imported here.
import encodings.idna  # noqa: F401
import http.client
import io
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Callable
from urllib.parse import urlsplit

from .errors import InvalidValueError

# The largest answer that is held in memory: a page of 1,000 tasks with long names stays below.
ANSWER_BYTES_MAX = 64 << 20
# Idle connections that are kept. A client has one sender; more are of threads that read.
IDLE_CONNECTIONS_MAX = 4
READ_BYTES = 65_536


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


class ExchangeError(Exception):
    """An exchange that brought no answer. `sent` tells whether the server may have got the request."""

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


class _DeadlineReader(io.RawIOBase):
    """Reads from a socket, each time within what is left until the deadline."""

    def __init__(self, connection: _DeadlineSocket) -> None:
        self._connection = connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._connection.limit()
        return self._connection.socket.recv_into(buffer)

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._connection.reader_closed()


class _DeadlineSocket:
    """The part of a socket that `http.client` uses, with one deadline for all that happens on it."""

    def __init__(self, wrapped: socket.socket) -> None:
        self.socket = wrapped
        self.deadline = 0.0
        self._readers = 0
        self._is_released = False

    def limit(self) -> None:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise socket.timeout("the answer took too long")
        self.socket.settimeout(left)

    def makefile(self, mode: str, *_: Any, **__: Any) -> io.BufferedReader:
        self._readers += 1
        return io.BufferedReader(_DeadlineReader(self), READ_BYTES)

    def sendall(self, data: Any) -> None:
        self.limit()
        self.socket.sendall(data)

    def close(self) -> None:
        # `http.client` closes its socket before the body is read where the connection is not to be kept.
        self._is_released = True
        if self._readers == 0:
            self.socket.close()

    def reader_closed(self) -> None:
        self._readers -= 1
        if self._is_released and self._readers == 0:
            self.socket.close()


class _Connection(http.client.HTTPConnection):
    """A connection whose every exchange has a deadline."""

    def __init__(self, server: Server) -> None:
        super().__init__(server.host, server.port)
        self._server = server
        self.idle_since = 0.0
        self._guarded: _DeadlineSocket | None = None

    def set_deadline(self, deadline: float) -> None:
        if self._guarded is None:
            self.open(deadline)
        assert self._guarded is not None
        self._guarded.deadline = deadline

    def open(self, deadline: float) -> None:
        # The look-up of the name has no limit of its own: the system's resolver keeps to its own, some 10 s.
        left = max(0.001, deadline - time.monotonic())
        plain = socket.create_connection((self._server.host, self._server.port), timeout=left)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._server.tls is not None:
                plain = self._server.tls.wrap_socket(plain, server_hostname=self._server.host)
        except BaseException:
            plain.close()
            raise
        self._guarded = _DeadlineSocket(plain)
        self.sock = self._guarded

    def abort(self) -> None:
        """Ends whatever another thread waits for on this connection."""
        guarded = self._guarded
        if guarded is not None:
            try:
                # That of the socket itself: an `SSLSocket` would take away what the other thread is using.
                socket.socket.shutdown(guarded.socket, socket.SHUT_RDWR)
            except OSError:
                # The other side was quicker.
                pass

    def drop(self) -> None:
        """Closes this process's descriptor, whoever still reads from it, and says nothing to the server."""
        if self._guarded is not None:
            self._guarded.socket.close()


@dataclass(frozen=True)
class Server:
    """Where the ledger is: `http://HOST:PORT` or `https://…`, with a path where a proxy serves it below one."""

    host: str
    port: int
    path: str
    tls: ssl.SSLContext | None
    url: str

    @classmethod
    def parse(cls, url: str, tls: ssl.SSLContext | None = None) -> Server:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise InvalidValueError(f"{url!r} is not the URL of a ledger: {error}") from None
        if parts.scheme not in ("http", "https") or not host:
            raise InvalidValueError(f"{url!r} is not the URL of a ledger: it must begin with http:// or https://")
        if parts.query or parts.fragment or parts.username or parts.password:
            raise InvalidValueError(
                "the URL of a ledger has no query, no fragment and no password; a token is given apart"
            )
        tls = tls or ssl.create_default_context() if parts.scheme == "https" else None
        return cls(host, port or (443 if tls else 80), parts.path.rstrip("/"), tls, url)


class Stream:
    """An answer that is taken piece by piece. Close it, from any thread, to end it."""

    def __init__(self, transport: Transport, connection: _Connection, response: http.client.HTTPResponse) -> None:
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
        return self._response.read(ANSWER_BYTES_MAX)

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
        self._idle: list[_Connection] = []
        self._all: dict[_Connection, None] = {}

    def perform(self, request: Request, seconds: float, *, may_reuse: bool = True) -> Answer:
        """Sends a request once and returns its answer, whatever its status.

        `may_reuse` is False for a request that must not be sent twice: a connection that was idle may have been closed
        by the server in the meantime, which nobody can tell from a lost answer.
        """
        connection, response = self._exchange(request, time.monotonic() + seconds, may_reuse)
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
        return Answer(response.status, _lower(response.getheaders()), body)

    def open(self, request: Request, seconds: float) -> Stream:
        """Sends a request and returns as soon as the answer begins, on a connection of its own."""
        connection, response = self._exchange(request, time.monotonic() + seconds, False)
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

    def discard(self, connection: _Connection) -> None:
        with self._lock:
            self._all.pop(connection, None)
        connection.close()
        connection.drop()

    def _exchange(
        self, request: Request, deadline: float, may_reuse: bool
    ) -> tuple[_Connection, http.client.HTTPResponse]:
        connection = self._take() if may_reuse else None
        if connection is not None:
            try:
                return connection, self._send(connection, request, deadline)
            except (ConnectionError, http.client.BadStatusLine, ssl.SSLEOFError):
                # Closed while it was idle: the request may be sent again, and is, once, on a new connection.
                self.discard(connection)
            except (OSError, http.client.HTTPException) as error:
                self.discard(connection)
                raise ExchangeError(f"no answer from {self.server.url}: {_words(error)}", sent=True) from error
        connection = _Connection(self.server)
        with self._lock:
            self._all[connection] = None
        try:
            connection.open(deadline)
        except OSError as error:
            self.discard(connection)
            raise ExchangeError(f"no connection to {self.server.url}: {_words(error)}", sent=False) from error
        try:
            return connection, self._send(connection, request, deadline)
        except (OSError, http.client.HTTPException) as error:
            self.discard(connection)
            raise ExchangeError(f"no answer from {self.server.url}: {_words(error)}", sent=True) from error

    def _send(self, connection: _Connection, request: Request, deadline: float) -> http.client.HTTPResponse:
        connection.set_deadline(deadline)
        headers = dict(request.headers)
        headers.setdefault("Accept", "application/json")
        if request.body is not None:
            headers.setdefault("Content-Type", "application/json")
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        connection.request(request.method, self.server.path + request.target, body=request.body, headers=headers)
        return connection.getresponse()

    def _take(self) -> _Connection | None:
        with self._lock:
            while self._idle:
                connection = self._idle.pop()
                if time.monotonic() - connection.idle_since < self._idle_seconds:
                    return connection
                self._all.pop(connection, None)
                connection.close()
                connection.drop()
        return None

    def _give_back(self, connection: _Connection) -> None:
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
