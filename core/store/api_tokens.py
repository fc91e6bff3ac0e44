"""API tokens: what a program may do, on behalf of a Slack workspace or of the operator. Only a digest is stored."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.store import clock
from core.store.rows import by_key
from core.store.tables import api_tokens

# The time of the last use is stored at most this often, in seconds.
_USE_STORED_EVERY_S = 60.0


class Scope(StrEnum):
    """What a token permits. Each scope stands for itself: a token that may run may not read."""

    READ = "read"
    """See syncs, mappings, connections and alerts, without any person's data."""
    RUN = "run"
    """Start, cancel, retry and undo syncs; repair lists; fetch rejected members, and look people up."""
    APPROVE = "approve"
    """Approve and decline syncs."""
    ADMIN = "admin"
    """Change mappings, sources, schedules, freezes, alert rules and routes; read the audit log."""


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A token as stored. `team_id` is the workspace whose data it sees (None: the operator's token, which sees all)."""

    id: int
    name: str
    team_id: str | None
    last4: str
    scopes: frozenset[Scope]
    created_by: str
    created_at: float
    last_used_at: float | None
    revoked_at: float | None

    @property
    def actor(self) -> str:
        """The name of the token where actions name who performed them."""
        return f"token:{self.name}"


async def add(
    db: AsyncConnection,
    *,
    name: str,
    team_id: str | None,
    digest: str,
    last4: str,
    scopes: Collection[Scope],
    created_by: str,
) -> ApiToken:
    """Store a new token and return it."""
    query = insert(api_tokens).values(
        name=name,
        team_id=team_id,
        digest=digest,
        last4=last4,
        scopes=json.dumps(sorted(scopes)),
        created_by=created_by,
        created_at=await clock.now(db),
    )
    return _from_row((await db.execute(query.returning(api_tokens))).mappings().one())


async def usable(db: AsyncConnection, digest: str) -> ApiToken | None:
    """Find a token that is not revoked by its digest."""
    query = select(api_tokens).where(api_tokens.c.digest == digest, api_tokens.c.revoked_at.is_(None))
    row = (await db.execute(query)).mappings().first()
    return None if row is None else _from_row(row)


async def of_team(db: AsyncConnection, team_id: str | None) -> list[ApiToken]:
    """Return the tokens of a workspace that are not revoked, by name. None: all tokens."""
    query = select(api_tokens).where(api_tokens.c.revoked_at.is_(None)).order_by(api_tokens.c.name)
    if team_id is not None:
        query = query.where(api_tokens.c.team_id == team_id)
    return [_from_row(row) for row in (await db.execute(query)).mappings()]


async def revoke(db: AsyncConnection, token_id: int) -> bool:
    """Revoke a token. Returns False if it was revoked already."""
    query = update(api_tokens).where(api_tokens.c.id == token_id, api_tokens.c.revoked_at.is_(None))
    return bool((await db.execute(query.values(revoked_at=await clock.now(db)))).rowcount)


def is_use_due(token: ApiToken, now: float) -> bool:
    """Return whether the use of a token at this time (seconds since 1970) has to be stored."""
    return token.last_used_at is None or now - token.last_used_at > _USE_STORED_EVERY_S


async def record_use(db: AsyncConnection, token_id: int) -> None:
    """Store that a token was used now."""
    now = await clock.now(db)
    is_due = or_(api_tokens.c.last_used_at.is_(None), api_tokens.c.last_used_at < now - _USE_STORED_EVERY_S)
    await db.execute(update(api_tokens).where(api_tokens.c.id == token_id, is_due).values(last_used_at=now))


def _from_row(row: Any) -> ApiToken:
    values = {name: value for name, value in by_key(api_tokens, row).items() if name != "digest"}
    return ApiToken(**(values | {"scopes": frozenset(map(Scope, json.loads(values["scopes"])))}))
