"""Routes: where notifications go."""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.store import clock
from core.store.rows import by_key
from core.store.tables import routes


class RouteKind(StrEnum):
    """How a route delivers."""

    WEBHOOK = "webhook"
    PAGERDUTY = "pagerduty"
    EMAIL = "email"
    SLACK = "slack"
    """A channel or a person in Slack, in addition to the alert channel of the connection."""


@dataclass(frozen=True, slots=True)
class Route:
    """A route as stored. It gets the events of one workspace and one connection (None: of all).

    `target` is what people see of its address; `sealed` holds the address and the secrets, encrypted. A fallback gets
    only alerts that Slack has not shown.
    """

    id: int
    name: str
    kind: RouteKind
    team_id: str | None
    connection_id: int | None
    events: tuple[str, ...]
    is_fallback: bool
    target: str
    sealed: bytes | None
    created_by: str
    created_at: float
    managed: str | None = None

    def wants(self, event_type: str) -> bool:
        """Whether it gets events of a type."""
        return any(fnmatchcase(event_type, pattern) for pattern in self.events)

    def concerns(self, team_id: str | None, connection_id: int) -> bool:
        """Whether it gets the events of a connection, which belongs to a workspace (None: to the operator)."""
        return self.team_id in (None, team_id) and self.connection_id in (None, connection_id)


async def add(
    db: AsyncConnection,
    *,
    name: str,
    kind: RouteKind,
    team_id: str | None,
    connection_id: int | None,
    events: Iterable[str],
    is_fallback: bool,
    target: str,
    sealed: bytes | None,
    created_by: str,
) -> Route:
    """Store a new route and return it."""
    query = insert(routes).values(
        name=name,
        kind=kind.value,
        team_id=team_id,
        connection_id=connection_id,
        events=json.dumps(list(events)),
        is_fallback=is_fallback,
        target=target,
        sealed=sealed,
        created_by=created_by,
        created_at=await clock.now(db),
    )
    return _from_row((await db.execute(query.returning(routes))).mappings().one())


async def change(
    db: AsyncConnection,
    route_id: int,
    *,
    kind: RouteKind,
    team_id: str | None,
    connection_id: int | None,
    events: Iterable[str],
    is_fallback: bool,
    target: str,
    sealed: bytes | None,
) -> Route | None:
    """Replace all that a route has but for its name. Returns None if there is no such route."""
    query = update(routes).where(routes.c.id == route_id)
    query = query.values(
        kind=kind.value,
        team_id=team_id,
        connection_id=connection_id,
        events=json.dumps(list(events)),
        is_fallback=is_fallback,
        target=target,
        sealed=sealed,
    )
    row = (await db.execute(query.returning(routes))).mappings().first()
    return None if row is None else _from_row(row)


_EVERYONE = select(routes).order_by(routes.c.id)  # built once, because each run asks several times


async def everyone(db: AsyncConnection) -> list[Route]:
    """Return all routes, oldest first."""
    return [_from_row(row) for row in (await db.execute(_EVERYONE)).mappings()]


async def of_tenant(db: AsyncConnection, team_id: str | None, *, with_shared: bool) -> list[Route]:
    """Return the routes that a workspace sees, oldest first: its own, and with `with_shared` those of all workspaces.

    `team_id` None is the operator, who sees all.
    """
    every = await everyone(db)
    return [each for each in every if team_id is None or each.team_id == team_id or (with_shared and not each.team_id)]


async def by_ids(db: AsyncConnection, ids: Collection[int]) -> dict[int, Route]:
    """Find routes by their ids."""
    rows = (await db.execute(select(routes).where(routes.c.id.in_(ids)))).mappings()
    return {route.id: route for route in map(_from_row, rows)}


async def named(db: AsyncConnection, name: str) -> Route | None:
    """Find a route by its name."""
    row = (await db.execute(select(routes).where(routes.c.name == name))).mappings().first()
    return None if row is None else _from_row(row)


async def set_sealed(db: AsyncConnection, route_id: int, sealed: bytes) -> None:
    """Replace the address and the secrets of a route."""
    await db.execute(update(routes).where(routes.c.id == route_id).values(sealed=sealed))


async def remove(db: AsyncConnection, route_id: int) -> None:
    """Delete a route with its deliveries."""
    await db.execute(delete(routes).where(routes.c.id == route_id))


def _from_row(row: Any) -> Route:
    values = by_key(routes, row)
    return Route(**(values | {"kind": RouteKind(values["kind"]), "events": tuple(json.loads(values["events"]))}))
