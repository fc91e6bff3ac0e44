"""How long things are kept, and what is cleared away: so that the data directory does not grow for ever.

Records of runs, of alerts and of who did what are history, and stay: less than a kilobyte each. What a run did to whom
is far more, and personal: it goes after KEEP_S, and so do the addresses of those who left. What a killed process leaves
behind goes when its run is in nobody's hands.
"""

import asyncio
import contextlib
import shutil
from pathlib import Path

from core.engine import Engine
from core.settings import FETCHED, STANDARD_INPUT, WORK
from core.store import batches, clock, last_known_emails, rejections, runs
from core.store.batches import BatchStatus

# How long the changes and rejections of a run are kept, for its file of rejections, to explain it and to undo it.
RETENTION_S = 30 * 24 * 3600.0
# Old runs that are cleared at once, and how many of their batches and rejections, and of addresses, in one transaction.
CLEAR_RUNS = 5
CLEAR_BATCHES, CLEAR_REJECTIONS, CLEAR_ADDRESSES = 200, 5_000, 5_000


# What was sent and not answered is needed until the list's next run has noted whom it concerns.
_CLEARED = [state for state in BatchStatus if state is not BatchStatus.SENT]


async def purge_expired(engine: Engine) -> None:
    """Delete the changes and rejections of some runs that ended for good long ago, and addresses of those who left.

    A piece at a time.
    """
    async with engine.database.read() as db:
        before = await clock.now(db) - RETENTION_S
        old = await runs.expired(db, before, CLEAR_RUNS)
        left = await last_known_emails.any_before(db, before)
    while left:
        async with engine.database.write() as db:
            left = await last_known_emails.clear_old(db, before, CLEAR_ADDRESSES) == CLEAR_ADDRESSES
    for run_id in old:
        left = True
        while left:
            async with engine.database.write() as db:
                found = await batches.drop(db, run_id, _CLEARED, CLEAR_BATCHES)
                left = bool(found + await rejections.drop(db, run_id, limit=CLEAR_REJECTIONS))


async def remove_orphaned_files(engine: Engine) -> None:
    """Remove the files of killed processes: their locks, and what they made for runs that nobody has in hand now."""
    await engine.presence.remove_stale_lock_files()
    settings = engine.settings
    await asyncio.to_thread(_remove_old_input, settings.data_dir, time.time() - settings.approval_expiry_s)
    found = await asyncio.to_thread(_folders, engine.settings.data_dir)
    if not found:
        return
    async with engine.database.read() as db:
        known = await runs.by_ids(db, {path.name for path in found})
    for path in found:
        run = known.get(path.name)
        if run is not None and not run.status.is_active:
            await asyncio.to_thread(shutil.rmtree, path, ignore_errors=True)


def _remove_old_input(data_dir: Path, before: float) -> None:
    """Remove what was read from standard input for runs that no one has decided about in time."""
    for path in (data_dir / STANDARD_INPUT).glob("*"):
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < before:
                shutil.rmtree(path, ignore_errors=True)


def _folders(data_dir: Path) -> list[Path]:
    return [path for name in (WORK, FETCHED) if (data_dir / name).is_dir() for path in (data_dir / name).iterdir()]
