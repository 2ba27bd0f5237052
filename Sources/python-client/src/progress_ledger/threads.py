"""A pool of threads whose calls report to the execution of their submitter.

    from progress_ledger.threads import ThreadPoolExecutor

    with job.execution("tile-17"), ThreadPoolExecutor() as pool:
        pool.map(download, scenes)  # progress_ledger.progress() in download finds the execution

A pool of the standard library needs `execution.carry(function)` for each function instead.
"""

from __future__ import annotations

import concurrent.futures
import contextvars
from typing import Any, Callable


class ThreadPoolExecutor(concurrent.futures.ThreadPoolExecutor):
    """The executor of the standard library, with the context variables of the caller of `submit` and `map`.

    Python passes them to coroutines and `asyncio.to_thread`, and since 3.14, if so configured, to new threads; but the
    threads of a pool serve many callers.
    """

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
        """Schedules a call, as the standard library does, in a copy of the caller's context."""
        return super().submit(contextvars.copy_context().run, fn, *args, **kwargs)
