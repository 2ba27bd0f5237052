"""What an answer to a report means for what was sent, and when to send that again. No clock, no I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from .settings import Settings
from .transport import Answer


class Means(Enum):
    """What to do with a batch after a try."""

    RECORDED = "recorded"
    """Every event is in the ledger."""
    TRY_AGAIN = "try again"
    """Nothing was taken, or nobody knows: the same batch again, as it is."""
    FAULT = "fault"
    """The ledger blames itself, or something before it refuses: the same again, but not for ever."""
    TOO_LARGE = "too large"
    """Nothing was taken: in smaller parts."""
    REFUSED = "refused"
    """Nothing was taken, and nothing ever will be of the events that are named."""
    NO_SUCH_JOB = "no such job"
    """Nothing can be reported for this job."""


@dataclass(frozen=True)
class Judgement:
    """The meaning of an answer."""

    means: Means
    reason: str = ""
    retry_after: float | None = None
    last_sequence: int = 0
    verdicts: Sequence[str | None] | None = None
    was_repeated: bool = False
    """Whether the request went out twice, so that the ledger may have recorded it twice."""
    refused: Sequence[int] = ()
    """The places of the events that are to blame; empty where the answer does not tell."""


def judge(answer: Answer, count: int) -> Judgement:
    """What an answer to an append of so many events means."""
    status = answer.status
    content = read_object(answer.body)
    reason = f"HTTP {status}"
    if content.get("detail"):
        reason += f": {content['detail']}"
    if status == 201 and isinstance(content.get("last_sequence"), int):
        verdicts = content.get("verdicts")
        fits = isinstance(verdicts, list) and len(verdicts) == count
        return Judgement(
            Means.RECORDED, last_sequence=content["last_sequence"], verdicts=verdicts if fits else None,
            was_repeated=answer.was_repeated,
        )  # fmt: skip
    if status == 500:
        return Judgement(Means.FAULT, reason)
    if status == 413:
        return Judgement(Means.TOO_LARGE, reason)
    # Where a proxy or a wrong URL says 404, the job may well be there: only the ledger itself answers with a problem.
    if status in (404, 410) and is_problem(answer):
        return Judgement(Means.NO_SUCH_JOB, reason)
    if status in (400, 409, 410, 415, 422):
        # A proxy that refuses by itself may think better of it.
        means = Means.REFUSED if is_problem(answer) else Means.FAULT
        return Judgement(means, reason, refused=_places(content.get("errors"), count))
    # What remains passes, or can be mended while the process runs: overload, restarts, gateways, tokens, detours.
    return Judgement(Means.TRY_AGAIN, reason, retry_after=retry_after(answer))


def retry_after(answer: Answer) -> float | None:
    """The seconds that an answer asks to wait. A date is not read: it would need both clocks to be right."""
    try:
        seconds = float(answer.headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None


def is_problem(answer: Answer) -> bool:
    """Whether it is an error in the ledger's own words (RFC 9457)."""
    return answer.headers.get("content-type", "").startswith("application/problem+json")


def read_object(body: bytes) -> Mapping[str, Any]:
    """The object that a body holds; an empty one where it holds none."""
    try:
        content = json.loads(body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _places(errors: Any, count: int) -> list[int]:
    """The events that pointers such as `/2/done` name."""
    places = set()
    for error in errors if isinstance(errors, list) else ():
        pointer = error.get("pointer") if isinstance(error, dict) else None
        first = pointer.split("/")[1] if isinstance(pointer, str) and pointer.count("/") else ""
        if first.isascii() and first.isdigit() and int(first) < count:
            places.add(int(first))
    return sorted(places)


def pause(failures: int, asked: float | None, chance: float, settings: Settings) -> float:
    """The seconds before the next try.

    Doubled with each failure in a row; a random part of it, so that clients that failed together do not come back
    together; never earlier than the ledger asked for.
    """
    # 2^30 times the first pause is beyond every sensible limit already.
    ceiling = min(settings.pause_seconds_max, settings.pause_seconds_min * 2.0 ** min(failures - 1, 30))
    own = ceiling * (0.5 + chance / 2)
    if asked is None:
        return own
    return max(own, min(asked, settings.retry_after_seconds_max) * (1 + chance / 10))
