"""Freezes: changes of a mapping that wait, until a time that a person chose or until a campaign has been sent."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Float,
    Select,
    and_,
    bindparam,
    delete,
    false,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.run import RunPhase
from core.store import clock
from core.store.mappings import FreezeHolds
from core.store.tables import connections, freezes, list_campaigns, mappings, runs

#: A campaign freezes a mapping for so many seconds after its start at most: Iterable may never end it.
LONGEST_S = 24 * 3600.0

#: What each kind of change is held by.
HELD_BY = {
    FreezeHolds.BOTH: tuple(each.value for each in FreezeHolds),
    FreezeHolds.REMOVALS: (FreezeHolds.BOTH.value, FreezeHolds.REMOVALS.value),
    FreezeHolds.ADDITIONS: (FreezeHolds.BOTH.value, FreezeHolds.ADDITIONS.value),
}


@dataclass(frozen=True, slots=True)
class Scope:
    """What a freeze by hand is about: a mapping, else all mappings of a workspace, else (both None) all mappings."""

    mapping_id: int | None = None
    team_id: str | None = None


EVERYTHING = Scope()


@dataclass(frozen=True, slots=True)
class Freeze:
    """Why and until when changes of a mapping wait.

    `until` is in UTC seconds (None: until the campaign has been sent, at most until `latest`). `by` is the person who
    froze it; `campaign` is the campaign that it is frozen for (one of them is None). `of_all` is whether every mapping
    is frozen.
    """

    holds: FreezeHolds
    until: float | None
    by: str | None = None
    campaign: str | None = None
    of_all: bool = False
    latest: float | None = None


def holds(kind: FreezeHolds, now: ColumnElement[Any]) -> ColumnElement[bool]:
    """Return the condition, on a row of `mappings`, that changes of this kind wait at `now` (BOTH: any change)."""
    of_mapping = connections.c.id == mappings.c.connection_id
    # SQLAlchemy leaves out a table of the query around it only if that is right around it
    team = select(connections.c.team_id).where(of_mapping).correlate(mappings).scalar_subquery()
    by_hand = (
        select(freezes.c.id)
        .where(freezes.c.until > now, _is_held(freezes.c.holds, kind), _concerns(team))
        .correlate(mappings)
    )
    for_campaign = (
        select(list_campaigns.c.campaign_id)
        .where(*_is_near(now), _is_held(mappings.c.freeze_holds, kind))
        .correlate(mappings)
    )
    return or_(by_hand.exists(), for_campaign.exists())


def _is_held(held: ColumnElement[str], kind: FreezeHolds) -> ColumnElement[bool]:
    # not IN, for which SQLAlchemy changes the text of the statement each time that it is executed
    return or_(*(held == each for each in HELD_BY[kind]))


def _concerns(team: ColumnElement[Any]) -> ColumnElement[bool]:
    of_all = and_(freezes.c.mapping_id.is_(None), or_(freezes.c.team_id.is_(None), freezes.c.team_id == team))
    return or_(freezes.c.mapping_id == mappings.c.id, of_all)


def _is_near(now: ColumnElement[Any]) -> tuple[ColumnElement[bool], ...]:
    return (
        list_campaigns.c.connection_id == mappings.c.connection_id,
        list_campaigns.c.list_id == mappings.c.list_id,
        mappings.c.freeze_before_s.is_not(None),
        list_campaigns.c.start_at - mappings.c.freeze_before_s <= now,
        list_campaigns.c.start_at + LONGEST_S > now,
    )


_NOW = bindparam("now", type_=Float)
_OF_THESE = mappings.c.id.in_(bindparam("ids", expanding=True))
_TEAM = select(connections.c.team_id).where(connections.c.id == mappings.c.connection_id).scalar_subquery()
_BY_HAND = (
    select(mappings.c.id, freezes.c.holds, freezes.c.until, freezes.c.created_by, freezes.c.mapping_id)
    .join_from(mappings, freezes, _concerns(_TEAM))
    .where(_OF_THESE, freezes.c.until > _NOW)
    .order_by(freezes.c.until)
)
_FOR_CAMPAIGN = (
    select(mappings.c.id, mappings.c.freeze_holds, list_campaigns.c.name, list_campaigns.c.start_at)
    .join_from(mappings, list_campaigns, and_(*_is_near(_NOW)))
    .where(_OF_THESE)
    .order_by(list_campaigns.c.start_at)
)


async def of_mappings(db: AsyncConnection, mapping_ids: Collection[int]) -> dict[int, Freeze]:
    """Return the freezes of these mappings now, by mapping id. Of several, it is the one that lasts longest."""
    values = {"ids": list(mapping_ids), "now": await clock.now(db)}
    current: dict[int, Freeze] = {}
    for mapping_id, held, until, by, scope in await db.execute(_BY_HAND, values):
        _add(current, mapping_id, Freeze(FreezeHolds(held), until, by=by, of_all=scope is None))
    for mapping_id, held, name, start_at in await db.execute(_FOR_CAMPAIGN, values):
        _add(current, mapping_id, Freeze(FreezeHolds(held), None, campaign=name, latest=start_at + LONGEST_S))
    return current


def _add(current: dict[int, Freeze], mapping_id: int, freeze: Freeze) -> None:
    known = current.get(mapping_id)
    union = freeze.holds if known is None or known.holds is freeze.holds else FreezeHolds.BOTH
    current[mapping_id] = replace(freeze, holds=union)


async def of_mapping(db: AsyncConnection, mapping_id: int) -> Freeze | None:
    """Return the freeze of a mapping now, if it is frozen."""
    return (await of_mappings(db, [mapping_id])).get(mapping_id)


async def put(db: AsyncConnection, scope: Scope, held: FreezeHolds, until: float, by: str) -> None:
    """Store a freeze. It replaces the earlier one of the same scope."""
    await end(db, scope)
    values = {"mapping_id": scope.mapping_id, "team_id": None if scope.mapping_id else scope.team_id}
    await db.execute(
        insert(freezes).values(**values, holds=held.value, until=until, created_by=by, created_at=await clock.now(db))
    )


async def end(db: AsyncConnection, scope: Scope) -> bool:
    """Delete the freeze of a scope. Returns whether there was one that had not ended.

    The runs that wait are looked at again.
    """
    of_scope = (
        freezes.c.mapping_id.is_not_distinct_from(scope.mapping_id),
        freezes.c.team_id.is_not_distinct_from(None if scope.mapping_id else scope.team_id),
    )
    result = await db.execute(delete(freezes).where(*of_scope, freezes.c.until > await clock.now(db)))
    await db.execute(delete(freezes).where(*of_scope))
    await reconsider(db)
    return bool(result.rowcount)


async def reconsider(db: AsyncConnection) -> None:
    """Let workers look again at all frozen runs: what holds them may have changed."""
    await db.execute(update(runs).where(runs.c.phase == RunPhase.FROZEN.value).values(phase=RunPhase.NONE.value))


async def any_over(db: AsyncConnection) -> bool:
    """Return whether a run still waits for the end of a freeze that is over."""
    return (await db.execute(_over(db).limit(1))).first() is not None


async def release_runs(db: AsyncConnection) -> None:
    """Let workers take up the runs whose freeze is over."""
    await db.execute(update(runs).where(runs.c.id.in_(_over(db))).values(phase=RunPhase.NONE.value))


def _over(db: AsyncConnection) -> Select[Any]:
    frozen = select(mappings.c.id).where(holds(FreezeHolds.BOTH, clock.expression(db)))
    # in this form, SQLite takes the index of frozen runs: with a literal, and without another index
    is_frozen = runs.c.phase == literal(RunPhase.FROZEN.value, literal_execute=True)
    is_live = func.coalesce(runs.c.is_live, false())
    waits = (is_frozen, runs.c.worker_id.is_(None), ~is_live)
    return select(runs.c.id).where(*waits, runs.c.mapping_id.not_in(frozen))
