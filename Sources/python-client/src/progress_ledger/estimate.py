"""The estimate of a job's remaining time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

UNITS = (("d", 86_400.0), ("h", 3_600.0), ("min", 60.0))


@dataclass(frozen=True)
class Estimate:
    """A prediction of the remaining time of a running job, or the reason for none.

    Of ten jobs, eight should end between `p10` and `p90`.
    """

    at: datetime
    """The time at which it was made, by the ledger's clock."""
    p10: float | None
    """The remaining seconds that nine of ten jobs need at least; None without a prediction."""
    p50: float | None
    """The most likely remaining seconds."""
    p90: float | None
    """The remaining seconds that nine of ten jobs need at most."""
    basis: str | None = None
    """`job`, or `history` if earlier jobs of the name were used."""
    label: str | None = None
    """The label of the indicator that determines the end; None is the default one, or without a prediction."""
    tasks: tuple[str, ...] = ()
    """The tasks that will probably end last."""
    reason: str | None = None
    """The reason for no prediction: for example `finished` or `no_progress`."""
    track_record: tuple[int, int] | None = None
    """The number of earlier jobs of the name whose estimates were scored, and how many ended between p10 and p90."""

    @classmethod
    def read(cls, content: Mapping[str, Any] | None) -> Estimate | None:
        """Reads the `estimate` of a job object; None from an older ledger."""
        if not content or not content.get("at"):
            return None
        seconds = content.get("remaining_seconds") or {}
        waiting = content.get("waiting_for") or {}
        record = content.get("track_record")
        return cls(
            datetime.fromisoformat(content["at"].replace("Z", "+00:00")),
            seconds.get("p10"), seconds.get("p50"), seconds.get("p90"), content.get("basis"), waiting.get("label"),
            tuple(waiting.get("tasks") or ()), content.get("reason"),
            (record["jobs"], record["ended_inside"]) if record else None,
        )  # fmt: skip

    def __bool__(self) -> bool:
        """Whether there is a prediction."""
        return self.p50 is not None

    @property
    def finish_at(self) -> datetime | None:
        """The most likely end; None without a prediction, or beyond the year 9999."""
        if self.p50 is None:
            return None
        try:
            return self.at + timedelta(seconds=self.p50)
        except OverflowError:
            return None

    def text(self, now: datetime | None = None) -> str:
        """The remaining time in words, `≈ 12 min (9–20)`; empty without a prediction."""
        if self.p10 is None or self.p50 is None or self.p90 is None:
            return ""
        passed = 0.0 if now is None else max(0.0, (now - self.at).total_seconds())
        middle = max(0.0, self.p50 - passed)
        name, size = next(((name, size) for name, size in UNITS if middle >= 1.5 * size), ("s", 1.0))

        def words(seconds: float) -> str:
            value = max(0.0, seconds - passed) / size
            if value >= 1e6:
                return "…"
            return f"{round(value, 1):g}" if size >= 3_600 and value < 10 else str(round(value))

        return f"≈ {words(self.p50)} {name} ({words(self.p10)}–{words(self.p90)})"

    @property
    def finish_between(self) -> tuple[datetime, datetime] | None:
        """The times between which eight of ten jobs end; None without a prediction, or beyond the year 9999."""
        if self.p10 is None or self.p90 is None:
            return None
        try:
            return self.at + timedelta(seconds=self.p10), self.at + timedelta(seconds=self.p90)
        except OverflowError:
            return None

    def __str__(self) -> str:
        return self.text() or f"no estimate: {self.reason}"
