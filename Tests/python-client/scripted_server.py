"""A server that plays a script, for streams that break at a chosen byte, which a real ledger cannot produce."""

from __future__ import annotations

import json
import socket
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

JOB = "01890000-0000-7000-8000-000000000000"


def snapshot(sequence: int, done: int = 0, state: str = "running", **more: Any) -> dict[str, Any]:
    """Returns a snapshot in the ledger's format."""
    progress = [
        {"label": "a", "done": done, "total": 10, "percent": done * 10, "updated_at": "2026-01-02T03:04:05.000006Z"}
    ]
    return {
        "job": JOB, "key": None, "name": "scripted", "tags": {}, "state": state, "sequence": sequence,
        "ledger_sequence": sequence, "created_at": "2026-01-02T03:04:05.000006Z", "tasks": {"total": 1, "running": 1},
        "progress": progress, **more,
    }  # fmt: skip


def event(sequence: int, done: int = 0, state: str = "running", **more: Any) -> bytes:
    """Returns a snapshot as a server-sent event."""
    content = json.dumps(snapshot(sequence, done, state, **more))
    return f"event: snapshot\nid: {sequence}\ndata: {content}\n\n".encode()


@dataclass
class Play:
    """The reaction to one request."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    pieces: list[bytes | threading.Event] = field(default_factory=list)
    """The pieces of the body, sent in order; an event delays the rest until it is set."""
    length: int | None = None
    """The `Content-Length`; None ends the response by closing the connection."""


def stream(*pieces: bytes | threading.Event, **headers: str) -> Play:
    return Play(headers={"Content-Type": "text/event-stream", **headers}, pieces=list(pieces))


def chunked(*pieces: bytes) -> Play:
    """Returns a stream with chunked transfer encoding, which most servers use."""
    chunks = [f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces]
    headers = {"Content-Type": "text/event-stream; charset=utf-8", "Transfer-Encoding": "chunked"}
    return Play(headers=headers, pieces=[*chunks, b"0\r\n\r\n"])


def whole(status: int, content: Any = None, **headers: str) -> Play:
    body = json.dumps(content).encode() if content is not None else b""
    return Play(status, {"Content-Type": "application/json", **headers}, [body], len(body))


class ScriptedServer:
    """Reacts to each request with the next play; after the last one it refuses connections."""

    def __init__(self, *plays: Play) -> None:
        self._plays = deque(plays)
        self.requests: list[tuple[str, dict[str, str]]] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.on_request: Callable[[], None] = lambda: None
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while self._plays:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                # The server was closed.
                return
            play = self._plays.popleft()
            threading.Thread(target=self._play, args=(connection, play), daemon=True).start()
        self._socket.close()

    def _play(self, connection: socket.socket, play: Play) -> None:
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                piece = connection.recv(65536)
                if not piece:
                    return
                head += piece
            lines = head.split(b"\r\n\r\n")[0].decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
            self.requests.append((lines[0].split(" ")[1], headers))
            self.on_request()
            try:
                length = f"Content-Length: {play.length}\r\n" if play.length is not None else ""
                fields = "".join(f"{name}: {value}\r\n" for name, value in play.headers.items())
                connection.sendall(f"HTTP/1.1 {play.status} X\r\n{fields}{length}Connection: close\r\n\r\n".encode())
                for piece in play.pieces:
                    if isinstance(piece, threading.Event):
                        piece.wait(30)
                    else:
                        connection.sendall(piece)
            except OSError:
                # The client has closed its connection, which some tests intend.
                pass

    def close(self) -> None:
        self._plays.clear()
        self._socket.close()
