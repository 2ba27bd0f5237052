"""The test's own record of all requests and their responses."""

import dataclasses
import datetime
import math
import threading
import time

ACKNOWLEDGED, REFUSED, UNKNOWN = "acknowledged", "refused", "unknown"

_MARKERS_BEGIN = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


def clock():
    """Returns the current time in the format of the processes' logs."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")


@dataclasses.dataclass
class Exchange:
    """One request with events, and its outcome.

    Each event contains a unique marker in its field `at`. An event in the ledger therefore identifies its request, even
    if the same report was sent several times.
    """

    events: list  # (job, event)
    outcome: str
    response: str
    first_sequences: dict  # by job, if it was acknowledged
    server: str = None  # its name, if the reporter uses only one
    time: float = dataclasses.field(default_factory=time.monotonic)


@dataclasses.dataclass
class Start:
    """One request to start an execution, and its outcome."""

    job: str
    task: str
    execution: str
    outcome: str
    response: str
    sequence: int = None
    attempt: int = None


class Journal:
    """The requests, responses and violations of all threads."""

    def __init__(self):
        self.lock = threading.Lock()
        self.exchanges = []
        self.starts = []
        self.snapshots = {}  # the first one that was shown, by job and sequence
        self.reads = 0
        self.heads = {}  # the highest sequence that was acknowledged, by job
        self.violations = []
        self.markers = 0

    def mark(self, event):
        """Returns a copy of an event with a marker."""
        with self.lock:
            self.markers += 1
            at = _MARKERS_BEGIN + datetime.timedelta(microseconds=self.markers)
        return {**event, "at": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}

    def add(self, exchange):
        with self.lock:
            self.exchanges.append(exchange)
            count = {}
            for job, _ in exchange.events:
                count[job] = count.get(job, 0) + 1
            for job, first in exchange.first_sequences.items():
                self._raise_head(job, first + count.get(job, 1) - 1)

    def add_start(self, start):
        with self.lock:
            self.starts.append(start)
            if start.sequence is not None:
                self._raise_head(start.job, start.sequence)

    def add_snapshot(self, job, snapshot):
        """Adds a snapshot; it must equal every other one of the same sequence."""
        with self.lock:
            self.reads += 1
            first = self.snapshots.setdefault((job, snapshot["sequence"]), snapshot)
            if first != snapshot:
                self.violations.append(f"two reads of {job} at {snapshot['sequence']} differ: {first} and {snapshot}")

    def violation(self, text):
        with self.lock:
            self.violations.append(f"{clock()} {text}")

    def acknowledgements(self, server=None):
        """Returns the times at which requests were acknowledged, in order: by the server of a name, or by any."""
        with self.lock:
            exchanges = [exchange for exchange in self.exchanges if exchange.outcome == ACKNOWLEDGED]
        return sorted(exchange.time for exchange in exchanges if server in (None, exchange.server))

    def head(self, job):
        with self.lock:
            return self.heads.get(job, 1)

    def acknowledged(self):
        """Returns the number of events acknowledged so far."""
        with self.lock:
            return sum(len(exchange.events) for exchange in self.exchanges if exchange.outcome == ACKNOWLEDGED)

    def count(self, outcome):
        """Returns the number of requests with an outcome so far."""
        with self.lock:
            return sum(exchange.outcome == outcome for exchange in self.exchanges + self.starts)

    def _raise_head(self, job, sequence):
        self.heads[job] = max(self.heads.get(job, 1), sequence)


def longest_pause(times, begin=-math.inf, end=math.inf):
    """Returns the begin and the end of the longest pause between successive times.

    Only those that touch the period from begin to end count.
    """
    pauses = [(before, after) for before, after in zip(times, times[1:]) if after > begin and before < end]
    return max(pauses, key=lambda pause: pause[1] - pause[0], default=(0, 0))
