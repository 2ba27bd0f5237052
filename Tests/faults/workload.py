"""Random events with duplicates, zombies, conflicts and rival executions.

Which of them the ledger counts follows from their order in the ledger, by the fold; the workload need not predict it.
"""

import itertools
import threading

LABELS = [None, "frames", "bytes", "Größe ✓"]
LARGEST = 2**53 - 1
TASKS = 8


class Execution:
    """The next report number of one execution, and some of its reports."""

    def __init__(self, name, attempt):
        self.name = name
        self.attempt = attempt
        self.next_report = 1
        self.sent = []


class Workload:
    """The executions of all tasks of several jobs. Threads share it."""

    def __init__(self, jobs):
        self.jobs = jobs
        self.lock = threading.Lock()
        self.names = itertools.count(1)
        self.executions = {(job, f"task-{number}"): [] for job in jobs for number in range(TASKS)}

    def job(self, random):
        return random.choice(self.jobs)

    def task(self, random):
        return f"task-{random.randrange(TASKS)}"

    def new_name(self):
        with self.lock:
            return f"execution-{next(self.names)}"

    def add(self, job, task, name, attempt):
        """Adds an execution, so that events are reported to it."""
        with self.lock:
            execution = Execution(name, attempt)
            self.executions[job, task].append(execution)
            return execution

    def event(self, random, job):
        """Returns the next event of a random execution of a job."""
        task = self.task(random)
        execution = self._execution(random, job, task)
        choice = random.random()
        with self.lock:
            if choice < 0.1 and execution.sent:
                return self._repetition(random, execution)
            event = {"type": "progress", "task": task}
            if execution.name is not None:
                event["execution"] = execution.name
            if execution.attempt is not None and (execution.name is None or random.random() < 0.5):
                event["attempt"] = execution.attempt
            if choice < 0.13:
                # An attempt that is not the execution's.
                event["attempt"] = random.randrange(1, 20)
            if 0.13 <= choice < 0.19:
                outcome = random.choice(["succeeded", "failed", "canceled"])
                return {**event, "type": "execution_finished", "outcome": outcome}
            event |= {"report": execution.next_report, **self._amounts(random)}
            event |= self._notes(random, event.get("done", 0))
            execution.next_report += random.choice([1, 1, 1, 2])
            execution.sent = [*execution.sent[-20:], event]
        return event

    def job_end(self, random):
        """Returns the end of a job; a new execution reopens it."""
        return {"type": "job_finished", "outcome": random.choice(["completed", "failed", "canceled"])}

    def _execution(self, random, job, task):
        """Returns the newest execution of a task, an older one (zombie), or a new one (retry)."""
        with self.lock:
            executions = self.executions[job, task]
            choice = random.random()
            if executions and choice < 0.65:
                return executions[-1]
            if executions and choice < 0.95:
                return random.choice(executions[-6:])
            count = len(executions)
            attempt = random.choice([None, count + 1, max(count, 1), max(count - 1, 1)])
        name = self.new_name() if random.random() < 0.8 else None
        return self.add(job, task, name, attempt)

    def _repetition(self, random, execution):
        """Returns a sent report with the same content (a duplicate) or another one (a conflict)."""
        event = random.choice(execution.sent)
        if random.random() < 0.2:
            # At least the carried units, which are a part of those done.
            return {**event, "done": min(LARGEST, event.get("carried", 0) + random.randrange(100))}
        return event

    def _notes(self, random, done):
        notes = {}
        if random.random() < 0.2:
            notes |= {"message": random.choice(["reading", "Größe ✓\nzwei"]), "link": "https://example.com/log"}
        if random.random() < 0.2:
            notes |= {"unit": random.choice(["bytes", "tiles"]), "carried": random.randrange(done + 1)}
        if random.random() < 0.2:
            notes["part"] = random.choice(["0", "1"])
        return notes

    def _amounts(self, random):
        amounts = {}
        label = random.choice(LABELS)
        if label is not None:
            amounts["label"] = label
        if random.random() < 0.4:
            amounts["total"] = random.choice([0, 1, 10, 1000, LARGEST])
        if random.random() < 0.8:
            amounts["done"] = random.choice([0, 1, 1, 2, 7, LARGEST])
        return amounts


def over_limit_events():
    """Returns events with more labels than one execution may have."""
    return [{"type": "progress", "task": "labels", "label": f"label {number}", "done": 1} for number in range(1003)]
