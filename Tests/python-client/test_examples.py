"""The examples of the package print the documented output, also through a faulty network."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fault_proxy import CutAfter, FaultProxy, Pass
from ledger_process import LedgerProcess

EXAMPLES = Path(__file__).parents[2] / "Sources" / "python-client" / "examples"
WORKFLOW = "finalize: 1/1\nstep1: 4/4\nstep2: 4/4\n"


def run(name: str, url: str, *arguments: str) -> str:
    environment = {**os.environ, "PROGRESS_LEDGER_URL": url}
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("n", [1, 8, 100])
def test_units_and_subtasks(server: LedgerProcess, n: int) -> None:
    assert run("units_and_subtasks.py", server.url, str(n)) == f"units: {n}/{n}\n"


def test_workflow(server: LedgerProcess) -> None:
    assert run("workflow.py", server.url) == WORKFLOW


def test_the_samples_of_the_readme_run(server: LedgerProcess) -> None:
    text = (EXAMPLES.parent / "README.md").read_text("utf-8")
    samples = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    environment = {**os.environ, "PROGRESS_LEDGER_URL": server.url}
    outputs = []
    for sample in (
        samples[0].replace("http://localhost:8080", server.url),
        *(s for s in samples if "asyncio.run" in s),
    ):
        command = [sys.executable, "-c", sample]
        result = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
        assert result.returncode == 0, result.stderr
        outputs.append(result.stdout)
    assert outputs == ["download: 1/10\n", "mosaic: completed  download: 1/0\n"]


def test_workflow_through_a_network_that_loses_every_second_response(proxy: FaultProxy) -> None:
    proxy.inject(*[CutAfter(), Pass()] * 200)
    assert run("workflow.py", proxy.url) == WORKFLOW
