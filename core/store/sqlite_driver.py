"""SQLite behind aiosqlite, with one turn of its thread for a statement where its own cursor takes three or four.

A turn wakes two threads. Most statements here take less time than that, and a run of a small audience has some ninety.
SQLAlchemy's dialect takes such a connection as `async_creator_fn`.
"""

import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any, Self

import aiosqlite

# Rows that are fetched in the turn in which the statement is executed. Most have fewer, and are at their end then.
AHEAD = 50


class ErasingConnection(sqlite3.Connection):
    """A connection that overwrites what it deletes, also in a build of SQLite that would leave it in the file."""

    def __init__(self, *args: Any, **options: Any) -> None:
        """Take what `sqlite3.connect` takes."""
        super().__init__(*args, **options)
        self.execute("PRAGMA secure_delete=ON")


class DriverConnection(aiosqlite.Connection):
    """aiosqlite's connection with other cursors. It opens when it is awaited."""

    def __init__(self, database: str, **options: Any) -> None:
        """Take what `sqlite3.connect` takes."""
        super().__init__(partial(sqlite3.connect, database, **options), iter_chunk_size=AHEAD)
        self._thread.daemon = True  # as SQLAlchemy has it for those that it makes

    def cursor(self) -> "Cursor":  # type: ignore[override]  # used as SQLAlchemy's dialect uses it
        """A cursor, which is not in the database before it executes something."""
        return Cursor(self)

    def new_cursor(self) -> sqlite3.Cursor:
        """A cursor in the database; for the thread."""
        return self._conn.cursor()

    async def turn(self, work: Callable[..., None], *arguments: Any) -> None:
        """Do something in the thread."""
        await self._execute(work, *arguments)  # type: ignore[no-untyped-call]


class Cursor:
    """As much of a DB-API cursor as SQLAlchemy uses, each method awaitable.

    It executes, fetches the first rows and, where they are all, closes in one turn, which goes to its end also where
    somebody stops waiting for it.
    """

    def __init__(self, connection: DriverConnection) -> None:
        """Take the connection. No I/O."""
        self._connection = connection
        self._open: sqlite3.Cursor | None = None
        self._ahead: list[Any] = []
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self.arraysize = 1

    async def __aenter__(self) -> Self:
        """Nothing is to be done."""
        return self

    async def execute(self, operation: str, parameters: Any = ()) -> Self:
        """Execute a statement and fetch its first rows. Raises what sqlite3 raises."""
        await self._connection.turn(self._execute, sqlite3.Cursor.execute, operation, parameters)
        return self

    async def executemany(self, operation: str, parameters: Any) -> Self:
        """Execute a statement for each of these parameters."""
        await self._connection.turn(self._execute, sqlite3.Cursor.executemany, operation, parameters)
        return self

    async def fetchall(self) -> Sequence[Any]:
        """All rows that are left."""
        if self._open is not None:
            await self._connection.turn(self._fetch, None)
        rows, self._ahead = self._ahead, []
        return rows

    async def fetchmany(self, size: int | None = None) -> Sequence[Any]:
        """As many rows, or those that are left."""
        size = size or self.arraysize
        if self._open is not None and len(self._ahead) < size:
            await self._connection.turn(self._fetch, size - len(self._ahead))
        rows, self._ahead = self._ahead[:size], self._ahead[size:]
        return rows

    async def fetchone(self) -> Any:
        """The next row, if there is one."""
        return next(iter(await self.fetchmany(1)), None)

    async def __aiter__(self) -> AsyncIterator[Any]:
        """All rows that are left, one by one."""
        while rows := await self.fetchmany(AHEAD):
            for row in rows:
                yield row

    async def close(self) -> None:
        """Leave the rest of the rows. A cursor that is at its end is closed already."""
        self._ahead = []
        if self._open is not None:
            await self._connection.turn(self._close)

    # -- in the thread ----------------------------------------------------------------------------

    def _execute(self, how: Any, operation: str, parameters: Any) -> None:
        self._open = self._connection.new_cursor()
        try:
            how(self._open, operation, parameters)
            self.description, self.lastrowid = self._open.description, self._open.lastrowid
            self._fetch(AHEAD if self.description else 0)
        except BaseException:  # whatever it was, nothing stays open
            self._close()
            raise

    def _fetch(self, size: int | None) -> None:
        assert self._open is not None
        rows = self._open.fetchall() if size is None else self._open.fetchmany(size) if size else []
        self._ahead += rows
        self.rowcount = self._open.rowcount  # of what a statement returns only when it is at its end
        if not size or len(rows) < size:
            self._close()

    def _close(self) -> None:
        if self._open is not None:  # whoever stopped waiting asks for it while the statement is still executed
            self._open.close()
            self._open = None
