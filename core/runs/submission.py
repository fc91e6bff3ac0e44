"""Submitting a run: what a person asked for becomes a queued run, once all is checked that can be checked at once."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from core.connections.lists import check_list, note_list
from core.engine import Engine
from core.errors import InputError, SeveralMappingsError
from core.identity import UserIdField
from core.iterable import (
    IterableList,
)
from core.models.run import RunRequest
from core.store import connections, mappings, runs
from core.store.connections import Connection
from core.store.mappings import AudienceMapping, MappingStatus


@dataclass(frozen=True, slots=True)
class Submission:
    """A run that was queued, and the list that it is for."""

    run_id: str
    target: IterableList


async def submit(
    engine: Engine, connection: Connection, list_id: int, request: RunRequest, *, rate: float | None = None
) -> Submission:
    """Queue a run for a list. Raises InputError, SettingsError or an IterableError where it can't even begin."""
    target = await check_list(engine, connection, list_id)
    async with engine.database.write() as db:
        await connections.change(db, connection.id, key_rejected_at=None)  # the key has just worked
        await note_list(db, connection.id, target)
        mapping = await _mapping(db, connection, list_id, request.audience)
        check_mapping_active(mapping)
        run_id = runs.new_id()
        await runs.add(
            db,
            run_id=run_id,
            mapping=mapping,
            mode=request.mode or "mirror",
            user_id_field=connection.user_id_field.value,
            rate=connection.requests_per_second if rate is None else rate,
            request=request,
            worker_id=engine.presence.id,
        )
    return Submission(run_id, target)


async def submit_mapping(
    engine: Engine,
    connection: Connection,
    mapping: AudienceMapping,
    request: RunRequest,
    *,
    started_by: str | None = None,
    channel: str | None = None,
    undo_of: str | None = None,
    worker: str | None = None,
) -> str:
    """Queue a run of a mapping and return its id. Nothing is asked over the network: planning does that.

    `worker` is the process that is going to execute it (None: whoever takes it), `started_by` and `channel` are a
    person and a place in Slack. Raises InputError where the mapping is paused or was declined meanwhile.
    """
    async with engine.database.write() as db:
        run_id = await enqueue(
            db, connection, mapping, request, started_by=started_by, channel=channel, undo_of=undo_of, worker=worker
        )
    engine.queued.set()
    return run_id


async def enqueue(
    db: AsyncConnection,
    connection: Connection,
    mapping: AudienceMapping,
    request: RunRequest,
    *,
    user_id: UserIdField | None = None,
    started_by: str | None = None,
    channel: str | None = None,
    undo_of: str | None = None,
    worker: str | None = None,
) -> str:
    """Store what `submit_mapping` queues, in the caller's transaction; whoever commits it sets `engine.queued`."""
    now = await mappings.by_id(db, mapping.id)
    if now is None:
        raise InputError(f"The mapping of {mapping.label} to list {mapping.list_id} is not there any more.")
    check_mapping_active(now)
    run_id = runs.new_id()
    await runs.add(
        db,
        run_id=run_id,
        mapping=now,
        mode=request.mode or ("mirror" if now.mode == "auto" else now.mode),
        user_id_field=(user_id or connection.user_id_field).value,
        rate=connection.requests_per_second,
        request=request,
        worker_id=worker,
        started_by=started_by,
        channel=channel,
        undo_of=undo_of,
    )
    return run_id


def check_mapping_active(mapping: AudienceMapping) -> None:
    """Raise InputError where a mapping must not be synced now."""
    what = f"The mapping of {mapping.label} to list {mapping.list_id}"
    if mapping.status is MappingStatus.PAUSED:
        raise InputError(f"{what} is paused, so nothing is sent. Resume the mapping, and start the run again.")
    if mapping.status is MappingStatus.DECLINED:
        raise InputError(f"{what} was declined, so nothing is sent. Propose it again and have it approved.")


async def _mapping(db: AsyncConnection, connection: Connection, list_id: int, audience: str | None) -> AudienceMapping:
    """The mapping that a run is for: the named one, or the list's only one; made where there is none."""
    of_list = await mappings.of_connection(db, connection.id, list_id)
    if audience is not None:
        wanted = audience.casefold()
        chosen = [
            m for m in of_list if wanted in ((m.audience_id or "").casefold(), (m.audience_name or "").casefold())
        ]
    else:
        unused = await mappings.never_planned(db, [m.id for m in of_list])
        chosen = [m for m in of_list if m.id not in unused] or of_list[:1]
    if len(chosen) > 1:
        names = ", ".join(sorted(m.label for m in chosen))
        raise SeveralMappingsError(f"List {list_id} is fed by several audiences ({names}). Say which one is meant.")
    if chosen:
        return chosen[0]
    is_id = audience is not None and audience.isdecimal()
    mapping_id = await mappings.add(
        db,
        connection_id=connection.id,
        list_id=list_id,
        audience_id=audience if is_id else None,
        audience_name=None if is_id else audience,
    )
    made = await mappings.by_id(db, mapping_id)
    assert made is not None
    return made
