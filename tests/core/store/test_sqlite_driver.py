"""Cursors that take one turn of SQLite's thread: rows, counts, errors and cancelling are those of any other."""

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
from core.store.database import Database

NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {last}) SELECT i FROM n"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """A database with one table."""
    it = Database(f"sqlite:///{tmp_path / 'test.sqlite'}")
    async with it.write() as db:
        await db.execute(text("CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT NOT NULL)"))
    yield it
    await it.close()


async def put(database: Database, count: int) -> None:
    """Write so many rows."""
    async with database.write() as db:
        rows = [{"id": number, "name": f"thing {number}"} for number in range(1, count + 1)]
        if rows:
            await db.execute(text("INSERT INTO things VALUES (:id, :name)"), rows)


@pytest.mark.parametrize(
    "count", [0, 1, sqlite_driver.AHEAD - 1, sqlite_driver.AHEAD, sqlite_driver.AHEAD + 1, 5 * sqlite_driver.AHEAD]
)
async def test_all_rows(database: Database, count: int) -> None:
    """All rows come, however many there are, at once, in pieces or one by one."""
    await put(database, count)
    expected = [(number, f"thing {number}") for number in range(1, count + 1)]
    query = text("SELECT id, name FROM things ORDER BY id")
    async with database.read() as db:
        assert [tuple(row) for row in await db.execute(query)] == expected
        assert [tuple(row) async for row in await db.stream(query)] == expected
        pieces = (await db.stream(query.execution_options(yield_per=7))).partitions()
        assert [tuple(row) async for piece in pieces for row in piece] == expected


async def test_how_many_rows_were_changed(database: Database) -> None:
    """The number of changed rows is known, with and without what a statement returns."""
    await put(database, 120)
    async with database.write() as db:
        assert (await db.execute(text("UPDATE things SET name = 'x' WHERE id <= 70"))).rowcount == 70
        returned = await db.execute(text("DELETE FROM things WHERE id > 20 RETURNING id"))
        assert len(returned.all()) == 100
        added = await db.execute(text("INSERT INTO things (name) VALUES ('new')"))
        assert added.lastrowid == 21


async def test_error_leaves_the_transaction_usable(database: Database) -> None:
    """A statement that fails says so, and the next one is executed."""
    await put(database, 1)
    async with database.write() as db:
        with pytest.raises(IntegrityError):
            await db.execute(text("INSERT INTO things VALUES (1, 'again')"))
        await db.execute(text("INSERT INTO things VALUES (2, 'more')"))
    async with database.read() as db:
        assert (await db.execute(text("SELECT count(*) FROM things"))).scalar_one() == 2


async def test_rows_that_nobody_fetches_hold_nothing(database: Database, tmp_path: Path) -> None:
    """Who stops in the middle of the rows leaves nothing behind that keeps the log from being written back."""
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
    """Where a task is cancelled in a long statement its transaction is rolled back, and nobody waits for its lock."""
    began = asyncio.Event()

    async def slowly() -> None:
        async with database.write() as db:
            await db.execute(text("INSERT INTO things VALUES (1, 'never')"))
            began.set()
            await db.execute(text(f"SELECT count(*) FROM ({NUMBERS.format(last=2_000_000)})"))

    task = asyncio.create_task(slowly())
    await began.wait()
    await asyncio.sleep(0)  # into the statement
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with contextlib.closing(sqlite3.connect(tmp_path / "test.sqlite", timeout=30.0)) as other:
        other.execute("INSERT INTO things VALUES (2, 'other')")
        other.commit()
    async with database.read() as db:
        assert (await db.execute(text("SELECT name FROM things"))).scalars().all() == ["other"]


async def test_closed_while_it_executes() -> None:
    """Who stopped waiting for a statement may close its cursor, though it closes by itself at its end."""
    begun, goes_on = threading.Event(), threading.Event()

    def wait() -> int:
        begun.set()
        return int(goes_on.wait(30))

    connection = sqlite_driver.DriverConnection(":memory:")
    await connection
    try:
        await connection.create_function("wait", 0, wait)
        cursor = connection.cursor()
        executing = asyncio.create_task(cursor.execute("SELECT wait()"))
        await asyncio.to_thread(begun.wait, 30)
        executing.cancel()
        closing = asyncio.create_task(cursor.close())
        await asyncio.sleep(0)  # it is in the queue of the thread, behind the statement
        goes_on.set()
        await closing
    finally:
        await connection.close()
