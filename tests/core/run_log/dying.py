"""A process that writes the run log and kills itself (SIGKILL) at a given event: before or after a file, or a write."""

import asyncio
import functools
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from core.engine import open_engine
from core.run_log import export
from core.run_log.place import Place
from core.store import run_log
from core.store.database import Database
from tests.core.crashing import Job

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tests.core.run_log.dying"])


async def write_and_die(job: Job, at: int, *, runs: list[str]) -> str | None:
    """Write runs in a process that dies at the event with this number. Returns the event; None if it ended before."""
    assert job.report is not None
    job.report.unlink(missing_ok=True)
    process = _processes.Process(target=_main, args=(job, at, runs))
    process.start()
    await asyncio.to_thread(process.join)
    assert process.exitcode in (0, -signal.SIGKILL)
    return job.report.read_text(encoding="utf-8") if process.exitcode else None


def _main(job: Job, at: int, runs: list[str]) -> None:
    asyncio.run(_write(job, at, runs))


async def _write(job: Job, at: int, runs: list[str]) -> None:
    async with open_engine(job.settings, "dying") as engine:
        _instrument(job.report or Path(), at)
        async with engine.database.read() as db:
            log = await run_log.get(db)
        assert log is not None
        for run_id in runs:
            await export.write(engine, log, run_id)


def _instrument(report: Path, at: int) -> None:
    count = 0

    def pass_event(name: str) -> None:
        nonlocal count
        count += 1
        if count == at:
            report.write_text(name, encoding="utf-8")
            os.kill(os.getpid(), signal.SIGKILL)

    put, write = Place.put, Database.write

    def counted(method: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., Coroutine[Any, Any, None]]:
        @functools.wraps(method)
        async def passed(self: Place, source: Path, name: str) -> None:
            kind = name.partition("/")[0]
            pass_event(f"before {kind}")
            await method(self, source, name)
            pass_event(f"after {kind}")

        return passed

    @asynccontextmanager
    async def counted_write(self: Database, *, is_news: bool = True) -> AsyncIterator[AsyncConnection]:
        pass_event("before the record")
        async with write(self, is_news=is_news) as db:
            yield db
        pass_event("after the record")

    Place.put = counted(put)  # type: ignore[method-assign]
    Database.write = counted_write  # type: ignore[method-assign]
