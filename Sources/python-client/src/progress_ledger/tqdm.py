"""`tqdm` that reports to the ledger as well: for code that has its bars already.

from progress_ledger.tqdm import tqdm

for tile in tqdm(tiles, desc="download"):
    ...
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from tqdm.auto import tqdm as Bar

from .execution import Execution, current
from .reporting import Progress


class tqdm(Bar):  # type: ignore[misc]
    """A bar that is also an indicator of the execution whose context it is made in, or of the one that is given.

    Takes what `tqdm` takes, and `execution=` and `label=`; the label is `desc` unless told. Reports also where the bar
    itself is disabled. Outside of any execution it is a bar and nothing else.

    The ledger counts whole units and takes none back: fractions are reported when they have become whole, and a bar
    that is moved backwards reports again once it is beyond where it was.
    """

    def __init__(
        self, *arguments: Any, execution: Execution | None = None, label: str | None = None, **options: Any
    ) -> None:
        self._seen = 0.0
        self._reported = 0
        self._declared = 0
        self._progress: Progress | None = None
        super().__init__(*arguments, **options)
        if label is None:
            # A disabled bar forgets its description.
            label = options.get("desc") or (arguments[1] if len(arguments) > 1 else None)
        # Descriptions may be of any length; labels are what the ledger takes.
        self._progress = (execution or current()).progress(label[:100] if label else None)
        self._seen = float(options.get("initial", 0) or 0)
        self._report()

    def __iter__(self) -> Iterator[Any]:
        try:
            for item in self.iterable:
                yield item
                self.update(1)
        finally:
            self.close()

    def update(self, n: Any = 1) -> Any:
        """Moves the bar, and reports what is new."""
        self._seen += n
        self._report()
        return super().update(n)

    def reset(self, total: Any = None) -> None:
        """Begins anew, with as much work again."""
        self._seen, self._reported, self._declared = 0.0, 0, 0
        # Draws the bar anew, which declares the total; a disabled one draws nothing.
        super().reset(total)
        self._report()

    def refresh(self, *arguments: Any, **options: Any) -> Any:
        """Draws the bar anew, and declares a total that has been changed."""
        self._report()
        return super().refresh(*arguments, **options)

    def _report(self) -> None:
        if self._progress is None:
            return
        total = getattr(self, "total", None)
        if total is not None and math.isfinite(total) and math.ceil(total) > self._declared:
            self._progress.add(math.ceil(total) - self._declared)
            self._declared = math.ceil(total)
        done = math.floor(self._seen)
        if done > self._reported:
            self._progress.done(done - self._reported)
            self._reported = done


def trange(*arguments: Any, **options: Any) -> tqdm:
    """`tqdm(range(...), ...)`."""
    return tqdm(range(*arguments), **options)
