"""The DAG runs of Airflow as jobs, and their task instances as executions.

Enable it by one line in a file of the plugins folder, and with `PROGRESS_LEDGER_URL` in Airflow's environment:

    from progress_ledger.airflow import LedgerPlugin

Within a task, `progress_ledger.progress` and `progress_ledger.current` belong to its execution. The job of a DAG run
has the key `airflow/DAG_ID/RUN_ID`. A task instance is the task `TASK_ID`, a mapped one `TASK_ID[MAP_INDEX]`, and its
try is the attempt. Starts and outcomes need no code; a task instance that is up for retry, deferred or rescheduled has
no outcome yet. A deferred one continues its execution. The reports of a task are recorded before Airflow learns its
success.

Needs Airflow 3.
"""

from __future__ import annotations

import importlib
from typing import Any, Callable, TypeVar

import pluggy

from .execution import Execution
from .integration import client, end_job, fail, harmless, job_by_key, resume, settle, task_name
from .job import Job

try:
    _plugins: Any = importlib.import_module("airflow.sdk.plugins_manager")
except ImportError:
    _plugins = importlib.import_module("airflow.plugins_manager")

F = TypeVar("F", bound=Callable[..., Any])
hookimpl: Callable[[F], F] = pluggy.HookimplMarker("airflow")

# The execution of this process, if it is a task's.
_execution: Execution | None = None


def job_of(run: Any) -> Job:
    """Returns the job of a DAG run, or of the DAG run of a task instance. Makes no request."""
    return job_by_key(
        f"airflow/{run.dag_id}/{run.run_id}", run.dag_id,
        {"airflow.dag_id": run.dag_id, "airflow.run_id": run.run_id},
    )  # fmt: skip


def _make(instance: Any, reschedules: int) -> Execution:
    """Returns the execution of the current try of a task instance, which was rescheduled so many times."""
    index = instance.map_index
    name = instance.task_id if index is None or index < 0 else f"{instance.task_id}[{index}]"
    # Each try has an id. A sensor that is rescheduled begins again with the same id, and a deferred task continues.
    return job_of(instance).execution(
        task_name(name), max(1, instance.try_number),
        execution=f"{instance.id}/{reschedules}" if reschedules else str(instance.id),
        link=getattr(instance, "log_url", None),
    )  # fmt: skip


def _reschedules(instance: Any) -> int:
    """The number of times that a try was rescheduled."""
    context = getattr(instance, "_ti_context_from_server", None)
    if context is not None:
        return context.task_reschedule_count or 0
    from airflow.models.taskreschedule import TaskReschedule
    from sqlalchemy import func, select
    from sqlalchemy.orm import object_session

    session = object_session(instance)
    count = select(func.count()).where(TaskReschedule.ti_id == instance.id)
    return int(session.scalar(count)) if session is not None else 0


def _reschedules_of_failed(run: Any, session: Any) -> dict[Any, int]:
    """The numbers of times that the failed tries of a DAG run were rescheduled, by their ids."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.taskreschedule import TaskReschedule
    from sqlalchemy import func, select

    failed = select(TaskInstance.id).where(
        TaskInstance.dag_id == run.dag_id, TaskInstance.run_id == run.run_id, TaskInstance.state == "failed"
    )
    counts = select(TaskReschedule.ti_id, func.count()).where(TaskReschedule.ti_id.in_(failed))
    return dict(session.execute(counts.group_by(TaskReschedule.ti_id)).all())


def _is_task_process(instance: Any) -> bool:
    """Whether this process runs the task. The instances of other processes are rows of Airflow's database."""
    return type(instance).__name__ == "RuntimeTaskInstance"


def _end(instance: Any, outcome: str, error: object = None, reschedules: int | None = None) -> None:
    if not _is_task_process(instance):
        if instance.start_date is None:
            return
        # Airflow has ended a task whose process could not, or a person has marked it.
        execution = _make(instance, _reschedules(instance) if reschedules is None else reschedules)
        execution.start()
    elif _execution is None:
        return
    else:
        execution = _execution
    if outcome == "failed":
        fail(execution, error)
    else:
        execution.finish(outcome)
    if _is_task_process(instance):
        settle(execution)


@harmless
def _fail_killed_tasks(run: Any) -> None:
    """Reports the failed tasks of a DAG run again: Airflow calls no hook for a task whose process was killed.

    The ledger keeps the reasons of those that have reported it themselves.
    """
    from sqlalchemy.orm import object_session

    # Another session of this thread would be the same one, and its end would commit the scheduler's transaction.
    session = object_session(run)
    if session is not None:
        instances = run.get_task_instances(state=["failed"], session=session)
        # One query for all of them, because the scheduler waits.
        reschedules = _reschedules_of_failed(run, session) if instances else {}
        for instance in instances:
            _end(instance, "failed", reschedules=reschedules.get(instance.id, 0))


class Listener:
    """The hooks that Airflow calls in the processes of tasks, the scheduler and the API server."""

    @hookimpl
    @harmless
    def on_task_instance_running(self, previous_state: Any, task_instance: Any) -> None:
        global _execution
        if not _is_task_process(task_instance):
            return
        # Airflow calls this and the task in one context.
        _execution = execution = _make(task_instance, _reschedules(task_instance))
        if getattr(getattr(task_instance, "_ti_context_from_server", None), "next_method", None):
            # It was deferred, and continues.
            resume(execution)
        execution.__enter__()
        if getattr(task_instance.task, "_post_execute_hook", self) is None:
            # Airflow learns the success of the task immediately after this hook.
            task_instance.task._post_execute_hook = harmless(lambda *_: settle(execution))

    @hookimpl
    @harmless
    def on_task_instance_success(self, previous_state: Any, task_instance: Any) -> None:
        _end(task_instance, "succeeded")

    @hookimpl
    @harmless
    def on_task_instance_skipped(self, previous_state: Any, task_instance: Any) -> None:
        _end(task_instance, "canceled")

    @hookimpl
    @harmless
    def on_task_instance_failed(self, previous_state: Any, task_instance: Any, error: Any) -> None:
        # A task that waits for its retry has not failed.
        if str(getattr(task_instance.state, "value", task_instance.state)) != "up_for_retry":
            _end(task_instance, "failed", error)

    @hookimpl
    @harmless
    def on_dag_run_success(self, dag_run: Any, msg: str) -> None:
        # It may succeed without them, by the trigger rules of its last tasks.
        _fail_killed_tasks(dag_run)
        end_job(job_of(dag_run), "completed")

    @hookimpl
    @harmless
    def on_dag_run_failed(self, dag_run: Any, msg: str) -> None:
        _fail_killed_tasks(dag_run)
        end_job(job_of(dag_run), "failed")

    @hookimpl
    @harmless
    def before_stopping(self, component: Any) -> None:
        # The process of a task ends without handlers of Python, and so may others.
        if _execution is not None:
            _execution.leave()
            settle(_execution)
        else:
            client().close()


class LedgerPlugin(_plugins.AirflowPlugin):  # type: ignore[misc]
    """The plugin with the listener; see the module."""

    name = "progress_ledger"
    listeners = [Listener()]  # noqa: RUF012  as Airflow declares it
