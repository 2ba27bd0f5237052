"""The common parts of the integrations with workflow engines: one client per process, jobs by key, contained failures.

Not for tasks: each integration documents its own functions.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Callable, TypeVar

from . import calls, values
from .asynchronous import AsyncJob
from .client import Client
from .contexts import silent
from .disposition import JobRefusedError
from .errors import UnavailableError
from .execution import Execution, new_name
from .fork_locks import ForkLock
from .job import Job
from .jobs import NO_JOB, Ledger, empty_snapshot
from .losses import LossLog, describe
from .report_buffer import JobReportBuffer, ReportBuffer
from .settings import JOB_KEY_LENGTH_MAX, JOB_NAME_LENGTH_MAX, TAG_VALUE_LENGTH_MAX, TASK_LENGTH_MAX
from .transport import ExchangeError, Transport

F = TypeVar("F", bound=Callable[..., Any])

# The jobs by key that a process remembers: a scheduler of an engine has some hundred open jobs at a time.
JOBS_MAX = 1_000

_lock = ForkLock()
_clients: list[Client] = []
_jobs: OrderedDict[str, Job] = OrderedDict()
losses = LossLog()


def use(client: Client) -> None:
    """Sets the client of all integrations in this process; by default the environment configures it."""
    with _lock.held:
        _clients[:] = [client]
        _jobs.clear()


def client() -> Client:
    """Returns the client of all integrations in this process."""
    with _lock.held:
        return _client()


def _client() -> Client:
    if not _clients:
        _clients.append(Client())
    return _clients[0]


def harmless(function: F) -> F:
    """Makes a hook of an engine return None instead of raising: the first failure is logged.

    Reporting must never end or change a task, nor the engine.
    """

    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except Exception as error:
            name = f"{function.__module__}.{function.__qualname__}"
            losses.log(name, "%s fails, and reports of this kind are lost: %s: %s", name, type(error).__name__, error)
            return None

    return call  # type: ignore[return-value]


class _KeyedReportBuffer(JobReportBuffer):
    """The report buffer of a job that the sender creates, or finds by its key, before its first reports."""

    def __init__(self, buffer: ReportBuffer, key: str, name: str, tags: Mapping[str, str]) -> None:
        super().__init__(buffer, f"key:{key}")
        self.key = key
        self.origin = key, name, dict(tags)
        self._create = calls.create_job(name, key, tags)
        self._find = calls.list_jobs(None, None, key, None, 1, None)
        self.id: str | None = None

    def identify(self, transport: Transport, seconds: float) -> str:
        if self.id is None:
            response = transport.perform(self._create.request, seconds)
            if response.status == 409:
                # Another client has created it with another name or other tags.
                response = transport.perform(self._find.request, seconds)
            content = json.loads(response.body) if response.status in (200, 201) else {}
            found = (content.get("jobs") or [content])[0].get("job")
            if not isinstance(found, str):
                message = f"the job {self.key!r} cannot be created: HTTP {response.status}"
                # The key of a successful search without a result belongs to a job that this client must not see.
                if response.status in (200, 400, 410, 413, 422):
                    raise JobRefusedError(message)
                raise ExchangeError(message, sent=False)
            self.id = found
        return self.id


class KeyedJob(Job):
    """A job with a key that is created with its first reports, so that creating it makes no task wait.

    Reading it, or asking for its id, creates it at once.
    """

    def __init__(self, ledger: Ledger, key: str, name: str, tags: Mapping[str, str]) -> None:
        super().__init__(ledger, "")
        assert ledger.sender is not None
        self._keyed = self._buffer = keyed_buffer(ledger, key, name, tags)

    @property
    def _id(self) -> str:
        if self._keyed.id is None:
            assert self._ledger.requester is not None
            settings = self._ledger.requester.settings
            try:
                return self._keyed.identify(self._ledger.requester.transport, settings.request_seconds)
            except (ExchangeError, JobRefusedError) as error:
                raise UnavailableError(f"the id of the job is unknown: {error}") from error
        return self._keyed.id

    @_id.setter
    def _id(self, _: str) -> None:
        pass

    def __reduce__(self) -> tuple[Any, ...]:
        return restored_job, (self._ledger, *(self._keyed.origin or ()))

    def __repr__(self) -> str:
        return f"<Job with the key {self._keyed.key!r}>" if self._keyed.id is None else super().__repr__()


def keyed_buffer(ledger: Ledger, key: str, name: str, tags: Mapping[str, str]) -> _KeyedReportBuffer:
    """Returns the report buffer of a job with a key: all objects of the job share it."""
    assert ledger.sender is not None
    with ledger.sender.lock:
        made = _KeyedReportBuffer(ledger.sender.buffer, key, name, tags)
        found = ledger.buffers.setdefault(made.job, made)
        return found if isinstance(found, _KeyedReportBuffer) else made


def restored_job(ledger: Ledger, key: str, name: str, tags: Mapping[str, str]) -> Job:
    """Returns an unpickled job, or a job that reports nothing without a ledger."""
    if ledger.sender is None:
        return Job(ledger, NO_JOB, empty_snapshot(name, key, tags))
    return KeyedJob(ledger, key, name, tags)


def job_by_id(job: Job | AsyncJob | str | None) -> Job:
    """Returns the job with this id; by default that of `PROGRESS_LEDGER_JOB`. Makes no request."""
    return client().job(job if isinstance(job, str) or job is None else job.id)


def job_by_key(key: str, name: str, tags: Mapping[str, str] | None = None) -> Job:
    """Returns the job with this key, which its first report creates if necessary. Makes no request.

    Texts that are too long are shortened; a key then ends with a digest of the whole.
    """
    with _lock.held:
        key = shortened(key, JOB_KEY_LENGTH_MAX)
        found = _jobs.get(key)
        if found is None:
            ledger = _client()._ledger
            name = values.job_name(shortened(name, JOB_NAME_LENGTH_MAX))
            cut = {tag: shortened(value, TAG_VALUE_LENGTH_MAX) for tag, value in (tags or {}).items()}
            found = restored_job(ledger, key, name, cut)
            if ledger.sender is None:
                return found
            _jobs[key] = found
            if len(_jobs) > JOBS_MAX:
                _jobs.popitem(last=False)
        else:
            _jobs.move_to_end(key)
        return found


def end_job(job: Job, outcome: str) -> None:
    """Reports the end of a job without waiting for the ledger, unlike `Job.finish`."""
    job._begin_finish(outcome, None)


def shortened(text: str, most: int) -> str:
    """Returns a text of at most `most` characters: a longer one is cut and ends with a digest of the whole."""
    if len(text) <= most:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{text[: most - len(digest) - 1]}~{digest}"


def task_name(text: str) -> str:
    """Returns the name of a task, shortened if necessary."""
    return shortened(text, TASK_LENGTH_MAX)


def execution_of(make: Callable[[], Execution | None], task: object) -> Execution:
    """Returns the execution that `make` makes, or a silent one if it fails or there is none."""
    found = harmless(make)()
    return found if found is not None else silent(describe(task))


def fail(execution: Execution, error: object) -> None:
    """Reports that an execution has failed; an exception is the reason, as if `with` had been left by it."""
    if isinstance(error, BaseException):
        execution._finish_after(error)
    else:
        execution.finish("failed")


def resume(execution: Execution) -> None:
    """Lets an execution that another process has started be reported to and ended by this one, before it is entered.

    The ledger numbers the reports of this process separately.
    """
    reporter = execution._reporter
    if reporter is not None:
        reporter.part = new_name()
        numberings = reporter.job.buffer.numberings
        reporter.numbering = numberings.of(
            reporter.job.job, reporter.task, reporter.execution, reporter.part, is_named=False
        )


def settle(execution: Execution) -> None:
    """Sends the reports of an execution and waits until they are recorded, as at its end; it goes on."""
    sender, reporter = execution._sender, execution._reporter
    if sender is None or reporter is None:
        return
    has_settled = sender.expedite(reporter.job)
    sender.wait_at_end(lambda: reporter.is_settled or has_settled())
