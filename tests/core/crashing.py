"""A process that syncs a file and kills itself (SIGKILL) at a given event: before or after a write, or a request.

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
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy
from pydantic import SecretStr
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

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tests.core.crashing"])


@dataclass(frozen=True)
class Job:
    """A sync for another process."""

    url: str
    key: str
    data_dir: Path
    database_url: str | None
    file: Path
    list_id: int
    user_id: UserIdField
    #: Whether each commit is an event, too.
    commits: bool = False
    #: The file that gets the name of the event at which the process died, or of all events if it ended by itself.
    report: Path | None = None
    #: The run to execute instead of a new one of the file, and the digest of its plan to approve first.
    run_id: str | None = None
    plan_digest: str | None = None


def job(
    sync: Sync,
    file: Path,
    user_id: UserIdField,
    *,
    commits: bool = False,
    report: Path | None = None,
    run_id: str | None = None,
    plan_digest: str | None = None,
) -> Job:
    """A sync of a file by another process, on the same database and the same local Iterable.

    With `run_id`, it executes an existing run instead, after approving its plan if `plan_digest` names one.
    """
    url = sync.engine.settings.database_url
    return Job(
        url=sync.iterable.url,
        key=sync.iterable.key,
        data_dir=sync.engine.settings.data_dir,
        database_url=url.get_secret_value() if url else None,
        file=file,
        list_id=LIST,
        user_id=user_id,
        commits=commits,
        report=report,
        run_id=run_id,
        plan_digest=plan_digest,
    )


def settings_of(job: Job) -> Settings:
    """The settings of a job's process."""
    return Settings(
        ITERABLE_API_KEY=SecretStr(job.key),
        iterable_url=job.url,
        data_dir=job.data_dir,
        database_url=SecretStr(job.database_url) if job.database_url else None,
        _env_file=None,  # type: ignore[call-arg]
    )


async def crash(job: Job, at: int) -> bool:
    """Run a job in a process that dies at the event with this number. Returns False if it ended before that."""
    process = _processes.Process(target=_main, args=(job, at))
    process.start()
    await asyncio.to_thread(process.join)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def _main(job: Job, at: int) -> None:
    asyncio.run(_sync(job, at))


async def _sync(job: Job, at: int) -> None:
    names: list[str] = []

    def record_event(name: str) -> None:
        names.append(name)
        if len(names) == at:
            _write_report(job, [name])
            os.kill(os.getpid(), signal.SIGKILL)

    _instrument(record_event)
    if job.commits:
        event.listen(sqlalchemy.Engine, "commit", lambda _: record_event(f"commit, {_writer.get('elsewhere')}"))
    async with open_engine(settings_of(job), "crashing") as engine:
        if job.run_id is not None:
            if job.plan_digest is not None:
                await decide(engine, job.run_id, worker=engine.presence.id)
            else:
                await _claim(engine, job.run_id)
            await worker.execute_approved(engine, job.run_id)
        else:
            connection = await environment_connection(engine, user_id=job.user_id, data_center=DataCenter.US, rate=0)
            submission = await submit(engine, connection, job.list_id, RunRequest(path=str(job.file), approved=True))
            await worker.start(engine, submission.run_id)
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
    async def counted_write(self: Database) -> AsyncIterator[AsyncConnection]:
        name = _name_of_caller()
        record_event(f"before the write, {name}")
        _writer.set(name)
        async with write(self) as db:
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
