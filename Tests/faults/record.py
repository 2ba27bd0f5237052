"""The final contents of the ledger, read over HTTP and by SQL."""

import json
from urllib.parse import quote

from api import Client
from fold import given_event, shown_snapshot
from processes import run

_TYPES = "array['job_created', 'execution_started', 'progress', 'execution_finished', 'job_finished']"

# The fields of an event as its caller gave them, under their names in the interface.
_EVENTS = f"""
select json_strip_nulls(json_build_object(
    'job', job_id, 'sequence', sequence, 'type', ({_TYPES})[type], 'task', task, 'execution', execution,
    'attempt', attempt, 'report', report, 'label', label, 'total', total, 'done', done, 'outcome', outcome,
    'message', message, 'link', link, 'unit', unit, 'part', part, 'carried', carried,
    'name', name, 'key', key, 'tags', tags,
    'at', to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
))
from ledger.event
order by job_id, sequence
"""


class Record:
    """The events and the last snapshots of several jobs."""

    def __init__(self):
        self.events = {}  # as they are shown, by job
        self.snapshots = {}
        self.sums = {}  # the sums that explain the numbers of a label, by job and label
        self.rows = {}  # as they are stored, by job


def read_record(server, postgres, jobs):
    """Reads everything about some jobs from a server and from PostgreSQL."""
    client = Client([server], seconds=120)
    record = Record()
    for job in jobs:
        path = f"/v1/jobs/{job}"
        lines = get(client, server, f"{path}/events?after=0", accept="application/x-ndjson").text.splitlines()
        record.events[job] = [json.loads(line) for line in lines]
        record.snapshots[job] = shown_snapshot(get(client, server, f"{path}/progress").json)
        for label in _some_labels(record.events[job]):
            record.sums[job, label] = _explain(client, server, path, label)
    for row in postgres.sql(_EVENTS):
        event = json.loads(row)
        record.rows.setdefault(event.pop("job"), []).append(event)
    record.rows = {job: record.rows.get(job, []) for job in jobs}
    return record


def get(client, server, path, accept="application/json"):
    """Returns the response to a read, which must succeed."""
    response = client.send_to(server.port, "GET", path, accept=accept)
    if response.status != 200:
        raise RuntimeError(f"GET {path} failed: {response}")
    return response


def create_job(server, name):
    """Creates a job and returns its id."""
    response = Client([server], seconds=40).send_to(server.port, "POST", "/v1/jobs", json.dumps({"name": name}))
    if response.status != 201:
        raise RuntimeError(f"cannot create a job: {response}")
    return response.json["job"]


def stored_event(shown):
    """Returns a shown event in the form of a row."""
    event = given_event(shown)
    return {field: value for field, value in event.items() if not (field == "tags" and not value)}


def tool_problems(binary, server, *arguments):
    """Runs one of the product's own checks, and returns its output as a problem if it fails."""
    try:
        run([binary, *arguments, "--server", server.url], seconds=300)
    except RuntimeError as error:
        return [str(error)]
    return []


def _explain(client, server, path, label):
    return get(client, server, f"{path}/explain?label={quote(label)}").json["conservation"]


def _some_labels(events):
    """Returns the first labels of a job, in the order of their first events."""
    labels = dict.fromkeys(event.get("label", "") for event in events if event["type"] == "progress")
    return list(labels)[:8]
