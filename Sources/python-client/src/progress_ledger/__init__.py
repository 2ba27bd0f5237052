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

from typing import TYPE_CHECKING

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
from .contexts import current, progress
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
from .estimate import Estimate
from .execution import Execution
from .handle import Handle
from .job import Explanation, Job
from .reporting import Progress, Repeatable
from .rows import AsyncRows, Rows
from .settings import Settings
from .stats import Stats
from .watching import Watch

if TYPE_CHECKING:
    __version__: str
else:

    def __getattr__(name: str) -> str:
        """The version of the installed package, looked up on demand: the import of importlib.metadata takes long."""
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("progress-ledger")
        except PackageNotFoundError:
            return "development"


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
    "Estimate",
    "Execution",
    "Explanation",
    "Handle",
    "HistoryPoint",
    "Indicator",
    "InvalidValueError",
    "Job",
    "JobTask",
    "LedgerError",
    "NotFoundError",
    "OutcomeUnknownError",
    "Progress",
    "Repeatable",
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
