"""The database: one engine, one code path for SQLite and PostgreSQL.

SQLite runs in WAL mode. `synchronous=FULL` is chosen on purpose: the intent of a request must be on the disk
before the request leaves, also when the power fails, and WAL with NORMAL may lose the last commits then.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import URL, Select, TextClause, event, func, select, text
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from core.errors import SettingsError, StorageError
from core.store import postgresql, sqlite_driver
from core.store.activity import CHANNEL, Activity

T = TypeVar("T")

# How long SQLite waits for another process's write lock, in seconds. Our writes take milliseconds; a backup or a
# virus scanner may hold the file for longer.
BUSY_TIMEOUT_S = 30.0
# How long clearing the write-ahead log waits for readers, in milliseconds. No one else can write meanwhile.
CLEAR_LOG_WITHIN_MS = 1_000
# The size to which SQLite truncates its write-ahead log after a checkpoint: a long read may let it grow.
WAL_LEFT_BYTES = 16 * 1024 * 1024
# The page size of a new database. Batches take 60 KB a row, which costs more CPU with SQLite's default of 4 KiB.
SQLITE_PAGE_BYTES = 8192
# SQLite's page cache for each connection, in KiB.
SQLITE_CACHE_KIB = 16_384


GONE = (
    "The database file was removed or replaced while the program was running. Stop the program, restore the file (or "
    "a backup of it), and start again: only that file records what was sent before."
)


BROKEN_REFERENCES = (
    "The database could not be upgraded to this version: some rows refer to rows that do not exist. "
    "Nothing was changed. Restore a backup, or keep using the former version."
)


class Database:
    """The database, accessed through `read()` and `write()`.

    The owner closes it (`await database.close()`, which may be called twice). No I/O in the constructor.
    """

    def __init__(self, url: str) -> None:
        """Take a SQLAlchemy URL (`sqlite:///path` or `postgresql://...`). Raises SettingsError if it is not one."""
        self.engine: AsyncEngine = _engine(url)
        # the same connections; SQLite's transactions take the write lock when they begin
        self._writing = self.engine.execution_options(writing=True)
        self._reading = self.engine if self.is_sqlite else self.engine.execution_options(isolation_level="AUTOCOMMIT")
        self._url = url
        # A transaction of its own connection does not wait for those that are in use.
        self._own = None if self.is_sqlite else postgresql.open_engine(url, connections=1)
        # SQLite has one writer: waiting here in turn is fairer and cheaper than polling its lock.
        self._writer = asyncio.Lock() if self.is_sqlite else None
        self._file: tuple[int, int] | None = None
        #: What is committed here and, as far as it is known, by other processes.
        self.activity = Activity()
        self._log_state: tuple[int, int] | None = None

    @property
    def is_sqlite(self) -> bool:
        """Whether this is SQLite, not PostgreSQL."""
        return self.engine.dialect.name == "sqlite"

    @property
    def role(self) -> str | None:
        """Who is connected to PostgreSQL, if the address says so."""
        return None if self.is_sqlite else postgresql.connection_parameters(self._url).get("user")

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reading, in one consistent snapshot on SQLite.

        On PostgreSQL each statement is a transaction of its own, which saves two messages: by default, statements of
        one transaction do not share a snapshot there, either (postgresql.org/docs/current/transaction-iso.html).
        """
        async with self._reading.connect() as connection:
            yield connection

    @asynccontextmanager
    async def read_rows(self) -> AsyncIterator[AsyncConnection]:
        """As `read`, in one transaction: PostgreSQL reads rows with a cursor only in one."""
        async with self.engine.connect() as connection:
            yield connection

    @asynccontextmanager
    async def write(self, *, is_news: bool = True) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction that is committed at the end of the block, or rolled back by an exception.

        With `is_news` False, nothing is written that another loop or process may wait for.
        """
        if self._writer is None:
            async with self.engine.begin() as connection:
                yield connection
        else:
            async with self._writer:
                self._see_others()
                async with self._writing.begin() as connection:
                    self._check_file()
                    yield connection
                self._log_state = self._read_log_state()
        if is_news:
            self.activity.note_own()

    @property
    def is_quiet(self) -> bool:
        """Whether nothing was committed lately, by this process or by another one.

        False if that is unknown: behind a pooler there are no notifications.
        """
        if self._writer is not None and not self._writer.locked():
            self._see_others()
        return (self.is_sqlite or self.activity.is_told) and not self.activity.is_recent

    async def announce(self) -> None:
        """Tell other processes that this one has committed something. On SQLite they see it. Raises DBAPIError."""
        self.activity.own.clear()
        if not self.is_sqlite:
            async with self.engine.begin() as db:
                await db.execute(select(func.pg_notify(CHANNEL, self.activity.id)))

    def _see_others(self) -> None:
        """Note a commit of another process, which has changed SQLite's write-ahead log."""
        state = self._read_log_state()
        if state != self._log_state:
            self._log_state = state
            self.activity.note()

    def _read_log_state(self) -> tuple[int, int] | None:
        try:
            stat = os.stat(f"{self.engine.url.database}-wal")  # noqa: PTH116  # as often as there are writes
        except OSError:
            return None
        return (stat.st_mtime_ns, stat.st_size)

    @asynccontextmanager
    async def write_apart(self) -> AsyncIterator[AsyncConnection]:
        """As `write`, on a connection of PostgreSQL that only this method uses: for the heartbeat, which can't wait.

        Nothing is written that another loop or process may wait for.
        """
        if self._own is None:
            async with self.write(is_news=False) as connection:
                yield connection
        else:
            async with self._own.begin() as connection:
                yield connection

    @asynccontextmanager
    async def restructure(self) -> AsyncIterator[AsyncConnection]:
        """As `write`, for schema changes.

        For some changes SQLite needs a new table and drops the former one, which would delete the rows that refer to
        it. So foreign keys are off here, and checked before the commit (sqlite.org/lang_altertable.html, "Making Other
        Kinds Of Table Schema Changes"). Raises StorageError if a row then refers to a missing one.
        """
        if self._writer is None:
            async with self.engine.begin() as connection:
                yield connection
            return
        async with self._writer, self._writing.connect() as connection:
            await connection.run_sync(_set_foreign_keys, "OFF")  # which SQLite ignores in a transaction
            try:
                async with connection.begin():
                    self._check_file()
                    yield connection
                    if (await connection.exec_driver_sql("PRAGMA foreign_key_check")).first() is not None:
                        raise StorageError(BROKEN_REFERENCES)
            finally:
                await connection.run_sync(_set_foreign_keys, "ON")

    def _check_file(self) -> None:
        """Raise StorageError if SQLite's file is not the one that was opened: writes would be lost."""
        path = self.engine.url.database
        if not path or path == ":memory:" or path.startswith("file:"):
            return
        try:
            stat = os.stat(path)  # noqa: PTH116  # as often as there are writes
        except FileNotFoundError:
            raise StorageError(GONE) from None
        file = (stat.st_dev, stat.st_ino)
        if self._file is None:
            self._file = file
        elif file != self._file:
            raise StorageError(GONE)

    async def clear_log(self) -> bool:
        """Empty SQLite's write-ahead log, which still contains deleted rows.

        Returns False if a reader kept it busy for too long: call it again later.
        """
        if self._writer is None:
            return True
        async with self._writer, self.engine.connect() as connection:
            is_cleared = await connection.run_sync(_truncate_log)
            self._log_state = self._read_log_state()
            return is_cleared

    async def close(self) -> None:
        """Close all connections."""
        await self.engine.dispose()
        if self._own is not None:
            await self._own.dispose()


def chosen_once(db: AsyncConnection, chosen: Select[Any]) -> Select[Any]:
    """Wrap the SELECT that chooses a statement's rows, so that it is executed once, before the statement.

    If it locks or limits rows, PostgreSQL may otherwise execute it again for each row and choose other rows.
    (SQLite executes it once, and reports no row count for a statement that begins with WITH.)
    """
    return select(*chosen.cte().c) if db.dialect.name == "postgresql" else chosen


def postponing(db: AsyncConnection) -> AbstractContextManager[None]:
    """Let SQLite execute the statements of the block together with the next one after it, or with the commit.

    That saves two thread switches for each. Their results are not known, and their errors are raised there.
    """
    if db.dialect.name != "sqlite" or db.sync_connection is None:
        return nullcontext()
    driver: Any = db.sync_connection.connection.driver_connection
    postponed: AbstractContextManager[None] = driver.postponing()
    return postponed


@lru_cache(maxsize=500)
def parsed(sql: str) -> TextClause:
    """Return a statement that is written as text. It is kept: SQLAlchemy looks for its parameters for 0.04 ms."""
    return text(sql)


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Await work that a cancellation must not interrupt: an interrupted statement can hold SQLite's write lock."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # retrieved, so that asyncio does not log it; the cancellation has precedence
        raise


def _engine(url: str) -> AsyncEngine:
    if postgresql.is_postgresql(url):
        return postgresql.open_engine(url)
    parsed = _sqlite_url(url)
    engine = create_async_engine(
        parsed.set(drivername="sqlite+aiosqlite"),
        hide_parameters=True,
        connect_args={"timeout": BUSY_TIMEOUT_S, "async_creator_fn": sqlite_driver.DriverConnection},
        pool_size=10,
    )
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _sqlite_url(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise SettingsError(
            "ITERABLE_SYNC_DATABASE_URL is not a database address. Use postgresql://user:password@host/name, "
            "or leave it out for SQLite in the data directory."
        ) from error
    if parsed.get_backend_name() != "sqlite":
        raise SettingsError(
            f"ITERABLE_SYNC_DATABASE_URL names {parsed.get_backend_name()}. SQLite and PostgreSQL are supported."
        )
    return parsed


def _set_foreign_keys(connection: Connection, state: str) -> None:
    cursor = connection.connection.cursor()
    cursor.execute(f"PRAGMA foreign_keys={state}")
    cursor.close()


def _truncate_log(connection: Connection) -> bool:
    cursor = connection.connection.cursor()
    try:
        cursor.execute(f"PRAGMA busy_timeout={CLEAR_LOG_WITHIN_MS}")
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        row = cursor.fetchone()  # (busy, pages in the log, pages checkpointed)
        return row is not None and not row[0]
    finally:
        cursor.execute(f"PRAGMA busy_timeout={int(BUSY_TIMEOUT_S * 1000)}")
        cursor.close()


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # _begin_sqlite begins transactions, not the driver
    cursor = connection.cursor()
    for pragma in (
        f"page_size={SQLITE_PAGE_BYTES}",  # of a new file; has to come before any write
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        f"journal_size_limit={WAL_LEFT_BYTES}",
        f"cache_size=-{SQLITE_CACHE_KIB}",
        "temp_store=MEMORY",
        "secure_delete=ON",  # overwrite deleted content; many builds of SQLite leave it in the file
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A writing transaction takes the lock at once: after a read, SQLite can't wait for it (SQLITE_BUSY).
    driver: Any = connection.connection.driver_connection
    driver.begin(writing=bool(connection.get_execution_options().get("writing")))
