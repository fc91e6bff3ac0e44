"""The registry of workers: which processes are alive, so that only the runs of dead processes are taken over.

A process is alive while its heartbeats continue. Each process also locks a file, and the kernel releases the lock at
the instant of its death. Processes that see the same file on the same kernel need not wait for silence. Host names,
paths and contents prove nothing: containers can share them, or have copies of a data directory, and no process has
locked the copies of its lock files.
"""

import asyncio
import contextlib
import fcntl
import logging
import math
import os
import secrets
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from core.errors import SettingsError
from core.lease import Lease, LeaseLostError, LeaseTimes, elapsed, lost_message
from core.store import workers
from core.store.database import Database
from core.store.database_errors import describe
from core.store.workers import Worker

# After a failed heartbeat, the next follows after so many seconds, if that is sooner.
RETRY_S = 1.0
# How long a process may take, in seconds, from the creation of its lock file to its registration.
STARTING_S = 3600.0
# Changes with each start of the kernel, and is the same in all containers on it (proc_sys_kernel(5)).
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

logger = logging.getLogger(__name__)


class WorkerRegistration:
    """The registration of this process as a worker. `id` is new at every start, so a restart is another worker.

    `lease` says whether this process may send. `on_lost` is called when the lease is lost: others have declared this
    process dead, or its heartbeat can't continue.
    """

    def __init__(self, database: Database, data_dir: Path, name: str, times: LeaseTimes | None = None) -> None:
        """Take the database, the data directory, and a name by which people recognize this process. No I/O."""
        self.id = f"{name}#{secrets.token_hex(6)}"
        self.times = times or LeaseTimes()
        self.lease = Lease(self.times)
        self.on_lost: Callable[[], None] = lambda: None
        self._database = database
        self._path = data_dir / "workers" / f"{self.id.replace('/', '_')}.lock"
        self._place = ""
        self._beaten_at = 0.0
        self._reaped_at = -math.inf
        # the last heartbeat of each other process, and since when it has not changed, by `elapsed`
        self._seen: dict[str, tuple[float, float]] = {}

    @asynccontextmanager
    async def register(self) -> AsyncIterator[None]:
        """Register this process and send heartbeats for the length of the block.

        Raises SettingsError if the data directory or the database can't be written, and LeaseLostError at the end of
        the block if other processes declared this one dead. If the heartbeat can't continue, its error is raised there.
        """
        lock = self._lock_own_file()
        try:
            began = elapsed()
            async with self._database.write_apart() as db:
                await workers.add(db, self.id, self._place, str(self._path))
        except DBAPIError as error:
            self._remove_own_file(lock)
            raise SettingsError(describe(error)) from error
        self._record_beat(began)
        beating = asyncio.create_task(self._beat(), name="heartbeat")
        beating.add_done_callback(self._end_if_failed)
        try:
            yield
        finally:
            beating.cancel()
            (failure,) = await asyncio.gather(beating, return_exceptions=True)
            try:
                if isinstance(failure, Exception) or not self.lease.is_lost:
                    async with self._database.write() as db:
                        await workers.remove(db, self.id)
                self._path.unlink(missing_ok=True)  # otherwise other processes remove it
            finally:
                os.close(lock)
        if isinstance(failure, Exception):
            raise failure
        if self.lease.is_lost:
            raise LeaseLostError(lost_message(self.times))

    async def is_dead(self, worker_id: str) -> bool:
        """Return whether a process is known to have ended."""
        if worker_id == self.id:
            return self.lease.is_lost
        async with self._database.read() as db:
            worker = await workers.by_id(db, worker_id)
        return worker is None or self._has_ended(worker)

    async def reap_dead_workers(self, *, unless_within_s: float = 0.0) -> list[str]:
        """Delete the processes that have ended, so that their runs can be resumed. Returns their ids.

        Also releases the runs and lists of processes that are not registered.

        Does nothing if that was done in the last `unless_within_s` seconds.
        """
        now = elapsed()
        if now - self._reaped_at < unless_within_s:
            return []
        self._reaped_at = now
        async with self._database.read() as db:
            everyone, is_abandoned = await workers.survey(db)
        dead = [worker for worker in everyone if worker.id != self.id and self._has_ended(worker)]
        if is_abandoned and not self.lease.is_lost:
            async with self._database.write() as db:
                await workers.free_abandoned(db)
        return [worker.id for worker in dead if await self._declare_dead(worker)]

    async def wait_for_verdict(self, worker_id: str) -> None:
        """Wait until `is_dead` is reliable for a process: a process that has just started can't judge silence yet."""
        while not await self.is_dead(worker_id):
            async with self._database.read() as db:
                worker = await workers.by_id(db, worker_id)
            if worker is None or worker.silent_for <= self.times.dead_after_s or self.lease.is_lost:
                return
            await asyncio.sleep(self.times.heartbeat_s / 5)

    async def remove_stale_lock_files(self) -> None:
        """Remove the lock files of processes that died before they were registered."""
        async with self._database.read() as db:
            known = {Path(worker.lock_path).name for worker in await workers.everyone(db)}
        for path in self._path.parent.glob("*.lock"):  # there are few
            if path.name not in known and not _is_young(path) and _place_if_released(path) is not None:
                path.unlink(missing_ok=True)

    async def _declare_dead(self, worker: Worker) -> bool:
        if self.lease.is_lost:
            return False
        may_wake = not self._has_released(worker)
        if may_wake:
            async with self._database.read() as db:
                await workers.end_stalled_transactions(db, self.times.dead_after_s / 2)
        async with self._database.write() as db:
            is_declared = await workers.declare_dead(db, worker, may_wake=may_wake)
        if is_declared:
            self._seen.pop(worker.id, None)
            if self._has_released(worker):
                Path(worker.lock_path).unlink(missing_ok=True)  # noqa: ASYNC240  # takes no time
        return is_declared

    def _remove_own_file(self, lock: int) -> None:
        self._path.unlink(missing_ok=True)
        os.close(lock)

    def _lock_own_file(self) -> int:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            lock = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(lock, secrets.token_hex(16).encode())
            self._place = _place_of(lock)
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
                async with self._database.write_apart() as db:
                    is_registered = await workers.beat(db, self.id)
            except (SQLAlchemyError, OSError):  # the next heartbeat may succeed
                logger.warning("could not record the heartbeat", exc_info=True)
                wait = min(RETRY_S, self.times.heartbeat_s)
                continue
            wait = self.times.heartbeat_s
            if is_registered:
                self._record_beat(began)
            else:
                logger.error("this process was declared dead by another one, so it ends")
                self.lease.lose()
                with contextlib.suppress(
                    SQLAlchemyError, OSError
                ):  # if it fails, the doubt ends by itself after an hour
                    async with self._database.write_apart() as db:
                        await workers.note_waking(db, self.id)
                self.on_lost()

    def _end_if_failed(self, beating: asyncio.Task[None]) -> None:
        """End this process if its heartbeat ended with an error: its lease would never be renewed."""
        if not beating.cancelled() and (error := beating.exception()) is not None:
            logger.error("the heartbeat failed, so this process ends", exc_info=error)
            self.lease.lose()
            self.on_lost()

    def _record_beat(self, beaten_at: float) -> None:
        if (
            beaten_at - self._beaten_at > self.times.lease_s
        ):  # its heartbeats failed for a while, perhaps all others' too
            self._seen.clear()
        self._beaten_at = beaten_at
        self.lease.renew(beaten_at)

    def _has_ended(self, worker: Worker) -> bool:
        """Return whether a process has ended: it released its lock, or it is silent while our heartbeats succeed.

        Silence counts only if this process has observed it for the length of a lease: clocks of processes differ, and
        if this process could not reach the database, perhaps the others could not, either.
        """
        if self._has_released(worker):
            return True
        now = elapsed()
        heartbeat, since = self._seen.get(worker.id, (worker.heartbeat_at, now))
        if heartbeat != worker.heartbeat_at:
            since = now
        self._seen[worker.id] = (worker.heartbeat_at, since)
        is_silent = worker.silent_for > self.times.dead_after_s
        return is_silent and self.lease.is_open() and now - since >= self.times.lease_s

    def _has_released(self, worker: Worker) -> bool:
        """Return whether the kernel has released the lock of a process, which means that it has ended."""
        is_near = worker.place.startswith(f"{_kernel()}/")  # another machine's path may name a file here, too
        return is_near and _place_if_released(Path(worker.lock_path)) == worker.place


def _kernel() -> str:
    """Return what changes with each start of the kernel, and is the same in all containers on it."""
    return BOOT_ID.read_text().strip() if BOOT_ID.exists() else sys.platform


def _place_of(lock: int) -> str:
    """Return a unique name of an open lock file: of the kernel, the file (not its path), and its content.

    Only processes that find the same name can rely on the lock: a network file system does not always pass locks to
    other machines, and a copy of a directory has a file of the same path and content that is not locked.
    """
    file = os.fstat(lock)
    content = os.pread(lock, 64, 0).decode(errors="replace")
    return f"{_kernel()}/{file.st_dev}:{file.st_ino}/{content}"


def _place_if_released(path: Path) -> str | None:
    """Return the place of a lock file if no process has locked it, else None, also if the file can't be opened."""
    try:
        lock = os.open(path, os.O_RDWR)
    except OSError:  # not here, or of another user: the heartbeats decide
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return _place_of(lock)
    except OSError:  # locked, or on a file system without locks
        return None
    finally:
        os.close(lock)


def _is_young(path: Path) -> bool:
    """Return whether a lock file is so new that its process may not have registered yet."""
    try:
        return time.time() - path.stat().st_mtime < STARTING_S
    except FileNotFoundError:
        return True
