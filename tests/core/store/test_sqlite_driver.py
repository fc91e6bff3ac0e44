"""Cursors that use SQLite's thread once: rows, counts, errors and cancellation work as with any driver."""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from core.store import sqlite_driver
from core.store.database import Database, postponing

NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {last}) SELECT i FROM n"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """A database with one table."""
    opened = Database(f"sqlite:///{tmp_path / 'test.sqlite'}")
    async with opened.write() as db:
        await db.execute(text("CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT NOT NULL)"))
    yield opened
    await opened.close()


async def put(database: Database, count: int) -> None:
    """Insert this many rows."""
    async with database.write() as db:
        rows = [{"id": number, "name": f"thing {number}"} for number in range(1, count + 1)]
        if rows:
            await db.execute(text("INSERT INTO things VALUES (:id, :name)"), rows)


@pytest.mark.parametrize(
    "count", [0, 1, sqlite_driver.AHEAD - 1, sqlite_driver.AHEAD, sqlite_driver.AHEAD + 1, 5 * sqlite_driver.AHEAD]
)
async def test_all_rows(database: Database, count: int) -> None:
    """All rows are read, whatever their number, at once, in chunks or one by one."""
    await put(database, count)
    expected = [(number, f"thing {number}") for number in range(1, count + 1)]
    query = text("SELECT id, name FROM things ORDER BY id")
    async with database.read() as db:
        assert [tuple(row) for row in await db.execute(query)] == expected
        assert [tuple(row) async for row in await db.stream(query)] == expected
        chunks = (await db.stream(query.execution_options(yield_per=7))).partitions()
        assert [tuple(row) async for chunk in chunks for row in chunk] == expected


async def test_number_of_changed_rows(database: Database) -> None:
    """The number of changed rows is known, with and without RETURNING."""
    await put(database, 120)
    async with database.write() as db:
        assert (await db.execute(text("UPDATE things SET name = 'x' WHERE id <= 70"))).rowcount == 70
        returned = await db.execute(text("DELETE FROM things WHERE id > 20 RETURNING id"))
        assert len(returned.all()) == 100
        added = await db.execute(text("INSERT INTO things (name) VALUES ('new')"))
        assert added.lastrowid == 21


async def test_error_leaves_the_transaction_usable(database: Database) -> None:
    """A statement fails with an error, and the next one is executed."""
    await put(database, 1)
    async with database.write() as db:
        with pytest.raises(IntegrityError):
            await db.execute(text("INSERT INTO things VALUES (1, 'again')"))
        await db.execute(text("INSERT INTO things VALUES (2, 'more')"))
    async with database.read() as db:
        assert (await db.execute(text("SELECT count(*) FROM things"))).scalar_one() == 2


@pytest.mark.parametrize("reads", [False, True])
async def test_postponed_statements(database: Database, *, reads: bool) -> None:
    """Postponed statements are executed in their order before the next statement, or before the commit."""
    async with database.write() as db:
        with postponing(db):
            await db.execute(text("INSERT INTO things VALUES (:id, :name)"), [{"id": n, "name": "x"} for n in (1, 2)])
            await db.execute(text("UPDATE things SET name = 'y' WHERE id = 2"))
        if reads:
            assert (await db.execute(text("SELECT name FROM things ORDER BY id"))).scalars().all() == ["x", "y"]
    async with database.read() as db:
        assert (await db.execute(text("SELECT name FROM things ORDER BY id"))).scalars().all() == ["x", "y"]


@pytest.mark.parametrize("reads", [False, True])
async def test_postponed_error(database: Database, *, reads: bool) -> None:
    """The error of a postponed statement is raised by the next statement or by the commit. Nothing is committed."""
    await put(database, 1)
    with pytest.raises(IntegrityError):  # noqa: PT012  # which of the statements raises it is the point
        async with database.write() as db:
            await db.execute(text("INSERT INTO things VALUES (2, 'second')"))
            with postponing(db):
                await db.execute(text("INSERT INTO things VALUES (1, 'again')"))
                await db.execute(text("INSERT INTO things VALUES (3, 'third')"))
            if reads:
                await db.execute(text("SELECT 1"))
                raise AssertionError("the statement before it raises the error")
    async with database.write() as db:
        assert (await db.execute(text("SELECT id FROM things"))).scalars().all() == [1]


async def test_rolled_back_with_postponed_statements(database: Database) -> None:
    """Postponed statements are forgotten if the transaction is rolled back before they are executed."""
    with contextlib.suppress(LookupError):
        async with database.write() as db:
            with postponing(db):
                await db.execute(text("INSERT INTO things VALUES (1, 'first')"))
            raise LookupError
    async with database.write() as db:
        assert (await db.execute(text("SELECT id FROM things"))).scalars().all() == []


async def test_unread_rows_block_no_checkpoint(database: Database, tmp_path: Path) -> None:
    """A reader that stops before the last row does not block the checkpoint of the log."""
    await put(database, 5 * sqlite_driver.AHEAD)
    async with database.read() as db:
        result = await db.stream(text("SELECT id FROM things"))
        assert (await anext(result.__aiter__()))[0] == 1
        await result.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "test.sqlite")) as other:
        other.execute("INSERT INTO things (name) VALUES ('more')")
        other.commit()
        assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone() == (0, 0, 0)


async def test_cancelled_in_a_statement(database: Database, tmp_path: Path) -> None:
    """A task that is cancelled during a long statement rolls back its transaction and releases the lock."""
    began = asyncio.Event()

    async def write_slowly() -> None:
        async with database.write() as db:
            await db.execute(text("INSERT INTO things VALUES (1, 'never')"))
            began.set()
            await db.execute(text(f"SELECT count(*) FROM ({NUMBERS.format(last=2_000_000)})"))

    task = asyncio.create_task(write_slowly())
    await began.wait()
    await asyncio.sleep(0)  # let the statement begin
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with contextlib.closing(sqlite3.connect(tmp_path / "test.sqlite", timeout=30.0)) as other:
        other.execute("INSERT INTO things VALUES (2, 'other')")
        other.commit()
    async with database.read() as db:
        assert (await db.execute(text("SELECT name FROM things"))).scalars().all() == ["other"]


async def test_closed_while_it_executes() -> None:
    """A cursor can be closed during a statement, though it also closes itself at its end."""
    has_begun, may_continue = threading.Event(), threading.Event()

    def wait() -> int:
        has_begun.set()
        return int(may_continue.wait(30))

    connection = sqlite_driver.DriverConnection(":memory:")
    await connection
    try:
        await connection.create_function("wait", 0, wait)
        cursor = connection.cursor()
        execution = asyncio.create_task(cursor.execute("SELECT wait()"))
        await asyncio.to_thread(has_begun.wait, 30)
        execution.cancel()
        close = asyncio.create_task(cursor.close())
        await asyncio.sleep(0)  # the thread queues the close behind the statement
        may_continue.set()
        await close
    finally:
        await connection.close()
