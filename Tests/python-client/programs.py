"""Programs in separate processes that report, for tests of their ends."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest

from progress_ledger import Job

from ledger_process import LedgerProcess

BEGIN = """
import os, signal, sys, threading, time
from progress_ledger import Client, Settings
url, id, *arguments = sys.argv[1:]
# With an interval of an hour, nothing is sent without a reason.
ledger = Client(url, settings=Settings(report_seconds=float(arguments[0]) if arguments else 3600, flush_seconds=10))
job = ledger.job(id)
"""


class Program:
    """A Python process that reports to a job."""

    def __init__(self, url: str, job: Job, source: str, *arguments: str, before: str = "") -> None:
        code = "\n".join((before, BEGIN, textwrap.dedent(source)))
        command = [sys.executable, "-c", code, url, job.id, *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def read_line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self, code: int = 0) -> str:
        output, errors = self.process.communicate(timeout=60)
        assert self.process.returncode == code, errors
        assert "Traceback" not in errors, errors
        return output + errors


@pytest.fixture
def programs(server: LedgerProcess, job: Job) -> Iterator[type[Program]]:
    started: list[Program] = []

    class Started(Program):
        def __init__(self, source: str, *arguments: str, url: str = server.url, before: str = "") -> None:
            super().__init__(url, job, source, *arguments, before=before)
            started.append(self)

    yield Started
    for program in started:
        program.process.kill()
        program.process.communicate()
