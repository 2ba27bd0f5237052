"""The task and attempt of this process, from its workflow engine's variables."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from .settings import ATTEMPT_MAX, TASK_LENGTH_MAX

# The engines that start processes, and not tasks within processes.
SCHEDULERS = ("AWS Batch", "Kubernetes", "Slurm")


@dataclass(frozen=True)
class EngineTask:
    """The work that an engine has given to this process."""

    engine: str
    """The engine's name, for messages."""
    attempt: int | None
    """Its attempt, from 1 on; None if the engine does not provide it."""
    task: str | None = None
    """The engine's name for it; None if there is none."""
    attempt_of_variable: int | None = None
    """The attempt for a task that `PROGRESS_LEDGER_TASK` names, if it differs: it also grows with each submission."""

    @property
    def attempt_of_code(self) -> int | None:
        """The attempt for a task that the code names; None if the engine's attempts do not order its executions.

        A scheduler of processes counts the starts of its own job. A task that the code names may be carried out by
        several such jobs: it is submitted again, or their processes take tasks from a queue. Their attempts do not
        compare.
        """
        return None if self.engine in SCHEDULERS else self.attempt


def detect(environment: Mapping[str, str] | None = None) -> EngineTask | None:
    """Returns the engine's task of this process; None if no known engine runs it.

    The order, from the most specific: `PROGRESS_LEDGER_ATTEMPT`, the Celery task of this thread, Airflow, AWS Batch,
    Slurm, Kubernetes, GitHub Actions. Tests/engine-variables/cases.json is the table of the variables. Costs some
    microseconds.
    """
    variables = os.environ if environment is None else environment
    task = variables.get("PROGRESS_LEDGER_TASK") or None
    for ask in (_explicit, _celery, _airflow, _aws_batch, _slurm, _kubernetes, _github):
        found = ask(variables)
        if found is None:
            continue
        if task is None:
            return found
        # The variable names the task of this process.
        return EngineTask(found.engine, found.attempt_of_variable or found.attempt, task)
    return None if task is None else EngineTask("PROGRESS_LEDGER_TASK", None, task)


def prefect_run() -> tuple[str, int] | None:
    """The id and run count of the current Prefect task run; None outside of one."""
    prefect = sys.modules.get("prefect.context")
    if prefect is None:
        return None
    try:
        context = prefect.TaskRunContext.get()
        return None if context is None else (str(context.task_run.id), int(context.task_run.run_count))
    except Exception:
        # A failure in the engine's own code must not end a task.
        return None


def airflow_map_index() -> int | None:
    """The map index of the current Airflow task; None if it is not mapped or unknown."""
    for name in ("airflow.sdk", "airflow.operators.python"):
        module = sys.modules.get(name)
        if module is None:
            continue
        try:
            index = int(module.get_current_context()["ti"].map_index)
        except Exception:
            # Outside of a task, or in another version of Airflow.
            continue
        return index if index >= 0 else None
    return None


def _number(variables: Mapping[str, str], name: str, least: int) -> int | None:
    """The value of a variable if it is a valid attempt.

    An invalid value must not end a task.
    """
    value = variables.get(name, "")
    if not (value.isascii() and value.isdigit() and len(value) <= 10):
        return None
    return int(value) if least <= int(value) < ATTEMPT_MAX else None


def _explicit(variables: Mapping[str, str]) -> EngineTask | None:
    attempt = _number(variables, "PROGRESS_LEDGER_ATTEMPT", 1)
    return EngineTask("PROGRESS_LEDGER_ATTEMPT", attempt) if attempt is not None else None


def _celery(_: Mapping[str, str]) -> EngineTask | None:
    # Only if the program itself has imported Celery, because the import takes a quarter of a second.
    celery = sys.modules.get("celery")
    task = getattr(celery, "current_task", None) if celery is not None else None
    request = getattr(task, "request", None) if task else None
    if request is None or getattr(request, "id", None) is None:
        return None
    # In the format of Celery's own log. A name may have any length; an id is always short enough.
    name = f"{getattr(task, 'name', '')}[{request.id}]"
    return EngineTask(
        "Celery", int(request.retries or 0) + 1, name if len(name) <= TASK_LENGTH_MAX else str(request.id)
    )


def _airflow(variables: Mapping[str, str]) -> EngineTask | None:
    task = variables.get("AIRFLOW_CTX_TASK_ID")
    if not task:
        return None
    index = airflow_map_index()
    name = task if index is None else f"{task}[{index}]"
    return EngineTask("Airflow", _number(variables, "AIRFLOW_CTX_TRY_NUMBER", 1), name)


def _aws_batch(variables: Mapping[str, str]) -> EngineTask | None:
    job = variables.get("AWS_BATCH_JOB_ID")
    if not job:
        return None
    # The id of an array job's child already ends with its index.
    return EngineTask("AWS Batch", _number(variables, "AWS_BATCH_JOB_ATTEMPT", 1), job)


def _slurm(variables: Mapping[str, str]) -> EngineTask | None:
    job = variables.get("SLURM_JOB_ID")
    if not job:
        return None
    array, index = variables.get("SLURM_ARRAY_JOB_ID"), variables.get("SLURM_ARRAY_TASK_ID")
    task = f"{array}_{index}" if array and index else job
    # A process of `srun`, in Slurm's own notation: other processes have no step, or one with a number above these.
    step, rank = _number(variables, "SLURM_STEP_ID", 0), variables.get("SLURM_PROCID")
    if step is not None:
        # A step of several processes distinguishes them by their rank.
        is_alone = variables.get("SLURM_STEP_NUM_TASKS", "1") == "1"
        task = f"{task}.{step}" if is_alone or not rank else f"{task}.{step}.{rank}"
    # The variable counts the requeues and is not set before the first one.
    restarts = _number(variables, "SLURM_RESTART_COUNT", 0) or 0
    return EngineTask("Slurm", restarts + 1, task, _slurm_attempt(_number(variables, "SLURM_JOB_ID", 1), restarts))


# Slurm's job ids grow with each submission up to 67,043,328 (MaxJobId), so that 32 attempts of each are below 2^31.
SLURM_JOB_MAX = 67_043_328
SLURM_RESTARTS_MAX = 31


def _slurm_attempt(job: int | None, restarts: int) -> int | None:
    """The attempt of a task that may be submitted again: a later submission supersedes all restarts of earlier ones."""
    if job is None or job > SLURM_JOB_MAX:
        return None
    return job * (SLURM_RESTARTS_MAX + 1) + min(restarts, SLURM_RESTARTS_MAX)


def _kubernetes(variables: Mapping[str, str]) -> EngineTask | None:
    # A Job gives its pods their index, but not the number of tries. With `backoffLimitPerIndex` the pod has an
    # annotation with that number, and the downward API can copy it into the environment; the README shows the lines.
    index = variables.get("JOB_COMPLETION_INDEX")
    if not index:
        return None
    failures = _number(variables, "JOB_INDEX_FAILURE_COUNT", 0)
    ignored = _number(variables, "JOB_INDEX_IGNORED_FAILURE_COUNT", 0) or 0
    attempt = None if failures is None else failures + ignored + 1
    return EngineTask("Kubernetes", attempt, index)


def _github(variables: Mapping[str, str]) -> EngineTask | None:
    if variables.get("GITHUB_ACTIONS") != "true":
        return None
    # No variable distinguishes the jobs of a matrix, so that the caller names the task.
    return EngineTask("GitHub Actions", _number(variables, "GITHUB_RUN_ATTEMPT", 1))
