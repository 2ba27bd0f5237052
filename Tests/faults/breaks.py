"""Deliberate damage, to test that the checks find it: `--break KIND`."""

import json

from api import Client
from journal import ACKNOWLEDGED

KINDS = {
    "lost-event": "an acknowledged event is deleted in the database",
    "changed-event": "an acknowledged event is changed in the database",
    "changed-projection": "a number of a snapshot is changed in the database",
    "repeated-request": "an acknowledged request is sent again with the same markers",
    "unknown-request": "an event is appended that no reporter has sent",
    "changed-read": "a number in a snapshot that was read is changed in the test's own journal",
}


def break_ledger(kind, journal, postgres, server):
    """Damages the ledger if the kind asks for it."""
    exchange = next(
        exchange
        for exchange in reversed(journal.exchanges)
        if exchange.outcome == ACKNOWLEDGED and exchange.events[0][1]["type"] == "progress"
    )
    job, event = exchange.events[0]
    row = f"where job_id = '{job}' and sequence = {exchange.first_sequences[job]}"
    if kind == "lost-event":
        _change_events(postgres, f"delete from ledger.event {row}")
    elif kind == "changed-event":
        _change_events(postgres, f"update ledger.event set done = coalesce(done, 0) + 1 {row}")
    elif kind == "changed-projection":
        change = "counted_done = counted_done + 1, received_done = received_done + 1"
        postgres.sql(f"update ledger.indicator set {change} where job_id = '{job}'")
    elif kind == "repeated-request":
        events = [{"job": job, **event} for job, event in exchange.events]
        _append(server, events)
    elif kind == "unknown-request":
        _append(server, [{"job": job, **event, "at": "2000-01-01T00:00:00.000000Z"}])


def break_journal(kind, journal):
    """Damages the test's own journal if the kind asks for it."""
    if kind == "changed-read":
        snapshot = next(snapshot for snapshot in journal.snapshots.values() if snapshot["progress"])
        snapshot["progress"][0]["done"] += 1


def _change_events(postgres, statement):
    """Changes events with the triggers disabled, which needs a superuser."""
    partitions = postgres.sql("select inhrelid::regclass from pg_inherits where inhparent = 'ledger.event'::regclass")
    for table in ["ledger.event", *partitions]:
        postgres.sql(f"alter table {table} disable trigger all")
    postgres.sql(statement)
    for table in ["ledger.event", *partitions]:
        postgres.sql(f"alter table {table} enable trigger all")


def _append(server, events):
    response = Client([server]).send_to(server.port, "POST", "/v1/events", json.dumps(events))
    if response.status != 201:
        raise RuntimeError(f"cannot append the damage: {response}")
