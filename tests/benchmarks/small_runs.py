"""The CPU of small runs in a process that is open already, as a worker is."""

import resource
import statistics
from pathlib import Path

from pydantic import SecretStr

from core.connections.environment import environment_connection
from core.engine import Engine, open_engine
from core.iterable import DataCenter
from core.models.run import RunRequest
from core.runs import executor
from core.runs.lookup import require_run
from core.runs.submission import submit
from core.settings import Settings
from core.store.connections import Connection
from sandbox.iterable import DEFAULT_KEY

#: Runs before the measurement: the first ones import modules and prepare statements.
WARM_UP = 3


async def measure(url: str, file: str, data_dir: str, database_url: str, *, runs: int) -> dict[str, float]:
    """Sync an audience for the first time, to so many new lists of the local Iterable at `url`.

    Without `database_url`, the database is SQLite's. Returns the least and the median CPU of a run in this process
    (seconds), from its claim to its recorded end.
    """
    settings = Settings(
        ITERABLE_API_KEY=SecretStr(DEFAULT_KEY),
        iterable_url=url,
        data_dir=Path(data_dir),
        database_url=SecretStr(database_url) if database_url else None,
        _env_file=None,  # type: ignore[call-arg]
    )
    async with open_engine(settings, "benchmark") as engine:
        connection = await environment_connection(engine, user_id=None, data_center=DataCenter.US, rate=0.0)
        measured = [await _cpu_of_run(engine, connection, file, number) for number in range(WARM_UP + runs)][WARM_UP:]
    return {"least_s": min(measured), "median_s": statistics.median(measured)}


async def _cpu_of_run(engine: Engine, connection: Connection, file: str, number: int) -> float:
    async with engine.client(connection) as client:
        list_id = await client.create_list(f"Small {number}")
    run_id = (await submit(engine, connection, list_id, RunRequest(path=file, approved=True))).run_id
    before = _cpu()
    await executor.execute(engine, run_id)
    used = _cpu() - before
    assert (await require_run(engine, run_id)).error is None
    return used


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
