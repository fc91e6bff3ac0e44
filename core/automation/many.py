"""Many syncs at once: every mapping with a source, or every audience of a folder, each to its mapping."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.automation import sources
from core.engine import Engine
from core.errors import ConflictError, InputError
from core.models.run import RunRequest
from core.runs import commands
from core.sources.audience_ref import UNKNOWN_AUDIENCE, from_bucket_name, from_download_name
from core.sources.fetch import name_of
from core.sources.file_catalog import ListedAudience, list_audiences
from core.store import audit_log, file_sources, mappings
from core.store.audit_log import AuditAction
from core.store.mappings import AudienceMapping, MappingStatus

_SYNCED = (MappingStatus.ACTIVE, MappingStatus.PROPOSED)


@dataclass(frozen=True, slots=True)
class FolderEntry:
    """An audience of a folder: its file name, and the id of its run or why there is none."""

    name: str
    mapping: AudienceMapping | None
    run_id: str | None
    reason: str | None


async def sync_all(
    engine: Engine, connection_ids: Sequence[int], *, by: str, team_id: str | None
) -> list[AudienceMapping]:
    """Look for new files of all mappings that have a source now, and return these mappings.

    Paused and declined ones are left out.
    """
    async with engine.database.read() as db:
        known = [
            each.id for connection_id in connection_ids for each in await mappings.of_connection(db, connection_id)
        ]
    return await sync_mappings(engine, known, by=by, team_id=team_id)


async def sync_mappings(
    engine: Engine, mapping_ids: Sequence[int], *, by: str, team_id: str | None
) -> list[AudienceMapping]:
    """Look for new files of those of these mappings that have a source, and return them, as `sync_all` does."""
    async with engine.database.write() as db:
        with_source = await file_sources.of_mappings(db, mapping_ids)
        known = await mappings.by_ids(db, list(with_source))
        chosen = [each for _, each in sorted(known.items()) if each.status in _SYNCED]
        for mapping in chosen:
            await file_sources.request_look(db, mapping.id, by)
            subject = f"mapping:{mapping.id}"
            await audit_log.add(db, team_id=team_id, actor=by, action=AuditAction.SYNCED_NOW, subject=subject)
    sources.wake(engine)
    return chosen


async def sync_folder(
    engine: Engine,
    address: str,
    connection_ids: Sequence[int],
    *,
    by: str,
    team_id: str | None,
    allowed: tuple[str, ...] | None,
) -> list[FolderEntry]:
    """Queue a run for each audience in a place, the oldest first, of the mapping that its file name names.

    A file without a mapping, or with several, is not synced: its entry says why. Raises InputError if the place can't
    be read, and FetchError if a later attempt may succeed.
    """
    async with engine.database.read() as db:
        known = [each for connection_id in connection_ids for each in await mappings.of_connection(db, connection_id)]
    return await sync_folder_of(engine, address, known, by=by, team_id=team_id, allowed=allowed)


async def sync_folder_of(
    engine: Engine,
    address: str,
    known: Sequence[AudienceMapping],
    *,
    by: str,
    team_id: str | None,
    allowed: tuple[str, ...] | None,
) -> list[FolderEntry]:
    """Queue a run for each audience in a place, of one of these mappings, as `sync_folder` does."""
    listed = await list_audiences(address, allowed)
    return [await _sync(engine, audience, known, by=by, team_id=team_id) for audience in listed]


async def _sync(
    engine: Engine, audience: ListedAudience, known: Sequence[AudienceMapping], *, by: str, team_id: str | None
) -> FolderEntry:
    name = name_of(audience.address.rstrip("/"))
    if not audience.is_complete:
        return FolderEntry(name, None, None, "its export has not ended: _SUCCESS is missing")
    matching = [mapping for mapping in known if _is_of(mapping, name) and mapping.status in _SYNCED]
    if len(matching) != 1:
        reason = "several mappings have this audience" if matching else "no mapping has this audience"
        return FolderEntry(name, None, None, reason)
    request = RunRequest(path=audience.parts[0], more_paths=audience.parts[1:])
    try:
        run_id = await commands.start(engine, matching[0], request, by=by, channel=matching[0].channel, team_id=team_id)
    except (ConflictError, InputError) as error:
        return FolderEntry(name, matching[0], None, error.message)
    return FolderEntry(name, matching[0], run_id, None)


def _is_of(mapping: AudienceMapping, file_name: str) -> bool:
    """Return whether a file is of a mapping's audience: by the id or the name in its name, or by its name alone."""
    named = from_download_name(file_name)
    if named == UNKNOWN_AUDIENCE:
        named = from_bucket_name(file_name)
    if named != UNKNOWN_AUDIENCE:
        wanted = (mapping.audience_id, mapping.audience_name)
        return any(text is not None and named.matches(text) for text in wanted)
    return mapping.is_of(file_name.partition(".")[0])
