"""The time to acknowledge interactions in Slack while the same process syncs a large audience.

The local Slack (tests/benchmarks/crowd.py) and the local Iterable run in other processes.
"""

import asyncio
import itertools
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from bot.serve import serving
from core.connections.manage import connect
from core.connections.mapping_lifecycle import propose
from core.engine import Engine, open_engine
from core.identity import UserIdField
from core.iterable import DataCenter, IterableList
from core.models.run import Run, RunRequest, RunStatus
from core.runs import commands
from core.settings import Settings
from core.store import mappings, runs
from core.store.connections import Connection
from core.store.mappings import AudienceMapping, MappingStatus, RemovalPolicy
from sandbox.iterable import DEFAULT_KEY
from tests.benchmarks.crowd import RATE
from tests.benchmarks.lag import Lag

TEAM, AMIR, MARKETING = "T01FERNWAY", "U01AMIR", "C01MARKETING"
# Standard lists of the local Iterable: the audience is synced to one after the other.
LISTS = (1001, 1002)
# The seconds of interactions without other work, for comparison.
IDLE_S = 10.0
# The minimum of measured interactions: the audience is synced again, to another list, until there are enough.
PRESSES = 500
# A line of the other process has a number for each interaction.
_LINE_BYTES = 1 << 24


class _Crowd:
    """The other process: the local Slack and the people in it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def read_answer(self) -> dict[str, Any]:
        """Read the next line of the process."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("the local Slack has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def do(self, command: str) -> dict[str, Any]:
        """Send a command, and return the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n".encode())
        return await self.read_answer()


async def acknowledge(url: str, file: str, data_dir: str) -> dict[str, float]:
    """Sync a file during interactions, and return the times to acknowledge them and the delays of our event loop."""
    async with _crowd() as crowd:
        settings = _settings(await crowd.read_answer(), url, data_dir, file)
        async with open_engine(settings, "benchmark") as engine, serving(engine):
            connection = await _connection(engine)
            list_mappings = [await _mapping(engine, connection, list_id) for list_id in LISTS]
            await crowd.do("open")
            await crowd.do("press")
            await asyncio.sleep(IDLE_S)
            idle = await crowd.do("stop")
            lag, began = Lag(), time.monotonic()
            lag.begin()
            await crowd.do("press")
            run_count = 0
            for mapping in itertools.cycle(list_mappings):
                await _sync(engine, mapping, file)
                run_count += 1
                if (time.monotonic() - began) * RATE > PRESSES:
                    break
            seconds = time.monotonic() - began
            busy = await crowd.do("stop")
            return _figures(idle, busy, lag.end()) | {"seconds": seconds, "runs": run_count}


def _figures(idle: dict[str, Any], busy: dict[str, Any], lag: list[float]) -> dict[str, float]:
    all_seconds = [each for kind in busy["seconds"].values() for each in kind]
    figures = {
        "presses": len(all_seconds),
        "p99_s": _percentile(all_seconds, 99),
        "p50_s": _percentile(all_seconds, 50),
        "slowest_s": max(all_seconds),
        "unanswered": len(busy["failed"]),
        "idle_p99_s": _percentile([each for kind in idle["seconds"].values() for each in kind], 99),
        "lag_p99_s": _percentile(lag, 99),
        "longest_lag_s": max(lag),
        "slack_lag_p99_s": _percentile(busy["lag"], 99),
    }
    return figures | {f"p99_s {kind}": _percentile(seconds, 99) for kind, seconds in busy["seconds"].items()}


def _percentile(values: list[float], percent: int) -> float:
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


def _settings(environment: dict[str, Any], url: str, data_dir: str, file: str) -> Settings:
    values = {**environment, "iterable_url": url, "data_dir": data_dir, "port": 0, "worker_id": "benchmark"}
    values["audience_paths"] = file
    return Settings(**values, _env_file=None)  # type: ignore[call-arg]


async def _connection(engine: Engine) -> Connection:
    connected = await connect(
        engine,
        name="Shop",
        api_key=DEFAULT_KEY,
        data_center=DataCenter.US,
        user_id_field=UserIdField.CUSTOMER_ID,
        requests_per_second=0.0,
        team_id=TEAM,
        alert_channel=None,
        operators=(),
        approvers=(AMIR,),
    )
    return connected.connection


async def _mapping(engine: Engine, connection: Connection, list_id: int) -> AudienceMapping:
    mapping = await propose(
        engine,
        connection,
        IterableList(list_id, f"List {list_id}", "Standard"),
        audience="SpringShoppers",
        mode="mirror",
        removals=RemovalPolicy.REMOVE,
        channel=MARKETING,
        by=AMIR,
        team_id=TEAM,
    )
    async with engine.database.write() as db:
        await mappings.decide(db, mapping.id, MappingStatus.ACTIVE, by=AMIR, comment=None)
    return mapping


async def _sync(engine: Engine, mapping: AudienceMapping, file: str) -> None:
    """Sync the file as a person's run, in this process."""
    request = RunRequest(path=file, approved=True)
    run_id = await commands.start(engine, mapping, request, by=AMIR, channel=MARKETING, team_id=TEAM)
    while (run := await _run(engine, run_id)).status.is_active:  # noqa: ASYNC110  # the status changes in the database
        await asyncio.sleep(0.25)
    assert run.status is RunStatus.SUCCEEDED, run.error


async def _run(engine: Engine, run_id: str) -> Run:
    async with engine.database.read() as db:
        run = await runs.by_id(db, run_id)
    assert run is not None
    return run


@asynccontextmanager
async def _crowd() -> AsyncIterator[_Crowd]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.benchmarks.crowd",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=_LINE_BYTES,
    )
    try:
        yield _Crowd(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
