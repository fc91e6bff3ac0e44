"""The database is brought to the present form by itself, whoever starts first, and never back."""

import multiprocessing
from asyncio import run
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text, update
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

from core.errors import SettingsError
from core.models.batch import BatchEntry, Phase, encode
from core.models.run import CancelReason, RunStatus
from core.store import batches, runs, tables
from core.store.batches import BatchStatus
from core.store.database import Database
from core.store.migrate import MIGRATIONS, migrate, newest
from core.store.tables import metadata
from tests.core.store.seeds import add_mapping, add_run, draft

_processes = multiprocessing.get_context("forkserver")


@pytest.fixture
async def empty(empty_database_url: str) -> AsyncIterator[Database]:
    """A database without tables."""
    opened = Database(empty_database_url)
    yield opened
    await opened.close()


def differences(connection: Connection) -> list[object]:
    """What alembic would still change."""
    context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
    return list(compare_metadata(context, metadata))


async def test_migrations_make_the_tables(empty: Database) -> None:
    """The database that the migrations make is the one that the tables describe."""
    await migrate(empty)
    async with empty.read() as db:
        assert await db.run_sync(differences) == []


async def test_files_are_named_after_the_forms_that_they_lead_to() -> None:
    """By its name alone the program knows which form is the newest."""
    scripts = ScriptDirectory(str(MIGRATIONS))
    names = {Path(script.path).name.partition("_")[0]: script.revision for script in scripts.walk_revisions()}
    assert all(name == revision for name, revision in names.items())
    assert newest() == scripts.get_current_head()


async def test_difference_would_be_seen(database: Database) -> None:
    """The comparison above does see a column that is missing."""
    async with database.write() as db:
        await db.execute(text("ALTER TABLE runs DROP COLUMN phase"))
    async with database.read() as db:
        assert await db.run_sync(differences) != []


async def test_twice_is_harmless(database: Database) -> None:
    """Migrating again changes nothing and loses nothing."""
    async with database.write() as db:
        await db.execute(text("INSERT INTO pace (project, next_at, slowdown) VALUES ('kept', 1, 1)"))
    await migrate(database)
    async with database.read() as db:
        assert (await db.execute(text("SELECT project FROM pace"))).scalars().all() == ["kept"]
        assert await db.run_sync(differences) == []


async def test_newer_database_is_refused(database: Database) -> None:
    """A database of a newer version is refused in a sentence that says what to do, and is left as it is."""
    async with database.write() as db:
        await db.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SettingsError, match=r"newer version of iterable-sync .*9999.*Install that version"):
        await migrate(database)
    async with database.read() as db:
        assert (await db.execute(text("SELECT version_num FROM alembic_version"))).scalar_one() == "9999"


def _migrate(url: str) -> None:
    async def main() -> None:
        database = Database(url)
        try:
            await migrate(database)
        finally:
            await database.close()

    run(main())


async def test_two_processes_at_once(empty: Database, empty_database_url: str) -> None:
    """Of two processes that start on an empty database one makes the tables and the other waits for it."""
    both = [_processes.Process(target=_migrate, args=(empty_database_url,)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    async with empty.read() as db:
        assert await db.run_sync(differences) == []


async def test_failed_migration_leaves_nothing(empty: Database) -> None:
    """A migration that breaks off is rolled back whole."""
    async with empty.write() as db:
        await db.execute(text("CREATE TABLE workers (id TEXT)"))  # stands in the way of the second half
    with pytest.raises(SettingsError):
        await migrate(empty)
    async with empty.write() as db:
        await db.execute(text("DROP TABLE workers"))
    await migrate(empty)
    async with empty.read() as db:
        assert await db.run_sync(differences) == []


async def test_file_that_is_no_database(tmp_path: Path) -> None:
    """A file that is not a database is named as damaged."""
    path = tmp_path / "iterable-sync.sqlite"
    path.write_bytes(b"certainly no database\n" * 100)
    database = Database(f"sqlite:///{path}")
    with pytest.raises(SettingsError, match="damaged"):
        await migrate(database)
    await database.close()


@pytest.mark.parametrize("url", ["mysql://localhost/x", "no address at all"])
async def test_address_of_no_database(url: str) -> None:
    """An address of another kind of database, or none at all, is refused without being shown."""
    with pytest.raises(SettingsError, match="ITERABLE_SYNC_DATABASE_URL") as refused:
        Database(url)
    assert url not in refused.value.message


async def test_batches_of_an_earlier_form(database: Database) -> None:
    """What a run had stored before batches were stored by columns is read as it was."""
    with_more: list[BatchEntry] = [
        BatchEntry("a", "1", "ä@example.com", 'c"1'),
        BatchEntry("f", "2", "ä@example.com", None, ("old@example.com", None)),
    ]
    stored: list[list[BatchEntry]] = [with_more, [BatchEntry("a", "3", "three@example.com", None)]]
    run_id = await add_run(database, await add_mapping(database))
    async with database.write() as db:
        await batches.add_drafts(db, run_id, [draft(Phase.ADD, 1, encode(each)) for each in stored])
        await db.execute(text("ALTER TABLE changes ADD COLUMN subscribers TEXT"))
        for batch, each in zip(await batches.open_batches(db, run_id, BatchStatus.DRAFT, limit=9), stored, strict=True):
            former = {"batch": batch.id, "members": orjson.dumps([entry.as_row() for entry in each]).decode()}
            await db.execute(text("UPDATE changes SET members = :members WHERE batch_id = :batch"), former)
        await db.execute(text("DROP TABLE last_known"))
        await to_the_form_before_reasons(db)
        await db.execute(text("UPDATE alembic_version SET version_num = '0004'"))
    await migrate(database)
    async with database.read() as db:
        found = await batches.open_batches(db, run_id, BatchStatus.DRAFT, limit=9)
        assert [batch.entries for batch in found] == stored
        assert await db.run_sync(differences) == []


async def to_the_form_before_reasons(db: AsyncConnection) -> None:
    """Take back migration 0007."""
    for column in ("waiting_for_run_id", "cancel_reason"):
        await db.execute(text(f"ALTER TABLE runs DROP COLUMN {column}"))
    await db.execute(text("UPDATE alembic_version SET version_num = '0006'"))


async def test_sentences_of_an_earlier_form(database: Database) -> None:
    """What earlier versions had only in sentences is read as values: who waits for which run, and why one ended."""
    mapping = await add_mapping(database)
    first, declined, replaced, undone, failed, waiting = [await add_run(database, mapping) for _ in range(6)]
    sentences = {
        declined: "Declined.",
        replaced: f"Replaced by run {first}.",
        undone: f"Replaced by run {first}, which undoes it.",
    }
    async with database.write() as db:
        for run_id, error in sentences.items():
            await runs.change(db, run_id, status=RunStatus.CANCELLED, error=error)
        error = f"Run {first} of the same mapping waits for approval, and what it would do comes first."
        await runs.change(db, failed, status=RunStatus.FAILED, error=error, error_code="earlier_run_waits")
        values = {"status": "planning", "phase": f"waiting for run {first}"}
        await db.execute(update(tables.runs).where(tables.runs.c.id == waiting).values(values))
        await to_the_form_before_reasons(db)
    await migrate(database)
    async with database.read() as db:
        found = await runs.by_ids(db, {declined, replaced, undone, failed, waiting})
    assert [found[run_id].cancel_reason for run_id in sentences] == [
        CancelReason.DECLINED,
        CancelReason.SUPERSEDED,
        CancelReason.UNDONE,
    ]
    assert found[failed].waiting_for_run_id == first
    assert found[waiting].is_waiting
    assert found[waiting].waiting_for_run_id == first
