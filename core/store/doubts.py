"""Doubts: what a process that was declared dead had sent, and may still send when it wakes.

A process that is paused keeps what it had begun to write. Its requests may arrive after other runs have changed the
list. So the members of the batches that it had claimed count as perhaps on the list, perhaps not, for each run that
plans within DOUBT_S, and for the first one after that: whatever a late request did, that run repairs. A process that
wakes even later says so before it ends, and the doubt begins again.
"""

from collections.abc import Sequence

import orjson
from sqlalchemy import ColumnElement, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.batch import FORMER_IDENTITY_PREFIX, BatchEntry, Phase, decode
from core.store import clock
from core.store.tables import batch_members, batches, runs

# How long a doubt lasts, in seconds, after a process was declared dead: no server waits longer for a request that was
# begun. And after one has woken: it ends at once.
DOUBT_S = 3600.0
WOKEN_S = 60.0

_ENTRIES = {
    "sqlite": "json_each(:entries)",
    "postgresql": "jsonb_array_elements(CAST(:entries AS jsonb)) AS each(value)",
}
# Entries are arrays: role, profile, email, user id (core/models/batch.py).
_UNCERTAIN = """
UPDATE ledger SET certain = false
WHERE mapping_id IN (SELECT other.id FROM mappings AS other JOIN mappings AS this ON this.id = :mapping_id
    WHERE other.connection_id = this.connection_id AND other.list_id = this.list_id)
AND (email IN (SELECT value ->> 2 FROM {entries}) OR user_id IN (SELECT value ->> 3 FROM {entries}))
"""
_PERHAPS_THERE = """
INSERT INTO ledger (mapping_id, profile, email, user_id, certain)
SELECT :mapping_id, value ->> 1, value ->> 2, value ->> 3, false FROM {entries} WHERE true
ON CONFLICT (mapping_id, profile) DO NOTHING
"""
# Under an identity that the member has no longer: a row of its own, so that it is taken off.
_PERHAPS_THERE_AS_BEFORE = """
INSERT INTO ledger (mapping_id, profile, email, user_id, certain)
SELECT :mapping_id, CAST(:former AS text) || (value ->> 2), value ->> 2, value ->> 3, false
FROM {entries} JOIN ledger AS now ON now.mapping_id = :mapping_id AND now.profile = value ->> 1
WHERE value ->> 2 IS NOT NULL AND coalesce(now.email, '') <> value ->> 2
ON CONFLICT (mapping_id, profile) DO NOTHING
"""


async def begin(db: AsyncConnection, of_runs: ColumnElement[bool]) -> None:
    """Doubt what was claimed or sent and never recorded of these runs, which are about to lose their process."""
    sent = select(runs.c.id).where(of_runs)
    holder = select(runs.c.worker_id).where(runs.c.id == batches.c.run_id).scalar_subquery()
    until = await clock.now(db) + DOUBT_S
    await db.execute(
        update(batches)
        .where(batches.c.status == "sent", batches.c.run_id.in_(sent))
        .values(doubted_of=holder, doubted_until=until)
    )


async def begin_again(db: AsyncConnection, worker_id: str) -> None:
    """Doubt it again: a process that was declared dead has woken, and ends."""
    until = await clock.now(db) + WOKEN_S
    await db.execute(update(batches).where(batches.c.doubted_of == worker_id).values(doubted_until=until))


async def note(db: AsyncConnection, connection_id: int, list_id: int) -> bool:
    """Put on record whom the doubts of a list concern, before a run of that list plans. Returns whether there were any.

    The caller holds the list.
    """
    query = (
        select(batches.c.id, batches.c.phase, runs.c.mapping_id, batch_members.c.members)
        .select_from(
            batches.join(runs, runs.c.id == batches.c.run_id).join(
                batch_members, batch_members.c.batch_id == batches.c.id
            )
        )
        .where(
            batches.c.doubted_until.is_not(None),
            runs.c.connection_id == connection_id,
            runs.c.list_id == list_id,
        )
        .order_by(batches.c.id)
    )
    found = (await db.execute(query)).all()
    for _, phase, mapping_id, members in found:
        await _note_one(db, Phase(phase), mapping_id, decode(members).entries)
    if found:
        over = or_(batches.c.doubted_until <= await clock.now(db), batches.c.doubted_until.is_(None))
        await db.execute(
            update(batches).where(batches.c.id.in_([each.id for each in found]), over).values(doubted_until=None)
        )
    return bool(found)


async def _note_one(db: AsyncConnection, phase: Phase, mapping_id: int, entries: Sequence[BatchEntry]) -> None:
    if phase is Phase.RENAME:  # what was sent is the old address, and the new one may be on the list now
        entries = [entry._replace(email=entry.extra[0]) for entry in entries]
    statements = [_UNCERTAIN]
    if phase is not Phase.REMOVE:
        statements = [_PERHAPS_THERE_AS_BEFORE, _PERHAPS_THERE, _UNCERTAIN]
    values = {"entries": orjson.dumps([entry.as_row() for entry in entries]).decode(), "mapping_id": mapping_id}
    for statement in statements:
        sql = text(statement.format(entries=_ENTRIES[db.dialect.name]))
        former = {"former": FORMER_IDENTITY_PREFIX} if ":former" in statement else {}
        await db.execute(sql, values | former)
