"""One measurement in another process, with its own CPU time and peak memory. Prints a JSON object."""

import argparse
import asyncio
import contextlib
import gc
import json
import resource
import time
from pathlib import Path

import aiohttp
import duckdb
import orjson
from pydantic import SecretStr
from sqlalchemy import text

from bot.cli import collector
from core.connections.environment import environment_connection
from core.engine import open_engine
from core.iterable import DataCenter
from core.models.run import RunRequest
from core.runs import executor
from core.runs.submission import submit
from core.settings import WORK, Settings
from core.store import runs
from sandbox.iterable import DEFAULT_KEY
from tests.benchmarks import live_rounds, small_runs

LIST = 1001
# Concurrent requests of the bare loop: as many as a run without a rate limit has.
CONCURRENCY = 8
# How often the working files are measured.
DISK_INTERVAL_S = 0.2
_DATABASE_SIZE = "SELECT pg_database_size(current_database())"


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _peak_mb() -> float:
    """The peak memory of this process. (The value of getrusage starts with the memory of the parent process.)"""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:", 1)[1].split()[0]) / 1024


def _megabytes(directory: Path) -> float:
    """The size of a directory on disk."""
    total = 0
    for path in directory.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # a working file that was just deleted
            total += path.stat().st_blocks * 512
    return total / 1e6


async def _watch_disk(directory: Path, sizes: list[float]) -> None:
    """Append the size of a directory until the task is cancelled."""
    while True:
        sizes.append(await asyncio.to_thread(_megabytes, directory))
        await asyncio.sleep(DISK_INTERVAL_S)


async def sync(
    url: str, file: str, data_dir: str, *, rate: float, dry_run: bool, database_url: str = ""
) -> dict[str, float]:
    """Sync a whole file (or only plan it) and return the figures. Without `database_url`, the database is SQLite's."""
    settings = Settings(
        ITERABLE_API_KEY=SecretStr(DEFAULT_KEY),
        iterable_url=url,
        data_dir=Path(data_dir),
        database_url=SecretStr(database_url) if database_url else None,
        _env_file=None,  # type: ignore[call-arg]
    )
    async with open_engine(settings, "benchmark") as engine:
        connection = await environment_connection(engine, user_id=None, data_center=DataCenter.US, rate=rate)
        request = RunRequest(path=file, approved=True, dry_run=dry_run)
        run_id = (await submit(engine, connection, LIST, request)).run_id
        working_mb = [0.0]
        watch = asyncio.create_task(_watch_disk(settings.data_dir / WORK, working_mb))
        began, cpu = time.monotonic(), _cpu()
        await executor.plan(engine, run_id)
        planned, planned_cpu = time.monotonic(), _cpu() - cpu
        watch.cancel()
        await executor.apply(engine, run_id)
        figures = {"seconds": time.monotonic() - began, "planning_s": planned - began, "cpu_s": _cpu() - cpu}
        figures["planning_cpu_s"] = planned_cpu
        async with engine.database.read() as db:
            run = await runs.by_id(db, run_id)
            size = None if not database_url else (await db.execute(text(_DATABASE_SIZE))).scalar_one()
    assert run is not None
    assert run.error is None, run.error
    return {
        **figures,
        "peak_mb": _peak_mb(),
        "working_mb": max(working_mb),
        "database_mb": _megabytes(settings.data_dir) - _megabytes(settings.data_dir / WORK) + (size or 0) / 1e6,
        "members": run.counters.members,
        "requests": run.requests,
        "throttled": run.throttled,
    }


async def bare(url: str, members: int) -> dict[str, float]:
    """Post prebuilt bodies in a bare loop: the cost of HTTP alone."""
    bodies = [
        orjson.dumps(
            {
                "listId": LIST,
                "subscribers": [
                    {"email": f"bare{i}@example.com", "userId": f"customer-{i}"} for i in range(first, first + 1000)
                ],
            }
        )
        for first in range(0, members, 1000)
    ]
    headers = {"Api-Key": DEFAULT_KEY, "Content-Type": "application/json"}
    remaining = iter(bodies)

    async def post(session: aiohttp.ClientSession) -> None:
        for body in remaining:
            async with session.post(f"{url}/api/lists/subscribe", data=body, headers=headers) as answer:
                await answer.read()

    async with aiohttp.ClientSession() as session:
        began, cpu = time.monotonic(), _cpu()
        await asyncio.gather(*(post(session) for _ in range(CONCURRENCY)))
        return {"seconds": time.monotonic() - began, "cpu_s": _cpu() - cpu, "members": members}


def read(file: str) -> dict[str, float]:
    """Read and group a download with DuckDB alone, in one pass: the yardstick for this machine."""
    with duckdb.connect(":memory:", config={"memory_limit": "200MB", "threads": 2}) as con:
        cpu = _cpu()
        con.execute(
            "CREATE TABLE profiles AS SELECT mpid, arg_max(value, stamp) FILTER (type = 'email') AS email,"
            " arg_max(value, stamp) FILTER (type = 'customer_id') AS customer_id FROM read_csv($file, delim = ', ',"
            " header = true, columns = {mpid: 'BIGINT', stamp: 'BIGINT', value: 'VARCHAR', type: 'VARCHAR'})"
            " GROUP BY mpid",
            {"file": file},
        )
        return {"cpu_s": _cpu() - cpu}


def main() -> None:
    """Run the measurement of the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["sync", "plan", "bare", "read", "acknowledge", "small", "live"])
    parser.add_argument("--url", required=True)
    parser.add_argument("--file", default="")
    parser.add_argument("--data-dir", default="")
    parser.add_argument("--database-url", default="")
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--members", type=int, default=0)
    parser.add_argument("--audiences", type=int, default=1)
    parser.add_argument("--turns", type=int, default=1)
    parser.add_argument("--with-fields", action="store_true")
    arguments = parser.parse_args()
    gc.set_threshold(collector.THRESHOLD)
    if arguments.what == "bare":
        figures = asyncio.run(bare(arguments.url, arguments.members))
    elif arguments.what == "read":
        figures = read(arguments.file)
    elif arguments.what == "small":
        figures = asyncio.run(
            small_runs.measure(
                arguments.url, arguments.file, arguments.data_dir, arguments.database_url, runs=arguments.turns
            )
        )
    elif arguments.what == "live":
        figures = asyncio.run(
            live_rounds.measure(
                arguments.url,
                arguments.data_dir,
                arguments.database_url,
                audiences=arguments.audiences,
                changes=arguments.members,
                runs=arguments.turns,
                with_fields=arguments.with_fields,
            )
        )
    elif arguments.what == "acknowledge":
        from tests.benchmarks import acknowledging  # the other measurements exclude Slack's libraries

        figures = asyncio.run(acknowledging.acknowledge(arguments.url, arguments.file, arguments.data_dir))
    else:
        figures = asyncio.run(
            sync(
                arguments.url,
                arguments.file,
                arguments.data_dir,
                rate=arguments.rate,
                dry_run=arguments.what == "plan",
                database_url=arguments.database_url,
            )
        )
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
