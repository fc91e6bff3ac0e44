"""A process that syncs a file or serves, and kills itself (SIGKILL) at an event: before or after a write or a request.

All writes go through `Database.write` and all requests through the client's calls, so instrumenting these finds every
event. An event is named after the function that writes, or after the request. Each process is forked from one that has
imported everything and started nothing.
"""

import asyncio
import functools
import multiprocessing
import os
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection

from core.connections.environment import environment_connection
from core.engine import Engine, open_engine
from core.identity import UserIdField
from core.iterable import DataCenter, IterableClient
from core.models.run import RunRequest
from core.runs import worker
from core.runs.submission import submit
from core.settings import Settings
from core.store import runs
from core.store.database import Database
from tests.core.harness import LIST, Sync, decide
from tests.core.workers import no_work_left, serving_workers

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tests.core.crashing"])


@dataclass(frozen=True, kw_only=True)
class Job(ABC):
    """What another process does, with the settings of this one: on the same database and the same local Iterable."""

    settings: Settings
    #: Whether each commit is an event, too.
    commits: bool = False
    #: The file that gets the name of the event at which the process died, or of all events if it ended by itself.
    report: Path | None = None

    @abstractmethod
    async def carry_out(self, engine: Engine) -> None:
        """Do it, with an engine that was opened for it."""


@dataclass(frozen=True, kw_only=True)
class FileJob(Job):
    """A sync of a file, or an existing run (`run_id`) after its plan (`plan_digest`) was approved if one is given."""

    file: Path
    list_id: int
    user_id: UserIdField
    run_id: str | None = None
    plan_digest: str | None = None

    async def carry_out(self, engine: Engine) -> None:
        """Execute the run."""
        if self.run_id is not None:
            if self.plan_digest is not None:
                await decide(engine, self.run_id, worker=engine.presence.id)
            else:
                await _claim(engine, self.run_id)
            await worker.execute_approved(engine, self.run_id)
        else:
            connection = await environment_connection(engine, user_id=self.user_id, data_center=DataCenter.US, rate=0)
            submission = await submit(engine, connection, self.list_id, RunRequest(path=str(self.file), approved=True))
            await worker.start(engine, submission.run_id)


@dataclass(frozen=True, kw_only=True)
class ServeJob(Job):
    """The workers of `serve`, until no run and no live change is left."""

    async def carry_out(self, engine: Engine) -> None:
        """Start the workers, and stop them when nothing is left."""
        async with serving_workers(engine):
            await no_work_left(engine)


def job(
    sync: Sync,
    file: Path,
    user_id: UserIdField,
    *,
    commits: bool = False,
    report: Path | None = None,
    run_id: str | None = None,
    plan_digest: str | None = None,
) -> FileJob:
    """A sync of a file by another process, on the same database and the same local Iterable.

    With `run_id`, it executes an existing run instead, after approving its plan if `plan_digest` names one.
    """
    return FileJob(
        settings=sync.engine.settings,
        commits=commits,
        report=report,
        file=file,
        list_id=LIST,
        user_id=user_id,
        run_id=run_id,
        plan_digest=plan_digest,
    )


async def crash(job: Job, at: int | str, nth: int = 1) -> bool:
    """Run a job in a process that dies at an event. Returns False if it ended before that.

    `at` is the number of the event, from 1, or its name: then it is the nth of that name.
    """
    process = _processes.Process(target=_main, args=(job, at, nth))
    process.start()
    await asyncio.to_thread(process.join)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def _main(job: Job, at: int | str, nth: int) -> None:
    asyncio.run(_carry_out(job, at, nth))


async def _carry_out(job: Job, at: int | str, nth: int) -> None:
    names: list[str] = []

    def record_event(name: str) -> None:
        names.append(name)
        if at == len(names) or (at == name and names.count(name) == nth):
            _write_report(job, [name])
            os.kill(os.getpid(), signal.SIGKILL)

    _instrument(record_event)
    if job.commits:
        event.listen(sqlalchemy.Engine, "commit", lambda _: record_event(f"commit, {_writer.get('elsewhere')}"))
    async with open_engine(job.settings, "crashing") as engine:
        await job.carry_out(engine)
    _write_report(job, names)


async def _claim(engine: Engine, run_id: str) -> None:
    """Claim an approved run, as a worker does."""
    async with engine.database.write() as db:
        run = await runs.by_id(db, run_id)
        assert run is not None
        assert await runs.claim(db, run.id, run.attempt, engine.presence.id)


def _write_report(job: Job, names: list[str]) -> None:
    if job.report is not None:
        job.report.write_text("\n".join(names), encoding="utf-8")


#: The function whose write is under way.
_writer: ContextVar[str] = ContextVar("writer")
# Modules whose functions only lead to a write, so that it is not named after them.
_PASSAGES = ("contextlib", __name__)


def _name_of_caller() -> str:
    """The nearest function outside this module that writes, as module and name."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__") in _PASSAGES:
        frame = frame.f_back
    return f"{frame.f_globals['__name__'].removeprefix('core.')}.{frame.f_code.co_qualname.rpartition('.')[2]}"


def _instrument(record_event: Callable[[str], None]) -> None:
    write = Database.write

    @asynccontextmanager
    async def counted_write(self: Database, *, is_news: bool = True) -> AsyncIterator[AsyncConnection]:
        name = _name_of_caller()
        record_event(f"before the write, {name}")
        _writer.set(name)
        async with write(self, is_news=is_news) as db:
            yield db
        record_event(f"after the write, {name}")

    Database.write = counted_write  # type: ignore[method-assign]
    for call in (
        IterableClient.subscribe,
        IterableClient.unsubscribe,
        IterableClient.update_placeholder_email,
        IterableClient.merge_users,
    ):
        setattr(IterableClient, call.__name__, _counted(call, record_event))


def _counted(
    call: Callable[..., Coroutine[Any, Any, Any]], record_event: Callable[[str], None]
) -> Callable[..., Coroutine[Any, Any, Any]]:
    @functools.wraps(call)
    async def counted(*args: Any, **named: Any) -> Any:
        record_event(f"before the request, {call.__name__}")
        answer = await call(*args, **named)
        record_event(f"after the request, {call.__name__}")
        return answer

    return counted
