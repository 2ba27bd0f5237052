"""The synchronous client."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType

from . import calls, lifecycle, values
from .answers import Snapshot
from .connection import Server
from .credentials import TokenFile, check_token, present_certificate, trust_file
from .errors import InvalidValueError, NotFoundError
from .job import Job, read
from .jobs import NO_JOB, Ledger, empty_snapshot
from .losses import LossLog, logger
from .requester import Requester, UnusableRequester
from .rows import Rows
from .sender import Sender
from .settings import DEFAULTS, PAGE_SIZE_MAX, Settings
from .stats import Stats
from .transport import Transport


@dataclass(frozen=True)
class Configuration:
    """The address of a ledger and the settings of a client."""

    url: str | None
    token: str | TokenFile | None = field(repr=False)
    settings: Settings
    tls: ssl.SSLContext | None = field(repr=False)
    problem: InvalidValueError | None = None
    """The error in the environment, if any."""

    @classmethod
    def read(
        cls, url: str | None, token: str | None, settings: Settings | None, tls: ssl.SSLContext | None
    ) -> Configuration:
        """Reads the arguments, then the environment.

        Raises `InvalidValueError` if an argument is invalid. If the environment is invalid, every call to the ledger
        raises it and reports are dropped, because a task must not end because of it.
        """
        settings = settings or DEFAULTS
        if url is not None:
            Server.parse(url, tls)
        if token:
            check_token(token)
        variable = "PROGRESS_LEDGER_URL"
        try:
            url = url or os.environ.get(variable) or None
            if url is None:
                return cls(None, token, settings, tls)
            uses_tls = Server.parse(url, tls).tls is not None
            variable = "PROGRESS_LEDGER_CA_FILE"
            reads_files = tls is None and uses_tls
            if reads_files and (path := os.environ.get(variable)):
                tls = trust_file(path)
            certificate = os.environ.get(variable := "PROGRESS_LEDGER_CLIENT_CERTIFICATE_FILE")
            key = os.environ.get("PROGRESS_LEDGER_CLIENT_KEY_FILE")
            if reads_files and (certificate or key):
                tls = tls or ssl.create_default_context()
                present_certificate(tls, certificate, key)
            found: str | TokenFile | None = token or None
            if found is None and (given := os.environ.get(variable := "PROGRESS_LEDGER_TOKEN")):
                found = check_token(given)
            if found is None and (path := os.environ.get(variable := "PROGRESS_LEDGER_TOKEN_FILE")):
                found = TokenFile(path)
                found.read()
        except InvalidValueError as error:
            return cls(url, None, settings, tls, InvalidValueError(f"{variable} is invalid: {error}"))
        return cls(url, found, settings, tls)

    def connect(self) -> Ledger:
        """Creates the parts of a client, without a connection."""
        if self.problem is not None:
            return unusable(self.problem)
        if self.url is None:
            logger.debug("no URL of a ledger is configured: nothing is reported")
            return Ledger(None, None)
        transport = Transport(Server.parse(self.url, self.tls), self.token, self.settings.idle_connection_seconds)
        lifecycle.watch_signal()
        requester = Requester(transport, self.settings)
        return Ledger(requester, Sender(requester))


def unusable(problem: InvalidValueError) -> Ledger:
    """Creates the parts of a client without a usable configuration.

    Reading raises. Reports are dropped, counted and logged once.
    """
    losses = LossLog()
    losses.log("configuration", "nothing can be reported: %s", problem)
    return Ledger(UnusableRequester(problem), None, losses=losses, is_lost=True)


class Client:
    """A ledger, for synchronous code.

        ledger = Client("http://localhost:8080")
        job = ledger.jobs.create("mosaic", key="mosaic-2026-11-23")

    `url`: `http://HOST:PORT` or `https://…`; by default `PROGRESS_LEDGER_URL`. Without either, all calls work and
    nothing is reported, so that the same code runs without a ledger.
    `token`: the bearer token; by default `PROGRESS_LEDGER_TOKEN`, or the content of the file that
    `PROGRESS_LEDGER_TOKEN_FILE` names, which is read again when it changes.
    `settings`: limits and waits, see `Settings`.
    `tls`: the certificates to trust, if the system's are not sufficient; by default those in the file that
    `PROGRESS_LEDGER_CA_FILE` names, with the client's certificate in `PROGRESS_LEDGER_CLIENT_CERTIFICATE_FILE` and
    `PROGRESS_LEDGER_CLIENT_KEY_FILE`.

    One client per process is sufficient: it is safe to use from any thread and after a fork. It connects at its first
    request, and reports in a background thread. Unsent reports are sent before the process ends, also on SIGTERM.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        settings: Settings | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._configuration = Configuration.read(url, token, settings, tls)
        self._ledger = self._configuration.connect()

    @property
    def url(self) -> str | None:
        """The address of the ledger; None if none is configured and nothing is reported."""
        return self._configuration.url

    @property
    def stats(self) -> Stats:
        """Counts of the reports of all executions of this client in this process."""
        if self._ledger.sender is None:
            return Stats.of_refused(self._ledger.dropped)
        return Stats.of(self._ledger.sender)

    @property
    def jobs(self) -> Jobs:
        """The ledger's jobs."""
        return Jobs(self._ledger)

    def job(self, id: str | None = None) -> Job:
        """Returns the job with this id, for a worker that reports to it. Makes no request.

        `id` is `PROGRESS_LEDGER_JOB` by default; without either, nothing is reported. Never raises: if the id is not
        valid, reading the job raises `InvalidValueError`, and reports are dropped, counted and logged once.
        """
        given = id or os.environ.get("PROGRESS_LEDGER_JOB")
        if not given:
            return Job(Ledger(None, None), NO_JOB, empty_snapshot("no job"))
        try:
            return Job(self._ledger, calls.job_id(given))
        except InvalidValueError as error:
            return Job(unusable(error), NO_JOB)

    def flush(self, timeout: float | None = None) -> bool:
        """Sends all unsent reports, and waits until they are recorded.

        `timeout` is `Settings.flush_seconds` by default.

        Returns whether everything reported so far is recorded; also False if something was dropped, which is logged.
        It also waits for an unreachable ledger.
        """
        sender = self._ledger.sender
        if sender is None:
            return not self._ledger.is_lost
        return sender.flush(values.seconds(timeout, sender.settings.flush_seconds))

    def close(self, timeout: float | None = None) -> bool:
        """Sends all unsent reports, logs a loss, and closes the connections.

        Returns the same as `flush`.
        """
        sender, requester = self._ledger.sender, self._ledger.requester
        if sender is None or requester is None:
            return not self._ledger.is_lost
        is_settled = sender.close(None if timeout is None else values.seconds(timeout, sender.settings.flush_seconds))
        requester.transport.close()
        return is_settled

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Client {self.url or 'without a ledger'}>"


class Jobs:
    """Creates and finds jobs."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def create(self, name: str, key: str | None = None, tags: Mapping[str, str] | None = None) -> Job:
        """Creates a job, or returns the job with the same key, name and tags.

        `name`: 1 to 200 characters. `key`: unique in the ledger, 1 to 200 characters. `tags`: up to 50.
        Raises `ConflictError` if another job has the key, and `UnavailableError` if the ledger does not respond within
        `Settings.patience_seconds`. Without a key it raises `OutcomeUnknownError` if a job may have been created. With
        a key the call is safe to repeat.
        """
        call = calls.create_job(name, key, tags)
        if self._ledger.requester is None:
            return Job(self._ledger, NO_JOB, empty_snapshot(name, key, tags))
        snapshot = self._ledger.requester.ask(call)
        return Job(self._ledger, snapshot.job, snapshot)

    def find(self, id: str | None = None, *, key: str | None = None) -> Job:
        """Returns the job with this id or key, with its current snapshot.

        Raises `NotFoundError` if there is none.
        """
        if self._ledger.requester is None:
            return Job(self._ledger, NO_JOB, empty_snapshot(key or id or "no job", key))
        if key is not None:
            found = next(iter(self.list(key=key)), None)
            if found is None:
                raise NotFoundError(f"this ledger has no job with the key {key!r}")
            return found
        job = calls.job_id(id or "")
        snapshot = read(self._ledger.requester, job, self._ledger.outbox(job))
        return Job(self._ledger, job, snapshot)

    def list(
        self,
        *,
        state: str | None = None,
        name: str | None = None,
        key: str | None = None,
        tags: Mapping[str, str] | None = None,
        limit: int | None = None,
    ) -> Rows[Job]:
        """Lists at most `limit` matching jobs, newest first, each with its snapshot.

        Iterating requests page after page.
        """
        most = None if limit is None else values.integer(limit, "the limit", 0, 2**63 - 1)
        requester = self._ledger.requester
        size = min(most or 100, PAGE_SIZE_MAX)
        calls.list_jobs(state, name, key, tags, size, None)

        def jobs() -> Iterator[Job]:
            if requester is None or most == 0:
                return
            pages: Iterator[Snapshot] = requester.pages(
                lambda cursor: calls.list_jobs(state, name, key, tags, size, cursor)
            )
            for count, snapshot in enumerate(pages, 1):
                yield Job(self._ledger, snapshot.job, snapshot)
                if count == most:
                    return

        return Rows(jobs)
