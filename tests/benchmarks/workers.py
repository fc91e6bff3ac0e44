"""Three worker processes on one PostgreSQL: what share of a project's rate limit they use together.

The local Iterable runs in this process and counts over a sliding second, as Iterable does. This process only queues the
runs; the workers are `iterable-sync worker`, each with a data directory of its own, as on machines of their own.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import update

from core.connections.environment import environment_connection
from core.engine import Engine, open_engine
from core.iterable import DataCenter
from core.models.run import RunRequest, RunStatus
from core.runs.submission import submit
from core.settings import Settings
from core.store import runs
from core.store.tables import runs as runs_table
from sandbox.iterable import running
from tests.benchmarks.audiences import write_download

#: Requests of a run, of a thousand members each.
REQUESTS_A_RUN = 20
#: Time that the workers get to execute all runs (seconds).
PATIENCE_S = 120.0
#: The time between two looks at the runs (seconds).
POLL_S = 0.5


async def measure_shared_rate(
    directory: Path, database_url: str, *, workers: int, count: int, rate: float
) -> dict[str, float]:
    """Queue runs to lists of one project, and let so many processes execute them.

    Returns the `share` of the permitted requests from the first to the last one, and how many were `throttled`.
    """
    audience = directory / "8754_Shared.csv"
    write_download(audience, REQUESTS_A_RUN * 1_000)
    async with running(bulk_per_second=round(rate)) as iterable:
        settings = Settings(
            ITERABLE_API_KEY=SecretStr(iterable.key),
            iterable_url=iterable.url,
            data_dir=directory / "queueing",
            database_url=SecretStr(database_url),
            _env_file=None,  # type: ignore[call-arg]
        )
        async with open_engine(settings, "queueing") as engine:
            connection = await environment_connection(engine, user_id=None, data_center=DataCenter.US, rate=rate)
            run_ids = []
            for number in range(count):
                list_id = iterable.state.add_list(f"List {number}").id
                request = RunRequest(path=str(audience), approved=True)
                run_ids.append((await submit(engine, connection, list_id, request)).run_id)
            async with engine.database.write() as db:  # this process executes none of them
                await db.execute(update(runs_table).values(worker_id=None))
            async with worker_processes(directory, database_url, iterable.url, iterable.key, workers):
                await _until_ended(engine, run_ids)
        arrivals = iterable.state.log.arrivals("/api/lists/subscribe")
        throttled = iterable.state.log.total("/api/lists/subscribe", 429)
    return {"share": (len(arrivals) - 1) / (rate * (arrivals[-1] - arrivals[0])), "throttled": throttled}


@asynccontextmanager
async def worker_processes(directory: Path, database_url: str, url: str, key: str, count: int) -> AsyncIterator[None]:
    """Run worker processes for the length of the block."""
    processes = []
    for number in range(count):
        environment: Mapping[str, str] = {
            **os.environ,
            "ITERABLE_API_KEY": key,
            "ITERABLE_SYNC_ITERABLE_URL": url,
            "ITERABLE_SYNC_DATABASE_URL": database_url,
            "ITERABLE_SYNC_DATA_DIR": str(directory / f"worker-{number}"),
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


async def _until_ended(engine: Engine, run_ids: list[str]) -> None:
    for _ in range(round(PATIENCE_S / POLL_S)):
        async with engine.database.read() as db:
            stored = await runs.by_ids(db, run_ids)
        if all(run.status is RunStatus.SUCCEEDED for run in stored.values()):
            return
        await asyncio.sleep(POLL_S)
    raise AssertionError([(run.status, run.error) for run in stored.values()])
