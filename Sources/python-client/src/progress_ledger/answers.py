"""The ledger's results as immutable values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from .estimate import Estimate

Content = Mapping[str, Any]
Flat = dict[str, Any]


def moment(value: str | None) -> datetime | None:
    """Parses a time of the ledger; its zone is UTC."""
    return None if value is None else datetime.fromisoformat(value.replace("Z", "+00:00"))


def _moment(value: str) -> datetime:
    return datetime.fromisoformat(value.replace("Z", "+00:00"))


@dataclass(frozen=True)
class Indicator:
    """The progress of one part of a job: `done` of `total` units."""

    label: str | None
    """The label; None is the job's default indicator."""
    done: int
    total: int
    percent: int | None
    """The percentage, rounded down. May exceed 100; None while `total` is 0."""
    attempted_done: int
    """All units done, including those of superseded executions."""
    attempted_total: int
    updated_at: datetime | None
    stalled_since: datetime | None = None
    """The time of its last advance, if that is longer ago than plausible; else None."""
    rate: float | None = None
    """The recent units per second; None before anything is done, and after the job has ended."""
    remaining_seconds: float | None = None
    """The time that the units left take at this rate; None without a rate or a total."""
    unit: str | None = None
    """The unit, such as `bytes` or `tiles`; None if no report gave one."""
    message: str | None = None
    """The newest message of its reports."""
    carried_done: int = 0
    """The part of `done` that earlier executions did, as their successors have reported."""

    @classmethod
    def read(cls, content: Content) -> Indicator:
        return cls(
            content.get("label"), content["done"], content["total"], content.get("percent"),
            content.get("attempted_done", content["done"]), content.get("attempted_total", content["total"]),
            moment(content.get("updated_at")), moment(content.get("stalled_since")), content.get("rate"),
            content.get("remaining_seconds"), content.get("unit"), content.get("message"),
            content.get("carried_done", 0),
        )  # fmt: skip

    def __str__(self) -> str:
        return f"{self.label or 'progress'}: {self.done}/{self.total}"

    def rows(self) -> Iterator[Flat]:
        yield dict(vars(self))


class Indicators(tuple[Indicator, ...]):
    """The indicators of a job, in order: a tuple that notebooks show as bars."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        from . import tables

        return tables.indicators_html(self)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        # IPython would print a bundle's text for every class but this: it has a printer for tuples.
        from . import tables

        printer.text(tables.indicators_text(self))


@dataclass(frozen=True)
class TaskCounts:
    """The number of a job's tasks by state, and of its executions."""

    total: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    canceled: int = 0
    abandoned: int = 0
    """The tasks without an end in a job that has ended."""
    executions: int = 0
    superseded_executions: int = 0
    silent: int = 0
    """The running executions that have sent nothing for longer than plausible: their workers may be lost."""

    @classmethod
    def read(cls, content: Content) -> TaskCounts:
        return cls(**{name: content.get(name, 0) for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Snapshot:
    """A job as of one sequence."""

    job: str
    key: str | None
    name: str
    tags: Mapping[str, str]
    state: str
    """`running`, `completed`, `failed` or `canceled`."""
    sequence: int
    """The sequence of its last event. A later snapshot has a higher one."""
    ledger_sequence: int
    """The sequence of the last event in the ledger; the difference is the lag of the snapshot."""
    created_at: datetime | None
    started_at: datetime | None
    updated_at: datetime | None
    finished_at: datetime | None
    tasks: TaskCounts
    progress: tuple[Indicator, ...]
    """The indicators, in the order of their labels' first events."""
    now: datetime | None = field(default=None, compare=False)
    """The ledger's clock at the time of the response, to compute ages from.

    None if unknown.
    """
    estimate: Estimate | None = field(default=None, compare=False)
    """The estimate of the remaining time, or the reason for none; None from an older ledger."""
    idle_since: datetime | None = None
    """The time of the last event if all tasks have ended and the job has not."""
    stalled_since: datetime | None = None
    """The time of the job's last advance, if that is longer ago than plausible; else None."""
    message: str | None = None
    """The newest message of the job's reports."""

    @classmethod
    def read(cls, content: Content, now: datetime | None = None) -> Snapshot:
        """Reads a job object.

        `now` is the ledger's clock if the object itself does not contain it.
        """
        return cls(
            content["job"], content.get("key"), content["name"], dict(content.get("tags") or {}), content["state"],
            content["sequence"], content.get("ledger_sequence", content["sequence"]),
            moment(content.get("created_at")), moment(content.get("started_at")), moment(content.get("updated_at")),
            moment(content.get("finished_at")), TaskCounts.read(content.get("tasks") or {}),
            Indicators(Indicator.read(entry) for entry in content.get("progress") or ()),
            moment(content.get("now")) or now,
            Estimate.read(content.get("estimate")), moment(content.get("idle_since")),
            moment(content.get("stalled_since")), content.get("message"),
        )  # fmt: skip

    @property
    def is_finished(self) -> bool:
        """Whether the job has ended: completed, failed or canceled."""
        return self.state != "running"

    @property
    def percent(self) -> int | None:
        """The percentage of the whole job, rounded down.

        It is the mean of the indicators' percentages, because their units differ. Each is limited to 100. An indicator
        without a total counts as 0 while the job runs, and is ignored after its end. A running job is never at 100.
        None if there is no indicator to count.
        """
        shares = [
            min(indicator.done, indicator.total) * 10_000 // indicator.total if indicator.total else 0
            for indicator in self.progress
            if indicator.total or not self.is_finished
        ]
        if not shares:
            return None
        percent = sum(shares) // (100 * len(shares))
        return percent if self.is_finished else min(percent, 99)

    def indicator(self, label: str | None = None) -> Indicator | None:
        """The indicator with this label; None if no counted event names it."""
        label = label or None
        return next((indicator for indicator in self.progress if indicator.label == label), None)

    def __str__(self) -> str:
        figures = "  ".join(str(indicator) for indicator in self.progress)
        return f"{self.name}: {self.state}{'  ' if figures else ''}{figures}"


@dataclass(frozen=True)
class Run:
    """One execution of a task, as recorded in the ledger."""

    execution: str | None
    """The name; None if the caller did not give one."""
    attempt: int
    outcome: str | None
    """`succeeded`, `failed` or `canceled`; None without a reported end."""
    first_sequence: int
    last_sequence: int
    started_at: datetime
    last_at: datetime
    counted: bool
    """Whether it is the last execution of its task: the one that counts."""
    provisional: bool
    """Whether it failed and counts only until a newer execution starts."""
    progress: tuple[tuple[str | None, int, int], ...]
    """Its reported units, by label."""
    reporter: str | None = None
    """The token or subject that started it; None without authentication."""
    silent_since: datetime | None = None
    """The time of its last event, if that is longer ago than plausible; else None."""
    message: str | None = None
    """Why it ended, or its newest message."""
    link: str | None = None
    """Where to look for more: its log, or the engine's own page."""

    @classmethod
    def read(cls, content: Content) -> Run:
        return cls(
            content.get("execution"), content["attempt"], content.get("outcome"), content["first_sequence"],
            content["last_sequence"], _moment(content["started_at"]), _moment(content["last_at"]), content["counted"],
            content["provisional"],
            tuple((entry.get("label"), entry["total"], entry["done"]) for entry in content.get("progress") or ()),
            content.get("reporter"), moment(content.get("silent_since")), content.get("message"), content.get("link"),
        )  # fmt: skip


@dataclass(frozen=True)
class JobTask:
    """A task of a job, with its executions in the order of their start."""

    task: str
    state: str
    """The outcome of its last execution; `running` while it has none."""
    executions: tuple[Run, ...]

    @classmethod
    def read(cls, content: Content) -> JobTask:
        return cls(content["task"], content["state"], tuple(Run.read(entry) for entry in content["executions"]))

    def rows(self) -> Iterator[Flat]:
        for run in self.executions:
            row: Flat = {"task": self.task, "state": self.state, **vars(run)}
            del row["progress"]
            yield row


@dataclass(frozen=True)
class Cause:
    """The cause of a decrease.

    A newer execution of a task started, and the previous one no longer counts.
    """

    task: str
    execution: str | None
    attempt: int
    superseded_execution: str | None
    superseded_attempt: int
    lost_total: int
    lost_done: int

    @classmethod
    def read(cls, content: Content) -> Cause:
        superseded, lost = content["superseded"], content["lost"]
        return cls(
            content["task"], content.get("execution"), content["attempt"], superseded.get("execution"),
            superseded["attempt"], lost["total"], lost["done"],
        )  # fmt: skip

    def __str__(self) -> str:
        return f"{self.task}: attempt {self.attempt} superseded attempt {self.superseded_attempt}"


@dataclass(frozen=True)
class HistoryPoint:
    """The state of an indicator at one sequence."""

    sequence: int
    at: datetime
    total: int
    done: int
    cause: Cause | None
    """The cause; None unless the numbers decreased."""

    @classmethod
    def read(cls, content: Content) -> HistoryPoint:
        cause = content.get("cause")
        return cls(
            content["sequence"], _moment(content["at"]), content["total"], content["done"],
            Cause.read(cause) if cause else None,
        )  # fmt: skip

    def rows(self) -> Iterator[Flat]:
        cause = self.cause
        yield {
            "sequence": self.sequence, "at": self.at, "total": self.total, "done": self.done,
            "cause": str(cause) if cause else None,
        }  # fmt: skip


@dataclass(frozen=True)
class Units:
    """A number of units declared and a number of units done."""

    total: int
    done: int

    @classmethod
    def read(cls, content: Content) -> Units:
        return cls(content["total"], content["done"])


@dataclass(frozen=True)
class Contribution:
    """The units of one execution in an indicator, by verdict."""

    task: str
    execution: str | None
    attempt: int
    counted: Units
    superseded: Units
    discarded: Units
    superseded_by: tuple[str | None, int] | None
    """The execution and attempt that superseded it."""

    @classmethod
    def read(cls, task: str, content: Content) -> Contribution:
        winner = content.get("superseded_by")
        return cls(
            task, content.get("execution"), content["attempt"], Units.read(content["counted"]),
            Units.read(content["superseded"]), Units.read(content["discarded"]),
            (winner.get("execution"), winner["attempt"]) if winner else None,
        )  # fmt: skip

    def rows(self) -> Iterator[Flat]:
        row: Flat = {"task": self.task, "execution": self.execution, "attempt": self.attempt}
        for fate in ("counted", "superseded", "discarded"):
            units: Units = getattr(self, fate)
            row[f"{fate}_total"], row[f"{fate}_done"] = units.total, units.done
        row["superseded_by"] = self.superseded_by[0] if self.superseded_by else None
        yield row


@dataclass(frozen=True)
class Conservation:
    """received = counted + superseded + discarded; attempted = counted + superseded."""

    received: Units
    counted: Units
    superseded: Units
    discarded: Units
    attempted: Units

    @classmethod
    def read(cls, content: Content) -> Conservation:
        return cls(**{name: Units.read(content[name]) for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Started:
    """The ledger's response to the start of an execution."""

    attempt: int | None
    is_last: bool
    job_state: str | None = None
    """The state of the job; `canceled` may mean that nothing was recorded."""
