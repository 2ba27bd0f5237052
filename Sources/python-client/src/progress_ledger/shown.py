"""The display of a job in notebooks and terminals. The parts that draw it are imported when one is shown."""

from __future__ import annotations

import sys
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from .errors import LedgerError

if TYPE_CHECKING:
    from .answers import Snapshot
    from .clock import ServerClock
    from .view import View


def time_of(clock: ServerClock) -> datetime:
    """The time of day to show: the ledger's if known, else the local time.

    Ages do not depend on it.
    """
    return clock.now() or datetime.now(timezone.utc)


def bundle(shown: View) -> dict[str, str]:
    """Returns a view as HTML and text, from which the notebook, exporter or terminal chooses."""
    from . import view as views

    return {"text/html": views.html(shown), "text/plain": views.text(shown)}


class Shown:
    """The display of a job by IPython's protocol, in notebooks and terminals."""

    _id: str
    _known: Snapshot | None
    _clock: ServerClock

    @property
    def page(self) -> str | None:
        """The URL of the job's page; None without a ledger."""
        raise NotImplementedError

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return bundle(self._view())

    def _ipython_display_(self) -> None:
        if not is_notebook():
            from . import view as views

            print(views.text(self._view()))
            return
        self.display()

    def display(self) -> Any:
        """Shows the job in a live view."""
        raise NotImplementedError

    def _read_for_view(self) -> Snapshot:
        raise NotImplementedError

    def shown(self) -> View:
        """The view of the snapshot that was read last; makes no request."""
        from .view import View

        snapshot = self._known
        is_final = snapshot is not None and snapshot.is_finished
        return View(self._id, snapshot, self._clock.now(), is_final=is_final, page=self.page)

    def _view(self) -> View:
        from .transport import ExchangeError
        from .view import View

        try:
            snapshot = self._read_for_view()
        except (LedgerError, ExchangeError) as error:
            # Showing a job never fails; the view shows its age.
            now = self._clock.now()
            since = time_of(self._clock)
            return View(self._id, self._known, now, trouble=str(error), trouble_since=since, page=self.page)
        now = self._clock.now()
        return View(self._id, snapshot, now, as_of=now, is_final=snapshot.is_finished, page=self.page)


def is_notebook() -> bool:
    """Returns whether this process is a kernel with a front end that can replace its output."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None
