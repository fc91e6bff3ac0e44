"""The workers of `serve` in a process that can be paused (SIGSTOP) and woken (SIGCONT), and reports how it ended."""

import asyncio
import itertools
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import BytesPayload

from core.engine import open_engine
from core.errors import SyncError
from core.lease import LeaseTimes
from core.live import worker as live_worker
from core.planning import batching
from core.runs import worker
from core.settings import Settings
from core.store import doubts
from tests.core.workers import serving_workers

_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["tests.core.paused", "tests.core.crashing"])

#: Members per request, so that a small audience takes many requests.
BATCH_SIZE = 10
#: A process is dead after three seconds of silence.
TIMES = LeaseTimes(heartbeat_s=0.1, lease_s=1.0, request_timeout_s=1.5, margin_s=0.5)


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

    async def is_stopped(self) -> bool:
        """Whether the process is stopped (proc_pid_stat(5))."""
        stat = await asyncio.to_thread(Path(f"/proc/{self.pid}/stat").read_text, encoding="utf-8")
        return stat.rpartition(")")[2].split()[0] == "T"

    async def end(self) -> str:
        """Wait until the process has ended. Returns its error ("" if it was asked to end)."""
        error: str = await asyncio.to_thread(self.ended.recv)
        await asyncio.to_thread(self.process.join)
        return error


@asynccontextmanager
async def worker_process(
    settings: Settings, times: LeaseTimes, data_dir: Path | None = None, *, stops_at: int = 0
) -> AsyncIterator[Worker]:
    """Run the workers of `serve`, with the settings of this process. They are killed at the end of the block.

    `data_dir` gives them a data directory of their own, as on another machine. With `stops_at`, the process stops
    itself at its request with this number, from 1, between the last check of its lease and the write to the connection.
    """
    if data_dir is not None:
        settings = settings.model_copy(update={"data_dir": data_dir})
    receiver, sender = _processes.Pipe(duplex=False)
    process = _processes.Process(target=_main, args=(settings, times, sender, stops_at))
    process.start()
    try:
        assert await asyncio.to_thread(receiver.recv) == "begun"
        yield Worker(process, receiver)
    finally:
        process.kill()
        await asyncio.to_thread(process.join)


def _main(settings: Settings, times: LeaseTimes, sender: Connection, stops_at: int) -> None:
    setattr(batching, "BATCH_SIZE", BATCH_SIZE)  # noqa: B010  # that module imports it
    worker.RESCUE_INTERVAL_S = live_worker.POLL_INTERVAL_S = 0.1
    doubts.ENDED_S = 0.1
    _stop_at(stops_at)
    message = ""
    try:
        asyncio.run(_work(settings, times, sender))
    except SyncError as error:
        message = error.message
    sender.send(message)


def _stop_at(number: int) -> None:
    """Stop this process (SIGSTOP) when it has checked for the last time that it may send a request."""
    numbers = itertools.count(1)
    write = BytesPayload.write_with_length

    async def write_late(self: BytesPayload, writer: AbstractStreamWriter, content_length: int | None) -> None:
        if next(numbers) == number:
            os.kill(os.getpid(), signal.SIGSTOP)
        await write(self, writer, content_length)

    BytesPayload.write_with_length = write_late  # type: ignore[method-assign]


async def _work(settings: Settings, times: LeaseTimes, sender: Connection) -> None:
    async with open_engine(settings, "other", times=times) as engine:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, engine.stopping.set)
        async with serving_workers(engine):
            sender.send("begun")
            await engine.stopping.wait()
