"""Dagster: steps that are retried, whose process is killed, and runs that are executed again from their failure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance, ReexecutionOptions, execute_job, reconstructable

from progress_ledger import Client, current, integration

from ledger_process import LedgerProcess
from steps_of_dagster import mosaic, nested, step
from support import attempts, figures


@pytest.fixture
def instance(server: LedgerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[DagsterInstance]:
    monkeypatch.setenv("TEST_FOLDER", str(tmp_path))
    monkeypatch.setenv("DAGSTER_DISABLE_TELEMETRY", "1")
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    integration.use(Client(server.url))
    with DagsterInstance.local_temp(str(tmp_path / "home")) as instance:
        yield instance


def test_steps_that_are_repeated_count_once(instance: DagsterInstance, ledger: Client) -> None:
    with execute_job(reconstructable(mosaic), instance) as first:
        assert first.success
    job = ledger.jobs.find(key=f"dagster/{first.run_id}")
    assert job.name == "mosaic"
    assert figures(job) == {"tiles": (40, 40), "total": (1, 1)}
    assert attempts(job) == {
        "plan": [(1, "succeeded")],
        "tile[0]": [(1, None), (2, None), (3, "succeeded")],
        "tile[1]": [(1, None), (2, "succeeded")],
        "tile[2]": [(1, "succeeded")],
        "tile[3]": [(1, "succeeded")],
        "total": [(1, "succeeded")],
    }
    # Only these steps are repeated.
    options = ReexecutionOptions(parent_run_id=first.run_id, step_selection=["tile[0]", "total"])
    with execute_job(reconstructable(mosaic), instance, reexecution_options=options) as second:
        assert second.success
    assert figures(job) == {"tiles": (40, 40), "total": (1, 1)}
    assert [attempt for attempt, _ in attempts(job)["tile[0]"]] == [1, 2, 3, 4]
    assert len(attempts(job)["total"]) == 2


def test_an_op_that_another_one_calls_belongs_to_its_execution(instance: DagsterInstance, ledger: Client) -> None:
    with execute_job(reconstructable(nested), instance) as run:
        assert run.success
    job = ledger.jobs.find(key=f"dagster/{run.run_id}")
    assert figures(job) == {"nested": (12, 0)}
    assert attempts(job) == {"run": [(1, "succeeded")]}


def test_an_op_that_is_called_directly_runs_without_an_execution(caplog: pytest.LogCaptureFixture) -> None:
    before = current().stats.dropped
    step()
    assert current().stats.dropped == before + 1
    assert "fails" not in caplog.text
