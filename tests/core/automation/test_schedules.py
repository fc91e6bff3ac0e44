"""Schedules fire at their times, once, and sync what is new in the source of their mapping."""

from pathlib import Path

import pytest

from core.automation import schedules
from core.connections import mapping_lifecycle
from core.errors import ConflictError
from core.models.run import RunStatus
from core.runs.approval import Decision
from core.store import audit_log
from core.store.audit_log import COMMAND_LINE, AuditAction
from core.store.schedules import Missed, Trigger
from tests.core.automation.harness import DAY_S, HOUR_S, MINUTE_S, World, automated
from tests.core.harness import addresses, decide


async def test_new_files_are_synced_once_in_order(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each new file is synced once, the oldest first; one with the same content as another is not."""
    async with automated(tmp_path, database_url, monkeypatch) as world:
        await world.source()
        schedule = await world.schedule(name="Exports")
        await world.step()
        world.write("shoppers-2026-12-07.csv", range(4))
        world.write("shoppers-2026-12-06.csv", range(3))
        await world.steps(3 * MINUTE_S)
        world.write("again.csv", range(4))
        await world.steps(3 * MINUTE_S)
        assert await world.synced() == ["shoppers-2026-12-06.csv", "shoppers-2026-12-07.csv"]
        assert world.sync.emails() == addresses(range(4))
        assert (await world.files())["again.csv"] == "duplicate"
        first = (await world.runs())[0]
        assert first.started_by == schedule.actor == "schedule Exports"
        async with world.sync.engine.database.read() as db:
            (started,) = [
                entry
                for entry in await audit_log.of(db, [f"run:{first.id}"])
                if entry.action is AuditAction.RUN_STARTED
            ]
        assert started.actor == "schedule Exports"


@pytest.mark.extended
async def test_repeated_contents(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole audience that is again as it was before is synced; a repeated file of changes is not."""
    async with automated(tmp_path, database_url, monkeypatch) as world:
        await world.source()
        await world.schedule()
        await world.step()
        for name, numbers in (
            ("1.csv", range(2)),
            ("2.csv", range(3)),
            ("3.csv", range(2)),
            ("copy of 3.csv", range(2)),
        ):
            world.write(name, numbers)
            await world.steps(3 * MINUTE_S)
        assert await world.synced() == ["1.csv", "2.csv", "3.csv"]
        assert world.sync.emails() == addresses(range(2))
        joins, leaves = "mpid,email,customerid,isadd\n5,p5@example.com,c5,{}\n".format, ("true", "false", "true")
        for number, is_added in enumerate(leaves):
            world.write(f"changes{number}.csv", []).write_text(joins(is_added))
            await world.steps(3 * MINUTE_S)
        assert (await world.files())["changes2.csv"] == "duplicate"
        assert world.sync.emails() == addresses(range(2))


async def test_daily_schedule(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A schedule for each day syncs the newest file that is there, and then what has come since."""
    async with automated(tmp_path, database_url, monkeypatch) as world:
        world.write("old.csv", range(1))
        world.clock.at += HOUR_S
        world.write("new.csv", range(2))
        await world.source()
        schedule = await world.schedule(Trigger.CRON, cron="0 8 * * *", time_zone="Europe/Berlin")
        await world.steps(5 * HOUR_S, every=10 * MINUTE_S)
        assert await world.runs() == []
        await world.steps(2 * HOUR_S, every=10 * MINUTE_S)
        assert await world.synced() == ["new.csv"]
        assert await world.files() == {"old.csv": "skipped", "new.csv": "synced"}
        assert (await world.stored(schedule)).next_due_at == world.clock.at // DAY_S * DAY_S + 31 * HOUR_S


@pytest.mark.parametrize(("missed", "files"), [(Missed.ONCE, ["export.csv"]), (Missed.SKIP, [])])
async def test_missed_times(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, missed: Missed, files: list[str]
) -> None:
    """Times at which no process ran are caught up once, or skipped, as the schedule says."""
    async with automated(tmp_path, database_url, monkeypatch) as world:
        world.write("export.csv", range(2))
        await world.source()
        schedule = await world.schedule(Trigger.CRON, cron="0 * * * *", missed=missed)
        await world.step(5.5 * HOUR_S)
        await world.steps(3 * MINUTE_S)
        assert await world.synced() == files
        assert (await world.stored(schedule)).next_due_at == world.clock.at // HOUR_S * HOUR_S + HOUR_S


@pytest.mark.extended
async def test_quiet_hours_postpone(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its quiet hours a schedule starts nothing; when they end it catches up."""
    async with automated(tmp_path, database_url, monkeypatch) as world:
        await world.source()
        schedule = await world.schedule(quiet_from="22:00", quiet_to="06:00")
        world.write("night.csv", range(2))
        await world.step()
        assert (await world.stored(schedule)).next_due_at == world.clock.at + 6 * HOUR_S
        await world.steps(6 * HOUR_S + 3 * MINUTE_S, every=5 * MINUTE_S)
        assert await world.synced() == ["night.csv"]


@pytest.mark.extended
async def test_approval_is_asked_once(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a run waits for approval, the next firing starts no other: its file follows after the decision."""
    async with automated(tmp_path, database_url, monkeypatch) as world:
        await world.source()
        await world.schedule()
        world.write("a.csv", range(300))
        await world.steps(2 * MINUTE_S)
        world.write("b.csv", range(5))
        await world.steps(5 * MINUTE_S)
        world.write("c.csv", range(6))
        await world.steps(5 * MINUTE_S)
        _, waiting = await world.runs()
        assert waiting.status is RunStatus.NEEDS_APPROVAL
        assert await decide(world.sync.engine, waiting.id) is Decision.RECORDED
        await world.steps(5 * MINUTE_S)
        assert await world.synced() == ["a.csv", "b.csv", "c.csv"]
        assert world.sync.emails() == addresses(range(6))


async def test_paused_mapping(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A schedule of a paused mapping starts nothing; its files are synced after the mapping is resumed."""
    async with automated(tmp_path, database_url, monkeypatch) as world:
        engine = world.sync.engine
        await world.source()
        await world.schedule()
        await mapping_lifecycle.pause(engine, world.mapping.id, by=COMMAND_LINE, team_id=None)
        world.write("a.csv", range(3))
        await world.steps(10 * MINUTE_S)
        assert await world.runs() == []
        await mapping_lifecycle.resume(engine, world.mapping.id, by=COMMAND_LINE, team_id=None)
        await world.steps(3 * MINUTE_S)
        assert await world.synced() == ["a.csv"]


@pytest.mark.extended
async def test_paused_removed_and_asked(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A paused schedule does nothing by itself; a person can still run it; a removed one is gone."""
    async with automated(tmp_path, database_url, monkeypatch) as world:
        engine = world.sync.engine
        with pytest.raises(ConflictError, match="no source"):
            await world.schedule()
        await world.source()
        schedule = await world.schedule(name="Nightly")
        with pytest.raises(ConflictError, match='"Nightly" already'):
            await world.schedule(name="Nightly")
        assert await schedules.pause(engine, schedule, by=COMMAND_LINE, team_id=None)
        assert not await schedules.pause(engine, schedule, by=COMMAND_LINE, team_id=None)
        world.write("a.csv", range(3))
        await world.steps(5 * MINUTE_S)
        assert await world.runs() == []
        await schedules.run_now(engine, schedule, by=COMMAND_LINE, team_id=None)
        await world.steps(2 * MINUTE_S)
        assert [run.started_by for run in await world.runs()] == [COMMAND_LINE]
        assert await schedules.resume(engine, schedule, by=COMMAND_LINE, team_id=None)
        world.write("b.csv", range(4))
        await world.steps(3 * MINUTE_S)
        await schedules.remove(engine, schedule, by=COMMAND_LINE, team_id=None)
        world.write("c.csv", range(5))
        await world.steps(5 * MINUTE_S)
        assert await world.synced() == ["a.csv", "b.csv"]
        async with engine.database.read() as db:
            entries = await audit_log.of(db, [f"schedule:{schedule.id}"])
        actions = ["added", "paused", "run_now", "resumed", "removed"]
        assert [entry.action for entry in entries] == [f"schedule.{action}" for action in actions]


async def test_two_processes(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of processes that find the same schedule due, one fires it."""
    async with automated(tmp_path, database_url, monkeypatch) as world:
        await world.source()
        await world.schedule()
        world.write("a.csv", range(3))
        other = World(world.sync, world.clock, world.folder, world.mapping)
        for _ in range(4):
            world.clock.at += MINUTE_S
            await world.due_work.start()
            await other.due_work.start()
            await world.due_work.finish()
            await other.due_work.finish()
        await world.step()
        assert await world.synced() == ["a.csv"]
