"""Threads that watch jobs by server-sent events, and resume after each loss."""

import http.client
import json
import socket
import threading
import time
from random import Random

from fold import shown_snapshot
from journal import clock

# A stream without any event for this long is opened again; the server sends a comment more often.
SILENCE_SECONDS_MAX = 60


class Watchers:
    """Several threads, each of which watches one job through any server."""

    def __init__(self, servers, jobs, journal, seed, count):
        self.servers = servers
        self.journal = journal
        self.ending = threading.Event()
        self.watchers = [Watcher(jobs[number % len(jobs)]) for number in range(count)]
        self.threads = [
            threading.Thread(target=self._run, args=(watcher, Random(f"{seed}/watcher/{number}")), daemon=True)
            for number, watcher in enumerate(self.watchers)
        ]

    def start(self):
        for thread in self.threads:
            thread.start()

    def end(self, seconds=60):
        self.ending.set()
        deadline = time.monotonic() + seconds
        for watcher, thread in zip(self.watchers, self.threads):
            while thread.is_alive() and time.monotonic() < deadline:
                watcher.close()
                thread.join(0.2)
            if thread.is_alive():
                self.journal.violation(f"a watcher was still waiting {seconds} s after the end")

    @property
    def streams(self):
        """The number of streams that were opened."""
        return sum(watcher.streams for watcher in self.watchers)

    def _run(self, watcher, random):
        try:
            while not self.ending.is_set():
                self._watch(watcher, random)
                self.ending.wait(random.uniform(0.1, 0.3))
        except Exception as error:  # A stopped watcher would test nothing.
            self.journal.violation(f"a watcher failed: {error!r}")

    def _watch(self, watcher, random):
        """Reads one stream to its end."""
        try:
            for event, data in watcher.stream(random.choice(self.servers).port):
                if event == "snapshot":
                    snapshot = shown_snapshot(json.loads(data))
                    watcher.shown.append((clock(), snapshot["sequence"]))
                    self.journal.add_snapshot(watcher.job, snapshot)
        except (OSError, http.client.HTTPException):
            # A stream may end at any time; what it shows must be right.
            return


class Watcher:
    """One program that watches one job. It resumes with the id of the last event."""

    def __init__(self, job):
        self.job = job
        self.last_id = None
        self.shown = []  # (time, sequence)
        self.streams = 0
        self.socket = None

    def stream(self, port):
        """Opens a stream and yields its events, as names and data."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SILENCE_SECONDS_MAX)
        headers = {"Accept": "text/event-stream"}
        if self.last_id is not None:
            headers["Last-Event-ID"] = self.last_id
        connection.request("GET", f"/v1/jobs/{self.job}/watch", headers=headers)
        self.socket = connection.sock
        response = connection.getresponse()
        if response.status != 200:
            return
        self.streams += 1
        fields = {}
        while line := response.readline():
            name, _, value = line.decode("utf-8").rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            elif "event" in fields:
                self.last_id = fields.get("id", self.last_id)
                yield fields["event"], fields.get("data", "")
                fields = {}

    def close(self):
        """Ends the stream; the thread that reads it finds its end."""
        try:
            if self.socket is not None:
                self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            # It has ended already.
            pass


def backward_steps(watchers):
    """Lists the snapshots that a watcher was shown after a later one."""
    return [
        f"a watcher of {watcher.job} was shown {after} at {moment} after {before}"
        for watcher in watchers
        for (_, before), (moment, after) in zip(watcher.shown, watcher.shown[1:])
        if after < before
    ]


def unfinished(watchers, heads):
    """Lists the watchers that were not shown the last event of their job."""
    return [
        f"a watcher of {watcher.job} was shown {watcher.shown[-1:]}, and the last event is {heads[watcher.job]}"
        for watcher in watchers
        if not watcher.shown or watcher.shown[-1][1] != heads[watcher.job]
    ]
