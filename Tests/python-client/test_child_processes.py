"""Child processes: forked, spawned, in pools, or in the same execution as their parent."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from programs import BEGIN, Program

from progress_ledger import Job

from conftest import figures
from ledger_process import LedgerProcess


def test_a_second_process_in_one_execution_is_logged_and_counted_as_dropped(programs: type[Program], job: Job) -> None:
    source = """
        context = job.execution("tile", attempt=1, execution="shared").start()
        context.progress("same").done(1)
        context.flush()
        context.progress("other").done(int(arguments[1]))
        context.flush()
        context.progress("other").done(1)
        context.flush()
        print(context.stats.dropped)
        """
    assert programs(source, "0.02", "1").end() == "0\n"
    output = programs(source, "0.02", "2").end()
    assert output.startswith("3\n"), output
    assert output.count("another process reports for the same execution") == 1, output
    assert output.count("execution shared of task tile") == 1
    assert figures(job) == {"same": (1, 0), "other": (2, 0)}


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_reports_of_a_process_without_a_context_are_counted_and_logged_once(
    server: LedgerProcess, job: Job, method: str, tmp_path: Path
) -> None:
    source = tmp_path / "pool.py"
    source.write_text(
        textwrap.dedent(
            """
            import multiprocessing, sys
            import progress_ledger
            def work(number):
                progress_ledger.progress("lost").done()
                return progress_ledger.current().stats.dropped
            if __name__ == "__main__":
                ledger = progress_ledger.Client(sys.argv[1])
                with ledger.job(sys.argv[2]).execution("tile"):
                    with multiprocessing.get_context(sys.argv[3]).Pool(1) as pool:
                        print(pool.map(work, range(3)))
            """
        )
    )
    command = [sys.executable, str(source), server.url, job.id, method]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.stdout == "[1, 2, 3]\n"
    assert result.stderr.count("outside of every execution") == 1, result.stderr


def test_a_forked_child_reports_to_the_same_execution_and_sends_nothing_of_its_parent(
    programs: type[Program], job: Job
) -> None:
    program = programs(
        """
        with job.execution("tile", attempt=1) as context:
            context.progress("parent").done(100)
            context.flush()
            # These reports are unsent in the parent during the forks.
            context.progress("parent").done(10)
            context.progress("both").done(1)
            children = []
            for number in range(5):
                child = os.fork()
                if child == 0:
                    context.progress("both").done(1)
                    context.progress("child").add(1)
                    with job.execution(f"child {number}", attempt=1) as own:
                        own.progress("own").done(1)
                    # The child leaves the block, but only its parent ends the execution.
                    sys.exit(0)
                children.append(child)
            for child in children:
                assert os.waitpid(child, 0)[1] == 0
            context.progress("parent").done(1)
        """
    )
    program.end()
    assert figures(job) == {"parent": (111, 0), "both": (6, 0), "child": (0, 5), "own": (5, 0)}
    outcomes = [event for event in job.events(task="tile", type="execution_finished")]
    assert len(outcomes) == 1
    assert len(list(job.events(task="tile", type="execution_started"))) == 1
    reports = [event["report"] for event in job.events(task="tile", type="progress")]
    assert len(set(reports)) == len(reports)


def test_threads_that_report_while_others_fork_lose_nothing(programs: type[Program], job: Job) -> None:
    program = programs(
        """
        stop = threading.Event()
        counts = [0] * 4
        with job.execution("tile", attempt=1) as context:
            def work(number):
                while not stop.is_set():
                    context.progress("threads").done(1)
                    counts[number] += 1
            threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
            for thread in threads:
                thread.start()
            children = []
            for _ in range(40):
                child = os.fork()
                if child == 0:
                    context.progress("children").done(1)
                    context.flush()
                    os._exit(0)
                children.append(child)
            for child in children:
                assert os.waitpid(child, 0)[1] == 0
            stop.set()
            for thread in threads:
                thread.join()
        print(sum(counts))
        """,
        "0.01",
    )
    total = int(program.read_line())
    program.end()
    assert figures(job) == {"threads": (total, 0), "children": (40, 0)}


def test_no_thread_of_the_client_imports_anything(programs: type[Program]) -> None:
    """A process that forks during an import would leave its child with an incomplete module."""
    program = programs(
        """
        before = set(sys.modules)
        with job.execution("tile", attempt=1) as context:
            context.progress().done(1)
        assert context.stats.recorded == 3
        print(sorted(set(sys.modules) - before))
        """
    )
    assert program.end() == "[]\n"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_pool_processes_send_unsent_reports_when_they_end(
    server: LedgerProcess, job: Job, method: str, tmp_path: Path
) -> None:
    source = tmp_path / "pool.py"
    source.write_text(
        BEGIN
        + textwrap.dedent(
            """
            import multiprocessing
            def work(number):
                context = job.execution(f"task {number}", attempt=1).start()
                context.progress("pool").add(2)
                context.progress("pool").done(2)
            if __name__ == "__main__":
                context = multiprocessing.get_context(sys.argv[4])
                workers = [context.Process(target=work, args=(number,)) for number in range(4)]
                for worker in workers:
                    worker.start()
                for worker in workers:
                    worker.join()
                    assert worker.exitcode == 0
            """
        )
    )
    command = [sys.executable, str(source), server.url, job.id, "3600", method]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert figures(job) == {"pool": (8, 8)}


def test_descendants_number_their_reports_apart() -> None:
    from progress_ledger.reporter import RANGE, RANGES, first_report

    drawn: list[tuple[int, int]] = []

    def draw(least: int, most: int) -> int:
        drawn.append((least, most))
        return least

    assert first_report((), (), draw) == 1
    assert first_report((2,), (2,), draw) == 1
    assert first_report((), (1,), draw) == RANGE + 1
    assert first_report((2,), (2, 3), draw) == 3 * RANGE + 1
    assert not drawn
    assert first_report((), (1, 1), draw) == RANGE * RANGES
    assert first_report((), (RANGES,), draw) == RANGE * RANGES
    assert drawn == [(RANGE * RANGES, 2**53 - 1 - RANGE)] * 2
    assert (RANGES - 1) * RANGE + RANGE <= RANGE * RANGES, "what children have and what is drawn do not meet"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_fork_in_a_signal_handler_in_the_middle_of_a_report_works(programs: type[Program], job: Job) -> None:
    programs(
        """
        with job.execution("tile", attempt=1) as context:
            def fork(*_):
                child = os.fork()
                if child == 0:
                    context.progress().done(1)
                    context.flush()
                    os._exit(0)
                assert os.waitpid(child, 0)[1] == 0
            signal.signal(signal.SIGUSR1, fork)
            with ledger._ledger.sender.lock:
                context.progress().done(1)
                os.kill(os.getpid(), signal.SIGUSR1)
                context.progress().done(1)
        """
    ).end()
    assert figures(job) == {None: (3, 0)}


@pytest.mark.parametrize("module", ["integration", "fork_locks"])
def test_a_fork_while_another_thread_looks_for_a_job_leaves_no_lock(programs: type[Program], module: str) -> None:
    source = f"""
        from progress_ledger import {module}, integration
        lock = integration._lock if {module!r} == "integration" else {module}.ForkLock()
        held, end = threading.Event(), threading.Event()
        def hold():
            with lock.held:
                held.set()
                end.wait(30)
        threading.Thread(target=hold).start()
        held.wait(30)
        with integration.ForkLock().held:
            child = os.fork()
        if child == 0:
            signal.alarm(10)
            integration.job_by_id(id)
            with lock.held, lock.held:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        end.set()
        print(status)
        """
    assert programs(source).end() == "0\n"


def test_a_forked_child_starts_no_execution_of_a_canceled_job(programs: type[Program], job: Job) -> None:
    job.finish("canceled")
    source = """
        context = job.execution("tile", attempt=1)
        with ledger._ledger.sender.lock:
            # Before the ledger has refused the start.
            context.start()
            child = os.fork()
        if child == 0:
            context.progress("a").done(3)
            context.flush()
            os._exit(context.stats.dropped)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """
    assert programs(source).end() == "1\n"
    assert job.refresh().state == "canceled"
    assert figures(job) == {}
