"""Reporting and reading in coroutines."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

import progress_ledger
from progress_ledger import AsyncClient, NotFoundError

from conftest import QUICK
from fault_proxy import CutBefore, FaultProxy
from ledger_process import LedgerProcess


def test_the_example_works_with_await(server: LedgerProcess) -> None:
    async def run() -> None:
        async with AsyncClient(server.url, settings=QUICK) as ledger:
            job = await ledger.jobs.create("mosaic", key="asynchronous")
            async with job.execution("tile-17", attempt=2) as context:
                context.progress().add(10)
                context.progress("download").done(1)
                assert progress_ledger.current() is context
            found = await ledger.jobs.find(job.id)
            assert [str(indicator) for indicator in found.progress] == ["progress: 0/10", "download: 1/0"]
            assert (await ledger.jobs.find(key="asynchronous")).id == job.id
            assert [each.id async for each in ledger.jobs.list(key="asynchronous")] == [job.id]
            assert [task.task async for task in job.tasks()] == ["tile-17"]
            assert len(await job.events().all()) == 5
            assert [point.done async for point in job.history("download")] == [1]
            assert (await job.explain("download")).conservation.counted.done == 1
            assert len(await job.events(type="progress").to_pandas()) == 2
            assert (await job.snapshot_at(sequence=1)).progress == ()
            assert await job.finish()
            assert [snapshot.state async for snapshot in job.watch()] == ["completed"]
            assert (await job.wait(10)).state == "completed"
            assert ledger.stats.dropped == 0
            with pytest.raises(NotFoundError):
                await ledger.jobs.find("01890000-0000-7000-8000-000000000000")

    asyncio.run(run())


def test_many_coroutines_report_at_once(server: LedgerProcess) -> None:
    async def run() -> None:
        async with AsyncClient(server.url, settings=QUICK) as ledger:
            job = await ledger.jobs.create("wide")

            async def work(number: int) -> None:
                async with job.execution(f"task {number}"):
                    for _ in range(10):
                        progress_ledger.progress("units").done(1)
                        await asyncio.sleep(0)

            threads = threading.active_count()
            await asyncio.gather(*(work(number) for number in range(500)))
            assert threading.active_count() <= threads + 1, "the ends of executions need no thread each"
            snapshot = await job.refresh()
            assert [(indicator.label, indicator.done) for indicator in snapshot.progress] == [("units", 5000)]
            assert snapshot.tasks.succeeded == 500

    asyncio.run(run())


def test_a_canceled_coroutine_ends_its_execution_canceled(server: LedgerProcess) -> None:
    async def run() -> None:
        async with AsyncClient(server.url, settings=QUICK) as ledger:
            job = await ledger.jobs.create("canceled")
            entered = asyncio.Event()

            async def work() -> None:
                async with job.execution("tile"):
                    entered.set()
                    await asyncio.Event().wait()

            task = asyncio.create_task(work())
            await entered.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await job.refresh()).tasks.canceled == 1

    asyncio.run(run())


def test_an_outage_does_not_stop_the_loop(proxy: FaultProxy) -> None:
    async def run() -> None:
        ledger = AsyncClient(proxy.url, settings=QUICK)
        job = await ledger.jobs.create("outage")
        proxy.inject_always(CutBefore())
        longest = 0.0

        async def tick() -> None:
            nonlocal longest
            while True:
                began = time.monotonic()
                # Not a wait: the delay of this pause is measured.
                await asyncio.sleep(0.01)
                longest = max(longest, time.monotonic() - began)

        ticking = asyncio.create_task(tick())
        began = time.monotonic()
        async with job.execution("tile") as context:
            context.progress().done(1)
        # The patience in an outage, and some time for a busy machine; never the whole limit of 5 s.
        assert time.monotonic() - began < 4.5
        assert longest < 3
        ticking.cancel()
        proxy.inject_always(None)
        assert await ledger.flush(10)
        assert (await job.refresh()).progress[0].done == 1
        await ledger.close()

    asyncio.run(run())


def test_leaving_a_watch_ends_its_thread(server: LedgerProcess) -> None:
    async def run() -> None:
        async with AsyncClient(server.url, settings=QUICK) as ledger:
            job = await ledger.jobs.create("left")
            watch = job.watch()
            async for snapshot in watch:
                assert snapshot.state == "running"
                assert any(thread.name == "progress-ledger-watch" for thread in threading.enumerate())
                break
            await watch.aclose()
            assert await job.finish()
            with pytest.raises(TimeoutError):
                await (await ledger.jobs.create("endless")).wait(0.2)

    asyncio.run(run())
    for thread in threading.enumerate():
        if thread.name == "progress-ledger-watch":
            thread.join(15)
            assert not thread.is_alive()


def test_without_a_ledger_coroutines_report_nothing() -> None:
    async def run() -> None:
        async with AsyncClient() as ledger:
            job = await ledger.jobs.create("silent")
            async with job.execution("tile") as context:
                context.progress().done(1)
            assert await job.finish()
            assert [snapshot.state async for snapshot in job.watch()] == ["running"]
            assert await job.tasks().all() == []

    asyncio.run(run())
