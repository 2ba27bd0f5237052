"""The attempts of workflow engines are read, and invalid values stop no task."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from progress_ledger import Client, Job, Settings, progress
from progress_ledger.engines import EngineTask, detect

from conftest import Messages, figures

BATCH = {"AWS_BATCH_JOB_ID": "b1:3", "AWS_BATCH_JOB_ARRAY_INDEX": "3"}
SLURM = {"SLURM_JOB_ID": "77"}
ARRAY = {"SLURM_JOB_ID": "78", "SLURM_ARRAY_JOB_ID": "77", "SLURM_ARRAY_TASK_ID": "4"}
AIRFLOW = {"AIRFLOW_CTX_DAG_ID": "d", "AIRFLOW_CTX_TASK_ID": "load"}


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({}, None),
        ({"PROGRESS_LEDGER_ATTEMPT": "3"}, EngineTask("PROGRESS_LEDGER_ATTEMPT", 3)),
        ({"PROGRESS_LEDGER_ATTEMPT": "0"}, None),
        ({"PROGRESS_LEDGER_ATTEMPT": "two"}, None),
        ({"PROGRESS_LEDGER_ATTEMPT": "9" * 30}, None),
        ({"PROGRESS_LEDGER_ATTEMPT": "²"}, None),
        ({**BATCH, "AWS_BATCH_JOB_ATTEMPT": "2"}, EngineTask("AWS Batch", 2, "b1:3")),
        (BATCH, EngineTask("AWS Batch", None, "b1:3")),
        (SLURM, EngineTask("Slurm", 1, "77")),
        ({**SLURM, "SLURM_RESTART_COUNT": "2"}, EngineTask("Slurm", 3, "77")),
        (ARRAY, EngineTask("Slurm", 1, "77_4")),
        ({**AIRFLOW, "AIRFLOW_CTX_TRY_NUMBER": "2"}, EngineTask("Airflow", 2, "load")),
        ({"AIRFLOW_CTX_TRY_NUMBER": "2"}, None),
        ({"JOB_COMPLETION_INDEX": "0"}, EngineTask("Kubernetes", None, "0")),
        ({"JOB_COMPLETION_INDEX": "5", "JOB_INDEX_FAILURE_COUNT": "1"}, EngineTask("Kubernetes", 2, "5")),
        # A task of Airflow may run in a Kubernetes pod or on Slurm: the most specific engine counts.
        ({**SLURM, **AIRFLOW, "AIRFLOW_CTX_TRY_NUMBER": "4"}, EngineTask("Airflow", 4, "load")),
        ({**AIRFLOW, "PROGRESS_LEDGER_ATTEMPT": "9", "PROGRESS_LEDGER_TASK": "t"},
         EngineTask("PROGRESS_LEDGER_ATTEMPT", 9, "t")),
    ],
)  # fmt: skip
def test_an_engine_is_known_by_its_variables(environment: dict[str, str], found: EngineTask | None) -> None:
    assert detect(environment) == found


def test_the_attempt_and_the_task_come_from_the_engine(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**ARRAY, "SLURM_RESTART_COUNT": "1"}.items():
        monkeypatch.setenv(name, value)
    with job.execution() as context:
        context.progress().done(1)
        assert (context.task, context.attempt) == ("77_4", 2)
    with job.execution("own name", attempt=7) as context:
        assert (context.task, context.attempt) == ("own name", 7)
    monkeypatch.setenv("SLURM_RESTART_COUNT", "0")
    with job.execution() as zombie:
        zombie.progress().done(100)
    assert zombie.superseded
    assert figures(job) == {None: (1, 0)}


def test_without_an_engine_reports_of_a_task_without_a_name_are_dropped(job: Job, messages: Messages) -> None:
    with job.execution() as context:
        context.progress().done(1)
    assert context.stats.dropped == 1
    assert messages.count("give one") == 1


def test_the_engine_can_be_left_out(server, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("PROGRESS_LEDGER_ATTEMPT", "5")
    with Client(server.url, settings=Settings(attempt_from_engine=False)) as ledger:
        assert ledger.jobs.create("plain").execution("t").attempt is None


def module(name: str, **content: Any) -> ModuleType:
    found = ModuleType(name)
    vars(found).update(content)
    return found


def test_mapped_tasks_of_airflow_that_share_a_name_are_logged(
    job: Job, monkeypatch: pytest.MonkeyPatch, messages: Messages
) -> None:
    monkeypatch.setenv("AIRFLOW_CTX_TASK_ID", "load")
    instance = SimpleNamespace(map_index=-1)
    sdk = module("airflow.sdk", get_current_context=lambda: {"ti": instance})
    monkeypatch.setitem(sys.modules, "airflow.sdk", sdk)
    job.execution()
    assert messages.levels() == []
    instance.map_index = 3
    job.execution("load 3")
    assert messages.levels() == [], "a name of its own"
    for _ in range(3):
        job.execution()
    assert messages.levels() == ["WARNING"]
    assert messages.count("map_index 3") == 1
    monkeypatch.setattr(sdk, "get_current_context", lambda: 1 / 0)
    job.execution()


def test_a_task_of_prefect_that_is_tried_again_in_anothers_execution_is_logged(
    job: Job, monkeypatch: pytest.MonkeyPatch, messages: Messages
) -> None:
    running: list[Any] = [None]
    context = module("prefect.context", TaskRunContext=SimpleNamespace(get=lambda: running[0]))
    monkeypatch.setitem(sys.modules, "prefect.context", context)

    def attempt(count: int) -> Any:
        return SimpleNamespace(task_run=SimpleNamespace(id="t1", run_count=count))

    with job.execution("flow"):
        for count in (1, 2, 3):
            running[0] = attempt(count)
            with job.execution("own", attempt=count):
                progress("own").done(1)
        assert messages.levels() == []
        running[0] = attempt(1)
        progress("flow").done(1)
        assert messages.levels() == []
        running[0] = attempt(2)
        progress("flow").done(1)
        progress("flow").done(1)
    assert messages.levels() == ["WARNING"]
    assert figures(job) == {"own": (1, 0), "flow": (3, 0)}
    monkeypatch.setattr(context, "TaskRunContext", None)
    with job.execution("broken"):
        progress("broken").done(1)
