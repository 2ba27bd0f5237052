"""Iterating with progress."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Any, Generic, TypeVar

from .reporting import Progress

T = TypeVar("T")


class Tracking(Generic[T]):
    """An iterable that reports each item as done; see `Execution.track`."""

    def __init__(
        self, progress: Progress, source: Iterable[T] | AsyncIterable[T], total: Any, initial: Any = 0
    ) -> None:
        self._progress = progress
        self._source = source
        self._total = total
        self._initial = initial

    def _declare(self) -> bool:
        """Declares the total if it is known, and returns whether it is."""
        total = self._total
        if type(self._initial) is not int or self._initial:
            self._progress.skip(self._initial)
            if total is None:
                self._progress.add(self._initial)
        if total is None:
            try:
                total = len(self._source)  # type: ignore[arg-type]
            except Exception:
                # No length, or an object that fails to compute it.
                return False
        self._progress.add(total)
        return True

    def __len__(self) -> int:
        return len(self._source)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[T]:
        if not isinstance(self._source, Iterable):
            # The same error as that of a loop without `track`.
            raise TypeError(f"'{type(self._source).__name__}' object is not iterable; is it one for 'async for'?")
        is_declared = self._declare()
        for item in self._source:
            if not is_declared:
                self._progress.add(1)
            yield item
            self._progress.done(1)

    async def __aiter__(self) -> AsyncIterator[T]:
        if not isinstance(self._source, AsyncIterable):
            for item in self:
                yield item
            return
        is_declared = self._declare()
        async for item in self._source:
            if not is_declared:
                self._progress.add(1)
            yield item
            self._progress.done(1)
