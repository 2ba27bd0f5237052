"""What is reported arrives, exactly, and is checked where it is said."""

from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

import progress_ledger
from progress_ledger import Client, ConflictError, InvalidValueError, Job, NotFoundError, Settings

from conftest import Messages, figures
from ledger_process import LedgerProcess


def test_the_example_of_the_readme_works(server: LedgerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROGRESS_LEDGER_URL", server.url)
    ledger = Client()
    job = ledger.jobs.create("mosaic", key="mosaic-2026-11-23")
    with job.execution("tile-17", attempt=2) as context:
        context.progress().add(10)
        context.progress("download").done(1)
    lines = [
        f"{indicator.label}: {indicator.done}/{indicator.total}" for indicator in ledger.jobs.find(job.id).progress
    ]
    assert lines == ["None: 0/10", "download: 1/0"]
    assert ledger.jobs.create("mosaic", key="mosaic-2026-11-23").id == job.id
    with pytest.raises(ConflictError):
        ledger.jobs.create("another", key="mosaic-2026-11-23")


def test_increments_of_many_threads_are_all_counted(ledger: Client, job: Job) -> None:
    threads, calls = 400, 250
    start = threading.Barrier(threads)
    with job.execution("wide") as context:

        def work() -> None:
            start.wait()
            for turn in range(calls):
                context.progress(f"label {turn % 3}").done(1)
                context.progress().add(2)

        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert context.stats.calls == 2 * threads * calls
    by_label = {label: done for label, (done, _) in figures(job).items()}
    assert sum(by_label.values()) == threads * calls
    assert figures(job)[None] == (0, 2 * threads * calls)
    assert context.stats.recorded < threads, "increments of one label are sent together"


def test_a_thousand_executions_at_once_are_all_recorded(ledger: Client, job: Job) -> None:
    start = threading.Barrier(1000)

    def work(number: int) -> None:
        start.wait()
        with job.execution(f"task-{number}") as context:
            context.progress().add(1)
            context.progress().done(1)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(1000)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert ledger.flush(20)
    assert figures(job) == {None: (1000, 1000)}
    assert job.refresh().tasks.succeeded == 1000


def test_a_report_waits_for_the_end_of_nothing(server: LedgerProcess) -> None:
    """With the usual settings: what was reported is recorded a second later, while the execution goes on."""
    with Client(server.url) as ledger:
        job = ledger.jobs.create("live")
        watch = job.watch()
        with job.execution("long") as context:
            context.progress().done(3)
            seen = next(snapshot for snapshot in watch if snapshot.progress)
            assert (seen.progress[0].done, seen.tasks.running) == (3, 1)
        watch.close()


@pytest.mark.parametrize("wrong", [-1, 2**53, 0.5, 2.0, "1", None, True, float("nan")])
def test_wrong_numbers_are_refused_at_the_call(job: Job, wrong: object) -> None:
    with job.execution("careful") as context:
        for call in (context.progress().add, context.progress().done):
            with pytest.raises(InvalidValueError):
                call(wrong)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="number of units"):
            progress_ledger.progress().done(wrong)  # type: ignore[arg-type]
    assert context.stats.calls == 0
    assert job.refresh().progress == ()


def test_the_largest_numbers_arrive_and_sums_beyond_them_too(job: Job) -> None:
    with job.execution("huge") as context:
        for _ in range(3):
            context.progress().add(2**53 - 1)
        context.progress().add(0)
        context.progress("zero").add(0)
    assert figures(job) == {None: (0, 3 * (2**53 - 1)), "zero": (0, 0)}


def test_labels_are_taken_as_they_are_and_refused_when_too_long(job: Job) -> None:
    with job.execution("labels") as context:
        assert context.progress() is context.progress("") is context.progress(None)
        for label in ("é", "e\u0301", " ", "𝄞" * 100, "<b>&"):
            context.progress(label).done(1)
        for wrong in ("x" * 101, "nul\0", "\ud800", 7):
            with pytest.raises(InvalidValueError):
                context.progress(wrong)  # type: ignore[arg-type]
    assert list(figures(job)) == ["é", "e\u0301", " ", "𝄞" * 100, "<b>&"]


def test_the_thousand_and_first_label_is_refused(job: Job) -> None:
    with job.execution("labels") as context:
        for number in range(1000):
            context.progress(f"label {number}").done(1)
        with pytest.raises(InvalidValueError, match="1,000"):
            context.progress("one more")
        with pytest.raises(InvalidValueError, match="1,000"):
            context.progress()
        context.progress("label 7").done(1)
    found = figures(job)
    assert len(found) == 1000
    assert found["label 7"] == (2, 0)


@pytest.mark.parametrize(("task", "attempt"), [("", None), ("t" * 201, None), ("t", 0), ("t", 2**31), ("t", 1.5)])
def test_wrong_executions_are_refused(job: Job, task: str, attempt: object) -> None:
    with pytest.raises(InvalidValueError):
        job.execution(task, attempt=attempt)  # type: ignore[arg-type]


def test_an_execution_is_entered_once_and_ends_as_it_ended(job: Job) -> None:
    with pytest.raises(KeyError), job.execution("breaks"):
        raise KeyError
    with pytest.raises(KeyboardInterrupt), job.execution("is stopped"):
        raise KeyboardInterrupt
    with job.execution("chooses") as context:
        context.finish("canceled")
        with pytest.raises(InvalidValueError):
            context.finish("completed")
    with job.execution("works") as context:
        pass
    with pytest.raises(RuntimeError), context:
        pass
    with pytest.raises(RuntimeError):
        job.execution("never began").finish()
    outcomes = {task.task: task.state for task in job.tasks()}
    assert outcomes == {"breaks": "failed", "is stopped": "canceled", "chooses": "canceled", "works": "succeeded"}


def test_a_newer_run_supersedes_and_the_older_one_learns_of_it(job: Job, messages: Messages) -> None:
    told = threading.Event()
    with job.execution("tile", attempt=1, on_superseded=lambda _: told.set()) as zombie:
        zombie.progress().add(5)
        zombie.progress().done(4)
        assert zombie.flush()
        assert not zombie.superseded
        with job.execution("tile", attempt=2) as newer:
            newer.progress().add(5)
            newer.progress().done(1)
        assert figures(job) == {None: (1, 5)}
        zombie.progress().done(1)
        assert zombie.flush()
        assert zombie.superseded
        assert told.wait(10)
    assert not newer.superseded
    assert zombie.stats.superseded == 2
    assert figures(job) == {None: (1, 5)}
    assert job.refresh().progress[0].attempted_done == 6
    messages.wait_for("superseded")
    assert messages.levels() == ["WARNING"]


def test_a_silent_zombie_learns_of_it_when_it_asks(job: Job) -> None:
    with job.execution("tile", attempt=1) as zombie:
        assert zombie.check()
        with job.execution("tile", attempt=2) as newer:
            assert newer.check()
        assert not zombie.check()
        assert zombie.superseded


def test_the_ledger_numbers_executions_without_attempt(job: Job) -> None:
    for _ in range(3):
        with job.execution("again") as context:
            context.progress().done(1)
    (task,) = job.tasks()
    assert [run.attempt for run in task.executions] == [1, 2, 3]
    assert figures(job) == {None: (1, 0)}


def test_what_is_reported_after_the_end_counts_too(job: Job) -> None:
    with job.execution("late") as context:
        context.progress().add(2)
    context.progress().done(2)
    assert context.flush()
    assert figures(job) == {None: (2, 2)}


def test_without_a_ledger_nothing_is_reported_and_wrong_values_are_refused_all_the_same() -> None:
    ledger = Client()
    assert ledger.url is None
    job = ledger.jobs.create("mosaic", tags={"a": "b"})
    with job.execution("tile-17", attempt=2) as context:
        context.progress("download").add(3)
        for _ in context.track([1, 2, 3]):
            progress_ledger.progress().done(1)
        with pytest.raises(InvalidValueError):
            context.progress().done(-1)
        with pytest.raises(InvalidValueError):
            context.progress("x" * 101)
        assert not context.superseded
        assert context.check()
    assert job.finish()
    assert (job.progress, job.state, job.wait().state) == ((), "running", "running")
    assert list(job.watch()) == [job.snapshot]
    assert list(ledger.jobs.list()) == list(job.tasks()) == list(job.events()) == list(job.history()) == []
    assert ledger.flush()
    assert ledger.close()
    assert context.stats.calls == 0
    assert repr(job)
    with ledger.job().execution("any") as context:
        context.progress().done(1)


def test_the_current_execution_follows_the_context(job: Job) -> None:
    progress_ledger.progress().done(1)
    with job.execution("outer") as outer:
        assert progress_ledger.current() is outer
        with job.execution("inner") as inner:
            progress_ledger.progress("deep").done(2)
            assert progress_ledger.current() is inner
        assert progress_ledger.current() is outer
    assert progress_ledger.current() is not outer
    assert figures(job) == {"deep": (2, 0)}


def test_track_counts_what_was_finished(job: Job) -> None:
    with job.execution("loops") as context:
        assert list(context.track(range(7), label="sized")) == list(range(7))
        assert list(context.track((number for number in range(3)), label="unsized")) == [0, 1, 2]
        for number in context.track(range(10), label="left"):
            if number == 4:
                break
        for _ in context.track(iter([1, 2]), label="told", total=5):
            pass
    assert figures(job) == {"sized": (7, 7), "unsized": (3, 3), "left": (4, 10), "told": (2, 5)}


def test_track_goes_with_async_for(job: Job) -> None:
    async def tiles():  # type: ignore[no-untyped-def]
        for number in range(4):
            yield number

    async def run() -> None:
        async with job.execution("loop") as context:
            assert [tile async for tile in context.track(tiles(), label="tiles")] == [0, 1, 2, 3]

    asyncio.run(run())
    assert figures(job) == {"tiles": (4, 4)}


def test_a_job_that_is_not_there_costs_the_task_nothing(ledger: Client, messages: Messages) -> None:
    job = ledger.job("01890000-0000-7000-8000-000000000000")
    with job.execution("lost") as context:
        for _ in range(100):
            context.progress().done(1)
            assert not context.flush(), "it is given up, and not recorded"
    stats = context.stats
    assert (stats.waiting, stats.recorded) == (0, 0)
    assert stats.dropped > 0
    assert "no job" in (stats.last_error or "").lower()
    assert not job.finish()
    messages.wait_for("no job")
    assert messages.levels() == ["ERROR"]
    with pytest.raises(NotFoundError):
        ledger.jobs.find(job.id)


def test_a_full_buffer_loses_the_newest_and_says_so(server: LedgerProcess, messages: Messages) -> None:
    ledger = Client(server.url, settings=Settings(report_seconds=60, buffered_max=3))
    job = ledger.jobs.create("full")
    context = job.execution("narrow").start()
    assert ledger.flush()
    for number in range(10):
        context.progress(f"label {number}").done(1)
        context.progress("label 0").done(1)
    assert not ledger.flush(), "some of it is lost"
    found = figures(job)
    assert found["label 0"] == (11, 0)
    assert 0 < len(found) < 10
    assert context.stats.dropped == 10 - len(found)
    ledger.close()
    messages.wait_for("buffer is full")
    assert messages.levels() == ["ERROR"]


def test_a_context_that_is_left_elsewhere_than_entered_is_left_all_the_same(job: Job) -> None:
    execution = job.execution("tile")
    contextvars.copy_context().run(execution.__enter__)
    execution.progress().done(1)
    execution.__exit__(None, None, None)
    assert figures(job) == {None: (1, 0)}
    assert job.refresh().tasks.succeeded == 1


def test_a_token_that_is_none_is_refused() -> None:
    for wrong in ("two\nlines", "ünicode", "nul\0"):
        with pytest.raises(InvalidValueError):
            Client("http://127.0.0.1:9", token=wrong)
