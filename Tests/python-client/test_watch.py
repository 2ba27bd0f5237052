"""Following a job by a scripted stream of server-sent events, and by long polls of a real ledger."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from manual_clock import ManualClock

from progress_ledger import Client, Job, NotFoundError, Settings, UnauthorizedError, UnavailableError
from progress_ledger.event_stream import EventReader, ServerEvent
from progress_ledger.watching import POLL_PAUSE_SECONDS, Heartbeat, Interruption

from conftest import QUICK
from fault_proxy import FaultProxy
from ledger_process import LedgerProcess
from scripted_server import JOB, Play, ScriptedServer, chunked, event, snapshot, stream, whole

END = b"event: end\ndata: {}\n\n"


@pytest.fixture
def scripted() -> Iterator[type[ScriptedServer]]:
    servers: list[ScriptedServer] = []

    class Started(ScriptedServer):
        def __init__(self, *plays: Play) -> None:
            super().__init__(*plays)
            servers.append(self)

    yield Started
    for server in servers:
        server.close()


def job_at(server: ScriptedServer, settings: Settings = QUICK) -> Job:
    return Client(server.url, settings=settings).job(JOB)


def test_events_are_read_however_they_are_cut() -> None:
    text = (
        ':hello\nevent: snapshot\r\nid: 7\r\ndata: {"a":\rdata:1}\n\n: beat\n\nretry: 5\ndata: é\n\nid: 8\n\n'
    ).encode()
    beat = ServerEvent(None)
    expected = [beat, ServerEvent("snapshot", '{"a":\n1}', "7"), beat, ServerEvent("message", "é", "7")]
    for cut in range(1, len(text)):
        reader = EventReader()
        assert [*reader.feed(text[:cut]), *reader.feed(text[cut:])] == expected
    reader = EventReader()
    assert [found for byte in text for found in reader.feed(bytes([byte]))] == expected


def test_a_stream_is_followed_to_its_end(scripted: type[ScriptedServer]) -> None:
    server = scripted(stream(event(1), b": beat\n\n", event(2, 5), event(3, 10, "completed"), END))
    seen = [(snapshot.sequence, snapshot.progress[0].done, snapshot.state) for snapshot in job_at(server).watch()]
    assert seen == [(1, 0, "running"), (2, 5, "running"), (3, 10, "completed")]
    assert server.requests[0][0] == f"/v1/jobs/{JOB}/watch"
    assert server.requests[0][1]["accept"] == "text/event-stream"
    assert "last-event-id" not in server.requests[0][1]


def test_a_lost_stream_resumes_after_the_last_snapshot_without_a_gap_or_a_repetition(
    scripted: type[ScriptedServer],
) -> None:
    half = event(3)[:20]
    server = scripted(
        stream(event(1), event(2, 2), half),
        whole(503, None, **{"Retry-After": "0"}),
        stream(event(2, 2), event(3, 3), event(1, ledger_sequence=3)),
        stream(event(4, 10, "completed"), END),
    )
    watch = job_at(server).watch()
    updates = list(watch.updates())
    assert [update.sequence for update in updates if hasattr(update, "sequence")] == [1, 2, 3, 4]
    assert [type(update) for update in updates].count(Interruption) == 3
    assert [type(update) for update in updates].count(Heartbeat) == 2
    assert [headers.get("last-event-id") for _, headers in server.requests] == [None, "2", "2", "3"]


def test_a_ledger_that_went_back_to_an_earlier_state_is_followed(scripted: type[ScriptedServer]) -> None:
    server = scripted(
        stream(event(9, 9)),
        stream(event(5, 5), event(6, 6)),
        whole(404, {}),
        whole(200, snapshot(3, 3), ETag='W/"3"'),
        whole(200, snapshot(4, 10, "completed"), ETag='W/"4"'),
    )
    job = job_at(server)
    assert [snapshot.sequence for snapshot in job.watch()] == [9, 5, 6, 3, 4]
    assert job.progress[0].done == 10


def test_an_own_report_that_the_ledger_lost_is_waited_for_once(scripted: type[ScriptedServer]) -> None:
    server = scripted(
        whole(201, {"first_sequence": 2, "last_sequence": 9, "verdicts": None}),
        whole(200, snapshot(4)), whole(504, {}), whole(200, snapshot(4)),
    )  # fmt: skip
    client = Client(server.url, settings=QUICK)
    job = client.job(JOB)
    job.execution("tile").start()
    assert client.flush()
    assert job.refresh().sequence == 4
    assert job.refresh().sequence == 4
    assert [path.rpartition("?")[2] for path, _ in server.requests] == [
        "wait=folded&unless_canceled=true", f"/v1/jobs/{JOB}", "min_sequence=9", f"/v1/jobs/{JOB}",
    ]  # fmt: skip


def test_the_jobs_snapshot_follows_its_watch(scripted: type[ScriptedServer]) -> None:
    server = scripted(stream(event(1), event(2, 5), event(3, 10, "completed"), END))
    job = job_at(server)
    sequences = []
    for seen in job.watch():
        assert job.snapshot == seen
        assert job.progress == seen.progress
        sequences.append(seen.sequence)
    assert sequences == sorted(set(sequences))
    assert sequences[-1] == 3
    assert job.state == "completed"


NOW = "2026-01-02T03:14:05.000006Z"
DATE = "Fri, 02 Jan 2026 03:14:05 GMT"


@pytest.mark.parametrize(
    "headers_and_fields",
    [({}, {"now": NOW}), ({"Date": DATE}, {}), ({"Date": "Fri, 02 Jan 2026 09:00:00 GMT"}, {"now": NOW})],
)
def test_ages_are_those_of_the_ledgers_clock(
    scripted: type[ScriptedServer], headers_and_fields: tuple[dict[str, str], dict[str, str]]
) -> None:
    headers, fields = headers_and_fields
    stalled = {"label": "a", "done": 1, "total": 10, "stalled_since": "2026-01-02T03:04:05.000006Z"}
    content = snapshot(1, 1, progress=[stalled], **fields)
    text = job_at(scripted(whole(200, content, **headers)))._repr_mimebundle_()["text/plain"]
    # `10 min`, or slightly less if the clock is from a header with whole seconds.
    assert re.search(r"stalled for (10|9) min", text), text
    assert "as of 2026-01-02 " in text


def test_a_ledger_without_a_clock_shows_no_ages(scripted: type[ScriptedServer]) -> None:
    text = job_at(scripted(whole(200, snapshot(1, 1))))._repr_mimebundle_()["text/plain"]
    assert "no change" not in text
    assert "as of" not in text


def test_a_stream_has_the_clock_of_its_events_or_of_its_head(scripted: type[ScriptedServer]) -> None:
    server = scripted(
        stream(event(1), event(2, now="2026-01-02T05:00:00Z"), event(3), Date=DATE), stream(event(4, 1, "failed"), END)
    )
    snapshots = list(job_at(server).watch())
    assert [str(snapshot.now)[:16] for snapshot in snapshots] == [
        "2026-01-02 03:14", "2026-01-02 05:00", "2026-01-02 05:00", "2026-01-02 05:00",
    ]  # fmt: skip


def test_a_changed_clock_alone_is_not_a_new_snapshot(scripted: type[ScriptedServer]) -> None:
    first, second = event(1, now=NOW), event(1, now="2026-01-02T05:00:00Z")
    server = scripted(stream(first, second, event(2, 1, "failed"), END))
    assert [snapshot.sequence for snapshot in job_at(server).watch()] == [1, 2]


def test_a_stream_in_chunks_is_followed_too(scripted: type[ScriptedServer]) -> None:
    first, second = event(1), event(2, 10, "completed") + END
    server = scripted(chunked(first[:9], first[9:], second[:40], second[40:]))
    assert [snapshot.sequence for snapshot in job_at(server).watch()] == [1, 2]
    server = scripted(chunked(first), chunked(second))
    assert [snapshot.sequence for snapshot in job_at(server).watch()] == [1, 2]


def test_a_stream_that_ends_without_the_last_snapshot_is_followed_by_a_read(scripted: type[ScriptedServer]) -> None:
    server = scripted(stream(event(1), END), whole(200, snapshot(5, 10, "failed")))
    assert [snapshot.sequence for snapshot in job_at(server).watch()] == [1, 5]


def test_a_silent_stream_counts_as_dead_and_heartbeats_keep_it_alive(scripted: type[ScriptedServer]) -> None:
    never = threading.Event()
    server = scripted(stream(event(1), never), stream(event(2, 10, "completed"), END))
    settings = replace(QUICK, silence_seconds_max=0.2)
    updates = list(job_at(server, settings).watch().updates())
    assert [type(update).__name__ for update in updates] == ["Snapshot", "Interruption", "Snapshot"]
    never.set()


def test_closing_a_watch_ends_the_thread_that_waits_for_it(scripted: type[ScriptedServer]) -> None:
    never = threading.Event()
    server = scripted(stream(event(1), never))
    watch = job_at(server).watch()
    assert next(watch).sequence == 1
    threading.Timer(0.1, watch.close).start()
    began = time.monotonic()
    assert list(watch) == []
    assert time.monotonic() - began < 10
    never.set()


def test_wait_raises_at_its_timeout(scripted: type[ScriptedServer]) -> None:
    never = threading.Event()
    server = scripted(stream(event(1), never))
    with pytest.raises(TimeoutError):
        job_at(server).wait(timeout=0.2)
    never.set()


def test_a_ledger_that_stays_away_ends_the_watch_but_every_snapshot_counts(scripted: type[ScriptedServer]) -> None:
    settings = Settings()
    assert settings.outage_seconds_max == 3_600
    outage = [whole(503)] * 100
    server = scripted(stream(event(1)), *outage, stream(event(2)))
    clock = ManualClock()
    watch = clock.give(Client(server.url, settings=settings)).job(JOB).watch()
    assert [next(watch).sequence, next(watch).sequence] == [1, 2]
    assert settings.outage_seconds_max / 4 < clock.now < settings.outage_seconds_max
    resumed_at = clock.now
    with pytest.raises(UnavailableError, match="for too long"):
        list(watch)
    lasted = clock.now - resumed_at
    assert settings.outage_seconds_max < lasted <= settings.outage_seconds_max + settings.pause_seconds_max


def test_a_ledger_that_responds_without_a_wait_is_not_polled_in_a_tight_loop(scripted: type[ScriptedServer]) -> None:
    server = scripted(whole(404), whole(200, snapshot(1)), *[whole(304)] * 20, whole(200, snapshot(2, 10, "failed")))
    clock = ManualClock()
    watch = clock.give(Client(server.url)).job(JOB).watch()
    assert [snapshot.sequence for snapshot in watch] == [1, 2]
    assert clock.pauses == [POLL_PAUSE_SECONDS] * 21


def test_a_deadline_ends_the_pauses_of_a_watch(scripted: type[ScriptedServer]) -> None:
    server = scripted(*[whole(503)] * 100)
    clock = ManualClock()
    job = clock.give(Client(server.url)).job(JOB)
    with pytest.raises(TimeoutError):
        job.wait(timeout=5)
    assert clock.now == pytest.approx(5)


def test_refusals_raise_and_malformed_snapshots_are_retried(scripted: type[ScriptedServer]) -> None:
    with pytest.raises(UnauthorizedError):
        next(job_at(scripted(whole(401))).watch())
    with pytest.raises(NotFoundError):
        next(job_at(scripted(whole(404), whole(404))).watch())
    server = scripted(
        stream(b"event: snapshot\ndata: {}\n\n"), stream(b"event: snapshot\ndata: nonsense\n\n"), stream(event(1), END),
        whole(200, snapshot(1, 0, "canceled")),
    )  # fmt: skip
    assert [snapshot.state for snapshot in job_at(server).watch()] == ["running", "canceled"]


@pytest.mark.parametrize("status", [404, 405, 406, 501, 200])
def test_without_the_route_the_ledger_is_polled(scripted: type[ScriptedServer], status: int) -> None:
    server = scripted(
        whole(status, {}),
        whole(200, snapshot(1), ETag='W/"1"'),
        whole(304),
        whole(200, snapshot(2, 10, "completed"), ETag='W/"2"'),
    )
    assert [snapshot.sequence for snapshot in job_at(server).watch()] == [1, 2]
    assert [path.rpartition("/")[2] for path, _ in server.requests] == ["watch", "progress", "progress", "progress"]
    assert [headers.get("if-none-match") for _, headers in server.requests] == [None, None, 'W/"1"', 'W/"1"']
    assert all(headers["prefer"] == "wait=10" for _, headers in server.requests[1:])


def test_a_real_ledger_is_followed_through_a_restart(ledger: Client) -> None:
    server = LedgerProcess()
    try:
        client = Client(server.url, settings=QUICK)
        job = client.jobs.create("followed")
        updates = job.watch().updates()
        seen: list[tuple[int, int]] = []
        interrupted = False
        context = job.execution("tile").start()
        for turn in range(3):
            context.progress("units").add(1)
            context.progress("units").done(1)
            assert context.flush()
            if turn == 1:
                server.stop()
                while not interrupted:
                    interrupted = isinstance(next(updates), Interruption)
                server.start()
            for update in updates:
                if not isinstance(update, (Heartbeat, Interruption)) and update.progress:
                    seen.append((update.progress[0].done, update.sequence))
                    if update.progress[0].done == turn + 1:
                        break
        context.finish()
        job.finish()
        last = [update for update in updates if not isinstance(update, (Heartbeat, Interruption))][-1]
        assert (last.state, last.progress[0].done) == ("completed", 3)
        assert [done for done, _ in seen] == [1, 2, 3]
        assert seen == sorted(seen)
        client.close()
    finally:
        server.remove()


def test_wait_returns_the_last_snapshot(job: Job) -> None:
    with job.execution("tile") as context:
        context.progress().done(1)

    def finish() -> None:
        job.finish("failed")

    threading.Timer(0.05, finish).start()
    assert job.wait(30).state == "failed"
    assert job.state == "failed"


def test_a_watch_of_an_unknown_job_raises(ledger: Client) -> None:
    with pytest.raises(NotFoundError):
        next(ledger.job(JOB).watch())


def test_polls_go_through_proxies_too(proxy: FaultProxy, faulty: Client) -> None:
    job = faulty.jobs.create("polled")
    watch = job.watch()
    assert next(watch).state == "running"
    job.finish()
    assert [snapshot.state for snapshot in watch] == ["completed"]
