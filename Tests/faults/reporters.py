"""Threads that report during all faults and record every response in the journal."""

import itertools
import json
import threading
import time
from random import Random

from api import Client, Lost, Unsent, ndjson
from journal import ACKNOWLEDGED, REFUSED, UNKNOWN, Exchange, Start
from workload import over_limit_events


class Reporters:
    """Several threads that repeat each request until it is acknowledged."""

    def __init__(self, servers, workload, journal, seed, count):
        self.servers = servers
        self.workload = workload
        self.journal = journal
        self.ending = threading.Event()
        self.threads = [
            threading.Thread(target=self._run, args=(Random(f"{seed}/reporter/{number}"),), daemon=True)
            for number in range(count)
        ]

    def start(self):
        for thread in self.threads:
            thread.start()

    def end(self, seconds=60):
        """Ends the threads after their current requests, which need running servers."""
        self.ending.set()
        for thread in self.threads:
            thread.join(seconds)
            if thread.is_alive():
                self.journal.violation(f"a reporter was still waiting {seconds} s after the end")

    def _run(self, random):
        reporter = Reporter(self.servers, self.workload, self.journal, random)
        try:
            while not self.ending.is_set():
                reporter.report(self.ending)
                self.ending.wait(random.uniform(0, 0.03))
        except Exception as error:  # A stopped reporter would test nothing.
            self.journal.violation(f"a reporter failed: {error!r}")


class Reporter:
    """The requests of one thread."""

    def __init__(self, servers, workload, journal, random):
        self.client = Client(servers)
        # The server that acknowledges, if there is only one.
        self.server = servers[0].name if len(servers) == 1 else None
        self.workload = workload
        self.journal = journal
        self.random = random

    def report(self, ending=None):
        """Repeats one request of a random kind until it is acknowledged."""
        choice = self.random.random()
        if choice < 0.12:
            self._repeat(self._start_execution(), ending)
        elif choice < 0.15:
            self.send_invalid()
        else:
            events = self._events(choice)
            self._repeat(lambda: self.append(events), ending)

    def append(self, events):
        """Sends events once, records the response, and returns whether they were acknowledged.

        Each call uses new markers.
        """
        events = [(job, self.journal.mark(event)) for job, event in events]
        jobs = {job for job, _ in events}
        if len(jobs) > 1:
            path = "/v1/events"
            body, kind = ndjson({"job": job, **event} for job, event in events), "application/x-ndjson"
        else:
            path = f"/v1/jobs/{events[0][0]}/events"
            body, kind = self._body([event for _, event in events])
        outcome, response, json = self._send(path, body, kind, {201})
        firsts = {}
        if outcome == ACKNOWLEDGED:
            shown = json["jobs"] if "jobs" in json else {events[0][0]: json}
            firsts = {job: sequences["first_sequence"] for job, sequences in shown.items()}
            self._check_counts(events, shown)
        self.journal.add(Exchange(events, outcome, response, firsts, self.server))
        return outcome == ACKNOWLEDGED

    def send_invalid(self):
        """Sends a valid and an invalid event, both of which must be refused."""
        job = self.workload.job(self.random)
        valid = self.journal.mark({"type": "progress", "task": "refused", "done": 1})
        invalid = {"type": "progress", "task": "refused", "done": -1}
        path, body = f"/v1/jobs/{job}/events", json.dumps([valid, invalid])
        _, response, _ = self._send(path, body, "application/json", {422})
        self.journal.add(Exchange([(job, valid)], REFUSED, response, {}))

    def send_over_limit(self, job):
        self._repeat(lambda: self.append([(job, event) for event in over_limit_events()]), None)

    def _events(self, choice):
        """Returns the events of a request: one, several of one job, or several of many jobs."""
        random, workload = self.random, self.workload
        job = workload.job(random)
        if choice < 0.16:
            return [(workload.jobs[0], workload.job_end(random))]
        if choice < 0.6:
            return [(job, workload.event(random, job))]
        if choice < 0.85:
            return [(job, workload.event(random, job)) for _ in range(random.randrange(2, 20))]
        jobs = random.sample(workload.jobs, k=min(3, len(workload.jobs)))
        return [(job, workload.event(random, job)) for job in jobs for _ in range(random.randrange(1, 5))]

    def _body(self, events):
        """Encodes events of one job in one of the three forms that the ledger accepts."""
        if len(events) == 1 and self.random.random() < 0.8:
            return json.dumps(events[0]), "application/json"
        if self.random.random() < 0.5:
            return json.dumps(events), "application/json"
        return ndjson(events), "application/x-ndjson"

    def _start_execution(self):
        """Returns a function that sends a new execution's start once and returns its success."""
        job, task, name = self.workload.job(self.random), self.workload.task(self.random), self.workload.new_name()
        additions = itertools.count()

        def send():
            body = json.dumps({"task": task, "execution": name})
            outcome, response, started = self._send(f"/v1/jobs/{job}/executions", body, "application/json", {201, 409})
            start = Start(job, task, name, outcome, response)
            if outcome == ACKNOWLEDGED:
                start.sequence, start.attempt = started["sequence"], started["attempt"]
            self.journal.add_start(start)
            # Reporting begins once the ledger may have recorded the start.
            if outcome != REFUSED and next(additions) == 0:
                self.workload.add(job, task, name, start.attempt)
            return outcome == ACKNOWLEDGED

        return send

    def _send(self, path, body, kind, expected):
        """Sends a request; returns its outcome, its response as text, and its JSON if expected."""
        try:
            response = self.client.send(self.random, "POST", path, body, kind)
        except Unsent as error:
            return REFUSED, str(error), None
        except Lost as error:
            return UNKNOWN, str(error), None
        if response.status in expected:
            return ACKNOWLEDGED, str(response), response.json
        if response.status == 503:
            return UNKNOWN if response.title == "Outcome unknown" else REFUSED, str(response), None
        self.journal.violation(f"the response to POST {path} was {response}; the body was {body[:300]}")
        return REFUSED, str(response), None

    def _repeat(self, send, ending):
        """Repeats a request until it is acknowledged, for 30 s at most after the end."""
        deadline = None
        while not send():
            if ending is not None and ending.is_set():
                deadline = deadline or time.monotonic() + 30
                if time.monotonic() > deadline:
                    self.journal.violation("a request was not acknowledged within 30 s while all services ran")
                    return
            time.sleep(self.random.uniform(0.05, 0.3))

    def _check_counts(self, events, shown):
        """Checks that a response has as many sequences as the request has events."""
        for job, sequences in shown.items():
            sent = sum(1 for other, _ in events if other == job)
            if sequences["last_sequence"] - sequences["first_sequence"] + 1 != sent:
                self.journal.violation(f"{sent} events of {job} got the sequences {sequences}")
