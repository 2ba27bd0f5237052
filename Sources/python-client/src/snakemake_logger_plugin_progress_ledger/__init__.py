"""The plugin of `snakemake --logger progress-ledger`; see `progress_ledger.snakemake`.

Snakemake finds logger plugins by the name of their package.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import threading
from typing import Any

from snakemake_interface_logger_plugins.base import LogHandlerBase

from progress_ledger.execution import Execution, new_name
from progress_ledger.fork_locks import ForkLock
from progress_ledger.integration import end_job, harmless, job_by_id, job_by_key, task_name
from progress_ledger.job import Job
from progress_ledger.snakemake import VARIABLE, path_of, write_file

# The time in which Snakemake says that it will restart a failed job. It does so at once, unless its scheduler is busy:
# then the job has failed until its next attempt starts.
RESTART_SECONDS = 3.0

# The type of the exception in an exception of Snakemake that says where it was raised.
_CAUSE = re.compile(r"\w+:\n(\w+) in file ")
_RESTART = re.compile(r"Trying to restart job (\d+)\.")


class LogHandler(LogHandlerBase):  # type: ignore[misc,unused-ignore]
    """Reports the jobs of a run of Snakemake."""

    writes_to_stream = False
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def __post_init__(self) -> None:
        self._jobs = _Jobs()
        if not self.common_settings.dryrun:
            # Snakemake passes records to plugins in another thread. The execution of a job must be known before the job
            # starts, so the logger's own filter gets the records, in the thread of the scheduler.
            logging.getLogger("snakemake.logging").addFilter(self._observe)

    def _observe(self, record: logging.LogRecord) -> bool:
        record.progress_ledger = True
        self._jobs.observe(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Observes a record that the filter has not seen, in a version of Snakemake with another logger."""
        if not self.common_settings.dryrun and not hasattr(record, "progress_ledger"):
            self._jobs.observe(record)

    def close(self) -> None:
        logging.getLogger("snakemake.logging").removeFilter(self._observe)
        self._jobs.end()
        super().close()


class _Jobs:
    """The jobs of a run of Snakemake."""

    def __init__(self) -> None:
        self._lock = ForkLock()
        self._folder = os.path.abspath(os.path.join(".snakemake", "progress-ledger", new_name()))
        os.environ[VARIABLE] = self._folder
        self._job: Job | None = None
        self._is_own = False
        # The executions of the running jobs by their number, with the name of their file.
        self._running: dict[int, tuple[Execution, str]] = {}
        # The jobs that have failed, unless Snakemake restarts them, and why.
        self._failing: dict[int, tuple[threading.Timer, str | None]] = {}
        self._has_started = self._has_failed = self._is_complete = False
        # The type of the last error of each thread, which Snakemake logs before it says which job has failed.
        self._error = threading.local()

    @harmless
    def observe(self, record: logging.LogRecord) -> None:
        event, content = str(getattr(record, "event", None) or ""), vars(record)
        if event == "workflow_started":
            self._begin(content)
        elif event == "job_info":
            self._start(content)
        elif event == "job_finished":
            self._finish(content.get("job_id", content.get("jobid")))
        elif event == "error":
            found = _CAUSE.match(record.getMessage())
            self._error.type = found[1] if found is not None else content.get("exception")
        elif event == "job_error":
            self._fail_soon(content["jobid"])
        elif event == "group_error":
            for one in content["job_error_info"]:
                self._fail_soon(one["jobid"])
        elif event == "progress":
            self._is_complete = content["done"] == content["total"]
        elif not event:
            found = _RESTART.match(record.getMessage())
            if found is not None:
                self._restart(int(found[1]))

    def _begin(self, content: dict[str, Any]) -> None:
        if os.environ.get("PROGRESS_LEDGER_JOB"):
            self._job = job_by_id(None)
        else:
            id = str(content["workflow_id"])
            name = os.path.basename(str(content.get("cwd") or os.getcwd())) or "snakemake"
            self._job, self._is_own = job_by_key(f"snakemake/{id}", name, {"snakemake.workflow_id": id}), True

    def _start(self, content: dict[str, Any]) -> None:
        if self._job is None:
            return
        id, wildcards = content["jobid"], content.get("wildcards") or {}
        values = ",".join(f"{name}={value}" for name, value in wildcards.items())
        rule = content["rule_name"]
        execution = self._job.execution(task_name(f"{rule}[{values}]" if values else rule))
        file = str((content.get("output") or [rule])[0])
        with self._lock.held:
            before = self._take(id)
            if before is not None:
                # Snakemake restarts it, for example because its output was missing.
                before.leave()
            self._running[id] = execution, file
        self._has_started = True
        execution.start()
        os.makedirs(self._folder, exist_ok=True)
        write_file(self._folder, file, execution)

    def _finish(self, id: Any) -> None:
        with self._lock.held:
            execution = self._take(id)
        if execution is not None:
            execution.finish("succeeded")

    def _fail_soon(self, id: int) -> None:
        message = getattr(self._error, "type", None)
        timer = threading.Timer(RESTART_SECONDS, self._fail, (id, message))
        timer.daemon = True
        with self._lock.held:
            if id in self._running and id not in self._failing:
                self._failing[id] = timer, message
                timer.start()

    def _restart(self, id: int) -> None:
        with self._lock.held:
            execution = self._take(id)
        if execution is not None:
            execution.leave()

    def _fail(self, id: int, message: str | None) -> None:
        with self._lock.held:
            execution = self._take(id) if id in self._failing else None
        if execution is not None:
            self._has_failed = True
            execution.finish("failed", message=message)

    def _take(self, id: Any) -> Execution | None:
        """Removes a running job, and its file. The caller holds the lock."""
        failing = self._failing.pop(id, None)
        if failing is not None:
            failing[0].cancel()
        found = self._running.pop(id, None)
        if found is None:
            return None
        try:
            os.unlink(path_of(self._folder, found[1]))
        except OSError:
            # The folder was cleaned meanwhile.
            pass
        return found[0]

    @harmless
    def end(self) -> None:
        """Ends the run: jobs without an outcome have failed, for example because their output was missing."""
        with self._lock.held:
            messages = {id: self._failing[id][1] if id in self._failing else None for id in self._running}
            left = [(self._take(id), message) for id, message in messages.items()]
        for execution, message in left:
            self._has_failed = True
            if execution is not None:
                execution.finish("failed", message=message)
        shutil.rmtree(self._folder, ignore_errors=True)
        os.environ.pop(VARIABLE, None)
        if self._job is not None and self._is_own and self._has_started:
            end_job(self._job, "completed" if self._is_complete and not self._has_failed else "failed")
