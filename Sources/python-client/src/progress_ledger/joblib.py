"""`joblib.Parallel` with progress.

    from progress_ledger.joblib import Parallel, delayed  # instead of: from joblib import …

    with job.execution("mosaic"):
        Parallel(n_jobs=8, label="tiles")(delayed(process)(tile) for tile in tiles)

It takes what `joblib.Parallel` takes, and reports to the current execution: each call is declared, all at once if their
number is known, and done when joblib has its result. joblib itself repeats nothing: if it loses a worker, the whole
`Parallel` raises, and so does the execution, whose next attempt supersedes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import joblib
from joblib import delayed

from .contexts import current
from .execution import Execution
from .integration import harmless
from .reporting import Progress

__all__ = ["Parallel", "delayed"]


class Parallel(joblib.Parallel):  # type: ignore[misc,unused-ignore]
    """A `joblib.Parallel` that reports its calls to the current execution, under a label.

    `label` is the job's default indicator if it is None.
    """

    def __init__(self, *arguments: Any, label: str | None = None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.label = label

    def __call__(self, iterable: Iterable[Any]) -> Any:
        # Results arrive in threads without the context.
        execution = current()
        indicator = execution.progress(self.label)
        kind = _SizedCalls if hasattr(iterable, "__len__") else _Calls
        self._ledger_next = indicator
        return super().__call__(kind(iterable, indicator, execution))

    def _reset_run_tracking(self) -> None:
        super()._reset_run_tracking()
        self._ledger_progress, self._ledger_done = self._ledger_next, 0

    def print_progress(self) -> None:
        """Reports the calls that are done; joblib calls this after each batch of calls, with its lock held."""
        self._report_done()
        super().print_progress()

    @harmless
    def _report_done(self) -> None:
        done = self.n_completed_tasks - self._ledger_done
        if done > 0:
            self._ledger_done += done
            self._ledger_progress.done(done)


class _Calls:
    """An iterable of calls that declares each one when joblib takes it."""

    def __init__(self, calls: Any, indicator: Progress, execution: Execution) -> None:
        self._calls = calls
        self._indicator = indicator
        self._execution = execution

    def __iter__(self) -> Iterator[Any]:
        for call in self._carried():
            self._indicator.add(1)
            yield call

    def _carried(self) -> Iterator[Any]:
        for function, arguments, options in self._calls:
            yield self._execution.carry(function), arguments, options


class _SizedCalls(_Calls):
    """An iterable of a known number of calls, all of which it declares when joblib begins."""

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[Any]:
        self._indicator.add(len(self._calls))
        return self._carried()
