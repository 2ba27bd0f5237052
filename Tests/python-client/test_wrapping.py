"""Functions that engines call run within executions, and those that they call directly stay in them."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from progress_ledger import Client, Job, current, progress
from progress_ledger.contexts import is_within_execution
from progress_ledger.wrapping import Call, iterator_within, within

from conftest import Messages, figures
from fault_proxy import FaultProxy, Hold


class Engine:
    """An engine that calls wrapped functions; each call is an execution of a task."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._call: str | None = None

    def find(self, name: str | None = None) -> Call | None:
        """Returns the call with this name; by default the current one."""
        name = name or self._call
        return None if name is None else Call(name, functools.partial(self._job.execution, name, 1))

    def wrap(
        self, function: Any, name: str | None = None, is_continued: Callable[[BaseException], bool] = lambda _: False
    ) -> Any:
        return within(function, functools.partial(self.find, name), is_continued)

    @contextmanager
    def call(self, name: str) -> Iterator[None]:
        before, self._call = self._call, name
        yield
        self._call = before


@pytest.fixture
def engine(job: Job) -> Engine:
    return Engine(job)


def runs(job: Job) -> dict[str, list[str | None]]:
    """Returns the outcomes of the executions, by task."""
    return {task.task: [one.outcome for one in task.executions] for task in job.tasks()}


def test_a_function_that_another_one_calls_directly_stays_in_its_execution(engine: Engine, job: Job) -> None:
    @engine.wrap
    def step(depth: int = 0) -> None:
        progress().done(1)
        if depth:
            step(depth - 1)

    @engine.wrap
    def steps() -> Iterator[int]:
        for number in range(2):
            progress().done(1)
            yield number

    @engine.wrap
    def run() -> None:
        progress().done(10)
        for _ in range(3):
            step(1)
        assert list(steps()) == [0, 1]
        progress().done(10)

    with engine.call("a"):
        run()
    assert figures(job) == {None: (28, 0)}
    assert runs(job) == {"a": ["succeeded"]}


def test_coroutines_that_another_one_awaits_stay_in_its_execution(engine: Engine, job: Job) -> None:
    @engine.wrap
    async def step() -> None:
        await asyncio.sleep(0)
        progress().done(1)

    @engine.wrap
    async def steps() -> AsyncIterator[int]:
        for number in range(2):
            progress().done(1)
            yield number

    @engine.wrap
    async def run() -> None:
        await asyncio.gather(step(), step(), step())
        assert [number async for number in steps()] == [0, 1]
        progress().done(10)

    with engine.call("a"):
        asyncio.run(run())
    assert figures(job) == {None: (15, 0)}
    assert runs(job) == {"a": ["succeeded"]}


def test_another_thread_of_a_call_and_an_own_execution_within_it_are_kept(engine: Engine, job: Job) -> None:
    @engine.wrap
    def step() -> None:
        progress().done(1)

    @engine.wrap
    def run() -> None:
        threads = [threading.Thread(target=step) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with job.execution("own"):
            step()
            assert current().task == "own"

    with engine.call("a"):
        run()
    assert figures(job) == {None: (4, 0)}
    assert runs(job) == {"a": ["succeeded"], "own": ["succeeded"]}


def test_without_a_call_of_the_engine_a_function_runs_as_without_the_integration(
    engine: Engine, job: Job, messages: Messages
) -> None:
    @engine.wrap
    def step() -> None:
        progress().done(1)

    with job.execution("around"):
        step()
    assert figures(job) == {None: (1, 0)}
    assert runs(job) == {"around": ["succeeded"]}
    assert messages.levels() == []
    dropped = current().stats.dropped
    step()
    assert current().stats.dropped == dropped + 1, "a loss is counted"


def test_an_integration_that_fails_is_logged_and_changes_nothing(job: Job, messages: Messages) -> None:
    def find() -> Call | None:
        raise LookupError("another version of the engine")

    step = within(lambda: progress().done(1), find)
    with job.execution("around"):
        step()
        within(lambda: progress().done(1), lambda: Call("a", find))()
    assert figures(job) == {None: (2, 0)}
    assert messages.count("another version of the engine") >= 1


def test_the_consumer_of_a_generator_has_its_own_execution_between_the_steps(engine: Engine, job: Job) -> None:
    def inner() -> Iterator[int]:
        for number in range(5):
            progress("inner").done(1)
            yield number

    def outer(numbers: Iterator[int]) -> Iterator[int]:
        for number in numbers:
            assert current().task == "outer"
            progress("outer").done(1)
            yield number

    numbers = engine.wrap(inner, "inner")()
    results = engine.wrap(outer, "outer")(numbers)
    with job.execution("consumer"):
        assert [next(results), next(results)] == [0, 1]
        progress("consumer").done(1)
    # The outer one ends first, although the inner one began within it.
    results.close()
    numbers.close()
    assert not is_within_execution()
    assert figures(job) == {"consumer": (1, 0), "inner": (2, 0), "outer": (2, 0)}
    assert runs(job) == {"consumer": ["succeeded"], "inner": ["canceled"], "outer": ["canceled"]}


def test_a_generator_gets_what_its_consumer_sends_and_throws(engine: Engine, job: Job) -> None:
    log: list[Any] = []

    @functools.partial(engine.wrap, name="a")
    def echo() -> Iterator[Any]:
        sent = None
        try:
            while True:
                try:
                    sent = yield sent
                except KeyError as error:
                    sent = error
                if sent == "end":
                    return "result"
        finally:
            log.append(current().task)

    items = echo()
    assert [next(items), items.send(1)] == [None, 1]
    assert isinstance(items.throw(KeyError("x")), KeyError)
    with pytest.raises(StopIteration) as end:
        items.send("end")
    assert end.value.value == "result"
    other = echo()
    next(other)
    with pytest.raises(ValueError, match="not handled"):
        other.throw(ValueError("not handled"))
    assert log == ["a", "a"]
    assert runs(job) == {"a": ["succeeded", "failed"]}


def test_an_asynchronous_generator_gets_what_its_consumer_sends_and_throws(engine: Engine, job: Job) -> None:
    log: list[Any] = []

    @functools.partial(engine.wrap, name="a")
    async def echo() -> AsyncIterator[Any]:
        sent = None
        try:
            while True:
                try:
                    sent = yield sent
                except KeyError as error:
                    sent = error
                await asyncio.sleep(0)
                log.append(current().task)
                if sent == "end":
                    return
        finally:
            await asyncio.sleep(0)
            log.append("closed")

    async def consume() -> None:
        items = echo()
        assert [await items.__anext__(), await items.asend(1)] == [None, 1]
        assert not is_within_execution()
        assert isinstance(await items.athrow(KeyError("x")), KeyError)
        with pytest.raises(StopAsyncIteration):
            await items.asend("end")
        assert log == ["a", "a", "a", "closed"]
        other = echo()
        await other.__anext__()
        await other.aclose()
        assert log[4:] == ["closed"], "closing the generator has closed that of the user"
        third = echo()
        await third.__anext__()
        with pytest.raises(ValueError, match="not handled"):
            await third.athrow(ValueError("not handled"))

    asyncio.run(consume())
    assert runs(job) == {"a": ["succeeded", "canceled", "failed"]}


def test_an_asynchronous_generator_that_ends_does_not_stop_the_loop(
    proxy: FaultProxy, faulty: Client, job: Job
) -> None:
    """The ledger answers only when another coroutine has run."""
    has_run = threading.Event()
    proxy.inject(Hold(has_run), Hold(has_run))

    async def numbers() -> AsyncIterator[int]:
        progress().done(1)
        yield 1

    call = Call("a", functools.partial(faulty.job(job.id).execution, "a", 1))

    async def main() -> None:
        async def consume() -> list[int]:
            found = [number async for number in within(numbers, lambda: call)()]
            assert has_run.is_set(), "the end waits for the ledger"
            return found

        task = asyncio.create_task(consume())
        await asyncio.get_running_loop().run_in_executor(None, proxy.wait_until_seen, 1)
        has_run.set()
        assert await task == [1]

    asyncio.run(main())
    assert figures(job) == {None: (1, 0)}
    assert runs(job) == {"a": ["succeeded"]}


def test_a_generator_may_have_parameters_with_any_name(engine: Engine) -> None:
    def scan(function: int, entry: int, arguments: int) -> Iterator[int]:
        yield function + entry + arguments

    assert list(engine.wrap(scan, "a")(function=1, entry=2, arguments=3)) == [6]


def test_the_items_of_any_iterator_are_made_within_the_execution(engine: Engine, job: Job) -> None:
    def scan(rows: Iterator[int]) -> Iterator[int]:
        return map(double, rows)

    def double(row: int) -> int:
        progress("rows").done(1)
        return 2 * row

    items = iterator_within(scan, functools.partial(engine.find, "a"), iter(range(10)))
    assert list(items) == list(range(0, 20, 2))
    never_begun = iterator_within(scan, functools.partial(engine.find, "c"), iter(()))
    never_begun.close()
    left = iterator_within(scan, functools.partial(engine.find, "b"), iter(range(10)))
    assert next(left) == 0
    left.close()
    assert figures(job) == {"rows": (11, 0)}
    assert runs(job) == {"a": ["succeeded"], "b": ["canceled"]}


def test_the_kind_and_the_name_of_a_function_are_kept(engine: Engine) -> None:
    class Steps:
        @functools.partial(engine.wrap, name="a")
        @classmethod
        def make(cls) -> str:
            return f"{cls.__name__} {current().task}"

        @functools.partial(engine.wrap, name="b")
        @staticmethod
        def add(one: int, two: int) -> tuple[int, str]:
            return one + two, current().task

    assert Steps.make() == "Steps a"
    assert Steps().add(1, 2) == (3, "b")
    partial = engine.wrap(functools.partial(pow, 2), "c")
    assert (partial(5), partial.__name__) == (32, "partial")

    async def coroutine() -> None:
        pass

    async def agen() -> AsyncIterator[int]:
        yield 1

    def gen() -> Iterator[int]:
        yield 1

    assert inspect.iscoroutinefunction(engine.wrap(coroutine))
    assert inspect.isasyncgenfunction(engine.wrap(agen))
    assert inspect.isgeneratorfunction(engine.wrap(gen))
    assert engine.wrap(gen).__name__ == "gen"


class Suspended(BaseException):
    pass


@pytest.mark.parametrize(
    ("error", "outcome"), [(Suspended, None), (ValueError, "failed"), (KeyboardInterrupt, "canceled")]
)
def test_a_call_that_its_engine_continues_has_no_outcome(
    engine: Engine, job: Job, error: type[BaseException], outcome: str | None
) -> None:
    def run() -> None:
        raise error

    with pytest.raises(error):
        engine.wrap(run, "a", lambda raised: isinstance(raised, Suspended))()
    assert runs(job) == {"a": [outcome]}
