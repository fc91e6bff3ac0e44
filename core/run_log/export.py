"""Writing ended runs to the place of the run log, each exactly once.

The files of a run have names that follow from the run, and each replaces one with the same name. So a process that dies
in between leaves nothing twice: the next one writes the same files. The manifest comes last. A run that ends once more,
because a failed one was retried, is written again in the same files.
"""

import asyncio
import hashlib
import json
import logging
import shutil
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from core import alerting
from core.engine import Engine
from core.errors import SyncError
from core.models.run import Run
from core.run_log import identities, parts, schema
from core.run_log.configuration import unseal
from core.settings import RUN_LOG_PREFIX, WORK
from core.store import clock, run_log, runs
from core.store.run_log import RunLog

logger = logging.getLogger(__name__)

# Another process writes if this one has neither written a run nor died within so many seconds.
CLAIM_S = 900.0
# How long after a failure the place is tried again, in seconds; the last value repeats.
FAILED_S = (60.0, 300.0, 900.0, 3600.0)
# An alert opens when a place has failed for so long, in seconds; at once if a person has to act.
ALERT_AFTER_S = 600.0


async def write_due(engine: Engine) -> None:
    """Write the runs that are due, unless another process does, or the place failed a short time ago.

    A place that fails is tried again later; nothing is raised for it.
    """
    while not engine.stopping.is_set():
        async with engine.database.read() as db:
            log, now = await run_log.get(db), await clock.now(db)
            due = await run_log.due(db, now, 1) if log is not None and log.next_at <= now else []
        if log is None or not due:
            return
        async with engine.database.write() as db:
            if not await run_log.claim(db, log, now + CLAIM_S):
                return
        try:
            await write(engine, log, due[0])
        except SyncError as error:
            await _failed(engine, log, due[0], error)
            return
        async with engine.database.write() as db:
            now = await clock.now(db)
            await run_log.change(db, next_at=now, written_at=now, failures=0, failing_since=None, error=None)
            await alerting.run_log_written(db)


async def write(engine: Engine, log: RunLog, run_id: str) -> None:
    """Write a run that has ended, and record that. Raises the errors of `Place`."""
    async with engine.database.read() as db:
        run = await runs.by_id(db, run_id)
    if run is None or run.finished_at is None:
        return  # it was deleted, or resumed: then it is due again when it ends
    directory = engine.settings.data_dir / WORK / f"{RUN_LOG_PREFIX}{run_id}-{engine.presence.id}".replace("/", "_")
    try:
        await asyncio.to_thread(directory.mkdir, mode=0o700, parents=True, exist_ok=True)
        await _write_files(engine, log, run, directory)
    finally:
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
    async with engine.database.write() as db:
        await run_log.mark_written(db, run_id, run.finished_at)


async def _write_files(engine: Engine, log: RunLog, run: Run, directory: Path) -> None:
    place, salt = unseal(engine.vault, log)
    write_identifiers = identities.writer(log.identifiers, salt)
    written: dict[str, Callable[[Path], Awaitable[int]]] = {
        "changes": lambda path: parts.write_changes(engine, run, path, write_identifiers),
        "rejections": lambda path: parts.write_rejections(engine, run, path, write_identifiers),
        "runs": lambda path: parts.write_run(engine, run, path),
    }
    day = datetime.fromtimestamp(run.created_at, UTC).date().isoformat()
    files = []
    for table in schema.TABLES:
        path, name = directory / table, f"{table}/day={day}/{run.id}.parquet"
        if rows := await written[table](path):
            files.append({"table": table, "path": name, "rows": rows, **await asyncio.to_thread(_facts, path)})
            await place.put(path, name)
            path.unlink()
        else:
            await place.remove(name)
    manifest = directory / "manifest"
    manifest.write_text(json.dumps(_manifest(run, log, files), indent=1), encoding="utf-8")
    await place.put(manifest, f"manifests/day={day}/{run.id}.json")


def _manifest(run: Run, log: RunLog, files: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "version": schema.VERSION,
        "run_id": run.id,
        "status": run.status.value,
        "finished_at": datetime.fromtimestamp(run.finished_at or 0.0, UTC).isoformat(),
        "identifiers": log.identifiers.value,
        "files": files,
    }


def _facts(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


async def _failed(engine: Engine, log: RunLog, run_id: str, error: SyncError) -> None:
    wait = FAILED_S[min(log.failures, len(FAILED_S) - 1)]
    logger.warning("could not write run %s to the run log: %s", run_id, error.message)
    async with engine.database.write() as db:
        now = await clock.now(db)
        since = log.failing_since or now
        await run_log.change(
            db, next_at=now + wait, failures=log.failures + 1, failing_since=since, error=error.message
        )
        run = await runs.by_id(db, run_id)
        if run is not None and (not error.is_transient or now - since >= ALERT_AFTER_S):
            waiting = await run_log.due_count(db, now)
            runs_wait = "1 run waits" if waiting == 1 else f"{waiting:,} runs wait"
            message = (
                f"{error.message} {runs_wait} to be written, and syncs are not affected. The next try is in "
                f"{wait / 60:.0f} minute{'' if wait == 60 else 's'}."
            )
            await alerting.run_log_failed(db, run, message)
