"""Fixtures of the tests with real engines: one real ledger for all, and the parts of the Python client's tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

_folders = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "python-client")]
sys.path[:0] = _folders
# Workers of engines import the tests' modules.
os.environ["PYTHONPATH"] = os.pathsep.join([*_folders, os.environ.get("PYTHONPATH", "")])
for _name in list(os.environ):
    # The tests must not use a ledger or an engine of their environment.
    if _name.startswith(("GITHUB_", "PROGRESS_LEDGER_")) and _name != "PROGRESS_LEDGER_BINARY":
        del os.environ[_name]

from progress_ledger import Client, Job  # noqa: E402

from ledger_process import LedgerProcess  # noqa: E402


@pytest.fixture(scope="session")
def server() -> Iterator[LedgerProcess]:
    process = LedgerProcess()
    os.environ["PROGRESS_LEDGER_URL"] = process.url
    yield process
    process.remove()


@pytest.fixture
def ledger(server: LedgerProcess) -> Iterator[Client]:
    with Client(server.url) as client:
        yield client


@pytest.fixture
def job(ledger: Client) -> Job:
    return ledger.jobs.create("test")
