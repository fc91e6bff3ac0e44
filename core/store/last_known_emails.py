"""The last email under which a former member was on a list. (core/store/ledger.py writes it.)

A leaver may carry only a user id and not be in the ledger, because it left before or belongs to another mapping.
Iterable still knows the address of that user id, and the address may belong to a member who has to stay on the list.
"""

from collections.abc import Sequence

import orjson
from sqlalchemy import delete, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from core.store.database import chosen_once
from core.store.tables import last_known_emails

_PROFILES = {
    "sqlite": "SELECT value FROM json_each(:profiles)",
    "postgresql": "SELECT jsonb_array_elements_text(CAST(:profiles AS jsonb))",
}
# The last known email of this mapping takes precedence, then the ledgers of the connection's mappings, then their last
# known emails. All look-ups use the primary keys.
_FIND = """
SELECT profile, email FROM (
    SELECT profile, email, CASE WHEN mapping_id = :mapping_id THEN 0 ELSE 2 END AS preference, mapping_id
    FROM last_known WHERE mapping_id IN {mappings} AND profile IN ({profiles})
    UNION ALL
    SELECT profile, email, 1, mapping_id
    FROM ledger WHERE mapping_id IN {mappings} AND profile IN ({profiles}) AND email IS NOT NULL
) AS found ORDER BY preference DESC, mapping_id DESC
"""
_OF_CONNECTION = """(SELECT id FROM mappings WHERE connection_id =
    (SELECT connection_id FROM mappings WHERE id = :mapping_id))"""


async def find(db: AsyncConnection, mapping_id: int, profiles: Sequence[str]) -> list[tuple[str, str]]:
    """Return (member key, email) of the profiles whose email the connection knows or knew."""
    statement = _FIND.format(mappings=_OF_CONNECTION, profiles=_PROFILES[db.dialect.name])
    values = {"mapping_id": mapping_id, "profiles": orjson.dumps(list(profiles)).decode()}
    rows = (await db.execute(text(statement), values)).all()
    return sorted({row.profile: row.email for row in rows}.items())  # of several rows, the last one counts


async def any_before(db: AsyncConnection, before: float) -> bool:
    """Whether there are emails of members who left a list before that time."""
    return (
        await db.execute(select(last_known_emails.c.seen_at).where(last_known_emails.c.seen_at < before).limit(1))
    ).first() is not None


async def clear_old(db: AsyncConnection, before: float, limit: int) -> int:
    """Delete up to `limit` emails of members who left a list before that time. Returns how many."""
    keys = (last_known_emails.c.mapping_id, last_known_emails.c.member_key)
    expired = select(*keys).where(last_known_emails.c.seen_at < before).order_by(*keys).limit(limit).with_for_update()
    chosen = tuple_(*keys).in_(chosen_once(db, expired))
    return int(
        (await db.execute(delete(last_known_emails).where(chosen, last_known_emails.c.seen_at < before))).rowcount
    )
