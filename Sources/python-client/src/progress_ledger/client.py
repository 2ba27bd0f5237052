"""The synchronous client."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import lifecycle, values
from .credentials import TokenFile, check_token
from .errors import InvalidValueError, NotFoundError
from .job import Job, read
from .jobs import NO_JOB, Ledger, empty_snapshot, shared
from .lazy import LazyModule
from .losses import LossLog, logger
from .rows import Rows
from .settings import DEFAULTS, PAGE_SIZE_MAX, RESTORED_CLIENTS_MAX, Settings
from .stats import Stats

if TYPE_CHECKING:
    import ssl

    from . import calls, certificates, connection, requester, sender, transport
    from .answers import Snapshot
else:
    calls, certificates, connection = LazyModule("calls"), LazyModule("certificates"), LazyModule("connection")
    requester, sender, transport = LazyModule("requester"), LazyModule("sender"), LazyModule("transport")


@dataclass(frozen=True)
class Configuration:
    """The address of a ledger and the settings of a client."""

    url: str | None
    token: str | TokenFile | None = field(repr=False)
    settings: Settings
    tls: ssl.SSLContext | certificates.CertificateFiles | None = field(repr=False)
    problem: InvalidValueError | None = None
    """The error in the environment, if any."""
    given_token: str | None = field(default=None, repr=False)
    """The token that was given as an argument. Only this one is pickled."""

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
            connection.Server.parse(url, tls)
        if token:
            check_token(token)
        variable = "PROGRESS_LEDGER_URL"
        try:
            url = url or os.environ.get(variable) or None
            if url is None:
                return cls(None, token, settings, tls, None, token)
            uses_tls = connection.Server.parse(url, tls).tls is not None
            encryption: ssl.SSLContext | certificates.CertificateFiles | None = tls
            authorities = os.environ.get(variable := "PROGRESS_LEDGER_CA_FILE")
            certificate = os.environ.get("PROGRESS_LEDGER_CLIENT_CERTIFICATE_FILE")
            key = os.environ.get("PROGRESS_LEDGER_CLIENT_KEY_FILE")
            if tls is None and uses_tls and (authorities or certificate or key):
                if authorities:
                    certificates.trust_file(authorities)
                variable = "PROGRESS_LEDGER_CLIENT_CERTIFICATE_FILE"
                encryption = certificates.CertificateFiles(authorities, certificate, key)
                encryption.read()
            found: str | TokenFile | None = token or None
            if found is None and (given := os.environ.get(variable := "PROGRESS_LEDGER_TOKEN")):
                found = check_token(given)
            if found is None and (path := os.environ.get(variable := "PROGRESS_LEDGER_TOKEN_FILE")):
                found = TokenFile(path)
                found.read()
        except InvalidValueError as error:
            return cls(url, None, settings, tls, InvalidValueError(f"{variable} is invalid: {error}"), token)
        return cls(url, found, settings, encryption, None, token)

    def __reduce__(self) -> tuple[Any, ...]:
        # Without the secrets in the environment, and without certificates, which cannot be pickled: the process that
        # unpickles it has its own.
        url = self.url if self.problem is None else None
        return restored_configuration, (url, self.given_token, self.settings, self.problem is not None)

    def connect(self) -> Ledger:
        """Creates the parts of a client, without a connection."""
        if self.problem is not None:
            return unusable(self.problem, self)
        if self.url is None:
            logger.debug("no URL of a ledger is configured: nothing is reported")
            return Ledger(None, None, configuration=self)
        server = connection.Server.parse(self.url, self.tls)
        lifecycle.watch_signal()
        asking = requester.Requester(
            transport.Transport(server, self.token, self.settings.idle_connection_seconds), self.settings
        )
        return Ledger(asking, sender.Sender(asking), configuration=self)


def restored_configuration(url: str | None, token: str | None, settings: Settings, reads_url: bool) -> Configuration:
    """Returns an unpickled configuration: the pickled arguments, and the environment of this process.

    A client without a URL remains without one.
    """
    if url is None and not reads_url:
        return Configuration(None, None, settings, None)
    return Configuration.read(url, token, settings, None)


# The clients of unpickled jobs and executions, by configuration; the one that was used last is the last one.
_restored: dict[tuple[str | None, str | None, Settings], Ledger] = {}


def shared_ledger(identity: str | None, configuration: Configuration) -> Ledger:
    """Returns the parts of the client with this identity, or of another one with this configuration.

    Thousands of unpickled tasks share one client.
    """
    found = None if identity is None else shared.get(identity)
    if found is not None:
        return found
    key = (configuration.url, configuration.given_token, configuration.settings)
    # Without a lock, because another thread may fork at any time. Two clients instead of one would do no harm.
    found = _restored.pop(key) if key in _restored else configuration.connect()
    _restored[key] = found
    if len(_restored) > RESTORED_CLIENTS_MAX:
        del _restored[next(iter(_restored))]
    return found


def restored_client(ledger: Ledger) -> Client:
    """Returns an unpickled client."""
    client = Client.__new__(Client)
    client._ledger = ledger
    client._configuration = ledger.configuration or Configuration(None, None, DEFAULTS, None)
    return client


def unusable(problem: InvalidValueError, configuration: Configuration | None = None) -> Ledger:
    """Creates the parts of a client without a usable configuration.

    Reading raises. Reports are dropped, counted and logged once.
    """
    losses = LossLog()
    losses.log("configuration", "nothing can be reported: %s", problem)
    return Ledger(
        requester.UnusableRequester(problem), None, losses=losses, problem=problem, configuration=configuration
    )


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
    `PROGRESS_LEDGER_CLIENT_KEY_FILE`, which are read again when they change.

    One client per process is sufficient: it is safe to use from any thread and after a fork. It connects at its first
    request, and reports in a background thread. Unsent reports are sent before the process ends, also on SIGTERM.

    It can be pickled for other processes, as can its jobs and executions: with its URL, settings and the token that was
    given as an argument, but without `tls` and without tokens from the environment. The other process reads its own
    environment for these. All that it unpickles shares one client.
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

    def __reduce__(self) -> tuple[Any, ...]:
        return restored_client, (self._ledger,)

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
        snapshot = read(self._ledger.requester, job, self._ledger.buffer(job))
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
