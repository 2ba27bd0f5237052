"""A second implementation of the fold of a job's events to its snapshot.

It follows the specification and shares no code with the product. It is simple rather than fast: each snapshot is
summed up from all executions.
"""

LABELS_MAX = 1000
DISCARDED = {"conflict", "duplicate", "over_limit"}


class Execution:
    """One attempt to carry out a task."""

    def __init__(self, name, attempt, first):
        self.name = name
        self.attempt = attempt
        self.first = first
        self.outcome = None
        self.reports = {}
        self.sums = {}

    @property
    def order(self):
        return (self.attempt, self.first)


class Task:
    """The executions of a task, in the order of their first events."""

    def __init__(self):
        self.executions = []

    @property
    def last(self):
        return max(self.executions, key=lambda execution: execution.order)

    def find(self, name, attempt):
        """Returns the execution that an event names, or None if it is new."""
        for execution in self.executions:
            if name is not None and execution.name == name:
                return execution
            if name is None and execution.attempt == (attempt or 1):
                return execution
        return None

    def make(self, name, attempt, sequence):
        """Returns a new execution for an event, without adding it to the task."""
        if attempt is None:
            highest = max((execution.attempt for execution in self.executions), default=0)
            attempt = highest + 1 if name is not None else 1
        return Execution(name, attempt, sequence)


class Fold:
    """The state of one job after its events so far, each with its caller's fields."""

    def __init__(self):
        self.sequence = 0
        self.state = "running"
        self.tasks = {}
        # The sums received and discarded by label, in the order of the labels' first events, with carried units, unit
        # and newest message.
        self.labels = {}
        self.message = None
        # Each event on arrival, by its sequence: (verdict, execution, task, sequence of the original).
        self.arrivals = {}

    def add(self, event, sequence=None):
        """Folds the next event. The sequence is only needed if an event may be missing."""
        self.sequence = sequence or self.sequence + 1
        kind = event["type"]
        if kind == "job_created":
            self.arrivals[self.sequence] = ("counted", None, None, None)
        elif kind == "job_finished":
            self.state = event["outcome"]
            self.message = event.get("message", self.message)
            self.arrivals[self.sequence] = ("counted", None, None, None)
        else:
            self.arrivals[self.sequence] = self._add_to_execution(event, kind)

    def _add_to_execution(self, event, kind):
        task = self.tasks.get(event["task"], Task())
        name, attempt = event.get("execution"), event.get("attempt")
        execution = task.find(name, attempt)
        is_new = execution is None
        if is_new:
            execution = task.make(name, attempt, self.sequence)
        verdict, original = self._decide(event, kind, execution)
        amounts = (event.get("total", 0), event.get("done", 0))
        label = event.get("label", "")
        if kind == "progress":
            empty = {"received": [0, 0], "discarded": [0, 0], "carried": 0, "unit": None, "message": None}
            received = self.labels.setdefault(label, empty)
            received["unit"] = received["unit"] or event.get("unit")
            _increase(received["received"], amounts)
            if verdict in DISCARDED:
                _increase(received["discarded"], amounts)
        if verdict in DISCARDED:
            return (verdict, execution, event["task"], original)
        if is_new:
            self.tasks[event["task"]] = task
            task.executions.append(execution)
            if task.last is execution:
                self.state = "running"
        if event.get("report") is not None:
            execution.reports[report_number(event)] = (_content(event), self.sequence)
        if kind == "progress":
            _increase(execution.sums.setdefault(label, [0, 0]), amounts)
            received["carried"] += event.get("carried", 0)
        elif kind == "execution_finished":
            execution.outcome = event["outcome"]
        if task.last is not execution:
            return ("superseded", execution, event["task"], None)
        if event.get("message") is not None:
            self.message = event["message"]
            if kind == "progress":
                received["message"] = event["message"]
        return ("counted", execution, event["task"], None)

    def _decide(self, event, kind, execution):
        """Applies rules 1 to 3; returns a discarded event's verdict and its original's sequence."""
        if event.get("attempt") is not None and event["attempt"] != execution.attempt:
            return "conflict", None
        earlier = execution.reports.get(report_number(event))
        if earlier is not None:
            content, sequence = earlier
            return "duplicate" if content == _content(event) else "conflict", sequence
        is_new_label = kind == "progress" and event.get("label", "") not in execution.sums
        if is_new_label and len(execution.sums) >= LABELS_MAX:
            return "over_limit", None
        return None, None

    def verdict(self, sequence):
        """Returns the current verdict of an event, and whether the event was late."""
        verdict, execution, task, _ = self.arrivals[sequence]
        if verdict == "counted" and execution is not None and self.tasks[task].last is not execution:
            return "superseded", False
        return verdict, verdict == "superseded"

    def sums(self, label):
        """Returns the sums [total, done] of a label: received, counted, superseded and discarded."""
        counted, superseded = [0, 0], [0, 0]
        for task in self.tasks.values():
            last = task.last
            for execution in task.executions:
                _increase(counted if execution is last else superseded, execution.sums.get(label, (0, 0)))
        received = {sum: self.labels[label][sum] for sum in ("received", "discarded")}
        return {**received, "counted": counted, "superseded": superseded}

    def snapshot(self):
        """Returns the snapshot that the ledger must show now, without times and names."""
        lasts = [task.last for task in self.tasks.values()]
        progress = []
        for label in self.labels:
            if not any(label in last.sums for last in lasts):
                continue
            sums = self.sums(label)
            (total, done), (wasted_total, lost_done) = sums["counted"], sums["superseded"]
            carried = self.labels[label]["carried"]
            progress.append(
                {
                    "label": label,
                    "done": done,
                    "total": total,
                    "percent": 100 * done // total if total else None,
                    "attempted_done": done + lost_done,
                    "attempted_total": total + wasted_total,
                    "wasted_done": max(0, lost_done - carried),
                    "wasted_total": wasted_total,
                    "carried_done": carried,
                    "unit": self.labels[label]["unit"],
                    "message": self.labels[label]["message"],
                }
            )
        return {
            "sequence": self.sequence,
            "state": self.state,
            "message": self.message,
            "tasks": self._tasks(lasts),
            "progress": progress,
        }

    def _tasks(self, lasts):
        executions = sum(len(task.executions) for task in self.tasks.values())
        tasks = {"total": len(lasts), "running": 0, "succeeded": 0, "failed": 0, "canceled": 0, "abandoned": 0}
        tasks |= {"executions": executions, "superseded_executions": executions - len(lasts)}
        for last in lasts:
            without_end = "running" if self.state == "running" else "abandoned"
            tasks[last.outcome or without_end] += 1
        return tasks


def shown_snapshot(job):
    """Converts a snapshot that a server shows to the form of the fold's."""
    fields = ("done", "total", "percent", "attempted_done", "attempted_total", "wasted_done", "wasted_total")
    fields += ("carried_done", "unit", "message")
    return {
        "sequence": job["sequence"],
        "state": job["state"],
        "message": job["message"],
        # How many executions are silent depends on the moment, and not on the events alone.
        "tasks": {name: count for name, count in job["tasks"].items() if name != "silent"},
        "progress": [
            {"label": shown["label"] or "", **{field: shown[field] for field in fields}} for shown in job["progress"]
        ],
    }


def given_event(shown):
    """Returns an event as its caller gave it, from an event that a server shows."""
    shown_only = {"sequence", "recorded_at", "inferred", "verdict", "late", "superseded_by", "duplicate_of", "hash"}
    left_out = shown_only | set(shown.get("inferred", ()))
    return {field: value for field, value in shown.items() if field not in left_out}


def _content(event):
    """Returns the content of a report; the same number and content make a duplicate."""
    return (event["type"], event.get("label", ""), event.get("total", 0), event.get("done", 0))


def report_number(event):
    """Returns the number of a report within its execution: each part numbers its own reports."""
    return (event.get("part"), event["report"]) if event.get("report") is not None else None


def _increase(sums, amounts):
    sums[0] += amounts[0]
    sums[1] += amounts[1]
