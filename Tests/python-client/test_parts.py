"""Parts of executions and refused fields: decisions of the report buffer, without network and clock."""

from __future__ import annotations

from contextvars import copy_context
from types import SimpleNamespace
from typing import Any

import pytest
from manual_clock import ManualClock
from test_report_buffer import SETTINGS, empty_buffer, report, reporter
from test_reporter_contract import SimulatedSender

from progress_ledger.batch import Batch
from progress_ledger.counter import Counter
from progress_ledger.disposition import Action, Disposition
from progress_ledger.handle import Handle, attached
from progress_ledger.jobs import Ledger
from progress_ledger.report_buffer import JobReportBuffer, ReportBuffer
from progress_ledger.reporter import Reporter
from progress_ledger.server_health import ServerHealth
from progress_ledger.settings import Settings
from progress_ledger.settlement import Settlement


def test_a_part_that_is_reported_to_again_is_kept_in_an_outage() -> None:
    """Its reports expire some time after its last context is left, not after the first one."""
    clock = ManualClock()
    requester: Any = SimpleNamespace(settings=Settings(), transport=None, clock=clock.clock)
    sender = SimulatedSender(requester)
    ledger = Ledger(requester, sender)
    handle = Handle("01890000-0000-7000-8000-000000000000", "tile", "run", 1)
    first, second = attached(ledger, handle), attached(ledger, handle)
    copy_context().run(first.__enter__)
    copy_context().run(second.__enter__)
    first._leave(None)
    second.progress("a").done(5)
    assert sender.buffer.next_batch(1.0) is not None
    clock.now = 10_000.0
    assert sender.buffer.next_batch(clock.now) is not None
    second._leave(None)
    copy_context().run(attached(ledger, handle).__enter__)
    clock.now = 20_000.0
    batch = sender.buffer.next_batch(clock.now)
    assert batch is not None
    assert batch.entries[0][0]["done"] == 5
    assert second.stats.dropped == 0
    for _ in range(2):
        second._leave(None)
    clock.now += Settings().delivery_seconds_after_end
    assert sender.buffer.next_batch(clock.now) is None
    assert second.stats.dropped == 1


PART_REFUSED = Disposition(Action.REFUSED, "no parts", refused=(0,), refused_fields=((0, "part"),))


def settlement_of_a_part(tries: int) -> tuple[ReportBuffer, Settlement, Batch]:
    buffer = empty_buffer()
    part = Reporter(JobReportBuffer(buffer, "job"), "tile", "run", None, part="part")
    report(buffer, part, "a", 1)
    batch = buffer.next_batch(10.0)
    assert batch is not None
    batch.tries = tries
    return buffer, Settlement(buffer, ServerHealth(SETTINGS), SETTINGS), batch


@pytest.mark.parametrize("is_known", [False, True])
def test_a_part_that_an_older_ledger_refuses_is_numbered_anew_if_nothing_can_be_recorded(is_known: bool) -> None:
    """During an upgrade, servers of both versions respond at one address."""
    buffer, settlement, batch = settlement_of_a_part(1)
    buffer.known_fields = frozenset(("part",)) if is_known else frozenset()
    settlement.settle(batch, PART_REFUSED, 0.1, 10.0, 0.5)
    again = buffer.next_batch(10.0)
    assert again is not None
    event, owner = again.entries[0]
    assert "part" not in event
    assert event["report"] > 2**52
    assert owner is not None
    assert owner.counts.dropped == 0


def test_a_part_that_may_be_recorded_keeps_its_number_until_a_newer_ledger_responds() -> None:
    buffer, settlement, batch = settlement_of_a_part(2)
    for number in range(1, SETTINGS.refusals_max):
        settlement.settle(batch, PART_REFUSED, 0.1, 10.0, 0.5)
        assert buffer.next_batch(10.0) is batch, number
    reporter = batch.entries[0][1]
    assert reporter is not None
    settlement.settle(batch, PART_REFUSED, 0.1, 10.0, 0.5)
    assert reporter.counts.dropped == 1
    assert buffer.is_settled


def test_a_refused_content_does_not_make_its_field_unknown_for_others() -> None:
    buffer = empty_buffer()
    tile = reporter(buffer)
    for label in ("a", "b"):
        tile.counters[label] = Counter(label)
        tile.counters[label].notes = {"link": f"https://host/{label}"}
        report(buffer, tile, label, 1)
    batch = buffer.next_batch(10.0)
    assert batch is not None
    refusal = Disposition(Action.REFUSED, "no link", refused=(0,), refused_fields=((0, "link"),))
    Settlement(buffer, ServerHealth(SETTINGS), SETTINGS).settle(batch, refusal, 0.1, 10.0, 0.5)
    again = buffer.next_batch(10.0)
    assert again is not None
    assert [event.get("link") for event, _ in again.entries] == [None, "https://host/b"]
    assert buffer.unknown_fields == frozenset()
    assert tile.counts.dropped == 1


def test_a_repeated_batch_without_a_refused_note_may_be_a_duplicate() -> None:
    buffer, settlement, batch = settlement_of_a_part(2)
    buffer.known_fields = frozenset(("message",))
    event, owner = batch.entries[0]
    event["message"] = "text"
    refusal = Disposition(Action.REFUSED, "no", refused=(0,), refused_fields=((0, "message"),))
    settlement.settle(batch, refusal, 0.1, 10.0, 0.5)
    again = buffer.next_batch(10.0)
    assert again is not None
    again.tries += 1
    settlement.settle(again, Disposition(Action.RECORDED, verdicts=["duplicate"]), 0.1, 10.0, 0.5)
    assert owner is not None
    assert owner.counts.discarded == 0
