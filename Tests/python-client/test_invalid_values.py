"""Values that cannot be reported: dropped, counted, logged once, and never an exception."""

from __future__ import annotations

import logging

import pytest

import progress_ledger
from progress_ledger import Client, InvalidValueError, Job

from conftest import Messages, figures


class Hostile:
    """An object whose every method raises."""

    def __index__(self) -> int:
        raise OSError("no index")

    def __repr__(self) -> str:
        raise OSError("no text")

    def __hash__(self) -> int:
        raise OSError("no hash")

    def __len__(self) -> int:
        raise OSError("no length")

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter((1, 2))


WRONG_NUMBERS = [
    -1, 2**53, 10**16, 10**5000, 0.5, 2.0, "1", None, True, float("nan"), float("inf"), [], {}, Hostile(),
]  # fmt: skip
WRONG_LABELS = ["x" * 101, "nul\0", "\ud800", 7, ["list"], Hostile(), 0.5, b"bytes"]


def test_wrong_numbers_are_dropped_counted_and_logged_once(job: Job, messages: Messages) -> None:
    with job.execution("careless") as context:
        for wrong in WRONG_NUMBERS:
            context.progress().add(wrong)  # type: ignore[arg-type]
            context.progress().done(wrong)  # type: ignore[arg-type]
        context.progress().done(1)
        assert not context.flush(), "something is lost"
    assert context.stats.calls == 1
    assert context.stats.dropped == 2 * len(WRONG_NUMBERS)
    assert figures(job) == {None: (1, 0)}
    assert messages.levels() == ["ERROR"]


def test_wrong_labels_are_dropped_counted_and_logged_once(job: Job, messages: Messages) -> None:
    with job.execution("careless") as context:
        for wrong in WRONG_LABELS:
            context.progress(wrong).add(2)  # type: ignore[arg-type]
            progress_ledger.progress(wrong).done()  # type: ignore[arg-type]
            assert list(context.track([1, 2], label=wrong)) == [1, 2]  # type: ignore[arg-type]
    assert context.stats.dropped == 5 * len(WRONG_LABELS)
    assert job.refresh().progress == ()
    assert messages.levels() == ["ERROR"]


def test_a_loop_with_a_wrong_total_or_length_goes_on(job: Job) -> None:
    with job.execution("loops") as context:
        assert list(context.track([1, 2], label="total", total="many")) == [1, 2]  # type: ignore[arg-type]
        assert [item for item in context.track(Hostile(), label="length")] == [1, 2]
        assert sum(1 for _ in zip(context.track(range(10**30), label="long"), range(3))) == 3
    assert context.stats.dropped == 1
    assert figures(job) == {"total": (2, 0), "length": (2, 2), "long": (3, 4)}


@pytest.mark.parametrize("wrong", [None, "soon", float("nan"), -1.0, Hostile()])
def test_an_invalid_timeout_is_replaced_by_the_default(job: Job, ledger: Client, wrong: object) -> None:
    with job.execution("waits") as context:
        context.progress().done(1)
        context.flush(wrong)  # type: ignore[arg-type]
        ledger.flush(wrong)  # type: ignore[arg-type]
    assert context.flush(float("inf"))
    assert ledger.flush(float("inf"))


def test_a_handler_that_raises_does_not_end_the_task(job: Job) -> None:
    class Raising(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError("the disk is full")

    handler = Raising()
    logging.getLogger("progress_ledger").addHandler(handler)
    try:
        with job.execution("logged") as context:
            context.progress().done(-1)
            context.progress().done(1)
    finally:
        logging.getLogger("progress_ledger").removeHandler(handler)
    assert figures(job) == {None: (1, 0)}


def test_without_a_ledger_wrong_values_are_dropped_counted_and_logged_once(messages: Messages) -> None:
    with Client().jobs.create("nowhere").execution("careless") as context:
        for wrong in WRONG_NUMBERS:
            context.progress().done(wrong)  # type: ignore[arg-type]
        for wrong in WRONG_LABELS:
            context.progress(wrong).done(1)  # type: ignore[arg-type]
        context.progress().done(1)
    assert context.stats.dropped == len(WRONG_NUMBERS) + len(WRONG_LABELS)
    assert messages.levels() == ["ERROR", "ERROR"], "one for numbers, one for labels"


@pytest.mark.parametrize(
    "name",
    [
        "PROGRESS_LEDGER_URL",
        "PROGRESS_LEDGER_TOKEN",
        "PROGRESS_LEDGER_TOKEN_FILE",
        "PROGRESS_LEDGER_CA_FILE",
        "PROGRESS_LEDGER_CLIENT_CERTIFICATE_FILE",
    ],
)
def test_a_wrong_environment_drops_reports_and_fails_questions(
    name: str, monkeypatch: pytest.MonkeyPatch, messages: Messages
) -> None:
    monkeypatch.setenv("PROGRESS_LEDGER_URL", "https://127.0.0.1:9")
    monkeypatch.setenv(name, "localhost:80 \n")
    with Client() as ledger:
        job = ledger.job("01890000-0000-7000-8000-000000000000")
        with job.execution("tile") as context:
            context.progress().done(1)
        assert context.stats.dropped == 1
        assert not job.finish()
        assert not ledger.flush()
        for question in (job.refresh, lambda: ledger.jobs.find(key="k"), lambda: next(job.watch())):
            with pytest.raises(InvalidValueError, match=f"{name} is invalid"):
                question()
    assert messages.levels() == ["ERROR"]


def test_a_wrong_id_of_a_job_drops_reports_and_fails_questions(ledger: Client, messages: Messages) -> None:
    job = ledger.job("no id")
    with job.execution("tile") as context:
        context.progress().done(1)
    assert context.stats.dropped == 1
    with pytest.raises(InvalidValueError, match="no id"):
        job.refresh()
    assert messages.levels() == ["ERROR"]


def test_the_largest_numbers_arrive_and_sums_beyond_them_too(job: Job) -> None:
    with job.execution("huge") as context:
        for _ in range(3):
            context.progress().add(2**53 - 1)
        context.progress().add(0)
        context.progress("zero").add(0)
    assert figures(job) == {None: (0, 3 * (2**53 - 1)), "zero": (0, 0)}


def test_labels_are_taken_as_they_are(job: Job) -> None:
    with job.execution("labels") as context:
        assert context.progress() is context.progress("") is context.progress(None)
        for label in ("é", "e\u0301", " ", "𝄞" * 100, "<b>&"):
            context.progress(label).done(1)
    assert list(figures(job)) == ["é", "e\u0301", " ", "𝄞" * 100, "<b>&"]


def test_reports_for_more_than_a_thousand_labels_are_dropped(job: Job, messages: Messages) -> None:
    with job.execution("labels") as context:
        for number in range(1100):
            context.progress(f"label {number}").done(1)
        context.progress().done(1)
        context.progress("label 7").done(1)
    assert context.stats.dropped == 101
    found = figures(job)
    assert len(found) == 1000
    assert found["label 7"] == (2, 0)
    (error,) = [record for record in messages.records if record.levelno >= logging.WARNING]
    assert error.levelname == "ERROR"
    assert "1,000" in error.getMessage()


@pytest.mark.parametrize(
    ("task", "attempt", "execution"),
    [
        ("", None, None), ("t" * 201, None, None), (7, None, None), ("\ud800", None, None), ("t", 0, None),
        ("t", 2**31, None), ("t", 1.5, None), ("t", "2", None), ("t", None, ""), ("t", None, "e" * 201),
        (Hostile(), Hostile(), Hostile()),
    ],
)  # fmt: skip
def test_reports_of_a_wrong_execution_are_dropped_counted_and_logged_once(
    job: Job, messages: Messages, task: str, attempt: int, execution: str
) -> None:
    with job.execution(task, attempt, execution=execution) as context:
        progress_ledger.progress("a").add(2)
        context.progress().done(1)
        for _ in context.track([1], label="a"):
            pass
    context.finish("failed")
    assert context.stats.dropped == 4
    assert context.flush()
    assert job.refresh().tasks.total == 0
    assert messages.levels() == ["ERROR"]
