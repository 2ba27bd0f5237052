"""Kills and freezes processes at random, chosen by a seed."""

import threading
import time
from random import Random

from journal import clock


class Chaos:
    """A thread that kills or freezes one process at a time and brings it back."""

    def __init__(self, servers, workers, postgres, journal, seed, log):
        self.services = [*servers, *workers]
        self.postgres = postgres
        self.journal = journal
        self.random = Random(f"{seed}/chaos")
        self.log = log
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.kills = 0
        self.freezes = 0

    def start(self):
        self.thread.start()

    def end(self):
        """Ends the thread; afterwards every process runs."""
        self.ending.set()
        self.thread.join()

    def _run(self):
        try:
            while not self.ending.wait(self.random.uniform(0.3, 2)):
                self._check_all_run()
                self._disturb()
        except Exception as error:  # Without chaos, the test would test nothing.
            self.journal.violation(f"chaos failed: {error!r}")

    def _disturb(self):
        # All random numbers are drawn first, so that the same seed gives the same choices.
        is_postgres = self.random.random() < 0.3
        process = self.postgres if is_postgres else self.random.choice(self.services)
        is_kill = self.random.random() < 0.5
        seconds = self.random.uniform(0, 1.5) if is_kill else self.random.uniform(0.1, 4)
        self._write_log(f"{'kill' if is_kill else 'freeze'} {process.name} for {seconds:.1f} s")
        if is_kill:
            process.kill()
            self.kills += 1
            time.sleep(seconds)
            process.start()
        else:
            process.freeze()
            self.freezes += 1
            time.sleep(seconds)
            process.thaw()
        self._write_log(f"{process.name} is back")

    def _write_log(self, text):
        with open(self.log, "a", encoding="utf-8") as log:
            log.write(f"{clock()} {text}\n")

    def _check_all_run(self):
        """Records a violation if a process has ended without being killed."""
        for process in [*self.services, self.postgres]:
            if not process.is_running:
                self.journal.violation(f"{process.name} ended by itself with code {process.child.poll()}")
                process.start()
