"""Measures and prints the cost of calls. It asserts nothing, because figures of a shared machine prove nothing.

python benchmark.py URL
"""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from tqdm.auto import tqdm as plain

from progress_ledger import Client
from progress_ledger.tqdm import tqdm

from ledger_process import LedgerProcess

IMPORT = """
import time
began = time.process_time()
from progress_ledger import Client, progress
imported = time.process_time()
Client("http://localhost:8080")
print(imported - began, time.process_time() - imported)
"""
CALLS = 200_000
ROUNDS = 5


def measure(name: str, body: Callable[[int], None]) -> None:
    """Prints the best and the median of several rounds, in microseconds per call."""
    figures = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        body(CALLS)
        figures.append((time.perf_counter() - began) / CALLS * 1e6)
    figures.sort()
    print(f"{name:<44} {figures[0]:6.2f} µs best  {figures[ROUNDS // 2]:6.2f} µs median")


def compare(name: str, bodies: dict[str, Callable[[int], None]]) -> None:
    """Prints the cost of each variant and the ratio of the last one to the first; rounds alternate."""
    best = dict.fromkeys(bodies, float("inf"))
    for _ in range(3 * ROUNDS):
        for way, body in bodies.items():
            began = time.process_time()
            body(CALLS)
            best[way] = min(best[way], (time.process_time() - began) / CALLS * 1e6)
    first, *_, last = best.values()
    figures = "  ".join(f"{way} {figure:.3f} µs" for way, figure in best.items())
    print(f"{name:<44} {figures}  {last / first:.2f} times as much")


def bars(cls: Any, disable: bool) -> tuple[Callable[[int], None], Callable[[int], None]]:
    """Returns a loop over a bar, and a bar that is moved by hand."""

    def loop(calls: int) -> None:
        for _ in cls(range(calls), desc="bar", file=io.StringIO(), disable=disable):
            pass

    def by_hand(calls: int) -> None:
        with cls(total=calls, desc="bar", file=io.StringIO(), disable=disable) as bar:
            for _ in range(calls):
                bar.update(1)

    return loop, by_hand


def measure_import() -> None:
    """Prints the processor time of the import and of the first client, the best of several processes."""
    command = [sys.executable, "-c", IMPORT]
    figures = [subprocess.run(command, capture_output=True, check=True, text=True).stdout.split() for _ in range(10)]
    for name, column in (("import of the package", 0), ("first client with a URL", 1)):
        print(f"{name:<44} {min(float(figure[column]) for figure in figures) * 1e3:6.1f} ms of processor time, best")


def main() -> None:
    measure_import()
    server = LedgerProcess()
    try:
        measure_all(server.url)
    finally:
        server.remove()


def measure_all(url: str) -> None:
    print(f"cost of a call, Python {sys.version.split()[0]}, {CALLS:,} calls per round, {ROUNDS} rounds, with a ledger")
    with Client(url) as ledger:
        job = ledger.jobs.create("benchmark")
        with job.execution("calls") as context:
            progress = context.progress("units")

            def done(calls: int) -> None:
                for _ in range(calls):
                    progress.done(1)

            def look_up(calls: int) -> None:
                for _ in range(calls):
                    context.progress("units").done(1)

            def many_labels(calls: int) -> None:
                for number in range(calls):
                    context.progress(labels[number % 100]).add(1)

            def track(calls: int) -> None:
                for _ in context.track(range(calls), label="tracked"):
                    pass

            def threads(calls: int) -> None:
                workers = [threading.Thread(target=done, args=(calls // 8,)) for _ in range(8)]
                for worker in workers:
                    worker.start()
                for worker in workers:
                    worker.join()

            labels = [f"label {number}" for number in range(100)]
            measure("progress.done(1)", done)
            measure('context.progress("units").done(1)', look_up)
            measure("context.progress(LABEL).add(1), 100 labels", many_labels)
            measure("for … in context.track(…)", track)
            measure("progress.done(1), 8 threads", threads)
            for disable in (False, True):
                kind = "a disabled bar" if disable else "a bar"
                (loop, move), (our_loop, our_move) = bars(plain, disable), bars(tqdm, disable)
                compare(f"for … in tqdm(…), {kind}", {"tqdm": loop, "ours": our_loop})
                compare(f"update(1), {kind}", {"tqdm": move, "ours": our_move})
        began = time.perf_counter()
        for number in range(200):
            with job.execution(f"short {number}"):
                pass
        print(f"{'an empty execution, start to end':<44} {(time.perf_counter() - began) / 200 * 1e3:6.2f} ms mean")
        with Client(settings=None) as silent, silent.jobs.create("silent").execution("calls") as context:
            progress = context.progress("units")
            measure("progress.done(1) without a ledger", done)


if __name__ == "__main__":
    main()
