"""Bars of tqdm that are also indicators."""

from __future__ import annotations

import asyncio
import io
import itertools
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, note, seed, settings
from hypothesis import strategies as st
from tqdm.auto import tqdm as plain

from progress_ledger import Client, Job, current
from progress_ledger.tqdm import tqdm, trange

from conftest import QUICK, Messages, figures
from ledger_process import LedgerProcess


@pytest.mark.parametrize("disable", [False, True, None])
def test_a_loop_is_reported_whether_the_bar_is_shown_or_not(job: Job, disable: bool | None) -> None:
    output = io.StringIO()
    with job.execution("loop"):
        for _ in tqdm(range(1000), desc="download", file=output, disable=disable):
            pass
        for number in tqdm([1, 2, 3], label="left", file=output, disable=disable):
            if number == 2:
                break
        assert list(trange(2, 6, 2, file=output, disable=disable)) == [2, 4]
    assert figures(job) == {"download": (1000, 1000), "left": (1, 3), None: (2, 2)}
    assert ("1000/1000" in output.getvalue()) == (disable is False)


def test_bars_that_are_moved_by_hand_report_whole_units_once(job: Job) -> None:
    with job.execution("hand") as context:
        with tqdm(total=10, initial=2, desc="a", file=io.StringIO()) as bar:
            bar.update(3)
            bar.update(-3)
            bar.update(3)
            bar.update(0.75)
            bar.update(0.75)
            bar.total = 12
            bar.refresh()
        with tqdm(total=2.5, execution=context, label="b", file=io.StringIO()) as bar:
            bar.update(2.5)
            bar.reset(total=4)
            bar.update(4)
        with tqdm(total=float("inf"), label="endless", file=io.StringIO()) as bar:
            bar.update()
        tqdm(desc="x" * 200, file=io.StringIO()).update(1)
    assert figures(job) == {"a": (6, 12), "b": (7, 7), "endless": (1, 0), "x" * 100: (1, 0)}


@pytest.mark.parametrize("disable", [False, True])
@pytest.mark.parametrize(
    ("total", "steps", "expected"),
    [
        (1.0, [0.1] * 10, (1, 1)),
        (2.5, [0.5] * 5, (3, 3)),
        (1.0, [1 / 3] * 3, (1, 1)),
        (50_000, [0.2] * 250_000, (50_000, 50_000)),
        (2.5, [0.5] * 4, (2, 3)),
        (1.0, [0.1] * 9, (0, 1)),
        (0.3, [0.1, 0.1, 0.1], (1, 1)),
        (3, [1e-9] * 10 + [2.9999999], (2, 3)),
        (2**53 - 1, [2**52, 2**52 - 2], (2**53 - 2, 2**53 - 1)),
        (2, [0.75, 0.75, 0.75], (2, 2)),
    ],
)
def test_a_bar_that_is_full_is_full_and_no_other_is(
    job: Job, disable: bool, total: float, steps: list[float], expected: tuple[int, int]
) -> None:
    with job.execution("fractions"), tqdm(total=total, file=io.StringIO(), disable=disable) as bar:
        for step in steps:
            bar.update(step)
    assert figures(job) == {None: expected}


def test_values_a_bar_cannot_report_are_dropped_counted_and_logged_once(job: Job, messages: Messages) -> None:
    with job.execution("hostile") as context:
        for epoch in range(1100):
            for _ in tqdm(range(2), desc=f"Epoch {epoch}", file=io.StringIO(), disable=epoch % 2 == 0):
                pass
        dropped = context.stats.dropped
        assert dropped >= 100
        for options in ({"desc": "\ud800"}, {"desc": "nul\0"}, {"desc": "Epoch 1", "total": 10**16}):
            before = context.stats.dropped
            with tqdm(file=io.StringIO(), **options) as bar:
                bar.update(1)
            assert context.stats.dropped > before
        for step in (float("inf"), float("nan"), 10**400):
            before = context.stats.dropped
            with tqdm(desc="Epoch 2", file=io.StringIO(), disable=True) as bar:
                bar.update(step)
            assert context.stats.dropped > before
    assert len(figures(job)) == 1000
    assert figures(job)["Epoch 0"] == (2, 2)
    assert messages.levels() == ["ERROR"] * 2, "one for labels, one for numbers"


def outcome(action: Callable[[], Any]) -> Any:
    """Returns the result of an action, or the type of its error."""
    try:
        return action()
    except Exception as error:
        return type(error)


def visible_state(bar: Any) -> tuple[Any, ...]:
    """Returns the visible state of a bar."""
    return tuple(repr(getattr(bar, name, None)) for name in ("n", "total", "desc", "disable", "initial"))


NUMBERS = st.one_of(
    st.integers(-5, 100), st.integers(-(2**70), 2**70), st.floats(), st.booleans(), st.none(), st.just("text"),
    st.fractions(0, 10, max_denominator=7), st.decimals(0, 10, places=2),
)  # fmt: skip
LABELS = st.one_of(st.none(), st.text(max_size=120), st.characters(categories=["Cs"]), st.integers(), st.just("nul\0"))
ITEMS = st.none() | st.lists(st.integers(), max_size=5)
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("update"), NUMBERS),
        st.tuples(st.just("reset"), NUMBERS),
        st.tuples(st.just("total"), NUMBERS),
        st.tuples(st.just("n"), st.integers(-5, 100)),
        st.tuples(st.sampled_from(["refresh", "close", "iterate", "break", "length", "clear", "set_description"])),
    ),
    max_size=8,
)


def play(cls: Any, arguments: dict[str, Any], items: list[int] | None, actions: list[tuple[Any, ...]]) -> list[Any]:
    """Creates a bar, performs the actions, and returns the result of each."""
    seen: list[Any] = []
    # The class gets its own lock, because `tqdm` never releases its lock after an error while drawing.
    cls = type("Locked", (cls,), {})
    cls.set_lock(threading.RLock())

    def make() -> Any:
        return cls(None if items is None else list(items), file=io.StringIO(), **arguments)

    bar = outcome(make)
    if isinstance(bar, type):
        return [bar]
    seen.append(visible_state(bar))
    for action, *values in actions:
        if action in ("total", "n"):
            setattr(bar, action, values[0])
        elif action in ("iterate", "break"):
            seen.append(outcome(lambda: list(itertools.islice(bar, None if action == "iterate" else 2))))  # noqa: B023
        elif action == "length":
            seen.append(outcome(lambda: len(bar)))
        elif action == "update":
            # The result depends on the time, because `update` returns whether it drew.
            result = outcome(lambda: bar.update(*values))  # noqa: B023
            seen.append(result if isinstance(result, type) else None)
        else:
            result = outcome(lambda: getattr(bar, action)(*values))  # noqa: B023
            seen.append(result if isinstance(result, type) else None)
        seen.append(visible_state(bar))
    outcome(bar.close)
    seen.append(visible_state(bar))
    return seen


class Recorder:
    """An execution with one indicator that adds up its reports."""

    def __init__(self) -> None:
        self.total = self.units = self.skipped = 0
        self.unit: str | None = None

    def progress(self, label: str | None, unit: str | None) -> Recorder:
        self.unit = unit
        return self

    def add(self, n: int) -> None:
        self.total += n

    def done(self, n: int) -> None:
        self.units += n

    def skip(self, n: int) -> None:
        self.units += n
        self.skipped += n


@pytest.mark.parametrize("disable", [False, True])
@pytest.mark.parametrize(
    ("unit", "shown"), [("it", None), ("B", "bytes"), (" files", "files"), ("", None), ("x" * 33, None), (7, None)]
)
def test_a_resumed_bar_skips_its_initial_units_and_has_a_unit(disable: bool, unit: Any, shown: str | None) -> None:
    recorder: Any = Recorder()
    options: dict[str, Any] = {"unit": unit} if isinstance(unit, str) or disable else {}
    with tqdm(
        range(40, 100), total=100, initial=40, disable=disable, execution=recorder, file=io.StringIO(), **options
    ) as bar:
        assert (recorder.units, recorder.skipped, recorder.total) == (40, 40, 100)
        assert len(list(bar)) == 60
    assert (recorder.units, recorder.skipped, recorder.total) == (100, 40, 100)
    assert recorder.unit == shown


# tqdm warns about bars beyond their total.
pytestmark = pytest.mark.filterwarnings("ignore::tqdm.TqdmWarning")

FUZZ_SEED = int(os.environ.get("PROGRESS_LEDGER_FUZZ_SEED", time.time_ns() % 2**32))


# tqdm warns about bars that it could not draw.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("has_ledger", [False, True])
def test_a_bar_does_what_tqdm_does_and_raises_nothing_else(server: LedgerProcess, has_ledger: bool) -> None:
    ledger = Client(server.url if has_ledger else None, settings=QUICK)
    job = ledger.jobs.create("fuzz")

    @seed(FUZZ_SEED)
    @settings(
        max_examples=250, database=None, deadline=None, derandomize=False, suppress_health_check=list(HealthCheck)
    )
    @example(10**16, "a", 0, False, None, [("update", float("inf"))], False)
    @example(None, "\ud800", 0, False, [1, 2], [("iterate",)], True)
    @given(NUMBERS, LABELS, NUMBERS, st.booleans(), ITEMS, ACTIONS, st.booleans())
    def fuzz(
        total: Any, desc: Any, initial: Any, disable: bool, items: Any, actions: list[tuple[Any, ...]], is_within: bool
    ) -> None:
        note(f"PROGRESS_LEDGER_FUZZ_SEED={FUZZ_SEED}")
        arguments = {"total": total, "desc": desc, "initial": initial, "disable": disable}
        expected = play(plain, arguments, items, actions)
        if is_within:
            with job.execution("fuzz"):
                assert play(tqdm, arguments, items, actions) == expected
        else:
            assert play(tqdm, arguments, items, actions) == expected

    fuzz()
    ledger.close(20)


@given(
    st.lists(st.one_of(st.integers(0, 1000), st.floats(0, 1000, allow_subnormal=False)), max_size=30),
    st.one_of(st.none(), st.integers(0, 10_000), st.floats(0, 10_000)),
    st.booleans(),
)
@seed(FUZZ_SEED)
@settings(max_examples=300, database=None, deadline=None)
def test_a_bar_reports_the_whole_units_of_its_exact_sum(steps: list[float], total: float | None, disable: bool) -> None:
    note(f"PROGRESS_LEDGER_FUZZ_SEED={FUZZ_SEED}")
    recorder = Recorder()
    with tqdm(total=total, file=io.StringIO(), disable=disable, execution=recorder) as bar:  # type: ignore[arg-type]
        for step in steps:
            bar.update(step)
    exact = math.fsum(steps)
    assert recorder.total == math.ceil(total or 0)
    reach = exact * (1 + 1e-12)
    is_full = bool(total) and reach >= (total or 0)
    expected = max(math.floor(reach), math.ceil(total or 0) if is_full else 0)
    assert recorder.units == expected


def test_a_bar_is_reported_while_its_loop_goes_on(server: LedgerProcess) -> None:
    """With the default settings and a loop that draws nothing, an item is recorded a second after it is done."""
    with Client(server.url) as ledger:
        job = ledger.jobs.create("live")
        with job.execution("loop"):
            goes_on = threading.Event()
            watch = job.watch()

            def loop() -> None:
                for number in tqdm(range(10), disable=True, execution=context):
                    if number == 7:
                        goes_on.wait(60)

            context = current()
            thread = threading.Thread(target=loop)
            thread.start()
            seen = next(snapshot for snapshot in watch if snapshot.progress and snapshot.progress[0].done)
            assert (seen.progress[0].done, seen.progress[0].total) == (7, 10)
            goes_on.set()
            thread.join()
            watch.close()
        assert figures(job) == {None: (10, 10)}


@pytest.mark.parametrize("disable", [False, True])
def test_a_bar_that_is_dropped_without_being_closed_has_reported(job: Job, disable: bool) -> None:
    with job.execution("loop"):
        for number in tqdm(range(10), desc="left", file=io.StringIO(), disable=disable):
            if number == 3:
                break
        tqdm(total=3, desc="dropped", file=io.StringIO(), disable=disable).update(2)
        kept = tqdm(total=3, desc="kept", file=io.StringIO(), disable=disable)
        kept.update(1)
    assert figures(job) == {"left": (3, 10), "dropped": (2, 3), "kept": (1, 3)}


@pytest.mark.parametrize("disable", [False, True])
def test_an_asynchronous_loop_is_reported(job: Job, disable: bool) -> None:
    async def tiles():  # type: ignore[no-untyped-def]
        for number in range(4):
            yield number

    async def run() -> None:
        async with job.execution("loop"):
            found = [tile async for tile in tqdm(tiles(), desc="a", total=4, file=io.StringIO(), disable=disable)]
            assert found == [0, 1, 2, 3]

    asyncio.run(run())
    assert figures(job) == {"a": (4, 4)}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_reports_nothing_of_its_parents_bar(job: Job) -> None:
    with job.execution("loop") as context:
        bar = tqdm(total=10, label="a", file=io.StringIO())
        bar.update(4)
        child = os.fork()
        if child == 0:
            bar.update(2)
            bar.close()
            context.flush()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        bar.update(3)
        bar.close()
    assert figures(job) == {"a": (9, 10)}


def test_a_closed_bar_is_not_polled(job: Job) -> None:
    with job.execution("loop") as context:
        for _ in tqdm(range(3), file=io.StringIO()):
            pass
        for _ in tqdm(range(3), disable=True):
            pass
        tqdm(total=1, disable=True).update(1)
        assert not context._sender._sources  # type: ignore[union-attr]


@pytest.mark.parametrize("disable", [False, True])
def test_a_subclass_keeps_its_class_and_its_methods(job: Job, disable: bool) -> None:
    class Doubling(tqdm):
        def update(self, n: Any = 1) -> Any:
            return super().update(2 * n)

    with job.execution("subclass"):
        for cls, label in ((tqdm, "ours"), (Doubling, "theirs")):
            with cls(total=8, label=label, file=io.StringIO(), disable=disable) as bar:
                for step in (1, 0.5, 0.5, 2):
                    bar.update(step)
                assert isinstance(bar, cls)
                assert type(bar).__name__ == cls.__name__
                assert bar.disable is disable
    assert figures(job) == {"ours": (4, 8), "theirs": (8, 8)}


def python_calls(body: Callable[[], None]) -> int:
    """Counts the calls of Python functions in this thread."""
    count = 0

    def profile(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(profile)
    try:
        body()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("disable", [False, True])
def test_a_bar_runs_no_python_code_for_an_item_and_one_function_for_an_update(job: Job, disable: bool) -> None:
    """Counts calls instead of time: Python code for each item would double the cost of `tqdm`."""
    items = 2000

    def loop(cls: Any) -> None:
        for _ in cls(range(items), file=io.StringIO(), disable=disable, mininterval=3600):
            pass

    def by_hand(cls: Any) -> None:
        with cls(total=items, file=io.StringIO(), disable=disable, mininterval=3600) as bar:
            for _ in range(items):
                bar.update(1)

    with job.execution("price"):
        for body, calls in ((loop, 0), (by_hand, 0 if disable else items)):
            # The first bar of a process creates locks, which takes thousands of calls.
            body(plain)
            extra = python_calls(lambda: body(tqdm)) - python_calls(lambda: body(plain))  # noqa: B023
            assert extra <= calls + 200, f"{extra} calls more than tqdm for {items} items"


def test_outside_of_any_execution_it_is_a_bar() -> None:
    output = io.StringIO()
    assert list(tqdm(range(3), file=output)) == [0, 1, 2]
    assert "3/3" in output.getvalue()
