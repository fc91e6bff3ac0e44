"""Retention: the deletion of data that is no longer needed.

Runs, alerts and audit entries are kept, unless settings limit how long; each is smaller than a kilobyte. The changes
and rejections of a run are larger and personal, so they are deleted after the times in the settings. So are the
addresses of former members. Data fields that an ended run has not sent are deleted at once. The files of a killed
process are deleted once no process executes its run.
"""

import asyncio
import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from core.engine import Engine
from core.settings import DAY_S, FETCHED, RUN_LOG_PREFIX, STANDARD_INPUT, UPLOADS, WORK
from core.store import batches, clock, connections, field_values, idempotency_keys, last_known_emails, rejections, runs
from core.store.batches import BatchStatus
from core.store.expiry import drop_alerts, drop_audit, drop_runs
from core.store.forgotten_files import delete_files
from core.store.former_files import remove_workflow_file

# Runs purged in one pass, and batches, rejections and addresses deleted in one transaction.
CLEAR_RUNS = 5
CLEAR_BATCHES, CLEAR_REJECTIONS, CLEAR_ADDRESSES = 200, 5_000, 5_000
# Runs, alerts and audit entries deleted in one transaction.
CLEAR_ROWS = 500
# Transactions of a pass: the worker takes up no run meanwhile.
CHUNKS = 100
#: The beginning of the names of folders in which lists are compared, and how long a comparison takes at most, in
#: seconds. Older ones are left by killed processes.
CHECK_PREFIX, LONGEST_CHECK_S = "list-", 6 * 3600.0
# Batches without an answer are needed until the list's next run has marked their members as unconfirmed.
_CLEARED = [state for state in BatchStatus if state is not BatchStatus.SENT]


async def purge_expired(engine: Engine) -> None:
    """Delete, in chunks, the expired data of up to CLEAR_RUNS ended runs, and expired addresses of former members.

    The next pass deletes what is left after CHUNKS, or if the engine is stopping.
    """
    settings, chunks = engine.settings, _chunks(engine)
    async with engine.database.read() as db:
        now = await clock.now(db)
        changes_before, rejections_before = now - settings.changes_retention_s, now - settings.rejections_retention_s
        emails_before = now - settings.former_emails_retention_days * DAY_S
        expired = await runs.expired(db, changes_before, rejections_before, CLEAR_RUNS)
        remains = await last_known_emails.any_before(db, emails_before)
    while remains and next(chunks):
        async with engine.database.write() as db:
            remains = await last_known_emails.clear_old(db, emails_before, CLEAR_ADDRESSES) == CLEAR_ADDRESSES
    async with engine.database.write(is_news=False) as db:
        await idempotency_keys.drop_old(db)
    async with engine.database.read() as db:
        remains = await field_values.any_unneeded(db)
    while remains and next(chunks):
        async with engine.database.write() as db:
            remains = await field_values.drop_unneeded(db)
    for run_id, finished_at in expired:
        remains = True
        while remains and next(chunks):
            async with engine.database.write() as db:
                deleted = 0
                if finished_at < changes_before:
                    deleted += await batches.drop(db, run_id, _CLEARED, CLEAR_BATCHES)
                if finished_at < rejections_before:
                    deleted += await rejections.drop(db, run_id, limit=CLEAR_REJECTIONS)
                remains = bool(deleted)
                if not remains:
                    await runs.mark_purged(db, run_id)


async def drop_history(engine: Engine) -> None:
    """Delete the runs, alerts and audit entries that are older than the settings say, in chunks.

    The next pass deletes what is left after CHUNKS, or if the engine is stopping.
    """
    settings, chunks = engine.settings, _chunks(engine)
    limits = (
        (settings.runs_retention_days, drop_runs),
        (settings.alerts_retention_days, drop_alerts),
        (settings.audit_retention_days, drop_audit),
    )
    for days, drop in limits:
        deleted = 0 if days is None else CLEAR_ROWS
        while days is not None and deleted == CLEAR_ROWS and next(chunks):
            async with engine.database.write() as db:
                deleted = await drop(db, await clock.now(db) - days * DAY_S, CLEAR_ROWS)


def _chunks(engine: Engine) -> Iterator[bool]:
    """Yield whether a pass may delete another chunk: CHUNKS times, while the engine is not stopping."""
    for _ in range(CHUNKS):
        yield not engine.stopping.is_set()
    while True:
        yield False


async def remove_orphaned_files(engine: Engine) -> None:
    """Remove the files of killed processes: their locks, and working files of runs that no process is executing.

    Also removes the file that only former versions need.
    """
    if engine.database.is_sqlite:
        with contextlib.suppress(OSError):  # it does no harm, and the next cleanup tries again
            remove_workflow_file(Path(engine.database.engine.url.database or ""))
    await engine.presence.remove_stale_lock_files()
    settings = engine.settings
    await asyncio.to_thread(_remove_old_input, settings.data_dir, time.time() - settings.approval_expiry_s)
    async with engine.database.read() as db:
        connection_ids = {connection.id for connection in await connections.everyone(db)}
    await asyncio.to_thread(delete_files, engine.settings.data_dir, connection_ids)
    folders = await asyncio.to_thread(_folders, engine.settings.data_dir)
    if not folders:
        return
    async with engine.database.read() as db:
        known = await runs.by_ids(db, {path.name for path in folders})
    for path in folders:
        run = known.get(path.name)
        is_temporary = path.name.startswith((CHECK_PREFIX, RUN_LOG_PREFIX))
        is_left = is_temporary and await asyncio.to_thread(_is_older, path, LONGEST_CHECK_S)
        if is_left or (run is not None and not run.status.is_active):
            await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)


def _remove_old_input(data_dir: Path, before: float) -> None:
    """Remove the audiences from standard input and uploads whose runs were not approved in time."""
    for path in (*(data_dir / STANDARD_INPUT).glob("*"), *(data_dir / UPLOADS).glob("*")):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < before:
                shutil.rmtree(path, ignore_errors=True)


def _is_older(path: Path, seconds: float) -> bool:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime < time.time() - seconds
    return False


def _folders(data_dir: Path) -> list[Path]:
    return [path for name in (WORK, FETCHED) if (data_dir / name).is_dir() for path in (data_dir / name).iterdir()]
