"""Submitting a run: what a person asked for becomes a queued run, once all is checked that can be checked at once."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from core.engine import Engine
from core.errors import AnotherListError, InputError, SeveralMappingsError
from core.identity import UserIdField
from core.iterable import (
    DataCenter,
    InvalidApiKeyError,
    IterableList,
    ListNotFoundError,
    ListNotStandardError,
    RetryPolicy,
)
from core.models.run import Run, RunRequest
from core.store import connections, lists, mappings, runs
from core.store.connections import Connection, project_of
from core.store.database import to_the_end
from core.store.mappings import AudienceMapping, MappingStatus

#: Requests a second to an Iterable project where nobody says otherwise: no figure is published for the list
#: endpoints, and this is the one for bulk updates of users.
DEFAULT_RATE = 5.0

# A person waits for this answer, so a host that can't be reached is reported after a few seconds.
INTERACTIVE_RETRY = RetryPolicy(
    max_attempts=3,
    backoff_initial_s=0.3,
    backoff_max_s=2.0,
    retry_after=5.0,
    throttle_timeout_s=10.0,
    request_timeout_s=10.0,
)


async def environment_connection(
    engine: Engine, *, user_id: UserIdField | None, data_center: DataCenter, rate: float | None
) -> Connection:
    """Return the connection that stands for ITERABLE_API_KEY, one for each data center. Only what is given is changed.

    Raises SettingsError where the key is not set.
    """
    name = f"environment-{data_center}"
    async with engine.database.write() as db:
        found = await connections.by_name(db, name)
        if found is None:
            await connections.add(
                db,
                name=name,
                api_key=None,
                key_last4="",
                project="",
                data_center=data_center.value,
                user_id=user_id or UserIdField.CUSTOMER_ID,
                rate=DEFAULT_RATE,
            )
            found = await connections.by_name(db, name)
        assert found is not None
        key = engine.api_key(found)
        await connections.change(
            db,
            found.id,
            key_last4=key[-4:],
            project=project_of(key),
            user_id=(user_id or UserIdField.CUSTOMER_ID).value,
            rate=DEFAULT_RATE if rate is None else rate,
        )
        found = await connections.by_id(db, found.id)
    assert found is not None
    return found


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
        await connections.change(db, connection.id, refused_at=None)  # the key has just worked
        await _note_list(db, connection.id, target)
        mapping = await _mapping(db, connection, list_id, request.audience)
        check_mapping_active(mapping)
        run_id = runs.new_id()
        await runs.add(
            db,
            run_id=run_id,
            mapping=mapping,
            mode=request.mode or "mirror",
            user_id=connection.user_id.value,
            rate=connection.rate if rate is None else rate,
            request=request,
            worker=engine.presence.id,
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
        user_id=(user_id or connection.user_id).value,
        rate=connection.rate,
        request=request,
        worker=worker,
        started_by=started_by,
        channel=channel,
        undo_of=undo_of,
    )
    return run_id


def check_mapping_active(mapping: AudienceMapping) -> None:
    """Raise InputError where a mapping must not be synced now."""
    what = f"The mapping of {mapping.label} to list {mapping.list_id}"
    if mapping.state is MappingStatus.PAUSED:
        raise InputError(f"{what} is paused, so nothing is sent. Resume the mapping, and start the run again.")
    if mapping.state is MappingStatus.DECLINED:
        raise InputError(f"{what} was declined, so nothing is sent. Propose it again and have it approved.")


async def ensure_list_known(engine: Engine, this: Run) -> None:
    """See to it that the list of a run is known, asking Iterable where it was never synced to.

    May be cancelled. Raises an IterableError where it is of no use, or where Iterable can't be asked.
    """
    async with engine.database.read() as db:
        if await lists.get(db, this.connection_id, this.list_id) is not None:
            return
        connection = await connections.by_id(db, this.connection_id)
    assert connection is not None
    try:
        target = await check_list(engine, connection, this.list_id, patience=engine.patience)
    except InvalidApiKeyError:
        await to_the_end(_note_refusal(engine, connection))
        raise
    await to_the_end(_note(engine, connection, target))


async def _note_refusal(engine: Engine, connection: Connection) -> None:
    async with engine.database.write() as db:
        await connections.refused(db, connection)


async def _note(engine: Engine, connection: Connection, target: IterableList) -> None:
    async with engine.database.write() as db:
        await _note_list(db, connection.id, target)


async def check_list(
    engine: Engine, connection: Connection, list_id: int, *, patience: RetryPolicy = INTERACTIVE_RETRY
) -> IterableList:
    """Return a list of the connection's project. Raises ListGoneError or ListNotStandardError where it is of no use."""
    async with engine.client(connection, patience=patience) as client:
        found = next((each for each in await client.lists() if each.id == list_id), None)
    if found is None:
        raise ListNotFoundError(list_id=list_id)
    if not found.is_standard:
        raise ListNotStandardError(list_id=list_id)
    return found


async def _note_list(db: AsyncConnection, connection_id: int, target: IterableList) -> None:
    """Store what Iterable says of a list. Raises InputError where it is another list than the one known here."""
    known = await lists.get(db, connection_id, target.id)
    if known is None:
        await lists.add(db, connection_id, target.id, target.name, target.created_at)
    elif known.name != target.name and None not in (known.list_created_at, target.created_at):
        if known.list_created_at != target.created_at:
            raise AnotherListError(
                f'List {target.id} is not the list that was synced here before: that one was called "{known.name}", '
                f'this one is called "{target.name}" and was created at another time. If the API key is of another '
                "Iterable project now, that project needs a connection of its own."
            )
        await lists.rename(db, connection_id, target.id, target.name)


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
