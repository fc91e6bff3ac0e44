"""A look at the source of a mapping: what is new there, what is complete, and which file is synced next.

Each new content is synced once. Files are synced one after the other, the oldest first: the next run of a source begins
when the one before has ended, so a run that waits for approval holds back those after it.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from core import alerting, settings
from core.automation import inspection
from core.automation.lateness import watch_lateness
from core.automation.sources import full_address
from core.engine import Engine
from core.errors import ConflictError, NotFoundError, SyncError
from core.models.run import RunRequest, RunStatus
from core.runs.addresses import sealed
from core.runs.submission import enqueue, record_start
from core.sources.fetch import name_of, without_secrets
from core.sources.file_catalog import ListedAudience, list_audiences, time_in_name
from core.store import alerts, clock, connections, file_sources, mappings, runs
from core.store.alert_kinds import AlertKind
from core.store.audit_log import COMMAND_LINE, OPERATORS
from core.store.connections import Connection
from core.store.file_sources import Existing, FileSource, FileStatus
from core.store.mappings import AudienceMapping, MappingStatus

logger = logging.getLogger(__name__)

# A file is complete if it has not changed for so long, over two looks at least, in seconds.
SETTLE_S = 30.0
# While files wait for their turn, the source is looked at so often (the end of a run also causes a look), in seconds.
TURN_S = 60.0
# Another process looks if this one has not ended its look within so many seconds.
CLAIM_S = 900.0
# How long after a failed look the next one follows, in seconds; the last value repeats.
FAILED_S = (60.0, 300.0, 900.0, 3600.0)


@dataclass(frozen=True, slots=True)
class _Look:
    """A look that this process has claimed, until `claimed` (UTC seconds)."""

    engine: Engine
    source: FileSource
    mapping: AudienceMapping
    connection: Connection
    address: str
    claimed: float


async def look(engine: Engine, source: FileSource) -> None:
    """Look at a source that is due, unless another process does. A failure opens an alert, and the look is repeated."""
    async with engine.database.write() as db:
        claimed = await clock.now(db) + CLAIM_S
        if not await file_sources.claim(db, source, claimed):
            return
        mapping = await mappings.by_id(db, source.mapping_id)
        assert mapping is not None
        connection = await connections.by_id(db, mapping.connection_id)
        assert connection is not None
        if mapping.status in (MappingStatus.PAUSED, MappingStatus.DECLINED, MappingStatus.ARCHIVED):
            await file_sources.end_look(db, mapping.id, claimed, look_at=None)
            return
    try:
        current = _Look(engine, source, mapping, connection, full_address(engine, source), claimed)
        listed = await list_audiences(current.address, _allowed(engine, source, connection))
        listed = [each for each in listed if not _is_archived(each.address, source.archive)]
        await _note(current, listed)
        await _inspect(current, listed)
        await _start_next(current, listed)
        await _settle_ended(current)  # last: a full archive must not keep the next file from being synced
        await _end(current)
    except SyncError as error:
        await _failed(engine, source, mapping, claimed, error)


def _allowed(engine: Engine, source: FileSource, connection: Connection) -> tuple[str, ...] | None:
    if source.set_by in OPERATORS:
        return None
    return engine.settings.audience_places(source.team_id or connection.team_id or "")


def _is_archived(address: str, archive: str | None) -> bool:
    """Return whether a file is in the archive, which may be a subfolder of the source."""
    return archive is not None and without_secrets(address).startswith(without_secrets(archive).rstrip("/") + "/")


async def _note(look: _Look, listed: Sequence[ListedAudience]) -> None:
    """Record what is new in the place, and what has changed since the look before."""
    source, mapping_id = look.source, look.mapping.id
    async with look.engine.database.write() as db:
        now = await clock.now(db)
        known = {file.address: file for file in await file_sources.files(db, mapping_id)}
        is_first = source.looked_at is None and not known
        for each in listed:
            address = without_secrets(each.address)
            file = known.pop(address, None)
            if file is None:
                is_wanted = not is_first or source.existing is Existing.ALL
                is_wanted = is_wanted or (source.existing is Existing.NEWEST and each is listed[-1])
                status = FileStatus.ARRIVING if is_wanted else FileStatus.SKIPPED
                await file_sources.add_file(
                    db, mapping_id, address, size=each.size, tag=each.tag, at=each.at, now=now, status=status
                )
            elif (file.size, file.tag) != (each.size, each.tag) and file.status is not FileStatus.SYNCING:
                await file_sources.change_file(
                    db,
                    file.id,
                    size=each.size,
                    tag=each.tag,
                    at=each.at,
                    unchanged_since=now,
                    status=FileStatus.ARRIVING,
                    digest=None,
                    run_id=None,
                )
        for file in known.values():
            if file.status in (FileStatus.ARRIVING, FileStatus.READY):  # removed before its turn
                await file_sources.forget_file(db, file.id)


async def _settle_ended(look: _Look) -> None:
    """Record the files whose run has ended, and archive them if it succeeded."""
    async with look.engine.database.read() as db:
        syncing = [f for f in await file_sources.files(db, look.mapping.id) if f.status is FileStatus.SYNCING]
        of_files = await runs.by_ids(db, [file.run_id for file in syncing if file.run_id])
    for file in syncing:
        run = of_files.get(file.run_id or "")
        status = _status_after(run.status if run is not None else RunStatus.CANCELLED)
        if status is None or (run is not None and run.retry_at is not None):
            continue
        if status is FileStatus.SYNCED and look.source.archive is not None:
            await inspection.archive(look.address, file.address, look.source.archive)
        async with look.engine.database.write() as db:
            await file_sources.change_file(db, file.id, status=status)


def _status_after(status: RunStatus) -> FileStatus | None:
    """Return what became of the file of a run; None if the run has not ended."""
    if status is RunStatus.SUCCEEDED:
        return FileStatus.SYNCED
    if status is RunStatus.FAILED:
        return FileStatus.FAILED
    return FileStatus.SKIPPED if not status.is_resumable else None


async def _inspect(look: _Look, listed: Sequence[ListedAudience]) -> None:
    """Find out which files are complete, and which of those have a content that was synced before."""
    by_address = {without_secrets(each.address): each for each in listed}
    async with look.engine.database.read() as db:
        now = await clock.now(db)
        files = await file_sources.files(db, look.mapping.id)
    for file in files:
        each = by_address.get(file.address)
        is_settled = now - file.unchanged_since >= SETTLE_S
        if file.status is not FileStatus.ARRIVING or each is None or not each.is_complete or not is_settled:
            continue
        directory = look.engine.settings.data_dir / settings.FETCHED / f"source-{look.mapping.id}"
        allowed = _allowed(look.engine, look.source, look.connection)
        inspected = await inspection.inspect(look.engine, each.parts, directory, allowed)
        if inspected is None:
            continue
        at = inspected.made_at if time_in_name(name_of(file.address)) is None else None
        async with look.engine.database.write() as db:
            is_duplicate = await file_sources.is_duplicate(db, file, inspected.digest)
            status = FileStatus.DUPLICATE if is_duplicate else FileStatus.READY
            await file_sources.change_file(
                db, file.id, status=status, digest=inspected.digest, at=file.at if at is None else at
            )


async def _start_next(look: _Look, listed: Sequence[ListedAudience]) -> None:
    """Queue a run of the oldest file that is ready, unless a run of the mapping has not ended."""
    by_address = {without_secrets(each.address): each for each in listed}
    source = look.source
    async with look.engine.database.write() as db:
        await file_sources.lock(db, look.mapping.id)
        ready = [f for f in await file_sources.files(db, look.mapping.id) if f.status is FileStatus.READY]
        ready = [file for file in ready if file.address in by_address]
        if look.connection.key_rejected_at is not None:  # every run would fail, until a person enters another key
            return
        if not ready or await file_sources.has_unfinished_run(db, look.mapping.id):
            return
        parts = by_address[ready[0].address].parts
        request = RunRequest(
            path=parts[0],
            more_paths=parts[1:],
            columns=source.columns,
            sheet=source.sheet,
            team_id=source.team_id,
            on_behalf_of=source.set_by,
        )
        by = source.look_by or COMMAND_LINE
        request = sealed(look.engine.vault, request)
        channel = look.mapping.channel or look.connection.alert_channel
        try:
            run_id = await enqueue(db, look.connection, look.mapping, request, started_by=by, channel=channel)
        except (ConflictError, NotFoundError) as error:  # paused, frozen, or too many runs wait: the file stays
            logger.info("no run of mapping %s was started: %s", look.mapping.id, error.message)
            return
        await record_start(db, run_id, look.mapping, request, by=by, team_id=source.team_id)
        await file_sources.change_file(db, ready[0].id, status=FileStatus.SYNCING, run_id=run_id)
    look.engine.queued.set()


async def _end(look: _Look) -> None:
    """Record when the source is looked at next, and close the alert about failed looks."""
    async with look.engine.database.write() as db:
        now = await clock.now(db)
        states = {file.status for file in await file_sources.files(db, look.mapping.id)}
        wait = SETTLE_S if FileStatus.ARRIVING in states else TURN_S
        is_waiting = bool(states & {FileStatus.ARRIVING, FileStatus.READY, FileStatus.SYNCING})
        look_at = now + wait if is_waiting else None
        await file_sources.end_look(
            db, look.mapping.id, look.claimed, look_at=look_at, looked_at=now, failures=0, error_code=None
        )
        if look.source.error_code is not None:
            known = await alerts.open_of(db, look.connection.id, look.mapping.id, AlertKind.FAILURE)
            if known is not None and known.code == look.source.error_code and known.run_id is None:
                await alerting.resolve(db, look.connection.id, look.mapping.id, AlertKind.FAILURE)
        await watch_lateness(db, look.mapping, now)


async def _failed(
    engine: Engine, source: FileSource, mapping: AudienceMapping, claimed: float, error: SyncError
) -> None:
    """Open an alert about a look that failed. It is repeated after a while, also if a person has to act first."""
    wait = FAILED_S[min(source.failures, len(FAILED_S) - 1)]
    minutes = f"{wait / 60:.0f} minute{'' if wait == 60 else 's'}"
    async with engine.database.write() as db:
        now = await clock.now(db)
        await alerting.open_or_repeat(
            db,
            connection_id=mapping.connection_id,
            mapping_id=mapping.id,
            run_id=None,
            code=error.code,
            message=f"The source of {mapping.label} has a problem: {error.message} The next look is in {minutes}.",
        )
        await file_sources.end_look(
            db, mapping.id, claimed, look_at=now + wait, failures=source.failures + 1, error_code=error.code
        )
