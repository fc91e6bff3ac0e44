"""Doubts about batches: a process that was declared dead had claimed them, and may still send them if it wakes up.

A paused process keeps its half-sent requests. They may arrive after other runs have changed the list. So the members of
the batches that the process had claimed count as unconfirmed for each run that plans within DOUBT_S, and for the first
run after that, which repairs whatever a late request did. A process that wakes up even later reports it before it ends,
and the doubt begins again.
"""

from collections.abc import Sequence

import orjson
from sqlalchemy import ColumnElement, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.batch import FORMER_IDENTITY_PREFIX, BatchEntry, Phase, decode
from core.store import clock
from core.store.lists import batches_of_list
from core.store.tables import batches, runs

# How long a doubt lasts, in seconds, after a process was declared dead (no server waits longer for the rest of a
# request), and after the process has woken up (it ends at once).
DOUBT_S = 3600.0
WOKEN_S = 60.0

_ENTRIES = {
    "sqlite": "json_each(:entries)",
    "postgresql": "jsonb_array_elements(CAST(:entries AS jsonb)) AS each(value)",
}
# Entries are arrays: role, profile, email, user id (core/models/batch.py).
_UNCERTAIN = """
UPDATE ledger SET certain = false
WHERE mapping_id IN (SELECT other.id FROM mappings AS other JOIN mappings AS own ON own.id = :mapping_id
    WHERE other.connection_id = own.connection_id AND other.list_id = own.list_id)
AND (email IN (SELECT value ->> 2 FROM {entries}) OR user_id IN (SELECT value ->> 3 FROM {entries}))
"""
_PERHAPS_THERE = """
INSERT INTO ledger (mapping_id, profile, email, user_id, certain)
SELECT :mapping_id, value ->> 1, value ->> 2, value ->> 3, false FROM {entries} WHERE true
ON CONFLICT (mapping_id, profile) DO NOTHING
"""
# The member's former identity gets its own row, so that a later run removes it from the list.
_PERHAPS_THERE_AS_BEFORE = """
INSERT INTO ledger (mapping_id, profile, email, user_id, certain)
SELECT :mapping_id, CAST(:former AS text) || (value ->> 2), value ->> 2, value ->> 3, false
FROM {entries} JOIN ledger AS current ON current.mapping_id = :mapping_id AND current.profile = value ->> 1
WHERE value ->> 2 IS NOT NULL AND coalesce(current.email, '') <> value ->> 2
ON CONFLICT (mapping_id, profile) DO NOTHING
"""


async def begin(db: AsyncConnection, of_runs: ColumnElement[bool]) -> None:
    """Begin a doubt about the claimed but unrecorded batches of these runs, whose process was declared dead.

    Call it before the runs lose their `worker_id`, which is stored as the process that caused the doubt.
    """
    sent = select(runs.c.id).where(of_runs)
    holder = select(runs.c.worker_id).where(runs.c.id == batches.c.run_id).scalar_subquery()
    until = await clock.now(db) + DOUBT_S
    await db.execute(
        update(batches)
        .where(batches.c.status == "sent", batches.c.run_id.in_(sent))
        .values(doubted_of=holder, doubted_until=until)
    )


async def begin_again(db: AsyncConnection, worker_id: str) -> None:
    """Extend the doubts that a process caused: it was declared dead, has woken up, and is about to end."""
    until = await clock.now(db) + WOKEN_S
    await db.execute(update(batches).where(batches.c.doubted_of == worker_id).values(doubted_until=until))


async def note(db: AsyncConnection, connection_id: int, list_id: int) -> bool:
    """Mark the members of a list's doubted batches as unconfirmed in the ledger. Returns whether there were any.

    A run calls it before it plans, and holds the list lock.
    """
    query = batches_of_list(connection_id, list_id, batches.c.doubted_until.is_not(None))
    doubted = (await db.execute(query)).all()
    for _, phase, mapping_id, members in doubted:
        await _note_one(db, Phase(phase), mapping_id, decode(members).entries)
    if doubted:
        is_over = or_(batches.c.doubted_until <= await clock.now(db), batches.c.doubted_until.is_(None))
        await db.execute(
            update(batches).where(batches.c.id.in_([batch.id for batch in doubted]), is_over).values(doubted_until=None)
        )
    return bool(doubted)


async def _note_one(db: AsyncConnection, phase: Phase, mapping_id: int, entries: Sequence[BatchEntry]) -> None:
    if phase is Phase.RENAME:  # the request had the old address; the list may have the new one
        entries = [entry._replace(email=entry.extra[0]) for entry in entries]
    statements = [_UNCERTAIN]
    if phase is not Phase.REMOVE:
        statements = [_PERHAPS_THERE_AS_BEFORE, _PERHAPS_THERE, _UNCERTAIN]
    values = {"entries": orjson.dumps([entry.as_row() for entry in entries]).decode(), "mapping_id": mapping_id}
    for statement in statements:
        sql = text(statement.format(entries=_ENTRIES[db.dialect.name]))
        former = {"former": FORMER_IDENTITY_PREFIX} if ":former" in statement else {}
        await db.execute(sql, values | former)
