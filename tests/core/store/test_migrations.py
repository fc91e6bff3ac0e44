"""The database is migrated automatically, whichever process starts first, and never downgraded."""

import multiprocessing
from asyncio import run
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.engine import Connection

from core.errors import SettingsError
from core.models.batch import BatchEntry, Phase
from core.models.run import CancelReason
from core.store import batches, runs, schema_snapshot
from core.store.batches import BatchStatus
from core.store.database import Database
from core.store.migrate import migrate, newest
from core.store.schema_snapshot import MIGRATIONS
from core.store.tables import metadata
from tools import sqlite_schema

_processes = multiprocessing.get_context("forkserver")


@pytest.fixture
async def empty(empty_database_url: str) -> AsyncIterator[Database]:
    """A database without tables."""
    database = Database(empty_database_url)
    yield database
    await database.close()


def _is_ours(name: str | None, kind: str, _parents: object) -> bool:
    """Whether the code describes a table: it does not describe procrastinate's."""
    return kind != "table" or not (name or "").startswith("procrastinate_")


def differences(connection: Connection) -> list[object]:
    """The changes that Alembic would still make."""
    options = {"compare_type": True, "compare_server_default": True, "include_name": _is_ours}
    context = MigrationContext.configure(connection, opts=options)
    return list(compare_metadata(context, metadata))


async def test_migrations_make_the_tables(empty: Database) -> None:
    """The migrations create exactly the tables that the code describes."""
    await upgrade_to(empty, "head")
    async with empty.read() as db:
        assert await db.run_sync(differences) == []


async def test_snapshot_is_what_the_migrations_make(tmp_path: Path) -> None:
    """The snapshot, from `python -m tools.sqlite_schema`, creates a database as all migrations do, to the letter."""
    migrated = Database(f"sqlite:///{tmp_path / 'migrated.sqlite'}")
    await upgrade_to(migrated, "head")
    async with migrated.read() as db:
        assert await sqlite_schema.snapshot(db) == schema_snapshot.SNAPSHOT.read_text(encoding="utf-8")
    await migrated.close()


async def test_new_database_is_made_of_a_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new database has the tables of the snapshot, and what newer migrations add to them."""
    earlier = Database(f"sqlite:///{tmp_path / 'earlier.sqlite'}")
    await upgrade_to(earlier, "0020")
    async with earlier.write() as db:
        await db.execute(text("CREATE INDEX of_the_snapshot ON runs (finished_at)"))
        (tmp_path / "old.sql").write_text(await sqlite_schema.snapshot(db), encoding="utf-8")
    await earlier.close()
    monkeypatch.setattr(schema_snapshot, "SNAPSHOT", tmp_path / "old.sql")
    new = Database(f"sqlite:///{tmp_path / 'new.sqlite'}")
    await migrate(new)
    async with new.write() as db:
        await db.execute(text("DROP INDEX of_the_snapshot"))
        assert await db.run_sync(differences) == []
    await new.close()


async def test_files_are_named_after_revisions() -> None:
    """The names of the files show the newest revision."""
    scripts = ScriptDirectory(str(MIGRATIONS))
    names = {Path(script.path).name.partition("_")[0]: script.revision for script in scripts.walk_revisions()}
    assert all(name == revision for name, revision in names.items())
    assert newest() == scripts.get_current_head()


async def test_differences_finds_a_missing_column(database: Database) -> None:
    """The comparison of the other tests finds a missing column."""
    async with database.write() as db:
        await db.execute(text("ALTER TABLE runs DROP COLUMN comment"))
    async with database.read() as db:
        assert await db.run_sync(differences) != []


async def test_migration_is_idempotent(database: Database) -> None:
    """Migrating again changes nothing and loses nothing."""
    async with database.write() as db:
        await db.execute(text("INSERT INTO pace (project, next_at, slowdown) VALUES ('kept', 1, 1)"))
    await migrate(database)
    async with database.read() as db:
        assert (await db.execute(text("SELECT project FROM pace"))).scalars().all() == ["kept"]
        assert await db.run_sync(differences) == []


async def test_newer_database_is_refused(database: Database) -> None:
    """A database of a newer version is refused with a remedy, and stays unchanged."""
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
    """Of two processes that start on an empty database, one creates the tables and the other waits."""
    processes = [_processes.Process(target=_migrate, args=(empty_database_url,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    async with empty.read() as db:
        assert await db.run_sync(differences) == []


async def test_failed_migration_is_rolled_back(empty: Database) -> None:
    """A failed migration is rolled back completely."""
    async with empty.write() as db:
        await db.execute(text("CREATE TABLE workers (id TEXT)"))  # conflicts with the second half
    with pytest.raises(SettingsError):
        await migrate(empty)
    async with empty.write() as db:
        await db.execute(text("DROP TABLE workers"))
    await migrate(empty)
    async with empty.read() as db:
        assert await db.run_sync(differences) == []


async def test_file_that_is_not_a_database(tmp_path: Path) -> None:
    """A file that is not a database is reported as damaged."""
    path = tmp_path / "iterable-sync.sqlite"
    path.write_bytes(b"certainly no database\n" * 100)
    database = Database(f"sqlite:///{path}")
    with pytest.raises(SettingsError, match="damaged"):
        await migrate(database)
    await database.close()


@pytest.mark.parametrize("url", ["mysql://localhost/x", "no address at all"])
async def test_address_of_another_database(url: str) -> None:
    """An address of an unsupported database is refused without being shown."""
    with pytest.raises(SettingsError, match="ITERABLE_SYNC_DATABASE_URL") as refused:
        Database(url)
    assert url not in refused.value.message


async def upgrade_to(database: Database, revision: str) -> None:
    """Migrate an empty database to an earlier revision."""

    def apply(connection: Connection) -> None:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)

    async with database.restructure() as db:
        await db.run_sync(apply)


#: A connection, a mapping and a run in the tables of revision 0004.
EARLIER_ROWS = (
    """INSERT INTO connections (id, name, key_last4, project, data_center, user_id, rate, created_at)
    VALUES (1, 'shop', '1234', 'digest', 'us', 'customerId', 5, 1)""",
    "INSERT INTO lists (connection_id, list_id, name, revision) VALUES (1, 1001, 'Newsletter', 0)",
    "INSERT INTO mappings (id, connection_id, list_id, mode, created_at) VALUES (1, 1, 1001, 'auto', 1)",
    """INSERT INTO runs (id, mapping_id, connection_id, list_id, status, phase, mode, user_id, rate, request, attempt,
    members, "left", added, updated, removed, unchanged, duplicates, rejected, requests, retries, throttled, created_at)
    VALUES ('r1', 1, 1, 1001, 'queued', '', 'mirror', 'customerId', 5, '{}', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)""",
    "INSERT INTO ledger (mapping_id, profile, email, certain) VALUES (1, '7', 'seven@example.com', true)",
    "INSERT INTO erased (digest, stamp) VALUES ('d1', 5)",
)


async def test_batches_of_an_earlier_revision(empty: Database) -> None:
    """Batches from before they were stored by columns are read unchanged."""
    with_details: list[BatchEntry] = [
        BatchEntry("a", "1", "ä@example.com", 'c"1'),
        BatchEntry("f", "2", "ä@example.com", None, ("old@example.com", None)),
    ]
    stored: list[list[BatchEntry]] = [with_details, [BatchEntry("a", "3", "three@example.com", None)]]
    await upgrade_to(empty, "0004")
    async with empty.write() as db:
        for row in EARLIER_ROWS:
            await db.execute(text(row))
        batch = (
            "INSERT INTO batches (id, run_id, phase, size, counted, state) VALUES (:id, 'r1', :phase, 1, 1, 'draft')"
        )
        members = "INSERT INTO changes (batch_id, members, subscribers) VALUES (:id, :members, '[]')"
        for number, each in enumerate(stored, 1):
            await db.execute(text(batch), {"id": number, "phase": Phase.ADD.value})
            await db.execute(
                text(members), {"id": number, "members": orjson.dumps([entry.as_row() for entry in each]).decode()}
            )
    await migrate(empty)
    async with empty.read() as db:
        migrated = await batches.open_batches(db, "r1", BatchStatus.DRAFT, limit=9)
        assert [batch.entries for batch in migrated] == stored
        assert await db.run_sync(differences) == []


#: A run in the table of revision 0006.
EARLIER_RUN = """INSERT INTO runs (id, mapping_id, connection_id, list_id, status, phase, mode, user_id, rate, request,
    attempt, members, "left", added, updated, removed, unchanged, duplicates, rejected, requests, retries, throttled,
    created_at, error, error_code)
    VALUES (:id, 1, 1, 1001, :status, :phase, 'mirror', 'customerId', 5, :request, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    1, :error, :code)"""


async def test_sentences_of_an_earlier_revision(empty: Database) -> None:
    """Values that were stored in sentences get columns: the run waited for, and the reason of a cancellation."""
    first = "k3v9m2x7qa"
    message = f"Run {first} of the same mapping waits for approval, and what it would do comes first."
    earlier = [
        ("declined", "cancelled", "", "Declined.", None),
        ("replaced", "cancelled", "", f"Replaced by run {first}.", None),
        ("undone", "cancelled", "", f"Replaced by run {first}, which undoes it.", None),
        ("failed", "failed", "", message, "earlier_run_waits"),
        ("waiting", "planning", f"waiting for run {first}", None, None),
    ]
    await upgrade_to(empty, "0006")
    async with empty.write() as db:
        for statement in EARLIER_ROWS:
            await db.execute(text(statement))
        for values in earlier:
            names = ("id", "status", "phase", "error", "code")
            row = dict(zip(names, values, strict=True)) | {"request": '{"path": "audience.csv"}'}
            await db.execute(text(EARLIER_RUN), row)
    await migrate(empty)
    async with empty.read() as db:
        migrated = await runs.by_ids(db, {run_id for run_id, *_ in earlier})
    assert [migrated[run_id].cancel_reason for run_id in ("declined", "replaced", "undone")] == [
        CancelReason.DECLINED,
        CancelReason.SUPERSEDED,
        CancelReason.UNDONE,
    ]
    assert migrated["failed"].waiting_for_run_id == first
    assert migrated["waiting"].is_waiting
    assert migrated["waiting"].waiting_for_run_id == first


async def test_secrets_in_addresses_of_an_earlier_revision(empty: Database) -> None:
    """An address of an ended run loses its query and password; one that may be read again keeps them."""
    link = "https://me:word@files.example.com/a.csv?signature=1"
    bare = "https://files.example.com/a.csv"
    await upgrade_to(empty, "0006")
    async with empty.write() as db:
        for statement in EARLIER_ROWS:
            await db.execute(text(statement))
        for run_id, status, path in (
            ("ended", "succeeded", link),
            ("failed", "failed", link),
            ("local", "succeeded", "/data/100%?.csv"),
        ):
            request = orjson.dumps({"path": path}).decode()
            values = {"id": run_id, "status": status, "phase": "", "error": None, "code": None, "request": request}
            await db.execute(text(EARLIER_RUN), values)
    await migrate(empty)
    async with empty.read() as db:
        stored = await runs.by_ids(db, {"ended", "failed", "local"})
    assert {run_id: run.request.path for run_id, run in stored.items()} == {
        "ended": bare,
        "failed": link,
        "local": "/data/100%?.csv",
    }


async def test_recreated_table_loses_nothing(empty: Database) -> None:
    """Connections keep their rows and foreign keys, and an erasure without an account counts for all."""
    await upgrade_to(empty, "0006")
    async with empty.write() as db:
        for row in EARLIER_ROWS:
            await db.execute(text(row))
    await migrate(empty)
    async with empty.read() as db:
        assert (await db.execute(text("SELECT count(*) FROM ledger"))).scalar_one() == 1
        assert [tuple(row) for row in await db.execute(text("SELECT account_id, digest, stamp FROM erased"))] == [
            ("", "d1", 5)
        ]
    async with empty.write() as db:
        await db.execute(text("DELETE FROM connections"))
        assert (await db.execute(text("SELECT count(*) FROM ledger"))).scalar_one() == 0
