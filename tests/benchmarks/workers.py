"""Worker processes on one PostgreSQL: their use of rate limits, the time for a queue, and whose turn it is.

The local Iterable is a process of its own and counts over a sliding second, the strictest rule that fits Iterable's
"requests per second". This process only queues the runs; the workers are `iterable-sync worker`, each with a data
directory of its own, as on machines of their own.
"""

import asyncio
import math
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from cryptography.fernet import Fernet
from pydantic import SecretStr
from sqlalchemy import update

from core.connections.manage import connect
from core.engine import Engine, open_engine
from core.identity import UserIdField
from core.iterable import DataCenter
from core.models.run import Run, RunRequest, RunStatus
from core.runs.submission import submit
from core.settings import Settings
from core.store import clock, runs, workers
from core.store.tables import runs as runs_table
from tests.benchmarks.audiences import write_download

#: Members of a request.
MEMBERS_A_REQUEST = 1_000
#: Time that the workers get to execute all runs (seconds).
PATIENCE_S = 900.0
#: The time between two looks at the runs (seconds).
POLL_S = 1.0


@dataclass(frozen=True)
class Load:
    """Runs to be executed: `runs` of each project, of `requests` each, at a project's `rate` in requests per second.

    The first project has `more` runs than the others.
    """

    projects: int
    runs: int
    requests: int
    rate: float
    more: int = 0


async def measure_drain(
    directory: Path, database_url: str, iterable_url: str, load: Load, *, workers: int
) -> dict[str, float]:
    """Queue the runs, and let so many processes execute them.

    Returns the `seconds` from the first request to the last, the `share` of the requests permitted in that time, and
    how many were `throttled`.
    """
    async with _queue(directory, database_url, iterable_url, load) as queue:
        await queue.offer()
        async with queue.worker_processes(workers):
            await queue.until_ended()
        log = await queue.answer("GET", "requests?path=/api/lists/subscribe")
    arrivals = sorted(each["at"] for each in log["requests"])
    throttled = sum(each["status"] == 429 for each in log["requests"])
    seconds = arrivals[-1] - arrivals[0]
    sent = len(arrivals) - throttled - load.projects  # the first of each project is at no distance from another
    return {
        "seconds": seconds,
        "share": sent / (load.projects * load.rate * seconds),
        "throttled": throttled,
    }


async def measure_turns(
    directory: Path, database_url: str, iterable_url: str, load: Load, *, workers: int
) -> dict[str, float]:
    """Queue the runs while so many processes wait for work, and return when the runs of other projects have started.

    `p50_s` and `last_s` are seconds since the runs were queued. The first project has most of the runs, and was first.
    """
    async with (
        _queue(directory, database_url, iterable_url, load) as queue,
        queue.worker_processes(workers),
    ):
        await queue.until_workers(workers)
        offered_at = await queue.offer()
        await queue.until_ended()
        started = await queue.started_at()
    own, *others = started.values()
    waited = sorted(at - offered_at for each in others for at in each)
    return {"p50_s": waited[len(waited) // 2], "last_s": waited[-1], "own_last_s": max(own) - offered_at}


class _Queue:
    """Runs in the database that no worker may take up until they are offered, and the local Iterable."""

    def __init__(self, engine: Engine, iterable: aiohttp.ClientSession, directory: Path) -> None:
        self._engine = engine
        self._iterable = iterable
        self._directory = directory
        self._run_ids: dict[int, list[str]] = {}

    async def fill(self, load: Load) -> None:
        """Queue runs for this process, which executes none."""
        audience = self._directory / "8754_Shared.csv"
        write_download(audience, load.requests * MEMBERS_A_REQUEST)
        for number in range(load.projects):
            name, key = f"Project {number}", f"key-of-project-{number}"
            await self.answer("POST", "projects", {"name": name, "key": key})
            lists = [
                (await self.answer("POST", "lists", {"name": f"List {each}", "project": name}))["id"]
                for each in range(load.runs + (load.more if number == 0 else 0))
            ]
            connected = await connect(
                self._engine,
                name=name,
                api_key=key,
                data_center=DataCenter.US,
                user_id_field=UserIdField.CUSTOMER_ID,
                requests_per_second=load.rate,
            )
            for list_id in lists:
                request = RunRequest(path=str(audience), approved=True)
                submitted = await submit(self._engine, connected.connection, list_id, request)
                self._run_ids.setdefault(number, []).append(submitted.run_id)

    async def offer(self) -> float:
        """Offer all runs to the workers. Returns the database's time."""
        async with self._engine.database.write() as db:
            await db.execute(update(runs_table).values(worker_id=None))
            return await clock.now(db)

    async def until_workers(self, count: int) -> None:
        """Wait until so many other processes are at work."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                async with self._engine.database.read() as db:
                    if len(await workers.everyone(db)) == count + 1:
                        return
                await asyncio.sleep(POLL_S)

    async def until_ended(self) -> None:
        """Wait until all runs have succeeded."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                stored = await self._stored()
                if all(run.status is RunStatus.SUCCEEDED for run in stored.values()):
                    return
                assert not any(run.status is RunStatus.FAILED for run in stored.values())
                await asyncio.sleep(POLL_S)

    async def started_at(self) -> dict[int, list[float]]:
        """When the runs started, by project."""
        stored = await self._stored()
        return {number: [stored[each].started_at or math.inf for each in ids] for number, ids in self._run_ids.items()}

    async def _stored(self) -> dict[str, Run]:
        async with self._engine.database.read() as db:
            return dict(await runs.by_ids(db, [each for ids in self._run_ids.values() for each in ids]))

    async def answer(self, method: str, path: str, json: Mapping[str, str] | None = None) -> Any:
        """The answer of the local Iterable's control API."""
        async with self._iterable.request(method, path, json=json) as answer:
            answer.raise_for_status()
            return await answer.json()

    @asynccontextmanager
    async def worker_processes(self, count: int) -> AsyncIterator[None]:
        """Run worker processes for the length of the block."""
        settings = self._engine.settings
        assert settings.database_url is not None
        assert settings.secret_key is not None
        processes = []
        for number in range(count):
            environment: Mapping[str, str] = {
                **os.environ,
                "ITERABLE_SYNC_ITERABLE_URL": str(settings.iterable_url),
                "ITERABLE_SYNC_DATABASE_URL": settings.database_url.get_secret_value(),
                "ITERABLE_SYNC_DATA_DIR": str(self._directory / f"worker-{number}"),
                "ITERABLE_SYNC_SECRET_KEY": settings.secret_key.get_secret_value(),
            }
            command = [str(Path(sys.executable).with_name("iterable-sync")), "worker"]
            processes.append(await asyncio.create_subprocess_exec(*command, env=environment, stderr=subprocess.DEVNULL))
        try:
            yield
        finally:
            for process in processes:
                process.send_signal(signal.SIGINT)
            for process in processes:
                await process.wait()


@asynccontextmanager
async def _queue(directory: Path, database_url: str, iterable_url: str, load: Load) -> AsyncIterator[_Queue]:
    settings = Settings(
        iterable_url=iterable_url,
        data_dir=directory / "queueing",
        database_url=SecretStr(database_url),
        secret_key=SecretStr(Fernet.generate_key().decode()),
        _env_file=None,  # type: ignore[call-arg]
    )
    async with (
        aiohttp.ClientSession(f"{iterable_url}/_sandbox/") as iterable,
        open_engine(settings, "queueing") as engine,
    ):
        queue = _Queue(engine, iterable, directory)
        await queue.fill(load)
        yield queue
