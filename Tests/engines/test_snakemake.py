"""Snakemake: jobs that are restarted, whose process is killed, and that continue after Snakemake itself was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from progress_ledger import Client, Job, current, integration
from progress_ledger.snakemake import attach

from ledger_process import LedgerProcess
from support import attempts, figures, notes, wait_until

SNAKEFILE = Path(__file__).parent / "snakemake-workflow" / "Snakefile"
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(server: LedgerProcess, tmp_path: Path) -> Iterator[Start]:
    """Starts Snakemake, which leaves its jobs alone when it is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(target: str, *options: str, **variables: str) -> subprocess.Popen[str]:
        environment = {
            **os.environ, "PROGRESS_LEDGER_URL": server.url, "TEST_FOLDER": str(tmp_path), "HOME": str(tmp_path),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", **variables,
        }  # fmt: skip
        command = [sys.executable, "-m", "snakemake", target, *options, "--snakefile", str(SNAKEFILE), "--cores", "4"]
        command += ["--logger", "progress-ledger"]
        process = subprocess.Popen(
            command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def end(process: subprocess.Popen[str], code: int = 0) -> str:
    output, _ = process.communicate(timeout=120)
    assert process.returncode == code, output
    return output


def job_of(ledger: Client, folder: Path) -> Job:
    [job] = ledger.jobs.list(name=folder.name)
    return job


def test_jobs_that_are_restarted_and_killed_count_once(start: Start, ledger: Client, tmp_path: Path) -> None:
    end(start("mosaic"))
    job = job_of(ledger, tmp_path)
    assert figures(job) == {"tiles": (40, 40), "checks": (1, 1), "mosaics": (1, 1)}
    assert job.key.startswith("snakemake/")
    # A job that Snakemake restarts has not failed.
    assert attempts(job) == {
        "tile[number=0]": [(1, None), (2, None), (3, "succeeded")],
        "tile[number=1]": [(1, None), (2, "succeeded")],
        "tile[number=2]": [(1, "succeeded")],
        "tile[number=3]": [(1, "succeeded")],
        "check": [(1, "succeeded")],
        "mosaic": [(1, "succeeded")],
    }
    assert job.state == "completed"
    assert not list((tmp_path / ".snakemake" / "progress-ledger").iterdir()), "the files of the run are removed"


def test_a_job_that_fails_has_failed_with_a_reason(start: Start, ledger: Client, tmp_path: Path) -> None:
    end(start("doomed"), 1)
    job = job_of(ledger, tmp_path)
    assert attempts(job) == {"doomed": [(1, "failed")]}
    [(message, _)] = notes(job)["doomed"]
    assert message == "CalledProcessError"
    assert job.state == "failed"


def test_a_job_fails_while_others_run(start: Start, ledger: Client, tmp_path: Path) -> None:
    process = start("doomed", "slow", "--keep-going")
    wait_until((tmp_path / "waiting").exists)
    job = job_of(ledger, tmp_path)
    wait_until(lambda: attempts(job).get("doomed") == [(1, "failed")])
    assert process.poll() is None
    (tmp_path / "second has ended").touch()
    end(process, 1)
    assert job.refresh().state == "failed"
    assert attempts(job)["slow"] == [(1, "succeeded")]


def test_a_job_without_its_output_has_failed(start: Start, ledger: Client, tmp_path: Path) -> None:
    end(start("missing", "--latency-wait", "0"), 1)
    job = job_of(ledger, tmp_path)
    assert attempts(job) == {"missing": [(1, None), (2, "failed")]}
    assert job.state == "failed"


def test_of_a_job_that_continues_after_snakemake_was_killed_the_repetition_counts(
    start: Start, job: Job, tmp_path: Path
) -> None:
    process = start("slow", PROGRESS_LEDGER_JOB=job.id)
    wait_until((tmp_path / "waiting").exists)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until(lambda: figures(job) == {"slow": (1, 1)})
    end(start("slow", "--nolock", "--rerun-incomplete", PROGRESS_LEDGER_JOB=job.id))
    (tmp_path / "second has ended").touch()
    wait_until(lambda: list(tmp_path.glob("superseded *")))
    assert (tmp_path / "superseded True").exists()
    assert figures(job) == {"slow": (1, 1)}
    assert attempts(job) == {"slow": [(1, None), (2, "succeeded")]}
    assert job.state == "running", "a job that others report to is not ended"


def test_a_dry_run_and_a_run_without_work_report_nothing(start: Start, ledger: Client, tmp_path: Path) -> None:
    end(start("mosaic", "--dry-run"))
    (tmp_path / "doomed").touch()
    end(start("doomed"))
    assert not list(ledger.jobs.list(name=tmp_path.name))


def test_an_unreachable_ledger_costs_no_job_time(start: Start, tmp_path: Path) -> None:
    began = time.monotonic()
    end(start("mosaic", PROGRESS_LEDGER_URL="http://127.0.0.1:1"))
    assert time.monotonic() - began < 60
    assert (tmp_path / "mosaic").exists()


def test_without_the_plugin_reports_are_dropped_and_counted(
    server: LedgerProcess, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    integration.use(Client(server.url))
    with attach("tile-0"):
        current().progress("tiles").done(1)
        assert current().stats.dropped == 1
    assert "PROGRESS_LEDGER_SNAKEMAKE is not set" in caplog.text
    monkeypatch.delenv("PROGRESS_LEDGER_URL")
    integration.use(Client())
    caplog.clear()
    with attach("tile-0") as execution:
        current().progress("tiles").done(1)
    assert execution.stats.dropped == 0
    assert not caplog.text
