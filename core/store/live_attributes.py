"""Live changes with user attributes: their values are kept, encrypted, until they are delivered.

A message has only the attributes that changed. So the values of a change that still waits are kept when a newer one of
the same member arrives, and a newer value of an attribute replaces the older one.

A change of attributes only does not say who is a member. It is stored for a member who waits to be added, or who is in
the ledger and has not left since; for others it is ignored. It gets no time stamp of its own, so that a removal from
before it, which arrives later, still counts.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from core.store import clock, ledger
from core.store.inbox import Change
from core.store.tables import inbox
from core.vault import Vault

# Older than any change: for members whose last change is no longer kept.
_LONG_AGO = -(2**62)
_PUT = """
INSERT INTO inbox (mapping_id, profile, member, stamp, email, customer_id, hashed, fields, waiting_since)
VALUES (:mapping_id, :profile, :member, :stamp, :email, :customer_id, :hashed, :fields, {now})
ON CONFLICT (mapping_id, profile) DO UPDATE SET
    member = excluded.member, stamp = excluded.stamp, email = excluded.email, customer_id = excluded.customer_id,
    hashed = excluded.hashed, fields = excluded.fields, waiting_since = excluded.waiting_since, run_id = NULL
WHERE excluded.stamp >= inbox.stamp
"""


async def put(db: AsyncConnection, changes: Sequence[Change], vault: Vault) -> list[Change]:
    """Store the changes of members if one of their changes has attributes. Returns the other changes, in order."""
    special = {(c.mapping_id, c.member_key) for c in changes if c.attributes is not None or c.is_update}
    if not special:
        return list(changes)
    of_member: defaultdict[tuple[int, str], list[Change]] = defaultdict(list)
    for change in changes:
        of_member[change.mapping_id, change.member_key].append(change)
    known = await _known(db, special, vault)
    merged = [_merged(known.get(key), of_member[key]) for key in sorted(special)]
    rows = [_row(change, vault) for change in merged if change is not None]
    if rows:
        now = clock.parameters(db)
        statement = text(_PUT.format(now=clock.AT_START_TEXT[db.dialect.name]))
        await db.execute(statement, [row | now for row in rows])
    return [change for change in changes if (change.mapping_id, change.member_key) not in special]


def opened(vault: Vault, sealed: str) -> dict[str, str]:
    """Return the attributes of a stored change, by their name in the mapping."""
    values: dict[str, str] = orjson.loads(vault.decrypt(sealed.encode()))
    return values


def _merged(state: Change | None, changes: Sequence[Change]) -> Change | None:
    """Return what is to be stored of a member: the latest change, with all attributes; None if nothing is new."""
    is_new = False
    for change in changes:
        attributes = {**((state.attributes or {}) if state is not None else {}), **(change.attributes or {})}
        if not change.is_update and (state is None or change.event_ms >= state.event_ms):
            state, is_new = replace(change, attributes=attributes), True
        elif change.is_update and state is not None and state.is_member:
            state, is_new = replace(change, event_ms=state.event_ms, is_member=True, attributes=attributes), True
    return state if is_new else None


async def _known(db: AsyncConnection, keys: set[tuple[int, str]], vault: Vault) -> dict[tuple[int, str], Change]:
    """Return what is known of these members: their stored change, or else that they are in the ledger."""
    known: dict[tuple[int, str], Change] = {}
    profiles: defaultdict[int, list[str]] = defaultdict(list)
    for mapping_id, member_key in sorted(keys):
        profiles[mapping_id].append(member_key)
    columns = (inbox.c.member_key, inbox.c.is_member, inbox.c.event_ms, inbox.c.sealed_fields)
    for mapping_id, of_mapping in profiles.items():
        query = select(*columns).where(inbox.c.mapping_id == mapping_id, inbox.c.member_key.in_(of_mapping))
        for key, is_member, event_ms, sealed in await db.execute(query.with_for_update()):
            attributes = opened(vault, sealed) if sealed is not None else None
            known[mapping_id, key] = Change(mapping_id, key, is_member, event_ms, attributes=attributes)
        for _, key, *_ in await ledger.by_profile(db, mapping_id, of_mapping):
            member = Change(mapping_id, key, is_member=True, event_ms=_LONG_AGO)
            known.setdefault((mapping_id, key), member)
    return known


def _row(change: Change, vault: Vault) -> dict[str, Any]:
    attributes = change.attributes or None
    return {
        "mapping_id": change.mapping_id,
        "profile": change.member_key,
        "member": change.is_member,
        "stamp": change.event_ms,
        "email": change.email,
        "customer_id": change.customer_id,
        "hashed": change.hashed_fields,
        "fields": None if attributes is None else vault.encrypt_value(orjson.dumps(attributes).decode()).decode(),
    }
