"""The connection to the server: deadlines, reuse, encryption."""

from __future__ import annotations

import socket
import threading
import time

import pytest
from manual_clock import ManualClock

from progress_ledger import Client, NotFoundError, OutcomeUnknownError, Settings, UnavailableError
from progress_ledger.connection import Server
from progress_ledger.transport import ExchangeError, Request, Transport

from fault_proxy import FaultProxy
from scripted_server import JOB, Play, ScriptedServer, snapshot, whole


def transport(url: str, idle_seconds: float = 30.0) -> Transport:
    return Transport(Server.parse(url), None, idle_seconds)


class Dripping(threading.Thread):
    """A server that sends its response byte by byte, forever."""

    def __init__(self, response: bytes) -> None:
        super().__init__(daemon=True)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._response = response
        self._ended = threading.Event()
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.start()

    def run(self) -> None:
        connection, _ = self._socket.accept()
        with connection:
            try:
                connection.sendall(self._response)
                while not self._ended.wait(0.02):
                    connection.sendall(b"x")
            except OSError:
                # The client has closed its connection.
                pass

    def close(self) -> None:
        self._ended.set()
        self._socket.close()


PROBLEM = {"Content-Type": "application/problem+json"}
UNKNOWN = {"title": "Outcome unknown", "status": 503}
BUSY = {"title": "Overloaded", "status": 503}


@pytest.mark.parametrize("failure", [*map(whole, (408, 502, 503, 504)), whole(503, UNKNOWN, **PROBLEM)])
def test_a_creation_that_may_have_been_done_is_repeated_with_the_same_key(failure: Play) -> None:
    settings = Settings(pause_seconds_min=0.01)
    for key in (None, "k"):
        server = ScriptedServer(failure, whole(201, snapshot(1)))
        Client(server.url, settings=settings).jobs.create("n", key=key)
        first, second = (headers.get("idempotency-key") for _, headers in server.requests)
        assert first == second
        assert (first is None) == (key is not None)
        server.close()


@pytest.mark.parametrize("failure", [*map(whole, (408, 502, 503, 504)), whole(503, UNKNOWN, **PROBLEM)])
def test_the_outcome_of_a_creation_stays_unknown_if_only_its_repetition_was_refused(failure: Play) -> None:
    busy = whole(503, BUSY, **PROBLEM)
    for plays, expected in (((failure, *[busy] * 30), OutcomeUnknownError), ((busy,) * 30, UnavailableError)):
        server = ScriptedServer(*plays)
        clock = ManualClock()
        with pytest.raises(expected):
            clock.give(Client(server.url)).jobs.create("n")
        # The next pause, which is at most twice the longest one so far, would have exceeded the patience.
        assert clock.now <= Settings().patience_seconds < clock.now + 4 * max(clock.pauses)
        assert 2 < len(server.requests) == len(clock.pauses) + 1
        server.close()


@pytest.mark.parametrize(("seconds", "requests"), [(1, 2), (11, 1)])
def test_a_call_does_not_wait_for_a_ledger_that_asks_for_more_than_its_patience(seconds: int, requests: int) -> None:
    server = ScriptedServer(whole(503, BUSY, **{"Retry-After": str(seconds)}, **PROBLEM), whole(404, **PROBLEM))
    clock = ManualClock()
    with pytest.raises((UnavailableError, NotFoundError)):
        clock.give(Client(server.url)).jobs.find(JOB)
    assert len(server.requests) == requests
    assert requests == 1 or clock.now >= seconds
    server.close()


@pytest.mark.parametrize("failure", [whole(429), whole(503, BUSY, **PROBLEM)])
def test_a_creation_that_was_not_done_is_repeated(failure: Play) -> None:
    server = ScriptedServer(failure, whole(201, snapshot(1)))
    Client(server.url, settings=Settings(pause_seconds_min=0.01)).jobs.create("n")
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "response", [b"", b"HTTP/1.1 200 OK\r\nX-", b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"]
)
def test_a_server_that_sends_slowly_is_abandoned_at_the_deadline(response: bytes) -> None:
    server = Dripping(response)
    began = time.monotonic()
    with pytest.raises(ExchangeError) as raised:
        transport(server.url).perform(Request("GET", "/"), 0.3)
    assert raised.value.sent
    assert 0.2 < time.monotonic() - began < 20
    server.close()


def test_a_response_that_breaks_off_is_an_error() -> None:
    server = ScriptedServer(Play(200, {}, [b"{}"], length=10), whole(200, {}))
    way = transport(server.url)
    with pytest.raises(ExchangeError, match="broke off"):
        way.perform(Request("GET", "/"), 5)
    assert way.perform(Request("GET", "/"), 5).body == b"{}"


def test_a_server_that_is_not_there_got_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(ExchangeError) as raised:
        transport(f"http://127.0.0.1:{port}").perform(Request("GET", "/"), 5)
    assert not raised.value.sent


def test_connections_are_kept_and_replaced_when_the_server_has_closed_them(proxy: FaultProxy) -> None:
    way = transport(proxy.url)
    ask = Request("GET", "/healthz")
    assert way.perform(ask, 5).status == 200
    (connection,) = way._idle
    assert way.perform(ask, 5).status == 200
    assert way._idle == [connection]
    # Simulates a server that closed the idle connection.
    connection.abort()
    assert way.perform(ask, 5).status == 200
    assert connection not in way._idle
    way.close()
    assert way._idle == []
    assert not way._all


def test_idle_connections_grow_old(proxy: FaultProxy) -> None:
    way = transport(proxy.url, idle_seconds=0.0)
    ask = Request("GET", "/healthz")
    way.perform(ask, 5)
    (connection,) = way._idle
    way.perform(ask, 5)
    assert connection not in way._idle
    assert len(way._all) == 1


def test_requests_that_must_not_be_repeated_use_a_new_connection(proxy: FaultProxy) -> None:
    way = transport(proxy.url)
    ask = Request("GET", "/healthz")
    way.perform(ask, 5)
    (connection,) = way._idle
    way.perform(ask, 5, may_reuse=False)
    assert len(way._all) == 2
    assert connection in way._idle


def test_a_path_before_the_ledger_is_kept() -> None:
    server = ScriptedServer(whole(200, {"jobs": []}))
    assert list(Client(server.url + "/behind/a/proxy/").jobs.list()) == []
    assert server.requests[0][0].startswith("/behind/a/proxy/v1/jobs?")


def test_the_sender_sleeps_when_there_is_nothing_to_do_and_wakes_up_again(proxy: FaultProxy) -> None:
    settings = Settings(report_seconds=0.01, idle_thread_seconds=0.05)
    ledger = Client(proxy.url, settings=settings)
    sender = ledger._ledger.sender
    assert sender is not None
    job = ledger.jobs.create("sleepy")
    threads = []
    for turn in range(3):
        with job.execution(f"tile {turn}") as context:
            context.progress().done(1)
            thread = sender._thread
            context.flush()
        # On a busy machine the thread may have ended before it is looked at.
        if thread is not None:
            threads.append(thread)
            thread.join(10)
            assert not thread.is_alive()
    assert threads
    assert job.refresh().progress[0].done == 3
