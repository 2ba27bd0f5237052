"""joblib: workers that are killed, with the next attempt of the execution around them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import joblib
import pytest
from joblib.externals.loky.process_executor import TerminatedWorkerError

from progress_ledger import Job
from progress_ledger.joblib import Parallel, delayed

from support import attempts, figures, is_first


def work(number: int, folder: str) -> int:
    """Number 5 kills its worker once, and number 6 raises once, in the attempt after that."""
    if number == 5 and is_first(folder, "killed"):
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 6 and (Path(folder) / "again").exists() and is_first(folder, "failed"):
        raise ConnectionError("not yet")
    return number


@pytest.mark.parametrize("kind", [list, iter])
def test_all_attempts_of_a_loop_whose_worker_is_killed_count_once(job: Job, tmp_path: Path, kind: type) -> None:
    calls = [delayed(work)(number, str(tmp_path)) for number in range(20)]
    zombie = job.execution("tiles", 1)
    zombie.start()
    zombie.progress("tiles").done(3)
    zombie.flush()
    for attempt, error in ((2, TerminatedWorkerError), (3, ConnectionError)):
        with pytest.raises(error), job.execution("tiles", attempt):
            Parallel(n_jobs=2, label="tiles", batch_size=1)(kind(calls))
        (tmp_path / "again").touch()
    with job.execution("tiles", 4):
        assert Parallel(n_jobs=2, label="tiles")(kind(calls)) == list(range(20))
    # The first execution was presumed dead.
    zombie.progress("tiles").done(1000)
    zombie.flush()
    assert zombie.superseded
    assert figures(job) == {"tiles": (20, 20)}
    assert [outcome for _, outcome in attempts(job)["tiles"]] == [None, "failed", "failed", "succeeded"]


@pytest.mark.parametrize("backend", ["sequential", "threading", "loky"])
def test_every_backend_and_every_kind_of_result_is_counted(job: Job, tmp_path: Path, backend: str) -> None:
    (tmp_path / "killed").touch()
    with job.execution("tiles"), joblib.parallel_config(backend=backend):
        parallel = Parallel(n_jobs=2, label="tiles", return_as="generator")
        for _ in range(2):
            assert list(parallel(delayed(work)(number, str(tmp_path)) for number in range(50))) == list(range(50))
    assert figures(job) == {"tiles": (100, 100)}


def test_a_loop_outside_of_every_execution_works(tmp_path: Path) -> None:
    (tmp_path / "killed").touch()
    assert Parallel(n_jobs=2)(delayed(work)(number, str(tmp_path)) for number in range(9)) == list(range(9))
