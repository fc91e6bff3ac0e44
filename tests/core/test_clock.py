"""The clock of a running program jumps back or ahead by an hour: nothing is lost, and nothing is late."""

import time
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from core import live
from core.live import maintenance
from core.models.run import RunRequest
from core.planning import batching
from core.runs import commands, executor
from core.store import alerts, mappings, personal_data, processed_messages, runs
from core.store.mappings import AudienceMapping, MappingStatus, RemovalPolicy
from sandbox.iterable import Fault
from tests.core.databases import sampled
from tests.core.harness import RunStatus, people, syncing
from tests.firehosing import VIPS, Live, firehosing, person, until

HOUR = 3600.0
NONE: dict[str, Any] = {"firehose_approval": "none"}

_true_time = time.time


def shift(monkeypatch: pytest.MonkeyPatch, by: float) -> None:
    """Set the clock to this many seconds from the true time."""
    monkeypatch.setattr(time, "time", lambda: _true_time() + by)


def now_ms() -> int:
    """The true time, which mParticle's clock shows, in milliseconds since 1970."""
    return int(_true_time() * 1000)


@pytest.mark.parametrize("by", sampled([-HOUR, HOUR]))
async def test_live_changes_keep_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: float) -> None:
    """A removal after a jump of the clock is newer than the changes before it."""
    async with firehosing(tmp_path, **NONE) as service:
        await service.mparticle.add(VIPS, person(1), person(2), at=now_ms())
        await service.settled()
        shift(monkeypatch, by)
        await service.mparticle.tell(VIPS, [("delete", person(2)), ("add", person(3))], at=now_ms())
        await service.settled()
        assert service.emails() == {"p1@example.com", "p3@example.com"}
        shift(monkeypatch, 0.0)
        await service.mparticle.tell(VIPS, [("delete", person(3)), ("add", person(2))], at=now_ms())
        await service.settled()
        assert service.emails() == {"p1@example.com", "p2@example.com"}


async def test_live_changes_keep_their_order_after_a_start(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A removal is newer than earlier changes after a restart with the clock set back."""
    async with firehosing(tmp_path, database_url, worker=False, **NONE) as service:
        await service.mparticle.add(VIPS, person(2), at=now_ms())
        shift(monkeypatch, -HOUR)
        await service.mparticle.add(VIPS, person(1), at=now_ms())
    async with firehosing(tmp_path, database_url, **NONE) as service:
        await service.mparticle.tell(VIPS, [("delete", person(2))], at=now_ms())
        await service.settled()
        assert service.emails() == {"p1@example.com"}


async def test_a_clock_that_was_far_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a start, a message from a time when the clock was a year ahead does not set the time."""
    async with firehosing(tmp_path, worker=False, **NONE) as service:
        shift(monkeypatch, 365 * 24 * HOUR)
        async with service.engine.database.write() as db:
            await processed_messages.deduplicate(db, ["of next year"])
        shift(monkeypatch, 0.0)
        await service.mparticle.add(VIPS, person(1), at=now_ms() + int(48 * HOUR * 1000))
        await service.mparticle.tell(VIPS, [("delete", person(1))], at=now_ms() + 400_000)
        async with service.engine.database.read() as db:
            (member,) = (await db.exec_driver_sql("SELECT member FROM inbox")).scalars()
        assert not member


async def test_gathering_ends_after_the_clock_went_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change that seems to have arrived in the future is delivered at once."""
    async with firehosing(tmp_path, worker=True, firehose_gather_s=30.0, **NONE) as service:
        shift(monkeypatch, HOUR)
        await service.mparticle.add(VIPS, person(1), at=now_ms())
        shift(monkeypatch, 0.0)
        await service.settled()
        assert service.emails() == {"p1@example.com"}


async def mapping_with_approvals(service: Live) -> AudienceMapping:
    """A mapping with two people on its list, whose removals need approval each time."""
    await service.mparticle.add(VIPS, person(1), person(2), at=now_ms())
    await service.settled()
    mapping = await service.mapping()
    async with service.engine.database.write() as db:
        await mappings.change(db, mapping.id, removal_policy=RemovalPolicy.ASK)
    return mapping


async def test_decisions_cover_changes_from_the_future(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Approving or dropping pending changes includes those from before the clock was set back."""
    async with firehosing(tmp_path, database_url, **NONE) as service:
        mapping = await mapping_with_approvals(service)
        shift(monkeypatch, HOUR)
        await service.mparticle.tell(VIPS, [("delete", person(1))], at=now_ms())
        shift(monkeypatch, 0.0)
        assert await live.approve_removals(service.engine, mapping.id, by="U1") == 1
        await service.settled()
        assert service.emails() == {"p2@example.com"}
        async with service.engine.database.write() as db:
            await mappings.change(db, mapping.id, status=MappingStatus.PAUSED)
        shift(monkeypatch, HOUR)
        await service.mparticle.add(VIPS, person(3), at=now_ms())
        shift(monkeypatch, 0.0)
        assert await live.drop_waiting(service.engine, mapping.id, by="U1") == 1


async def test_approval_from_the_future_covers_no_later_removals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An approval that seems to be from the future covers no removals that arrive later, nor when its time comes."""
    async with firehosing(tmp_path, **NONE) as service:
        mapping = await mapping_with_approvals(service)
        shift(monkeypatch, HOUR)
        await live.approve_removals(service.engine, mapping.id, by="U1")
        shift(monkeypatch, 0.0)
        await service.mparticle.tell(VIPS, [("delete", person(1)), ("add", person(3))], at=now_ms())
        status = await service.settled()
        assert (status.waiting, status.backlog) == (1, 0)
        assert service.emails() == {"p1@example.com", "p2@example.com", "p3@example.com"}
        await maintenance.run_maintenance(service.engine)
        shift(monkeypatch, 2 * HOUR)
        status = await service.settled()
        assert (status.waiting, status.backlog) == (1, 0)
        await live.approve_removals(service.engine, mapping.id, by="U1")
        await service.settled()
        assert service.emails() == {"p2@example.com", "p3@example.com"}


@pytest.mark.extended
async def test_a_failed_live_run_is_retried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A live run whose failure seems to be in the future is retried at once."""
    async with firehosing(tmp_path, **NONE) as service:
        await service.mparticle.add(VIPS, person(1), at=now_ms())
        await service.settled()
        shift(monkeypatch, HOUR)
        service.iterable.faults.add(Fault("error", path="/api/lists/subscribe"))
        await service.mparticle.add(VIPS, person(2), at=now_ms())

        async def has_failed() -> bool:
            async with service.engine.database.read() as db:
                return any(run.status is RunStatus.FAILED for run in await runs.latest(db, 5))

        await until(has_failed)
        service.iterable.faults.clear()
        shift(monkeypatch, 0.0)
        await service.settled()
        assert service.emails() == {"p1@example.com", "p2@example.com"}


async def test_backlog_alert_and_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock set back opens no backlog alert, and one opened by a clock set ahead is closed again."""
    async with firehosing(tmp_path, worker=False, **NONE) as service:
        await service.mparticle.add(VIPS, person(1), at=now_ms())

        async def count_open_alerts() -> int:
            await maintenance.run_maintenance(service.engine)
            async with service.engine.database.read() as db:
                return len([alert for alert in await alerts.current(db) if alert.closed_at is None])

        shift(monkeypatch, -HOUR)
        assert await count_open_alerts() == 0
        shift(monkeypatch, HOUR)
        assert await count_open_alerts() == 1
        shift(monkeypatch, 0.0)
        assert await count_open_alerts() == 0


async def test_the_clock_jumps_during_a_run(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run keeps its rate while the clock jumps back and ahead, and its duration is not negative."""
    monkeypatch.setattr(batching, "BATCH_SIZE", 10)
    async with syncing(tmp_path, database_url) as sync:
        run_id = await sync.submit(sync.mirror_file(people(range(300))))
        async with sync.engine.database.write() as db:
            await runs.change(db, run_id, rate=50.0)
        readings = count()
        offsets = (0.0, -HOUR, HOUR)
        monkeypatch.setattr(time, "time", lambda: _true_time() + offsets[next(readings) // 7 % 3])
        began = time.monotonic()
        status = await executor.execute(sync.engine, run_id)
        assert time.monotonic() - began < HOUR / 10
        shift(monkeypatch, 0.0)
        run = (await sync.outcome(run_id)).run
        assert status is RunStatus.SUCCEEDED
        assert run.counters.missing == 0
        assert len(sync.emails()) == 300


async def test_a_run_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run from a minute ago can be repeated even if it seems to be from the future."""
    async with syncing(tmp_path) as sync:
        shift(monkeypatch, HOUR)
        first = (await sync.mirror(people(range(3)))).run
        shift(monkeypatch, 0.0)
        async with sync.engine.database.read() as db:
            mapping = await mappings.by_id(db, first.mapping_id)
        assert mapping is not None
        request = RunRequest(path=first.request.path)
        again = await commands.start(sync.engine, mapping, request, by="U1", channel=None, team_id=None, repeats="x")
        assert again != first.id


async def test_an_erasure_waits_for_a_run_from_the_future(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An erasure waits for a run that began before the clock was set back."""
    async with syncing(tmp_path, database_url) as sync:
        run_id = await sync.submit(sync.mirror_file(people(range(3))))
        shift(monkeypatch, HOUR)
        await executor.plan(sync.engine, run_id)
        shift(monkeypatch, 0.0)
        async with sync.engine.database.read() as db:
            assert await personal_data.may_be_in_hand(db, personal_data.DataSubject(set(), set(), set()))
