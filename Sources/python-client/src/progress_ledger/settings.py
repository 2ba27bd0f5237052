"""Every limit and every wait of the client, with the reason for its number."""

from __future__ import annotations

from dataclasses import dataclass

# What the ledger itself allows (GET /v1/limits); checked here too, so that a mistake shows where it is made.
INCREMENT_MAX = 2**53 - 1
ATTEMPT_MAX = 2**31 - 1
REPORT_MAX = 2**53 - 1
LABEL_LENGTH_MAX = 100
LABELS_PER_EXECUTION_MAX = 1_000
TASK_LENGTH_MAX = 200
EXECUTION_LENGTH_MAX = 200
JOB_NAME_LENGTH_MAX = 200
JOB_KEY_LENGTH_MAX = 200
TAGS_MAX = 50
TAG_NAME_LENGTH_MAX = 100
TAG_VALUE_LENGTH_MAX = 200
PAGE_SIZE_MAX = 1_000
PREFER_WAIT_SECONDS_MAX = 30


@dataclass(frozen=True)
class Settings:
    """Limits and waits of one client. All times are in seconds of a clock that no adjustment moves."""

    report_seconds: float = 0.5
    """How long an increment may wait for others to be sent with it. A report is recorded at most 1 s after the call
    where the ledger answers; half of that is left for the request."""

    request_seconds: float = 10.0
    """How long one request may take, from the connection to the last byte. The ledger waits up to 5 s for its
    projection, and needs some milliseconds for everything else."""

    flush_seconds: float = 5.0
    """How long leaving an execution, `flush`, `Job.finish` and the end of the process wait for what is still to be
    sent. 0 never waits. Kubernetes and Slurm leave 30 s between SIGTERM and SIGKILL."""

    outage_patience_seconds: float = 1.0
    """For how long a ledger out of reach is waited for where an execution ends; after that, the end of an execution
    waits for nothing until the ledger has answered again. A restart of the ledger takes less."""

    patience_seconds: float = 10.0
    """For how long a call that needs an answer (create, find, history, …) is tried again before it raises."""

    outage_seconds_max: float = 600.0
    """For how long `watch` and `wait` stand by a ledger that does not answer before they raise."""

    silence_seconds_max: float = 45.0
    """How long a stream of snapshots may say nothing, not even a heartbeat, before it is taken for dead."""

    pause_seconds_min: float = 0.1
    """The pause before the first repetition of a failed request; doubled with each further one."""

    pause_seconds_max: float = 15.0
    """The longest pause, unless the ledger asks for more: how long a ledger that is back waits for reports at most."""

    retry_after_seconds_max: float = 300.0
    """The longest pause that the ledger may ask for with Retry-After."""

    idle_connection_seconds: float = 30.0
    """How long a connection may lie idle before it is not used again; the ledger closes it after 75 s."""

    idle_thread_seconds: float = 30.0
    """How long the sender's thread waits for work before it ends; the next report starts another one."""

    events_per_request_max: int = 1_000
    """Events in one request: well below the ledger's 10,000, and some 300 kB at most with the longest names."""

    buffered_max: int = 100_000
    """Counters and events that wait to be sent, in one process. Increments of one label are one counter, however many
    they are, so that only new executions and labels can run into this. Some 50 MB at most."""

    refusals_max: int = 8
    """How often an answer that blames the ledger's own fault (500) is met with the same request before the events in it
    are sent one by one, and then given up one by one."""

    attempt_from_engine: bool = True
    """Whether an execution without an attempt takes that of the workflow engine that runs the process."""


DEFAULTS = Settings()
