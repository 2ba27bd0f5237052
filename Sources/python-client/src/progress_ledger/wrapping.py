"""Functions whose calls by an engine run within executions.

Not for tasks: each integration documents its own functions.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Callable, NamedTuple

from .contexts import is_within_execution
from .execution import Execution, current_execution
from .integration import harmless


class Call(NamedTuple):
    """A call that an engine makes."""

    identity: object
    """Identifies it with its attempt: hashable, and unique in a process while the call runs."""
    make: Callable[[], Execution | None]
    """Makes its execution."""


# The executions of the engine's calls that run in this process, in any thread.
_running: dict[object, Execution] = {}


def never(error: BaseException) -> bool:
    return False


class _Entry:
    """The entry of one function into the execution of the engine's call.

    A function that is called by another one within the same call, directly instead of by the engine, stays in the
    execution of its caller: an execution of its own would have the same attempt and supersede its caller. A function
    that is called without the engine, in a unit test for example, runs as if it was not wrapped.
    """

    def __init__(self, find: Callable[[], Call | None], is_continued: Callable[[BaseException], bool]) -> None:
        self._is_continued = is_continued
        self._made: Execution | None = None
        self._before: Execution | None = None
        self._inside: Execution | None = None
        # The execution to enter: that of the call, unless the caller is in one, for example in one of its own.
        self.execution: Execution | None = None
        call = harmless(find)()
        if call is None:
            return
        self._identity = call.identity
        running = _running.get(call.identity)
        if running is None:
            self.execution = self._made = harmless(call.make)()
        elif not is_within_execution():
            # Another thread of the call.
            self.execution = running

    def __enter__(self) -> None:
        if self._made is not None:
            _running[self._identity] = self._made
            self._made.__enter__()
        elif self.execution is not None:
            self._before = current_execution.get()
            current_execution.set(self.execution)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._end(error)
        if self._made is not None:
            self._made.__exit__(kind, error, None)

    async def __aenter__(self) -> None:
        self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        await self.leave(None, error)

    async def leave(self, context: contextvars.Context | None, error: BaseException | None) -> None:
        """Leaves it; it was entered in `context`, or in the current one."""
        if context is None:
            self._end(error)
        else:
            context.run(self._end, error)
        if self._made is not None:
            await self._made.__aexit__(type(error) if error is not None else None, error, None)

    def _end(self, error: BaseException | None) -> None:
        if self._made is None:
            if self.execution is not None:
                current_execution.set(self._before)
            return
        _running.pop(self._identity, None)
        if error is not None and harmless(self._is_continued)(error):
            self._made.leave()

    @contextmanager
    def current(self) -> Iterator[None]:
        """Makes the execution the current one for a step of an asynchronous generator."""
        if self.execution is None:
            yield
            return
        before = current_execution.get()
        current_execution.set(self._inside or self.execution)
        try:
            yield
        finally:
            # Between steps, the generator may be in an execution of its own.
            self._inside = current_execution.get()
            current_execution.set(before)


def within(
    function: Any, find: Callable[[], Call | None], is_continued: Callable[[BaseException], bool] = never
) -> Any:
    """Returns a function of the same kind that runs within the execution of each call that the engine makes.

    `find` returns the engine's current call; None if there is none. A call that raises has ended, unless `is_continued`
    says that its engine will call the function again. The result can be pickled by value, as engines do, if the
    arguments can. Class and static methods stay such methods.
    """
    if isinstance(function, (classmethod, staticmethod)):
        return type(function)(within(function.__func__, find, is_continued))
    if inspect.isasyncgenfunction(function):
        wrap: Callable[..., Any] = _async_generator
    elif inspect.iscoroutinefunction(function):
        wrap = _coroutine
    elif inspect.isgeneratorfunction(function):
        wrap = _generator
    else:
        wrap = _function
    call = wrap(function, functools.partial(_Entry, find, is_continued))
    functools.update_wrapper(call, function)
    # A partial function has no name, and engines name tasks by it.
    call.__name__ = getattr(function, "__name__", type(function).__name__)
    return call


def _function(function: Callable[..., Any], entry: Callable[[], _Entry]) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        with entry():
            return function(*arguments, **options)

    return call


def _coroutine(function: Callable[..., Any], entry: Callable[[], _Entry]) -> Callable[..., Any]:
    async def call(*arguments: Any, **options: Any) -> Any:
        async with entry():
            return await function(*arguments, **options)

    return call


def _generator(function: Callable[..., Any], entry: Callable[[], _Entry]) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Generator[Any, Any, Any]:
        return (yield from _steps(function, entry(), *arguments, **options))

    return call


def _async_generator(function: Callable[..., Any], entry: Callable[[], _Entry]) -> Callable[..., Any]:
    async def call(*arguments: Any, **options: Any) -> AsyncIterator[Any]:
        one = entry()
        # In a context of its own, as in `_steps`.
        context = contextvars.copy_context()
        context.run(one.__enter__)
        try:
            items = function(*arguments, **options)
            step = items.__anext__()
            while True:
                try:
                    with one.current():
                        item = await step
                except StopAsyncIteration:
                    break
                try:
                    sent = yield item
                except GeneratorExit:
                    with one.current():
                        await items.aclose()
                    raise
                except BaseException as error:
                    step = items.athrow(error)
                else:
                    step = items.asend(sent)
        except BaseException as error:
            await one.leave(context, error)
            raise
        await one.leave(context, None)

    return call


def iterator_within(
    function: Callable[..., Any], find: Callable[[], Call | None], *arguments: Any
) -> Generator[Any, Any, Any]:
    """Yields the items of the iterator that a function returns, each within the execution of the engine's call."""
    return (yield from _steps(function, _Entry(find, never), *arguments))


def _steps(function: Callable[..., Any], entry: _Entry, /, *arguments: Any, **options: Any) -> Generator[Any, Any, Any]:
    """Yields the items of an iterator, and passes on what its consumer sends and throws, as `yield from` does.

    Each step runs in a context of its own, because the consumer runs between the steps and has its own execution, and
    generators that consume each other do not end in the order in which they began. Costs a tenth of a microsecond for
    each item.
    """
    context = contextvars.copy_context()
    context.run(entry.__enter__)
    try:
        items = context.run(lambda: iter(function(*arguments, **options)))
        following = step = functools.partial(next, items)
        while True:
            try:
                item = context.run(step)
            except StopIteration as end:
                result = end.value
                break
            try:
                sent = yield item
            except GeneratorExit:
                if hasattr(items, "close"):
                    context.run(items.close)
                raise
            except BaseException as error:
                if not hasattr(items, "throw"):
                    raise
                step = functools.partial(items.throw, error)
            else:
                step = following if sent is None else functools.partial(items.send, sent)
    except BaseException as error:
        context.run(entry.__exit__, type(error), error, None)
        raise
    context.run(entry.__exit__, None, None, None)
    return result
