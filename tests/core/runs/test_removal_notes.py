"""A source that can't remove says so: exports of mParticle may leave removals out."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.cli.doctor.removal_checks import removal_findings
from core.models.run import RunStatus
from core.planning.removal_limits import BUCKET, STANDARD, STREAM, SUSPICIOUS_FILES
from core.store import mappings
from core.store.mappings import MappingStatus, RemovalPolicy
from sandbox.mparticle import Audience, Profile
from sandbox.mparticle.exports import Change, write_bucket_export, write_stream_export
from tests.core.harness import Sync, syncing

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
    path = write_stream_export(sync.directory / "stream.json", VIPS, changes(2)[:1])
    assert await note_of(sync, path) == STREAM


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
