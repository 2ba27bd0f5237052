"""The tasks of Ray, and the calls of its actors, as executions.

    from progress_ledger.ray import environment, remote

    ray.init(runtime_env=environment(job))

    @remote(max_retries=3)  # instead of: @ray.remote(max_retries=3)
    def download(tile):
        progress_ledger.progress("download").done(1)

`remote` takes what `ray.remote` takes. Each call is a task `NAME[TASK_ID]`. If its worker dies, or it raises and
`retry_exceptions` is set, Ray calls it again: that is the next attempt, which supersedes the previous one. A result
that is lost and computed again is the next attempt too. Each call of a public method of an actor is a task in the same
way; a method that another one calls directly belongs to the execution of its caller. The reports of an attempt are
recorded before Ray has its result.

Functions of `ray.remote` itself report nothing.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any

import ray
from ray._private.worker import global_worker

from .asynchronous import AsyncJob
from .execution import Execution
from .integration import client, job_by_id, task_name
from .job import Job
from .wrapping import Call, within


def environment(job: Job | AsyncJob | str) -> dict[str, Any]:
    """Returns the runtime environment of workers that report to a job.

    It contains `PROGRESS_LEDGER_JOB`, and `PROGRESS_LEDGER_URL` if this process has one. For `ray.init`, or for the
    `options` of a function whose calls report to another job. Workers read a token from `PROGRESS_LEDGER_TOKEN_FILE`.
    """
    variables = {"PROGRESS_LEDGER_JOB": job if isinstance(job, str) else job.id}
    url = client().url
    if url is not None:
        variables["PROGRESS_LEDGER_URL"] = url
    return {"env_vars": variables}


def remote(*arguments: Any, **options: Any) -> Any:
    """`ray.remote`, with an execution for each attempt of each call."""
    if len(arguments) == 1 and not options and callable(arguments[0]):
        return ray.remote(_reporting(arguments[0]))
    decorate = ray.remote(*arguments, **options)
    return lambda target: decorate(_reporting(target))


def _reporting(target: Any) -> Any:
    """Returns a function, or a class whose public methods report."""
    if not inspect.isclass(target):
        return within(target, functools.partial(_call, getattr(target, "__name__", "task")))
    methods = {
        name: within(method, functools.partial(_call, f"{target.__name__}.{name}"))
        for name, method in inspect.getmembers(target, inspect.isfunction)
        if not name.startswith("_") and not isinstance(inspect.getattr_static(target, name), staticmethod)
    }
    # A subclass with the same name, because the class itself may be in use without Ray.
    kind: Any = type(target)
    return kind(target.__name__, (target,), {**methods, "__module__": target.__module__})


def _call(name: str) -> Call | None:
    """Returns the current call in a worker; None if there is no such call."""
    context = ray.get_runtime_context()
    id = context.get_task_id()
    if id is None or not context.get_task_name():
        # It is called directly: in a unit test for example, or in a thread of the task's own, to which Ray gives an id.
        return None
    attempt = global_worker.core_worker.get_current_task_attempt_number() + 1
    return Call((id, attempt), functools.partial(_execution, f"{name}[{id}]", attempt))


def _execution(task: str, attempt: int) -> Execution:
    return job_by_id(None).execution(task_name(task), attempt)
