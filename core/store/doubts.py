"""Doubts about batches: a process had claimed them when it ended or was declared dead, and they may still arrive.

A paused process keeps its half-sent requests, and the kernel continues to send what an ended one has written. Such
requests may arrive after other runs have changed the list. So the members of the batches that the process had claimed
count as unconfirmed for each run that plans while the doubt lasts, and for the first run after that, which repairs
whatever a late request did. A process that wakes up even later reports it before it ends, and the doubt begins again.

A file's run compares with the whole ledger, but a live run only with the changes that it delivers. So when the doubt
about a live mapping ends, these members become pending again, as what they were last (`deliver_again`).
"""

from collections.abc import Sequence

import orjson
from sqlalchemy import ColumnElement, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.identity import PLACEHOLDER_DOMAIN, UserIdField
from core.models.batch import FORMER_IDENTITY_PREFIX, BatchEntry, Phase, decode
from core.store import clock
from core.store.lists import batches_of_list
from core.store.tables import batch_members, batches, connections, inbox, ledger, mappings, runs

# How long a doubt lasts, in seconds, if the process was only silent and may wake (no server waits longer for the rest
# of a request), and if it has ended: the kernel sends what was written again, for at most 100 seconds (tcp(7),
# tcp_orphan_retries).
DOUBT_S = 3600.0
ENDED_S = 120.0

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


async def begin(db: AsyncConnection, of_runs: ColumnElement[bool], seconds: float) -> None:
    """Begin a doubt of this length about the claimed but unrecorded batches of these runs, whose process ended.

    Call it before the runs lose their `worker_id`, which is stored as the process that caused the doubt.
    """
    sent = select(runs.c.id).where(of_runs)
    holder = select(runs.c.worker_id).where(runs.c.id == batches.c.run_id).scalar_subquery()
    until = await clock.now(db) + seconds
    await db.execute(
        update(batches)
        .where(batches.c.status == "sent", batches.c.run_id.in_(sent))
        .values(doubted_of=holder, doubted_until=until)
    )


async def begin_again(db: AsyncConnection, worker_id: str) -> None:
    """Extend the doubts that a process caused: it was declared dead, has woken up, and is about to end."""
    until = await clock.now(db) + ENDED_S
    await db.execute(update(batches).where(batches.c.doubted_of == worker_id).values(doubted_until=until))


async def note(db: AsyncConnection, connection_id: int, list_id: int) -> bool:
    """Mark the members of a list's doubted batches as unconfirmed in the ledger. Returns whether there were any.

    A run calls it before it plans, and holds the list lock.
    """
    query = batches_of_list(connection_id, list_id, batches.c.doubted_until.is_not(None))
    doubted = (await db.execute(query)).all()
    for _, phase, mapping_id, members in doubted:
        await _note_one(db, Phase(phase), mapping_id, decode(members).entries)
    for mapping_id in {batch.mapping_id for batch in doubted}:
        await deliver_again(db, mapping_id)
    if doubted:
        is_over = or_(batches.c.doubted_until <= await clock.now(db), batches.c.doubted_until.is_(None))
        await db.execute(
            update(batches).where(batches.c.id.in_([batch.id for batch in doubted]), is_over).values(doubted_until=None)
        )
    return bool(doubted)


async def over_of_live(db: AsyncConnection) -> list[int]:
    """Return the live mappings with a doubt that is over and that no run has looked at since."""
    query = (
        select(mappings.c.id)
        .join(runs, runs.c.mapping_id == mappings.c.id)
        .join(batches, batches.c.run_id == runs.c.id)
        .where(mappings.c.is_live, batches.c.doubted_until <= await clock.now(db))
    )
    return list((await db.execute(query.distinct())).scalars())


async def deliver_again(db: AsyncConnection, mapping_id: int) -> None:
    """Make the members in a live mapping's doubts that are over pending again, as what they were last.

    Nothing happens to a member with a later change that is pending. The run that delivers them notes the doubt first,
    so it sends them all.
    """
    doubted = (
        select(batch_members.c.members)
        .join(batches, batches.c.id == batch_members.c.batch_id)
        .join(runs, runs.c.id == batches.c.run_id)
        .join(mappings, mappings.c.id == runs.c.mapping_id)
        .where(mappings.c.id == mapping_id, mappings.c.is_live, batches.c.doubted_until <= await clock.now(db))
    )
    keys = {key for members in (await db.execute(doubted)).scalars() for key in decode(members).member_keys}
    if not keys:
        return
    is_delivered = (inbox.c.mapping_id == mapping_id, inbox.c.pending_since.is_(None))
    of_keys = inbox.c.member_key.in_(keys)
    # in this order, as core.store.inbox.put: no deadlocks
    rows = select(inbox.c.member_key, inbox.c.is_member).where(*is_delivered, of_keys).order_by(inbox.c.member_key)
    last = {row.member_key: bool(row.is_member) for row in await db.execute(rows.with_for_update())}
    on_list = select(ledger.c.member_key, ledger.c.email, ledger.c.user_id, connections.c.user_id_field)
    on_list = on_list.join_from(mappings, connections, connections.c.id == mappings.c.connection_id)
    on_list = on_list.join(ledger, ledger.c.mapping_id == mappings.c.id)
    on_list = on_list.where(mappings.c.id == mapping_id, ledger.c.member_key.in_(last))
    known = {row.member_key: row for row in await db.execute(on_list)}
    for key, is_member in last.items():
        values: dict[str, object] = {"pending_since": clock.AT_START}
        if is_member:
            if (row := known.get(key)) is None:  # it was rejected
                continue
            has_placeholder = row.email is not None and row.email.endswith(f"@{PLACEHOLDER_DOMAIN}")
            is_customer_id = row.user_id_field == UserIdField.CUSTOMER_ID.value
            values["email"] = None if has_placeholder else row.email
            values["customer_id"] = row.user_id if is_customer_id else None
        await db.execute(update(inbox).where(*is_delivered, inbox.c.member_key == key).values(values))


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
