"""Being alive, and seeing who else is: so that the runs of a process that died are taken over, and no others.

On one machine a process is alive while it holds the lock on its file: the kernel lets go of it at the instant of
death, however it comes. Processes of other machines are alive while their heartbeat goes on.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from core.errors import SettingsError
from core.store import workers
from core.store.database import Database
from core.store.database_errors import describe
from core.store.workers import Worker

HEARTBEAT_S = 5.0
# Silence after which a process of another machine counts as dead. Long enough for a pause of a virtual machine;
# and if it was alive after all, it finds its runs taken over before it writes again (runs.TakenOverError).
DEAD_AFTER_S = 30.0

# How long a process may take, in seconds, from making its lock file to putting itself on record.
STARTING_S = 3600.0

logger = logging.getLogger(__name__)


class WorkerRegistration:
    """This process among the workers. `id` is new at every start: a restart is not taken for its former self."""

    def __init__(self, database: Database, data_dir: Path, name: str) -> None:
        """Take the worker's stable name. No I/O."""
        self.id = f"{name}#{secrets.token_hex(6)}"
        self._database = database
        self._host = socket.gethostname()
        self._path = data_dir / "workers" / f"{self.id.replace('/', '_')}.lock"

    @asynccontextmanager
    async def register(self) -> AsyncIterator[None]:
        """Be alive for the length of the block."""
        lock = self._lock_own_file()
        try:
            async with self._database.write() as db:
                await workers.add(db, self.id, self._host, str(self._path))
        except DBAPIError as error:
            self._let_go(lock)
            raise SettingsError(describe(error)) from error
        beating = asyncio.create_task(self._beat(), name="heartbeat")
        try:
            yield
        finally:
            beating.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await beating
            try:
                async with self._database.write() as db:
                    await workers.remove_dead(db, self.id)
            finally:  # where that could not be recorded, others find the lock gone
                self._let_go(lock)

    async def is_dead(self, worker_id: str) -> bool:
        """Whether a process is known to have ended."""
        if worker_id == self.id:
            return False
        async with self._database.read() as db:
            worker = await workers.by_id(db, worker_id)
        return worker is None or self._has_ended(worker)

    async def reap_dead_workers(self) -> list[str]:
        """Forget the processes that have ended, leaving their runs to be taken up. Returns their ids."""
        async with self._database.read() as db:
            dead = [w for w in await workers.everyone(db) if w.id != self.id and self._has_ended(w)]
        for worker in dead:
            async with self._database.write() as db:
                await workers.remove_dead(db, worker.id)
            Path(worker.lock_path).unlink(missing_ok=True)  # noqa: ASYNC240  # takes no time
        return [worker.id for worker in dead]

    async def remove_stale_lock_files(self) -> None:
        """Remove the lock files of processes that died before they were on record."""
        async with self._database.read() as db:
            known = {Path(worker.lock_path).name for worker in await workers.everyone(db)}
        for path in self._path.parent.glob("*.lock"):  # there are few
            if path.name not in known and not _is_young(path) and not _is_locked(path):
                path.unlink(missing_ok=True)

    def _let_go(self, lock: int) -> None:
        self._path.unlink(missing_ok=True)
        os.close(lock)

    def _lock_own_file(self) -> int:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            lock = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise SettingsError(
                f"The data directory can't be written ({error.strerror}). Make it writable, free some space, or "
                "set ITERABLE_SYNC_DATA_DIR."
            ) from error
        return lock

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            try:
                async with self._database.write() as db:
                    await workers.beat(db, self.id)
            except (SQLAlchemyError, OSError):  # whatever it was, it may have passed by the next beat
                logger.warning("the heartbeat could not be recorded", exc_info=True)

    def _has_ended(self, worker: Worker) -> bool:
        # A file of this machine's data directory tells at once; another host's, or another data directory's, can't.
        if worker.host != self._host or Path(worker.lock_path).parent != self._path.parent:
            return worker.silent_for > DEAD_AFTER_S
        return not _is_locked(Path(worker.lock_path))


def _is_locked(path: Path) -> bool:
    try:
        lock = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _is_young(path: Path) -> bool:
    """Whether its process may be about to lock it, and to put itself on record."""
    try:
        return time.time() - path.stat().st_mtime < STARTING_S
    except FileNotFoundError:
        return True
