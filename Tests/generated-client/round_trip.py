"""Makes a round trip with a client that was generated from the server's description: reports, and reads them back."""

import importlib
import pkgutil
import sys

import progress_ledger_client
from progress_ledger_client import Client
from progress_ledger_client.api.jobs import create_job, get_job, list_jobs
from progress_ledger_client.api.reading import explain_indicator, list_events
from progress_ledger_client.api.reporting import append_events, start_execution
from progress_ledger_client.models import (
    EventRequestExecutionFinished,
    EventRequestJobFinished,
    EventRequestProgress,
    JobRequest,
    StartRequest,
)

MOST = 2**53 - 1


def main(url: str) -> None:
    modules = [module.name for module in pkgutil.walk_packages(progress_ledger_client.__path__, "progress_ledger_client.")]
    for name in modules:
        importlib.import_module(name)
    assert len(modules) > 100, "the package has few modules"

    with Client(base_url=url) as client:
        created = create_job.sync(client=client, body=JobRequest(name="generated", key="generated"))
        assert created.state.value == "running", created
        job = created.job
        started = start_execution.sync(job, client=client, body=StartRequest(task="t", attempt=2))
        assert (started.task, started.attempt) == ("t", 2)
        progress = {"task": "t", "execution": started.execution, "label": "units"}
        appended = append_events.sync(job, client=client, wait=append_events.AppendEventsWait.FOLDED, body=[
            EventRequestProgress.from_dict({"type": "progress", "report": 1, "total": MOST, "done": MOST, **progress}),
            EventRequestProgress.from_dict({"type": "progress", "report": 2, "total": MOST, **progress}),
        ])
        assert [verdict.value for verdict in appended.verdicts] == ["counted", "counted"]
        # A single event instead of an array.
        append_events.sync(job, client=client, body=EventRequestExecutionFinished.from_dict(
            {"type": "execution_finished", "task": "t", "execution": started.execution, "outcome": "succeeded"}))
        ended = append_events.sync(
            job, client=client, wait=append_events.AppendEventsWait.FOLDED,
            body=EventRequestJobFinished.from_dict({"type": "job_finished", "outcome": "completed"}))
        assert ended.job_state.value == "completed"

        read = get_job.sync(job, client=client)
        assert (read.progress[0].label, read.progress[0].done, read.progress[0].total) == ("units", MOST, 2 * MOST)
        assert read.tasks.succeeded == 1
        listed = list_jobs.sync(client=client, state=[list_jobs.ListJobsStateItem.COMPLETED], counts=list_jobs.ListJobsCounts.TRUE)
        assert [one.job for one in listed.jobs] == [job]
        assert (listed.counts.completed, listed.counts.running) == (1, 0)
        explained = explain_indicator.sync(job, client=client, label="units")
        assert explained.tasks[0].executions[0].counted.done == MOST
        events = list_events.sync(job, client=client)
        assert [event.type_.value for event in events.events][-1] == "job_finished"
        # An error is an object of the description, too.
        missing = get_job.sync("01900000-0000-7000-8000-000000000000", client=client)
        assert missing.status == 404 and missing.title, missing


if __name__ == "__main__":
    main(sys.argv[1])
