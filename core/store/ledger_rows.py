"""Rows of the ledger that small changes need, of several mappings at once."""

from collections.abc import Collection, Mapping
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.batch import FORMER_IDENTITY_PREFIX
from core.store.ledger import Entry

# Pairs of a mapping's id and a text, as a JSON array of arrays.
_PAIRS = {
    "sqlite": "SELECT CAST(value ->> 0 AS bigint), value ->> 1 FROM json_each(:{name})",
    "postgresql": (
        "SELECT CAST(value ->> 0 AS bigint), value ->> 1 FROM jsonb_array_elements(CAST(:{name} AS jsonb)) AS each(value)"
    ),
}
_FOUND = "SELECT mapping_id, profile, email, user_id, certain FROM ledger WHERE "
# The former identities are a range of the primary key: ";" comes after ":".
_OF_MEMBERS = f"""
{_FOUND} (mapping_id, profile) IN ({{profiles}})
UNION ALL
{_FOUND} mapping_id IN ({{mappings}}) AND profile BETWEEN :former AND :after_former
"""
# The ids of the mappings are in the statement, so that the primary key is used.
_OF_IDENTITIES = f"""
{_FOUND} mapping_id IN ({{mappings}}) AND ((mapping_id, email) IN ({{emails}}) OR (mapping_id, user_id) IN ({{user_ids}}))
"""

#: Texts (member keys, emails, user ids) by mapping id.
ByMapping = Mapping[int, Collection[str]]


async def of_members(db: AsyncConnection, member_keys: ByMapping) -> list[Entry]:
    """Return the rows of these members, and all rows of these mappings that are former identities."""
    former, ids = FORMER_IDENTITY_PREFIX, ", ".join(str(int(each)) for each in member_keys)
    if not ids:
        return []
    statement = _OF_MEMBERS.format(profiles=_PAIRS[db.dialect.name].format(name="profiles"), mappings=ids)
    values = {"profiles": _pairs(member_keys), "former": former, "after_former": f"{former[:-1]};"}
    rows = {_entry(row) for row in await db.execute(text(statement), values)}
    return [row for row in rows if row[1] in member_keys[row[0]] or row[1].startswith(former)]


async def of_identities(db: AsyncConnection, emails: ByMapping, user_ids: ByMapping) -> list[Entry]:
    """Return the rows of each mapping with one of its emails or user ids.

    This scans all rows of the mappings: some 0.3 s for a million. An index on the email would make it faster, but every
    bulk sync several times as expensive, because it is written in random order.
    """
    mapping_ids = sorted({each for wanted in (emails, user_ids) for each, texts in wanted.items() if texts})
    if not mapping_ids:
        return []
    pairs = _PAIRS[db.dialect.name]
    statement = _OF_IDENTITIES.format(
        mappings=", ".join(str(int(each)) for each in mapping_ids),
        emails=pairs.format(name="emails"),
        user_ids=pairs.format(name="user_ids"),
    )
    values = {"emails": _pairs(emails), "user_ids": _pairs(user_ids)}
    return [_entry(row) for row in await db.execute(text(statement), values)]


def _pairs(wanted: ByMapping) -> str:
    return orjson.dumps([(mapping_id, each) for mapping_id, texts in wanted.items() for each in texts]).decode()


def _entry(row: Any) -> Entry:
    return (*row[:4], bool(row[4]))
