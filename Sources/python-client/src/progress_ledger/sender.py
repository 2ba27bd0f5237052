"""The thread that sends what was reported.

One for each client and process, started by the first report and ended when it has been idle for a while. It is the only
one that waits for the ledger; whoever reports takes a lock for some hundred nanoseconds.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
import weakref
from typing import Callable, Protocol

from . import lifecycle
from .contact import Contact
from .delivery import Judgement, Means, judge
from .losses import LossLog, logger
from .outbox import Batch, JobOutbox, Outbox
from .reporter import Counter, Reporter
from .requester import Requester
from .settlement import Callback, Settlement
from .transport import ExchangeError, Request


class Source(Protocol):
    """Something that is asked for its progress from time to time instead of reporting it: a bar of tqdm."""

    def sample(self) -> JobOutbox | None:
        """Reports what is new, with the sender's lock held. Returns the job that has something to be sent, if any."""

    def forget(self) -> None:
        """In a forked child: what was not reported yet is the parent's to report."""


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
        self.losses = LossLog()
        self._sources: weakref.WeakSet[Source] = weakref.WeakSet()
        self._reset()
        lifecycle.register(self)

    def _reset(self) -> None:
        self.contact = Contact(self.settings)
        self._settlement = Settlement(self.outbox, self.contact, self.settings)
        self._thread: threading.Thread | None = None
        self._listeners: dict[Callback, None] = {}
        self._wakes_at: float | None = None
        self._has_overflowed = False
        # Executions that have begun in this process and not ended.
        self._open: weakref.WeakSet[Reporter] = weakref.WeakSet()
        self._samples_at = 0.0

    # What is reported. All of these return at once.

    def start(self, reporter: Reporter) -> None:
        """Has an execution start."""
        with self.lock:
            self._open.add(reporter)
            if self.outbox.start(reporter, time.monotonic()):
                self._call(reporter.job)
            else:
                self._has_overflowed = not reporter.job.is_unknown

    def note(self, reporter: Reporter, counter: Counter) -> None:
        """Has a counter sent that had nothing to be sent before. The caller holds the lock."""
        try:
            if self.outbox.note(reporter, counter, time.monotonic()):
                self._call(reporter.job)
            else:
                self._has_overflowed = not reporter.job.is_unknown
        except Exception as error:
            # Out of memory, for example: the task that reports must not end because of it.
            self.drop(reporter, "unforeseen", f"a report is lost: {type(error).__name__}: {error}")

    def drop(self, reporter: Reporter | None, kind: str | None = None, message: str = "") -> None:
        """Counts a report that cannot be sent, and logs the first one of its kind."""
        with self.lock:
            self.outbox.drop(reporter)
        if kind is not None:
            self.losses.log(kind, "%s", message)

    def finish(self, reporter: Reporter, outcome: str) -> None:
        """Has an execution end, with what its bars show."""
        with self.lock:
            self._sample()
            self._open.discard(reporter)
            self.outbox.finish(reporter, outcome, time.monotonic())
            self._call(reporter.job)

    def cancel_open(self) -> None:
        """Has every execution end as canceled that has begun in this process and not ended."""
        with self.lock:
            for reporter in list(self._open):
                self.finish(reporter, "canceled")

    def watch(self, source: Source) -> None:
        """Asks a source for its progress from now on, twice a second or as often as reports are sent."""
        with self.lock:
            self._sources.add(source)
            if len(self._sources) == 1:
                self._samples_at = time.monotonic() + self.settings.report_seconds
            self._require_thread()
            if self._wakes_at is not None and self._wakes_at > self._samples_at:
                self._wakes_at = None
                self._wake.notify()

    def unwatch(self, source: Source) -> None:
        """Asks a source no more."""
        with self.lock:
            self._sources.discard(source)

    def _sample(self) -> None:
        """Asks all sources for their progress. The caller holds the lock."""
        now = time.monotonic()
        for source in list(self._sources):
            job = source.sample()
            if job is not None:
                # It is as old as the time between two samples already: it waits no more.
                self.outbox.hurry(job, now)
        self._samples_at = now + self.settings.report_seconds

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
            self._sample()
            self.outbox.hurry(job, time.monotonic())
            self._call(job)
            goal = job.goal
        return lambda: job.has_settled(goal)

    def _call(self, job: JobOutbox) -> None:
        """Sees to it that the thread runs and wakes up in time for a job."""
        if self._thread is None:
            self._require_thread()
        elif self._wakes_at is not None and job.due is not None and job.due < self._wakes_at:
            self._wakes_at = None
            self._wake.notify()

    def _require_thread(self) -> None:
        if self._thread is not None:
            return
        lifecycle.watch_process()
        thread = threading.Thread(target=self._run, name="progress-ledger-sender", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            # No more threads, or the interpreter ends. The end of the process sends what waits by itself.
            self.contact.last_error = f"the sender's thread cannot start: {error}"
            return
        self._thread = thread

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

    def wait_at_end(self, is_done: Callable[[], bool]) -> bool:
        """Waits at the end of an execution or a job, for `Settings.flush_seconds` at most; all ends share that time
        while the ledger does not answer."""
        began = time.monotonic()
        with self.lock:
            left = self.contact.left_at_end(self.settings.flush_seconds, began)
        is_delivered = self.wait(is_done, left, is_patient=False)
        if not is_delivered:
            with self.lock:
                self.contact.waited_in_vain(began, time.monotonic())
        return is_delivered

    async def wait_at_end_async(self, is_done: Callable[[], bool]) -> bool:
        """The same for a coroutine."""
        began = time.monotonic()
        with self.lock:
            left = self.contact.left_at_end(self.settings.flush_seconds, began)
        is_delivered = await self.wait_async(is_done, left)
        if not is_delivered:
            with self.lock:
                self.contact.waited_in_vain(began, time.monotonic())
        return is_delivered

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
            self._sample()
            settled = [self.hurry(job) for job in self.outbox.active()]
        return self.wait(lambda: all(is_settled() for is_settled in settled), seconds, is_patient=True)

    def hurry_end(self) -> None:
        """Has everything sent at once that waits, however long the pause was to be."""
        with self.lock:
            self._sample()
            for job in self.outbox.active():
                self.outbox.hurry(job, time.monotonic())
            # The last chance is not slept through.
            self.contact.not_before = 0.0
            self._wakes_at = None
            self._wake.notify()

    def close_since(self, began: float) -> None:
        """Closes at the end of the process, which began then, within what is left of the time that ends share."""
        now = time.monotonic()
        with self.lock:
            left = self.contact.left_at_end(self.settings.flush_seconds, now)
        self.close(max(0.0, began + left - now))

    def close(self, seconds: float | None = None) -> bool:
        """Sends everything, says once what could not be sent, and ends the thread.

        Waits for so long. Unless told, waits for `Settings.flush_seconds` less what other ends have waited in vain.
        """
        began = time.monotonic()
        with self.lock:
            limit = self.contact.left_at_end(self.settings.flush_seconds, began) if seconds is None else seconds
        self.hurry_end()
        deadline = began + limit
        self._ensure_delivery(deadline)
        is_settled = self._settle(deadline - time.monotonic())
        with self.lock:
            self._is_closing = True
            lost = 0 if is_settled else self.outbox.waiting
            reason = self.contact.last_error or "no answer yet"
            if lost:
                self.contact.waited_in_vain(began, time.monotonic())
            self._wake.notify()
        if lost:
            self.losses.log("end", "%d reports could not be sent before the end: %s", lost, reason)
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
                    self._deliver(batch, deadline - now)
                else:
                    time.sleep(max(0.0, min(pause, deadline - now)))
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
                if self._sources and now >= self._samples_at:
                    self._sample()
                due = self.outbox.next_due()
                if due is not None and due <= now and now >= self.contact.not_before:
                    self._wakes_at = None
                    return self.outbox.next_batch(now)
                if due is None and self._is_closing:
                    self._thread = None
                    return None
                ends = now + self.settings.idle_thread_seconds if due is None else max(due, self.contact.not_before)
                if self._sources:
                    ends = min(ends, self._samples_at)
                self._wakes_at = ends
                is_called = self._wake.wait(max(0.0, ends - now))
                if due is None and not is_called and not self._sources and self.outbox.is_settled:
                    self._thread = None
                    return None

    def _deliver(self, batch: Batch, seconds: float | None = None) -> None:
        """Sends a batch once, within so many seconds if told, and does what the answer asks for."""
        began = time.monotonic()
        target = f"/v1/jobs/{batch.job.job}/events"
        batch.awaits_verdicts = began >= self.contact.verdicts_not_before
        if batch.awaits_verdicts:
            target += "?wait=folded"
        try:
            limit = self.settings.request_seconds
            limit = limit if seconds is None else min(limit, seconds)
            batch.tries += 1
            answer = self._transport.perform(Request("POST", target, batch.body), limit)
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

    def after_fork_in_parent(self) -> None:
        self.lock.release()

    def after_fork_in_child(self) -> None:
        # Their waiters do not exist in the child.
        self._wake = threading.Condition(self.lock)
        self._settled = threading.Condition(self.lock)
        self.outbox.become_child()
        self._reset()
        self.losses.forget()
        for source in list(self._sources):
            source.forget()
        self._transport.forget()
        self.lock.release()


def _tell(callbacks: list[Callback]) -> None:
    """Calls what is to be called without the lock; what is wrong with it is the caller's, and is logged."""
    for callback in callbacks:
        try:
            callback()
        except Exception:
            logger.exception("a callback failed that was to be told of a report's fate")
