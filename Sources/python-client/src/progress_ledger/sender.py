"""The thread that sends what was reported.

One for each client and process, started by the first report and ended when it has been idle for a while. It is the only
one that waits for the ledger; whoever reports takes a lock for some hundred nanoseconds.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from typing import Callable

from . import lifecycle
from .contact import Contact
from .delivery import Judgement, Means, judge
from .outbox import Batch, JobOutbox, Outbox
from .reporter import Counter, Reporter
from .requester import Requester
from .settlement import Callback, Settlement, logger
from .transport import ExchangeError, Request


class Sender:
    """Sends the outbox of one client."""

    def __init__(self, requester: Requester) -> None:
        self.requester = requester
        self._transport = requester.transport
        settings = requester.settings
        self.settings = settings
        self.outbox = Outbox(settings)
        # Re-entrant, because a signal handler or a finalizer may report in the middle of a report of its own thread.
        self.lock = threading.RLock()
        self._wake = threading.Condition(self.lock)
        self._settled = threading.Condition(self.lock)
        self._is_closing = False
        self._reset()
        lifecycle.register(self)

    def _reset(self) -> None:
        self.contact = Contact(self.settings)
        self._settlement = Settlement(self.outbox, self.contact, self.settings)
        self._thread: threading.Thread | None = None
        self._listeners: dict[Callback, None] = {}
        self._wakes_at: float | None = None
        self._has_overflowed = False

    # What is reported. All of these return at once.

    def start(self, reporter: Reporter) -> None:
        """Has an execution start."""
        with self.lock:
            if self.outbox.start(reporter, time.monotonic()):
                self._call(reporter.job)
            else:
                self._has_overflowed = not reporter.job.is_unknown

    def note(self, reporter: Reporter, counter: Counter) -> None:
        """Has a counter sent that had nothing to be sent before. The caller holds the lock."""
        if self.outbox.note(reporter, counter, time.monotonic()):
            self._call(reporter.job)
        else:
            self._has_overflowed = not reporter.job.is_unknown

    def finish(self, reporter: Reporter, outcome: str) -> None:
        """Has an execution end."""
        with self.lock:
            self.outbox.finish(reporter, outcome, time.monotonic())
            self._call(reporter.job)

    def supersede(self, reporter: Reporter) -> None:
        """The ledger has said that an execution does not count any more."""
        with self.lock:
            callbacks = reporter.become_superseded()
        _tell(callbacks)

    def finish_job(self, job: JobOutbox, outcome: str) -> None:
        """Has a job end, after everything that was reported for it."""
        with self.lock:
            self.outbox.finish_job(job, outcome, time.monotonic())
            self._call(job)

    def hurry(self, job: JobOutbox) -> Callable[[], bool]:
        """Has what waits for a job sent now. Returns what tells whether that is settled, with the lock held."""
        with self.lock:
            self.outbox.hurry(job, time.monotonic())
            self._call(job)
            goal = job.goal
        return lambda: job.has_settled(goal)

    def _call(self, job: JobOutbox) -> None:
        """Sees to it that the thread runs and wakes up in time for a job."""
        if self._thread is None:
            lifecycle.watch_process()
            thread = threading.Thread(target=self._run, name="progress-ledger-sender", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                # No more threads, or the interpreter ends. The end of the process sends what waits by itself.
                self.contact.last_error = f"the sender's thread cannot start: {error}"
                return
            self._thread = thread
        elif self._wakes_at is not None and job.due is not None and job.due < self._wakes_at:
            self._wakes_at = None
            self._wake.notify()

    # Waiting for it

    def wait(self, is_done: Callable[[], bool], seconds: float, *, is_patient: bool) -> bool:
        """Waits until something is delivered, for so long at most. Returns whether it is.

        Gives up early where the ledger is out of reach or was too slow before, unless `is_patient`.
        """
        deadline = time.monotonic() + seconds
        with self.lock:
            if threading.current_thread() is self._thread:
                # A callback waits for the thread that runs it: nothing can happen meanwhile.
                return is_done()
            while not is_done():
                left = self.contact.patience(deadline, time.monotonic(), is_patient)
                if left is None:
                    return False
                self._settled.wait(left)
            return True

    async def wait_async(self, is_done: Callable[[], bool], seconds: float) -> bool:
        """The same for a coroutine, without a thread."""
        deadline = time.monotonic() + seconds
        loop = asyncio.get_running_loop()
        event = asyncio.Event()

        def listener() -> None:
            try:
                loop.call_soon_threadsafe(event.set)
            except RuntimeError:
                # The loop was closed before the listener was taken away.
                pass

        with self.lock:
            self._listeners[listener] = None
        try:
            while True:
                event.clear()
                with self.lock:
                    if is_done():
                        return True
                    left = self.contact.patience(deadline, time.monotonic(), False)
                if left is None:
                    return False
                try:
                    await asyncio.wait_for(event.wait(), left)
                except asyncio.TimeoutError:
                    # What is to be done then, the next turn decides.
                    continue
        finally:
            with self.lock:
                self._listeners.pop(listener, None)

    def flush(self, seconds: float) -> bool:
        """Sends everything reported so far now. Returns whether the ledger has recorded it all."""
        return self._settle(seconds) and not self.outbox.tally.dropped

    def _settle(self, seconds: float) -> bool:
        """Sends everything reported so far now. Returns whether nothing of it waits any more."""
        with self.lock:
            settled = [self.hurry(job) for job in self.outbox.active()]
        return self.wait(lambda: all(is_settled() for is_settled in settled), seconds, is_patient=True)

    def close(self, seconds: float) -> bool:
        """Sends everything, says what could not be sent, and ends the thread."""
        deadline = time.monotonic() + seconds
        with self.lock:
            # The last chance is not slept through.
            self.contact.not_before = 0.0
            self._wakes_at = None
            self._wake.notify()
        self._ensure_delivery(deadline)
        is_settled = self._settle(deadline - time.monotonic())
        with self.lock:
            self._is_closing = True
            lost = 0 if is_settled else self.outbox.waiting
            self._wake.notify()
        if lost:
            logger.error(
                "%d reports could not be sent before the end: %s", lost, self.contact.last_error or "no answer yet"
            )
        return is_settled and not self.outbox.tally.dropped

    def _ensure_delivery(self, deadline: float) -> None:
        """Sends in this thread where there is no other: an interpreter that ends starts none."""
        with self.lock:
            if self._thread is not None and self._thread.is_alive():
                return
            # Of two threads that send, each would take the other's batch for its own.
            self._thread = threading.current_thread()
        try:
            while (now := time.monotonic()) < deadline:
                with self.lock:
                    if self.outbox.is_settled:
                        return
                    for job in self.outbox.active():
                        self.outbox.hurry(job, now)
                    pause = self.contact.not_before - now
                    batch = self.outbox.next_batch(now) if pause <= 0 else None
                if batch is not None:
                    self._deliver(batch)
                else:
                    time.sleep(min(pause, deadline - now))
        finally:
            with self.lock:
                self._thread = None

    # The thread

    def _run(self) -> None:
        try:
            while True:
                batch = self._await_batch()
                if batch is None:
                    return
                self._deliver(batch)
        finally:
            # Also where a callback ended this thread: the next report starts another.
            with self.lock:
                if self._thread is threading.current_thread():
                    self._thread = None

    def _await_batch(self) -> Batch | None:
        with self.lock:
            while True:
                now = time.monotonic()
                due = self.outbox.next_due()
                if due is not None and due <= now and now >= self.contact.not_before:
                    self._wakes_at = None
                    return self.outbox.next_batch(now)
                if due is None and self._is_closing:
                    self._thread = None
                    return None
                ends = now + self.settings.idle_thread_seconds if due is None else max(due, self.contact.not_before)
                self._wakes_at = ends
                is_called = self._wake.wait(max(0.0, ends - now))
                if due is None and not is_called and self.outbox.is_settled:
                    self._thread = None
                    return None

    def _deliver(self, batch: Batch) -> None:
        """Sends a batch once, and does what the answer asks for."""
        began = time.monotonic()
        target = f"/v1/jobs/{batch.job.job}/events"
        batch.awaits_verdicts = began >= self.contact.verdicts_not_before
        if batch.awaits_verdicts:
            target += "?wait=folded"
        try:
            answer = self._transport.perform(Request("POST", target, batch.body), self.settings.request_seconds)
            judgement = judge(answer, len(batch))
        except ExchangeError as error:
            judgement = Judgement(Means.TRY_AGAIN, str(error))
        except Exception as error:
            # Nothing that the network or a server does may end this thread: the task would go unreported.
            logger.debug("an exchange failed in an unforeseen way", exc_info=True)
            judgement = Judgement(Means.TRY_AGAIN, f"{type(error).__name__}: {error}")
        with self.lock:
            now = time.monotonic()
            callbacks = self._settlement.settle(batch, judgement, now - began, now, random.random())
            if self._has_overflowed:
                callbacks.append(self._settlement.complaint("the buffer is full: executions or increments are lost"))
                self._has_overflowed = False
            self._settled.notify_all()
            callbacks.extend(self._listeners)
        _tell(callbacks)

    # Forks: the parent holds the lock meanwhile, so that the child finds everything in order.

    def before_fork(self) -> None:
        self.lock.acquire()
        self.outbox.fork()

    def after_fork_in_parent(self) -> None:
        self.lock.release()

    def after_fork_in_child(self) -> None:
        # Their waiters do not exist in the child.
        self._wake = threading.Condition(self.lock)
        self._settled = threading.Condition(self.lock)
        self.outbox.become_child()
        self._reset()
        self._transport.forget()
        self.lock.release()


def _tell(callbacks: list[Callback]) -> None:
    """Calls what is to be called without the lock; what is wrong with it is the caller's, and is logged."""
    for callback in callbacks:
        try:
            callback()
        except Exception:
            logger.exception("a callback failed that was to be told of a report's fate")
