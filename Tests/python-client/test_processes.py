"""Processes fork, get signals, are killed, and end: sent reports count once, and unsent ones are sent."""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
import time

import pytest
from programs import Program

from progress_ledger import Job

from conftest import figures
from fault_proxy import CutBefore, FaultProxy, Hold


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
    printed = [int(line) for line in rest.split("\n")[:-1] if line.isdigit()]
    # The first recorded event is the start; the outcome of the last request is unknown.
    reported = (printed[-1] if printed else recorded) - 1
    assert figures(job)["units"][0] in (reported, reported + 1)
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
    """With the default settings, the ledger refuses connections, or accepts them and never responds."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if hangs:
            silent.listen(100)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        output = programs(ENDINGS[ending], url=url).end(-signal.SIGTERM if ending == "by a signal" else 0)
        seconds = time.monotonic() - began
    # The time includes the start of Python and its imports.
    assert seconds < 5 + 3, f"{seconds:.1f} s"
    clients = 2 if ending == "of two clients" else 1
    assert output.count("could not be sent before the end") == clients, output
    assert output.count("the ledger does not take reports") <= clients, output
