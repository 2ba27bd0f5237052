"""The decision about a batch after a response, and the pause before a retry, without a clock and without I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from .settings import Settings
from .transport import Response


class JobRefusedError(Exception):
    """The ledger refuses to create a job, and would refuse it again."""


class Action(Enum):
    """The next step for a batch after a request."""

    RECORDED = "recorded"
    """Every event is in the ledger."""
    TRY_AGAIN = "try again"
    """Nothing was recorded, or the outcome is unknown: repeat the batch unchanged."""
    FAULT = "fault"
    """The ledger failed, or a proxy refused.

    Repeat the batch unchanged, a limited number of times.
    """
    TOO_LARGE = "too large"
    """Nothing was recorded: send the batch in smaller parts."""
    REFUSED = "refused"
    """Nothing was recorded, and the named events never will be."""
    NO_SUCH_JOB = "no such job"
    """The job does not exist or is retired: drop everything for it."""
    JOB_CANCELED = "job canceled"
    """Nothing was recorded, because the job is canceled: drop everything of the executions that the batch starts."""


@dataclass(frozen=True)
class Disposition:
    """The decision after one response to an append."""

    action: Action
    reason: str = ""
    retry_after: float | None = None
    last_sequence: int = 0
    verdicts: Sequence[str | None] | None = None
    was_repeated: bool = False
    """Whether the request was sent twice, so that events may be recorded twice."""
    job_state: str | None = None
    """The state of the job's newest snapshot that the server knows, if it knows one."""
    refused: Sequence[int] = ()
    """The indexes of the refused events; empty if the response does not name them."""
    refused_fields: Sequence[tuple[int, str]] = ()
    """The refused fields, each with the index of its event."""


def disposition_of(response: Response, count: int) -> Disposition:
    """Decides on the response to an append of `count` events."""
    status = response.status
    content = read_object(response.body)
    reason = f"HTTP {status}"
    if content.get("detail"):
        reason += f": {content['detail']}"
    if status == 201 and isinstance(content.get("last_sequence"), int):
        verdicts = content.get("verdicts")
        fits = isinstance(verdicts, list) and len(verdicts) == count
        return Disposition(
            Action.RECORDED, last_sequence=content["last_sequence"], verdicts=verdicts if fits else None,
            was_repeated=response.was_repeated, job_state=job_state(content),
        )  # fmt: skip
    if status == 500:
        return Disposition(Action.FAULT, reason)
    if status == 413:
        return Disposition(Action.TOO_LARGE, reason)
    # A 404 of a proxy or of a wrong URL proves nothing about the job: only the ledger itself sends problem details.
    if status in (404, 410) and is_problem(response):
        return Disposition(Action.NO_SUCH_JOB, reason)
    if status == 409 and is_problem(response) and job_state(content) == "canceled":
        return Disposition(Action.JOB_CANCELED, reason, job_state="canceled")
    if 400 <= status < 500 and status not in (401, 403, 408, 429) and is_problem(response):
        fields = _refused_fields(content.get("errors"), count)
        return Disposition(
            Action.REFUSED, reason, refused=sorted({index for index, _ in fields}), refused_fields=fields,
            was_repeated=response.was_repeated,
        )  # fmt: skip
    if status in (400, 409, 410, 415, 422):
        # A proxy may accept the request later.
        return Disposition(Action.FAULT, reason)
    # Other failures may end while the process runs: overload, restarts, gateways, tokens, redirects.
    return Disposition(Action.TRY_AGAIN, reason, retry_after=retry_after(response))


def job_state(content: Mapping[str, Any]) -> str | None:
    """The state of the job in a response; None if it contains none."""
    state = content.get("job_state")
    return state if isinstance(state, str) else None


def retry_after(response: Response) -> float | None:
    """The seconds of `Retry-After`.

    A date is ignored, because both clocks would have to be right.
    """
    try:
        seconds = float(response.headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None


def is_problem(response: Response) -> bool:
    """Returns whether the response contains a problem of the ledger itself (RFC 9457)."""
    return response.headers.get("content-type", "").startswith("application/problem+json")


def read_object(body: bytes) -> Mapping[str, Any]:
    """The JSON object in a body; an empty one if there is none."""
    try:
        content = json.loads(body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _refused_fields(errors: Any, count: int) -> list[tuple[int, str]]:
    """The indexes of the events and the names of their fields in pointers such as `/2/done`."""
    found = []
    for error in errors if isinstance(errors, list) else ():
        pointer = error.get("pointer") if isinstance(error, dict) else None
        _, _, path = pointer.partition("/") if isinstance(pointer, str) else ("", "", "")
        index, _, name = path.partition("/")
        if index.isascii() and index.isdigit() and len(index) <= 10 and int(index) < count:
            found.append((int(index), name))
    return found


def retry_pause(failures: int, asked: float | None, chance: float, settings: Settings) -> float:
    """The seconds before the next request.

    Doubles with each consecutive failure, with a random part so that clients that failed together do not return
    together, and is never shorter than the ledger asked for.
    """
    # 2^30 times the first pause exceeds every sensible limit.
    ceiling = min(settings.pause_seconds_max, settings.pause_seconds_min * 2.0 ** min(failures - 1, 30))
    own = ceiling * (0.5 + chance / 2)
    return own if asked is None else max(own, asked_pause(asked, chance, settings))


def asked_pause(asked: float, chance: float, settings: Settings) -> float:
    """The seconds of a pause that the ledger asked for, spread because it asks all clients for the same."""
    return min(asked, settings.retry_after_seconds_max) * (1 + chance / 10)
