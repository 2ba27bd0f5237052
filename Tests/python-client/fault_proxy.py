"""A proxy between client and ledger that injects faults of networks and servers."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Union
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Pass:
    """The request goes through."""


@dataclass(frozen=True)
class CutBefore:
    """The connection is cut before the ledger sees the request."""


@dataclass(frozen=True)
class CutAfter:
    """The connection is cut after the ledger has processed the request and before the response."""


@dataclass(frozen=True)
class Reply:
    """The proxy sends this response itself, and the ledger receives nothing."""

    status: int
    content: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


def problem(status: int, **content: Any) -> Reply:
    """Returns a refusal in the format of the ledger itself."""
    return Reply(status, {"status": status, **content}, {"Content-Type": "application/problem+json"})


@dataclass(frozen=True)
class Hold:
    """The request waits until the event is set; then it goes through if the client still waits for the response."""

    until: threading.Event


Fault = Union[Pass, CutBefore, CutAfter, Reply, Hold]


@dataclass(frozen=True)
class Seen:
    """A request that reached the proxy."""

    method: str
    target: str
    body: bytes
    fault: Fault

    @property
    def events(self) -> list[dict[str, Any]]:
        content = json.loads(self.body)
        return content if isinstance(content, list) else [content]


class FaultProxy:
    """A proxy on the loopback address that forwards everything, except for queued faults of appends."""

    def __init__(self, ledger: str) -> None:
        parts = urlsplit(ledger)
        self._address = (parts.hostname or "", parts.port or 0)
        self._faults: deque[Fault] = deque()
        self._always: Fault | None = None
        self._changed = threading.Condition()
        self.seen: list[Seen] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def inject(self, *faults: Fault) -> None:
        """Queues faults for the next appends, one each."""
        with self._changed:
            self._faults.extend(faults)

    def inject_always(self, fault: Fault | None) -> None:
        """Sets a fault for all appends after the queue is empty."""
        with self._changed:
            self._always = fault

    def wait_until_seen(self, count: int, seconds: float = 20) -> None:
        """Waits until this number of appends has arrived."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.appends) >= count, seconds), (
                f"{len(self.appends)} appends arrived, not {count}"
            )

    @property
    def appends(self) -> list[Seen]:
        return [seen for seen in self.seen if seen.method == "POST" and "/events" in seen.target]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _next_fault(self, method: str, target: str, body: bytes) -> Fault:
        with self._changed:
            fault: Fault = Pass()
            if method == "POST" and "/events" in target:
                fault = self._faults.popleft() if self._faults else (self._always or Pass())
            self.seen.append(Seen(method, target, body, fault))
            self._changed.notify_all()
            return fault

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_request(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                fault = proxy._next_fault(self.command, self.path, body)
                if isinstance(fault, Hold):
                    fault.until.wait()
                if isinstance(fault, Reply):
                    self._send(fault.status, fault.headers, json.dumps(fault.content).encode())
                    return
                if isinstance(fault, CutBefore):
                    self._cut()
                    return
                if self.path.endswith("/watch"):
                    self._stream(body)
                    return
                try:
                    status, headers, content = proxy._ask(self.command, self.path, dict(self.headers), body)
                except OSError:
                    self._cut()
                    return
                if isinstance(fault, CutAfter):
                    self._cut()
                    return
                self._send(status, headers, content)

            do_GET = do_POST = handle_request

            def _stream(self, body: bytes) -> None:
                """Forwards data as it arrives, until one of the two sides closes."""
                self.close_connection = True
                connection = http.client.HTTPConnection(*proxy._address, timeout=60)
                try:
                    connection.request(self.command, self.path, headers={"Accept": "text/event-stream"})
                    response = connection.getresponse()
                    self.send_response(response.status)
                    self.send_header("Content-Type", response.getheader("Content-Type", ""))
                    self.end_headers()
                    while piece := response.read1(65536):
                        self.wfile.write(piece)
                except (OSError, http.client.HTTPException):
                    # One of the sides has closed its connection.
                    pass
                finally:
                    connection.close()

            def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
                try:
                    self.send_response(status)
                    for name, value in headers.items():
                        if name.lower() not in ("content-length", "transfer-encoding", "date", "connection"):
                            self.send_header(name, value)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)
                except OSError:
                    # The client has closed its connection.
                    self.close_connection = True

            def _cut(self) -> None:
                self.close_connection = True
                try:
                    self.connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    # The client has closed its connection already.
                    pass

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler

    def _ask(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(*self._address, timeout=60)
        try:
            forwarded = {name: value for name, value in headers.items() if name.lower() not in ("host", "connection")}
            connection.request(method, target, body=body or None, headers=forwarded)
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        except http.client.HTTPException as error:
            raise OSError(str(error)) from error
        finally:
            connection.close()
