"""A process that syncs a file and kills itself (SIGKILL) at a given event: before or after a write, or a request.

The events are found by instrumenting the two doors to the outside, `Database.write` and the Iterable client's calls, so
that no place is forgotten. Processes are forked from one that has imported everything and started nothing.
"""

import asyncio
import functools
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy
from pydantic import SecretStr
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection

from core import workflows
from core.engine import open_engine
from core.identity import UserIdField
from core.iterable import DataCenter, IterableClient
from core.runs import Request
from core.settings import Settings
from core.store.database import Database
from core.submit import environment_connection, submit
from tests.core.harness import LIST, Sync

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tests.core.crashing"])


@dataclass(frozen=True)
class Job:
    """A sync to be carried out by another process."""

    url: str
    key: str
    data_dir: Path
    database_url: str | None
    file: Path
    list_id: int
    user_id: UserIdField
    #: Whether each commit is an event, too: also those of the workflow engine, which writes beside us.
    commits: bool = False


def job(sync: Sync, file: Path, user_id: UserIdField, *, commits: bool = False) -> Job:
    """A sync of a file by another process, on the same database and the same local Iterable."""
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
    """Run a job in a process that dies at the event of that number. Returns False where it ended before that."""
    process = _processes.Process(target=_main, args=(job, at))
    process.start()
    await asyncio.to_thread(process.join)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def _main(job: Job, at: int) -> None:
    asyncio.run(_sync(job, at))


async def _sync(job: Job, at: int) -> None:
    left = at

    def happened() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    _instrument(happened)
    if job.commits:
        event.listen(sqlalchemy.Engine, "commit", lambda _: happened())
    async with open_engine(settings_of(job), "crashing") as engine, workflows.durable(engine):
        connection = await environment_connection(engine, user_id=job.user_id, data_center=DataCenter.US, rate=0)
        submission = await submit(engine, connection, job.list_id, Request(path=str(job.file), approved=True))
        await workflows.start(submission.run_id)


def _instrument(happened: Callable[[], None]) -> None:
    write = Database.write

    @asynccontextmanager
    async def counted_write(self: Database) -> AsyncIterator[AsyncConnection]:
        happened()
        async with write(self) as db:
            yield db
        happened()

    Database.write = counted_write  # type: ignore[method-assign]
    for name in ("subscribe", "unsubscribe", "rename"):
        setattr(IterableClient, name, _counted(getattr(IterableClient, name), happened))


def _counted(
    call: Callable[..., Coroutine[Any, Any, Any]], happened: Callable[[], None]
) -> Callable[..., Coroutine[Any, Any, Any]]:
    @functools.wraps(call)
    async def counted(*args: Any) -> Any:
        happened()
        answer = await call(*args)
        happened()
        return answer

    return counted
