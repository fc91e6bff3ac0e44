"""Processes whose clocks are an hour off store and find the same as one whose clock is right.

The database's clock is right. (On SQLite it is this machine's, and only the rest of the program has another one.)
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from core import live
from core.live import maintenance, micro_batch
from core.live.bulk_removal import run_bulk_removal
from core.store import alerts, freezes, inbox, live_attributes, live_mappings, live_work, mappings, slack_messages
from core.store.database import Database
from core.store.inbox import Change
from core.store.mappings import AudienceMapping, FreezeHolds, RemovalPolicy
from sandbox.mparticle import messages
from tests.clocks import set_process_clock
from tests.core.databases import sampled
from tests.firehosing import VIPS, Live, firehosing, person

HOUR, DAY = 3600.0, 24 * 3600.0
UNATTENDED: dict[str, Any] = {"firehose_approval": "none", "worker": False}

off = pytest.mark.parametrize("by", sampled([HOUR, -HOUR]))


@contextmanager
def elsewhere(by: float) -> Iterator[None]:
    """Let a process whose clock is so many seconds off execute the block."""
    with pytest.MonkeyPatch.context() as patch:
        set_process_clock(patch, by)
        yield


async def deliver(service: Live) -> None:
    """Deliver what may be delivered of the audience."""
    run_id = await micro_batch.create_micro_batch(service.engine, await service.mapping())
    if run_id is not None:
        await micro_batch.execute(service.engine, run_id)


async def removals_that_ask(service: Live, *numbers: int) -> AudienceMapping:
    """Put people on the list of an audience whose removals need an approval."""
    await service.mparticle.add(VIPS, *map(person, numbers))
    await deliver(service)
    mapping = await service.mapping()
    async with service.engine.database.write() as db:
        await mappings.change(db, mapping.id, removal_policy=RemovalPolicy.ASK)
    return mapping


@off
async def test_removals_that_are_approved(tmp_path: Path, database_url: str, by: float) -> None:
    """An approval includes the removals that had arrived, and no later one, whichever processes are asked."""
    async with firehosing(tmp_path, database_url, **UNATTENDED) as service:
        mapping = await removals_that_ask(service, 1, 2, 3)
        await service.mparticle.tell(VIPS, [("delete", person(1))])
        with elsewhere(by):
            assert await live.approve_removals(service.engine, mapping.id, by="U1") == 1
        await service.mparticle.tell(VIPS, [("delete", person(2))])
        with elsewhere(2 * by):
            await service.mparticle.tell(VIPS, [("delete", person(3))])
        await deliver(service)
        with elsewhere(by):
            await deliver(service)
        assert service.emails() == {"p2@example.com", "p3@example.com"}
        with elsewhere(by):
            assert (await service.status()).waiting == 2


@off
async def test_age_of_waiting_changes(tmp_path: Path, database_url: str, by: float) -> None:
    """A change that another process has just stored waits for a moment: it is gathered, opens no alert, and is 0 s old
    in the metrics."""
    async with firehosing(tmp_path, database_url, **UNATTENDED) as service:
        with elsewhere(by):
            await service.mparticle.add(VIPS, person(1))
        for looks in (0.0, by):
            with elsewhere(looks):
                async with service.engine.database.read() as db:
                    (work,) = await live_work.pending(db, 60.0, 1)
                assert work.is_full  # it is counted, because it is gathered
                assert 0.0 <= work.now - (work.oldest or 0.0) < 60.0
                await maintenance.run_maintenance(service.engine)
                assert ((await service.status()).oldest_age_s or 0.0) < 60.0
            async with aiohttp.ClientSession() as session, session.get(f"{service.base_url}/metrics") as answer:
                lines = (await answer.text()).splitlines()
            (age,) = [line.split()[1] for line in lines if line.startswith("iterable_sync_backlog_age_seconds ")]
            assert float(age) < 60.0
        async with service.engine.database.read() as db:
            assert await alerts.current(db) == []


@off
async def test_removals_that_wait_for_a_merge(tmp_path: Path, database_url: str, by: float) -> None:
    """A removal waits for the same time, whichever processes store and deliver it."""
    async with firehosing(tmp_path, database_url, **UNATTENDED, firehose_merge_window_s=600.0) as service:
        await service.mparticle.add(VIPS, person(1))
        await deliver(service)
        with elsewhere(by):
            await service.mparticle.tell(VIPS, [("delete", person(1))])
        await deliver(service)
        with elsewhere(2 * by):
            await deliver(service)
        assert service.emails() == {"p1@example.com"}


@off
async def test_changes_with_attributes(tmp_path: Path, database_url: str, by: float) -> None:
    """A change with attributes waits since it was stored, by the database's clock."""
    async with firehosing(tmp_path, database_url, **UNATTENDED) as service:
        await service.mparticle.add(VIPS, person(1))
        await deliver(service)
        mapping = await service.mapping()
        with elsewhere(by):
            async with service.engine.database.write() as db:
                change = Change(mapping.id, "2", True, 1, "p2@example.com", attributes={"size": "s38"})
                assert await live_attributes.put(db, [change], service.engine.vault) == []
        async with service.engine.database.read() as db:
            waiting = await inbox.backlog(db, mapping.id)
        assert waiting.size == 1
        assert abs((waiting.oldest or 0.0) - time.time()) < 60.0


async def test_repeated_message(tmp_path: Path, database_url: str) -> None:
    """A message that is repeated counts once, even if a process whose clock is ten days late stored it."""
    async with firehosing(tmp_path, database_url, **UNATTENDED) as service:
        message = messages.membership(service.mparticle.account, VIPS, [("add", person(1))])
        with elsewhere(-10 * DAY):
            await service.mparticle.send(message)
        await maintenance.run_maintenance(service.engine)
        with elsewhere(10 * DAY):
            await maintenance.run_maintenance(service.engine)
        await service.mparticle.send(message)
        async with service.engine.database.read() as db:
            (days,) = (await live_mappings.traffic(db, "")).values()
        assert sum(day.changes for day in days) == 1


@off
async def test_stamps_of_everyones_removal(tmp_path: Path, database_url: str, by: float) -> None:
    """Of the removal of everyone and mParticle's changes before and after it, the latest counts."""
    before = int((time.time() - HOUR / 2) * 1000)
    async with firehosing(tmp_path, database_url, **UNATTENDED) as service:
        await service.mparticle.add(VIPS, person(1), person(2), at=before - 60_000)
        await deliver(service)
        await service.mparticle.disconnect(VIPS)
        mapping = await service.mapping()
        await live.remove_members(service.engine, mapping.id, by="U1")
        with elsewhere(by):
            await run_bulk_removal(service.engine, mapping.id)
        await service.mparticle.add(VIPS, person(1), at=before)
        await service.mparticle.add(VIPS, person(2))
        await deliver(service)
        assert service.emails() == {"p2@example.com"}


@pytest.mark.parametrize("by", sampled([-2 * DAY, 2 * DAY]))
async def test_days_and_silences(tmp_path: Path, database_url: str, by: float) -> None:
    """Changes count for the day of the database, and end no silence that was none."""
    async with firehosing(tmp_path, database_url, **UNATTENDED) as service:
        await service.mparticle.add(VIPS, person(1))
        with elsewhere(by):
            await service.mparticle.add(VIPS, person(2))
            await deliver(service)
        status = await service.status()
        assert (status.changes_today, status.added) == (2, 2)
        async with service.engine.database.read() as db:
            (days,) = (await live_mappings.traffic(db, "")).values()
        (day,) = days
        assert (day.longest_silence_s or 0.0) < 60.0
        assert abs((day.last_received_at or 0.0) - time.time()) < 60.0


@off
async def test_time_stamps_from_the_future(tmp_path: Path, database_url: str, by: float) -> None:
    """A change that is stamped far in the future does not win over a later one, and a true stamp is kept."""
    async with firehosing(tmp_path, database_url, **UNATTENDED) as service:
        now = int(time.time() * 1000)
        with elsewhere(by):
            await service.mparticle.add(VIPS, person(1), person(2), at=now)
            await service.mparticle.add(VIPS, person(3), at=now + int(DAY * 1000))
        await service.mparticle.tell(VIPS, [("delete", person(1))], at=now - 1)
        await service.mparticle.tell(VIPS, [("delete", person(3))], at=now + 400_000)
        await deliver(service)
        assert service.emails() == {"p1@example.com", "p2@example.com"}


@off
async def test_freezes_of_live_changes(tmp_path: Path, database_url: str, by: float) -> None:
    """A freeze holds live changes back until its end by the database's clock."""
    async with firehosing(tmp_path, database_url, **UNATTENDED) as service:
        await service.mparticle.add(VIPS, person(1))
        scope = freezes.Scope((await service.mapping()).id)
        for until, holds in ((time.time() + HOUR / 2, True), (time.time() - HOUR / 2, False)):
            async with service.engine.database.write() as db:
                await freezes.put(db, scope, FreezeHolds.BOTH, until, "U1")
            with elsewhere(by):
                async with service.engine.database.read() as db:
                    works = await live_work.pending(db, 0.0, 1)
            assert [work.oldest is None for work in works] == ([] if holds else [False])


@off
async def test_next_try_of_a_slack_message(database: Database, by: float) -> None:
    """A message that Slack refused is sent again after the same wait, whichever process is the one that posts."""
    async with database.write() as db:
        await slack_messages.add(db, "run:x", team_id="T1", target="C1")
        with elsewhere(by):
            await slack_messages.change(db, "run:x", retry_in_s=60.0)
    for reads in (0.0, by):
        with elsewhere(reads):
            async with database.read() as db:
                message = await slack_messages.get(db, "run:x")
                (same,) = (await slack_messages.of(db, ["run:x"])).values()
        assert message is not None
        assert 0.0 < message.retry_at - message.read_at <= 60.0
        assert same == message  # whenever it was read
