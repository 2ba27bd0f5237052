"""PySpark: partitions whose Python worker is killed, that fail, and that another action computes again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark import SparkConf, SparkContext

from progress_ledger import Job, current, progress
from progress_ledger.contexts import is_within_execution
from progress_ledger.pyspark import reporting

from ledger_process import LedgerProcess
from support import attempts, figures, is_first


@pytest.fixture(scope="module")
def spark(server: LedgerProcess) -> Iterator[SparkContext]:
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    # Two threads, and at most four failures of a task.
    configuration = SparkConf().setMaster("local[2,4]").setAppName("test")
    for name, value in {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1"}.items():
        configuration.set(name, value)
    context = SparkContext(conf=configuration)
    yield context
    context.stop()


def test_partitions_that_are_computed_again_count_once(spark: SparkContext, job: Job, tmp_path: Path) -> None:
    folder = str(tmp_path)

    def scan(rows: Iterator[int]) -> Iterator[int]:
        for row in rows:
            progress("rows").add(1)
            progress("rows").done(1)
            if row == 15 and is_first(folder, "killed"):
                current().flush()
                os.kill(os.getpid(), signal.SIGKILL)
            if row == 25 and is_first(folder, "failed"):
                raise ConnectionError("not yet")
            yield row

    rows = spark.parallelize(range(40), 4).mapPartitions(reporting(job, "scan")(scan))
    assert rows.count() == 40
    assert figures(job) == {"rows": (40, 40)}
    # Each action computes the partitions that it needs again, and `take` leaves the last one early.
    assert rows.take(15) == list(range(15))
    assert rows.sum() == sum(range(40))
    assert figures(job) == {"rows": (40, 40)}
    runs = attempts(job)
    assert set(runs) == {f"scan[{number}]" for number in range(4)}
    outcomes = {name: [outcome for _, outcome in found] for name, found in runs.items()}
    assert outcomes["scan[1]"][:2] == [None, "succeeded"]
    assert outcomes["scan[2]"] == ["failed", "succeeded", "succeeded"]
    for found in runs.values():
        assert [attempt for attempt, _ in found] == sorted({attempt for attempt, _ in found})


def test_transformations_that_consume_each_other_keep_their_own_numbers(spark: SparkContext, job: Job) -> None:
    def check(is_true: bool) -> None:
        # The workers of Spark do not know pytest.
        if not is_true:
            raise ValueError("the check has failed")

    def scan(rows: Iterator[int]) -> Iterator[int]:
        for row in rows:
            progress("scan").done(1)
            yield row

    def write(rows: Iterator[int]) -> Iterator[int]:
        for row in rows:
            # The rows of the other transformation come from within its execution.
            check(current().task.startswith("write["))
            progress("write").done(1)
            yield row

    def idle(rows: Iterator[int]) -> Iterator[int]:
        # In the worker of the former transformations.
        check(not is_within_execution())
        return rows

    rows = spark.parallelize(range(40), 2).mapPartitions(reporting(job, "scan")(scan))
    written = rows.mapPartitions(reporting(job, "write")(write))
    # It leaves both early.
    assert written.take(5) == list(range(5))
    assert spark.parallelize(range(4), 2).mapPartitions(idle).count() == 4
    assert written.count() == 40
    assert figures(job) == {"scan": (40, 0), "write": (40, 0)}
