"""The snapshots of a job as they change, through restarts of the ledger, until the job has finished."""

from __future__ import annotations

import json
import random
import threading
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Callable, Union

from .answers import Snapshot
from .calls import error_of, read_job
from .clock import ServerClock, response_date
from .disposition import retry_pause
from .errors import NotFoundError, OutcomeUnknownError, UnavailableError, UnexpectedAnswerError
from .event_stream import EventReader, ServerEvent
from .requester import Requester
from .transport import ExchangeError, Request, Response, Stream

# The longest wait of one poll, which is also the longest delay of a close.
POLL_WAIT_SECONDS = 10
# The pause between two polls of a job that changes constantly.
POLL_PAUSE_SECONDS = 0.2


@dataclass(frozen=True)
class Heartbeat:
    """Confirmation by the ledger that the last snapshot is current."""


@dataclass(frozen=True)
class Interruption:
    """A failure to reach the ledger; the watch continues to try."""

    reason: str


Update = Union[Snapshot, Heartbeat, Interruption]


class Watch(Iterator[Snapshot]):
    """Iterates over a job's snapshots in order, up to that of the finished job.

    A lower sequence occurs only after a failover or a restore returned the ledger to an earlier state.

    `Job.watch` creates it. It begins with the current snapshot. A slow reader misses intermediate snapshots, but never
    the last one. If the ledger does not respond, it retries with growing pauses, and raises `UnavailableError` after
    `Settings.outage_seconds_max`. Close it, from any thread, to end it earlier; `with` does so.
    """

    def __init__(
        self,
        requester: Requester,
        job: str,
        deadline: float | None = None,
        on_snapshot: Callable[[Snapshot], object] | None = None,
    ) -> None:
        self._requester = requester
        self._settings = requester.settings
        self._local_clock = requester.clock
        self._job = job
        self._deadline = deadline
        self._closed = threading.Event()
        self._stream: Stream | None = None
        self._streams = True
        self._tag: str | None = None
        self._last: Snapshot | None = None
        self._on_snapshot = on_snapshot
        self._clock = ServerClock(self._local_clock.now)
        self._updates = self._follow()

    def __iter__(self) -> Iterator[Snapshot]:
        return self

    def __next__(self) -> Snapshot:
        for update in self._updates:
            if isinstance(update, Snapshot):
                return update
        raise StopIteration

    def updates(self) -> Iterator[Update]:
        """Iterates over snapshots, heartbeats and interruptions, to show the freshness of a snapshot."""
        return self._updates

    def close(self) -> None:
        """Ends the watch, also in a thread that waits for its next snapshot."""
        self._closed.set()
        stream = self._stream
        if stream is not None:
            stream.close()

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _follow(self) -> Iterator[Update]:
        failures, failing_since = 0, 0.0
        while not self._closed.is_set():
            try:
                for update in self._receive():
                    failures = 0
                    yield update
                return
            except (UnavailableError, OutcomeUnknownError, UnexpectedAnswerError, ExchangeError) as error:
                if self._closed.is_set():
                    return
                now = self._local_clock.now()
                failures += 1
                failing_since = now if failures == 1 else failing_since
                if now - failing_since > self._settings.outage_seconds_max:
                    raise UnavailableError(f"the ledger has not responded for too long: {error}") from error
                yield Interruption(str(error))
                asked = error.retry_after if isinstance(error, UnavailableError) else None
                self._pause(retry_pause(failures, asked, random.random(), self._settings))

    def _receive(self) -> Iterator[Update]:
        """Follows the job until it has finished, or until the connection is lost."""
        if self._streams:
            request = Request("GET", f"/v1/jobs/{self._job}/watch", headers=self._stream_headers())
            stream = self._requester.transport.open(request, self._within(self._settings.request_seconds))
            self._stream = stream
            try:
                if self._closed.is_set():
                    return
                self._clock.set(response_date(stream.headers))
                if stream.status == 200 and stream.headers.get("content-type", "").startswith("text/event-stream"):
                    yield from self._receive_stream(stream)
                    return
                self._check_status(stream)
            finally:
                self._stream = None
                stream.close()
        yield from self._poll()

    def _stream_headers(self) -> dict[str, str]:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if self._last is not None:
            headers["Last-Event-ID"] = str(self._last.sequence)
        return headers

    def _check_status(self, stream: Stream) -> None:
        """Raises the error of a response without a stream, or switches to polling."""
        response = Response(stream.status, stream.headers, stream.read())
        if stream.status in (401, 403, 408, 425, 429) or (stream.status >= 500 and stream.status != 501):
            raise error_of(response)
        # A ledger without the route, or a proxy that blocks it. Polling shows whether the job exists.
        self._streams = False

    def _receive_stream(self, stream: Stream) -> Iterator[Update]:
        reader = EventReader()
        for piece in stream.pieces(lambda: self._within(self._settings.silence_seconds_max)):
            for event in reader.feed(piece):
                if event.type == "end":
                    yield from self._finish()
                    return
                yield from self._take_event(event)
        raise UnavailableError("the stream of snapshots ended before the job")

    def _take_event(self, event: ServerEvent) -> Iterator[Update]:
        if event.type is None:
            yield Heartbeat()
        elif event.type == "snapshot":
            yield from self._take(_read(event.data, self._clock.now()))

    def _finish(self) -> Iterator[Update]:
        """Reads the last snapshot if the stream ended without it."""
        if self._last is None or not self._last.is_finished:
            yield from self._take(self._requester.ask(read_job(self._job)))

    def _take(self, snapshot: Snapshot) -> Iterator[Update]:
        self._clock.set(snapshot.now)
        last = self._last
        # A snapshot may be older than the last one if its server lags. But if the ledger itself ends before the last
        # sequence that was read, a failover or a restore returned it to an earlier state.
        if last is not None and (snapshot == last or snapshot.sequence < last.sequence <= snapshot.ledger_sequence):
            yield Heartbeat()
            return
        self._last = snapshot
        if self._on_snapshot is not None:
            self._on_snapshot(snapshot)
        yield snapshot

    def _poll(self) -> Iterator[Update]:
        """Polls for the next snapshot."""
        while not self._closed.is_set():
            wait = int(self._within(POLL_WAIT_SECONDS))
            headers = {"Prefer": f"wait={wait}"} if wait else {}
            if self._tag is not None:
                headers["If-None-Match"] = self._tag
            response = self._requester.transport.perform(
                Request("GET", f"/v1/jobs/{self._job}/progress", headers=headers),
                wait + self._settings.request_seconds,
            )
            if response.status == 304:
                yield Heartbeat()
            elif response.status == 200:
                self._tag = response.headers.get("etag")
                snapshot = _read(response.body, response_date(response.headers))
                yield from self._take(snapshot)
                if snapshot.is_finished:
                    return
            else:
                raise error_of(response)
            # The pause also applies without a change, because a proxy may ignore `Prefer: wait`.
            self._pause(POLL_PAUSE_SECONDS)

    def _pause(self, seconds: float) -> None:
        self._local_clock.wait(self._closed, self._within(seconds))

    def _within(self, seconds: float) -> float:
        """Limits a wait to the watch's deadline; raises `TimeoutError` after it."""
        if self._deadline is None:
            return seconds
        left = self._deadline - self._local_clock.now()
        if left <= 0:
            raise TimeoutError(f"job {self._job} has not finished in time")
        return min(seconds, left)


def _read(content: str | bytes, now: datetime | None) -> Snapshot:
    try:
        return Snapshot.read(json.loads(content), now)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnexpectedAnswerError(f"cannot read a snapshot: {error!r}") from error


def wait(watch: Watch) -> Snapshot:
    """Returns the last snapshot of a watch; raises `TimeoutError` at its deadline."""
    with watch:
        last = deque(watch, maxlen=1)
    if not last:
        raise NotFoundError("the watch ended without a snapshot of the job")
    return last[0]


async def follow(watch: Watch) -> AsyncGenerator[Snapshot, None]:
    """Converts a watch for `async for`.

    A thread of its own waits for the ledger, so that watches do not wait for each other. It holds one snapshot; if the
    reader is slow, a later one replaces it.
    """
    # Its caller has imported it.
    import asyncio

    loop = asyncio.get_running_loop()
    arrived = asyncio.Event()
    latest: list[Snapshot] = []
    failure: list[BaseException | None] = []

    def take(snapshot: Snapshot) -> None:
        latest[:] = [snapshot]
        arrived.set()

    def end(error: BaseException | None) -> None:
        failure.append(error)
        arrived.set()

    def run() -> None:
        error: BaseException | None = None
        try:
            for snapshot in watch:
                loop.call_soon_threadsafe(take, snapshot)
        except BaseException as raised:
            error = raised
        try:
            loop.call_soon_threadsafe(end, error)
        except RuntimeError:
            # The loop was closed, so no coroutine waits for the watch.
            watch.close()

    threading.Thread(target=run, name="progress-ledger-watch", daemon=True).start()
    try:
        while True:
            await arrived.wait()
            arrived.clear()
            if latest:
                yield latest.pop()
            elif failure:
                if failure[0] is not None:
                    raise failure[0]
                return
            if failure:
                arrived.set()
    finally:
        watch.close()


class EmptyWatch(Watch):
    """The watch of a job without a ledger: one snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._updates = iter((snapshot,))

    def close(self) -> None:
        pass
