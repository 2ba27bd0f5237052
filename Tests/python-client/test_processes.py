"""Processes fork, are told to stop, are killed, and end: what was sent counts once, and what is owed is sent."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from progress_ledger import Job

from conftest import figures
from fault_proxy import CutBefore, FaultProxy, Hold
from ledger_process import LedgerProcess

BEGIN = """
import os, signal, sys, threading, time
from progress_ledger import Client, Settings
url, id, *arguments = sys.argv[1:]
# An hour: nothing is sent unless something makes it.
ledger = Client(url, settings=Settings(report_seconds=float(arguments[0]) if arguments else 3600, flush_seconds=10))
job = ledger.job(id)
"""


class Program:
    """A Python process that reports to a job."""

    def __init__(self, url: str, job: Job, source: str, *arguments: str, before: str = "") -> None:
        code = "\n".join((before, BEGIN, textwrap.dedent(source)))
        command = [sys.executable, "-c", code, url, job.id, *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def read_line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self, code: int = 0) -> str:
        output, errors = self.process.communicate(timeout=60)
        assert self.process.returncode == code, errors
        assert "Traceback" not in errors, errors
        return output + errors


@pytest.fixture
def programs(server: LedgerProcess, job: Job) -> Iterator[type[Program]]:
    started: list[Program] = []

    class Started(Program):
        def __init__(self, source: str, *arguments: str, url: str = server.url, before: str = "") -> None:
            super().__init__(url, job, source, *arguments, before=before)
            started.append(self)

    yield Started
    for program in started:
        program.process.kill()
        program.process.communicate()


def test_the_end_of_the_process_sends_unsent_reports(programs: type[Program], job: Job) -> None:
    programs(
        """
        context = job.execution("tile").start()
        context.progress().done(5)
        """
    ).end()
    assert figures(job) == {None: (5, 0)}
    assert job.refresh().tasks.running == 1


def test_an_exception_ends_the_execution_and_sends_unsent_reports(programs: type[Program], job: Job) -> None:
    program = programs(
        """
        with job.execution("tile") as context:
            context.progress().done(5)
            sys.exit(3)
        """
    )
    program.end(3)
    assert figures(job) == {None: (5, 0)}
    assert job.refresh().tasks.failed == 1


def test_a_process_whose_sender_thread_cannot_start_sends_at_its_end(programs: type[Program], job: Job) -> None:
    programs(
        """
        def refuse(self):
            raise RuntimeError("can't start new thread")
        start, threading.Thread.start = threading.Thread.start, refuse
        context = job.execution("tile").start()
        context.progress().done(5)
        """
    ).end()
    assert figures(job) == {None: (5, 0)}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_cancels_executions_sends_everything_and_ends_the_process(
    programs: type[Program], job: Job, number: signal.Signals
) -> None:
    program = programs(
        """
        started = job.execution("started").start().progress()
        started.done(7)
        with job.execution("ended"):
            pass
        with job.execution("outer"), job.execution("inner") as context:
            context.progress().done(5)
            print("ready", flush=True)
            while True:
                time.sleep(3600)
        """
    )
    assert program.read_line() == "ready"
    program.process.send_signal(number)
    program.end(-number)
    assert figures(job) == {None: (12, 0)}
    assert {task.task: task.state for task in job.tasks()} == {
        "started": "canceled", "ended": "succeeded", "outer": "canceled", "inner": "canceled",
    }  # fmt: skip


def test_a_signal_that_is_ignored_stays_ignored(programs: type[Program], job: Job) -> None:
    program = programs(
        """
        with job.execution("tile") as context:
            os.kill(os.getpid(), signal.SIGHUP)
            context.progress().done(5)
        """,
        before="import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)",
    )
    program.end()
    assert figures(job) == {None: (5, 0)}
    assert job.refresh().tasks.succeeded == 1


def test_a_signal_cancels_no_execution_of_the_parent(programs: type[Program], job: Job) -> None:
    program = programs(
        """
        with job.execution("parent") as context:
            context.flush()
            child = os.fork()
            if child == 0:
                with job.execution("child") as own:
                    own.progress("child").done(1)
                    context.progress("parent").done(1)
                    os.kill(os.getpid(), signal.SIGTERM)
                    while True:
                        time.sleep(3600)
            assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGTERM
            context.progress("parent").done(1)
        """
    )
    program.end()
    assert figures(job) == {"child": (1, 0), "parent": (2, 0)}
    assert {task.task: task.state for task in job.tasks()} == {"parent": "succeeded", "child": "canceled"}


BUSY = """
        def report():
            while True:
                context.progress().done()
                time.sleep(0)
        context = job.execution("tile").start()
        busy = threading.Thread(target=report, daemon=True)
"""


def test_a_flush_does_not_wait_for_later_reports(programs: type[Program], job: Job) -> None:
    program = programs(
        BUSY
        + """
        context.progress("mine").done(5)
        busy.start()
        print(context.flush(), ledger.flush(), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    assert program.read_line() == "True True"
    program.end(-signal.SIGKILL)
    assert figures(job)["mine"] == (5, 0)


def test_sigterm_sends_unsent_reports_while_the_process_continues_to_report(programs: type[Program], job: Job) -> None:
    program = programs(
        BUSY
        + """
        busy.start()
        context.progress("mine").done(5)
        os.kill(os.getpid(), signal.SIGTERM)
        busy.join()
        """
    )
    assert "could not be sent" not in program.end(-signal.SIGTERM)
    assert figures(job)["mine"] == (5, 0)


def test_sigterm_in_the_middle_of_a_report_does_not_lock_up(programs: type[Program], job: Job) -> None:
    program = programs(
        """
        with job.execution("tile") as context:
            print("ready", flush=True)
            with ledger._ledger.sender.lock:
                context.progress().done(5)
                os.kill(os.getpid(), signal.SIGTERM)
                context.progress().done(1)
            while True:
                time.sleep(3600)
        """
    )
    assert program.read_line() == "ready"
    program.end(-signal.SIGTERM)
    assert figures(job)[None][0] in (5, 6)


def test_a_second_sigterm_ends_the_process_at_once(programs: type[Program], job: Job, proxy: FaultProxy) -> None:
    never = threading.Event()
    proxy.inject_always(Hold(never))
    program = programs(
        """
        context = job.execution("tile").start()
        context.progress().done(5)
        print("ready", flush=True)
        while True:
            time.sleep(3600)
        """,
        url=proxy.url,
    )
    assert program.read_line() == "ready"
    proxy.wait_until_seen(1)
    program.process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        program.process.wait(0.5)
    program.process.send_signal(signal.SIGTERM)
    program.end(-signal.SIGTERM)
    never.set()


def test_a_handler_of_the_program_stays(programs: type[Program], job: Job) -> None:
    program = programs(
        """
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
        with job.execution("tile") as context:
            context.progress().done(5)
            print("ready", flush=True)
            while True:
                time.sleep(3600)
        """
    )
    assert program.read_line() == "ready"
    program.process.send_signal(signal.SIGTERM)
    program.end(7)
    assert figures(job) == {None: (5, 0)}
    assert job.refresh().tasks.failed == 1


def test_reports_of_a_killed_process_count_if_they_were_sent_and_only_once(programs: type[Program], job: Job) -> None:
    program = programs(
        """
        context = job.execution("tile", attempt=1).start()
        while True:
            context.progress("units").done(1)
            context.flush()
            print(context.stats.recorded, flush=True)
        """,
        "0.01",
    )
    for _ in range(20):
        recorded = int(program.read_line())
    program.process.kill()
    rest, _ = program.process.communicate()
    told = [int(line) for line in rest.split("\n")[:-1] if line.isdigit()]
    # The first recorded event is the start; of the last request nobody knows.
    known = (told[-1] if told else recorded) - 1
    assert figures(job)["units"][0] in (known, known + 1)
    assert {event["verdict"] for event in job.events()} == {"counted"}


def test_reports_lost_at_the_end_of_the_process_are_logged(programs: type[Program], proxy: FaultProxy) -> None:
    proxy.inject_always(CutBefore())
    program = programs(
        """
        import dataclasses
        ledger._ledger.sender.settings = dataclasses.replace(ledger._ledger.sender.settings, flush_seconds=0.5)
        context = job.execution("tile").start()
        context.progress().done(5)
        """,
        url=proxy.url,
    )
    assert "reports could not be sent before the end" in program.end()


ENDINGS = {
    "of a client": """
        with Client(url) as ledger, ledger.job(id).execution("tile") as context:
            context.progress().done(5)
        """,
    "of a process": """
        with Client(url).job(id).execution("tile") as context:
            context.progress().done(5)
        """,
    "of two clients": """
        for number in range(2):
            context = Client(url).job(id).execution(f"tile {number}").start()
            context.progress().done(5)
        """,
    "of a coroutine": """
        import asyncio
        from progress_ledger import AsyncClient
        async def main():
            async with AsyncClient(url) as ledger, ledger.job(id).execution("tile") as context:
                context.progress().done(5)
        asyncio.run(main())
        """,
    "of a job": """
        with Client(url) as ledger:
            ledger.job(id).finish()
        """,
    "by a signal": """
        with Client(url).job(id).execution("tile") as context:
            context.progress().done(5)
            os.kill(os.getpid(), signal.SIGTERM)
            while True:
                time.sleep(3600)
        """,
}


@pytest.mark.parametrize("hangs", [False, True], ids=["away", "hanging"])
@pytest.mark.parametrize("ending", list(ENDINGS))
def test_an_end_without_a_ledger_waits_five_seconds_in_all_and_logs_once(
    programs: type[Program], ending: str, hangs: bool
) -> None:
    """With the usual settings: the ledger refuses connections, or takes them and never answers."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if hangs:
            silent.listen(100)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        output = programs(ENDINGS[ending], url=url).end(-signal.SIGTERM if ending == "by a signal" else 0)
        seconds = time.monotonic() - began
    # Python starts and imports in this time too.
    assert seconds < 5 + 3, f"{seconds:.1f} s"
    clients = 2 if ending == "of two clients" else 1
    assert output.count("could not be sent before the end") == clients, output
    assert output.count("the ledger does not take reports") <= clients, output


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
            # These wait in the parent while it forks.
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
                    # The end of the child is the end of the block, but not of the execution, which is its parent's.
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
    """A process that forks in the middle of an import has half a module in its child, for good."""
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
