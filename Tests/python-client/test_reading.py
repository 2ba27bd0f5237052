"""Reading: jobs, tasks, events, history and explanations of a real ledger, page by page."""

from __future__ import annotations

import json
import time
import uuid
from datetime import datetime, timezone

import pytest

from progress_ledger import (
    Answer,
    Client,
    Estimate,
    InvalidValueError,
    Job,
    NotFoundError,
    UnexpectedAnswerError,
    calls,
)
from progress_ledger.disposition import Action, disposition_of
from progress_ledger.transport import Response

from ledger_process import LedgerProcess
from scripted_server import JOB, ScriptedServer, snapshot, whole


@pytest.fixture
def rerun(job: Job) -> Job:
    """A job with two executions of one task: 5 of 10, then 2 of 10."""
    for attempt, done in ((1, 5), (2, 2)):
        with job.execution("tile", attempt=attempt, execution=f"run {attempt}") as context:
            context.progress("download").add(10)
            context.progress("download").done(done)
    return job


def test_jobs_are_found_by_id_and_key_and_not_found_otherwise(ledger: Client) -> None:
    key = str(uuid.uuid4())
    job = ledger.jobs.create("find me", key=key, tags={"team": "maps", "é&=": "ü /?"})
    for found in (ledger.jobs.find(job.id), ledger.jobs.find(key=key), ledger.job(job.id)):
        assert (found.id, found.name, found.key, found.state) == (job.id, "find me", key, "running")
        assert dict(found.snapshot.tags) == {"team": "maps", "é&=": "ü /?"}
    with pytest.raises(NotFoundError):
        ledger.jobs.find("01890000-0000-7000-8000-000000000000")
    with pytest.raises(NotFoundError):
        ledger.jobs.find(key=key + "?")
    for wrong in ("", "no id", None):
        with pytest.raises(InvalidValueError):
            ledger.jobs.find(wrong)


def test_wrong_jobs_are_refused_before_they_are_sent(ledger: Client) -> None:
    with pytest.raises(InvalidValueError):
        ledger.jobs.create("")
    with pytest.raises(InvalidValueError):
        ledger.jobs.create("n" * 201)
    with pytest.raises(InvalidValueError):
        ledger.jobs.create("n", key="k" * 201)
    with pytest.raises(InvalidValueError):
        ledger.jobs.create("n", tags={str(number): "" for number in range(51)})
    with pytest.raises(InvalidValueError):
        ledger.jobs.list(state="asleep")


def test_lists_come_page_by_page_newest_first(ledger: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    name = str(uuid.uuid4())
    ids = [ledger.jobs.create(name, tags={"n": str(number % 2)}).id for number in range(7)]
    pages = []
    list_jobs = calls.list_jobs
    monkeypatch.setattr(calls, "list_jobs", lambda *arguments: pages.append(arguments) or list_jobs(*arguments))
    assert [job.id for job in ledger.jobs.list(name=name)] == ids[::-1]
    assert [job.id for job in ledger.jobs.list(name=name, limit=3)] == ids[:-4:-1]
    assert len(list(ledger.jobs.list(name=name, tags={"n": "1"}))) == 3
    assert list(ledger.jobs.list(name=name, limit=0)) == []
    pages.clear()
    rows = ledger.jobs.list(name=name, limit=2)
    assert [job.id for job in rows] == [job.id for job in rows], "each iteration asks anew"


def test_silent_executions_are_counted_and_listed(ledger: Client) -> None:
    job = ledger.jobs.create("silent", tags={"ledger.lease": "1"})
    context = job.execution("lost").start()
    with job.execution("ended"):
        assert ledger.flush(30)
    deadline = time.monotonic() + 30
    while job.refresh().tasks.silent == 0:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (task,) = job.tasks(silent=True)
    assert (task.task, job.snapshot.tasks.silent, job.snapshot.stalled_since) == ("lost", 1, None)
    (execution,) = task.executions
    assert execution.silent_since == execution.last_at
    context.finish()
    assert ledger.flush(30)
    assert list(job.tasks(silent=True)) == []


def test_many_tasks_and_events_come_in_pages(ledger: Client, job: Job) -> None:
    for number in range(1100):
        job.execution(f"task {number}").start().progress("n").done(1)
    assert ledger.flush(30)
    job.refresh()
    tasks = list(job.tasks())
    assert [task.task for task in tasks] == [f"task {number}" for number in range(1100)]
    assert len(list(job.tasks(state="running"))) == 1100
    assert list(job.tasks(state="failed")) == []
    events = list(job.events())
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
    assert len(events) == 2201
    newest = next(iter(job.events(order="desc")))
    assert newest["sequence"] == 2201
    explanation = job.explain("n")
    assert len(list(explanation)) == 1100
    assert explanation.conservation.counted.done == 1100


def test_history_contains_every_decrease_and_its_cause(rerun: Job) -> None:
    points = list(rerun.history("download"))
    (fall,) = [point for point in points if point.cause is not None]
    assert (fall.done, fall.total) == (0, 0)
    before, after = points[points.index(fall) - 1], points[-1]
    assert [(before.done, before.total), (after.done, after.total)] == [(5, 10), (2, 10)]
    cause = fall.cause
    assert cause is not None
    assert (cause.task, cause.attempt, cause.superseded_attempt) == ("tile", 2, 1)
    assert (cause.lost_done, cause.lost_total) == (5, 10)
    with pytest.raises(NotFoundError):
        list(rerun.history("upload"))


def test_explain_accounts_for_every_unit(rerun: Job) -> None:
    explanation = rerun.explain("download")
    first, second = explanation
    assert (first.superseded.done, first.counted.done, first.superseded_by) == (5, 0, ("run 2", 2))
    assert (second.superseded.done, second.counted.done, second.superseded_by) == (0, 2, None)
    line = explanation.conservation
    assert (line.received.done, line.counted.done, line.superseded.done, line.attempted.done) == (7, 2, 5, 7)


def test_the_past_can_be_read(rerun: Job) -> None:
    first_run = [event["sequence"] for event in rerun.events(execution="run 1", type="progress")]
    assert [indicator.done for indicator in rerun.snapshot_at(sequence=first_run[-1]).progress] == [5]
    assert rerun.snapshot_at(sequence=1).progress == ()
    assert rerun.snapshot_at(at=datetime(2020, 1, 1, tzinfo=timezone.utc)).progress == ()
    assert [indicator.done for indicator in rerun.snapshot_at(policy="all").progress] == [7]
    with pytest.raises(InvalidValueError):
        rerun.snapshot_at(at=datetime(2020, 1, 1))
    with pytest.raises(InvalidValueError):
        rerun.snapshot_at(sequence=1, at="2020-01-01T00:00:00Z")
    with pytest.raises(InvalidValueError):
        rerun.snapshot_at(policy="best")


def test_rows_become_data_frames(rerun: Job) -> None:
    history = rerun.history("download").to_pandas()
    assert history["done"].iloc[-1] == 2
    assert history["cause"].dropna().tolist() == ["tile: attempt 2 superseded attempt 1"]
    assert list(history.columns) == ["sequence", "at", "total", "done", "cause"]
    assert list(rerun.tasks().to_pandas()["attempt"]) == [1, 2]
    assert list(rerun.explain("download").to_pandas()["superseded_done"]) == [5, 0]
    assert len(rerun.events().to_pandas()) == rerun.refresh().sequence


def test_without_pandas_the_error_names_the_package_to_install(rerun: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(ImportError, match=r"progress-ledger\[pandas\]"):
        rerun.history("download").to_pandas()


def test_the_overall_figure_of_a_running_job_is_never_100(job: Job) -> None:
    with job.execution("tile") as context:
        context.progress("a").add(3)
        context.progress("a").done(9)
        context.progress("b").add(1)
    assert job.refresh().percent == 50
    context.progress("b").done(1)
    context.flush()
    assert job.refresh().percent == 99
    job.finish()
    assert job.refresh().percent == 100


def test_a_read_contains_everything_recorded_before_it() -> None:
    behind, level = {**snapshot(3), "ledger_sequence": 5}, snapshot(5)
    server = ScriptedServer(whole(200, behind), whole(200, level))
    assert Client(server.url).jobs.find(JOB).snapshot.sequence == 5
    assert server.requests[1][0] == f"/v1/jobs/{JOB}/progress?min_sequence=5"
    server = ScriptedServer(whole(200, behind), whole(504, {}))
    found = Client(server.url).jobs.find(JOB).snapshot
    assert (found.sequence, found.ledger_sequence) == (3, 5), "what there is, where the projection does not get there"


def test_a_foreign_response_raises() -> None:
    call = calls.read_job("01890000-0000-7000-8000-000000000000")
    for body in (b"<html>", b"[]", b"{}", b""):
        with pytest.raises(UnexpectedAnswerError):
            call.result(Response(200, {}, body))
    with pytest.raises(UnexpectedAnswerError):
        call.result(Response(302, {}, b""))


def test_a_url_is_checked_when_it_is_given(server: LedgerProcess) -> None:
    for wrong in ("localhost:8080", "ftp://x", "http://", "http://a:b@c", "http://x?y", "http://[", "http://x:99999"):
        with pytest.raises(InvalidValueError):
            Client(wrong)
    client = Client(server.url + "/")
    job = client.jobs.create("slash")
    assert [found.id for found in client.jobs.list(limit=1)] == [job.id]


def test_a_newer_server_is_understood_as_far_as_possible() -> None:
    newer = snapshot(
        3, state="hibernating", now="2026-01-02T03:04:05.000007Z", something_new={"a": [1]},
        tasks={"total": 2, "running": 1, "hibernating": 1},
        progress=[{"label": "a", "done": 3, "total": 10, "percent": 30, "rate": 1.5, "attempted_done": 4}],
    )  # fmt: skip
    found = Client(ScriptedServer(whole(200, newer)).url).jobs.find(JOB).snapshot
    assert (found.state, found.sequence, found.tasks.total, found.tasks.running) == ("hibernating", 3, 2, 1)
    assert [(part.done, part.attempted_done, part.attempted_total) for part in found.progress] == [(3, 4, 10)]
    answer = {"first_sequence": 2, "last_sequence": 3, "verdicts": ["counted", "quarantined"], "receipt": "r"}
    disposition = disposition_of(Response(201, {}, json.dumps(answer).encode()), 2)
    assert (disposition.action, disposition.last_sequence) == (Action.RECORDED, 3)


def test_a_job_has_a_straight_answer(ledger: Client) -> None:
    job = ledger.jobs.create("answered")
    with job.execution("tile", attempt=1) as context:
        context.progress("a").add(4)
        context.progress("a").done(1)
    with pytest.raises(KeyError), job.execution("bad", attempt=1):
        raise KeyError
    job.refresh()
    answer = job.answer()
    assert (answer.state, answer.percent, answer.failed_tasks) == ("running", 25, 1)
    assert str(answer) == answer.text
    assert "running" in answer.text
    assert answer.ask_again_seconds > 0
    job.finish("failed")
    job.refresh()
    assert job.answer().state == "failed"
    with pytest.raises(NotFoundError):
        Client().job().answer()


def test_an_answer_is_read_whole() -> None:
    content = {
        "text": "t", "state": "running", "percent": None, "remaining_seconds": {"p10": 1, "p50": 2.5, "p90": 4},
        "finish_at": {name: "2026-01-02T03:04:05.000006Z" for name in ("p10", "p50", "p90")},
        "stalled_since": "2026-01-02T03:04:05Z", "failed_tasks": 2, "waiting_for": {"label": "a", "tasks": ["b", "c"]},
        "ask_again_seconds": 30, "more": 1,
    }  # fmt: skip
    answer = Answer.read(content)
    assert answer.remaining_seconds == (1, 2.5, 4)
    assert answer.finish_at is not None
    assert answer.finish_at[2].microsecond == 6
    assert answer.stalled_since == datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    assert (answer.waiting_for_label, answer.waiting_for_tasks) == ("a", ("b", "c"))


def test_a_job_has_an_estimate_or_the_reason_for_none(ledger: Client) -> None:
    # Earlier jobs of the same name would be its history.
    job = ledger.jobs.create(str(uuid.uuid4()))
    assert job.estimate is not None
    assert not job.estimate
    assert str(job.estimate) == "no estimate: no_progress"
    with job.execution("tile", attempt=1) as context:
        context.progress("download").add(10)
        context.progress("download").done(2)
    job.refresh()
    assert job.estimate
    assert job.estimate.p10 is not None
    assert job.estimate.p50 is not None
    assert job.estimate.p10 <= job.estimate.p50
    assert job.estimate.basis == "job"
    assert job.estimate.finish_at is not None


def test_the_remaining_time_is_shown_in_one_unit() -> None:
    content = {"at": "2026-01-02T03:04:05.000000Z", "remaining_seconds": {"p10": 540.0, "p50": 720.0, "p90": 1200.0}}
    estimate = Estimate.read(content)
    assert estimate is not None
    assert estimate.text() == "≈ 12 min (9–20)"
    assert estimate.text(datetime(2026, 1, 2, 3, 9, 5, tzinfo=timezone.utc)) == "≈ 7 min (4–15)"
    assert Estimate.read(None) is None
