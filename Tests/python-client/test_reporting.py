"""Reports arrive exactly, and what cannot be reported is dropped, counted and logged once."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import progress_ledger
from progress_ledger import Client, ConflictError, Execution, InvalidValueError, Job, NotFoundError, Settings
from progress_ledger.losses import LossLog

from conftest import QUICK, Messages, figures
from ledger_process import LedgerProcess


def test_the_example_of_the_readme_works(server: LedgerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROGRESS_LEDGER_URL", server.url)
    ledger = Client()
    job = ledger.jobs.create("mosaic", key="mosaic-2026-11-23")
    with job.execution("tile-17", attempt=2) as context:
        context.progress("download").add(10)
        context.progress("download").done(1)
    lines = [
        f"{indicator.label}: {indicator.done}/{indicator.total}" for indicator in ledger.jobs.find(job.id).progress
    ]
    assert lines == ["download: 1/10"]
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


def test_a_report_is_recorded_within_a_second_while_its_execution_runs(server: LedgerProcess) -> None:
    """With the default settings, a report is recorded within a second while the execution runs."""
    with Client(server.url) as ledger:
        job = ledger.jobs.create("live")
        watch = job.watch()
        with job.execution("long") as context:
            context.progress().done(3)
            seen = next(snapshot for snapshot in watch if snapshot.progress)
            assert (seen.progress[0].done, seen.tasks.running) == (3, 1)
        watch.close()


def test_an_execution_ends_as_it_ended(job: Job, messages: Messages) -> None:
    with pytest.raises(KeyError), job.execution("breaks"):
        raise KeyError
    with pytest.raises(KeyboardInterrupt), job.execution("is stopped"):
        raise KeyboardInterrupt
    with job.execution("chooses") as context:
        context.finish("completed")
        context.finish("canceled")
    with job.execution("works"):
        pass
    job.execution("never began").finish()
    outcomes = {task.task: task.state for task in job.tasks()}
    assert outcomes == {"breaks": "failed", "is stopped": "canceled", "chooses": "canceled", "works": "succeeded"}
    assert context.stats.dropped == 1
    assert not job.finish("succeeded")
    assert messages.levels() == ["ERROR", "ERROR"], "the end of an execution, the end of the job"


def test_an_object_that_is_entered_again_continues_its_numbers(job: Job, messages: Messages) -> None:
    context = job.execution("tile")
    with pytest.raises(KeyError), context:
        raise KeyError(context.progress().done(1))
    assert job.refresh().tasks.failed == 1
    with context:
        progress_ledger.progress().done(1)
        with context:
            progress_ledger.progress().done(1)
        progress_ledger.progress().done(1)
        assert context.flush()
        assert job.refresh().tasks.running == 0, "its end was recorded, and only a new execution begins anew"
    assert figures(job) == {None: (4, 0)}
    assert job.refresh().tasks.succeeded == 1
    assert {event["verdict"] for event in job.events()} == {"counted"}
    assert context.stats.dropped == 0
    assert messages.levels() == ["WARNING"]


@pytest.mark.parametrize("shares_client", [True, False])
def test_an_execution_entered_again_by_name_continues_its_numbers(
    server: LedgerProcess, job: Job, messages: Messages, shares_client: bool
) -> None:
    def enter(client: Client) -> None:
        with client.job(job.id).execution("tile", attempt=1, execution="named") as context:
            context.progress("a").done(1)
            context.progress("b").add(2)
        assert context.stats.dropped == 0

    with Client(server.url, settings=QUICK) as shared:
        for _ in range(3):
            with Client(server.url, settings=QUICK) as client:
                enter(shared if shares_client else client)
    assert figures(job) == {"a": (3, 0), "b": (0, 6)}
    assert {event["verdict"] for event in job.events()} == {"counted"}
    assert messages.levels() == []


def test_threads_that_enter_one_execution_by_name_number_their_reports_apart(job: Job) -> None:
    def enter() -> None:
        with job.execution("tile", execution="named") as context:
            for _ in range(50):
                context.progress("a").done(1)
                context.flush()

    workers = [threading.Thread(target=enter) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert figures(job) == {"a": (200, 0)}


def test_a_newer_execution_supersedes_and_the_older_one_learns_of_it(job: Job, messages: Messages) -> None:
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


def test_a_callback_that_waits_or_fails_holds_up_no_reports(job: Job, messages: Messages) -> None:
    goes_on = threading.Event()

    def wait_and_fail(_: object) -> None:
        goes_on.wait(60)
        raise OSError("no such luck")

    with job.execution("tile", attempt=1, on_superseded=wait_and_fail) as zombie:
        with job.execution("tile", attempt=2):
            pass
        zombie.progress().done(1)
        assert zombie.flush()
        assert zombie.superseded
        zombie.progress().done(1)
        assert zombie.flush()
    goes_on.set()
    messages.wait_for("on_superseded failed")


def test_an_execution_of_a_canceled_job_learns_of_it_and_a_later_one_does_not_start(
    job: Job, messages: Messages
) -> None:
    told: list[str | None] = []
    is_told = threading.Event()

    def tell_and_fail(execution: Execution) -> None:
        told.append(execution.job_ended)
        is_told.set()
        raise OSError("no such luck")

    with job.execution("tile", on_job_ended=tell_and_fail) as worker:
        worker.progress().done(1)
        assert worker.flush()
        assert worker.job_ended is None
        job.finish("canceled")
        while not is_told.is_set():
            worker.progress().done(1)
            assert worker.flush()
        worker.progress().done(1)
        assert worker.flush()
    assert told == ["canceled"]
    messages.wait_for("on_job_ended failed")
    with job.execution("late") as late:
        late.progress().done(1)
        assert not late.flush()
        assert late.job_ended == "canceled"
        assert not late.check()
    assert late.stats.delivered == 0
    assert late.stats.dropped == 3
    assert [task.task for task in job.tasks()] == ["tile"]
    with job.execution("again", unless_canceled=False) as again:
        assert again.flush()
        assert again.check()
    assert job.refresh().state == "running"
    assert job.refresh().idle_since is not None


def test_a_silent_zombie_learns_by_asking_that_it_is_superseded(job: Job) -> None:
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


def test_reports_after_the_end_of_an_execution_count(job: Job) -> None:
    with job.execution("late") as context:
        context.progress().add(2)
    context.progress().done(2)
    assert context.flush()
    assert figures(job) == {None: (2, 2)}


def test_without_a_ledger_everything_can_be_called_and_nothing_is_reported() -> None:
    ledger = Client()
    assert ledger.url is None
    job = ledger.jobs.create("mosaic", tags={"a": "b"})
    with job.execution("tile-17", attempt=2) as context:
        context.progress("download").add(3)
        for _ in context.track([1, 2, 3]):
            progress_ledger.progress().done(1)
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


def test_reports_outside_of_every_execution_are_counted_and_logged_once(job: Job, messages: Messages) -> None:
    context_free = progress_ledger.current()
    before = context_free.stats.dropped
    monkey = pytest.MonkeyPatch()
    with monkey.context() as patch:
        patch.setattr(context_free, "_losses", LossLog())
        with job.execution("pool"), ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: progress_ledger.progress("lost").done(), range(10)))
    assert context_free.stats.dropped == before + 10
    assert job.refresh().progress == ()
    assert messages.levels() == ["WARNING"]
    assert messages.count("carry") == 1


def test_threads_and_callbacks_report_to_the_execution_that_is_carried(job: Job) -> None:
    def work(n: int) -> str:
        progress_ledger.progress("carried").done(n)
        return progress_ledger.current().task

    before = progress_ledger.current().stats.dropped
    with job.execution("pool") as context, ThreadPoolExecutor(4) as pool:
        assert set(pool.map(context.carry(work), range(10))) == {"pool"}
        thread = threading.Thread(target=context.carry(work), args=(10,))
        thread.start()
        thread.join()

        async def tasks() -> None:
            await asyncio.gather(*(asyncio.to_thread(work, 1) for _ in range(5)))

        asyncio.run(tasks())
    assert progress_ledger.current().stats.dropped == before
    assert figures(job) == {"carried": (60, 0)}


def test_track_counts_finished_items(job: Job) -> None:
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


def test_an_unknown_job_does_not_disturb_the_task(ledger: Client, messages: Messages) -> None:
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


def test_a_full_buffer_drops_the_newest_reports_and_logs_it(server: LedgerProcess, messages: Messages) -> None:
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


def test_a_context_can_be_left_in_another_context_than_it_was_entered_in(job: Job) -> None:
    execution = job.execution("tile")
    contextvars.copy_context().run(execution.__enter__)
    execution.progress().done(1)
    execution.__exit__(None, None, None)
    assert figures(job) == {None: (1, 0)}
    assert job.refresh().tasks.succeeded == 1


def test_an_invalid_token_is_refused() -> None:
    for wrong in ("two\nlines", "ünicode", "nul\0"):
        with pytest.raises(InvalidValueError):
            Client("http://127.0.0.1:9", token=wrong)
