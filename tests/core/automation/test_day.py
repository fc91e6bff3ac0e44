"""A day in a minute: schedules, an outage, a late file, a duplicate, a pause, a freeze, and kills."""

import random
from pathlib import Path

import pytest
from sqlalchemy import select

from core.automation import schedules, sources
from core.automation.due_work import DueWork
from core.automation.schedules import ScheduleOptions
from core.automation.sources import SourceOptions
from core.connections import freeze_commands, mapping_lifecycle
from core.iterable import IterableList
from core.models.run import RunStatus
from core.store import alerts, connections, mappings, runs, workers
from core.store.audit_log import COMMAND_LINE
from core.store.freezes import Scope
from core.store.mappings import AudienceMapping, MappingStatus
from core.store.schedules import Trigger
from core.store.tables import alerts as alerts_table
from sandbox.iterable import Fault
from tests.core.automation.harness import DAY_S, HOUR_S, MINUTE_S, World, automated
from tests.core.harness import OTHER_LIST, QUICK, addresses


async def second_mapping(world: World) -> AudienceMapping:
    """Map another audience to another list, to be synced after the first."""
    engine = world.sync.engine
    async with engine.database.read() as db:
        connection = await connections.by_id(db, world.mapping.connection_id)
    assert connection is not None
    mapping = await mapping_lifecycle.propose(
        engine,
        connection,
        IterableList(OTHER_LIST, "Lapsed", "Standard"),
        audience="Lapsed",
        mode="auto",
        by=COMMAND_LINE,
        team_id=None,
        status=MappingStatus.ACTIVE,
        limits=mappings.AdditionLimits(10_000),
    )
    place = world.sync.directory / "lapsed"
    place.mkdir()
    chosen = SourceOptions(str(place))
    await sources.set_source(engine, mapping, chosen, by=COMMAND_LINE, team_id=None, allowed=None)
    options = ScheduleOptions(Trigger.AFTER, after_mapping_id=world.mapping.id)
    await schedules.add(engine, mapping, options, by=COMMAND_LINE, team_id=None)
    return mapping


async def killed_look(world: World) -> None:
    """Begin what is due in a process that dies in the middle: its look has claimed the source, and does not end."""
    other = DueWork(world.sync.engine)
    await other.start()
    for task in list(other._looks.values()):
        task.cancel()
    for run in await world.runs():
        if run.status is RunStatus.QUEUED:
            async with world.sync.engine.database.write() as db:
                await runs.assign_worker(db, run.id, "dead#1")
    async with world.sync.engine.database.write() as db:
        await workers.free_abandoned(db)
        for orphan in await runs.orphaned(db):
            await runs.reopen(db, orphan, None)


@pytest.mark.extended
async def test_day(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file is synced once and in order, every alert is opened once, and the second mapping follows the first."""
    async with automated(tmp_path, database_url, monkeypatch, retry_policy=QUICK) as world:
        engine, numbers = world.sync.engine, random.Random(7)
        await world.source()
        await world.schedule(name="New files")
        await world.schedule(Trigger.CRON, cron="0 6 * * *", name="Morning", time_zone="Europe/Berlin")
        lapsed = await second_mapping(world)
        (world.sync.directory / "lapsed" / "lapsed.csv").write_text(
            "mpid,email,customer_id\n900,p900@example.com,c900\n"
        )
        await world.steps(5 * MINUTE_S)
        names = []
        for hour in range(24):
            if hour == 20:
                names.append("13.csv")
                world.write("13.csv", range(100, 110))
            if hour != 13:  # this file is late, by seven hours
                names.append(f"{hour:02}.csv")
                world.write(names[-1], range(hour + 1))
            if hour == 4:
                world.sync.iterable.faults.set([Fault("error", path="/api/lists/subscribe")])
            if hour == 7:
                world.sync.iterable.faults.clear()
            if hour == 10:
                world.write("copy of 10.csv", range(11))
            if hour in (11, 12):
                move = mapping_lifecycle.pause if hour == 11 else mapping_lifecycle.resume
                await move(engine, world.mapping.id, by=COMMAND_LINE, team_id=None)
            if hour == 15:
                scope = Scope(world.mapping.id)
                await freeze_commands.freeze(engine, scope, until=world.clock.at + 2 * HOUR_S, by="U1", team_id=None)
            if numbers.random() < 0.5:
                await killed_look(world)
            await world.steps(HOUR_S, every=4 * MINUTE_S)
        await world.steps(2 * HOUR_S, every=10 * MINUTE_S)
        finished = await world.runs()
        assert [Path(run.request.path).name for run in finished] == names
        assert {run.status for run in finished} == {RunStatus.SUCCEEDED}
        assert (await world.files())["copy of 10.csv"] == "duplicate"
        assert world.sync.emails() == addresses(range(24))
        assert world.sync.emails(OTHER_LIST) == addresses([900])
        async with engine.database.read() as db:
            of_lapsed = await runs.latest_of(db, [lapsed.id], 10)
            stored = (await db.execute(select(alerts_table).where(alerts_table.c.mapping_id == world.mapping.id))).all()
            assert not await alerts.all_open_of(db, world.mapping.connection_id, world.mapping.id)
        assert len(of_lapsed) == 1
        assert [row.code for row in stored] == ["unavailable"], [row.message for row in stored]
        assert world.clock.at > DAY_S
