"""A driver for SQLite on top of aiosqlite: one thread switch per statement, instead of three or four.

A switch wakes two threads. Most of our statements take less time than that, and a run of a small audience has some
sixty. A transaction begins together with its first statement, and no one waits for the end of one that only reads.
SQLAlchemy's dialect accepts such a connection as `async_creator_fn`.
"""

import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from typing import Any, Self

import aiosqlite

# Rows fetched together with the execution of the statement. Most results have fewer.
AHEAD = 50


class DriverConnection(aiosqlite.Connection):
    """aiosqlite's connection with our cursors. It opens when it is awaited."""

    def __init__(self, database: str, **options: Any) -> None:
        """Take what `sqlite3.connect` takes."""
        super().__init__(partial(sqlite3.connect, database, **options), iter_chunk_size=AHEAD)
        self._thread.daemon = True  # as SQLAlchemy sets it for its own connections
        self._beginning: str | None = None
        self._only_reads = False
        self._has_begun = False
        self._postponed: list[Callable[[], None]] = []
        self._postpones = False

    def cursor(self) -> "Cursor":  # type: ignore[override]  # SQLAlchemy's dialect calls it without await
        """Return a cursor. It opens in the database when it executes a statement."""
        return Cursor(self)

    def new_cursor(self) -> sqlite3.Cursor:
        """Return a cursor of the database. Call it in the thread only."""
        return self._conn.cursor()

    def begin(self, *, writing: bool) -> None:
        """Begin a transaction with the next statement. `writing`: take the write lock then."""
        self._beginning = "BEGIN IMMEDIATE" if writing else "BEGIN"
        self._only_reads = not writing

    @contextmanager
    def postponing(self) -> Iterator[None]:
        """Execute the statements of the block together with the next one after it, or with the commit.

        They have no results, and their errors are raised there.
        """
        self._postpones = True
        try:
            yield
        finally:
            self._postpones = False

    def postponed(self, work: Callable[..., None], *arguments: Any) -> bool:
        """Return whether a function is called later, in the thread, because statements are postponed now."""
        if self._postpones:
            self._postponed.append(partial(work, *arguments))
        return self._postpones

    async def commit(self) -> None:
        """Commit the transaction, if a statement has begun it."""
        if self._postponed:
            await self.turn(self._conn.commit)
            self._ends()
        elif self._ends():
            await super().commit()

    async def rollback(self) -> None:
        """Roll the transaction back, if a statement has begun it."""
        self._postponed.clear()
        if self._ends():
            if self._only_reads:  # the next statement of this connection comes after it
                self._tx.put_nowait((None, self._conn.rollback))
            else:
                await super().rollback()

    def _ends(self) -> bool:
        # a cancelled caller may be here before its statement has begun the transaction
        has_begun, self._has_begun, self._beginning = self._has_begun, False, None
        return has_begun or self.in_transaction

    async def turn(self, work: Callable[..., None], *arguments: Any) -> None:
        """Call a function in the thread, in a transaction if one was to begin, and after what was postponed."""
        beginning, self._beginning = self._beginning, None
        before, self._postponed = self._postponed, []
        if beginning is not None:
            self._has_begun = True
            before.insert(0, partial(self._execute_all, [beginning]))
        if before:
            work, arguments = _call_all, ([*before, partial(work, *arguments)],)
        await self._execute(work, *arguments)  # type: ignore[no-untyped-call]

    async def execute_all(self, statements: Sequence[str]) -> None:
        """Execute statements without results, with one thread switch for all. Raises what sqlite3 raises."""
        await self.turn(self._execute_all, statements)

    def _execute_all(self, statements: Sequence[str]) -> None:
        for statement in statements:
            self._conn.execute(statement).close()


def _call_all(works: Sequence[Callable[[], None]]) -> None:
    for work in works:
        work()


class Cursor:
    """The part of a DB-API cursor that SQLAlchemy uses, with awaitable methods.

    One thread switch executes, fetches the first rows and, if there are no more, closes the cursor. It completes even
    if the caller is cancelled.
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
        """Do nothing."""
        return self

    async def execute(self, operation: str, parameters: Any = ()) -> Self:
        """Execute a statement and fetch its first rows. Raises what sqlite3 raises."""
        if not self._connection.postponed(self._execute_unread, sqlite3.Cursor.execute, operation, parameters):
            await self._connection.turn(self._execute, sqlite3.Cursor.execute, operation, parameters)
        return self

    async def executemany(self, operation: str, parameters: Any) -> Self:
        """Execute a statement for each set of parameters."""
        if not self._connection.postponed(self._execute_unread, sqlite3.Cursor.executemany, operation, parameters):
            await self._connection.turn(self._execute, sqlite3.Cursor.executemany, operation, parameters)
        return self

    async def fetchall(self) -> Sequence[Any]:
        """Return all remaining rows."""
        if self._open is not None:
            await self._connection.turn(self._fetch, None)
        rows, self._ahead = self._ahead, []
        return rows

    async def fetchmany(self, size: int | None = None) -> Sequence[Any]:
        """Return up to `size` remaining rows."""
        size = size or self.arraysize
        if self._open is not None and len(self._ahead) < size:
            await self._connection.turn(self._fetch, size - len(self._ahead))
        rows, self._ahead = self._ahead[:size], self._ahead[size:]
        return rows

    async def fetchone(self) -> Any:
        """Return the next row, or None."""
        return next(iter(await self.fetchmany(1)), None)

    async def __aiter__(self) -> AsyncIterator[Any]:
        """Yield all remaining rows."""
        while rows := await self.fetchmany(AHEAD):
            for row in rows:
                yield row

    async def close(self) -> None:
        """Discard the remaining rows. A cursor at its end is closed already."""
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
        except BaseException:  # leave nothing open
            self._close()
            raise

    def _execute_unread(self, how: Any, operation: str, parameters: Any) -> None:
        with closing(self._connection.new_cursor()) as cursor:
            how(cursor, operation, parameters)

    def _fetch(self, size: int | None) -> None:
        assert self._open is not None
        rows = self._open.fetchall() if size is None else self._open.fetchmany(size) if size else []
        self._ahead += rows
        self.rowcount = self._open.rowcount  # SQLite knows it only at the end of the rows
        if not size or len(rows) < size:
            self._close()

    def _close(self) -> None:
        if self._open is not None:  # a cancelled caller closes it while the statement is still running
            self._open.close()
            self._open = None
