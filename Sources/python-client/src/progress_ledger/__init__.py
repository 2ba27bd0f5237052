"""Reports the progress of distributed jobs to a progress ledger, and reads it.

    from progress_ledger import Client

    ledger = Client("http://localhost:8080")
    job = ledger.jobs.create("mosaic", key="mosaic-2026-11-23")
    with job.execution("tile-17", attempt=2) as context:
        context.progress("download").add(10)
        context.progress("download").done(1)

Reporting never raises, never waits for the ledger, and costs a microsecond. The package does nothing else: it schedules
nothing and retries no task, and the ledger decides which reports count.
"""

from .answers import (
    Cause,
    Conservation,
    Contribution,
    HistoryPoint,
    Indicator,
    JobTask,
    Run,
    Snapshot,
    TaskCounts,
    Units,
)
from .asynchronous import AsyncClient, AsyncJob
from .client import Client
from .display import Display
from .errors import (
    ConflictError,
    InvalidValueError,
    LedgerError,
    NotFoundError,
    OutcomeUnknownError,
    UnauthorizedError,
    UnavailableError,
    UnexpectedAnswerError,
)
from .execution import Execution, current, progress
from .job import Explanation, Job
from .reporting import Progress
from .rows import AsyncRows, Rows
from .settings import Settings
from .stats import Stats
from .watching import Watch

__version__ = "0.1.0"

__all__ = [
    "AsyncClient",
    "AsyncJob",
    "AsyncRows",
    "Cause",
    "Client",
    "ConflictError",
    "Conservation",
    "Contribution",
    "Display",
    "Execution",
    "Explanation",
    "HistoryPoint",
    "Indicator",
    "InvalidValueError",
    "Job",
    "JobTask",
    "LedgerError",
    "NotFoundError",
    "OutcomeUnknownError",
    "Progress",
    "Rows",
    "Run",
    "Settings",
    "Snapshot",
    "Stats",
    "TaskCounts",
    "UnauthorizedError",
    "UnavailableError",
    "UnexpectedAnswerError",
    "Units",
    "Watch",
    "current",
    "progress",
]
