"""The attempts of workflow engines are read, and invalid values stop no task."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from progress_ledger import Client, Job, Settings, progress
from progress_ledger.engines import EngineTask, detect

from conftest import Messages, figures

TABLE = json.loads((Path(__file__).parents[1] / "engine-variables" / "cases.json").read_text("utf-8"))
ARRAY = {"SLURM_JOB_ID": "78", "SLURM_ARRAY_JOB_ID": "77", "SLURM_ARRAY_TASK_ID": "4"}


@pytest.mark.parametrize("case", TABLE["cases"] + TABLE["steps"], ids=lambda case: case["name"])
def test_an_engine_is_known_by_its_variables(case: dict[str, Any]) -> None:
    found = detect(case["environment"])
    expected = case.get("engine") and EngineTask(
        case["engine"], case.get("attempt"), case.get("task"), case.get("attempt_of_variable")
    )
    assert found == expected
    if found is not None:
        assert found.attempt_of_code == (found.attempt if case.get("orders_code", True) else None)


def test_the_attempt_and_the_task_come_from_the_engine(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**ARRAY, "SLURM_RESTART_COUNT": "1"}.items():
        monkeypatch.setenv(name, value)
    with job.execution() as context:
        context.progress().done(1)
        assert (context.task, context.attempt) == ("77_4", 2)
    with job.execution("own name", attempt=7) as context:
        assert (context.task, context.attempt) == ("own name", 7)
    with job.execution("own name, attempt of the ledger") as context:
        assert context.attempt is None
    monkeypatch.setenv("SLURM_RESTART_COUNT", "0")
    with job.execution() as zombie:
        zombie.progress().done(100)
    assert zombie.superseded
    assert figures(job) == {None: (1, 0)}


def test_a_task_that_a_variable_names_may_be_submitted_again_to_slurm(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROGRESS_LEDGER_TASK", "tile-4")
    for id, restarts in (("78", "5"), ("79", "0"), ("78", "6")):
        monkeypatch.setenv("SLURM_JOB_ID", id)
        monkeypatch.setenv("SLURM_RESTART_COUNT", restarts)
        with job.execution() as context:
            context.progress().done(1)
        assert context.superseded == (restarts == "6")
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


def test_each_mapped_task_of_airflow_is_a_task(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CTX_TASK_ID", "load")
    instance = SimpleNamespace(map_index=-1)
    sdk = module("airflow.sdk", get_current_context=lambda: {"ti": instance})
    monkeypatch.setitem(sys.modules, "airflow.sdk", sdk)
    assert job.execution().task == "load"
    instance.map_index = 3
    assert job.execution().task == "load[3]"
    assert job.execution("own name").task == "own name"
    monkeypatch.setattr(sdk, "get_current_context", lambda: 1 / 0)
    assert job.execution().task == "load"


@pytest.mark.parametrize(
    ("variable", "restarts"),
    [("SLURM_RESTART_COUNT", ("0", "5", "0")), ("AWS_BATCH_JOB_ATTEMPT", ("1", "2", "1")),
     ("JOB_INDEX_FAILURE_COUNT", ("0", "1", "0"))],
)  # fmt: skip
def test_of_a_task_that_workers_in_different_jobs_of_a_scheduler_take_the_later_delivery_counts(
    job: Job, monkeypatch: pytest.MonkeyPatch, variable: str, restarts: tuple[str, ...]
) -> None:
    """The worker of a queue fails, the one in a restarted job too, and one in a job that runs since long succeeds."""
    for id, count in zip(("5001", "5002", "5001"), restarts):
        for name in ("SLURM_JOB_ID", "AWS_BATCH_JOB_ID", "JOB_COMPLETION_INDEX"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv({"S": "SLURM_JOB_ID", "A": "AWS_BATCH_JOB_ID", "J": "JOB_COMPLETION_INDEX"}[variable[0]], id)
        monkeypatch.setenv(variable, count)
        with job.execution("tile-17") as context:
            context.progress().done(1)
            context.flush()
        assert not context.superseded
    assert figures(job) == {None: (1, 0)}
    assert [[run.attempt for run in task.executions] for task in job.tasks()] == [[1, 2, 3]]


def test_each_process_and_each_step_of_a_job_of_slurm_is_a_task(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "8")
    for step in ("0", "1"):
        for rank in range(8):
            monkeypatch.setenv("SLURM_STEP_ID", step)
            monkeypatch.setenv("SLURM_PROCID", str(rank))
            with job.execution() as context:
                context.progress().done(1)
    assert figures(job) == {None: (16, 0)}


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
