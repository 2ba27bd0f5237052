"""Locks of a process that a forked child must not inherit locked."""

from __future__ import annotations

import os
import threading
import weakref


class ForkLock:
    """A re-entrant lock, new in each forked child, because the thread that holds it may not exist there.

    `with lock.held: …`. For signals and finalizers, a thread may take it again.
    """

    __slots__ = ("__weakref__", "held")

    def __init__(self) -> None:
        self.held = threading.RLock()
        _all.add(self)


_all: weakref.WeakSet[ForkLock] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for lock in list(_all):
        lock.held = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
