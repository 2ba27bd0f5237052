"""Results that are read page by page during iteration."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import islice
from typing import Any, Callable, Generic, Protocol, TypeVar, cast

from .errors import LedgerError
from .shown import Shown

T = TypeVar("T")


class _Tabular(Protocol):
    def rows(self) -> Iterator[dict[str, Any]]: ...


class Rows(Generic[T]):
    """The rows of a result.

    Each iteration reads them again, page by page, in bounded memory.

    for task in job.tasks(): ...
    list(job.history("download"))
    job.events().to_pandas()
    """

    def __init__(self, read: Callable[[], Iterable[T]]) -> None:
        self._read = read

    def __iter__(self) -> Iterator[T]:
        return iter(self._read())

    def to_pandas(self) -> Any:
        """Returns all rows as a `pandas.DataFrame`.

        Raises `ImportError` if pandas is not installed.
        """
        return frame(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return _bundle(self)


def _bundle(rows: Iterable[Any]) -> dict[str, str]:
    """Returns the first rows as a table, for notebooks; shows an error instead of raising it."""
    from html import escape

    from . import tables
    from .view import printable

    try:
        read = list(islice(rows, tables.TABLE_ROWS_MAX + 1))
    except LedgerError as error:
        message = f"the rows cannot be read: {error}"
        return {"text/plain": printable(message), "text/html": f"<div>{escape(printable(message))}</div>"}
    views = [value.shown() for value in read if isinstance(value, Shown)]
    if read and len(views) == len(read):
        listed, has_more = views[: tables.TABLE_ROWS_MAX], len(views) > tables.TABLE_ROWS_MAX
        return {"text/plain": tables.jobs_text(listed, has_more), "text/html": tables.jobs_html(listed, has_more)}
    found = list(islice(_flat(read), tables.TABLE_ROWS_MAX + 1))
    shown, has_more = found[: tables.TABLE_ROWS_MAX], len(found) > tables.TABLE_ROWS_MAX
    return {"text/plain": tables.rows_text(shown, has_more), "text/html": tables.rows_html(shown, has_more)}


def _flat(values: Iterable[Any]) -> Iterator[dict[str, Any]]:
    for value in values:
        if isinstance(value, dict):
            yield value
        else:
            yield from cast(_Tabular, value).rows()


class AsyncRows(Generic[T]):
    """Variant of `Rows` for `async for`."""

    def __init__(self, read: Callable[[], AsyncIterator[T]], rows: Iterable[Any] = ()) -> None:
        self._read = read
        self._rows = rows

    def __aiter__(self) -> AsyncIterator[T]:
        return self._read()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        # A notebook shows the value without awaiting it, so this blocks for the ledger as `Rows` does.
        return _bundle(self._rows)

    async def all(self) -> list[T]:
        """Returns all rows at once."""
        return [row async for row in self]

    async def to_pandas(self) -> Any:
        """Returns all rows as a `pandas.DataFrame`.

        Raises `ImportError` if pandas is not installed.
        """
        return frame(await self.all())


def frame(values: Iterable[Any]) -> Any:
    """Returns a `pandas.DataFrame` of values that have rows, or of rows."""
    try:
        import pandas
    except ImportError as error:
        raise ImportError("to_pandas() needs pandas: pip install 'progress-ledger[pandas]'") from error
    return pandas.DataFrame(list(_flat(values)))
