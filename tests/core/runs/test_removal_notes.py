"""A source that can't remove says so: exports of mParticle may leave removals out."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.cli.doctor.mparticle_checks import mparticle_findings
from bot.cli.doctor.removal_checks import removal_findings
from core.models.run import RunStatus
from core.planning.removal_limits import BUCKET, DELETED, STANDARD, STREAM, SUSPICIOUS_FILES
from core.store import connections, mappings, mparticle_accounts
from core.store.mappings import MappingStatus, RemovalPolicy
from sandbox.mparticle import Audience, Profile
from sandbox.mparticle.exports import Change, write_bucket_export, write_stream_export
from sandbox.mparticle.lifecycle import running
from sandbox.mparticle.platform import DEFAULT_ACCOUNT, ListedAudience, Platform
from tests.core.harness import Sync, syncing
from tests.core.mparticle_access import give_access

VIPS = Audience(8754, "VIPs")


@pytest.fixture
async def sync(tmp_path: Path) -> AsyncIterator[Sync]:
    """An engine on SQLite."""
    async with syncing(tmp_path) as syncing_engine:
        yield syncing_engine


def profile(number: int) -> Profile:
    """A profile with an email that follows from the number."""
    return Profile(number, f"p{number}@example.com", f"c{number}")


def changes(number: int) -> list[Change]:
    """One joins, and one leaves."""
    return [("add", profile(number), 1_750_000_000_000 + number), ("delete", profile(1), 1_750_000_000_001 + number)]


async def note_of(sync: Sync, path: Path) -> str:
    """Sync a file, and return what its plan says of removals."""
    run = (await sync.run(path, approved=True)).run
    assert run.status is RunStatus.SUCCEEDED
    assert run.plan is not None
    return run.plan.removal_note


async def findings(sync: Sync) -> list[str]:
    """The notes of the doctor."""
    async with sync.engine.database.read() as db:
        notes = await removal_findings(db)
    assert all(each.ok and each.is_note for each in notes)
    return [each.text for each in notes]


async def test_bucket_export_without_deletes(sync: Sync) -> None:
    """By default the bucket output holds no removals: each plan says so, and after some files more plainly."""
    for number in range(1, SUSPICIOUS_FILES):
        assert await note_of(sync, write_bucket_export(sync.directory, VIPS, changes(number), number=number)) == BUCKET
    assert await findings(sync) == [BUCKET]
    note = await note_of(sync, write_bucket_export(sync.directory, VIPS, changes(7), number=7))
    assert note == f"None of the last {SUSPICIOUS_FILES} files held a removal. {BUCKET} {STANDARD}"
    assert await findings(sync) == [note]


async def test_removals_end_the_notes(sync: Sync) -> None:
    """Once a file holds a removal, nothing is said any longer; and nothing is said of files that are whole."""
    changed = write_bucket_export(sync.directory, VIPS, changes(2), include_deletes=True)
    assert await note_of(sync, changed) == ""
    assert await note_of(sync, write_bucket_export(sync.directory, VIPS, changes(3), number=2)) == ""
    assert await findings(sync) == []


async def test_stream_export(sync: Sync) -> None:
    """A stream may keep the former identity of a person whose email changes."""
    for number, of_file in enumerate((changes(2)[:1], changes(3), changes(4)[:1])):  # also if files hold removals
        path = write_stream_export(sync.directory / f"stream{number}.json", VIPS, of_file)
        assert await note_of(sync, path) == STREAM
    assert await findings(sync) == [STREAM]


async def test_nothing_is_said_if_no_one_is_to_be_removed(sync: Sync) -> None:
    """A mapping that keeps who leaves, or is paused, needs no removals."""
    await note_of(sync, write_bucket_export(sync.directory, VIPS, changes(2)))
    async with sync.engine.database.write() as db:
        (mapping,) = await mappings.of_connection(db, (await sync.latest()).connection_id)
        await mappings.change(db, mapping.id, removal_policy=RemovalPolicy.KEEP)
    assert await findings(sync) == []
    assert await note_of(sync, write_bucket_export(sync.directory, VIPS, changes(3), number=2)) == ""
    async with sync.engine.database.write() as db:
        await mappings.change(db, mapping.id, removal_policy=RemovalPolicy.REMOVE, status=MappingStatus.PAUSED)
    assert await findings(sync) == []


async def test_audience_that_was_deleted(sync: Sync) -> None:
    """If the connected account no longer has the audience, the plan and the doctor say what that means."""
    await note_of(sync, write_bucket_export(sync.directory, VIPS, changes(2), include_deletes=True))
    platform = Platform(accounts={DEFAULT_ACCOUNT: [ListedAudience(VIPS.id, "VIPs", 5)]})
    async with running(platform) as started:
        settings = sync.engine.settings.model_copy(update={"mparticle_url": started.url})
        sync.engine.settings = settings
        async with sync.engine.database.read() as db:
            (connection,) = await connections.everyone(db)
            of_connection = await mappings.of_connection(db, connection.id)
        await give_access(sync.engine, connection, platform)
        changed = write_bucket_export(sync.directory, VIPS, changes(3), include_deletes=True, number=2)
        assert await note_of(sync, changed) == ""
        platform.delete(VIPS.id)
        sync.engine.mparticle_audiences.clear()
        changed = write_bucket_export(sync.directory, VIPS, changes(4), include_deletes=True, number=3)
        assert await note_of(sync, changed) == DELETED
        async with sync.engine.database.read() as db:
            accounts = await mparticle_accounts.of_connections(db, [connection.id])
        results = mparticle_findings(settings, sync.engine.vault, [connection], accounts, of_connection)
        assert [(each.ok, each.text) async for each in results if each.is_note] == [(True, DELETED)]
