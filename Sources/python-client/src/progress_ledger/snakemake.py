"""The jobs of Snakemake as executions.

    snakemake --logger progress-ledger

reports the start and the outcome of each job: its task is `RULE[WILDCARDS]`. In the code of a job, in a `script`, a
`run` block or a program of a `shell` command:

    from progress_ledger.snakemake import attach

    with attach(snakemake):  # in a `run` block: attach(output); in a program: the path of the first output file
        progress_ledger.progress("download").done(1)

A run of Snakemake is a job of the ledger with the key `snakemake/WORKFLOW_ID`; with `PROGRESS_LEDGER_JOB`, all runs
report to that job instead, and one that repeats jobs supersedes their earlier executions. A job that Snakemake restarts
is the next attempt; the ledger numbers them. The logger plugin is in `snakemake_logger_plugin_progress_ledger`, because
the code of a job may run without Snakemake's packages.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

from .contexts import lost, silent
from .execution import Execution
from .handle import Handle, restored
from .integration import client, losses

# The folder with the executions of the running jobs, one file each. The logger plugin sets it, and jobs inherit it.
VARIABLE = "PROGRESS_LEDGER_SNAKEMAKE"


def attach(job: Any) -> Execution:
    """Returns the execution of the job of Snakemake that runs this code, to report to it; a context for `with`.

    `job`: the object `snakemake` of a script, the `output` of a `run` block, or the path of the job's first output file
    as in its rule; without output files, the name of the rule. See `Handle.attach`.

    Never raises: without the logger plugin, reports are dropped, counted and logged once; without a ledger, nothing is.
    """
    try:
        ledger = client()._ledger
        if ledger.sender is None and not ledger.is_lost:
            return silent("unknown")
        content = json.loads(file_of(os.environ[VARIABLE], _name_of(job)))
        origin = content["origin"]
        handle = Handle(content["job"] or "", content["task"], content["execution"])
        return restored(ledger, handle, None if origin is None else tuple(origin))
    except Exception as error:
        reason = f"{VARIABLE} is not set" if VARIABLE not in os.environ else f"{type(error).__name__}: {error}"
        losses.log("snakemake", "the execution of a job of Snakemake is unknown, its reports are dropped: %s", reason)
        return lost("unknown", losses)


def _name_of(job: Any) -> str:
    if isinstance(job, (str, os.PathLike)):
        return os.fspath(job)
    output = job.output if hasattr(job, "rule") else job
    return str(output[0]) if len(output) else str(job.rule)


def path_of(folder: str, name: str) -> str:
    """The path of the file with the execution of a job; `name` is its first output file, or its rule."""
    return os.path.join(folder, hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:32])


def file_of(folder: str, name: str) -> str:
    with open(path_of(folder, name), encoding="utf-8") as file:
        return file.read()


def write_file(folder: str, name: str, execution: Execution) -> None:
    """Writes the execution of a job for `attach`. Makes no request, because Snakemake's scheduler waits.

    A job that still runs when it is restarted has read its own file at its start.
    """
    reporter = execution._reporter
    if reporter is None:
        return
    origin = reporter.job.origin
    content: Mapping[str, Any] = {
        "job": reporter.job.job if origin is None else None, "origin": origin,
        "task": reporter.task, "execution": reporter.execution,
    }  # fmt: skip
    path = path_of(folder, name)
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        json.dump(content, file)
    os.replace(f"{path}.new", path)
