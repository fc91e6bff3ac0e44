"""Connecting an Iterable project: a key is tried before it is saved, and replaced without losing anything else."""

import dataclasses
import time
from collections.abc import Sequence

from core.engine import Engine
from core.errors import InputError
from core.identity import UserIdField
from core.iterable import DataCenter, IterableList
from core.store import connections, mappings
from core.store.connections import Connection, project_of
from core.submit import IMPATIENT

#: Connections that stand for ITERABLE_API_KEY are named so; the data center follows.
ENVIRONMENT = "environment-"
NAME_MAX_LENGTH = 60


@dataclasses.dataclass(frozen=True, slots=True)
class Connected:
    """A connection as saved, and the project's lists that can be synced to."""

    connection: Connection
    lists: list[IterableList]


def check_name(name: str) -> str:
    """Return a connection's name as it is stored. Raises InputError where it can't be one."""
    stripped = name.strip()
    if not stripped or len(stripped) > NAME_MAX_LENGTH or not stripped.isprintable():
        raise InputError(f"The name of a connection has 1 to {NAME_MAX_LENGTH} printable characters. Choose another.")
    if stripped.startswith(ENVIRONMENT):
        raise InputError(f'"{stripped}" can\'t be the name of a connection. Choose another one.')
    return stripped


async def connect(
    engine: Engine,
    *,
    name: str,
    api_key: str,
    data_center: DataCenter,
    user_id: UserIdField,
    rate: float,
    team_id: str | None = None,
    alert_channel: str | None = None,
    operators: Sequence[str] = (),
    approvers: Sequence[str] = (),
    self_approval: bool = False,
) -> Connected:
    """Try a key, and save the connection.

    Raises InputError where the name is taken or the key is empty, and an IterableError where the key does not work.
    """
    name, api_key = check_name(name), _stripped(api_key)
    async with engine.database.read() as db:
        if await connections.by_name(db, name) is not None:
            raise InputError(f'There is a connection "{name}" already. Replace its key, or choose another name.')
    encrypted, project = engine.vault.encrypt(api_key), project_of(api_key)
    made = Connection(
        id=0,
        name=name,
        api_key=encrypted,
        key_last4=api_key[-4:],
        project=project,
        data_center=data_center.value,
        user_id=user_id,
        rate=rate,
        refused_at=None,
        created_at=time.time(),
    )
    found = await lists_of(engine, made)
    async with engine.database.write() as db:
        connection_id = await connections.add(
            db,
            name=name,
            api_key=encrypted,
            key_last4=api_key[-4:],
            project=project,
            data_center=data_center.value,
            user_id=user_id,
            rate=rate,
            team_id=team_id,
            alert_channel=alert_channel,
            operators=operators,
            approvers=approvers,
            self_approval=self_approval,
        )
        saved = await connections.by_id(db, connection_id)
    assert saved is not None
    return Connected(saved, found)


async def replace_key(engine: Engine, known: Connection, api_key: str) -> Connected:
    """Try a new key, and put it in the place of a connection's. Everything else of the connection stays.

    Raises InputError where the key is empty, is not saved here, or is of another project; an IterableError where it
    does not work.
    """
    if known.api_key is None:
        raise InputError(f"The key of {known.label} is not saved: it is the one in the environment. Set it there.")
    api_key = _stripped(api_key)
    changed = dataclasses.replace(known, api_key=engine.vault.encrypt(api_key), key_last4=api_key[-4:])
    found = await lists_of(engine, changed)
    async with engine.database.write() as db:
        synced = {mapping.list_id for mapping in await mappings.of_connection(db, known.id)}
        if synced and synced.isdisjoint(each.id for each in found):
            raise InputError(
                f'The key is of another Iterable project than "{known.name}": none of the lists that were synced are '
                "in it. Save a connection of its own for it."
            )
        await connections.change(db, known.id, api_key=changed.api_key, key_last4=changed.key_last4, refused_at=None)
    return Connected(dataclasses.replace(changed, refused_at=None), found)


async def lists_of(engine: Engine, connection: Connection) -> list[IterableList]:
    """Ask Iterable for the project's lists, giving up after seconds. Raises an IterableError where the key does not
    work."""
    async with engine.client(connection, patience=IMPATIENT) as client:
        return await client.lists()


def _stripped(api_key: str) -> str:
    if not api_key.strip():
        raise InputError("The API key is empty. Copy it again from Iterable.")
    return api_key.strip()
