"""The calls to a ledger as values.

Each has the request, whether it is idempotent, and the decoder of its result.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Callable, Generic, Optional, TypeVar
from urllib.parse import urlencode
from uuid import UUID, uuid4

from . import values
from .answer import Answer
from .answers import Conservation, Contribution, HistoryPoint, JobTask, Snapshot, Started, moment
from .clock import response_date
from .disposition import is_problem, read_object, retry_after
from .errors import (
    ConflictError,
    InvalidValueError,
    LedgerError,
    NotFoundError,
    OutcomeUnknownError,
    UnauthorizedError,
    UnavailableError,
    UnexpectedAnswerError,
)
from .settings import PAGE_SIZE_MAX
from .transport import Request, Response

T = TypeVar("T")
Page = tuple[list[T], Optional[str]]


@dataclass(frozen=True)
class Call(Generic[T]):
    """One call to the ledger.

    `is_repeatable`: whether its request may be sent again. `is_new_each_time`: whether another call, unlike a repeated
    request, has another effect.
    """

    request: Request
    read: Callable[[Any], T]
    is_repeatable: bool = True
    is_new_each_time: bool = False
    accepts: tuple[int, ...] = (200, 201)

    def result(self, response: Response) -> T:
        """Decodes a response. Raises the error that it reports."""
        if response.status not in self.accepts:
            raise error_of(response, self.is_repeatable and not self.is_new_each_time)
        try:
            content = json.loads(response.body) if response.body else None
            date = response_date(response.headers)
            if isinstance(content, dict) and date is not None:
                # For a ledger whose job objects do not contain its clock.
                content.setdefault("now", date.isoformat())
            return self.read(content)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UnexpectedAnswerError(
                f"cannot read the response: {error!r}; check that the server is a progress ledger of this version",
                status=response.status,
            ) from error


def error_of(response: Response, is_repeatable: bool = True) -> LedgerError:
    """The error that a response to a call reports."""
    content = read_object(response.body)
    message = str(
        content.get("detail") or content.get("title") or f"the ledger responded with status {response.status}"
    )
    errors = content.get("errors")
    details: dict[str, Any] = {"status": response.status, "errors": errors if isinstance(errors, list) else []}
    status = response.status
    if status in (401, 403):
        return UnauthorizedError(
            f"{message} (give a token as token=, in PROGRESS_LEDGER_TOKEN or in the file PROGRESS_LEDGER_TOKEN_FILE)",
            **details,
        )
    if status in (404, 410):
        return NotFoundError(message, **details)
    if status == 409:
        return ConflictError(message, **details)
    if status in (400, 413, 415, 422):
        return InvalidValueError(message, **details)
    if status == 503 and content.get("title") == "Outcome unknown":
        return OutcomeUnknownError(message, **details)
    # These do not prove that nothing was recorded, and neither does the 503 of a proxy.
    if not is_repeatable and (status in (408, 502, 504) or (status == 503 and not is_problem(response))):
        return OutcomeUnknownError(message, **details)
    if status in (408, 425, 429, 502, 503, 504):
        return UnavailableError(message, retry_after=retry_after(response), **details)
    return UnexpectedAnswerError(message, **details)


def job_id(value: str) -> str:
    """The canonical text of a job id."""
    try:
        return str(UUID(value))
    except (ValueError, AttributeError, TypeError):
        raise InvalidValueError(f"{value!r} is not the id of a job") from None


def _get(path: str, parameters: Mapping[str, Any] | None = None) -> Request:
    given = {name: value for name, value in (parameters or {}).items() if value is not None}
    return Request("GET", f"{path}?{urlencode(given)}" if given else path)


def _post(path: str, content: Any, headers: Mapping[str, str] | None = None) -> Request:
    return Request("POST", path, json.dumps(content, ensure_ascii=False).encode("utf-8"), headers or {})


def create_job(name: str, key: str | None, tags: Mapping[str, str] | None) -> Call[Snapshot]:
    content: dict[str, Any] = {"name": values.job_name(name)}
    if values.job_key(key) is not None:
        content["key"] = key
    if values.tags(tags):
        content["tags"] = values.tags(tags)
    # Without a key, a repeated request would be a second job.
    headers = {} if "key" in content else {"Idempotency-Key": uuid4().hex}
    return Call(_post("/v1/jobs", content, headers), Snapshot.read, is_new_each_time=bool(headers))


def read_job(job: str, min_sequence: int = 0) -> Call[Snapshot]:
    if min_sequence:
        return Call(_get(f"/v1/jobs/{job}/progress", {"min_sequence": min_sequence}), Snapshot.read)
    return Call(_get(f"/v1/jobs/{job}"), Snapshot.read)


def answer(job: str) -> Call[Answer]:
    return Call(_get(f"/v1/jobs/{job}/answer"), Answer.read)


def read_past(job: str, sequence: int | None, at: str | None, policy: str) -> Call[Snapshot]:
    values.choice(policy, "a counting policy", values.POLICIES)
    return Call(_get(f"/v1/jobs/{job}/progress", {"at_sequence": sequence, "at": at, "policy": policy}), Snapshot.read)


def list_jobs(
    state: str | None, name: str | None, key: str | None, tags: Mapping[str, str] | None, limit: int,
    cursor: str | None,
) -> Call[Page[Snapshot]]:  # fmt: skip
    if state is not None:
        values.choice(state, "the state of a job", values.JOB_STATES)
    parameters: dict[str, Any] = {"state": state, "name": name, "key": key, "limit": limit, "cursor": cursor}
    parameters.update({f"tag.{tag}": content for tag, content in values.tags(tags).items()})
    return Call(
        _get("/v1/jobs", parameters),
        lambda content: (
            [Snapshot.read(entry, moment(content.get("now"))) for entry in content["jobs"]],
            content.get("next_cursor"),
        ),
    )


def list_tasks(job: str, state: str | None, silent: bool, cursor: str | None) -> Call[Page[JobTask]]:
    if state is not None:
        values.choice(state, "the state of a task", values.TASK_STATES)
    return Call(
        _get(
            f"/v1/jobs/{job}/tasks",
            {"state": state, "silent": "true" if silent else None, "limit": PAGE_SIZE_MAX, "cursor": cursor},
        ),
        lambda content: ([JobTask.read(entry) for entry in content["tasks"]], content.get("next_cursor")),
    )


def list_events(job: str, filters: Mapping[str, Any], after: str | None) -> Call[Page[dict[str, Any]]]:
    parameters = {**filters, "limit": PAGE_SIZE_MAX}
    if after is not None:
        parameters["after"] = after
    return Call(
        _get(f"/v1/jobs/{job}/events", parameters), lambda content: (content["events"], content.get("next_after"))
    )


def history(job: str, label: str | None, points: int) -> Call[list[HistoryPoint]]:
    return Call(
        _get(f"/v1/jobs/{job}/history", {"label": values.label(label), "points": points}),
        lambda content: [HistoryPoint.read(entry) for entry in content["points"]],
    )


@dataclass(frozen=True)
class ExplanationPage:
    """One page of an explanation."""

    contributions: list[Contribution]
    conservation: Conservation
    sequence: int
    cursor: str | None


def explain(job: str, label: str | None, sequence: int | None, cursor: str | None) -> Call[ExplanationPage]:
    def read(content: Any) -> ExplanationPage:
        contributions = [
            Contribution.read(task["task"], run) for task in content["tasks"] for run in task["executions"]
        ]
        return ExplanationPage(
            contributions, Conservation.read(content["conservation"]), content["sequence"], content.get("next_cursor")
        )

    parameters = {"label": values.label(label), "at_sequence": sequence, "cursor": cursor}
    return Call(_get(f"/v1/jobs/{job}/explain", parameters), read)


def contributions(job: str, label: str | None, sequence: int | None, cursor: str | None) -> Call[Page[Contribution]]:
    call = explain(job, label, sequence, cursor)

    def read(content: Any) -> Page[Contribution]:
        page = call.read(content)
        return page.contributions, page.cursor

    return Call(call.request, read)


def start_execution(
    job: str, task: str, execution: str, attempt: int | None, *, unless_canceled: bool = True
) -> Call[Started]:
    content: dict[str, Any] = {"task": task, "execution": execution}
    if attempt is not None:
        content["attempt"] = attempt
    if unless_canceled:
        content["unless_canceled"] = True
    # 409 is a result too: it means that the execution is superseded, or that the job is canceled.
    return Call(
        _post(f"/v1/jobs/{job}/executions", content),
        lambda response: Started(response.get("attempt"), "last" not in response, response.get("job_state")),
        accepts=(201, 409),
    )
