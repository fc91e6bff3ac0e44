"""The setup for tests of automation: an engine with a local Iterable, a folder, and a clock that tests move."""

import os
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import ColumnElement, Float, bindparam, literal
from sqlalchemy.ext.asyncio import AsyncConnection

from core.automation import schedules, sources
from core.automation.due_work import DueWork
from core.automation.schedules import ScheduleOptions
from core.automation.sources import SourceOptions
from core.connections import mapping_lifecycle
from core.connections.environment import environment_connection
from core.iterable import DataCenter, IterableList, RetryPolicy
from core.models.run import Run
from core.runs import worker
from core.store import clock as stored_clock
from core.store import file_sources, mappings, run_queue, runs
from core.store import schedules as stored_schedules
from core.store.audit_log import COMMAND_LINE
from core.store.mappings import AudienceMapping, MappingStatus
from core.store.schedules import Schedule, Trigger
from tests.core.harness import LIST, Sync, people, syncing

MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86_400.0
#: A Monday at midnight UTC, from which the tests count.
MONDAY = 1_796_601_600.0


class MovedClock:
    """The clock of this process and of the database, set by a test: it stands still in between."""

    def __init__(self, at: float) -> None:
        self.at = at

    def __call__(self) -> float:
        """Seconds since 1970."""
        return self.at

    async def now(self, _db: AsyncConnection) -> float:
        """The database's time (core.store.clock)."""
        return self.at

    def expression(self, _db: AsyncConnection) -> ColumnElement[Any]:
        """The database's time in a statement (core.store.clock)."""
        return literal(self.at)


@dataclass
class World:
    """An engine, a mapping whose source is a folder, and a clock that the test moves."""

    sync: Sync
    clock: MovedClock
    folder: Path
    mapping: AudienceMapping
    due_work: DueWork = field(init=False)

    def __post_init__(self) -> None:
        self.due_work = DueWork(self.sync.engine)

    def write(self, name: str, numbers: Iterable[int]) -> Path:
        """Write an audience with the people of these numbers to the folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [f"{m.mpid},{m.email},{m.customer_id}\n" for m in people(numbers)]
        path.write_text("mpid,email,customer_id\n" + "".join(rows))
        os.utime(path, (self.clock.at, self.clock.at))
        return path

    async def source(self, address: str | Path | None = None, **options: object) -> None:
        """Set the source of the mapping: by default, its folder."""
        chosen = SourceOptions(str(address or self.folder), **options)  # type: ignore[arg-type]
        engine = self.sync.engine
        await sources.set_source(engine, self.mapping, chosen, by=COMMAND_LINE, team_id=None, allowed=None)

    async def schedule(self, trigger: Trigger = Trigger.NEW_FILE, **options: object) -> Schedule:
        """Add a schedule to the mapping."""
        chosen = ScheduleOptions(trigger, **options)  # type: ignore[arg-type]
        return await schedules.add(self.sync.engine, self.mapping, chosen, by=COMMAND_LINE, team_id=None)

    async def step(self, seconds: float = 0.0) -> None:
        """Move the clock, do what is due, and execute the runs that were queued."""
        self.clock.at += seconds
        await self.due_work.start()
        await self.due_work.finish()
        engine = self.sync.engine
        await worker._end_freezes(engine)
        for run_id in await run_queue.claim(engine.database, engine.presence.id, 10):
            await worker._execute_alone(engine, run_id)

    async def steps(self, seconds: float, every: float = MINUTE_S) -> None:
        """Move the clock forward in steps."""
        end = self.clock.at + seconds
        while self.clock.at < end:
            await self.step(min(every, end - self.clock.at))

    async def runs(self) -> list[Run]:
        """The runs of the mapping, oldest first."""
        async with self.sync.engine.database.read() as db:
            return list(reversed(await runs.latest_of(db, [self.mapping.id], 100)))

    async def synced(self) -> list[str]:
        """The names of the files of these runs, in order."""
        return [Path(run.request.path).name for run in await self.runs()]

    async def files(self) -> dict[str, str]:
        """The status of each file that was seen, by name."""
        async with self.sync.engine.database.read() as db:
            seen = await file_sources.files(db, self.mapping.id)
        return {Path(file.address).name: file.status.value for file in seen}

    async def stored(self, schedule: Schedule) -> Schedule:
        """A schedule as it is stored now."""
        async with self.sync.engine.database.read() as db:
            current = await stored_schedules.by_id(db, schedule.id)
        assert current is not None
        return current


@asynccontextmanager
async def automated(
    directory: Path,
    database_url: str | None,
    monkeypatch: pytest.MonkeyPatch,
    *,
    retry_policy: RetryPolicy | None = None,
    at: float = MONDAY,
) -> AsyncIterator[World]:
    """Open a world."""
    async with syncing(directory, database_url, retry_policy) as sync:
        clock = MovedClock(at)
        connection = await environment_connection(sync.engine, user_id=None, data_center=DataCenter.US, rate=0)
        mapping = await mapping_lifecycle.propose(
            sync.engine,
            connection,
            IterableList(LIST, "Spring shoppers", "Standard"),
            audience="Shoppers",
            mode="auto",
            by=COMMAND_LINE,
            team_id=None,
            status=MappingStatus.ACTIVE,
            limits=mappings.AdditionLimits(10_000),
        )
        monkeypatch.setattr(time, "time", clock)
        monkeypatch.setattr(stored_clock, "now", clock.now)
        monkeypatch.setattr(stored_clock, "expression", clock.expression)
        moved = bindparam("moved_time", callable_=clock, type_=Float)
        monkeypatch.setattr(stored_clock, "SERVER_TIME", moved)
        monkeypatch.setattr(stored_clock, "AT_START", moved)
        folder = directory / "exports"
        folder.mkdir()
        yield World(sync, clock, folder, mapping)
