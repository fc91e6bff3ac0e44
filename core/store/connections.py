"""Connections: an Iterable project, its API key (encrypted), data center, User ID setting and rate."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypedDict, Unpack

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.identity import ProjectType, UserIdField
from core.iterable.models import DataCenter
from core.models.people import is_user_group
from core.store import clock, run_totals
from core.store.rows import by_key, plain
from core.store.tables import connections, runs

#: The default rate of an Iterable project, in requests a second. Iterable publishes no limit for the list endpoints;
#: this is the one for bulk updates of users.
DEFAULT_RATE = 5.0

#: The value of a deleted key: NULL means the key in the environment.
DELETED_KEY = b""

# Columns that hold a JSON array.
_SEQUENCES = ("operators", "approvers", "previous_key_digests")


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection as stored. `api_key` is encrypted; None means that the key is in the environment.

    `operators` and `approvers` are ids of people and of user groups in Slack. `previous_key_digests` are digests
    (`project_of`) of keys that were replaced. `merges_profiles`: if a placeholder gets an address that another profile
    has already, its profile is merged into that one.
    """

    id: int
    name: str
    api_key: bytes | None
    key_last4: str
    rate_limit_key: str
    data_center: DataCenter
    user_id_field: UserIdField
    requests_per_second: float
    key_rejected_at: float | None
    created_at: float
    team_id: str | None = None
    alert_channel: str | None = None
    operators: tuple[str, ...] = ()
    approvers: tuple[str, ...] = ()
    self_approval: bool = False
    mparticle_account_id: str | None = None
    mparticle_settings_digest: str | None = None
    previous_key_digests: tuple[str, ...] = ()
    uninstalled_at: float | None = None
    project_type: ProjectType | None = None
    campaigns_due_at: float = field(default=0.0, compare=False)
    merges_profiles: bool = False
    group_members: Mapping[str, frozenset[str]] = field(default_factory=dict, compare=False)
    """The people in each user group that is named, by its id, as far as Slack has said. Not stored.

    Who is in a group that is not here is not known, so they count as not named."""
    managed: str | None = None

    def had_key(self, api_key: str) -> bool:
        """Whether the connection ever had this key: the first one, or a replaced one."""
        return project_of(api_key) in (self.rate_limit_key, *self.previous_key_digests)

    def names(self, person: str) -> bool:
        """Whether a person (a Slack user id) is an operator or an approver, by name or in a user group."""
        return self._has((*self.operators, *self.approvers), person)

    def is_approver(self, person: str) -> bool:
        """Whether a person, or a user group, is an approver: by name or in a user group."""
        return self._has(self.approvers, person)

    @property
    def named_groups(self) -> set[str]:
        """The ids of the user groups among the operators and approvers."""
        return {each for each in (*self.operators, *self.approvers) if is_user_group(each)}

    @property
    def unknown_groups(self) -> list[str]:
        """The ids of the named user groups whose people Slack has not said."""
        return sorted(self.named_groups - self.group_members.keys())

    def _has(self, named: Iterable[str], person: str) -> bool:
        return any(each == person or person in self.group_members.get(each, ()) for each in named)

    @property
    def label(self) -> str:
        """The name to show to people."""
        return self.name if self.api_key is not None else f"ITERABLE_API_KEY ({self.data_center})"


def project_of(api_key: str) -> str:
    """Return the key of the table `pace` for an API key's Iterable project: a digest that does not reveal the key."""
    return hashlib.sha256(b"iterable-sync:project:" + api_key.encode()).hexdigest()[:24]


async def set_project_type(db: AsyncConnection, asked: Connection, project_type: ProjectType) -> None:
    """Store the type of a project that was asked for it, unless it is known or the key was replaced meanwhile."""
    is_same = (connections.c.id == asked.id, connections.c.rate_limit_key == asked.rate_limit_key)
    await db.execute(
        update(connections)
        .where(*is_same, connections.c.project_type.is_(None))
        .values(project_type=project_type.value)
    )


async def add(
    db: AsyncConnection,
    *,
    name: str,
    api_key: bytes | None,
    key_last4: str,
    rate_limit_key: str,
    data_center: DataCenter,
    user_id_field: UserIdField,
    requests_per_second: float,
    team_id: str | None = None,
    alert_channel: str | None = None,
    operators: Sequence[str] = (),
    approvers: Sequence[str] = (),
    self_approval: bool = False,
    project_type: ProjectType | None = None,
) -> int:
    """Store a new connection and return its id."""
    result = await db.execute(
        insert(connections)
        .values(
            name=name,
            api_key=api_key,
            key_last4=key_last4,
            rate_limit_key=rate_limit_key,
            data_center=data_center.value,
            user_id_field=user_id_field.value,
            requests_per_second=requests_per_second,
            team_id=team_id,
            alert_channel=alert_channel,
            operators=json.dumps(operators),
            approvers=json.dumps(approvers),
            self_approval=self_approval,
            project_type=None if project_type is None else project_type.value,
            created_at=await clock.now(db),
        )
        .returning(connections.c.id)
    )
    return int(result.scalar_one())


class ConnectionSettings(TypedDict, total=False):
    """The settings of a connection, except its key. `operators` and `approvers` are ids of people and user
    groups in Slack."""

    name: str
    data_center: DataCenter
    user_id_field: UserIdField
    requests_per_second: float
    alert_channel: str | None
    operators: tuple[str, ...]
    approvers: tuple[str, ...]
    self_approval: bool


class ConnectionChanges(ConnectionSettings, total=False):
    """What a person changes of a saved connection, but for its key."""

    project_type: ProjectType | None
    merges_profiles: bool


class ConnectionUpdate(ConnectionChanges, total=False):
    """Columns of a connection that may be set."""

    api_key: bytes | None
    key_last4: str
    rate_limit_key: str
    key_rejected_at: float | None
    team_id: str | None
    mparticle_account_id: str | None
    mparticle_settings_digest: str | None
    previous_key_digests: tuple[str, ...]
    uninstalled_at: float | None
    campaigns_due_at: float


async def change(db: AsyncConnection, connection_id: int, **values: Unpack[ConnectionUpdate]) -> None:
    """Set columns of a connection."""
    stored = plain(values)
    stored |= {name: json.dumps(stored[name]) for name in _SEQUENCES if name in stored}
    await db.execute(update(connections).where(connections.c.id == connection_id).values(**stored))


async def refused(db: AsyncConnection, connection: Connection) -> None:
    """Record that Iterable rejected a connection's key, unless the key was replaced since."""
    same_key = connections.c.api_key.is_not_distinct_from(connection.api_key)
    await db.execute(
        update(connections)
        .where(connections.c.id == connection.id, same_key)
        .values(key_rejected_at=await clock.now(db))
    )


async def by_name(db: AsyncConnection, name: str, team_id: str | None) -> Connection | None:
    """Find the connection of a workspace (None: of no workspace) by its name."""
    query = select(connections).where(connections.c.name == name, connections.c.team_id.is_not_distinct_from(team_id))
    return _one((await db.execute(query)).mappings().first())


_BY_ID = select(connections).where(connections.c.id == bindparam("wanted"))


async def by_id(db: AsyncConnection, connection_id: int) -> Connection | None:
    """Find a connection by its id."""
    return _one((await db.execute(_BY_ID, {"wanted": connection_id})).mappings().first())


async def of_account(db: AsyncConnection, account_id: str) -> Connection | None:
    """Find the connection of an mParticle account."""
    query = select(connections).where(connections.c.mparticle_account_id == account_id).order_by(connections.c.id)
    return _one((await db.execute(query.limit(1))).mappings().first())


async def everyone(db: AsyncConnection) -> list[Connection]:
    """Return all connections by name."""
    rows = (await db.execute(select(connections).order_by(connections.c.name))).mappings()
    return [connection for row in rows if (connection := _one(row))]


async def of_team(db: AsyncConnection, team_id: str, *, with_shared: bool) -> list[Connection]:
    """Return the connections of a Slack workspace by name; `with_shared`: and those of no workspace."""
    own = connections.c.team_id == team_id
    query = select(connections).where(own | connections.c.team_id.is_(None) if with_shared else own)
    rows = (await db.execute(query.order_by(connections.c.name))).mappings()
    visible = [one for row in rows if (one := _one(row))]
    # connections without a key are created implicitly; people see only those that mParticle feeds
    return [one for one in visible if one.api_key is not None or one.mparticle_account_id is not None]


async def remove(db: AsyncConnection, connection_id: int) -> None:
    """Delete a connection with its mappings, runs and ledger. The lists in Iterable do not change."""
    await run_totals.delete_runs(db, runs.c.connection_id == connection_id)
    await db.execute(delete(connections).where(connections.c.id == connection_id))


def _one(row: Any) -> Connection | None:
    return None if row is None else from_row(row)


def from_values(values: Iterable[Any]) -> Connection:
    """As `from_row`, of the values of the table's columns. Those that are the same are parsed once."""
    return _parsed(tuple(values))


@lru_cache(maxsize=2_000)
def _parsed(values: tuple[Any, ...]) -> Connection:
    return from_row(dict(zip((column.name for column in connections.columns), values, strict=True)))


def from_row(row: Any) -> Connection:
    """Build a connection from its row."""
    values = by_key(connections, row)
    sequences = {name: tuple(json.loads(values[name])) for name in _SEQUENCES}
    enums = {
        "user_id_field": UserIdField(values["user_id_field"]),
        "data_center": DataCenter(values["data_center"]),
        "project_type": None if values["project_type"] is None else ProjectType(values["project_type"]),
    }
    return Connection(**{**values, **sequences, **enums})
