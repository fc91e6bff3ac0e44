"""Rounds of live changes: what is read and written before the requests of several mappings, each with one statement."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Select, Text, and_, bindparam, cast, func, or_, select, tuple_, union_all, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.run import Run, RunPhase, RunStatus
from core.store import clock, connections, mappings
from core.store.connections import Connection
from core.store.database import parsed
from core.store.lists import IS_SENT
from core.store.live_mappings import UTC
from core.store.mappings import AudienceMapping, RemovalPolicy
from core.store.tables import batches, inbox, list_checks, lists, report_settings, runs, suppressions
from core.store.tables import connections as connections_table
from core.store.tables import mappings as mappings_table


@dataclass(frozen=True, slots=True)
class RoundState:
    """A live mapping, and what decides whether a round may deliver its changes now.

    `row` compares equal to that of another reading if nothing has changed in between. `is_taken`: a run holds the list.
    `is_blocked`: an unfinished run comes first, or a request for the list has no answer, or one in doubt. `mapping_ids`
    are all mappings of the list. `list_created_at` is Iterable's, in milliseconds. `has_check`: a check of the list is
    scheduled. `has_suppressions`: the connection has any. By `time_zone` the mapping's days begin.
    """

    mapping: AudienceMapping
    connection: Connection
    row: tuple[Any, ...]
    revision: int
    list_created_at: int | None
    is_taken: bool
    is_blocked: bool
    has_check: bool
    has_suppressions: bool
    mapping_ids: tuple[int, ...]
    time_zone: str


def _states() -> Select[Any]:
    """Build the query of `states`, with the parameter `ids`."""
    of_list = and_(lists.c.connection_id == mappings_table.c.connection_id, lists.c.list_id == mappings_table.c.list_id)
    resumable = [status.value for status in RunStatus if status.is_resumable]
    waits = or_(  # as in core/runs/executor.py: these do not come before live changes
        runs.c.status == RunStatus.NEEDS_APPROVAL.value,
        runs.c.phase == RunPhase.FROZEN.value,
        and_(runs.c.status == RunStatus.FAILED.value, runs.c.plan.is_(None)),
    )
    # each of these is executed once, and finds few rows with an index
    unfinished = select(runs.c.mapping_id).where(runs.c.status.in_(resumable), ~waits)
    live = select(runs.c.mapping_id).where(runs.c.is_live)
    of_batches = select(runs.c.connection_id, runs.c.list_id).join_from(batches, runs, runs.c.id == batches.c.run_id)
    in_doubt = union_all(of_batches.where(IS_SENT), of_batches.where(batches.c.doubted_until.is_not(None)))
    is_blocked = or_(
        mappings_table.c.id.in_(unfinished),
        mappings_table.c.id.in_(live),
        tuple_(mappings_table.c.connection_id, mappings_table.c.list_id).in_(in_doubt),
    )
    of_same_list = mappings_table.alias("of_same_list")
    all_ids = select(func.aggregate_strings(cast(of_same_list.c.id, Text), ",")).where(
        of_same_list.c.connection_id == mappings_table.c.connection_id,
        of_same_list.c.list_id == mappings_table.c.list_id,
    )
    check = select(list_checks.c.list_id).where(
        list_checks.c.connection_id == mappings_table.c.connection_id,
        list_checks.c.list_id == mappings_table.c.list_id,
    )
    suppressed = select(suppressions.c.digest).where(suppressions.c.connection_id == mappings_table.c.connection_id)
    return (
        select(mappings_table, connections_table)
        .add_columns(
            all_ids.scalar_subquery().label("mapping_ids"),
            check.exists().label("has_check"),
            suppressed.exists().label("has_suppressions"),
            lists.c.ledger_revision.label("list_revision"),
            lists.c.list_created_at.label("of_list_created_at"),
            lists.c.locked_by_worker_id.label("holder"),
            is_blocked.label("is_blocked"),
            func.coalesce(report_settings.c.time_zone, UTC).label("time_zone"),
        )
        .join_from(mappings_table, lists, of_list)
        .join(connections_table, connections_table.c.id == mappings_table.c.connection_id)
        .outerjoin(report_settings, report_settings.c.connection_id == mappings_table.c.connection_id)
        .where(mappings_table.c.id.in_(bindparam("ids", expanding=True)), mappings_table.c.is_live)
        .order_by(mappings_table.c.id)
    )


_STATES = _states()
# Where a row of it has the columns of the connection.
_OF_CONNECTION = slice(len(mappings_table.c), len(mappings_table.c) + len(connections_table.c))
_LOCK = (
    select(mappings_table.c.id)
    .where(mappings_table.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(mappings_table.c.id)
    .with_for_update(key_share=True)
)


async def states(db: AsyncConnection, mapping_ids: Collection[int]) -> list[RoundState]:
    """Return the state of each of these mappings that is live and whose list is known, by their ids."""
    rows = (await db.execute(_STATES, {"ids": list(mapping_ids)})).all()
    return [
        RoundState(
            mapping=mappings.from_values(row),
            connection=connections.from_values(row[_OF_CONNECTION]),
            row=tuple(row),
            revision=row.list_revision,
            list_created_at=row.of_list_created_at,
            is_taken=row.holder is not None,
            is_blocked=bool(row.is_blocked),
            has_check=bool(row.has_check),
            has_suppressions=bool(row.has_suppressions),
            mapping_ids=tuple(sorted(map(int, row.mapping_ids.split(",")))),
            time_zone=row.time_zone,
        )
        for row in rows
    ]


class WaitingChange(NamedTuple):
    """A change that no run carries yet, and since when it waits (UTC seconds by the database's clock).

    `sealed_fields` are its attributes, encrypted, if it has any (core/store/live_attributes.py).
    """

    mapping_id: int
    member_key: str
    is_member: bool
    email: str | None
    customer_id: str | None
    hashed_fields: int
    pending_since: float
    sealed_fields: str | None = None


def _waiting() -> Select[Any]:
    """Build the query of `waiting`, with the parameters `ids` and `most`."""
    until = func.coalesce(mappings_table.c.removals_approved_until, 0.0)
    is_allowed = or_(
        mappings_table.c.removal_policy != RemovalPolicy.ASK.value,
        inbox.c.is_member,
        and_(until <= clock.AT_START, inbox.c.pending_since <= until),
    )
    return (
        select(*(inbox.c[name] for name in WaitingChange._fields))
        .join_from(mappings_table, inbox, inbox.c.mapping_id == mappings_table.c.id)
        .where(
            mappings_table.c.id.in_(bindparam("ids", expanding=True)),
            inbox.c.pending_since > 0.0,  # in this form SQLite uses the index of the waiting time
            func.coalesce(inbox.c.run_id, "") == "",
            is_allowed,
        )
        .limit(bindparam("most"))
    )


_WAITING = _waiting()


async def waiting(db: AsyncConnection, mapping_ids: Collection[int], most: int) -> list[WaitingChange]:
    """Return the changes of these mappings that no run carries, up to `most` in all, in no order.

    Removals that need an approval and have none are left out.
    """
    rows = await db.execute(_WAITING, {"ids": list(mapping_ids), "most": most})
    return [WaitingChange._make(row) for row in rows.all()]


async def unchanged(db: AsyncConnection, before: Sequence[RoundState]) -> set[int]:
    """Lock mappings until the transaction ends. Returns the ids of those whose state is still as it was read."""
    ids = [state.mapping.id for state in before]
    if db.dialect.name == "postgresql":  # SQLite has one writer
        await db.execute(_LOCK, {"ids": ids})
    rows = {row.id: tuple(row) for row in await db.execute(_STATES, {"ids": ids})}
    return {state.mapping.id for state in before if rows.get(state.mapping.id) == state.row}


# Changes of a run with the same waiting time are claimed together. A newer change that has replaced a row has another
# waiting time, and is left to the next round.
_CLAIM_ON_SQLITE = """
UPDATE inbox SET run_id = ? WHERE mapping_id = ? AND waiting_since = ? AND coalesce(run_id, '') = ''
AND profile IN (SELECT value FROM json_each(?))
"""
_CLAIMED_BY = (
    select(inbox.c.run_id, func.count())
    .where(inbox.c.run_id.in_(bindparam("run_ids", expanding=True)))
    .group_by(inbox.c.run_id)
)
# Rows are arrays: run id, mapping id, waiting time, profiles. PostgreSQL locks the rows in the order of
# core.store.inbox.put: no deadlocks.
_CLAIM_ON_POSTGRESQL = """
WITH chosen AS (
    SELECT value ->> 0 AS run_id, CAST(value ->> 1 AS bigint) AS mapping_id,
        CAST(value ->> 2 AS double precision) AS waiting_since, jsonb_array_elements_text(value -> 3) AS profile
    FROM jsonb_array_elements(CAST(:rows AS jsonb)) AS each(value)
), locked AS (
    SELECT inbox.mapping_id, inbox.profile, chosen.run_id FROM chosen JOIN inbox
    ON inbox.mapping_id = chosen.mapping_id AND inbox.profile = chosen.profile
        AND inbox.waiting_since = chosen.waiting_since AND coalesce(inbox.run_id, '') = ''
    ORDER BY inbox.mapping_id, inbox.profile FOR UPDATE OF inbox
), claimed AS (
    UPDATE inbox SET run_id = locked.run_id FROM locked
    WHERE inbox.mapping_id = locked.mapping_id AND inbox.profile = locked.profile RETURNING inbox.run_id
)
SELECT run_id, count(*) FROM claimed GROUP BY run_id
"""
_ROWS = {"sqlite": "json_each(:rows)", "postgresql": "jsonb_array_elements(CAST(:rows AS jsonb)) AS each(value)"}
_UNCLAIM = update(inbox).where(inbox.c.run_id.in_(bindparam("run_ids", expanding=True))).values(run_id=None)


async def claim(db: AsyncConnection, changes: Mapping[str, Sequence[WaitingChange]]) -> set[str]:
    """Claim changes for runs, by the ids of the runs. Returns the runs that got all of theirs; the others get none."""
    together: dict[tuple[str, int, float], list[str]] = defaultdict(list)
    for run_id, of_run in changes.items():
        for each in of_run:
            together[run_id, each.mapping_id, each.pending_since].append(each.member_key)
    rows = [(*key, member_keys) for key, member_keys in together.items()]
    claimed: dict[str, int] = {}
    if db.dialect.name == "postgresql":
        values = {"rows": orjson.dumps(rows).decode()}
        claimed = {run_id: count for run_id, count in await db.execute(parsed(_CLAIM_ON_POSTGRESQL), values)}  # noqa: C416
    elif rows:
        bound = [(*key, orjson.dumps(member_keys).decode()) for *key, member_keys in rows]
        if (await db.exec_driver_sql(_CLAIM_ON_SQLITE, bound)).rowcount == sum(map(len, changes.values())):
            return set(changes)
        counted = await db.execute(_CLAIMED_BY, {"run_ids": list(changes)})
        claimed = {run_id: count for run_id, count in counted}  # noqa: C416  # rows, not pairs
    incomplete = [run_id for run_id, of in changes.items() if claimed.get(run_id, 0) < len(of)]
    await unclaim(db, incomplete)
    return changes.keys() - set(incomplete)


async def unclaim(db: AsyncConnection, run_ids: Collection[str]) -> None:
    """Release all rows that these runs have claimed."""
    if run_ids:
        await db.execute(_UNCLAIM, {"run_ids": list(run_ids)})


# Rows are arrays: connection id, list id, revision, run id.
_HOLD = """
UPDATE lists SET held_by_run = chosen.run_id, held_by_worker = :worker, revision = lists.revision + 1
FROM (SELECT CAST(value ->> 0 AS bigint) AS connection_id, CAST(value ->> 1 AS bigint) AS list_id,
    CAST(value ->> 2 AS bigint) AS revision, value ->> 3 AS run_id FROM {rows}) AS chosen
WHERE lists.connection_id = chosen.connection_id AND lists.list_id = chosen.list_id
    AND lists.revision = chosen.revision AND lists.held_by_worker IS NULL
RETURNING lists.held_by_run
"""


async def hold_lists(db: AsyncConnection, worker: str, planned: Sequence[Run]) -> set[str]:
    """Lock the lists of runs and increment the revision of each ledger, for those that are free and as they were read.

    The revision of each run is the one that its plan was made at. Returns the ids of the runs that have their list.
    """
    if not planned:
        return set()
    rows = [(run.connection_id, run.list_id, run.ledger_revision, run.id) for run in planned]
    statement = parsed(_HOLD.format(rows=_ROWS[db.dialect.name]))
    return set((await db.execute(statement, {"rows": orjson.dumps(rows).decode(), "worker": worker})).scalars())
