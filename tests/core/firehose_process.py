"""A process that receives a Firehose and uploads, for tests that kill it."""

import asyncio
import multiprocessing
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from core.engine import open_engine
from tests.firehosing import QUICK, TOKEN, serving, settings_for, working

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tests.core.firehose_process"])


@dataclass
class FirehoseProcess:
    """A process with a Firehose endpoint at `url`."""

    process: BaseProcess
    url: str

    def kill(self) -> None:
        """End the process at once (SIGKILL)."""
        self.process.kill()


@asynccontextmanager
async def feeding(directory: Path, iterable_url: str, database_url: str | None) -> AsyncIterator[FirehoseProcess]:
    """Run such a process for the length of the block."""
    receiver, sender = _processes.Pipe()
    process = _processes.Process(target=_main, args=(sender, directory, iterable_url, database_url))
    process.start()
    try:
        url = await asyncio.to_thread(receiver.recv)
        yield FirehoseProcess(process, f"{url}/mparticle/firehose/{TOKEN}")
    finally:
        process.kill()
        await asyncio.to_thread(process.join)


def _main(sender: Connection, directory: Path, iterable_url: str, database_url: str | None) -> None:
    with suppress(KeyboardInterrupt):
        asyncio.run(_serve(sender, directory, iterable_url, database_url))


async def _serve(sender: Connection, directory: Path, iterable_url: str, database_url: str | None) -> None:
    settings = settings_for(directory, iterable_url, database_url, firehose_approval="none")
    async with open_engine(settings, f"fed-{os.getpid()}", retry_policy=QUICK) as engine, serving(engine) as url:
        sender.send(url)
        async with working(engine):
            await asyncio.Event().wait()
