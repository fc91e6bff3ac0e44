"""Rows of the ledger that small changes need, of several mappings at once."""

from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from typing import Any

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.batch import FORMER_IDENTITY_PREFIX, BatchColumns
from core.store import clock
from core.store.database import parsed
from core.store.ledger import ROWS_A_STATEMENT, Entry, put_batches

_ARRAY = {
    "sqlite": "json_each(:{name})",
    "postgresql": "jsonb_array_elements(CAST(:{name} AS jsonb)) AS each(value)",
}
# Pairs of a text and a mapping's id, from a JSON object of arrays. (To read an array for each pair takes longer.)
_PAIRS = {
    "sqlite": """
SELECT texts.value AS profile, CAST(of_mapping.key AS bigint) AS mapping_id
FROM json_each(:{name}) AS of_mapping, json_each(of_mapping.value) AS texts
""",
    "postgresql": """
SELECT jsonb_array_elements_text(of_mapping.value) AS profile, CAST(of_mapping.key AS bigint) AS mapping_id
FROM jsonb_each(CAST(:{name} AS jsonb)) AS of_mapping
""",
}
# SQLite keeps the order of a cross join, and so looks the rows up by their keys. The former identities are a range of
# the primary key: ";" comes after ":".
_OF_MEMBERS = """
SELECT ledger.mapping_id, ledger.profile, ledger.email, ledger.user_id, ledger.certain
FROM ({profiles}) AS wanted CROSS JOIN ledger
WHERE ledger.mapping_id = wanted.mapping_id AND ledger.profile = wanted.profile
UNION ALL
SELECT mapping_id, profile, email, user_id, certain FROM ledger
WHERE mapping_id IN ({mappings}) AND profile BETWEEN :former AND :after_former
"""
# The ids of the mappings are in the statement, so that the primary key is used.
_OF_IDENTITIES = """
SELECT mapping_id, profile, email, user_id, certain FROM ledger
WHERE mapping_id IN ({mappings}) AND ({is_wanted})
"""
_ROW = "(?, ?, ?, ?, true)"
_PUT = """
INSERT INTO ledger (mapping_id, profile, email, user_id, certain) {rows}
ON CONFLICT (mapping_id, profile)
DO UPDATE SET email = excluded.email, user_id = excluded.user_id, certain = excluded.certain
"""
_PUT_ARRAY = _PUT.format(
    rows="""
SELECT CAST(value ->> 0 AS bigint), value ->> 1, value ->> 2, value ->> 3, true
FROM jsonb_array_elements(CAST(:rows AS jsonb)) AS each(value)
"""
)
_PUT_ARRAY_WITH_DIGESTS = """
INSERT INTO ledger (mapping_id, profile, email, user_id, certain, fields)
SELECT CAST(value ->> 0 AS bigint), value ->> 1, value ->> 2, value ->> 3, true, value ->> 4
FROM jsonb_array_elements(CAST(:rows AS jsonb)) AS each(value)
ON CONFLICT (mapping_id, profile)
DO UPDATE SET email = excluded.email, user_id = excluded.user_id, certain = excluded.certain, fields = excluded.fields
"""
# In this form SQLite uses the primary key.
_DELETE = "DELETE FROM ledger WHERE mapping_id = ? AND profile = ? AND coalesce(email, '') = ?"
_DELETE_ARRAY = """
DELETE FROM ledger USING jsonb_array_elements(CAST(:entries AS jsonb)) AS each(value)
WHERE ledger.mapping_id = CAST(value ->> 0 AS bigint) AND ledger.profile = value ->> 1
    AND coalesce(ledger.email, '') = coalesce(value ->> 2, '')
"""
_REMEMBER = """
INSERT INTO last_known (mapping_id, profile, email, at)
SELECT DISTINCT ledger.mapping_id, ledger.profile, ledger.email, CAST(:now AS double precision)
FROM {entries} JOIN ledger ON ledger.mapping_id = CAST(value ->> 0 AS bigint) AND ledger.profile = value ->> 1
    AND ledger.email = value ->> 2
WHERE ledger.user_id IS NOT NULL AND NOT ledger.profile LIKE :former
ORDER BY 1, 2
ON CONFLICT (mapping_id, profile) DO UPDATE SET email = excluded.email, at = excluded.at
"""

#: Texts (member keys, emails, user ids) by mapping id.
ByMapping = Mapping[int, Collection[str]]


async def find(db: AsyncConnection, member_keys: ByMapping, emails: ByMapping, user_ids: ByMapping) -> list[Entry]:
    """Return the rows of each mapping with one of its member keys, emails or user ids, with one statement.

    For mappings with member keys also all rows near the former identities, which all of these are among. A row may be
    there twice. Emails and user ids scan all rows of their mappings: some 0.3 s for a million. An index on the email
    would make it faster, but every bulk sync several times as expensive, because it is written in random order.
    """
    values: dict[str, Any] = {}
    parts: list[str] = []
    if member_keys:
        former = FORMER_IDENTITY_PREFIX
        parts.append(_OF_MEMBERS.format(profiles=_pairs_of(db, "profiles"), mappings=_ids(member_keys)))
        values |= {"profiles": _pairs(member_keys), "former": former, "after_former": f"{former[:-1]};"}
    wanted = {column: texts for column, texts in {"email": emails, "user_id": user_ids}.items() if any(texts.values())}
    if wanted:
        mapping_ids = {each for texts in wanted.values() for each, of_mapping in texts.items() if of_mapping}
        is_wanted = " OR ".join(f"({column}, mapping_id) IN ({_pairs_of(db, column)})" for column in wanted)
        parts.append(_OF_IDENTITIES.format(mappings=_ids(mapping_ids), is_wanted=is_wanted))
        values |= {column: _pairs(texts) for column, texts in wanted.items()}
    if not parts:
        return []
    return [_entry(row) for row in await db.execute(parsed("UNION ALL".join(parts)), values)]


async def put(db: AsyncConnection, rows: Sequence[Entry]) -> None:
    """Record that these members are on the list of their mapping, as `core.store.ledger.put_batches` does."""
    last = {row[:2]: row[:4] for row in rows}.values()  # the last entry of a member counts
    if db.dialect.name == "postgresql":  # here a JSON array takes less time than many values
        await db.execute(parsed(_PUT_ARRAY), {"rows": orjson.dumps([*last]).decode()})
        return
    values = [*last]
    whole = len(values) - len(values) % ROWS_A_STATEMENT
    for count, some in ((ROWS_A_STATEMENT, values[:whole]), (1, values[whole:])):
        if some:
            bound = [tuple(chain.from_iterable(some[at : at + count])) for at in range(0, len(some), count)]
            await db.exec_driver_sql(_PUT.format(rows="VALUES " + ", ".join([_ROW] * count)), bound)


async def put_with_digests(
    db: AsyncConnection, mapping_id: int, batch: BatchColumns, digests: Mapping[str, str] | None
) -> None:
    """As `core.store.ledger.put_batches` does for one batch of certain members with data fields."""
    if db.dialect.name != "postgresql":
        await put_batches(db, mapping_id, [batch], certain=True, digests=digests)
        return
    columns = zip(batch.member_keys, batch.emails, batch.user_ids, strict=True)
    rows = {row[0]: (mapping_id, *row, (digests or {}).get(row[0])) for row in columns}.values()  # the last counts
    await db.execute(parsed(_PUT_ARRAY_WITH_DIGESTS), {"rows": orjson.dumps([*rows]).decode()})


async def delete_matching(db: AsyncConnection, entries: Sequence[Entry]) -> None:
    """Delete the rows of these entries that still have the identity of the entry (core/store/ledger.py)."""
    values: dict[str, Any] = {"entries": orjson.dumps([entry[:3] for entry in entries]).decode()}
    values |= {"now": await clock.now(db), "former": f"{FORMER_IDENTITY_PREFIX}%"}
    await db.execute(parsed(_REMEMBER.format(entries=_ARRAY[db.dialect.name].format(name="entries"))), values)
    if db.dialect.name == "postgresql":
        await db.execute(parsed(_DELETE_ARRAY), values)
        return
    bound = [(mapping_id, member_key, email or "") for mapping_id, member_key, email, *_ in entries]
    await db.exec_driver_sql(_DELETE, bound)


def _pairs_of(db: AsyncConnection, name: str) -> str:
    return _PAIRS[db.dialect.name].format(name=name)


def _ids(mapping_ids: Collection[int]) -> str:
    return ", ".join(str(int(each)) for each in sorted(mapping_ids))


def _pairs(wanted: ByMapping) -> str:
    return orjson.dumps({str(mapping_id): [*texts] for mapping_id, texts in wanted.items()}).decode()


def _entry(row: Any) -> Entry:
    return (*row[:4], bool(row[4]))
