"""Messages, links, units, positions, and units that an earlier execution did."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from progress_ledger import Client, Job, Settings, notes

from conftest import QUICK, Messages, figures
from fault_proxy import FaultProxy, problem


def sent(proxy: FaultProxy, type: str = "progress") -> list[dict[str, Any]]:
    """The events of one type in all requests, without the identity of the execution."""
    identity = ("type", "task", "execution", "attempt", "report")
    return [
        {name: content for name, content in event.items() if name not in identity}
        for event in events(proxy)
        if event["type"] == type
    ]


def events(proxy: FaultProxy) -> list[dict[str, Any]]:
    """The events in all requests."""
    return [event for seen in proxy.appends for event in seen.events]


@pytest.fixture
def recorded(proxy: FaultProxy) -> Iterator[Job]:
    """A job whose requests the proxy sees, which are only made by a flush or an end."""
    with Client(proxy.url, settings=replace(QUICK, report_seconds=3600)) as client:
        yield client.jobs.create("notes")


def test_messages_links_and_units_are_sent(recorded: Job, proxy: FaultProxy) -> None:
    with recorded.execution("tile", link="https://engine/log/1") as context:
        context.flush()
        progress = context.progress("download", unit="bytes")
        progress.add(10, message="first", link="http://host/a?b=c#d")
        progress.done(1, message="second\nline")
        context.flush()
        context.progress("download", unit="files").done(2)
        context.flush()
        context.finish("failed", message="out of disk", link="https://engine/log/2")
    recorded.finish("failed", message="gave up")
    assert sent(proxy, "execution_started")[0] == {"link": "https://engine/log/1"}
    assert sent(proxy)[0] == {
        "label": "download", "total": 10, "done": 1, "message": "second\nline", "link": "http://host/a?b=c#d",
        "unit": "bytes",
    }  # fmt: skip
    assert sent(proxy)[-1] == {"label": "download", "done": 2}
    assert sent(proxy, "execution_finished")[0] == {
        "outcome": "failed", "message": "out of disk", "link": "https://engine/log/2",
    }  # fmt: skip
    assert sent(proxy, "job_finished")[0] == {"outcome": "failed", "message": "gave up"}
    assert context.stats.dropped == 0
    assert figures(recorded) == {"download": (3, 10)}


def test_a_message_is_cut_and_cleaned_because_it_is_for_people() -> None:
    assert notes.message("a" * 1001) == "a" * 1000
    assert notes.message("a\tb\x1b[31mc\r\nd\x85e") == "a b [31mc \nd e"
    assert notes.message("Grüße\n✓") == "Grüße\n✓"


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("message", 1),
        ("message", "\ud800"),
        ("link", "ftp://host/a"),
        ("link", "https://user:password@host/a"),
        ("link", "https://host/a b"),
        ("link", "https://host/ü"),
        ("link", "https://host/" + "a" * 2000),
        ("link", "https:///path"),
        ("link", ["https://host"]),
    ],
)
def test_a_note_that_cannot_be_reported_is_dropped_and_its_units_count(
    recorded: Job, proxy: FaultProxy, messages: Messages, name: str, wrong: object
) -> None:
    notes_given: dict[str, Any] = {name: wrong}
    with recorded.execution("tile") as context:
        # Otherwise the first report may go with the start.
        context.flush()
        context.progress("a").done(1, **notes_given)
        context.progress("a").done(1, **notes_given)
    assert sent(proxy) == [{"label": "a", "done": 2}]
    assert (context.stats.dropped, context.stats.refused) == (2, 0)
    assert messages.levels() == ["ERROR"]
    assert not messages.count("user:password")


@pytest.mark.parametrize("wrong", ["", "a" * 33, "a\nb", 1, "\0"])
def test_an_invalid_unit_is_dropped_and_the_units_count(recorded: Job, proxy: FaultProxy, wrong: Any) -> None:
    with recorded.execution("tile") as context:
        context.progress("a", unit=wrong).done(1)
    assert sent(proxy) == [{"label": "a", "done": 1}]
    assert context.stats.dropped == 1


def test_without_a_ledger_notes_are_checked_too(messages: Messages) -> None:
    with Client().job().execution("tile", link="nonsense") as context:
        context.progress("a", unit="").done(1, message="fine", link="https://host")
        context.progress("a", unit="bytes").skip(1, link="nonsense")
        context.progress("a").set_done(3)
        context.progress("a").repeatable().done(3)
    assert (context.stats.dropped, context.stats.refused) == (2, 0)
    assert messages.levels() == ["ERROR", "ERROR"]


class CustomError(Exception):
    pass


@pytest.mark.parametrize(
    ("error", "type_only", "with_text"),
    [
        (ValueError("a\nb"), "ValueError", "ValueError: a"),
        (CustomError(), "test_notes.CustomError", "test_notes.CustomError"),
        (KeyboardInterrupt(), "KeyboardInterrupt", "KeyboardInterrupt"),
        (SystemExit(3), "SystemExit", "SystemExit: 3"),
        (OSError("x" * 300), "OSError", "OSError: " + "x" * 190 + "…"),
        (
            OSError("no http://user:p@ss/w@host/a?sig=1 and s3://k:s@b"),
            "OSError",
            "OSError: no http://host/a?… and s3://b",
        ),
    ],
)
def test_the_end_after_an_exception_has_its_type_and_on_request_its_text(
    recorded: Job, proxy: FaultProxy, error: BaseException, type_only: str, with_text: str
) -> None:
    for error_messages in (None, True):
        with pytest.raises(type(error)), recorded.execution("tile", error_messages=error_messages):
            raise error
    ends = [event["message"] for event in sent(proxy, "execution_finished") if "message" in event]
    assert ends[0] == type_only
    assert with_text in ends


def test_error_messages_can_be_set_for_a_client_and_an_own_message_comes_first(proxy: FaultProxy) -> None:
    settings = Settings(report_seconds=0.02, error_messages=True)
    job = Client(proxy.url, settings=settings).jobs.create("errors")
    with pytest.raises(KeyError), job.execution("a"):
        raise KeyError("text")
    with pytest.raises(KeyError), job.execution("b", error_messages=False):
        raise KeyError("text")
    with job.execution("c") as context:
        context.finish("failed", message="own")
    with pytest.raises(SystemExit), job.execution("d"):
        raise SystemExit
    messages = [event.get("message") for event in sent(proxy, "execution_finished")]
    assert [message for message in messages if message] == ["KeyError: 'text'", "KeyError", "own"]


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize("text", ["a." * 1_000_000, "http://" * 300_000, "a://b?" * 300_000, "x " * 10 + "b" * 10**6])
def test_a_long_text_of_an_exception_takes_no_time(text: str) -> None:
    began = time.perf_counter()
    message = notes.message_of_error(ValueError(text), True)
    assert time.perf_counter() - began < 0.5
    assert message.startswith("ValueError: " + text[:4])
    assert len(message) <= 200


def test_a_long_text_is_not_cut_within_credentials() -> None:
    password = "p" * 2_000
    for text in (f"no http://user:{password}@host", f"{'a ' * 490}http://user:{password}@host"):
        assert "ppp" not in notes.message_of_error(ValueError(text), True)
    assert notes.without_credentials("no http://host/a") == "no http://host/a"


def test_an_exception_without_a_text_has_its_type() -> None:
    assert notes.message_of_error(Unprintable(), True) == "test_notes.Unprintable"


# Positions and units of earlier executions


def test_positions_send_differences_and_never_go_back(job: Job) -> None:
    with job.execution("tile") as context:
        progress = context.progress("a")
        progress.set_total(10)
        for position in (0, 3, 3, 1, 7):
            progress.set_done(position)
            context.flush()
        progress.set_total(8)
        progress.set_total(12)
        progress.done(1)
        progress.set_done(9)
        progress.set_done(-1)
    assert context.stats.dropped == 1
    assert figures(job) == {"a": (9, 12)}


def test_skipped_units_are_carried(recorded: Job, proxy: FaultProxy) -> None:
    with recorded.execution("tile") as context:
        context.flush()
        progress = context.progress("a")
        progress.skip(40)
        progress.set_done(42)
        progress.skip()
        progress.skip(-1)
    assert sent(proxy)[0] == {"label": "a", "done": 43, "carried": 41}
    assert context.stats.dropped == 1
    assert figures(recorded) == {"a": (43, 0)}


def test_a_resumed_loop_skips_what_an_earlier_execution_did(recorded: Job, proxy: FaultProxy) -> None:
    with recorded.execution("tile") as context:
        assert list(context.track(range(40, 100), "list", initial=40)) == list(range(40, 100))
        assert list(context.track(iter(range(2)), "iterator", total=5, initial=3)) == [0, 1]
        assert list(context.track(range(2), "wrong", initial=-1)) == [0, 1]
        assert not context.flush()
    assert figures(recorded) == {"list": (100, 100), "iterator": (5, 5), "wrong": (2, 2)}
    assert sum(event.get("carried", 0) for event in sent(proxy)) >= 43


def test_work_that_is_done_again_counts_once(job: Job) -> None:
    with job.execution("tile") as context:
        first, second = context.progress("a").repeatable(), context.progress("a").repeatable()
        for units in (3, 1, 5):
            first.restart()
            for _ in range(units):
                first.done()
        second.done(2)
        second.done(-1)
    assert context.stats.dropped == 1
    assert figures(job) == {"a": (7, 0)}


def test_the_ledger_shows_notes_units_and_carried_units(job: Job) -> None:
    context = job.execution("tile", attempt=1, link="https://host/1")

    def work() -> None:
        context.progress("a", unit="bytes").add(10)
        context.progress("a").skip(4, message="resumed")
        context.flush()
        context.progress("a").done(1, message="one more", link="https://host/2")
        with context.handle().attach(Client(job._ledger.configuration.url)) as attached:  # type: ignore[union-attr]
            attached.progress("a").done(2)
        raise KeyError

    with pytest.raises(KeyError), context:
        work()
    job.refresh()
    (indicator,) = job.progress
    assert (indicator.unit, indicator.done, indicator.carried_done) == ("bytes", 7, 4)
    assert indicator.message in ("one more", "resumed")
    ((run,),) = (task.executions for task in job.tasks("failed"))
    assert run.message == "KeyError"
    assert run.link is not None
    events = list(job.events(type="progress"))
    assert [event["report"] for event in events if "part" in event] == [1]
    assert {event["verdict"] for event in events} == {"counted"}
    job.finish("failed", message="gave up")
    assert job.refresh().message == "gave up"


# Older ledgers


def unknown(*pointers: str) -> Any:
    """The refusal of an older ledger."""
    detail = "an event of type progress has no such field"
    return problem(422, title="Invalid", errors=[{"pointer": pointer, "detail": detail} for pointer in pointers])


def test_an_older_ledger_gets_everything_but_the_fields_that_it_does_not_know(
    recorded: Job, proxy: FaultProxy, messages: Messages
) -> None:
    with recorded.execution("tile") as context:
        context.flush()
        proxy.inject(unknown("/0/message", "/0/carried"))
        context.progress("a").add(5, message="one")
        context.progress("a").skip(2)
        context.flush()
        context.progress("a").done(1, message="two")
    assert sent(proxy)[-2:] == [{"label": "a", "total": 5, "done": 2}, {"label": "a", "done": 1}]
    assert context.stats.dropped == 0
    assert figures(recorded) == {"a": (3, 5)}
    assert messages.levels() == ["WARNING"]
    assert messages.count("older than the client") == 1


def test_parts_are_numbered_apart_for_an_older_ledger(recorded: Job, proxy: FaultProxy) -> None:
    """A ledger without parts compares the numbers of all processes of an execution."""
    with recorded.execution("tile", attempt=1) as context:
        context.progress("a").done(1)
        context.flush()
        other = Client(proxy.url, settings=QUICK)
        with context.handle().attach(other) as attached:
            proxy.inject(unknown("/0/part"))
            attached.progress("a").done(2)
            attached.flush()
            attached.progress("a").done(4)
            attached.flush()
    numbers = [event["report"] for event in events(proxy) if event["type"] == "progress"]
    assert numbers[:2] == [1, 1]
    assert numbers[2] > 2**50
    assert numbers[3] == numbers[2] + 1
    assert attached.stats.dropped == 0
    assert figures(recorded) == {"a": (7, 0)}


def test_a_refused_note_of_a_ledger_that_knows_notes_costs_only_that_note(
    recorded: Job, proxy: FaultProxy, messages: Messages
) -> None:
    with recorded.execution("tile") as context:
        assert context._sender is not None
        context.flush()
        context._sender.buffer.known_fields = frozenset(("message",))
        proxy.inject(unknown("/0/message"))
        context.progress("a").done(1, message="one")
        context.flush()
        assert sent(proxy)[-1] == {"label": "a", "done": 1}
        assert context.stats.dropped == 1
        assert context._sender.buffer.unknown_fields <= {"message"}
    assert [record.levelno for record in messages.records if "notes of reports" in record.getMessage()] == [
        logging.ERROR
    ]
    assert figures(recorded) == {"a": (1, 0)}
