"""Bars of tqdm that are indicators too."""

from __future__ import annotations

import io

import pytest

from progress_ledger import Job
from progress_ledger.tqdm import tqdm, trange

from conftest import figures


@pytest.mark.parametrize("disable", [False, True, None])
def test_a_loop_is_reported_whether_the_bar_is_shown_or_not(job: Job, disable: bool | None) -> None:
    output = io.StringIO()
    with job.execution("loop"):
        for _ in tqdm(range(1000), desc="download", file=output, disable=disable):
            pass
        for number in tqdm([1, 2, 3], label="left", file=output, disable=disable):
            if number == 2:
                break
        assert list(trange(2, 6, 2, file=output, disable=disable)) == [2, 4]
    assert figures(job) == {"download": (1000, 1000), "left": (1, 3), None: (2, 2)}
    assert ("1000/1000" in output.getvalue()) == (disable is False)


def test_bars_that_are_moved_by_hand_report_whole_units_once(job: Job) -> None:
    with job.execution("hand") as context:
        with tqdm(total=10, initial=2, desc="a", file=io.StringIO()) as bar:
            bar.update(3)
            bar.update(-3)
            bar.update(3)
            bar.update(0.75)
            bar.update(0.75)
            bar.total = 12
            bar.refresh()
        with tqdm(total=2.5, execution=context, label="b", file=io.StringIO()) as bar:
            bar.update(2.5)
            bar.reset(total=4)
            bar.update(4)
        with tqdm(total=float("inf"), label="endless", file=io.StringIO()) as bar:
            bar.update()
        tqdm(desc="x" * 200, file=io.StringIO()).update(1)
    assert figures(job) == {"a": (6, 12), "b": (6, 7), "endless": (1, 0), "x" * 100: (1, 0)}


def test_outside_of_any_execution_it_is_a_bar() -> None:
    output = io.StringIO()
    assert list(tqdm(range(3), file=output)) == [0, 1, 2]
    assert "3/3" in output.getvalue()
