"""Delivery of unsent reports when a process forks, receives a signal, or ends."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
import weakref
from types import FrameType
from typing import TYPE_CHECKING

from .reporter import process_lineage

if TYPE_CHECKING:
    from .sender import Sender

_senders: weakref.WeakSet[Sender] = weakref.WeakSet()
# Serialises forks. Each fork takes the locks of all senders, so two simultaneous forks could deadlock.
_fork_lock = threading.RLock()
_forking: list[Sender] = []
_watched_process: int | None = None


def register(sender: Sender) -> None:
    """Registers a sender for forks and for the end of the process."""
    _senders.add(sender)


def watch_process() -> None:
    """Makes this process send unsent reports before it ends. Idempotent."""
    global _watched_process
    if _watched_process != os.getpid():
        if _watched_process is None:
            atexit.register(close_all)
        _watched_process = os.getpid()
        _watch_pool_process()
    watch_signal()


def _watch_pool_process() -> None:
    """Registers with the finalizers of a pool process, which ends without `atexit`."""
    for package in ("multiprocessing", "billiard"):
        process, util = sys.modules.get(f"{package}.process"), sys.modules.get(f"{package}.util")
        if process is None or util is None:
            continue
        if getattr(process.current_process(), "_parent_pid", None) is not None:
            util.Finalize(None, close_all, exitpriority=0)


def has_ledger() -> bool:
    """Returns whether this process should report: it has a client, or its parent process may have one."""
    if _senders or os.environ.get("PROGRESS_LEDGER_URL"):
        return True
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


def close_all() -> None:
    """Sends the unsent reports of all clients, within the longest of their limits."""
    senders = list(_senders)
    began = time.monotonic()
    for sender in senders:
        # All senders send at the same time while this thread waits for the first one.
        sender.expedite_all()
    for sender in senders:
        sender.close_since(began)


# The signals that end a process. Only a default action is replaced, never a handler of the program.

_ENDING_SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


def watch_signal() -> None:
    """Makes SIGTERM and SIGHUP end the process after unsent reports have been sent."""
    if threading.current_thread() is not threading.main_thread():
        return
    try:
        for number in _ENDING_SIGNALS:
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, _on_signal)
    except ValueError:
        # The main thread of a subinterpreter cannot handle signals.
        pass


def _on_signal(number: int, _: FrameType | None) -> None:
    # The interrupted code may hold a sender's lock, so another thread waits. The process then ends by the signal, as it
    # would have done anyway; a second signal ends it at once.
    for other in _ENDING_SIGNALS:
        if signal.getsignal(other) is _on_signal:
            signal.signal(other, signal.SIG_DFL)
    try:
        threading.Thread(target=_close_and_die, args=(number,), name="progress-ledger-end", daemon=True).start()
    except RuntimeError:
        os.kill(os.getpid(), number)


def _close_and_die(number: int) -> None:
    try:
        for sender in list(_senders):
            sender.cancel_open()
        close_all()
    finally:
        os.kill(os.getpid(), number)


# Forks


def _before_fork() -> None:
    _fork_lock.acquire()
    process_lineage.fork()
    _forking[:] = list(_senders)
    for sender in _forking:
        sender.before_fork()


def _after_fork_in_parent() -> None:
    for sender in reversed(_forking):
        sender.after_fork_in_parent()
    _forking.clear()
    _fork_lock.release()


def _after_fork_in_child() -> None:
    process_lineage.descend()
    for sender in reversed(_forking):
        sender.after_fork_in_child()
    _forking.clear()
    _fork_lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
