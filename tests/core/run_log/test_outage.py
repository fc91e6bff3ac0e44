"""A place that fails holds up no run: runs wait for it, it is tried again, and an alert says so."""

from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from core.run_log import configuration, export
from core.store import alerts, clock, run_log
from core.store.alerts import Alert, AlertOutcome
from core.store.audit_log import COMMAND_LINE
from core.store.run_log import Identifiers
from tests.core.automation.harness import DAY_S, HOUR_S, MINUTE_S, World, automated
from tests.core.harness import RunStatus
from tests.core.run_log.harness import rows, turn_on
from tests.firehosing import VIPS, firehosing, person


async def _alerts(world: World) -> list[Alert]:
    async with world.sync.engine.database.read() as db:
        return await alerts.current(db)


async def _waiting(world: World) -> int:
    async with world.sync.engine.database.read() as db:
        return await run_log.due_count(db, await clock.now(db))


async def _sync_file(world: World, name: str, numbers: range) -> RunStatus:
    world.write(name, numbers)
    await world.steps(3 * MINUTE_S, every=15.0)
    return (await world.runs())[-1].status


async def test_place_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs succeed while the folder is away. One alert says so at once, and closes when the runs have been written."""
    async with automated(tmp_path, None, monkeypatch) as world:
        await world.source()
        await world.schedule()
        place = await turn_on(world.sync.engine, tmp_path, Identifiers.NONE)
        place.rename(tmp_path / "away")
        assert await _sync_file(world, "1.csv", range(3)) is RunStatus.SUCCEEDED
        assert await _sync_file(world, "2.csv", range(2)) is RunStatus.SUCCEEDED  # which closes no alert of the run log
        (alert,) = await _alerts(world)
        assert (alert.code, alert.mapping_id, alert.closed_at) == ("run_log", None, None)
        assert "there is no such folder" in alert.message
        assert "1 run waits to be written, and syncs are not affected" in alert.message
        assert await _waiting(world) == 2

        (tmp_path / "away").rename(place)
        await world.step(1.0)
        assert rows(place, "runs") == []  # the next try is some minutes away
        await world.steps(10 * MINUTE_S, every=5 * MINUTE_S)
        assert rows(place, "runs", "added, removed") == [(0, 1), (3, 0)]
        (alert,) = await _alerts(world)
        assert alert.outcome is AlertOutcome.RESOLVED
        assert await _waiting(world) == 0


@pytest.mark.extended
async def test_passing_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault that may pass opens an alert only after ten minutes."""
    async with automated(tmp_path, None, monkeypatch) as world:
        await world.source()
        await world.schedule()
        place = await turn_on(world.sync.engine, tmp_path)
        (place / "changes").write_text("a file in the place of a folder")
        await _sync_file(world, "1.csv", range(3))
        assert await _alerts(world) == []
        await world.steps(HOUR_S, every=5 * MINUTE_S)
        (alert,) = await _alerts(world)
        assert "can't be written" in alert.message
        (place / "changes").unlink()
        await world.steps(2 * HOUR_S, every=15 * MINUTE_S)
        assert rows(place, "changes", "count(*)") == [(3,)]


@pytest.mark.extended
async def test_turned_off(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that end while the run log is off, and runs that waited when it was turned off, are never written."""
    async with automated(tmp_path, database_url, monkeypatch) as world:
        await world.source()
        await world.schedule()
        place = await turn_on(world.sync.engine, tmp_path)
        place.rename(tmp_path / "away")
        await _sync_file(world, "1.csv", range(3))
        assert await configuration.turn_off(world.sync.engine, by=COMMAND_LINE, team_id=None)
        await _sync_file(world, "2.csv", range(4))
        await turn_on(world.sync.engine, tmp_path)
        await world.steps(HOUR_S, every=15 * MINUTE_S)
        assert await _waiting(world) == 0
        assert rows(place, "runs") == []


async def test_live_audience(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The changes of a live audience are written once, when their day is over."""
    async with firehosing(tmp_path, database_url, firehose_approval="none") as service:
        place = await turn_on(service.engine, tmp_path)
        await service.mparticle.connect(VIPS)
        for number in (1, 2):
            await service.mparticle.add(VIPS, person(number))
            await service.settled()
        await export.write_due(service.engine)
        assert rows(place, "runs") == []
        now = clock.now

        async def tomorrow(db: AsyncConnection) -> float:
            return await now(db) + DAY_S

        monkeypatch.setattr(clock, "now", tomorrow)
        await export.write_due(service.engine)
        assert rows(place, "runs", "is_live, added") == [(True, 2)]
        assert rows(place, "changes", "member, action") == [("1", "add"), ("2", "add")]
