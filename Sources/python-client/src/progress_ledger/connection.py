"""A connection to a server with deadlines for whole exchanges.

`http.client` limits only the time of single reads. A deadline for the whole exchange also stops a server that sends its
response byte by byte.
"""

from __future__ import annotations

# The first name lookup imports this module, in the sender's thread. A process that forks during an import leaves its
# child with an incomplete module; importing it here avoids that.
import encodings.idna  # noqa: F401
import http.client
import io
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .certificates import CertificateFiles
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
        # `http.client` closes its socket before the body is read if the connection is not kept alive.
        self._is_released = True
        if self._readers == 0:
            self.socket.close()

    def reader_closed(self) -> None:
        self._readers -= 1
        if self._is_released and self._readers == 0:
            self.socket.close()


class Connection(http.client.HTTPConnection):
    """A connection with a deadline for every exchange."""

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
            # The deadline applies to the whole handshake.
            plain.settimeout(_left(deadline))
            if self._server.tls is not None:
                tls = self._server.tls
                # A new connection uses the certificates that are in the files now.
                tls = tls.current() if isinstance(tls, CertificateFiles) else tls
                plain = tls.wrap_socket(plain, server_hostname=self._server.host)
        except BaseException:
            plain.close()
            raise
        self._guarded = _DeadlineSocket(plain)
        self.sock = self._guarded

    def abort(self) -> None:
        """Interrupts another thread that waits on this connection."""
        guarded = self._guarded
        if guarded is not None:
            try:
                # The method of the plain socket, because that of `SSLSocket` would detach objects in use by the other
                # thread.
                socket.socket.shutdown(guarded.socket, socket.SHUT_RDWR)
            except OSError:
                # The server has closed the connection already.
                pass

    def drop(self) -> None:
        """Closes the descriptor of this process without a shutdown of the connection."""
        if self._guarded is not None:
            self._guarded.socket.close()


def _left(deadline: float) -> float:
    return max(0.001, deadline - time.monotonic())


def _connect(host: str, port: int, deadline: float) -> socket.socket:
    """Connects to the first address of a host that accepts.

    All addresses share the deadline. The name lookup has only the limit of the system's resolver, about 10 s.
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
    tls: ssl.SSLContext | CertificateFiles | None
    url: str

    @classmethod
    def parse(cls, url: str, tls: ssl.SSLContext | CertificateFiles | None = None) -> Server:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise InvalidValueError(f"{url!r} is not the URL of a ledger: {error}") from None
        if parts.scheme not in ("http", "https") or not host:
            raise InvalidValueError(f"{url!r} is not the URL of a ledger: it must begin with http:// or https://")
        if parts.query or parts.fragment or parts.username or parts.password:
            raise InvalidValueError(
                "the URL of a ledger must not have a query, a fragment or a password; give a token as token="
            )
        tls = tls or ssl.create_default_context() if parts.scheme == "https" else None
        return cls(host, port or (443 if tls else 80), parts.path.rstrip("/"), tls, url)
