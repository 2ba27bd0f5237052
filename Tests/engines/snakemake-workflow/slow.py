"""Waits in its first start until it was carried out again, and then reports once more."""

import os
import time
from pathlib import Path

from progress_ledger import current, progress
from progress_ledger.snakemake import attach

from support import is_first

folder = Path(os.environ["TEST_FOLDER"])
with attach(snakemake):  # noqa: F821  Snakemake defines it
    progress("slow").add(1)
    progress("slow").done(1)
    if is_first(folder, "slow began"):
        current().flush()
        (folder / "waiting").touch()
        deadline = time.monotonic() + 120
        while not (folder / "second has ended").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        progress("slow").done(1000)
        current().flush()
        (folder / f"superseded {current().superseded}").touch()
    Path(snakemake.output[0]).touch()  # noqa: F821
