"""Submitting a run: what a person asked for becomes a queued run, once all is checked that can be checked at once."""

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from core.engine import Engine
from core.errors import InputError
from core.identity import UserIdField
from core.iterable import DataCenter, IterableList, ListGoneError, ListNotStandardError, Patience
from core.runs import Request
from core.store import connections, lists, mappings, runs
from core.store.connections import Connection, project_of
from core.store.mappings import Mapping

#: Requests a second to an Iterable project where nobody says otherwise: no figure is published for the list
#: endpoints, and this is the one for bulk updates of users.
DEFAULT_RATE = 5.0

# A person waits for this answer, so a host that can't be reached is reported after a few seconds.
IMPATIENT = Patience(attempts=3, base=0.3, cap=2.0)


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
    engine: Engine, connection: Connection, list_id: int, request: Request, *, rate: float | None = None
) -> Submission:
    """Queue a run for a list. Raises InputError, SettingsError or an IterableError where it can't even begin."""
    target = await check_list(engine, connection, list_id)
    async with engine.database.write() as db:
        await connections.change(db, connection.id, refused_at=None)  # the key has just worked
        known = await lists.get(db, connection.id, list_id)
        if known is None:
            await lists.add(db, connection.id, list_id, target.name, target.created_at)
        elif known.name != target.name and None not in (known.list_created_at, target.created_at):
            if known.list_created_at != target.created_at:
                raise InputError(
                    f'List {list_id} is not the list that was synced here before: that one was called "{known.name}", '
                    f'this one is called "{target.name}" and was created at another time. If the API key is of another '
                    "Iterable project now, save a connection for it with `iterable-sync connections add`."
                )
            await lists.rename(db, connection.id, list_id, target.name)
        mapping = await _mapping(db, connection, list_id, request.audience)
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


async def check_list(engine: Engine, connection: Connection, list_id: int) -> IterableList:
    """Return a list of the connection's project. Raises ListGoneError or ListNotStandardError where it is of no use."""
    async with engine.client(connection, patience=IMPATIENT) as client:
        found = next((each for each in await client.lists() if each.id == list_id), None)
    if found is None:
        raise ListGoneError(list_id=list_id)
    if not found.is_standard:
        raise ListNotStandardError(list_id=list_id)
    return found


async def _mapping(db: AsyncConnection, connection: Connection, list_id: int, audience: str | None) -> Mapping:
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
        raise InputError(f"List {list_id} is fed by several audiences ({names}). Say which with --audience.")
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
