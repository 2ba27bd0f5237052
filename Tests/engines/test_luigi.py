"""Luigi: tasks that fail, whose process is killed, that wait for others, and whose first execution continues."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from progress_ledger import Job

from ledger_process import LedgerProcess
from support import attempts, figures

TASKS = """
import os, signal
from pathlib import Path
import luigi
import progress_ledger.luigi
from progress_ledger import current, progress
from support import is_first

progress_ledger.luigi.install()
FOLDER = Path(os.environ["TEST_FOLDER"])

class Tile(luigi.Task):
    number = luigi.IntParameter()
    retry_count = 3

    def output(self):
        return luigi.LocalTarget(FOLDER / f"tile-{self.number}")

    def run(self):
        progress("tiles").add(10)
        progress("tiles").done(10)
        if self.number == 0 and is_first(FOLDER, "failed"):
            raise ConnectionError("not yet")
        if self.number == 1 and is_first(FOLDER, "killed"):
            current().flush()
            os.kill(os.getpid(), signal.SIGKILL)
        self.output().open("w").close()

class Mosaic(luigi.Task):
    def output(self):
        return luigi.LocalTarget(FOLDER / "mosaic")

    def run(self):
        progress("mosaic").add(1)
        yield [Tile(number) for number in range(4)]
        progress("mosaic").done(1)
        self.output().open("w").close()
"""


def test_tasks_that_are_repeated_count_once(server: LedgerProcess, job: Job, tmp_path: Path) -> None:
    (tmp_path / "tasks_of_luigi.py").write_text(TASKS)
    environment = {
        **os.environ, "TEST_FOLDER": str(tmp_path), "PROGRESS_LEDGER_URL": server.url, "PROGRESS_LEDGER_JOB": job.id,
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ['PYTHONPATH']}",
    }  # fmt: skip
    command = [sys.executable, "-m", "luigi", "--module", "tasks_of_luigi", "Mosaic", "--local-scheduler"]
    # Processes of their own, and retries after one second.
    command += ["--workers", "2", "--worker-keep-alive", "--scheduler-retry-delay", "1", "--worker-wait-interval", "1"]
    subprocess.run(command, env=environment, cwd=tmp_path, check=True, timeout=120)
    assert (tmp_path / "mosaic").exists()
    assert figures(job) == {"mosaic": (1, 1), "tiles": (40, 40)}
    # A task id is its class, its parameters and a digest.
    outcomes = {name.rpartition("_")[0]: [outcome for _, outcome in runs] for name, runs in attempts(job).items()}
    assert outcomes["Tile_0"] == ["failed", "succeeded"]
    assert outcomes["Tile_1"] == [None, "succeeded"]
    assert outcomes["Tile_2"] == outcomes["Tile_3"] == ["succeeded"]


def test_an_integration_without_a_job_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import luigi

    import progress_ledger.luigi

    class Plain(luigi.Task):
        def output(self) -> luigi.LocalTarget:
            return luigi.LocalTarget(tmp_path / "plain")

        def run(self) -> None:
            self.output().open("w").close()

    progress_ledger.luigi.install()
    assert luigi.build([Plain()], local_scheduler=True)
