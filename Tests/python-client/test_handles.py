"""Several processes that report to one execution: pickled contexts, handles, and variables."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from programs import Program

import progress_ledger
from progress_ledger import AsyncClient, Client, Handle, Job, Settings
from progress_ledger.threads import ThreadPoolExecutor

from conftest import QUICK, Messages, figures
from fault_proxy import CutAfter, CutBefore, FaultProxy
from ledger_process import LedgerProcess

METHODS = ["spawn", "forkserver"]


def through_context(context: Any, number: int) -> int:
    """The work of a child process with a pickled execution."""
    with context:
        progress_ledger.progress("context").done(number)
    return os.getpid()


def through_indicator(indicator: Any, number: int) -> bool:
    indicator.done(number)
    return bool(progress_ledger.current().flush(10))


def through_current(number: int) -> bool:
    progress_ledger.progress("current").done(number)
    return progress_ledger.current().flush(10)


def through_job(job: Job, number: int) -> str:
    with job.execution(f"child {number}", attempt=1) as context:
        context.progress("job").done(number)
    return job.id


@pytest.mark.parametrize("method", METHODS)
def test_contexts_indicators_and_jobs_work_in_other_processes(job: Job, method: str) -> None:
    numbers = range(1, 21)
    with job.execution("tile", attempt=1) as context:
        pool = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method))
        with pool:
            children = set(pool.map(through_context, [context] * 20, numbers))
            list(pool.map(through_indicator, [context.progress("indicator")] * 20, numbers))
            assert all(pool.map(context.carry(through_current), numbers))
            assert set(pool.map(through_job, [job] * 20, numbers)) == {job.id}
        context.progress("context").done(1000)
    assert os.getpid() not in children
    assert figures(job) == {"context": (1210, 0), "indicator": (210, 0), "current": (210, 0), "job": (210, 0)}
    assert len(list(job.events(task="tile", type="execution_started"))) == 1
    assert len(list(job.events(task="tile", type="execution_finished"))) == 1
    assert {event["verdict"] for event in job.events(task="tile")} == {"counted"}


@pytest.mark.parametrize("method", METHODS)
def test_a_pool_adopts_the_execution_by_its_initializer(job: Job, method: str) -> None:
    with job.execution("tile", attempt=1) as context:
        processes = multiprocessing.get_context(method)
        with ProcessPoolExecutor(2, mp_context=processes, initializer=context.adopt) as pool:
            assert all(pool.map(through_current, range(1, 21)))
    assert figures(job) == {"current": (210, 0)}


def test_a_terminated_pool_sends_its_reports(job: Job) -> None:
    with job.execution("tile", attempt=1) as context, multiprocessing.get_context("spawn").Pool(2) as pool:
        # Its end terminates the processes, which have waited for nothing.
        pool.map(context.carry(report_without_waiting), range(1, 21))
    assert figures(job) == {"late": (210, 0)}


def report_without_waiting(number: int) -> None:
    progress_ledger.progress("late").done(number)


def test_unpickled_in_the_same_process_everything_is_the_same(ledger: Client, job: Job) -> None:
    def again(value: Any) -> Any:
        return pickle.loads(pickle.dumps(value))

    with job.execution("tile", attempt=1) as context:
        context.progress("a").done(1)
        with again(context) as same:
            assert progress_ledger.current() is same
            same.progress("a").done(2)
            again(same.progress("a")).done(4)
            copy.deepcopy(context).progress("a").done(8)
        assert progress_ledger.current() is context
        assert again(ledger).stats == ledger.stats
        assert again(job).id == job.id
        assert again(job).known == job.known
        client = AsyncClient(str(ledger.url))
        assert again(client).url == ledger.url
        assert again(client.job(job.id)).id == job.id
        assert not list(job.events(task="tile", type="execution_finished")), "leaving a copy ends nothing"
    assert context.stats.taken == 4
    assert figures(job) == {"a": (15, 0)}
    assert len(list(job.events(task="tile", type="execution_finished"))) == 1


def test_a_pickle_contains_a_given_token_but_none_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROGRESS_LEDGER_TOKEN", "pl_secret")
    monkeypatch.setenv("PROGRESS_LEDGER_URL", "http://127.0.0.1:9")
    assert b"pl_secret" not in pickle.dumps(Client())
    given = pickle.dumps(Client(token="pl_given"))
    assert b"pl_given" in given
    assert b"pl_secret" not in given
    context = Client().job("01890000-0000-7000-8000-000000000000").execution("tile")
    assert b"pl_secret" not in pickle.dumps(context)
    assert "token" not in repr(context.handle()).lower()


def test_silent_and_lost_executions_can_be_pickled(monkeypatch: pytest.MonkeyPatch) -> None:
    silent = Client().job().execution("tile")
    assert silent.handle().variables() == {}
    copied = pickle.loads(pickle.dumps(silent))
    copied.progress("a").done(1)
    assert copied.stats.dropped == 0
    with silent.handle().attach() as attached:
        attached.progress("a").done(1)
    assert attached.stats.dropped == 0
    lost = pickle.loads(pickle.dumps(silent.__class__ and Client().job("no id").execution("tile")))
    lost.progress("a").done(1)
    assert lost.stats.dropped == 1
    monkeypatch.setenv("PROGRESS_LEDGER_URL", "nonsense")
    unusable = pickle.loads(pickle.dumps(Client().job("01890000-0000-7000-8000-000000000000").execution("tile")))
    unusable.progress("a").done(1)
    assert unusable.stats.dropped == 1
    pickle.loads(pickle.dumps(progress_ledger.current())).progress("a")


def test_a_program_reports_to_the_execution_of_its_environment(server: LedgerProcess, job: Job, tmp_path: Path) -> None:
    source = """
        import progress_ledger, sys
        progress_ledger.progress("current").done(int(sys.argv[1]))
        with progress_ledger.Client().job().execution() as context:
            context.progress("job").done(int(sys.argv[1]))
        with progress_ledger.Handle.from_environment().attach() as context:
            context.progress("handle").done(int(sys.argv[1]))
        assert progress_ledger.current().flush()
        """
    with job.execution("tile", attempt=3) as context:
        environment = {**os.environ, **context.handle().variables()}
        for number in (1, 2, 4):
            command = [sys.executable, "-c", textwrap.dedent(source), str(number)]
            result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
            assert (result.returncode, result.stderr) == (0, "")
    assert figures(job) == {"current": (7, 0), "job": (7, 0), "handle": (7, 0)}
    (task,) = job.tasks()
    assert [(run.execution, run.attempt, run.outcome) for run in task.executions] == [
        (context.execution, 3, "succeeded")
    ]


def test_a_program_under_report_exec_reports_to_its_execution(server: LedgerProcess, job: Job) -> None:
    source = 'import progress_ledger; progress_ledger.progress("a").done(3, message="from Python")'
    command = [
        os.environ["PROGRESS_LEDGER_BINARY"],
        "report",
        "exec",
        "--attempt",
        "2",
        "--",
        sys.executable,
        "-c",
        source,
    ]
    variables = {"URL": server.url, "JOB": job.id, "TASK": "tile"}
    environment = {**os.environ, **{f"PROGRESS_LEDGER_{name}": content for name, content in variables.items()}}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
    assert figures(job) == {"a": (3, 0)}
    (task,) = job.tasks()
    assert [(run.attempt, run.outcome) for run in task.executions] == [(2, "succeeded")]


def test_a_handle_survives_its_variables() -> None:
    handle = Handle("01890000-0000-7000-8000-000000000000", "tile", "host-1", 7, "http://127.0.0.1:9")
    assert Handle.from_environment(handle.variables()) == handle
    assert pickle.loads(pickle.dumps(handle)) == handle
    variables = handle.variables()
    del variables["PROGRESS_LEDGER_ATTEMPT"], variables["PROGRESS_LEDGER_URL"]
    assert Handle.from_environment(variables) == Handle(handle.job, "tile", "host-1")
    for name in ("JOB", "TASK", "EXECUTION"):
        assert Handle.from_environment({**variables, f"PROGRESS_LEDGER_{name}": ""}) is None
    for attempt in ("x", "0", "2147483648", "9" * 5000, "-1", "١"):
        wrong = Handle.from_environment({**variables, "PROGRESS_LEDGER_ATTEMPT": attempt})
        assert wrong is not None
        assert wrong.attempt is None


@pytest.mark.parametrize(
    "handle",
    [
        Handle("no id", "tile", "host", 1, "http://127.0.0.1:9"),
        Handle("01890000-0000-7000-8000-000000000000", "", "host", 1, "http://127.0.0.1:9"),
        Handle("01890000-0000-7000-8000-000000000000", "tile", "host", 0, "http://127.0.0.1:9"),
        Handle("01890000-0000-7000-8000-000000000000", "tile", "host", 1, "ftp://127.0.0.1:9"),
    ],
)
def test_reports_to_an_invalid_handle_are_dropped_and_counted(handle: Handle) -> None:
    with handle.attach() as context:
        context.progress("a").done(1)
    assert context.stats.dropped == 1


ATTACHING = """
from progress_ledger import Handle
context = Handle.from_environment().attach(ledger)
"""


def attach_programs(programs: type[Program], context: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Program]:
    """Returns a function that starts a program with an attached `context`."""
    for name, content in context.handle().variables().items():
        monkeypatch.setenv(name, content)

    def start(source: str, *arguments: str, **options: str) -> Program:
        return programs(ATTACHING + textwrap.dedent(source), *arguments, **options)

    return start


def test_reports_of_killed_parts_count_once_if_they_were_sent(
    programs: type[Program], job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    with job.execution("tile", attempt=1) as context:
        start = attach_programs(programs, context, monkeypatch)
        started = [
            start(
                """
                context.progress("sent").done(100)
                assert context.flush()
                context.progress("unsent").done(1)
                print("flushed", flush=True)
                time.sleep(60)
                """
            )
            for _ in range(4)
        ]
        for program in started:
            assert program.read_line() == "flushed"
            program.process.send_signal(signal.SIGKILL)
            program.process.wait(30)
        context.progress("sent").done(1)
    assert figures(job) == {"sent": (401, 0)}


def test_reports_of_parts_count_once_whatever_the_network_does(
    programs: type[Program], proxy: FaultProxy, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty = Client(proxy.url, settings=QUICK)
    with faulty.job(job.id).execution("tile", attempt=1) as context:
        start = attach_programs(programs, context, monkeypatch)
        source = """
            for _ in range(200):
                context.progress("units").done(1)
                time.sleep(0.002)
            deadline = time.monotonic() + 30
            while not context.flush(1) and time.monotonic() < deadline:
                pass
            assert context.stats.dropped == 0 and not context.stats.pending, context.stats
            """
        stop = threading.Event()

        def disturb() -> None:
            for number in range(16):
                proxy.inject(CutAfter() if number % 2 else CutBefore())
                if stop.wait(0.05):
                    return

        thread = threading.Thread(target=disturb)
        thread.start()
        started = [start(source, "0.01", url=proxy.url) for _ in range(3)]
        for program in started:
            program.end()
        stop.set()
        thread.join()
        context.progress("units").done(1)
        assert context.flush(30)
    assert figures(job) == {"units": (601, 0)}
    assert {event["verdict"] for event in job.events(type="progress")} <= {"counted", "duplicate"}


def test_an_attached_process_learns_that_the_execution_is_superseded(
    programs: type[Program], job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    with job.execution("tile", attempt=1) as context:
        context.flush()
        start = attach_programs(programs, context, monkeypatch)
        with job.execution("tile", attempt=2):
            pass
        output = start(
            """
            context.progress("a").done(1)
            context.flush()
            print(context.superseded, context.check())
            """
        ).end()
    assert output.startswith("True False\n")
    assert figures(job) == {}


def test_a_process_remembers_a_bounded_number_of_parts(
    ledger: Client, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("progress_ledger.jobs.PARTS_MAX", 3)
    client = Client(str(ledger.url), settings=QUICK)
    handles = [Handle(job.id, "tile", f"execution {number}", number + 1, ledger.url) for number in range(5)]
    for _ in range(3):
        for handle in handles:
            with handle.attach(client) as context:
                context.progress("a").done(1)
    assert len(client._ledger._parts) == 3
    assert client.flush(10)
    assert sum(event["done"] for event in job.events(type="progress")) == 15
    assert not list(job.events(verdict="duplicate"))
    assert not list(job.events(verdict="conflict"))
    assert figures(job) == {"a": (3, 0)}


def test_all_unpickled_tasks_share_a_bounded_number_of_clients() -> None:
    from progress_ledger.client import RESTORED_CLIENTS_MAX, Configuration, _restored, shared_ledger

    first = shared_ledger(None, Configuration.read("http://127.0.0.1:9", None, None, None))
    assert shared_ledger("of another process", Configuration.read("http://127.0.0.1:9", None, None, None)) is first
    for number in range(2 * RESTORED_CLIENTS_MAX):
        shared_ledger(None, Configuration.read(f"http://127.0.0.1:{number + 10}", None, None, None))
    assert len(_restored) == RESTORED_CLIENTS_MAX
    assert shared_ledger(None, Configuration.read("http://127.0.0.1:9", None, None, None)) is not first
    assert shared_ledger(None, Configuration.read("http://127.0.0.1:9", "a", Settings(), None)) is not first


def test_the_threads_of_an_executor_report_to_the_execution_of_their_submitter(job: Job) -> None:
    def work(number: int) -> str:
        progress_ledger.progress("threads").done(number)
        return progress_ledger.current().task

    with ThreadPoolExecutor(2) as pool:
        for task in ("first", "second"):
            with job.execution(task, attempt=1):
                assert set(pool.map(work, range(1, 11))) == {task}
                assert pool.submit(work, 1).result() == task
    assert figures(job) == {"threads": (112, 0)}


def test_threads_that_enter_one_execution_do_not_end_it_for_others(job: Job, messages: Messages) -> None:
    inside, others = threading.Barrier(4), threading.Barrier(4)

    def work() -> None:
        before = progress_ledger.current()
        with context:
            inside.wait(20)
            assert progress_ledger.current() is context
            progress_ledger.progress("a").done(1)
        others.wait(20)
        assert progress_ledger.current() is before

    with job.execution("tile", attempt=1) as context:
        with ThreadPoolExecutor(4) as pool:
            for future in [pool.submit(work) for _ in range(4)]:
                future.result()
        assert context.flush()
        assert not list(job.events(type="execution_finished"))
        with context:
            pass
        assert progress_ledger.current() is context
    assert figures(job) == {"a": (4, 0)}
    assert len(list(job.events(type="execution_finished"))) == 1
    assert not messages.count("entered again")


@pytest.mark.parametrize("leaves_last", ["good", "bad"])
def test_an_exception_in_one_of_several_threads_fails_the_execution(job: Job, leaves_last: str) -> None:
    entered, left = threading.Barrier(2), threading.Event()

    def work(name: str, error: Exception | None) -> None:
        with context:
            entered.wait(20)
            if name == leaves_last:
                left.wait(20)
            if error is not None:
                raise error

    context = job.execution("tile", attempt=1)
    with ThreadPoolExecutor(2) as pool:
        futures = {"good": pool.submit(work, "good", None), "bad": pool.submit(work, "bad", KeyError("a"))}
        for name in sorted(futures, key=lambda name: name == leaves_last):
            futures[name].exception()
            left.set()
    (end,) = job.events(type="execution_finished")
    assert (end["outcome"], end["message"]) == ("failed", "KeyError")


def test_an_exception_that_the_outer_entry_of_its_thread_handles_fails_nothing(job: Job) -> None:
    with job.execution("tile", attempt=1) as context, pytest.raises(KeyError), context:
        raise KeyError
    (end,) = job.events(type="execution_finished")
    assert end["outcome"] == "succeeded"


def test_reports_of_a_part_start_no_execution_of_a_canceled_job(ledger: Client, job: Job) -> None:
    assert job.finish("canceled")
    other = Client(str(ledger.url), settings=QUICK)
    with job.execution("tile", attempt=1) as context:
        with context.handle().attach(other) as attached:
            attached.progress("a").done(7)
        assert attached.stats.dropped == 1
        assert attached.job_ended == "canceled"
        assert job.refresh().state == "canceled"
        # Another client reopens it.
        with job.execution("other", unless_canceled=False):
            pass
        with context.handle().attach(other) as attached:
            attached.progress("a").done(1)
    assert figures(job) == {"a": (1, 0)}
    assert not list(job.events(task="tile", type="execution_started"))


def test_a_part_of_a_started_execution_goes_on_reporting_to_a_canceled_job(ledger: Client, job: Job) -> None:
    with job.execution("tile", attempt=1) as context:
        with context.handle().attach(Client(str(ledger.url), settings=QUICK)) as attached:
            attached.progress("a").done(1)
            assert attached.flush()
            assert job.finish("canceled")
            attached.progress("a").done(2)
        assert attached.stats.dropped == 0
    assert figures(job) == {"a": (3, 0)}
