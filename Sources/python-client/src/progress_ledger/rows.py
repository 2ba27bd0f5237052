"""Rows that the ledger is asked for page by page, while they are taken."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any, Callable, Generic, Protocol, TypeVar, cast

T = TypeVar("T")


class _Tabular(Protocol):
    def rows(self) -> Iterator[dict[str, Any]]: ...


class Rows(Generic[T]):
    """Rows of an answer, as values. Iterating asks the ledger, page by page, in bounded memory, and anew each time.

    for task in job.tasks(): ...
    list(job.history("download"))
    job.events().to_pandas()
    """

    def __init__(self, read: Callable[[], Iterable[T]]) -> None:
        self._read = read

    def __iter__(self) -> Iterator[T]:
        return iter(self._read())

    def to_pandas(self) -> Any:
        """All rows as a `pandas.DataFrame`. Raises `ImportError` where pandas is not installed."""
        return frame(self)


class AsyncRows(Generic[T]):
    """The same for `async for`."""

    def __init__(self, read: Callable[[], AsyncIterator[T]]) -> None:
        self._read = read

    def __aiter__(self) -> AsyncIterator[T]:
        return self._read()

    async def all(self) -> list[T]:
        """All rows at once."""
        return [row async for row in self]

    async def to_pandas(self) -> Any:
        """All rows as a `pandas.DataFrame`. Raises `ImportError` where pandas is not installed."""
        return frame(await self.all())


def frame(values: Iterable[Any]) -> Any:
    """A `pandas.DataFrame` of values that tell their own rows, or are rows already."""
    try:
        import pandas
    except ImportError as error:
        raise ImportError("to_pandas() needs pandas: pip install 'progress-ledger[pandas]'") from error
    rows: list[Any] = []
    for value in values:
        rows.extend([value] if isinstance(value, dict) else cast(_Tabular, value).rows())
    return pandas.DataFrame(rows)
