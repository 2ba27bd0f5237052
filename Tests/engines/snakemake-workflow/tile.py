"""Tile 0 fails twice, and tile 1 kills its process once; each has reported before."""

import os
import signal
from pathlib import Path

from progress_ledger import current, progress
from progress_ledger.snakemake import attach

from support import is_first

with attach(snakemake):  # noqa: F821  Snakemake defines it
    folder, number = os.environ["TEST_FOLDER"], snakemake.wildcards.number  # noqa: F821
    progress("tiles").add(10)
    progress("tiles").done(10)
    if number == "0" and (is_first(folder, "first") or is_first(folder, "second")):
        raise ConnectionError("not yet")
    if number == "1" and is_first(folder, "killed"):
        current().flush()
        os.kill(os.getpid(), signal.SIGKILL)
    Path(snakemake.output[0]).touch()  # noqa: F821
