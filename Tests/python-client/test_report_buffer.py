"""Decisions about sending, repeating and responses, without network and clock."""

from __future__ import annotations

import json
import random

import pytest

from progress_ledger.counter import Counter
from progress_ledger.disposition import Action, Disposition, disposition_of, retry_pause
from progress_ledger.report_buffer import JobReportBuffer, ReportBuffer
from progress_ledger.reporter import Lineage, Numberings, Reporter
from progress_ledger.server_health import ServerHealth
from progress_ledger.settings import Settings
from progress_ledger.settlement import Settlement
from progress_ledger.transport import Response

SETTINGS = Settings(events_per_request_max=4, buffered_max=50)


def empty_buffer(settings: Settings = SETTINGS) -> ReportBuffer:
    """Returns the buffer of a new process, in which no execution has a report number."""
    return ReportBuffer(settings, Numberings(Lineage()))


def reporter(buffer: ReportBuffer, task: str = "tile", job: JobReportBuffer | None = None) -> Reporter:
    return Reporter(job or JobReportBuffer(buffer, "job"), task, "run", None)


def report(buffer: ReportBuffer, reporter: Reporter, label: str, done: int, now: float = 0.0) -> None:
    counter = reporter.counters.setdefault(label, Counter(label))
    counter.done += done
    if not counter.is_waiting:
        buffer.enqueue(reporter, counter, now)


def test_increments_gather_until_they_are_due_and_the_start_is_due_at_once() -> None:
    buffer = empty_buffer()
    tile = reporter(buffer)
    buffer.start(tile, 10.0)
    batch = buffer.next_batch(10.0)
    assert batch is not None
    assert json.loads(batch.body) == [{"type": "execution_started", "task": "tile", "execution": "run"}]
    buffer.settle(batch, [0], 0)
    report(buffer, tile, "a", 1, 20.0)
    report(buffer, tile, "a", 2, 20.3)
    assert buffer.next_batch(20.9) is None
    assert buffer.next_due() == 20.0 + SETTINGS.report_seconds
    batch = buffer.next_batch(21.0)
    assert batch is not None
    assert [event["done"] for event, _ in batch.entries] == [3]
    buffer.settle(batch, [0], 21.0)
    assert buffer.is_settled
    assert buffer.next_due() == 21.0 + SETTINGS.heartbeat_seconds
    assert buffer.size == 0


def test_a_frozen_batch_never_changes_and_later_increments_wait() -> None:
    buffer = empty_buffer()
    tile = reporter(buffer)
    report(buffer, tile, "a", 1)
    first = buffer.next_batch(1.0)
    assert first is not None
    body = first.body
    report(buffer, tile, "a", 10, 1.0)
    assert buffer.next_batch(99.0) is first
    assert first.body == body
    buffer.settle(first, [0], 0)
    second = buffer.next_batch(99.0)
    assert second is not None
    assert [(event["report"], event["done"]) for event, _ in second.entries] == [(2, 10)]


def test_a_full_request_leaves_the_rest_in_order() -> None:
    buffer = empty_buffer()
    tile = reporter(buffer)
    buffer.start(tile, 0.0)
    for label in "abcdef":
        report(buffer, tile, label, 1)
    buffer.finish(tile, "succeeded", 0.0)
    buffer.finish_job(tile.job, "completed", 0.0)
    assert (tile.waiting, buffer.waiting) == (8, 9)
    types: list[list[str]] = []
    while (batch := buffer.next_batch(0.0)) is not None:
        types.append([event.get("label") or event["type"] for event, _ in batch.entries])
        assert buffer.waiting == 9 - sum(len(part) for part in types[:-1])
        buffer.settle(batch, range(len(batch)), 0)
    assert types == [["execution_started", "a", "b", "c"], ["d", "e", "f", "execution_finished"], ["job_finished"]]
    assert buffer.is_settled
    assert buffer.size == 0


def test_the_end_of_a_job_waits_for_every_execution() -> None:
    buffer = empty_buffer()
    job = JobReportBuffer(buffer, "job")
    buffer.finish_job(job, "completed", 0.0)
    for number in range(7):
        report(buffer, reporter(buffer, f"task {number}", job), "a", 1)
    sent: list[str] = []
    while (batch := buffer.next_batch(9.0)) is not None:
        sent += [event["type"] for event, _ in batch.entries]
        buffer.settle(batch, range(len(batch)), 0)
    assert sent == ["progress"] * 7 + ["job_finished"]


def test_parts_keep_their_numbers_and_order() -> None:
    buffer = empty_buffer()
    tile = reporter(buffer)
    for label in "abcd":
        report(buffer, tile, label, 1)
    whole = buffer.next_batch(9.0)
    assert whole is not None
    buffer.replace(whole, [[0, 1], [3]])
    assert tile.counts.dropped == 1
    for expected in ([("a", 1), ("b", 2)], [("d", 4)]):
        part = buffer.next_batch(9.0)
        assert part is not None
        assert [(event["label"], event["report"]) for event, _ in part.entries] == expected
        buffer.settle(part, range(len(part)), 0)
    assert buffer.is_settled
    assert tile.is_settled
    assert (tile.counts.delivered, tile.waiting, buffer.size) == (3, 0, 0)


def test_a_goal_is_settled_with_the_reports_before_it_whatever_follows() -> None:
    buffer = empty_buffer()
    tile = reporter(buffer)
    job = tile.job
    assert job.has_settled(job.goal)
    for label in "abcdef":
        report(buffer, tile, label, 1)
    goal = job.goal
    first = buffer.next_batch(9.0)
    assert first is not None
    assert job.goal == goal, "two are still to be frozen"
    buffer.settle(first, range(4), 0)
    assert not job.has_settled(goal)
    second = buffer.next_batch(9.0)
    assert second is not None
    assert job.goal == goal, "all of it is on its way"
    report(buffer, tile, "a", 1)
    later = job.goal
    assert later != goal
    # Only its last part settles it.
    buffer.replace(second, [[0], [1]])
    for is_settled in (False, True):
        part = buffer.next_batch(9.0)
        assert part is not None
        buffer.settle(part, [0], 0)
        assert job.has_settled(goal) == is_settled
    assert not job.is_settled
    assert not job.has_settled(later)
    third = buffer.next_batch(9.0)
    assert third is not None
    buffer.replace(third, [])
    assert job.has_settled(later), "what is given up is settled"


def test_a_goal_is_reached_while_others_never_stop_reporting() -> None:
    buffer = empty_buffer()
    job = JobReportBuffer(buffer, "job")
    busy = [reporter(buffer, f"busy {number}", job) for number in range(9)]
    mine = reporter(buffer, "mine", job)
    for owner in [*busy, mine]:
        report(buffer, owner, "a", 1)
    goal = job.goal
    for turn in range(3):
        assert not job.has_settled(goal), turn
        batch = buffer.next_batch(9.0)
        assert batch is not None
        for owner in busy:
            report(buffer, owner, "a", 1)
        buffer.settle(batch, range(len(batch)), 0)
    assert mine.is_settled
    assert job.has_settled(goal)
    assert not job.is_settled


def test_an_execution_that_never_stops_reporting_delays_no_other() -> None:
    buffer = empty_buffer()
    job = JobReportBuffer(buffer, "job")
    busy, mine = reporter(buffer, "busy", job), reporter(buffer, "mine", job)
    # More labels than a request has events.
    for label in "abcdef":
        report(buffer, busy, label, 1)
    report(buffer, mine, "a", 1)
    goal = job.goal
    sent: list[str] = []
    while not job.has_settled(goal):
        batch = buffer.next_batch(9.0)
        assert batch is not None
        sent += [f"{event['task']} {event['label']}" for event, _ in batch.entries]
        assert len(sent) <= 12
        for label in "abcdef":
            report(buffer, busy, label, 1)
        buffer.settle(batch, range(len(batch)), 0)
    assert sent[:7] == [*(f"busy {label}" for label in "abcdef"), "mine a"]
    assert mine.is_settled
    buffer.finish(busy, "succeeded", 9.0)
    while (batch := buffer.next_batch(99.0)) is not None:
        last = batch.entries[-1][0]
        buffer.settle(batch, range(len(batch)), 0)
    assert last["type"] == "execution_finished"
    assert busy.is_settled
    assert (buffer.size, sum(counter.done for counter in busy.counters.values())) == (0, 0)


def test_a_goal_within_a_ticket_waits_for_reports_since_its_start() -> None:
    buffer = empty_buffer()
    tile = reporter(buffer)
    job = tile.job
    for label in "abcdef":
        report(buffer, tile, label, 1)
    first = buffer.next_batch(9.0)
    assert first is not None
    # The ticket continues with e and f; a was already sent in it.
    report(buffer, tile, "a", 5)
    report(buffer, reporter(buffer, "other", job), "a", 1)
    buffer.finish(tile, "succeeded", 9.0)
    goal = job.goal
    buffer.settle(first, range(4), 0)
    sent: list[tuple[str, str, int]] = []
    while not job.has_settled(goal):
        batch = buffer.next_batch(9.0)
        assert batch is not None
        sent += [(event["task"], event.get("label", event["type"]), event.get("done", 0)) for event, _ in batch.entries]
        report(buffer, reporter(buffer, "later", job), "a", 1)
        buffer.settle(batch, range(len(batch)), 0)
    assert ("tile", "a", 5) in sent
    assert [event for event in sent if event[0] == "tile"] == [
        ("tile", "e", 1), ("tile", "f", 1), ("tile", "a", 5), ("tile", "execution_finished", 0),
    ]  # fmt: skip
    assert ("other", "a", 1) in sent
    assert tile.is_settled


def test_the_end_of_a_job_is_part_of_a_goal() -> None:
    buffer = empty_buffer()
    tile = reporter(buffer)
    job = tile.job
    for label in "abcd":
        report(buffer, tile, label, 1)
    buffer.finish_job(job, "completed", 0.0)
    goal = job.goal
    for is_settled in (False, True):
        batch = buffer.next_batch(9.0)
        assert batch is not None
        report(buffer, tile, "a", 1)
        buffer.settle(batch, range(len(batch)), 0)
        assert job.has_settled(goal) == is_settled
    assert not job.is_settled


def test_jobs_take_turns() -> None:
    buffer = empty_buffer()
    jobs = [JobReportBuffer(buffer, str(number)) for number in range(3)]
    for turn, job in enumerate(jobs):
        report(buffer, reporter(buffer, "tile", job), "a", 1, float(turn))
    served = []
    while (batch := buffer.next_batch(99.0)) is not None:
        served.append(batch.job.job)
        buffer.settle(batch, [0], 0)
    assert served == ["0", "1", "2"]


def test_a_forked_child_does_not_send_reports_of_its_parent() -> None:
    buffer = empty_buffer()
    tile = reporter(buffer)
    buffer.start(tile, 0.0)
    report(buffer, tile, "in flight", 1)
    buffer.next_batch(9.0)
    report(buffer, tile, "waiting", 1)
    buffer.finish(tile, "succeeded", 0.0)
    buffer.numberings.lineage.fork()
    buffer.numberings.lineage.descend()
    buffer.become_child()
    assert buffer.is_settled
    assert tile.is_settled
    assert (buffer.size, tile.waiting) == (0, 0)
    report(buffer, tile, "waiting", 5)
    batch = buffer.next_batch(9.0)
    assert batch is not None
    assert [(event["label"], event["done"], event["report"]) for event, _ in batch.entries] == [
        ("waiting", 5, 2**33 + 1)
    ]


def test_any_order_of_everything_conserves_every_unit() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    buffer = empty_buffer(Settings(events_per_request_max=3))
    job = JobReportBuffer(buffer, "job")
    tiles = [reporter(buffer, f"task {number}", job) for number in range(4)]
    said = recorded = 0
    for _ in range(3000):
        action = chance.random()
        if action < 0.6:
            n = chance.randrange(4)
            said += n
            report(buffer, chance.choice(tiles), chance.choice("abc"), n)
        elif (batch := buffer.next_batch(99.0)) is not None:
            if action < 0.8:
                recorded += sum(event.get("done", 0) for event, _ in batch.entries)
                buffer.settle(batch, range(len(batch)), 0)
            elif action < 0.9 and len(batch) > 1:
                cut = chance.randrange(1, len(batch))
                buffer.replace(batch, [list(range(cut)), list(range(cut, len(batch)))])
    while (batch := buffer.next_batch(99.0)) is not None:
        recorded += sum(event.get("done", 0) for event, _ in batch.entries)
        buffer.settle(batch, range(len(batch)), 0)
    assert recorded == said
    assert buffer.size == 0


PROBLEM = {"content-type": "application/problem+json"}


def response(status: int, content: object = None, **headers: str) -> Response:
    return Response(status, headers, json.dumps(content).encode() if content is not None else b"")


@pytest.mark.parametrize(
    ("given", "action"),
    [
        (response(201, {"first_sequence": 2, "last_sequence": 3}), Action.RECORDED),
        (response(200, {"first_sequence": 2, "last_sequence": 3}), Action.TRY_AGAIN),
        (response(201, {}), Action.TRY_AGAIN),
        (Response(201, {}, b"<html>"), Action.TRY_AGAIN),
        (response(302), Action.TRY_AGAIN),
        (response(400), Action.FAULT),
        (response(400, {}, **PROBLEM), Action.REFUSED),
        (response(401), Action.TRY_AGAIN),
        (response(403), Action.TRY_AGAIN),
        (response(404), Action.TRY_AGAIN),
        (response(404, {}, **PROBLEM), Action.NO_SUCH_JOB),
        (response(408, {}, **PROBLEM), Action.TRY_AGAIN),
        (response(409, {}, **PROBLEM), Action.REFUSED),
        (response(413), Action.TOO_LARGE),
        (response(422, {}, **PROBLEM), Action.REFUSED),
        (response(429), Action.TRY_AGAIN),
        (response(500), Action.FAULT),
        (response(502), Action.TRY_AGAIN),
        (response(503), Action.TRY_AGAIN),
    ],
)
def test_a_response_maps_to_one_action(given: Response, action: Action) -> None:
    assert disposition_of(given, 2).action is action


def test_the_indexes_of_refused_events_are_read_and_nonsense_is_not() -> None:
    errors = [{"pointer": pointer} for pointer in ("/1/done", "/0", "/7/done", "/x/done", "done", "", 3, "/²")]
    assert disposition_of(response(422, {"errors": [*errors, "no object", None]}, **PROBLEM), 2).refused == [0, 1]
    assert disposition_of(response(422, {"errors": "none"}, **PROBLEM), 2).refused == []


def test_pauses_grow_are_random_and_honor_what_the_ledger_asks() -> None:
    settings = Settings(pause_seconds_min=0.1, pause_seconds_max=15, retry_after_seconds_max=300)
    assert retry_pause(1, None, 0.0, settings) == 0.05
    assert retry_pause(1, None, 1.0, settings) == 0.1
    assert retry_pause(3, None, 1.0, settings) == pytest.approx(0.4)
    assert retry_pause(50_000, None, 1.0, settings) == 15
    assert 7 <= retry_pause(1, 7, 0.5, settings) <= 8
    assert retry_pause(1, 10**9, 0.0, settings) == 300
    assert disposition_of(response(503, None, **{"retry-after": "2"}), 1).retry_after == 2
    for nonsense in ("soon", "-1", "inf", "nan", ""):
        assert disposition_of(response(503, None, **{"retry-after": nonsense}), 1).retry_after is None


def test_ends_do_not_wait_for_a_ledger_that_is_away_or_slow() -> None:
    health = ServerHealth(Settings(outage_patience_seconds=1.0))
    assert health.wait_limit(5.0, 0.0, is_patient=False) == 5.0
    assert health.record_failure("down", None, 0.0, 0.5)
    assert not health.record_failure("down", None, 0.5, 0.5), "an outage is reported once"
    assert health.wait_limit(5.0, 0.25, is_patient=False) == 0.75
    assert health.wait_limit(5.0, 1.0, is_patient=False) is None
    assert health.wait_limit(5.0, 1.0, is_patient=True) == 4.0
    assert health.record_success(0.1, 3.0) == 3.0
    assert health.record_success(0.1, 4.0) is None
    assert health.wait_limit(5.0, 5.0, is_patient=False) is None
    assert health.wait_limit(9.0, 6.0, is_patient=False) is None, "an earlier wait has failed"
    health.record_success(2.0, 8.0)
    assert health.wait_limit(9.0, 8.0, is_patient=False) is None, "it is still slow"
    health.record_success(0.5, 8.5)
    assert health.wait_limit(9.0, 8.5, is_patient=False) == 0.5


def test_a_lagging_projection_is_asked_again_after_a_while_however_many_reports_there_are() -> None:
    settings = Settings()
    buffer, health = empty_buffer(settings), ServerHealth(settings)
    settlement = Settlement(buffer, health, settings)
    tile = reporter(buffer)
    asked = []
    for now in range(0, 100, 5):
        report(buffer, tile, "a", 1, float(now))
        batch = buffer.next_batch(now + 1.0)
        assert batch is not None
        batch.awaits_verdicts = now >= health.verdicts_not_before
        asked.append(batch.awaits_verdicts)
        settlement.settle(batch, Disposition(Action.RECORDED, last_sequence=1), 0.1, float(now), 0.5)
    assert [now * 5 for now, was_asked in enumerate(asked) if was_asked] == [0, 30, 60, 90]
