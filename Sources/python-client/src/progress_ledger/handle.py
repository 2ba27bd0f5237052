"""Reporting to an execution that another process has started."""

from __future__ import annotations

import functools
import os
import types
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Callable

from . import values
from .contexts import lost, silent
from .errors import InvalidValueError
from .execution import Execution, current_execution
from .losses import LossLog, describe, logger
from .reporter import Reporter
from .reporting import Progress
from .settings import ATTEMPT_MAX, TASK_LENGTH_MAX

if TYPE_CHECKING:
    from .client import Client
    from .jobs import Ledger
    from .sender import Sender

_losses = LossLog()

# The time after which the ledger is asked again for the id of a job.
_UNKNOWN_SECONDS = 30.0


@dataclass(frozen=True)
class Handle:
    """The identity of a running execution, by which any process on any host can report to it.

        handle = context.handle()
        subprocess.run(command, env={**os.environ, **handle.variables()})  # or pickled, or in a message

        with handle.attach() as context:  # in the other process
            context.progress("download").done(1)

    It contains no token. The other process has its own, by `PROGRESS_LEDGER_TOKEN` or `PROGRESS_LEDGER_TOKEN_FILE`.
    """

    job: str
    """The id of the job; empty if nothing is reported, or if the ledger could not be asked for it."""
    task: str
    execution: str
    attempt: int | None = None
    """The attempt; None if the ledger assigns it."""
    url: str | None = None
    """The address of the ledger; None if nothing is reported."""

    @classmethod
    def of(cls, reporter: Reporter | None) -> Handle:
        """Returns the handle of an execution. Used by this package itself."""
        if reporter is None or reporter.ledger is None or reporter.ledger.requester is None:
            return cls("", "none", "none")
        url = reporter.ledger.requester.transport.server.url
        requester = reporter.ledger.requester
        try:
            if requester.clock.now() < reporter.job.unknown_until:
                return cls("", reporter.task, reporter.execution, reporter.attempt, url)
            job = reporter.job.identify(requester.transport, requester.settings.patience_seconds)
        except Exception as error:
            reporter.job.unknown_until = requester.clock.now() + _UNKNOWN_SECONDS
            _losses.log("identify", "reports of other processes are lost, as their job is unknown: %s", error)
            return cls("", reporter.task, reporter.execution, reporter.attempt, url)
        if reporter.job.job != job:
            reporter.ledger.register(reporter, job)
        return cls(job, reporter.task, reporter.execution, reporter.attempt, url)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Handle | None:
        """Returns the handle in the variables that `variables` makes, which the clients of all languages read.

        None without `PROGRESS_LEDGER_JOB`, `PROGRESS_LEDGER_TASK` and `PROGRESS_LEDGER_EXECUTION`. An invalid attempt
        is ignored.
        """
        found = os.environ if environment is None else environment
        job, task, execution, attempt, url = (found.get(f"PROGRESS_LEDGER_{name}") for name in _VARIABLES)
        if not (job and task and execution):
            return None
        return cls(job, task, execution, _number(attempt or ""), url or None)

    def variables(self) -> dict[str, str]:
        """Returns the variables for the environment of another process; none if nothing is reported."""
        if not self.job:
            return {}
        contents = (self.job, self.task, self.execution, self.attempt, self.url)
        return {
            f"PROGRESS_LEDGER_{name}": str(content)
            for name, content in zip(_VARIABLES, contents)
            if content is not None
        }

    def attach(self, client: Client | None = None) -> Execution:
        """Returns the execution, to report to it from this process.

        `client` is by default the one of this process for `url`, configured by the environment.

        The ledger numbers the reports of this process separately, as those of a part of the execution with a name of
        its own, so that nothing is lost or counted twice. Entering it starts nothing, and leaving it ends nothing:
        leaving waits until the reports of this process are recorded, as at the end of an execution. Only the process
        that started the execution ends it. Within that process it is the same execution.

        Never raises: if the handle is invalid, reports are dropped, counted and logged once.
        """
        from .client import Configuration, shared_ledger

        if not self.job:
            return silent(self.task) if self.url is None else lost(self.task, _losses)
        try:
            if client is not None:
                return attached(client._ledger, self)
            return attached(shared_ledger(None, Configuration.read(self.url, None, None, None)), self)
        except Exception as error:
            _losses.log("handle", "an execution of task %s cannot be reported to: %s", describe(self.task), error)
            return lost(self.task if isinstance(self.task, str) else "unknown", _losses)


_VARIABLES = ("JOB", "TASK", "EXECUTION", "ATTEMPT", "URL")


def _number(text: str) -> int | None:
    """The attempt in a variable; None if it is none, because that must not lose the reports."""
    is_number = text.isascii() and text.isdigit() and len(text) <= 10
    return int(text) if is_number and 1 <= int(text) <= ATTEMPT_MAX else None


def attached(ledger: Ledger, handle: Handle) -> Execution:
    """Returns the execution of a handle, for the reports of this process.

    Raises `InvalidValueError` if the handle is invalid.
    """
    from . import calls

    checked = Handle(
        calls.job_id(handle.job), values.task(handle.task), values.execution(handle.execution),
        values.attempt(handle.attempt), handle.url,
    )  # fmt: skip
    return _attached(ledger, checked)


def _attached(ledger: Ledger, handle: Handle) -> Execution:
    """Returns the execution of a valid handle, whose `job` may be that of a report buffer."""
    if ledger.is_lost:
        return lost(handle.task, ledger.losses)
    if ledger.sender is None:
        return silent(handle.task)
    reporter = ledger.reporter_of(handle.job, handle.task, handle.execution, handle.attempt)
    return AttachedExecution(ledger.sender, reporter, ledger.losses)


Origin = tuple[str, str, dict[str, str]]


def pickled(reporter: Reporter) -> tuple[Ledger | None, Handle, Origin | None]:
    """Returns the arguments of `restored`. Makes no request: a job by key is found by its key."""
    if reporter.job.origin is None:
        return reporter.ledger, Handle.of(reporter), None
    return reporter.ledger, Handle("", reporter.task, reporter.execution, reporter.attempt), reporter.job.origin


def restored(ledger: Ledger | None, handle: Handle, origin: Origin | None = None) -> Execution:
    """Returns an unpickled execution."""
    try:
        if origin is not None and ledger is not None and ledger.sender is not None:
            from .integration import keyed_buffer

            buffer = keyed_buffer(ledger, *origin)
            return _attached(ledger, replace(handle, job=buffer.job))
        return silent(handle.task) if ledger is None or not handle.job else attached(ledger, handle)
    except InvalidValueError as error:
        _losses.log("restored", "an execution of task %s cannot be reported to: %s", describe(handle.task), error)
        return lost(handle.task[:TASK_LENGTH_MAX], _losses)


def restored_progress(
    ledger: Ledger | None, handle: Handle, label: str | None, origin: Origin | None = None
) -> Progress:
    """Returns an unpickled indicator."""
    return restored(ledger, handle, origin).progress(label)


class AttachedExecution(Execution):
    """An execution that another process, or another object of this one, has started and ends."""

    def __init__(self, sender: Sender, reporter: Reporter, losses: LossLog) -> None:
        callbacks = reporter.on_superseded, reporter.on_job_ended
        super().__init__(sender, reporter, reporter.task, reporter.attempt, reporter.execution, None, None, losses)
        if callbacks[0] is not None:
            reporter.on_superseded, reporter.on_job_ended = callbacks

    def start(self) -> Execution:
        """Starts nothing: the execution is running."""
        return self

    def __enter__(self) -> Execution:
        if self._sender is not None and self._reporter is not None:
            self._sender.join(self._reporter)
        return super().__enter__()

    def finish(self, outcome: str = "succeeded", *, message: str | None = None, link: str | None = None) -> None:
        """Ends nothing: only the process that started the execution ends it."""
        logger.debug("execution %s of task %s is ended only by the process that started it", self.execution, self.task)

    def _leave(self, error: BaseException | None) -> None:
        super()._leave(error)
        if self._sender is not None and self._reporter is not None:
            self._sender.part(self._reporter)

    def __repr__(self) -> str:
        return f"<Execution {self.execution} of {self.task}, attached>"


class Carried:
    """A function that is called in the context of an execution; see `Execution.carry`."""

    def __init__(self, execution: Execution, function: Callable[..., Any]) -> None:
        try:
            functools.update_wrapper(self, function)
        except Exception:
            # The attributes of a callable object are its own, and reading them may raise anything.
            pass
        self._execution = execution
        self._function = function

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        token = current_execution.set(self._execution)
        try:
            return self._function(*arguments, **options)
        finally:
            current_execution.reset(token)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)

    def __reduce__(self) -> tuple[Any, ...]:
        return Carried, (self._execution, self._function)
