"""All data of a Slack workspace: suspended when it removes the app, restored if it returns, or erased in the end."""

from collections.abc import Sequence

from sqlalchemy import Table, delete, exists, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.store import clock
from core.store.connections import DELETED_KEY
from core.store.mappings import MappingStatus
from core.store.tables import (
    api_tokens,
    audit_log,
    batches,
    connections,
    inbox,
    last_known_emails,
    ledger,
    mappings,
    mparticle_accounts,
    rejections,
    routes,
    runs,
    slack_messages,
)

# Large tables, each with the columns of its key.
_BY_MAPPING = (ledger, inbox, last_known_emails)
_BY_RUN = (batches, rejections)


async def suspend(db: AsyncConnection, team_id: str) -> list[int]:
    """Pause a workspace's active mappings, delete its API keys and routes, revoke its tokens. Returns its connections'
    ids.

    So is their access to mParticle's platform API. `key_rejected_at` is set, so that our answers ask mParticle to stop
    sending.
    """
    now = await clock.now(db)
    ids = [row.id for row in await db.execute(select(connections.c.id).where(connections.c.team_id == team_id))]
    of_workspace = connections.c.id.in_(ids)
    await db.execute(
        update(connections)
        .where(of_workspace)
        .values(uninstalled_at=now, key_rejected_at=now, key_last4="", previous_key_digests="[]")
    )
    saved = connections.c.api_key.is_not(None)
    await db.execute(update(connections).where(of_workspace, saved).values(api_key=DELETED_KEY))
    await db.execute(delete(mparticle_accounts).where(mparticle_accounts.c.connection_id.in_(ids)))
    usable = (api_tokens.c.team_id == team_id, api_tokens.c.revoked_at.is_(None))
    await db.execute(update(api_tokens).where(*usable).values(revoked_at=now))
    await db.execute(delete(routes).where(routes.c.team_id == team_id))
    active = mappings.c.status == MappingStatus.ACTIVE.value
    await db.execute(
        update(mappings)
        .where(mappings.c.connection_id.in_(ids), active)
        .values(status=MappingStatus.PAUSED.value, bulk_removal_cursor=None)
    )
    return ids


async def restore(db: AsyncConnection, team_id: str) -> int:
    """Keep the data of a workspace that has installed the app again. Returns how many connections it has.

    Their keys stay deleted, their mappings paused, and the tokens of the workspace revoked.
    """
    suspended = (connections.c.team_id == team_id, connections.c.uninstalled_at.is_not(None))
    return int((await db.execute(update(connections).where(*suspended).values(uninstalled_at=None))).rowcount)


async def runs_to_stop(db: AsyncConnection, connection_ids: Sequence[int], statuses: Sequence[str]) -> list[str]:
    """Return the ids of the runs of these connections that are in one of these states."""
    query = select(runs.c.id).where(runs.c.connection_id.in_(connection_ids), runs.c.status.in_(statuses))
    return list((await db.execute(query)).scalars())


async def to_erase(db: AsyncConnection, before: float) -> list[tuple[int, str]]:
    """Return the connections (id, workspace) whose workspace removed the app before that time."""
    query = select(connections.c.id, connections.c.team_id).where(connections.c.uninstalled_at < before)
    return [(row.id, row.team_id) for row in await db.execute(query.order_by(connections.c.id))]


async def erase_piece(db: AsyncConnection, connection_id: int, limit: int) -> bool:
    """Delete up to `limit` rows of a connection from each large table. Returns whether there may be more."""
    of_connection = select(mappings.c.id).where(mappings.c.connection_id == connection_id)
    of_run = select(runs.c.id).where(runs.c.connection_id == connection_id)
    more = False
    for table in _BY_MAPPING:
        key = tuple_(table.c.mapping_id, table.c.member_key)
        some = select(table.c.mapping_id, table.c.member_key).where(table.c.mapping_id.in_(of_connection)).limit(limit)
        more |= await _delete(db, table, key.in_(some), limit)
    for table in _BY_RUN:
        some = select(table.c.id).where(table.c.run_id.in_(of_run)).limit(limit)
        more |= await _delete(db, table, table.c.id.in_(some), limit)
    return more


async def erase_records(db: AsyncConnection, team_id: str) -> bool:
    """Delete the messages, tokens and audit entries of a workspace that has no connection left.

    Returns False if it still has a connection.
    """
    if (await db.execute(select(exists().where(connections.c.team_id == team_id)))).scalar_one():
        return False
    for table in (slack_messages, api_tokens, audit_log):
        await db.execute(delete(table).where(table.c.team_id == team_id))
    return True


async def _delete(db: AsyncConnection, table: Table, which: object, limit: int) -> bool:
    return int((await db.execute(delete(table).where(which))).rowcount) == limit  # type: ignore[arg-type]
