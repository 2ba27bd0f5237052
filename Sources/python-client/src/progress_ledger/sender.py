"""The background thread that sends the reports of a client.

One per client and process, started by the first report and ended after some idle time. Only this thread waits for the
ledger; a report holds a lock for some hundred nanoseconds.
"""

from __future__ import annotations

import random
import threading
import weakref
from typing import Callable, Protocol

from . import lifecycle
from .batch import Batch
from .counter import Counter, Notes
from .disposition import Action, Disposition, JobRefusedError, disposition_of
from .losses import LossLog, logger
from .report_buffer import JobReportBuffer, ReportBuffer
from .reporter import Reporter
from .requester import Requester
from .server_health import ServerHealth
from .settlement import Callback, Settlement
from .transport import ExchangeError, Request


class Source(Protocol):
    """A source of progress that is polled, such as a bar of tqdm."""

    def sample(self) -> JobReportBuffer | None:
        """Reports new progress, with the sender's lock held, and returns the job that is due, if any."""

    def forget(self) -> None:
        """Skips unreported progress in a forked child, because the parent reports it."""


class Sender:
    """Sends the report buffer of one client."""

    def __init__(self, requester: Requester) -> None:
        self.requester = requester
        self._transport = requester.transport
        self._now = requester.clock.now
        settings = requester.settings
        self.settings = settings
        self.buffer = ReportBuffer(settings)
        # Re-entrant, because a signal handler or a finalizer may report while its thread is reporting.
        self.lock = threading.RLock()
        self._wake = threading.Condition(self.lock)
        self._settled = threading.Condition(self.lock)
        self._is_closing = False
        self.losses = LossLog()
        self._sources: weakref.WeakSet[Source] = weakref.WeakSet()
        self._reset()
        lifecycle.register(self)

    def _reset(self) -> None:
        self.health = ServerHealth(self.settings)
        self._settlement = Settlement(self.buffer, self.health, self.settings)
        self._thread: threading.Thread | None = None
        self._listeners: dict[Callback, None] = {}
        self._wakes_at: float | None = None
        self._has_overflowed = False
        # The open executions of this process.
        self._open: weakref.WeakSet[Reporter] = weakref.WeakSet()
        self._samples_at = 0.0

    # Reporting. All these methods return at once.

    def start(self, reporter: Reporter) -> None:
        """Queues the start of an execution."""
        with self.lock:
            self._open.add(reporter)
            if self.buffer.start(reporter, self._now()):
                self._wake_for(reporter.job)
            else:
                self._has_overflowed = not reporter.is_lost

    def enqueue(self, reporter: Reporter, counter: Counter) -> None:
        """Queues a counter that was empty. The caller holds the lock."""
        try:
            if self.buffer.enqueue(reporter, counter, self._now()):
                self._wake_for(reporter.job)
            else:
                self._has_overflowed = not reporter.is_lost
        except Exception as error:
            # The task that reports must not end because of an unexpected error, such as a lack of memory.
            self.buffer.drop(reporter)
            self.losses.log("unforeseen", "a report is lost: %s: %s", type(error).__name__, error)

    def drop(self, reporter: Reporter | None, kind: str | None = None, message: str = "") -> None:
        """Counts a refused call, and logs the first one of its kind."""
        with self.lock:
            self.buffer.refuse(reporter)
        if kind is not None:
            self.losses.log(kind, "%s", message)

    def drop_note(self, reporter: Reporter | None, kind: str, message: str) -> None:
        """Counts a part of a report that cannot be sent, such as its message, and logs the first one of its kind."""
        with self.lock:
            self.buffer.drop(reporter)
        self.losses.log(kind, "%s", message)

    def finish(self, reporter: Reporter, outcome: str, notes: Notes | None = None) -> None:
        """Queues the end of an execution, after the progress of its bars.

        One request follows at once, whatever the client's own pause: the process may end soon.
        """
        with self.lock:
            self._sample()
            self._open.discard(reporter)
            self.buffer.finish(reporter, outcome, self._now(), notes)
            self.health.skip_pause()
            self._wake_for(reporter.job)

    def leave(self, reporter: Reporter) -> None:
        """Ends an execution in this process without an outcome, and sends its reports at once."""
        with self.lock:
            self._sample()
            self._open.discard(reporter)
            self.buffer.leave(reporter, self._now())
            self.health.skip_pause()
            self._wake_for(reporter.job)

    def join(self, reporter: Reporter) -> None:
        """Counts an open context of an execution that another process has started."""
        with self.lock:
            reporter.entries += 1
            reporter.job.reporters.add(reporter)
            if reporter.part is not None:
                # However long ago an earlier context was left. The job may have been reopened.
                reporter.ended_at = None
                reporter.is_refused = False

    def part(self, reporter: Reporter) -> None:
        """Closes such a context, and sends the reports of the execution at once. The last one ends its part."""
        with self.lock:
            reporter.entries = max(0, reporter.entries - 1)
            if reporter.entries == 0 and reporter.part is not None:
                self.leave(reporter)
            else:
                self.expedite(reporter.job)

    def cancel_open(self) -> None:
        """Ends every open execution of this process as canceled."""
        with self.lock:
            for reporter in list(self._open):
                self.finish(reporter, "canceled")

    def watch(self, source: Source) -> None:
        """Starts to poll a source every `Settings.report_seconds`."""
        with self.lock:
            self._sources.add(source)
            if len(self._sources) == 1:
                self._samples_at = self._now() + self.settings.report_seconds
            self._require_thread()
            if self._wakes_at is not None and self._wakes_at > self._samples_at:
                self._wakes_at = None
                self._wake.notify()

    def unwatch(self, source: Source) -> None:
        """Stops polling a source."""
        with self.lock:
            self._sources.discard(source)

    def _sample(self) -> None:
        """Polls all sources. The caller holds the lock."""
        now = self._now()
        for source in list(self._sources):
            job = source.sample()
            if job is not None:
                # The progress may already be one polling interval old, so it is due now.
                self.buffer.expedite(job, now)
        self._samples_at = now + self.settings.report_seconds

    def supersede(self, reporter: Reporter) -> None:
        """Marks an execution as superseded."""
        with self.lock:
            callbacks = reporter.become_superseded()
        _run_callbacks(callbacks)

    def job_has_state(self, reporter: Reporter, state: str | None) -> None:
        """Records the state of an execution's job."""
        with self.lock:
            callbacks = reporter.job_has_state(state)
        _run_callbacks(callbacks)

    def finish_job(self, job: JobReportBuffer, outcome: str, notes: Notes | None = None) -> None:
        """Queues the end of a job, after everything reported for it."""
        with self.lock:
            self.buffer.finish_job(job, outcome, self._now(), notes)
            self._wake_for(job)

    def expedite(self, job: JobReportBuffer) -> Callable[[], bool]:
        """Makes a job due now.

        Returns a check, to call with the lock held, whether its reports are settled.
        """
        with self.lock:
            self._sample()
            self.buffer.expedite(job, self._now())
            self._wake_for(job)
            goal = job.goal
        return lambda: job.has_settled(goal)

    def _wake_for(self, job: JobReportBuffer) -> None:
        """Starts the thread, or wakes it up in time for a job."""
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
            # There are too many threads, or the interpreter ends. The end of the process sends the reports itself.
            self.health.last_error = f"the sender's thread cannot start: {error}"
            return
        self._thread = thread

    # Waiting for deliveries

    def wait(self, is_done: Callable[[], bool], seconds: float, *, is_patient: bool) -> bool:
        """Waits up to `seconds` for a delivery. Returns whether it happened.

        Gives up early if the ledger is unreachable or was too slow before, unless `is_patient`.
        """
        deadline = self._now() + seconds
        with self.lock:
            if threading.current_thread() is self._thread:
                # A callback in the sender's own thread would wait forever.
                return is_done()
            while not is_done():
                left = self.health.wait_limit(deadline, self._now(), is_patient)
                if left is None:
                    return False
                self._settled.wait(left)
            return True

    def wait_at_end(self, is_done: Callable[[], bool]) -> bool:
        """Waits for a delivery at the end of an execution or a job.

        Waits up to `Settings.flush_seconds`; all ends share that time while the ledger does not respond.
        """
        began = self._now()
        with self.lock:
            left = self.health.end_time_left(self.settings.flush_seconds, began)
        is_delivered = self.wait(is_done, left, is_patient=False)
        if not is_delivered:
            with self.lock:
                self.health.record_vain_wait(began, self._now())
        return is_delivered

    async def wait_at_end_async(self, is_done: Callable[[], bool]) -> bool:
        """Coroutine variant of `wait_at_end`."""
        began = self._now()
        with self.lock:
            left = self.health.end_time_left(self.settings.flush_seconds, began)
        is_delivered = await self.wait_async(is_done, left)
        if not is_delivered:
            with self.lock:
                self.health.record_vain_wait(began, self._now())
        return is_delivered

    async def wait_async(self, is_done: Callable[[], bool], seconds: float) -> bool:
        """Coroutine variant of `wait`, without a thread."""
        # Not at the top, because the import takes long; the caller's loop has imported it.
        import asyncio

        deadline = self._now() + seconds
        loop = asyncio.get_running_loop()
        event = asyncio.Event()

        def listener() -> None:
            try:
                loop.call_soon_threadsafe(event.set)
            except RuntimeError:
                # The loop was closed before the listener was removed.
                pass

        with self.lock:
            self._listeners[listener] = None
        try:
            while True:
                event.clear()
                with self.lock:
                    if is_done():
                        return True
                    left = self.health.wait_limit(deadline, self._now(), False)
                if left is None:
                    return False
                try:
                    await asyncio.wait_for(event.wait(), left)
                except asyncio.TimeoutError:
                    # The next iteration decides.
                    continue
        finally:
            with self.lock:
                self._listeners.pop(listener, None)

    def flush(self, seconds: float) -> bool:
        """Sends everything reported so far, and returns whether the ledger has recorded all of it."""
        return self._settle(seconds) and not self.buffer.counts.dropped

    def _settle(self, seconds: float) -> bool:
        """Sends everything reported so far, and returns whether all of it is recorded or dropped."""
        with self.lock:
            self._sample()
            settled = [self.expedite(job) for job in self.buffer.active()]
        return self.wait(lambda: all(is_settled() for is_settled in settled), seconds, is_patient=True)

    def expedite_all(self) -> None:
        """Makes everything due now, even during a pause between requests."""
        with self.lock:
            self._sample()
            for job in self.buffer.active():
                self.buffer.expedite(job, self._now())
            # The remaining time must not be spent in a pause.
            self.health.not_before = 0.0
            self._wakes_at = None
            self._wake.notify()

    def close_since(self, began: float) -> None:
        """Closes at the end of the process, within the time limit since `began`."""
        now = self._now()
        with self.lock:
            left = self.health.end_time_left(self.settings.flush_seconds, now)
        self.close(max(0.0, began + left - now))

    def close(self, seconds: float | None = None) -> bool:
        """Sends everything, logs a loss once, and ends the thread.

        Waits up to `seconds`; by default `Settings.flush_seconds` minus unsuccessful waits of other ends.
        """
        began = self._now()
        with self.lock:
            limit = self.health.end_time_left(self.settings.flush_seconds, began) if seconds is None else seconds
        self.expedite_all()
        deadline = began + limit
        self._ensure_delivery(deadline)
        is_settled = self._settle(deadline - self._now())
        with self.lock:
            self._is_closing = True
            self.buffer.heartbeats.clear()
            lost = 0 if is_settled else self.buffer.waiting
            reason = self.health.last_error or "no response yet"
            if lost:
                self.health.record_vain_wait(began, self._now())
            self._wake.notify()
        if lost:
            self.losses.log("end", "%d reports could not be sent before the end: %s", lost, reason)
        return is_settled and not self.buffer.counts.dropped

    def _ensure_delivery(self, deadline: float) -> None:
        """Sends in this thread if there is no sender's thread, because an ending interpreter starts none."""
        with self.lock:
            if self._thread is not None and self._thread.is_alive():
                return
            # Two threads that send would settle each other's batches.
            self._thread = threading.current_thread()
        try:
            while (now := self._now()) < deadline:
                with self.lock:
                    if self.buffer.is_settled:
                        return
                    for job in self.buffer.active():
                        self.buffer.expedite(job, now)
                    pause = self.health.not_before - now
                    batch = self.buffer.next_batch(now) if pause <= 0 else None
                if batch is not None:
                    self._deliver(batch, deadline - now)
                else:
                    self.requester.clock.sleep(max(0.0, min(pause, deadline - now)))
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
            # This also runs if a callback ended this thread. The next report starts another one.
            self._log_expired()
            with self.lock:
                if self._thread is threading.current_thread():
                    self._thread = None

    def _await_batch(self) -> Batch | None:
        with self.lock:
            while True:
                now = self._now()
                if self._sources and now >= self._samples_at:
                    self._sample()
                due = self.buffer.next_due()
                if due is not None and due <= now and now >= self.health.not_before:
                    self._wakes_at = None
                    batch = self.buffer.next_batch(now)
                    if batch is not None:
                        return batch
                    # Everything that was due has been given up.
                    self._settled.notify_all()
                    continue
                if due is None and self._is_closing:
                    self._thread = None
                    return None
                ends = now + self.settings.idle_thread_seconds if due is None else max(due, self.health.not_before)
                if self._sources:
                    ends = min(ends, self._samples_at)
                self._wakes_at = ends
                is_called = self._wake.wait(max(0.0, ends - now))
                if due is None and not is_called and not self._sources and self.buffer.is_settled:
                    self._thread = None
                    return None

    def _deliver(self, batch: Batch, seconds: float | None = None) -> None:
        """Sends a batch once, within `seconds` if given, and applies the response."""
        began = self._now()
        batch.awaits_verdicts = began >= self.health.verdicts_not_before
        parameters = "?wait=folded" if batch.awaits_verdicts else ""
        if batch.conditional_reporters:
            parameters += f"{'&' if parameters else '?'}unless_canceled=true"
        try:
            limit = self.settings.request_seconds
            limit = limit if seconds is None else min(limit, seconds)
            job = batch.job.identify(self._transport, limit)
            batch.tries += 1
            response = self._transport.perform(Request("POST", f"/v1/jobs/{job}/events{parameters}", batch.body), limit)
            disposition = disposition_of(response, len(batch))
        except JobRefusedError as error:
            disposition = Disposition(Action.NO_SUCH_JOB, str(error))
        except ExchangeError as error:
            disposition = Disposition(Action.TRY_AGAIN, str(error))
        except Exception as error:
            # A failure of the network or of a server must not end this thread.
            logger.debug("unexpected failure of a request", exc_info=True)
            disposition = Disposition(Action.TRY_AGAIN, f"{type(error).__name__}: {error}")
        with self.lock:
            now = self._now()
            callbacks = self._settlement.settle(batch, disposition, now - began, now, random.random())
            if self._has_overflowed:
                callbacks.append(
                    self._settlement.loss_callback("the buffer is full: executions or increments are lost")
                )
                self._has_overflowed = False
            self._settled.notify_all()
            callbacks.extend(self._listeners)
        _run_callbacks(callbacks)
        self._log_expired()

    def _log_expired(self) -> None:
        if self.buffer.expired:
            self.losses.log("expired", "reports of executions that ended long ago are given up")

    # Forks: the parent holds the lock during a fork, so that the child inherits a consistent state.

    def before_fork(self) -> None:
        self.lock.acquire()

    def after_fork_in_parent(self) -> None:
        self.lock.release()

    def after_fork_in_child(self) -> None:
        # The waiting threads do not exist in the child.
        self._wake = threading.Condition(self.lock)
        self._settled = threading.Condition(self.lock)
        self.buffer.become_child()
        self._reset()
        self.losses.forget()
        for source in list(self._sources):
            source.forget()
        self._transport.forget()
        self.lock.release()


def _run_callbacks(callbacks: list[Callback]) -> None:
    """Runs callbacks without the lock, and logs their failures."""
    for callback in callbacks:
        try:
            callback()
        except Exception:
            logger.exception("a callback about delivered reports failed")
