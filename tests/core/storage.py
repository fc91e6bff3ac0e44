"""Disks and databases that fail, for the length of a block."""

import asyncio
import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from aiohttp import web
from sqlalchemy import event, text

from core.store.database import Database


@contextlib.asynccontextmanager
async def with_pragma(database: Database, pragma: str, afterwards: str) -> AsyncIterator[None]:
    """Set a pragma on each connection to the database while the block runs, and `afterwards` from then on."""
    now = pragma

    def take(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute(f"PRAGMA {now}").close()

    event.listen(database.engine.sync_engine, "checkout", take)
    try:
        yield
    finally:
        now = afterwards


def read_only(database: Database) -> contextlib.AbstractAsyncContextManager[None]:
    """Make the database refuse writes."""
    return with_pragma(database, "query_only = on", "query_only = off")


@contextlib.asynccontextmanager
async def disk_of(database: Database, pages: int) -> AsyncIterator[None]:
    """Limit the disk to this many more pages of the database.

    SQLite then fails as it does when the file system is full (SQLITE_FULL).
    """
    async with database.read() as db:
        page_count = int((await db.execute(text("PRAGMA page_count"))).scalar_one())
    async with with_pragma(database, f"max_page_count = {page_count + pages}", "max_page_count = 1000000"):
        yield


async def is_lock_awaited(database: Database) -> bool:
    """Whether a session waits for a lock on the PostgreSQL server."""
    async with database.read() as db:
        return bool((await db.execute(text("SELECT count(*) FROM pg_locks WHERE granted IS FALSE"))).scalar_one())


_LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
connection.execute("ROLLBACK")
"""


@contextlib.contextmanager
def locked_by_another(path: Path) -> Iterator[Callable[[], None]]:
    """Let another process hold the database's write lock until the yielded function is called."""
    command = [sys.executable, "-c", _LOCK, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == b"locked\n"
            yield process.stdin.close
        finally:
            process.stdin.close()


class Lock:
    """SQLite's write lock, held by another connection, which waits its turn among this process's own transactions."""

    def __init__(self, database: Database) -> None:
        """Take the database."""
        self._database = database
        self._acquisition: asyncio.Task[sqlite3.Connection] | None = None

    def begin(self) -> None:
        """Acquire the lock once the tasks that wait for it now have had it."""
        self._acquisition = asyncio.create_task(self._take())

    async def release(self) -> None:
        """Release the lock, if it was acquired."""
        if self._acquisition is not None:
            (await self._acquisition).close()
            self._acquisition = None

    async def _take(self) -> sqlite3.Connection:
        turns, path = self._database._writer, self._database.engine.url.database
        assert turns is not None
        assert path is not None
        connection = sqlite3.connect(path, isolation_level=None)
        async with turns:
            connection.execute("BEGIN IMMEDIATE")
        return connection


@contextlib.asynccontextmanager
async def lock_of(database: Database) -> AsyncIterator[Lock]:
    """A lock that is released at the end of the block."""
    lock = Lock(database)
    try:
        yield lock
    finally:
        await lock.release()


@contextlib.contextmanager
def small_disk(mount_point: Path, megabytes: int) -> Iterator[Path]:
    """Mount a real file system of this size. Skips the test if this process may not mount one."""
    mount_point.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "tmpfs", str(mount_point)]
    mount = shutil.which("mount")
    result = subprocess.run(command, capture_output=True, text=True, check=False) if mount else None
    if result is None or result.returncode:
        reason = "there is no mount command" if result is None else result.stderr.strip()
        pytest.skip(f"a small file system can't be mounted here ({reason}): it takes root, or CAP_SYS_ADMIN")
    try:
        yield mount_point
    finally:
        subprocess.run(["umount", "--lazy", str(mount_point)], check=True)


def fill(directory: Path, *, but: int = 0) -> Path:
    """Fill a file system, except for the last `but` bytes. Returns the file that fills it."""
    filler = directory / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while (room := os.statvfs(directory).f_bavail * os.statvfs(directory).f_frsize - but) > 0:
            file.write(bytes(min(room, 1 << 20)))
    return filler


def at_requests(monkeypatch: pytest.MonkeyPatch, do: Callable[[], object], *, every: int) -> None:
    """Call a function at each `every`th request to the local Iterable."""
    seen = 0
    original = web.Response.__init__

    def counted(self: web.Response, *args: object, **options: object) -> None:
        nonlocal seen
        seen += 1
        if seen % every == 0:
            do()
        original(self, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(web.Response, "__init__", counted)


def once(do: Callable[[], object]) -> Callable[[], object]:
    """Wrap a function so that only its first call has an effect."""
    pending = [do]
    return lambda: pending.pop()() if pending else None
