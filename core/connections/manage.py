"""Connecting an Iterable project: a key is tried before it is saved, and replaced without losing anything else."""

import contextlib
import dataclasses
import time
from collections.abc import Sequence
from typing import Any, Unpack

from sqlalchemy.ext.asyncio import AsyncConnection

from core import alerting
from core.connections.lists import fetch_lists
from core.engine import Engine
from core.errors import ConflictError, NotFoundError, SettingsError, ValidationError
from core.identity import UserIdField
from core.iterable import DataCenter, IterableList
from core.store import audit_log, connections, mappings
from core.store.audit_log import AuditAction
from core.store.connections import Connection, ConnectionSettings, project_of
from core.store.mappings import NO_LIST

#: Connections that stand for ITERABLE_API_KEY are named so; the data center follows.
ENVIRONMENT = "environment-"
NAME_MAX_LENGTH = 60
#: The slowest and the fastest rate of a connection, in requests a second. Faster than this, a number was meant for
#: something else (requests a minute, for example).
RATE_FLOOR, RATE_MAX = 0.1, 1000.0


@dataclasses.dataclass(frozen=True, slots=True)
class Connected:
    """A connection as saved, and the project's lists that can be synced to."""

    connection: Connection
    lists: list[IterableList]


def check_name(name: str) -> str:
    """Return a connection's name as it is stored. Raises InputError where it can't be one."""
    stripped = name.strip()
    if not stripped or len(stripped) > NAME_MAX_LENGTH or not stripped.isprintable():
        raise ValidationError(
            f"The name of a connection has 1 to {NAME_MAX_LENGTH} printable characters. Choose another."
        )
    if stripped.startswith(ENVIRONMENT):
        raise ValidationError(f'"{stripped}" can\'t be the name of a connection. Choose another one.')
    return stripped


def check_rate(requests_per_second: float) -> float:
    """Return a rate as it is stored. Raises InputError if it can't be one.

    A run at a rate below the floor would keep a worker, and with it other connections, waiting for days.
    """
    if requests_per_second == 0 or RATE_FLOOR <= requests_per_second <= RATE_MAX:
        return requests_per_second
    raise ValidationError(f"A rate is {RATE_FLOOR:g} to {RATE_MAX:,.0f} requests a second, or 0 for no limit.")


async def connect(
    engine: Engine,
    *,
    name: str,
    api_key: str,
    data_center: DataCenter,
    user_id_field: UserIdField,
    requests_per_second: float,
    team_id: str | None = None,
    alert_channel: str | None = None,
    operators: tuple[str, ...] = (),
    approvers: tuple[str, ...] = (),
    self_approval: bool = False,
    by: str | None = None,
) -> Connected:
    """Try a key, and save the connection. `by` is the person in Slack who does it.

    Where mParticle's messages have made a connection with this key, that one becomes this one: who has the key may say
    whose it is.

    Raises InputError where the name is taken or the key is empty, and an IterableError where the key does not work.
    """
    name, api_key, requests_per_second = check_name(name), _stripped(api_key), check_rate(requests_per_second)
    async with engine.database.read() as db:
        await _check_free(db, name, team_id)
    encrypted, rate_limit_key = engine.vault.encrypt(api_key), project_of(api_key)
    made = Connection(
        id=0,
        name=name,
        api_key=encrypted,
        key_last4=api_key[-4:],
        rate_limit_key=rate_limit_key,
        data_center=data_center,
        user_id_field=user_id_field,
        requests_per_second=requests_per_second,
        key_rejected_at=None,
        created_at=time.time(),
    )
    found = await fetch_lists(engine, made)
    async with engine.database.write() as db:
        await _check_free(db, name, team_id)  # somebody may have been faster, or have clicked twice
        settings: ConnectionSettings = {
            "name": name,
            "data_center": data_center,
            "user_id_field": user_id_field,
            "requests_per_second": requests_per_second,
            "alert_channel": alert_channel,
            "operators": operators,
            "approvers": approvers,
            "self_approval": self_approval,
        }
        made_by_messages = await _made_by_messages(engine, db, api_key)
        if made_by_messages is None:
            connection_id = await connections.add(
                db,
                api_key=encrypted,
                key_last4=api_key[-4:],
                rate_limit_key=rate_limit_key,
                team_id=team_id,
                **settings,
            )
        else:
            connection_id = made_by_messages.id
            await connections.change(
                db,
                connection_id,
                team_id=team_id,
                key_rejected_at=None,
                mparticle_settings_digest=None,
                **settings,
            )
        saved = await connections.by_id(db, connection_id)
        assert saved is not None
        if by is not None:
            await _record(db, AuditAction.CONNECTION_ADDED, saved, by, team_id, after=_settings(saved))
    return Connected(saved, found)


async def replace_key(
    engine: Engine, known: Connection, api_key: str, *, by: str | None = None, team_id: str | None = None
) -> Connected:
    """Try a new key, and put it in the place of a connection's. Everything else of the connection stays.

    What was said about a refused key is over. `by` is the person in Slack who does it.

    Raises InputError where the key is empty, is not saved here, or is of another project; an IterableError where it
    does not work.
    """
    if known.api_key is None:
        raise ConflictError(f"The key of {known.label} is not saved: it is the one in the environment. Set it there.")
    api_key = _stripped(api_key)
    changed = dataclasses.replace(known, api_key=engine.vault.encrypt(api_key), key_last4=api_key[-4:])
    found = await fetch_lists(engine, changed)
    async with engine.database.write() as db:
        ids = [mapping.list_id for mapping in await mappings.of_connection(db, known.id)]
        synced = {each for each in ids if each > NO_LIST}
        if synced and synced.isdisjoint(each.id for each in found):
            raise ConflictError(
                f'The key is of another Iterable project than "{known.name}": none of the lists that were synced are '
                "in it. Save a connection of its own for it."
            )
        now = await connections.by_id(db, known.id)
        if now is None:
            raise NotFoundError("This connection was removed meanwhile.", connection_id=known.id)
        await connections.change(
            db,
            known.id,
            api_key=changed.api_key,
            key_last4=changed.key_last4,
            key_rejected_at=None,
            previous_key_digests=_former_keys(engine, now, api_key),
        )
        await alerting.resolve(db, known.id, None)
        if by is not None:
            before, after = {"key": f"...{known.key_last4}"}, {"key": f"...{changed.key_last4}"}
            await _record(db, AuditAction.KEY_REPLACED, known, by, team_id, before=before, after=after)
    return Connected(dataclasses.replace(changed, key_rejected_at=None), found)


async def change(
    engine: Engine, known: Connection, *, by: str, team_id: str | None, **settings: Unpack[ConnectionSettings]
) -> dict[str, tuple[Any, Any]]:
    """Change anything of a connection but its key. Returns what changed, by name: what it was, and what it is.

    Another data center is tried with the key first. Raises InputError where the name is taken, and an IterableError
    where the key does not work there.
    """
    settings["name"] = check_name(settings.get("name", known.name))
    if "requests_per_second" in settings:
        check_rate(settings["requests_per_second"])
    changed = dataclasses.replace(known, **settings)
    if changed.data_center != known.data_center:
        await fetch_lists(engine, changed)
    async with engine.database.write() as db:
        before = await connections.by_id(db, known.id)
        if before is None:
            raise NotFoundError("This connection was removed meanwhile.", connection_id=known.id)
        other = await connections.by_name(db, changed.name, known.team_id)
        if other is not None and other.id != known.id:
            raise ConflictError(f'There is a connection "{changed.name}" already. Choose another name.')
        await connections.change(db, known.id, **settings)
        if changed.data_center != known.data_center:
            await connections.change(db, known.id, key_rejected_at=None)
            await alerting.resolve(db, known.id, None)
        was, now = _settings(before), _settings(dataclasses.replace(before, **settings))
        differing = {name: (was[name], now[name]) for name in now if was[name] != now[name]}
        if differing:
            was_then = {name: pair[0] for name, pair in differing.items()}
            is_now = {name: pair[1] for name, pair in differing.items()}
            await _record(db, AuditAction.CONNECTION_CHANGED, known, by, team_id, before=was_then, after=is_now)
    return differing


async def remove(engine: Engine, connection: Connection, *, by: str, team_id: str | None) -> None:
    """Delete a connection with its mappings, runs and ledgers. The lists in Iterable stay as they are."""
    async with engine.database.write() as db:
        await connections.remove(db, connection.id)
        before = {"name": connection.name}
        await _record(db, AuditAction.CONNECTION_REMOVED, connection, by, team_id, before=before)


def _former_keys(engine: Engine, connection: Connection, api_key: str) -> tuple[str, ...]:
    """Digests of the keys that a connection had before this one, oldest first: mParticle may go on sending one."""
    former = list(connection.previous_key_digests)
    with contextlib.suppress(SettingsError):  # it was saved with another secret, so nobody can say which it was
        former.append(project_of(engine.api_key(connection)))
    return tuple(each for each in dict.fromkeys(former) if each != project_of(api_key))


def with_key(engine: Engine, known: Sequence[Connection], api_key: str) -> list[Connection]:
    """Return those of these connections that have this key."""

    def has_it(each: Connection) -> bool:
        try:
            return each.api_key is not None and engine.vault.decrypt(each.api_key) == api_key
        except SettingsError:  # it was saved with another secret, so nobody can say
            return False

    return [each for each in known if has_it(each)]


async def _made_by_messages(engine: Engine, db: AsyncConnection, api_key: str) -> Connection | None:
    """The connection that mParticle's messages made with this key, and that is nobody's yet."""
    made = [each for each in await connections.everyone(db) if each.mparticle_settings_digest and each.team_id is None]
    return next(iter(with_key(engine, made, api_key)), None)


async def _check_free(db: AsyncConnection, name: str, team_id: str | None) -> None:
    if await connections.by_name(db, name, team_id) is not None:
        raise ConflictError(f'There is a connection "{name}" already. Replace its key, or choose another name.')


def _settings(connection: Connection) -> dict[str, Any]:
    """What a person sets of a connection, for the audit: never the key."""
    return {
        "name": connection.name,
        "data_center": connection.data_center,
        "user_id": connection.user_id_field.value,
        "rate": connection.requests_per_second,
        "alert_channel": connection.alert_channel,
        "operators": list(connection.operators),
        "approvers": list(connection.approvers),
        "self_approval": connection.self_approval,
    }


async def _record(
    db: AsyncConnection,
    action: AuditAction,
    connection: Connection,
    by: str,
    team_id: str | None,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    subject = f"connection:{connection.id}"
    await audit_log.add(db, team_id=team_id, actor=by, action=action, subject=subject, before=before, after=after)


def _stripped(api_key: str) -> str:
    if not api_key.strip():
        raise ValidationError("The API key is empty. Copy it again from Iterable.")
    return api_key.strip()
