"""A `tqdm` that also reports to the ledger, for code that uses bars already.

    from progress_ledger.tqdm import tqdm

    for tile in tqdm(tiles, desc="download"):
        ...

Each bar is an indicator of the current execution.
"""

from __future__ import annotations

import itertools
import math
import weakref
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from typing import Any

from tqdm.auto import tqdm as Bar

from .contexts import current
from .execution import Execution
from .losses import LossLog
from .report_buffer import JobReportBuffer
from .reporting import Progress
from .settings import LABEL_LENGTH_MAX, UNIT_LENGTH_MAX

# The relative error up to which a sum counts as a whole number or as the total.
SLACK = 1e-12

# The units of `tqdm` that the ledger names otherwise; its default says nothing.
_UNITS: dict[str, str | None] = {"it": None, "B": "bytes"}
_losses = LossLog()
# Called on the class, because `super()` takes half as long as `update` itself.
_move_bar = Bar.update


class tqdm(Bar):  # type: ignore[misc]
    """A bar that is also an indicator of the current execution or of a given one.

    It has the parameters of `tqdm`, and `execution=` and `label=`. The label is `desc` by default, cut to 100
    characters. It also reports if the bar is disabled. Outside of any execution it is only a bar.

    It behaves like `tqdm`, raises only errors of `tqdm`, and costs little more: the sender's thread reads the bar once
    a second and once more when it is closed. Progress that cannot be reported is dropped, counted in `Execution.stats`
    and logged once.

    The units before `initial=` are reported by `Progress.skip`, and `unit=` is that of the indicator (`B`: `bytes`).

    The ledger counts whole units and cannot take any back. Fractions are reported once they are whole. A full bar is
    reported as full. A bar that moves backwards reports again once it passes its highest reported position.
    """

    iterable: Any
    _source: BarSource | None = None

    def __init__(
        self, *arguments: Any, execution: Execution | None = None, label: str | None = None, **options: Any
    ) -> None:
        # The position of a disabled bar, which does not update `n`. CPython finds the attribute that is set first
        # fastest.
        self._moved: Any = 0
        super().__init__(*arguments, **options)
        try:
            if label is None:
                # A disabled bar does not keep its description.
                description = options.get("desc") or (arguments[1] if len(arguments) > 1 else None)
                label = description[:LABEL_LENGTH_MAX] if isinstance(description, str) else None
            self._source = BarSource(self, (execution or current()).progress(label, _unit(options.get("unit"))))
        except Exception as error:
            _losses.log("bar", "cannot report a bar: %s: %s", type(error).__name__, error)
        if self.disable and type(self) is tqdm:
            self.__class__ = _DisabledBar

    def __iter__(self) -> Iterator[Any]:
        source = self._source
        if source is None or source.is_closed:
            return super().__iter__()  # type: ignore[no-any-return]
        if self.disable:
            return itertools.chain.from_iterable(source.passes(self))
        # The generator of `tqdm` takes the iterable when its first item is requested.
        self.iterable = _Counted(self, source, self.iterable)
        return super().__iter__()  # type: ignore[no-any-return]

    def update(self, n: Any = 1) -> Any:
        """Moves the bar."""
        if self.disable:
            return _DisabledBar.update(self, n)
        if type(n) is not int:
            self._record_step(n)
        return _move_bar(self, n)

    def _record_step(self, n: Any) -> None:
        """Records a step that rounds, or a step of a disabled bar."""
        source = self._source
        if source is None or source.is_closed:
            return
        if not self.disable:
            source.add_residue(self.n, n)
            return
        try:
            source.add_residue(self._moved, n)
            self._moved = self._moved + n
        except Exception:
            source.lose(n)

    def reset(self, total: Any = None) -> None:
        """Starts again from zero, with the same amount of work in addition."""
        source = self._source
        if source is None:
            super().reset(total)
            return
        source.pause()
        try:
            super().reset(total)
        finally:
            self._moved = 0
            source.restart()

    def close(self) -> None:
        """Closes the bar, and reports its last position."""
        try:
            super().close()
        finally:
            if self._source is not None:
                self._source.close(self)


class _DisabledBar(tqdm):
    """A bar that is not shown.

    `tqdm.update` does nothing for it, in 41 ns. This one takes 56 ns, but 63 if it had to find out first that the bar
    is disabled (Python 3.11). Therefore a disabled bar gets this class when it is made. Bars of the program's own
    subclasses keep theirs.
    """

    def update(self, n: Any = 1) -> Any:
        # Only whole numbers have an "or", which costs less than a comparison of types.
        try:
            self._moved += n | 0
        except Exception:
            self._record_step(n)


# In messages, and for programs that ask for it, it is a `tqdm`.
_DisabledBar.__name__, _DisabledBar.__qualname__ = tqdm.__name__, tqdm.__qualname__


def _unit(given: Any) -> str | None:
    """The ledger's unit for that of a bar; None without one that it takes."""
    unit = given.strip() if isinstance(given, str) else ""
    return _UNITS.get(unit, unit) if 0 < len(unit) <= UNIT_LENGTH_MAX and unit.isprintable() else None


class _Counted:
    """The iterable of a bar, which counts its items without running Python code for each."""

    def __init__(self, bar: tqdm, source: BarSource, iterable: Any) -> None:
        self._bar = weakref.ref(bar)
        self._source = source
        self._iterable = iterable

    def __iter__(self) -> Iterator[Any]:
        bar = self._bar()
        if bar is not None:
            bar.iterable = self._iterable
        return self._source.count(self._iterable)

    def __len__(self) -> int:
        return len(self._iterable)


class BarSource:
    """Reports the position of a bar to an indicator; see `Sender.watch`.

    A bar holds the only reference to its source, and the source none to its bar.
    """

    def __init__(self, bar: tqdm, progress: Progress) -> None:
        self._bar = weakref.ref(bar)
        self._progress = progress
        self._sender = getattr(progress, "_sender", None)
        self._reporter = getattr(progress, "_reporter", None)
        self._lock: Any = self._sender.lock if self._sender is not None else nullcontext()
        self._is_hidden = bool(bar.disable)
        self._is_paused = False
        self.is_closed = False
        self._restart()
        self._skip_initial(bar)
        self.sample()
        if self._sender is not None:
            self._sender.watch(self)

    def _restart(self) -> None:
        self._declared = 0
        self._reported = 0
        # The sum of the rounding errors of the bar's position.
        self._residue = 0.0
        # The current loop: the position at its start, and a counter of the items it has taken.
        self._base: Any = 0
        self._taken: itertools.count[int] | None = None
        self._is_lost = False

    def _skip_initial(self, bar: tqdm) -> None:
        """Reports the units before the start of the bar, which an earlier execution did."""
        try:
            done, _ = self._figures(bar)
        except Exception:
            # The first sample counts the loss.
            return
        if done > 0:
            self._progress.skip(done)
            self._reported = done

    # The bar

    def count(self, iterable: Iterable[Any]) -> Iterator[Any]:
        """Counts the items of an iterable."""
        bar = self._bar()
        taken = itertools.count(1)
        # Takes one number from the counter per item; all numbers are truthy.
        items = itertools.compress(iterable, taken)
        self._base, self._taken = (0 if bar is None else bar.n), taken
        return items

    def passes(self, bar: tqdm) -> Iterator[Iterator[Any]]:
        """Yields one pass through the iterable of a disabled bar, and keeps the bar alive until its end."""
        yield self.count(bar.iterable)
        # The last item is done.
        with self._lock:
            bar._moved += self._items_taken()
            self._taken = None
        self.close(bar)

    def lose(self, n: Any) -> None:
        """Drops, counts and logs once a step that is not a number."""
        self._progress.done(n)

    def add_residue(self, before: Any, n: Any) -> None:
        """Records the rounding error of a floating-point step (Knuth's two-sum)."""
        if not isinstance(n, float) or not isinstance(before, (int, float)):
            return
        try:
            after = before + n
            step = after - before
            residue = (before - (after - step)) + (n - step)
        except OverflowError:
            return
        if math.isfinite(residue):
            self._residue += residue

    def pause(self) -> None:
        """Reports the position, and then nothing until `restart`."""
        with self._lock:
            self.sample()
            self._is_paused = True

    def restart(self) -> None:
        """Starts again from zero; later reports add to the earlier ones."""
        with self._lock:
            self._restart()
            self._is_paused = False
            self.sample()

    def close(self, bar: tqdm) -> None:
        """Reports the last position.

        Takes the bar, because a weak reference to a dying bar is empty.
        """
        if self.is_closed:
            return
        with self._lock:
            if not self._is_hidden:
                # The position of a closed bar is that of the end of its loop.
                self._taken = None
            self._report(bar)
            self.is_closed = True
            if self._sender is not None:
                self._sender.unwatch(self)

    # Reporting

    def sample(self) -> JobReportBuffer | None:
        """Reports new progress, and returns the job that is due, if any."""
        bar = self._bar()
        if bar is None or self._is_paused or self.is_closed:
            return None
        is_new = self._report(bar)
        return self._reporter.job if is_new and self._reporter is not None else None

    def forget(self) -> None:
        """Skips the progress so far, which the parent process reports."""
        bar = self._bar()
        if bar is None:
            return
        try:
            done, total = self._figures(bar)
        except Exception:
            # The invalid position will not be reported either.
            return
        self._reported, self._declared = max(self._reported, done), max(self._declared, total)

    def _report(self, bar: tqdm) -> bool:
        """Reports new progress, and returns whether there is any."""
        is_new = False
        try:
            done, total = self._figures(bar)
        except Exception:
            self._lose("the position of the bar")
            return False
        if total > self._declared:
            self._progress.add(total - self._declared)
            self._declared, is_new = total, True
        if done > self._reported:
            self._progress.done(done - self._reported)
            self._reported, is_new = done, True
        return is_new

    def _figures(self, bar: tqdm) -> tuple[int, int]:
        """Returns the whole units of the bar: done and total."""
        position, total = self._position(bar), getattr(bar, "total", None)
        if not math.isfinite(position):
            self._lose(position)
            position = 0
        if total is None or not math.isfinite(total):
            total = 0
        # Sums of steps without an exact binary form, such as 1/3, are too low by less than this tolerance.
        reach = position if isinstance(position, int) else position + abs(position) * SLACK
        done, units = math.floor(reach), math.ceil(total)
        if 0 < total <= reach:
            done = max(done, units)
        return done, units

    def _position(self, bar: tqdm) -> Any:
        # The item that was taken last is not done yet.
        looped = max(0, self._items_taken() - 1)
        if self._is_hidden:
            position = bar.n + bar._moved + looped
        else:
            position = max(bar.n, self._base + looped) if looped else bar.n
        return position + self._residue if self._residue else position

    def _items_taken(self) -> int:
        # Since Python 3.14 only the text of a `count` contains its next number.
        return 0 if self._taken is None else int(repr(self._taken)[6:-1]) - 1

    def _lose(self, value: object) -> None:
        """Drops, counts and logs once a position that cannot be reported."""
        if not self._is_lost:
            self._is_lost = True
            self._progress.done(value)  # type: ignore[arg-type]


def trange(*arguments: Any, **options: Any) -> tqdm:
    """`tqdm(range(...), ...)`."""
    return tqdm(range(*arguments), **options)
