"""One connection to a server, on which everything has a deadline.

`http.client` sets time limits on single reads only; here a whole exchange has one, so that a server that answers a byte
at a time holds nobody up.
"""

from __future__ import annotations

# The first name lookup imports this, in the sender's thread. A process that forks during an import leaves half a module
# in its child for good; hence the import here.
import encodings.idna  # noqa: F401
import http.client
import io
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .errors import InvalidValueError

READ_BYTES = 65_536


class _DeadlineReader(io.RawIOBase):
    """A reader of a socket with one deadline for all reads."""

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
    """The socket for `http.client`, with one deadline for all operations."""

    def __init__(self, wrapped: socket.socket) -> None:
        self.socket = wrapped
        self.deadline = 0.0
        self._readers = 0
        self._is_released = False

    def limit(self) -> None:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise socket.timeout("the response took too long")
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


class Connection(http.client.HTTPConnection):
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
        plain = _connect(self._server.host, self._server.port, deadline)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # One limit for the whole handshake.
            plain.settimeout(_left(deadline))
            if self._server.tls is not None:
                plain = self._server.tls.wrap_socket(plain, server_hostname=self._server.host)
        except BaseException:
            plain.close()
            raise
        self._guarded = _DeadlineSocket(plain)
        self.sock = self._guarded

    def abort(self) -> None:
        """Ends the wait of another thread on this connection."""
        guarded = self._guarded
        if guarded is not None:
            try:
                # That of the socket itself: an `SSLSocket` would take away what the other thread is using.
                socket.socket.shutdown(guarded.socket, socket.SHUT_RDWR)
            except OSError:
                # The other side was quicker.
                pass

    def drop(self) -> None:
        """Closes the descriptor of this process without telling the server."""
        if self._guarded is not None:
            self._guarded.socket.close()


def _left(deadline: float) -> float:
    return max(0.001, deadline - time.monotonic())


def _connect(host: str, port: int, deadline: float) -> socket.socket:
    """Connects to the first address of a host that accepts.

    All of them share the deadline.

    The name lookup has only the limit of the system's resolver, about 10 s.
    """
    addresses = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    failure: OSError = OSError(f"{host} has no address")
    for tried, (family, kind, protocol, _, address) in enumerate(addresses):
        plain = socket.socket(family, kind, protocol)
        try:
            plain.settimeout(_left(deadline) / (len(addresses) - tried))
            plain.connect(address)
            return plain
        except OSError as error:
            plain.close()
            failure = error
    raise failure


@dataclass(frozen=True)
class Server:
    """The address of a ledger.

    `http://HOST:PORT` or `https://…`, with a path behind some proxies.
    """

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
