"""A live view of a job in a notebook, updated by background threads.

Each frame contains the whole view as HTML and as text, and replaces the previous one by its display id. A notebook that
is saved, exported or shared therefore shows the last frame. It needs no widget, no script and no connection from the
browser.
"""

from __future__ import annotations

import contextvars
import threading
import uuid
from typing import Any, Callable

from .answers import Snapshot
from .clock import ServerClock
from .shown import bundle, time_of
from .view import View
from .watching import Heartbeat, Interruption, Watch

# The pause between two frames: faster than a person reads, slow enough for a notebook with many views.
FRAME_SECONDS = 0.25
# How often an unchanged view is redrawn to show its age.
IDLE_FRAME_SECONDS = 15.0


class Display:
    """A live view.

    Its threads are daemons and end with the job, with `close`, or with an outage that is too long.
    """

    def __init__(
        self, watch: Watch, job: str, known: Snapshot | None, clock: ServerClock, page: str | None = None
    ) -> None:
        self.id = uuid.uuid4().hex
        self._watch = watch
        self._changed = threading.Condition()
        self._clock = clock
        self._view = View(job, known, clock.now(), page=page)
        self._is_dirty = False
        self._ended = threading.Event()

    @classmethod
    def show(
        cls, watch: Watch, job: str, known: Snapshot | None, clock: ServerClock, page: str | None = None
    ) -> Display:
        """Shows a first frame at once and keeps it fresh.

        `clock` is set by each snapshot of the watch. `page`: the URL of the job's page.
        """
        display = cls(watch, job, known, clock, page)
        display._publish(display._view, update=False)
        for body, name in ((display._follow, "watch"), (display._paint, "paint")):
            # A frame must be a message of the cell that runs when it is sent, not of the cell that showed the view:
            # front ends find the view by its id, and some (nbclient) only listen to the running cell. The thread
            # therefore has no context.
            context = contextvars.Context()
            threading.Thread(target=context.run, args=(body,), name=f"progress-ledger-{name}", daemon=True).start()
        return display

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until the last frame is shown. Returns whether it is."""
        return self._ended.wait(timeout)

    def close(self) -> None:
        """Stops updating the view."""
        self._watch.close()
        self._change(is_final=True)

    def _follow(self) -> None:
        try:
            for update in self._watch.updates():
                if isinstance(update, Snapshot):
                    self._change(
                        snapshot=update,
                        as_of=self._clock.now(),
                        trouble=None,
                        trouble_since=None,
                        is_final=update.is_finished,
                    )
                elif isinstance(update, Heartbeat):
                    self._change(as_of=self._clock.now(), trouble=None, trouble_since=None)
                elif isinstance(update, Interruption):
                    self._change(trouble=update.reason, trouble_since=self._view.trouble_since or time_of(self._clock))
            self._change(is_final=True)
        except Exception as error:
            # After any error, the view shows that it is no longer updated.
            self._change(
                trouble=str(error), trouble_since=self._view.trouble_since or time_of(self._clock), is_final=True
            )

    def _change(self, **fields: Any) -> None:
        with self._changed:
            self._view = View(**{**vars(self._view), **fields})
            self._is_dirty = True
            self._changed.notify_all()

    def _paint(self) -> None:
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._is_dirty, IDLE_FRAME_SECONDS)
                    self._is_dirty = False
                    shown = View(**{**vars(self._view), "now": self._clock.now()})
                self._publish(shown, update=True)
                if shown.is_final:
                    return
                self._ended.wait(FRAME_SECONDS)
        finally:
            self._watch.close()
            self._ended.set()

    def _publish(self, shown: View, update: bool) -> None:
        from IPython import display

        publish: Callable[..., None] = display.publish_display_data
        publish(bundle(shown), transient={"display_id": self.id}, update=update)
