"""The sums of the reports on one label, from which events are made."""

from __future__ import annotations

from typing import Any

from .settings import INCREMENT_MAX

Event = dict[str, Any]
Notes = dict[str, str]
"""The `message` and the `link` of an event."""


class Counter:
    """The increments of one label of one execution that are not frozen yet, with their notes."""

    __slots__ = (
        "carried", "done", "frozen_done", "frozen_total", "has_unit", "is_waiting", "label", "notes", "total", "unit",
    )  # fmt: skip

    def __init__(self, label: str | None) -> None:
        self.label = label
        self.total = 0
        self.done = 0
        # The part of `done` that an earlier execution did.
        self.carried = 0
        # The newest message and link; None if there are none.
        self.notes: Notes | None = None
        # Given and not frozen yet: the first event with a unit fixes it.
        self.unit: str | None = None
        self.has_unit = False
        self.is_waiting = False
        # The sums of all frozen increments.
        self.frozen_total = 0
        self.frozen_done = 0

    @property
    def position(self) -> int:
        """The number of units that this process has reported as done."""
        return self.frozen_done + self.done

    @property
    def declared(self) -> int:
        """The number of units that this process has declared."""
        return self.frozen_total + self.total

    def clear(self) -> None:
        """Drops all increments and notes."""
        self.total = self.done = self.carried = 0
        self.notes = None
        self.is_waiting = False

    def freeze_into(self, event: Event) -> None:
        """Moves the increments and notes into an event of progress.

        One event contains at most 2^53 − 1 units; the rest remains for the next event.
        """
        total, done = min(self.total, INCREMENT_MAX), min(self.done, INCREMENT_MAX)
        carried = min(self.carried, done)
        if self.label is not None:
            event["label"] = self.label
        for name, number in (("total", total), ("done", done), ("carried", carried)):
            if number:
                event[name] = number
        if self.notes is not None:
            event.update(self.notes)
            self.notes = None
        if self.unit is not None:
            event["unit"] = self.unit
            self.unit = None
        self.total -= total
        self.done -= done
        self.carried -= carried
        self.frozen_total += total
        self.frozen_done += done
