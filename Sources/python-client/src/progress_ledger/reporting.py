"""The indicators to which a task reports its total and its progress."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, SupportsIndex

from . import notes, values
from .counter import Counter
from .errors import InvalidValueError
from .reporter import Reporter
from .settings import INCREMENT_MAX

if TYPE_CHECKING:
    from .execution import Execution
    from .sender import Sender


class Progress:
    """An indicator of a job, for the reports of one execution.

    `add` and `done` take increments, integers from 0 to 2^53 − 1. They return at once and never raise: a call costs
    about half a microsecond (a lock and an addition) and never waits for the ledger. An invalid value is dropped,
    counted in `stats.dropped` and logged once. Any number of threads may call them.

    A report may have notes. `message` says what is being done, in up to 1,000 characters; a longer one is cut. `link`
    is a URL with more information, such as a log. Of several within a second, the last one is recorded. A note that
    cannot be reported is dropped and counted, and the units of its report count. What is recorded stays for ever: do
    not put secrets or personal data into notes.
    """

    __slots__ = ("_counter", "_counts", "_label", "_lock", "_reporter", "_sender")

    def __init__(self, label: str | None, sender: Sender, reporter: Reporter, counter: Counter) -> None:
        self._label = label
        self._sender = sender
        self._lock = sender.lock
        self._reporter = reporter
        self._counter = counter
        self._counts = reporter.counts

    @property
    def label(self) -> str | None:
        """The indicator's label; None is the job's default indicator."""
        return self._label

    def add(self, n: SupportsIndex, *, message: str | None = None, link: str | None = None) -> None:
        """Declares `n` more units of work; 0 only declares the indicator."""
        # The usual case is first, because tasks call this millions of times.
        if type(n) is not int or not 0 <= n <= INCREMENT_MAX:
            checked = self._checked(n)
            if checked is None:
                return
            n = checked
        counter = self._counter
        with self._lock:
            if message is not None or link is not None:
                self._note(message, link)
            counter.total += n
            self._counts.taken += 1
            if not counter.is_waiting:
                self._sender.enqueue(self._reporter, counter)

    def done(self, n: SupportsIndex = 1, *, message: str | None = None, link: str | None = None) -> None:
        """Reports `n` more finished units."""
        if type(n) is not int or not 0 <= n <= INCREMENT_MAX:
            checked = self._checked(n)
            if checked is None:
                return
            n = checked
        counter = self._counter
        with self._lock:
            if message is not None or link is not None:
                self._note(message, link)
            counter.done += n
            self._counts.taken += 1
            if not counter.is_waiting:
                self._sender.enqueue(self._reporter, counter)

    def skip(self, n: SupportsIndex = 1, *, message: str | None = None, link: str | None = None) -> None:
        """Reports `n` units as done that an earlier execution of this task did already: a resume from a checkpoint.

        They count as done, but not in rates, and the ledger does not count that they are done again as wasted (its
        `carried`). Report units not done before with `done`, also if their result was in a cache or there was nothing
        to do; otherwise the ledger subtracts them from the work that was wasted.
        """
        checked = self._checked(n)
        if checked is None:
            return
        with self._lock:
            self._counter.carried += checked
            self.done(checked, message=message, link=link)

    def set_total(self, n: SupportsIndex, *, message: str | None = None, link: str | None = None) -> None:
        """Declares that this process has `n` units of work in all.

        For work that knows its size instead of increments. Sends the difference to what it has declared before; a
        smaller total changes nothing, because the ledger cannot take units back.
        """
        checked = self._checked(n)
        if checked is None:
            return
        with self._lock:
            new = max(0, checked - self._counter.declared)
            if new or message or link:
                self.add(new, message=message, link=link)
            else:
                self._counts.taken += 1

    def set_done(self, n: SupportsIndex, *, message: str | None = None, link: str | None = None) -> None:
        """Reports that this process is at position `n`: `n` units are done in all.

        For work that knows its position, such as an offset in a file. Sends the difference to what it has reported
        before; a lower position changes nothing, so that work done again within one execution counts once.

        The position is one per label and process: a forked child continues at its parent's, and if several threads or
        tasks of a pool have positions of their own, only the highest counts. Use a label for each of them, or
        `repeatable`.
        """
        checked = self._checked(n)
        if checked is None:
            return
        with self._lock:
            new = max(0, checked - self._counter.position)
            if new or message or link:
                self.done(new, message=message, link=link)
            else:
                self._counts.taken += 1

    def repeatable(self) -> Repeatable:
        """Returns a piece of work that may be done again within this execution, and counts once; see `Repeatable`."""
        return Repeatable(self)

    def set_unit(self, unit: str) -> None:
        """Sets the unit of the indicator, 1 to 32 characters; the first one counts. See `Execution.progress`."""
        try:
            checked = notes.unit(unit)
            with self._lock:
                if not self._counter.has_unit:
                    self._counter.unit, self._counter.has_unit = checked, True
        except Exception as error:
            self._drop_note("unit", f"the unit of an indicator is dropped: {error}")

    def _note(self, message: str | None, link: str | None) -> None:
        """Keeps the notes for the next event. The caller holds the lock."""
        found = notes.notes(message, link, self._drop_note)
        if found:
            self._counter.notes = {**(self._counter.notes or {}), **found}

    def _drop_note(self, kind: str, message: str) -> None:
        self._sender.drop_note(self._reporter, kind, message)

    def _checked(self, n: object) -> int | None:
        """Returns the increment as an `int`, or None, and counts a loss, if it is invalid."""
        try:
            return values.increment(n)  # type: ignore[arg-type]
        except Exception as error:
            self._sender.drop(self._reporter, "increment", f"a report is dropped: {error}")
            return None

    def __reduce__(self) -> tuple[Any, ...]:
        from .handle import pickled, restored_progress

        ledger, handle, origin = pickled(self._reporter)
        return restored_progress, (ledger, handle, self._label, origin)

    def __repr__(self) -> str:
        return f"<Progress {self._label!r}>"


class Repeatable:
    """A piece of work within an execution that may be done again, and counts once.

        piece = context.progress("download").repeatable()
        while True:
            piece.restart()
            try:
                for part in parts(tile):
                    fetch(part)
                    piece.done(1)
                break
            except ConnectionError:
                continue

    Its units are reported when they are done for the first time. Not for threads: use one per piece.
    """

    __slots__ = ("_position", "_progress", "_reported")

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._position = 0
        self._reported = 0

    def restart(self) -> None:
        """Begins again with the first unit. Nothing is taken back."""
        self._position = 0

    def done(self, n: SupportsIndex = 1, *, message: str | None = None, link: str | None = None) -> None:
        """Reports `n` more units since the last `restart` as done; those that were reported before count once."""
        checked = self._progress._checked(n)
        if checked is None:
            return
        self._position += checked
        new = max(0, self._position - self._reported)
        self._reported += new
        if new or message or link:
            self._progress.done(new, message=message, link=link)


class SilentProgress(Progress):
    """An indicator of an execution without a ledger, which checks values and sends nothing."""

    __slots__ = ("_execution",)

    def __init__(self, label: str | None, execution: Execution) -> None:
        self._label = label
        self._execution = execution

    def add(self, n: SupportsIndex, *, message: str | None = None, link: str | None = None) -> None:
        if self._checked(n) is not None and (message is not None or link is not None):
            notes.notes(message, link, self._drop_note)

    def done(self, n: SupportsIndex = 1, *, message: str | None = None, link: str | None = None) -> None:
        if self._checked(n) is not None and (message is not None or link is not None):
            notes.notes(message, link, self._drop_note)

    skip = set_total = set_done = done

    def set_unit(self, unit: str) -> None:
        try:
            notes.unit(unit)
        except InvalidValueError as error:
            self._drop_note("unit", f"the unit of an indicator is dropped: {error}")

    def _drop_note(self, kind: str, message: str) -> None:
        self._execution.drop_note(kind, message)

    def _checked(self, n: object) -> int | None:
        if type(n) is int and 0 <= n <= INCREMENT_MAX:
            return n
        try:
            return values.increment(n)  # type: ignore[arg-type]
        except Exception as error:
            self._execution.drop("increment", f"a report is dropped: {error}")
            return None

    def __reduce__(self) -> tuple[Any, ...]:
        return _progress_of, (self._execution, self._label)


class DroppedProgress(Progress):
    """An indicator that cannot be reported, for example because of its label; counts every report as dropped."""

    __slots__ = ("_execution",)

    def __init__(self, label: str | None, execution: Execution) -> None:
        self._label = label
        self._execution = execution

    def add(self, n: SupportsIndex, *, message: str | None = None, link: str | None = None) -> None:
        self._execution.drop()

    def done(self, n: SupportsIndex = 1, *, message: str | None = None, link: str | None = None) -> None:
        self._execution.drop()

    skip = set_total = set_done = done

    def set_unit(self, unit: str) -> None:
        pass

    def _checked(self, n: object) -> int | None:
        self._execution.drop()
        return None

    def __reduce__(self) -> tuple[Any, ...]:
        return DroppedProgress, (self._label, self._execution)


def _progress_of(execution: Execution, label: str | None) -> Progress:
    return execution.progress(label)
