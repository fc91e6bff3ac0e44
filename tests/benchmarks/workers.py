"""Worker processes on one PostgreSQL: how much of the projects' rate limits they use, and how soon they are done.

The local Iterable is a process of its own and counts over a sliding second, the strictest rule that fits Iterable's
"requests per second". This process only queues the runs; the workers are `iterable-sync worker`, each with a data
directory of its own, as on machines of their own.
"""

import asyncio
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
from core.models.run import RunRequest, RunStatus
from core.runs.submission import submit
from core.settings import Settings
from core.store import runs
from core.store.connections import Connection
from core.store.tables import runs as runs_table
from tests.benchmarks.audiences import write_download

#: Members of a request.
MEMBERS_A_REQUEST = 1_000
#: Time that the workers get to execute all runs (seconds).
PATIENCE_S = 240.0
#: The time between two looks at the runs (seconds).
POLL_S = 1.0


@dataclass(frozen=True)
class Load:
    """Runs to be executed: `runs` of each project, of `requests` each, at a project's `rate` in requests per second."""

    projects: int
    runs: int
    requests: int
    rate: float


async def measure_workers(
    directory: Path, database_url: str, iterable_url: str, load: Load, *, workers: int
) -> dict[str, float]:
    """Queue the runs, and let so many processes execute them.

    Returns the `seconds` from the first request to the last, the `share` of the requests permitted in that time, and
    how many were `throttled`.
    """
    audience = directory / "8754_Shared.csv"
    write_download(audience, load.requests * MEMBERS_A_REQUEST)
    secret_key = Fernet.generate_key().decode()
    settings = Settings(
        iterable_url=iterable_url,
        data_dir=directory / "queueing",
        database_url=SecretStr(database_url),
        secret_key=SecretStr(secret_key),
        _env_file=None,  # type: ignore[call-arg]
    )
    async with aiohttp.ClientSession(f"{iterable_url}/_sandbox/") as iterable, open_engine(settings, "queue") as engine:
        run_ids = []
        for number in range(load.projects):
            connection = await _connected(engine, iterable, number, load.rate)
            for of_project in range(load.runs):
                name = {"name": f"List {of_project}", "project": f"Project {number}"}
                list_id = (await _answer(iterable, "POST", "lists", name))["id"]
                request = RunRequest(path=str(audience), approved=True)
                run_ids.append((await submit(engine, connection, list_id, request)).run_id)
        async with engine.database.write() as db:  # this process executes none of them
            await db.execute(update(runs_table).values(worker_id=None))
        async with _worker_processes(directory, settings, secret_key, workers):
            await _until_ended(engine, run_ids)
        log = await _answer(iterable, "GET", "requests?path=/api/lists/subscribe")
    arrivals = sorted(each["at"] for each in log["requests"])
    throttled = sum(each["status"] == 429 for each in log["requests"])
    seconds = arrivals[-1] - arrivals[0]
    sent = len(arrivals) - throttled - load.projects  # the first of each project is at no distance from another
    return {
        "seconds": seconds,
        "share": sent / (load.projects * load.rate * seconds),
        "throttled": throttled,
    }


async def _connected(engine: Engine, iterable: aiohttp.ClientSession, number: int, rate: float) -> Connection:
    name, key = f"Project {number}", f"key-of-project-{number}"
    await _answer(iterable, "POST", "projects", {"name": name, "key": key})
    connected = await connect(
        engine,
        name=name,
        api_key=key,
        data_center=DataCenter.US,
        user_id_field=UserIdField.CUSTOMER_ID,
        requests_per_second=rate,
    )
    return connected.connection


async def _answer(
    iterable: aiohttp.ClientSession, method: str, path: str, json: Mapping[str, str] | None = None
) -> Any:
    async with iterable.request(method, path, json=json) as answer:
        answer.raise_for_status()
        return await answer.json()


@asynccontextmanager
async def _worker_processes(directory: Path, settings: Settings, secret_key: str, count: int) -> AsyncIterator[None]:
    """Run worker processes for the length of the block."""
    assert settings.database_url is not None
    processes = []
    for number in range(count):
        environment: Mapping[str, str] = {
            **os.environ,
            "ITERABLE_SYNC_ITERABLE_URL": str(settings.iterable_url),
            "ITERABLE_SYNC_DATABASE_URL": settings.database_url.get_secret_value(),
            "ITERABLE_SYNC_DATA_DIR": str(directory / f"worker-{number}"),
            "ITERABLE_SYNC_SECRET_KEY": secret_key,
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
    raise AssertionError([(run.status, run.error) for run in stored.values() if run.status is not RunStatus.SUCCEEDED])
