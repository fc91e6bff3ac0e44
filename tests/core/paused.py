"""A worker in its own process, which can be paused (SIGSTOP) and woken (SIGCONT), and reports how it ended."""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from pydantic import SecretStr

from bot.supervisor import supervise
from core.engine import open_engine
from core.errors import SyncError
from core.lease import LeaseTimes
from core.planning import batching
from core.runs import worker
from core.settings import Settings
from tests.core.harness import Sync

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tests.core.paused", "tests.core.crashing"])

#: Members per request, so that a small audience takes many requests.
BATCH_SIZE = 10


@dataclass(frozen=True)
class Work:
    """What a worker process connects to, and the times of its lease."""

    url: str
    key: str
    data_dir: Path
    database_url: str | None
    times: LeaseTimes


@dataclass(frozen=True)
class Worker:
    """A worker in another process."""

    process: BaseProcess
    ended: Connection

    @property
    def pid(self) -> int:
        """The process id."""
        assert self.process.pid is not None
        return self.process.pid

    def pause(self) -> None:
        """Stop the process, whatever it is doing."""
        os.kill(self.pid, signal.SIGSTOP)

    def wake(self) -> None:
        """Let the process continue, as if no time had passed."""
        os.kill(self.pid, signal.SIGCONT)

    async def end(self) -> str:
        """Wait until the process has ended. Returns its error ("" if it was asked to end)."""
        error: str = await asyncio.to_thread(self.ended.recv)
        await asyncio.to_thread(self.process.join)
        return error


@asynccontextmanager
async def worker_process(sync: Sync, times: LeaseTimes, data_dir: Path | None = None) -> AsyncIterator[Worker]:
    """Run a worker on the same database and the same local Iterable. It is killed at the end of the block.

    `data_dir` gives it a data directory of its own, as on another machine.
    """
    url = sync.engine.settings.database_url
    work = Work(
        url=sync.iterable.url,
        key=sync.iterable.key,
        data_dir=data_dir or sync.engine.settings.data_dir,
        database_url=url.get_secret_value() if url else None,
        times=times,
    )
    receiver, sender = _processes.Pipe(duplex=False)
    process = _processes.Process(target=_main, args=(work, sender))
    process.start()
    try:
        assert await asyncio.to_thread(receiver.recv) == "begun"
        yield Worker(process, receiver)
    finally:
        process.kill()
        await asyncio.to_thread(process.join)


def _main(work: Work, sender: Connection) -> None:
    setattr(batching, "BATCH_SIZE", BATCH_SIZE)  # noqa: B010  # that module imports it
    worker.RESCUE_INTERVAL_S = 0.1
    message = ""
    try:
        asyncio.run(_work(work, sender))
    except SyncError as error:
        message = error.message
    sender.send(message)


async def _work(work: Work, sender: Connection) -> None:
    settings = Settings(
        ITERABLE_API_KEY=SecretStr(work.key),
        iterable_url=work.url,
        data_dir=work.data_dir,
        database_url=SecretStr(work.database_url) if work.database_url else None,
        _env_file=None,  # type: ignore[call-arg]
    )
    async with open_engine(settings, "other", times=work.times) as engine:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, engine.stopping.set)
        async with supervise(engine, worker=partial(worker.run_worker, engine)):
            sender.send("begun")
            await engine.stopping.wait()
