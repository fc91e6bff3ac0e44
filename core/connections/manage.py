"""Management of connections: adding, changing and removing them. A key is tested before it is saved."""

import asyncio
import contextlib
import dataclasses
from collections.abc import Sequence
from typing import Any, Unpack

from sqlalchemy.ext.asyncio import AsyncConnection

from core import alerting
from core.connections.lists import fetch_lists
from core.connections.project_type import check_project_type, fetch_project_type
from core.engine import Engine
from core.errors import ConflictError, NoApiKeyError, NotFoundError, SettingsError, ValidationError
from core.identity import ProjectType, UserIdField
from core.iterable import DataCenter, InvalidApiKeyError, IterableList
from core.iterable.errors import LIST_CODES
from core.models.people import check_people
from core.store import audit_log, connections, mappings, runs
from core.store.alert_kinds import AlertKind
from core.store.audit_log import AuditAction
from core.store.connections import Connection, ConnectionChanges, ConnectionSettings, project_of
from core.store.forgotten_files import delete_files
from core.store.mappings import NO_LIST

#: The prefix of connections that use ITERABLE_API_KEY; the data center follows.
ENVIRONMENT = "environment-"
NAME_MAX_LENGTH = 60
# The codes of errors that another key corrects.
_KEY_CODES = (InvalidApiKeyError.code, NoApiKeyError.code)
#: The lowest and the highest rate of a connection, in requests per second. A higher number is probably a mistake
#: (requests per minute, for example).
RATE_FLOOR, RATE_MAX = 0.1, 1000.0


@dataclasses.dataclass(frozen=True, slots=True)
class Connected:
    """A saved connection, and the lists of its project."""

    connection: Connection
    lists: list[IterableList]


def check_name(name: str) -> str:
    """Return a connection's name, trimmed. Raises ValidationError if it is invalid."""
    stripped = name.strip()
    if not stripped or len(stripped) > NAME_MAX_LENGTH or not stripped.isprintable():
        raise ValidationError(
            f"The name of a connection has 1 to {NAME_MAX_LENGTH} printable characters. Choose another."
        )
    if stripped.startswith(ENVIRONMENT):
        raise ValidationError(f'"{stripped}" can\'t be the name of a connection. Choose another one.')
    return stripped


def check_rate(requests_per_second: float) -> float:
    """Return a rate, in requests per second. Raises ValidationError if it is invalid.

    A run at a rate below RATE_FLOOR would occupy a worker, and delay other connections, for days.
    """
    if requests_per_second == 0 or RATE_FLOOR <= requests_per_second <= RATE_MAX:
        return requests_per_second
    raise ValidationError(f"A rate is {RATE_FLOOR:g} to {RATE_MAX:,.0f} requests a second, or 0 for no limit.")


def check_merging(connection: Connection) -> None:
    """Raise ValidationError if profiles are to be merged in a project that has no placeholders."""
    if connection.merges_profiles and connection.project_type is ProjectType.USER_ID:
        raise ValidationError(
            "There is nothing to merge in a userID-based project, because members without an email get no placeholder "
            "there. Turn merging off."
        )


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
    """Test a key, save the connection, and return it with its project's lists. `by` is the person's Slack user id.

    If mParticle's messages created a connection with this key, the workspace claims that connection: the key is the
    proof that it may.

    Raises ConflictError if the name is taken, ValidationError if the key is empty, and an IterableError if the key does
    not work.
    """
    name, api_key, requests_per_second = check_name(name), _stripped(api_key), check_rate(requests_per_second)
    async with engine.database.read() as db:
        await _check_free(db, name, team_id)
    encrypted, rate_limit_key = engine.vault.encrypt(api_key), project_of(api_key)
    candidate = Connection(
        id=0,
        name=name,
        api_key=encrypted,
        key_last4=api_key[-4:],
        rate_limit_key=rate_limit_key,
        data_center=data_center,
        user_id_field=user_id_field,
        requests_per_second=requests_per_second,
        key_rejected_at=None,
        created_at=0.0,
    )
    project_lists = await fetch_lists(engine, candidate)
    project_type = await fetch_project_type(engine, candidate)
    async with engine.database.write() as db:
        await _check_free(
            db, name, team_id
        )  # another person may have saved it meanwhile, or the same person clicked twice
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
        claimable = await _claimable(engine, db, api_key)
        if claimable is None:
            connection_id = await connections.add(
                db,
                api_key=encrypted,
                key_last4=api_key[-4:],
                rate_limit_key=rate_limit_key,
                team_id=team_id,
                project_type=project_type,
                **settings,
            )
        else:
            connection_id = claimable.id
            await connections.change(
                db,
                connection_id,
                team_id=team_id,
                key_rejected_at=None,
                mparticle_settings_digest=None,
                project_type=project_type,
                **settings,
            )
        saved = await connections.by_id(db, connection_id)
        assert saved is not None
        if by is not None:
            await _record(db, AuditAction.CONNECTION_ADDED, saved, by, team_id, after=_settings(saved))
    return Connected(saved, project_lists)


async def replace_key(
    engine: Engine, known: Connection, api_key: str, *, by: str | None = None, team_id: str | None = None
) -> Connected:
    """Test a new key, and save it in place of the connection's key. Returns the connection and its project's lists.

    This closes the alert about a rejected key. `by` is the Slack user id of the person.

    Raises ValidationError if the key is empty, ConflictError if the connection's key is in the environment or the new
    key belongs to another project, NotFoundError if the connection was removed, and an IterableError if the key does
    not work.
    """
    if known.api_key is None:
        raise ConflictError(f"The key of {known.label} is not saved: it is the one in the environment. Set it there.")
    api_key = _stripped(api_key)
    changed = dataclasses.replace(known, api_key=engine.vault.encrypt(api_key), key_last4=api_key[-4:])
    project_lists = await fetch_lists(engine, changed)
    project_type = known.project_type or await fetch_project_type(engine, changed)
    async with engine.database.write() as db:
        ids = [mapping.list_id for mapping in await mappings.of_connection(db, known.id)]
        synced = {list_id for list_id in ids if list_id > NO_LIST}
        if synced and synced.isdisjoint(project_list.id for project_list in project_lists):
            raise ConflictError(
                f'The key belongs to another Iterable project than "{known.name}": that project has none of the '
                "lists that were synced. Save another connection for it."
            )
        current = await connections.by_id(db, known.id)
        if current is None:
            raise NotFoundError("This connection was removed meanwhile.", connection_id=known.id)
        await connections.change(
            db,
            known.id,
            api_key=changed.api_key,
            key_last4=changed.key_last4,
            key_rejected_at=None,
            previous_key_digests=_former_keys(engine, current, api_key),
            project_type=current.project_type or project_type,
        )
        await alerting.resolve(db, known.id, None, AlertKind.FAILURE)
        await runs.retry_failed(db, _KEY_CODES, connection_id=known.id)
        if by is not None:
            before, after = {"key": f"...{known.key_last4}"}, {"key": f"...{changed.key_last4}"}
            await _record(db, AuditAction.KEY_REPLACED, known, by, team_id, before=before, after=after)
    engine.live_work.set()
    engine.due.set()
    engine.queued.set()
    return Connected(dataclasses.replace(changed, key_rejected_at=None), project_lists)


async def change(
    engine: Engine, known: Connection, *, by: str, team_id: str | None, **settings: Unpack[ConnectionChanges]
) -> dict[str, tuple[Any, Any]]:
    """Change settings of a connection other than its key. Returns the old and the new value of each changed setting.

    If the data center changes, the key is tested there first. Raises ValidationError if a setting is invalid,
    ConflictError if the name is taken, NotFoundError if the connection was removed, and an IterableError if the key
    does not work there.
    """
    name = settings.get("name", known.name)
    settings["name"] = name if name == known.name else check_name(name)
    if "requests_per_second" in settings:
        check_rate(settings["requests_per_second"])
    if "operators" in settings:
        settings["operators"] = check_people(settings["operators"], "operators")
    if "approvers" in settings:
        settings["approvers"] = check_people(settings["approvers"], "approvers")
    changed = dataclasses.replace(known, **settings)
    if changed.data_center != known.data_center:
        await fetch_lists(engine, changed)
        if changed.project_type == known.project_type:
            settings["project_type"] = await fetch_project_type(engine, changed)
            changed = dataclasses.replace(changed, **settings)
    check_project_type(changed.project_type, changed.data_center)
    check_merging(changed)
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
            await alerting.resolve(db, known.id, None, AlertKind.FAILURE)
            await runs.retry_failed(db, (*_KEY_CODES, *LIST_CODES), connection_id=known.id)
        old, new = _settings(before), _settings(dataclasses.replace(before, **settings))
        changes = {name: (old[name], new[name]) for name in new if old[name] != new[name]}
        if changes:
            old_values = {name: pair[0] for name, pair in changes.items()}
            new_values = {name: pair[1] for name, pair in changes.items()}
            await _record(db, AuditAction.CONNECTION_CHANGED, known, by, team_id, before=old_values, after=new_values)
    engine.due.set()
    return changes


async def remove(engine: Engine, connection: Connection, *, by: str, team_id: str | None) -> None:
    """Delete a connection with its mappings, runs and ledgers. The lists in Iterable do not change."""
    async with engine.database.write() as db:
        await connections.remove(db, connection.id)
        kept = {each.id for each in await connections.everyone(db)}
        before = {"name": connection.name}
        await _record(db, AuditAction.CONNECTION_REMOVED, connection, by, team_id, before=before)
    await asyncio.to_thread(delete_files, engine.settings.data_dir, kept)


def _former_keys(engine: Engine, connection: Connection, api_key: str) -> tuple[str, ...]:
    """Return the digests of a connection's previous keys, oldest first: mParticle may keep sending one of them."""
    former = list(connection.previous_key_digests)
    with contextlib.suppress(SettingsError):  # encrypted with another secret key, so it is unknown
        former.append(project_of(engine.api_key(connection)))
    return tuple(digest for digest in dict.fromkeys(former) if digest != project_of(api_key))


def with_key(engine: Engine, known: Sequence[Connection], api_key: str) -> list[Connection]:
    """Return the connections that have this key."""

    def has_key(connection: Connection) -> bool:
        try:
            return connection.api_key is not None and engine.vault.decrypt(connection.api_key) == api_key
        except SettingsError:  # encrypted with another secret key, so it is unknown
            return False

    return [connection for connection in known if has_key(connection)]


async def _claimable(engine: Engine, db: AsyncConnection, api_key: str) -> Connection | None:
    """Return the connection that mParticle's messages created with this key and that no workspace has claimed."""
    unclaimed = [
        connection
        for connection in await connections.everyone(db)
        if connection.mparticle_settings_digest and connection.team_id is None
    ]
    return next(iter(with_key(engine, unclaimed, api_key)), None)


async def _check_free(db: AsyncConnection, name: str, team_id: str | None) -> None:
    if await connections.by_name(db, name, team_id) is not None:
        raise ConflictError(f'There is a connection "{name}" already. Replace its key, or choose another name.')


def _settings(connection: Connection) -> dict[str, Any]:
    """Return the settings of a connection for the audit log: never the key."""
    return {
        "name": connection.name,
        "data_center": connection.data_center,
        "user_id": connection.user_id_field.value,
        "rate": connection.requests_per_second,
        "alert_channel": connection.alert_channel,
        "operators": list(connection.operators),
        "approvers": list(connection.approvers),
        "self_approval": connection.self_approval,
        "merge_profiles": connection.merges_profiles,
        "project_type": connection.project_type and connection.project_type.value,
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
