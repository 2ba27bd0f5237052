"""What happens to unsent reports when a process forks, is told to stop, or ends."""

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

if TYPE_CHECKING:
    from .sender import Sender

_senders: weakref.WeakSet[Sender] = weakref.WeakSet()
# Two threads may fork at once; each takes the locks of all senders, and in the same order only if one after the other.
_fork_lock = threading.RLock()
_forking: list[Sender] = []
_watched_process: int | None = None


def register(sender: Sender) -> None:
    """Has a sender take part in forks and in the end of the process."""
    _senders.add(sender)


def watch_process() -> None:
    """Sees to it that this process sends what waits before it ends. May be called any number of times."""
    global _watched_process
    if _watched_process != os.getpid():
        if _watched_process is None:
            atexit.register(close_all)
        _watched_process = os.getpid()
        _watch_pool_process()
    watch_signal()


def _watch_pool_process() -> None:
    """A child of a process pool ends without `atexit`; it has its own list of what to do at its end."""
    for package in ("multiprocessing", "billiard"):
        process, util = sys.modules.get(f"{package}.process"), sys.modules.get(f"{package}.util")
        if process is None or util is None:
            continue
        if getattr(process.current_process(), "_parent_pid", None) is not None:
            util.Finalize(None, close_all, exitpriority=0)


def close_all() -> None:
    """Sends what waits in all clients, within the longest of their limits together."""
    senders = list(_senders)
    seconds = max((sender.settings.flush_seconds for sender in senders), default=0.0)
    deadline = time.monotonic() + seconds
    for sender in senders:
        sender.close(max(0.0, deadline - time.monotonic()))


# SIGTERM. Nobody's handler is replaced: only the default, which ends the process at once.


def watch_signal() -> None:
    """Has SIGTERM end the process a little later, after what waits has been sent."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _on_sigterm)


def _on_sigterm(number: int, _: FrameType | None) -> None:
    # Whoever was interrupted may hold a sender's lock, so the waiting is done by another thread. The process then dies
    # of the signal, as it would have without us; a second signal ends it at once.
    signal.signal(number, signal.SIG_DFL)
    try:
        threading.Thread(target=_close_and_die, args=(number,), name="progress-ledger-end", daemon=True).start()
    except RuntimeError:
        os.kill(os.getpid(), number)


def _close_and_die(number: int) -> None:
    try:
        close_all()
    finally:
        os.kill(os.getpid(), number)


# Forks


def _before_fork() -> None:
    _fork_lock.acquire()
    _forking[:] = list(_senders)
    for sender in _forking:
        sender.before_fork()


def _after_fork_in_parent() -> None:
    for sender in reversed(_forking):
        sender.after_fork_in_parent()
    _forking.clear()
    _fork_lock.release()


def _after_fork_in_child() -> None:
    for sender in reversed(_forking):
        sender.after_fork_in_child()
    _forking.clear()
    _fork_lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
