"""All limits and waits of the client, with the reasons for their values."""

from __future__ import annotations

from dataclasses import dataclass

# The limits of the ledger itself (GET /v1/limits), checked here too, so that an error is reported at its cause.
INCREMENT_MAX = 2**53 - 1
ATTEMPT_MAX = 2**31 - 1
REPORT_MAX = 2**53 - 1
LABEL_LENGTH_MAX = 100
LABELS_PER_EXECUTION_MAX = 1_000
MESSAGE_LENGTH_MAX = 1_000
LINK_LENGTH_MAX = 2_000
UNIT_LENGTH_MAX = 32
TASK_LENGTH_MAX = 200
EXECUTION_LENGTH_MAX = 200
JOB_NAME_LENGTH_MAX = 200
JOB_KEY_LENGTH_MAX = 200
TAGS_MAX = 50
TAG_NAME_LENGTH_MAX = 100
TAG_VALUE_LENGTH_MAX = 200
PAGE_SIZE_MAX = 1_000
PREFER_WAIT_SECONDS_MAX = 30

# The longest message that the client makes of an exception: the first line of a useful text is shorter.
ERROR_LENGTH_MAX = 200
# The other processes' executions, of one client, whose numbering a process remembers. About 2 MB.
PARTS_MAX = 1_000
# The clients that a process keeps for unpickled jobs and executions, one per configuration.
RESTORED_CLIENTS_MAX = 16


@dataclass(frozen=True)
class Settings:
    """Limits and waits of one client.

    All times are in seconds of a monotonic clock. The intervals, pauses and limits of reports are those of all clients:
    see Reporting.md of the Swift client, and the table Tests/reporter-contract/cases.json.
    """

    report_seconds: float = 1.0
    """The longest time that an increment waits for others to be sent with it."""

    heartbeat_seconds: float = 30.0
    """The time without anything to send after which an open execution repeats its start.

    It shows that the execution lives. The ledger allows half as long again until the execution is silent.
    """

    request_seconds: float = 15.0
    """The limit of one request, from the connection to the last byte.

    The ledger waits up to 5 s for its projection, and needs some milliseconds for everything else.
    """

    flush_seconds: float = 5.0
    """The longest time that an end waits for unsent reports.

    Applies to leaving an execution, `flush`, `Job.finish` and the end of the process. 0 never waits. Kubernetes and
    Slurm leave 30 s between SIGTERM and SIGKILL.
    """

    outage_patience_seconds: float = 1.0
    """The longest time that the end of an execution waits for an unreachable ledger.

    After that, ends do not wait until the ledger has responded again. A restart of the ledger takes less.
    """

    patience_seconds: float = 10.0
    """The time for which a call (create, find, history, …) is retried before it raises."""

    outage_seconds_max: float = 3600.0
    """The time for which `watch` and `wait` retry an unreachable ledger before they raise.

    It begins again with each snapshot and each heartbeat. The Go and JavaScript clients have the same limit.
    """

    silence_seconds_max: float = 45.0
    """The time without data, not even a heartbeat, after which a stream counts as lost."""

    pause_seconds_min: float = 0.2
    """The pause before the first retry; doubles with each further one."""

    pause_seconds_max: float = 30.0
    """The longest pause between retries, unless the ledger asks for more.

    This is also the longest time until reports arrive after the end of an outage.
    """

    retry_after_seconds_max: float = 300.0
    """The longest pause that the ledger may ask for with Retry-After."""

    delivery_seconds_after_end: float = 900.0
    """The time after the end of an execution in which its last reports are still sent.

    Longer outages are rare, and unsent reports cost memory.
    """

    idle_connection_seconds: float = 30.0
    """The longest idle time of a connection that is reused.

    The ledger closes it after 75 s.
    """

    idle_thread_seconds: float = 30.0
    """The idle time after which the sender's thread ends.

    The next report starts another one.
    """

    events_per_request_max: int = 1_000
    """The largest number of events in one request.

    Well below the ledger's 10,000; about 300 kB with the longest names.
    """

    buffered_max: int = 100_000
    """The largest number of unsent counters and events in one process.

    All increments of one label are one counter, so that only new executions and labels fill the buffer. About 50 MB.
    """

    refusals_max: int = 8
    """The number of times that a batch is repeated after an error of the ledger itself (500).

    After that its events are sent one by one, and those that still fail are dropped.
    """

    attempt_from_engine: bool = True
    """Whether the workflow engine provides the attempt of an execution without one."""

    error_messages: bool = False
    """Whether the message of a failed execution contains the text of its exception, and not only its type.

    What is recorded stays for ever, and texts of exceptions may contain personal data. Only the first line is recorded,
    of at most 200 characters, without users, passwords and queries of URLs.
    """


DEFAULTS = Settings()
