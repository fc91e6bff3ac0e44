"""Reads the data of the messages of runs."""

import asyncio
from collections.abc import Collection
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.features.runs.run_view import PreviousSync, RunView
from bot.messages.provider import Snapshot
from core.models.run import Run, RunPhase, RunStatus
from core.reporting.progress import Progress, ProgressTracker
from core.sources.download_progress import DownloadProgress, download_progress
from core.store import approvals, batches, campaigns, freezes, mappings, mparticle_accounts, rejections, runs
from core.store.mappings import MappingStatus


async def read_approval_facts(db: AsyncConnection, run: Run) -> dict[str, Any]:
    """Return the additional fields of RunView for a run that waits for approval."""
    latest = await approvals.latest_source(db, run.mapping_id)
    of_list = await mappings.of_connection(db, run.connection_id, run.list_id)
    mapping = next((each for each in of_list if each.id == run.mapping_id), None)
    is_older = latest is not None and run.source_at is not None and latest.at > run.source_at
    return {
        "proposed_by": mapping.proposed_by if mapping and mapping.status is MappingStatus.PROPOSED else None,
        "newer_source_at": latest.at if latest is not None and is_older else None,
        "campaigns": await campaigns.of_list(db, run.connection_id, run.list_id),
        "freeze": await freezes.of_mapping(db, run.mapping_id),
        "also_fed_by": [each.label for each in mappings.other_feeders(of_list, run.mapping_id)],
    }


async def _more(db: AsyncConnection, run: Run) -> dict[str, Any]:
    if run.status is RunStatus.NEEDS_APPROVAL:
        return await read_approval_facts(db, run)
    if run.status is RunStatus.SUCCEEDED and (earlier := await runs.success_before(db, run)) is not None:
        by_reason = await rejections.by_reason(db, earlier.id) if run.counters.rejected else {}
        return {"previous": PreviousSync(earlier.finished_at or earlier.created_at, earlier.list_size, by_reason)}
    return {"freeze": await freezes.of_mapping(db, run.mapping_id)} if run.is_frozen else {}


class RunViewReader:
    """Reads run views, and remembers rejection counts and the recent progress of each run between two reads."""

    def __init__(self, downloads: Path | None = None) -> None:
        """Take the directory of downloads, to show their progress. No I/O."""
        self._downloads = downloads
        self._rejected: dict[str, tuple[tuple[object, ...], dict[str, int]]] = {}
        self._trackers: dict[str, tuple[int, ProgressTracker]] = {}

    async def read(self, snapshot: Snapshot, shown: Collection[Run]) -> dict[str, RunView]:
        """Return the views of these runs by run id, without runs whose connection was removed."""
        views: dict[str, RunView] = {}
        of_connections = {run.connection_id for run in shown}
        accounts = await mparticle_accounts.of_connections(snapshot.db, list(of_connections)) if of_connections else {}
        for run in shown:
            connection = await snapshot.connection_of(run.connection_id, run.mapping_id)
            if connection is not None and run.id not in views:
                list_name = (await snapshot.list_names()).get((run.connection_id, run.list_id))
                rejected = await self._rejected_by_reason(snapshot.db, run)
                progress = await self._progress(snapshot.db, run)
                facts = {"account": accounts.get(run.connection_id), **await _more(snapshot.db, run)}
                views[run.id] = RunView(
                    run, connection, list_name, rejected, progress, await self._download(run), **facts
                )
        for cache in (self._rejected, self._trackers):
            for run_id in [each for each in cache if each not in views]:
                del cache[run_id]
        return views

    async def _progress(self, db: AsyncConnection, run: Run) -> Progress | None:
        if run.status is not RunStatus.RUNNING:
            self._trackers.pop(run.id, None)
            return None
        done, total = await batches.progress(db, run.id)
        if run.phase is not RunPhase.UPLOADING:  # its rate begins when it sends
            self._trackers.pop(run.id, None)
            return Progress(done, total)
        attempt, tracker = self._trackers.get(run.id, (run.attempt, ProgressTracker()))
        if attempt != run.attempt:
            tracker = ProgressTracker()
        self._trackers[run.id] = (run.attempt, tracker)
        return tracker.add(done, total)

    async def _download(self, run: Run) -> DownloadProgress | None:
        if self._downloads is None or run.status is not RunStatus.PLANNING:
            return None
        return await asyncio.to_thread(download_progress, self._downloads / run.id)

    async def _rejected_by_reason(self, db: AsyncConnection, run: Run) -> dict[str, int]:
        """Count rejections by reason. The counts are read once for each state of the run that shows them."""
        if run.status.is_active or not run.counters.rejected:
            return {}
        state = (run.status, run.attempt, run.counters.rejected)
        cached = self._rejected.get(run.id)
        if cached is None or cached[0] != state:
            cached = (state, await rejections.by_reason(db, run.id))
            self._rejected[run.id] = cached
        return cached[1]
