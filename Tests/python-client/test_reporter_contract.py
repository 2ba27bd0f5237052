"""The reporter contract: every case of the table that all clients share, with a simulated clock."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from progress_ledger import settings as limits
from progress_ledger.clock import Clock
from progress_ledger.execution import Execution
from progress_ledger.handle import Handle, attached
from progress_ledger.jobs import JobBase, Ledger
from progress_ledger.sender import Sender
from progress_ledger.settings import Settings
from progress_ledger.transport import ExchangeError, Request, Response

FOLDER = Path(__file__).parents[1] / "reporter-contract"
TABLE = json.loads((FOLDER / "cases.json").read_text("utf-8"))
CASES = TABLE["cases"] + json.loads((FOLDER / "notes-and-parts.json").read_text("utf-8"))["cases"]
JOB = "01890000-0000-7000-8000-000000000000"
TOLERANCE = 0.001
"""The rounding of times, in seconds."""


class SimulatedSender(Sender):
    """A sender whose thread is the loop of the test."""

    def _require_thread(self) -> None:
        pass


class ImmediateThread:
    """A thread that does its work when it is started."""

    def __init__(self, target: Callable[[], None], **_: Any) -> None:
        self.start = target


class Simulation:
    """Runs one case: the task's calls, the client, and the server's replies, by one clock."""

    def __init__(self, case: dict[str, Any], chance: float, monkeypatch: pytest.MonkeyPatch) -> None:
        self.case = case
        self.now = 0.0
        self.calls = deque(case["calls"])
        self.replies = deque(case["replies"])
        self.requests: list[tuple[float, float, list[dict[str, Any]]]] = []
        """The times of each request and of the end before it, and its events."""
        self.answered_at = 0.0
        self.has_started = False
        monkeypatch.setattr("progress_ledger.sender.random", SimpleNamespace(random=lambda: chance))
        monkeypatch.setattr("progress_ledger.execution.threading", SimpleNamespace(Thread=ImmediateThread))
        requester: Any = SimpleNamespace(settings=Settings(), transport=self, clock=Clock(lambda: self.now))
        self.sender = SimulatedSender(requester)
        self.job_ends: list[str | None] = []
        """The ends of the job that the task was notified of."""
        ledger = Ledger(requester, self.sender)
        if case.get("attached"):
            self.context: Execution = attached(ledger, Handle(JOB, "tile-17", "host-1", 2))
            return
        link = next((call.get("link") for call in case["calls"] if call["call"] == "start"), None)
        self.context = JobBase(ledger, JOB).execution(
            "tile-17", 2, link=link, on_job_ended=lambda execution: self.job_ends.append(execution.job_ended)
        )

    def run(self) -> None:
        while True:
            due = self.sender.buffer.next_due()
            ready = None if due is None else max(due, self.sender.health.not_before)
            if ready is not None and ready <= self.now:
                batch = self.sender.buffer.next_batch(self.now)
                if batch is not None:
                    self.sender._deliver(batch)
                continue
            moments = [moment for moment in (ready, self.calls[0]["at"] if self.calls else None) if moment is not None]
            if not moments or min(moments) > self.end:
                return
            self.now = min(moments)
            if self.calls and self.calls[0]["at"] <= self.now:
                self.call(self.calls.popleft())

    @property
    def end(self) -> float:
        """The end of the simulation."""
        end: float = self.case["until"]
        if len(self.requests) >= len(self.case["requests"]):
            end = min(end, self.answered_at + self.case.get("seconds_after_last", end))
        return end

    def call(self, call: dict[str, Any]) -> None:
        kind = call["call"]
        if kind == "start":
            self.context.start()
        elif kind == "finish":
            if self.case.get("attached"):
                # `AttachedExecution.__exit__` without the wait.
                self.context._leave(None)
                return
            self.context.finish(call["outcome"], message=call.get("message"), link=call.get("link"))
        elif kind == "flush":
            # `Execution.flush` without the wait.
            assert self.context._reporter is not None
            self.sender.expedite(self.context._reporter.job)
        elif kind == "done_labels":
            for number in range(call["count"]):
                self.context.progress(f"label {number}").done(1)
        else:
            indicator = self.context.progress(call["label"], call.get("unit"))
            getattr(indicator, kind)(call["n"], message=call.get("message"), link=call.get("link"))

    def perform(self, request: Request, limit: float) -> Response:
        """The transport of the sender: the task's calls go on while a request is under way."""
        assert request.body is not None
        events = json.loads(request.body)
        # A start is refused if the job is canceled, and so is the first report of a part, which might be one. A start
        # that repeats a recorded one is not.
        is_start = not self.has_started
        for event in events:
            if "part" in event:
                assert event["part"] == self.context._reporter.part  # type: ignore[union-attr]
                event["part"] = "part"
            if event.get("report", 0) > 2**52:
                event["report"] = -1
        assert ("unless_canceled=true" in request.target) == is_start
        self.requests.append((self.now, self.now - self.answered_at, events))
        reply = self.replies.popleft() if self.replies else {"reply": "accept"}
        took = limit if reply["reply"] == "none" else reply.get("after", 0)
        end = self.now + took
        while self.calls and self.calls[0]["at"] <= end:
            call = self.calls.popleft()
            self.now = max(self.now, call["at"])
            self.call(call)
        self.has_started = self.has_started or reply["reply"] == "accept"
        self.now = self.answered_at = end
        return self.response(reply, len(events), asks="wait=folded" in request.target)

    def response(self, reply: dict[str, Any], count: int, *, asks: bool) -> Response:
        if reply["reply"] in ("away", "lost", "none"):
            raise ExchangeError(reply["reply"], sent=reply["reply"] != "away")
        if reply["reply"] == "status":
            headers = {"content-type": "application/problem+json" if reply["problem"] else "text/html"}
            if "retry_after" in reply:
                headers["retry-after"] = str(reply["retry_after"])
            pointers = [*(f"/{index}/done" for index in reply.get("refused", ())), *reply.get("pointers", ())]
            errors = [{"pointer": pointer, "detail": "is refused"} for pointer in pointers]
            problem = {"title": "no", "errors": errors, "job_state": reply.get("job_state")}
            return Response(reply["status"], headers, json.dumps(problem).encode())
        content: dict[str, Any] = {
            "first_sequence": 2, "last_sequence": 1 + count, "job_state": reply.get("job_state"),
        }  # fmt: skip
        if asks:
            is_superseded = self.now >= self.case.get("superseded_from", float("inf"))
            content["verdicts"] = [reply.get("verdict", "superseded" if is_superseded else "counted")] * count
        return Response(201, {"content-type": "application/json"}, json.dumps(content).encode())


def expected_events(expected: dict[str, Any]) -> list[dict[str, Any]]:
    if "events" in expected:
        return expected["events"]
    first, last = expected["reports"]
    return [
        {"type": "progress", "report": report, "label": f"label {report - first}", "done": 1}
        for report in range(first, last + 1)
    ]


@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_every_case_of_the_contract(case: dict[str, Any], chance: float, monkeypatch: pytest.MonkeyPatch) -> None:
    simulation = Simulation(case, chance, monkeypatch)
    simulation.run()
    assert len(simulation.requests) == len(case["requests"]), simulation.requests
    identity = ("tile-17", simulation.context.execution, 2)
    for (at, pause, events), expected in zip(simulation.requests, case["requests"]):
        for event in events:
            assert (event.pop("task"), event.pop("execution"), event.pop("attempt")) == identity
        assert events == expected_events(expected)
        moment, (earliest, latest) = (at, expected["at"]) if "at" in expected else (pause, expected["pause"])
        assert earliest - TOLERANCE <= moment <= latest + TOLERANCE, events
    stats = simulation.context.stats
    found = {name: getattr(stats, name, None) for name in case["statistics"]}
    found["has_error"] = stats.last_error is not None
    assert {"job_ended": stats.job_ended, **found} == {"job_ended": None, **case["statistics"]}
    assert simulation.job_ends == case.get("job_ends", [])


def test_the_settings_are_those_of_the_contract() -> None:
    known = Settings()
    contract = TABLE["contract"]
    assert contract.pop("labels_per_execution_max") == limits.LABELS_PER_EXECUTION_MAX
    assert contract.pop("increment_max") == limits.INCREMENT_MAX
    assert contract.pop("watch_outage_seconds_max") == known.outage_seconds_max
    # The cases test the spread.
    contract.pop("retry_after_spread")
    assert {name: getattr(known, name) for name in contract} == contract
