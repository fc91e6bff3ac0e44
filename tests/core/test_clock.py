"""The clock is put back, or forth, by an hour under a running program: nothing is lost, or late by it."""

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
from tests.core.harness import RunStatus, people, syncing
from tests.firehosing import VIPS, Live, firehosing, person, until

HOUR = 3600.0
NONE: dict[str, Any] = {"firehose_approval": "none"}

_true_time = time.time


def shift(monkeypatch: pytest.MonkeyPatch, by: float) -> None:
    """Put the clock to so many seconds from the true time."""
    monkeypatch.setattr(time, "time", lambda: _true_time() + by)


def now_ms() -> int:
    """mParticle's clock, which is right."""
    return int(_true_time() * 1000)


@pytest.mark.parametrize("by", [-HOUR, HOUR])
async def test_live_changes_keep_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: float) -> None:
    """Who leaves after the clock was put is taken off: the change is not taken for an older one."""
    async with firehosing(tmp_path, **NONE) as it:
        await it.mparticle.add(VIPS, person(1), person(2), at=now_ms())
        await it.settled()
        shift(monkeypatch, by)
        await it.mparticle.tell(VIPS, [("delete", person(2)), ("add", person(3))], at=now_ms())
        await it.settled()
        assert it.emails() == {"p1@example.com", "p3@example.com"}
        shift(monkeypatch, 0.0)
        await it.mparticle.tell(VIPS, [("delete", person(3)), ("add", person(2))], at=now_ms())
        await it.settled()
        assert it.emails() == {"p1@example.com", "p2@example.com"}


async def test_live_changes_keep_their_order_after_a_start(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it is where the program was started again with the clock put back."""
    async with firehosing(tmp_path, database_url, worker=False, **NONE) as it:
        await it.mparticle.add(VIPS, person(2), at=now_ms())
        shift(monkeypatch, -HOUR)
        await it.mparticle.add(VIPS, person(1), at=now_ms())
    async with firehosing(tmp_path, database_url, **NONE) as it:
        await it.mparticle.tell(VIPS, [("delete", person(2))], at=now_ms())
        await it.settled()
        assert it.emails() == {"p1@example.com"}


async def test_a_clock_that_was_far_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a start, a message taken while the clock was a year ahead says nothing about the time."""
    async with firehosing(tmp_path, worker=False, **NONE) as it:
        async with it.engine.database.write() as db:
            await processed_messages.deduplicate(db, ["of next year"], time.time() + 365 * 24 * HOUR)
        await it.mparticle.add(VIPS, person(1), at=now_ms() + int(48 * HOUR * 1000))
        await it.mparticle.tell(VIPS, [("delete", person(1))], at=now_ms() + 400_000)
        async with it.engine.database.read() as db:
            (member,) = (await db.exec_driver_sql("SELECT member FROM inbox")).scalars()
        assert not member


async def test_gathering_ends_though_the_clock_was_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What began to be gathered in an hour from now goes out at once."""
    async with firehosing(tmp_path, worker=True, firehose_gather_s=30.0, **NONE) as it:
        shift(monkeypatch, HOUR)
        await it.mparticle.add(VIPS, person(1), at=now_ms())
        shift(monkeypatch, 0.0)
        await it.settled()
        assert it.emails() == {"p1@example.com"}


async def asking(it: Live) -> AudienceMapping:
    """A mapping with two persons on its list, whose removals are to be approved each time."""
    await it.mparticle.add(VIPS, person(1), person(2), at=now_ms())
    await it.settled()
    mapping = await it.mapping()
    async with it.engine.database.write() as db:
        await mappings.change(db, mapping.id, removal_policy=RemovalPolicy.ASK)
    return mapping


async def test_what_is_decided_about_what_came_in_an_hour(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who approves the removals that wait, or drops what waits, means also what came before the clock was put back."""
    async with firehosing(tmp_path, database_url, **NONE) as it:
        mapping = await asking(it)
        shift(monkeypatch, HOUR)
        await it.mparticle.tell(VIPS, [("delete", person(1))], at=now_ms())
        shift(monkeypatch, 0.0)
        assert await live.approve_removals(it.engine, mapping.id, by="U1") == 1
        await it.settled()
        assert it.emails() == {"p2@example.com"}
        async with it.engine.database.write() as db:
            await mappings.change(db, mapping.id, status=MappingStatus.PAUSED)
        shift(monkeypatch, HOUR)
        await it.mparticle.add(VIPS, person(3), at=now_ms())
        shift(monkeypatch, 0.0)
        assert await live.drop_waiting(it.engine, mapping.id, by="U1") == 1


async def test_removals_are_not_approved_before_they_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Removals that were approved in an hour from now are no approval of those that come until then."""
    async with firehosing(tmp_path, **NONE) as it:
        mapping = await asking(it)
        shift(monkeypatch, HOUR)
        await live.approve_removals(it.engine, mapping.id, by="U1")
        shift(monkeypatch, 0.0)
        await it.mparticle.tell(VIPS, [("delete", person(1)), ("add", person(3))], at=now_ms())
        status = await it.settled()
        assert (status.waiting, status.backlog) == (1, 0)
        assert it.emails() == {"p1@example.com", "p2@example.com", "p3@example.com"}


async def test_a_failed_live_run_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A live run that failed in an hour from now is tried again at once."""
    async with firehosing(tmp_path, **NONE) as it:
        await it.mparticle.add(VIPS, person(1), at=now_ms())
        await it.settled()
        shift(monkeypatch, HOUR)
        it.iterable.faults.add(Fault("error", path="/api/lists/subscribe"))
        await it.mparticle.add(VIPS, person(2), at=now_ms())

        async def has_failed() -> bool:
            async with it.engine.database.read() as db:
                return any(run.status is RunStatus.FAILED for run in await runs.latest(db, 5))

        await until(has_failed)
        it.iterable.faults.clear()
        shift(monkeypatch, 0.0)
        await it.settled()
        assert it.emails() == {"p1@example.com", "p2@example.com"}


async def test_backlog_alert_and_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock put back raises no alert about a backlog; one that was raised by a clock put forth is closed again."""
    async with firehosing(tmp_path, worker=False, **NONE) as it:
        await it.mparticle.add(VIPS, person(1), at=now_ms())

        async def are_open() -> int:
            await maintenance.run_maintenance(it.engine)
            async with it.engine.database.read() as db:
                return len([alert for alert in await alerts.current(db) if alert.closed_at is None])

        shift(monkeypatch, -HOUR)
        assert await are_open() == 0
        shift(monkeypatch, HOUR)
        assert await are_open() == 1
        shift(monkeypatch, 0.0)
        assert await are_open() == 0


async def test_a_run_in_the_midst_of_which_the_clock_is_put(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A paced run goes on at its pace while the clock is put back and forth, and its duration is not negative."""
    monkeypatch.setattr(batching, "BATCH_SIZE", 10)
    async with syncing(tmp_path, database_url) as sync:
        run_id = await sync.submit(sync.mirror_file(people(range(300))))
        async with sync.engine.database.write() as db:
            await runs.change(db, run_id, rate=50.0)
        looks = count()
        offsets = (0.0, -HOUR, HOUR)
        monkeypatch.setattr(time, "time", lambda: _true_time() + offsets[next(looks) // 7 % 3])
        began = time.monotonic()
        status = await executor.execute(sync.engine, run_id)
        assert time.monotonic() - began < 20
        shift(monkeypatch, 0.0)
        run = (await sync.outcome(run_id)).run
        assert status is RunStatus.SUCCEEDED
        assert run.counters.missing == 0
        assert len(sync.emails()) == 300


async def test_a_run_can_be_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of a minute ago can be repeated though it seems to be of an hour from now."""
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


async def test_an_erasure_waits_for_a_run_of_the_future(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An erasure does not end while a run is under way that began before the clock was put back."""
    async with syncing(tmp_path, database_url) as sync:
        run_id = await sync.submit(sync.mirror_file(people(range(3))))
        shift(monkeypatch, HOUR)
        await executor.plan(sync.engine, run_id)
        shift(monkeypatch, 0.0)
        async with sync.engine.database.read() as db:
            assert await personal_data.may_be_in_hand(db, personal_data.DataSubject(set(), set(), set()))
