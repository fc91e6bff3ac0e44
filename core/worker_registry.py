"""Being alive, and seeing who else is: so that the runs of a process that died are taken over, and no others.

A process is alive while its heartbeats continue. One that shares this machine's kernel and data directory also holds a
lock on its file, which the kernel releases at the instant of death: then no other process waits for its silence.
Nothing is concluded from host names or paths, which containers share without sharing anything else.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import secrets
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import Enum
from pathlib import Path

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from core.errors import SettingsError
from core.lease import Lease, LeaseLostError, LeaseTimes, elapsed, lost_message
from core.store import workers
from core.store.database import Database
from core.store.database_errors import describe
from core.store.workers import Worker

# After a heartbeat that the database did not take, the next comes this much sooner (seconds).
RETRY_S = 1.0

# How long a process may take, in seconds, from making its lock file to putting itself on record.
STARTING_S = 3600.0

# Changes with each start of the kernel, and is the same in all its containers (proc_sys_kernel(5)).
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

logger = logging.getLogger(__name__)


class _Lock(Enum):
    """What the file of a process says."""

    HELD = "held"
    RELEASED = "released"
    OUT_OF_SIGHT = "out of sight"


class WorkerRegistration:
    """This process among the workers. `id` is new at every start: a restart is not taken for its former self.

    `lease` says whether this process may send. `on_lost` is called when others have declared it dead.
    """

    def __init__(self, database: Database, data_dir: Path, name: str, times: LeaseTimes | None = None) -> None:
        """Take a name for people to recognize this process by. No I/O."""
        self.id = f"{name}#{secrets.token_hex(6)}"
        self.times = times or LeaseTimes()
        self.lease = Lease(self.times)
        self.on_lost: Callable[[], None] = lambda: None
        self._database = database
        self._path = data_dir / "workers" / f"{self.id.replace('/', '_')}.lock"
        self._place = ""
        self._beaten_at = 0.0
        # heartbeats of others as they were seen last, and since when they are the same, by `elapsed`
        self._seen: dict[str, tuple[float, float]] = {}

    @asynccontextmanager
    async def register(self) -> AsyncIterator[None]:
        """Be alive for the length of the block. Raises LeaseLostError at its end if others declared this one dead."""
        lock = self._lock_own_file()
        try:
            began = elapsed()
            async with self._database.write() as db:
                await workers.add(db, self.id, self._place, str(self._path))
        except DBAPIError as error:
            self._let_go(lock)
            raise SettingsError(describe(error)) from error
        self._note_beat(began)
        beating = asyncio.create_task(self._beat(), name="heartbeat")
        try:
            yield
        finally:
            beating.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await beating
            try:
                if not self.lease.is_lost:
                    async with self._database.write() as db:
                        await workers.remove(db, self.id)
                self._path.unlink(missing_ok=True)  # otherwise others find the lock released, and remove it
            finally:
                os.close(lock)
        if self.lease.is_lost:
            raise LeaseLostError(lost_message(self.times))

    async def is_dead(self, worker_id: str) -> bool:
        """Whether a process is known to have ended."""
        if worker_id == self.id:
            return self.lease.is_lost
        async with self._database.read() as db:
            worker = await workers.by_id(db, worker_id)
        return worker is None or self._has_ended(worker)

    async def reap_dead_workers(self) -> list[str]:
        """Forget the processes that have ended, leaving their runs to be taken up. Returns their ids.

        Also frees the runs and lists of processes that are not on record.
        """
        async with self._database.read() as db:
            everyone = await workers.everyone(db)
            is_abandoned = await workers.any_abandoned(db)
        dead = [worker for worker in everyone if worker.id != self.id and self._has_ended(worker)]
        if is_abandoned and not self.lease.is_lost:
            async with self._database.write() as db:
                await workers.free_abandoned(db)
        return [worker.id for worker in dead if await self._declare_dead(worker)]

    async def wait_for_verdict(self, worker_id: str) -> None:
        """Return when `is_dead` can say whether a process has ended; a process that has just begun can't yet."""
        while not await self.is_dead(worker_id):
            async with self._database.read() as db:
                worker = await workers.by_id(db, worker_id)
            if worker is None or worker.silent_for <= self.times.dead_after_s or self.lease.is_lost:
                return
            await asyncio.sleep(self.times.heartbeat_s / 5)

    async def remove_stale_lock_files(self) -> None:
        """Remove the lock files of processes that died before they were on record."""
        async with self._database.read() as db:
            known = {Path(worker.lock_path).name for worker in await workers.everyone(db)}
        for path in self._path.parent.glob("*.lock"):  # there are few
            if path.name not in known and not _is_young(path) and _look_at(path) is _Lock.RELEASED:
                path.unlink(missing_ok=True)

    async def _declare_dead(self, worker: Worker) -> bool:
        if self.lease.is_lost:
            return False
        may_wake = not self._has_let_go(worker)
        if may_wake:
            async with self._database.read() as db:
                await workers.end_stalled_transactions(db, self.times.dead_after_s / 2)
        async with self._database.write() as db:
            is_declared = await workers.declare_dead(db, worker, may_wake=may_wake)
        if is_declared:
            self._seen.pop(worker.id, None)
            if self._has_let_go(worker):
                Path(worker.lock_path).unlink(missing_ok=True)  # noqa: ASYNC240  # takes no time
        return is_declared

    def _let_go(self, lock: int) -> None:
        self._path.unlink(missing_ok=True)
        os.close(lock)

    def _lock_own_file(self) -> int:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._place = _place_of(self._path.parent)
            lock = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise SettingsError(
                f"The data directory can't be written ({error.strerror}). Make it writable, free some space, or "
                "set ITERABLE_SYNC_DATA_DIR."
            ) from error
        return lock

    async def _beat(self) -> None:
        wait = self.times.heartbeat_s
        while not self.lease.is_lost:
            await asyncio.sleep(wait)
            began = elapsed()
            try:
                async with self._database.write() as db:
                    is_on_record = await workers.beat(db, self.id)
            except (SQLAlchemyError, OSError):  # whatever it was, it may have passed by the next beat
                logger.warning("could not record the heartbeat", exc_info=True)
                wait = min(RETRY_S, self.times.heartbeat_s)
                continue
            wait = self.times.heartbeat_s
            if is_on_record:
                self._note_beat(began)
            else:
                logger.error("this process was declared dead by another one, so it ends")
                self.lease.lose()
                with contextlib.suppress(SQLAlchemyError, OSError):  # without it, the doubt lasts for an hour
                    async with self._database.write() as db:
                        await workers.note_waking(db, self.id)
                self.on_lost()

    def _note_beat(self, at: float) -> None:
        if at - self._beaten_at > self.times.lease_s:  # it could not beat for a while: the others could not, either
            self._seen.clear()
        self._beaten_at = at
        self.lease.renew(at)

    def _has_ended(self, worker: Worker) -> bool:
        """Whether a process has ended: its lock says so, or it is silent while this process is heard of.

        Silence counts only if this process has watched it for as long as a lease: its own clock is not the others',
        and if it could not reach the database, the others perhaps could not, either.
        """
        if self._has_let_go(worker):
            return True
        now = elapsed()
        heartbeat, since = self._seen.get(worker.id, (worker.heartbeat_at, now))
        if heartbeat != worker.heartbeat_at:
            since = now
        self._seen[worker.id] = (worker.heartbeat_at, since)
        is_silent = worker.silent_for > self.times.dead_after_s
        return is_silent and self.lease.is_open() and now - since >= self.times.lease_s

    def _has_let_go(self, worker: Worker) -> bool:
        """Whether the kernel says that a process has ended."""
        return worker.place == self._place and _look_at(Path(worker.lock_path)) is _Lock.RELEASED


def _place_of(directory: Path) -> str:
    """Return a name of this kernel and this directory together, which no other pair has.

    The lock of a file tells something only to processes that share both: a network file system does not always carry
    locks to other machines, and containers have directories of one name that are not the same.
    """
    mark = directory / "directory-id"
    if not mark.exists():  # two that start at once may have different names for it then, and go by heartbeats
        made = directory / f"directory-id.{secrets.token_hex(6)}"
        made.write_text(secrets.token_hex(16))
        made.replace(mark)
    kernel = BOOT_ID.read_text().strip() if BOOT_ID.exists() else sys.platform
    return f"{kernel}/{mark.read_text()}"


def _look_at(path: Path) -> _Lock:
    try:
        lock = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return _Lock.OUT_OF_SIGHT
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return _Lock.HELD
    finally:
        os.close(lock)
    return _Lock.RELEASED


def _is_young(path: Path) -> bool:
    """Whether its process may be about to lock it, and to put itself on record."""
    try:
        return time.time() - path.stat().st_mtime < STARTING_S
    except FileNotFoundError:
        return True
