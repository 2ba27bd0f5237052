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

from .client import Client
from .contexts import current, progress
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
from .execution import Execution
from .reporting import Progress, Repeatable
from .settings import Settings
from .stats import Stats

if TYPE_CHECKING:
    from .answer import Answer
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
    from .display import Display
    from .estimate import Estimate
    from .handle import Handle
    from .job import Explanation, Job
    from .rows import AsyncRows, Rows
    from .watching import Watch

    __version__: str
else:
    # What a task does not need is imported when it is first used, because the import takes long.
    _MODULES = {
        "answer": ("Answer",),
        "answers": (
            "Cause", "Conservation", "Contribution", "HistoryPoint", "Indicator", "JobTask", "Run", "Snapshot",
            "TaskCounts", "Units",
        ),
        "asynchronous": ("AsyncClient", "AsyncJob"),
        "display": ("Display",),
        "estimate": ("Estimate",),
        "handle": ("Handle",),
        "job": ("Explanation", "Job"),
        "rows": ("AsyncRows", "Rows"),
        "watching": ("Watch",),
    }  # fmt: skip
    _MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

    def __getattr__(name: str) -> object:
        """Imports a part of the package, or looks up the version of the installed package."""
        if name in _MODULE_OF:
            from importlib import import_module

            found = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
            globals()[name] = found
            return found
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("progress-ledger")
        except PackageNotFoundError:
            return "development"

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


__all__ = [
    "Answer",
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
