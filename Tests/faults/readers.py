"""Threads that read snapshots continuously, for comparison with the fold."""

import threading
from random import Random

from api import Client, Lost, Unsent
from fold import shown_snapshot


class Readers:
    """Several threads that read current, past, and sufficiently new snapshots."""

    def __init__(self, servers, jobs, journal, seed, count, seldom=()):
        self.servers = servers
        self.jobs = jobs
        self.seldom = seldom
        self.journal = journal
        self.ending = threading.Event()
        self.threads = [
            threading.Thread(target=self._run, args=(Random(f"{seed}/reader/{number}"),), daemon=True)
            for number in range(count)
        ]

    def start(self):
        for thread in self.threads:
            thread.start()

    def end(self, seconds=60):
        self.ending.set()
        for thread in self.threads:
            thread.join(seconds)
            if thread.is_alive():
                self.journal.violation(f"a reader was still waiting {seconds} s after the end")

    def _run(self, random):
        client = Client(self.servers, seconds=12)
        try:
            while not self.ending.is_set():
                self._read(client, random)
                self.ending.wait(random.uniform(0, 0.03))
        except Exception as error:  # A stopped reader would test nothing.
            self.journal.violation(f"a reader failed: {error!r}")

    def _read(self, client, random):
        job = random.choice(self.seldom if self.seldom and random.random() < 0.03 else self.jobs)
        head = self.journal.head(job)
        choice = random.random()
        at_sequence = min_sequence = None
        query = ""
        if choice < 0.4:
            at_sequence = random.randrange(0, head + 1)
            query = f"?at_sequence={at_sequence}"
        elif choice < 0.6:
            min_sequence = head
            query = f"?min_sequence={min_sequence}"
        try:
            response = client.send(random, "GET", f"/v1/jobs/{job}/progress{query}")
        except (Lost, Unsent):
            # A read may fail at any time while servers are killed; a read that succeeds must be right.
            return
        if response.status != 200:
            # 503: the database is unavailable. 504: it did not respond, or min_sequence was not reached in time.
            if response.status not in (503, 504):
                self.journal.violation(f"the response to GET {job}/progress{query} was {response}")
            return
        snapshot = shown_snapshot(response.json)
        self.journal.add_snapshot(job, snapshot)
        sequence = snapshot["sequence"]
        if at_sequence is not None and sequence != at_sequence:
            self.journal.violation(f"GET {job}/progress{query} returned sequence {sequence}")
        if min_sequence is not None and sequence < min_sequence:
            self.journal.violation(f"GET {job}/progress{query} returned sequence {sequence}")
