"""Fixtures of the tests: one real ledger for all, a fault proxy and clients for each."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator

import pytest
from programs import programs  # noqa: F401  a fixture

from progress_ledger import Client, Job, Settings

from fault_proxy import FaultProxy
from ledger_process import LedgerProcess

# Shorter waits than the defaults, for fast tests.
QUICK = Settings(report_seconds=0.02, pause_seconds_min=0.01, pause_seconds_max=0.1)

for _name in list(os.environ):
    # The tests must not use a ledger or an engine of their environment.
    if _name.startswith(("SLURM_", "AIRFLOW_CTX_", "AWS_BATCH_", "GITHUB_", "JOB_COMPLETION")) or _name in (
        "PROGRESS_LEDGER_URL", "PROGRESS_LEDGER_TOKEN", "PROGRESS_LEDGER_TOKEN_FILE", "PROGRESS_LEDGER_CA_FILE",
        "PROGRESS_LEDGER_JOB", "PROGRESS_LEDGER_ATTEMPT",
        "PROGRESS_LEDGER_TASK", "PROGRESS_LEDGER_CLIENT_CERTIFICATE_FILE", "PROGRESS_LEDGER_CLIENT_KEY_FILE",
    ):  # fmt: skip
        del os.environ[_name]


@pytest.fixture(scope="session")
def server() -> Iterator[LedgerProcess]:
    process = LedgerProcess()
    yield process
    process.remove()


@pytest.fixture
def proxy(server: LedgerProcess) -> Iterator[FaultProxy]:
    proxy = FaultProxy(server.url)
    yield proxy
    proxy.close()


@pytest.fixture
def ledger(server: LedgerProcess) -> Iterator[Client]:
    """A client with a direct connection to the ledger."""
    with Client(server.url, settings=QUICK) as client:
        yield client


@pytest.fixture
def job(ledger: Client) -> Job:
    return ledger.jobs.create("test")


@pytest.fixture
def faulty(proxy: FaultProxy) -> Iterator[Client]:
    """A client with a connection through the proxy."""
    client = Client(proxy.url, settings=QUICK)
    yield client
    client.close(5)


class Messages(logging.Handler):
    """The log messages of the package. Tests can wait for messages of other threads."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[logging.LogRecord] = []
        self._changed = threading.Condition()

    def emit(self, record: logging.LogRecord) -> None:
        with self._changed:
            self.records.append(record)
            self._changed.notify_all()

    def wait_for(self, text: str, seconds: float = 20) -> None:
        with self._changed:
            is_found = self._changed.wait_for(lambda: self.count(text), seconds)
            found = [record.getMessage() for record in self.records]
            assert is_found, f"no message contains {text!r} after {seconds} s; the messages are {found}"

    def count(self, text: str) -> int:
        return sum(text in record.getMessage() for record in self.records)

    def levels(self) -> list[str]:
        """Returns the levels of warnings and errors."""
        return [record.levelname for record in self.records if record.levelno >= logging.WARNING]


@pytest.fixture
def messages() -> Iterator[Messages]:
    handler = Messages()
    logger = logging.getLogger("progress_ledger")
    level = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)


def figures(job: Job) -> dict[str | None, tuple[int, int]]:
    """Returns the indicators of a fresh read: label → (done, total)."""
    return {indicator.label: (indicator.done, indicator.total) for indicator in job.refresh().progress}
