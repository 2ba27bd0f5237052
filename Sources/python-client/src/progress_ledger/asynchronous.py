"""The client for coroutines.

Requests wait in threads of the loop's executor; reporting needs no thread.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Callable, SupportsIndex, TypeVar

from .answer import Answer
from .answers import HistoryPoint, Indicator, JobTask, Snapshot
from .client import Client
from .execution import Execution
from .job import Explanation, Job
from .rows import AsyncRows
from .settings import Settings
from .shown import Shown
from .stats import Stats
from .watching import follow

if TYPE_CHECKING:
    from .display import Display

T = TypeVar("T")

# The rows that one call in a thread fetches: few enough for a short delay, many enough to save thread switches.
ROWS_AT_ONCE = 200


async def _in_thread(ask: Callable[[], T]) -> T:
    """Runs a request in a thread.

    If the coroutine is canceled, the thread still waits and drops the result.
    """
    return await asyncio.get_running_loop().run_in_executor(None, ask)


def _rows(rows: Iterable[T], change: Callable[[T], Any] = lambda row: row) -> AsyncRows[Any]:
    async def read() -> AsyncIterator[Any]:
        source = await _in_thread(lambda: iter(rows))
        while True:
            part = await _in_thread(lambda: list(islice(source, ROWS_AT_ONCE)))
            for row in part:
                yield change(row)
            if len(part) < ROWS_AT_ONCE:
                return

    return AsyncRows(read, rows)


class AsyncClient:
    """A ledger, for coroutines.

        async with AsyncClient("http://localhost:8080") as ledger:
            job = await ledger.jobs.create("mosaic", key="mosaic-2026-11-23")
            async with job.execution("tile-17", attempt=2) as context:
                context.progress("download").done(1)

    It has the parameters of `Client`. `add` and `done` never wait, so they are called without `await`.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        settings: Settings | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._client = Client(url, token, settings=settings, tls=tls)

    @property
    def url(self) -> str | None:
        """The address of the ledger; None if none is configured and nothing is reported."""
        return self._client.url

    @property
    def jobs(self) -> AsyncJobs:
        """The ledger's jobs."""
        return AsyncJobs(self._client)

    @property
    def stats(self) -> Stats:
        """Counts of the reports of this client in this process."""
        return self._client.stats

    def job(self, id: str | None = None) -> AsyncJob:
        """Returns the job with this id, without a request; see `Client.job`."""
        return AsyncJob(self._client.job(id))

    async def flush(self, timeout: float | None = None) -> bool:
        """Sends all unsent reports, and waits until they are recorded; see `Client.flush`."""
        return await _in_thread(lambda: self._client.flush(timeout))

    async def close(self, timeout: float | None = None) -> bool:
        """Sends everything, and closes the connections; see `Client.close`."""
        return await _in_thread(lambda: self._client.close(timeout))

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<AsyncClient {self.url or 'without a ledger'}>"


class AsyncJobs:
    """Creates and finds jobs; see `Jobs`."""

    def __init__(self, client: Client) -> None:
        self._jobs = client.jobs

    async def create(self, name: str, key: str | None = None, tags: Mapping[str, str] | None = None) -> AsyncJob:
        """Creates a job, or returns the job with this key; see `Jobs.create`."""
        return AsyncJob(await _in_thread(lambda: self._jobs.create(name, key, tags)))

    async def find(self, id: str | None = None, *, key: str | None = None) -> AsyncJob:
        """Returns the job with this id or key, with its current snapshot; see `Jobs.find`."""
        return AsyncJob(await _in_thread(lambda: self._jobs.find(id, key=key)))

    def list(
        self,
        *,
        state: str | None = None,
        name: str | None = None,
        key: str | None = None,
        tags: Mapping[str, str] | None = None,
        limit: int | None = None,
    ) -> AsyncRows[AsyncJob]:
        """Lists the matching jobs, newest first; see `Jobs.list`."""
        return _rows(self._jobs.list(state=state, name=name, key=key, tags=tags, limit=limit), AsyncJob)


class AsyncJob(Shown):
    """A job of the ledger, for coroutines; see `Job`."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def rows(self) -> Iterator[dict[str, Any]]:
        """The job as a row of a table; see `Job.rows`."""
        return self._job.rows()

    @property
    def id(self) -> str:
        """The id assigned by the ledger."""
        return self._job.id

    @property
    def page(self) -> str | None:
        """The URL of the job's page; see `Job.page`."""
        return self._job.page

    @property
    def snapshot(self) -> Snapshot | None:
        """The snapshot that was read last; None if none was."""
        return self._job.known

    @property
    def state(self) -> str | None:
        """`running`, `completed`, `failed` or `canceled`, as of `snapshot`."""
        return self.snapshot.state if self.snapshot is not None else None

    @property
    def progress(self) -> tuple[Indicator, ...]:
        """The job's indicators, as of `snapshot`; empty if it was never read."""
        return self.snapshot.progress if self.snapshot is not None else ()

    def execution(
        self,
        task: str | None = None,
        attempt: SupportsIndex | None = None,
        *,
        execution: str | None = None,
        on_superseded: Callable[[Execution], Any] | None = None,
        on_job_ended: Callable[[Execution], Any] | None = None,
        unless_canceled: bool = True,
        link: str | None = None,
        error_messages: bool | None = None,
    ) -> Execution:
        """Returns a new execution of a task, for `async with`; see `Job.execution`."""
        return self._job.execution(
            task, attempt, execution=execution, on_superseded=on_superseded, on_job_ended=on_job_ended,
            unless_canceled=unless_canceled, link=link, error_messages=error_messages,
        )  # fmt: skip

    async def refresh(self) -> Snapshot:
        """Reads the current snapshot; see `Job.refresh`."""
        return await _in_thread(self._job.refresh)

    async def answer(self) -> Answer:
        """Asks the ledger how far the job is; see `Job.answer`."""
        return await _in_thread(self._job.answer)

    async def snapshot_at(
        self, sequence: int | None = None, at: datetime | str | None = None, policy: str = "last"
    ) -> Snapshot:
        """Returns a past snapshot of the job; see `Job.snapshot_at`."""
        return await _in_thread(lambda: self._job.snapshot_at(sequence, at, policy))

    def watch(self) -> AsyncGenerator[Snapshot, None]:
        """Iterates over the job's snapshots as they change, until it has finished, for `async for`.

        Leaving the loop ends it.
        """
        return follow(self._job.watch())

    async def wait(self, timeout: float | None = None) -> Snapshot:
        """Waits until the job has finished, and returns its last snapshot; see `Job.wait`."""
        last: deque[Snapshot] = deque(maxlen=1)
        async for snapshot in follow(self._job._watch_for(timeout)):
            last.append(snapshot)
        return last[0] if last else await self.refresh()

    def history(self, label: str | None = None, points: int = 500) -> AsyncRows[HistoryPoint]:
        """The history of an indicator; see `Job.history`."""
        return _rows(self._job.history(label, points))

    async def explain(self, label: str | None = None, at_sequence: int | None = None) -> Explanation:
        """Explains an indicator; see `Job.explain`."""
        return await _in_thread(lambda: self._job.explain(label, at_sequence))

    def tasks(self, state: str | None = None, *, silent: bool = False) -> AsyncRows[JobTask]:
        """The job's tasks with their executions; see `Job.tasks`."""
        return _rows(self._job.tasks(state, silent=silent))

    def events(self, **filters: Any) -> AsyncRows[dict[str, Any]]:
        """The job's events; see `Job.events`."""
        return _rows(self._job.events(**filters))

    async def finish(self, outcome: str = "completed", *, message: str | None = None) -> bool:
        """Reports the end of the job; see `Job.finish`."""
        return await self._job.finish_async(outcome, message=message)

    def display(self) -> Display:
        """Shows the job in a notebook, live; see `Job.display`."""
        return self._job.display()

    def _view(self) -> Any:
        return self._job._view()

    def __repr__(self) -> str:
        return repr(self._job)
