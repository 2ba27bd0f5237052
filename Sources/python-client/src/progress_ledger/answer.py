"""The straight answer of a ledger about a job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Answer:
    """How far a job is, when it ends and what holds it up, in words and as facts."""

    text: str
    """The answer in a few English sentences."""
    state: str
    """`running`, `completed`, `failed` or `canceled`."""
    percent: int | None
    """The percentage of the whole job; None if no units are declared."""
    remaining_seconds: tuple[float, float, float] | None
    """The 10 %, 50 % and 90 % quantiles of the remaining time; None without an estimate."""
    finish_at: tuple[datetime, datetime, datetime] | None
    """The same quantiles as times of the end."""
    stalled_since: datetime | None
    """The time of the last advance, if that is longer ago than plausible; else None."""
    failed_tasks: int
    waiting_for_label: str | None
    """The label of the indicator that determines the end; None is the default one, or if it is unknown."""
    waiting_for_tasks: tuple[str, ...]
    """The tasks that will probably end last."""
    ask_again_seconds: float
    """The time after which the answer may have changed."""

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Answer:
        seconds, times = content.get("remaining_seconds"), content.get("finish_at")
        stalled, waiting = content.get("stalled_since"), content.get("waiting_for") or {}
        return cls(
            content["text"], content["state"], content.get("percent"),
            (seconds["p10"], seconds["p50"], seconds["p90"]) if seconds else None,
            (_moment(times["p10"]), _moment(times["p50"]), _moment(times["p90"])) if times else None,
            _moment(stalled) if stalled else None, content.get("failed_tasks", 0), waiting.get("label"),
            tuple(waiting.get("tasks") or ()), content["ask_again_seconds"],
        )  # fmt: skip

    def __str__(self) -> str:
        return self.text


def _moment(value: str) -> datetime:
    return datetime.fromisoformat(value.replace("Z", "+00:00"))
