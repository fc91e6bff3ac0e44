"""The ledger: the members that have been synced to a mapping's list, each with its identity.

Added members are written from the columns of a batch. Rarer changes are written by one statement that reads the entries
as JSON in the database.
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from typing import Any

import orjson
from sqlalchemy import bindparam, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from core.identity import ProjectType
from core.models.batch import FORMER_IDENTITY_PREFIX, BatchColumns, BatchEntry
from core.store import clock
from core.store.tables import ledger

# Rows written by one statement. More are no faster, and each number of rows is another statement to prepare.
ROWS_A_STATEMENT = 200

# Entries are arrays: role, profile, email, user id, and two more for some roles (core/models/batch.py). Both databases
# read them with the same operators; only the function that makes rows of an array has another name.
_ENTRIES = {
    "sqlite": "json_each(:entries)",
    "postgresql": "jsonb_array_elements(CAST(:entries AS jsonb)) AS each(value)",
}
_PUT = """
INSERT INTO ledger (mapping_id, profile, email, user_id, certain{more}) VALUES {rows}
ON CONFLICT (mapping_id, profile)
DO UPDATE SET {known}
"""
# The update of an existing row.
_AS_NEW = "email = excluded.email, user_id = excluded.user_id, certain = excluded.certain"
_DIGEST_AS_NEW = ", fields = excluded.fields"
_AS_KNOWN = "certain = excluded.certain"
# The rows to delete: those with the identity of an entry; or of these, only those whose holder is in the ledger.
_TAKEN = """
WHERE mapping_id = :mapping_id AND (profile, coalesce(email, '')) IN
(SELECT value ->> 1, coalesce(value ->> 2, '') FROM {entries})
"""
_RELEASED = """
WHERE mapping_id = :mapping_id AND (profile, coalesce(email, '')) IN (
    SELECT value ->> 1, coalesce(value ->> 2, '') FROM {entries} WHERE EXISTS (
        SELECT 1 FROM ledger AS holder
        WHERE holder.mapping_id = CAST(value ->> 4 AS bigint) AND holder.profile = value ->> 5
        AND ({is_holder})))
"""
# When a row holds the subscriber of an entry.
_IS_HOLDER = {
    ProjectType.EMAIL: "holder.email = value ->> 2 OR (value ->> 2 IS NULL AND holder.user_id = value ->> 3)",
    ProjectType.USER_ID: "holder.user_id = value ->> 3",
    ProjectType.HYBRID: "holder.email = value ->> 2 OR holder.user_id = value ->> 3",
}
_DELETE = "DELETE FROM ledger"
_REMEMBER = """
INSERT INTO last_known (mapping_id, profile, email, at)
SELECT mapping_id, profile, email, CAST(:now AS double precision) FROM ledger
{which} AND email IS NOT NULL AND user_id IS NOT NULL AND NOT profile LIKE :former
ORDER BY 1, 2 -- as they are cleared: PostgreSQL locks them in this order
ON CONFLICT (mapping_id, profile) DO UPDATE SET email = excluded.email, at = excluded.at
"""
_RENAME = """
UPDATE ledger SET email = renamed.new_email, certain = ledger.certain AND :certain FROM (
    SELECT value ->> 1 AS profile, value ->> 2 AS old_email, value ->> 4 AS new_email FROM {entries}) AS renamed
WHERE ledger.profile = renamed.profile AND (ledger.email = renamed.old_email OR ledger.email IS NULL)
AND ledger.mapping_id IN (SELECT id FROM mappings WHERE connection_id = :connection_id)
"""

_PERHAPS_RENAMED = """
INSERT INTO ledger (mapping_id, profile, email, user_id, certain)
SELECT unsure.mapping_id, CAST(:former AS text) || (value ->> 4), value ->> 4, value ->> 3, :certain
FROM {entries} JOIN ledger AS unsure ON unsure.profile = value ->> 1 AND unsure.email = value ->> 2
WHERE unsure.mapping_id IN (SELECT id FROM mappings WHERE connection_id = :connection_id)
ON CONFLICT (mapping_id, profile) DO NOTHING
"""


async def upsert(
    db: AsyncConnection,
    mapping_id: int,
    entries: Sequence[BatchEntry],
    *,
    certain: bool,
    digests: Mapping[str, str] | None = None,
) -> None:
    """Record that the members of these entries are on the list, or, if not `certain`, that they may be.

    `digests` are those of the data fields that were sent, by member key; members without one were sent none. None: the
    batch has no data fields, and what the rows say of them stays.
    """
    await _write(db, mapping_id, _columns(entries), _AS_NEW, certain=certain, digests=digests)


async def put_batches(
    db: AsyncConnection,
    mapping_id: int,
    batches: Sequence[BatchColumns],
    *,
    certain: bool,
    digests: Mapping[str, str] | None = None,
) -> None:
    """As `upsert`, for whole batches."""
    columns = (
        list(chain.from_iterable(batch.member_keys for batch in batches)),
        list(chain.from_iterable(batch.emails for batch in batches)),
        list(chain.from_iterable(batch.user_ids for batch in batches)),
    )
    await _write(db, mapping_id, columns, _AS_NEW, certain=certain, digests=digests)


async def mark_uncertain(db: AsyncConnection, mapping_id: int, entries: Sequence[BatchEntry]) -> None:
    """Record that members who were to be removed may still be on the list. Existing rows keep their identity.

    That identity may be newer than the entry's: a placeholder that was renamed meanwhile.
    """
    await _write(db, mapping_id, _columns(entries), _AS_KNOWN, certain=False)


#: Profiles, emails and user ids; the n-th of each belong together.
_Columns = tuple[Sequence[str], Sequence[str | None], Sequence[str | None]]


def _columns(entries: Sequence[BatchEntry]) -> _Columns:
    return (
        [entry.member_key for entry in entries],
        [entry.email for entry in entries],
        [entry.user_id for entry in entries],
    )


async def _write(
    db: AsyncConnection,
    mapping_id: int,
    columns: _Columns,
    known: str,
    *,
    certain: bool,
    digests: Mapping[str, str] | None = None,
) -> None:
    if db.dialect.name == "postgresql" and len(set(columns[0])) < len(columns[0]):
        # the last entry of a member counts, and PostgreSQL refuses to write a row twice in a statement
        last = {row[0]: row for row in zip(*columns, strict=True)}.values()
        columns = [row[0] for row in last], [row[1] for row in last], [row[2] for row in last]
    rows = len(columns[0])
    width = 3 if digests is None else 4
    values: list[str | None] = [None] * (width * rows)
    values[0::width], values[1::width], values[2::width] = columns  # row after row, without a tuple for each
    if digests is not None:
        values[3::4] = map(digests.get, columns[0])
    whole = rows - rows % ROWS_A_STATEMENT
    for count, begin, end in ((ROWS_A_STATEMENT, 0, width * whole), (1, width * whole, width * rows)):
        if begin < end:
            statement = _put(
                db.dialect.name, mapping_id, count, known, certain=certain, with_digests=digests is not None
            )
            bound = [tuple(values[at : at + width * count]) for at in range(begin, end, width * count)]
            await db.exec_driver_sql(statement, bound)


@lru_cache(maxsize=64)
def _put(dialect: str, mapping_id: int, count: int, known: str, *, certain: bool, with_digests: bool) -> str:
    """Return the statement that writes `count` rows. Binding values is cheaper than reading JSON in the database."""
    mark = "?" if dialect == "sqlite" else "%s"
    more, more_mark, more_known = (", fields", f", {mark}", _DIGEST_AS_NEW) if with_digests else ("", "", "")
    row = f"({mapping_id:d}, {mark}, {mark}, {mark}, {'true' if certain else 'false'}{more_mark})"
    return _PUT.format(rows=", ".join([row] * count), known=known + more_known, more=more)


async def delete_matching(db: AsyncConnection, mapping_id: int, entries: Sequence[BatchEntry]) -> None:
    """Delete the rows of these entries that still have the identity of the entry."""
    await _forget(db, _TAKEN, mapping_id, entries)


async def release(
    db: AsyncConnection, mapping_id: int, entries: Sequence[BatchEntry], project_type: ProjectType
) -> None:
    """Delete the unchanged rows of these entries whose subscriber another row holds, if that row exists."""
    await _forget(db, _RELEASED.replace("{is_holder}", _IS_HOLDER[project_type]), mapping_id, entries)


async def _forget(db: AsyncConnection, which: str, mapping_id: int, entries: Sequence[BatchEntry]) -> None:
    remember = _REMEMBER.replace("{which}", which)
    await _run(
        db, remember, entries, mapping_id=mapping_id, now=await clock.now(db), former=f"{FORMER_IDENTITY_PREFIX}%"
    )
    await _run(db, _DELETE + which, entries, mapping_id=mapping_id)


async def rename(db: AsyncConnection, connection_id: int, entries: Sequence[BatchEntry], *, certain: bool) -> None:
    """Record that placeholders were renamed, or, if not `certain`, that they may have been.

    In all mappings of the connection, because Iterable renames users, not memberships.
    """
    await _run(db, _RENAME, entries, connection_id=connection_id, certain=certain)


async def note_new_addresses(db: AsyncConnection, connection_id: int, entries: Sequence[BatchEntry]) -> None:
    """Add the new address of members whose placeholder may have been renamed, in all mappings of the connection.

    If a member has another address by the next plan, this row is needed to remove the one in between.
    """
    await _run(db, _PERHAPS_RENAMED, entries, connection_id=connection_id, former=FORMER_IDENTITY_PREFIX, certain=False)


async def size(db: AsyncConnection, mapping_id: int, *, after: str = "") -> int:
    """Return the number of a mapping's ledger rows whose member key comes after `after`."""
    query = select(func.count()).select_from(ledger).where(ledger.c.mapping_id == mapping_id)
    if after:
        query = query.where(ledger.c.member_key > after)
    return int((await db.execute(query)).scalar_one())


async def sizes(db: AsyncConnection, mapping_ids: Sequence[int]) -> dict[int, int]:
    """Return the number of ledger rows of each of these mappings that has any."""
    query = select(ledger.c.mapping_id, func.count()).where(ledger.c.mapping_id.in_(mapping_ids))
    return {mapping_id: int(count) for mapping_id, count in await db.execute(query.group_by(ledger.c.mapping_id))}


@dataclass(frozen=True, slots=True)
class Row:
    """A member in the ledger. If not `is_confirmed`, it may or may not be on the list."""

    email: str | None
    user_id: str | None
    is_confirmed: bool


async def sample(db: AsyncConnection, mapping_ids: Sequence[int], limit: int) -> list[tuple[str | None, str | None]]:
    """Return the email and user id of up to `limit` confirmed members of these mappings, chosen by chance."""
    query = (
        select(ledger.c.email, ledger.c.user_id)
        .where(
            ledger.c.mapping_id.in_(mapping_ids),
            ledger.c.is_confirmed,
            ~ledger.c.member_key.startswith(FORMER_IDENTITY_PREFIX),
        )
        .order_by(func.random())
        .limit(limit)
    )
    return [(email, user_id) for email, user_id in await db.execute(query)]


async def of_person(db: AsyncConnection, mapping_ids: Sequence[int], wanted: str) -> dict[int, Row]:
    """Return the row of the person with this email (in any case), user id or mpid, by mapping."""
    matches = or_(
        ledger.c.email == wanted.lower(),
        ledger.c.user_id == wanted,
        ledger.c.member_key.in_([wanted, f"customer:{wanted}"]),
    )
    query = select(ledger.c.mapping_id, ledger.c.email, ledger.c.user_id, ledger.c.is_confirmed).where(
        ledger.c.mapping_id.in_(mapping_ids),
        matches,
        ~ledger.c.member_key.startswith(FORMER_IDENTITY_PREFIX, autoescape=True),
    )
    return {mapping_id: Row(*row) for mapping_id, *row in await db.execute(query)}


# Lists of values are passed as JSON arrays.
_VALUES = {
    "sqlite": "SELECT value FROM json_each(:{name})",
    "postgresql": "SELECT jsonb_array_elements_text(CAST(:{name} AS jsonb))",
}
_FOUND = "SELECT mapping_id, profile, email, user_id, certain FROM ledger WHERE "
_BY_PROFILE = _FOUND + "mapping_id = :mapping_id AND profile IN ({profiles})"
_ENTRY = (ledger.c.mapping_id, ledger.c.member_key, ledger.c.email, ledger.c.user_id, ledger.c.is_confirmed)
#: A row for planning: mapping id, member key, email, user id, is confirmed.
Entry = tuple[int, str, str | None, str | None, bool]


async def by_profile(db: AsyncConnection, mapping_id: int, profiles: Sequence[str]) -> list[Entry]:
    """Return the rows of a mapping for these profiles."""
    return await _look_up(db, _BY_PROFILE, {"mapping_id": mapping_id, "profiles": profiles})


async def former_identities(db: AsyncConnection, mapping_id: int) -> list[Entry]:
    """Return the rows of a mapping that are former identities."""
    # a range of the primary key: ";" comes after ":"
    is_former = ledger.c.member_key.between(FORMER_IDENTITY_PREFIX, FORMER_IDENTITY_PREFIX[:-1] + ";")
    rows = await db.execute(select(*_ENTRY).where(ledger.c.mapping_id == mapping_id, is_former))
    return [tuple(row) for row in rows if row.profile.startswith(FORMER_IDENTITY_PREFIX)]


async def _look_up(db: AsyncConnection, statement: str, wanted: Mapping[str, int | Sequence[str]]) -> list[Entry]:
    lists = {name: values for name, values in wanted.items() if not isinstance(values, int)}
    if not any(lists.values()):
        return []
    selects = {name: _VALUES[db.dialect.name].format(name=name) for name in lists}
    values = {name: value for name, value in wanted.items() if isinstance(value, int)}
    rows = await db.execute(
        text(statement.format(**selects)), values | {name: json.dumps(list(each)) for name, each in lists.items()}
    )
    return [(*row[:4], bool(row[4])) for row in rows]


async def rows_of(
    db: AsyncConnection, mapping_ids: Sequence[int], chunk: int
) -> AsyncIterator[Sequence[tuple[Any, ...]]]:
    """Yield (mapping id, member key, email, user id, is confirmed) of these mappings, in chunks of that many rows."""
    query = select(*_ENTRY).where(ledger.c.mapping_id.in_(mapping_ids)).execution_options(yield_per=chunk)
    result = await db.stream(query)
    async for rows in result.partitions():
        yield rows


async def field_digests(
    db: AsyncConnection, mapping_id: int, chunk: int, profiles: Sequence[str] | None = None
) -> AsyncIterator[Sequence[tuple[Any, ...]]]:
    """Yield (member key, digest of the data fields that were sent last) of a mapping, in chunks of that many rows.

    Only of these profiles, unless None is given.
    """
    query = select(ledger.c.member_key, ledger.c.fields_digest).where(
        ledger.c.mapping_id == mapping_id, ledger.c.fields_digest.is_not(None)
    )
    if profiles is not None:
        query = query.where(ledger.c.member_key.in_(profiles))
    result = await db.stream(query.execution_options(yield_per=chunk))
    async for rows in result.partitions():
        yield rows


_DIGESTS = select(ledger.c.member_key, ledger.c.fields_digest).where(
    ledger.c.mapping_id == bindparam("mapping_id"),
    ledger.c.member_key.in_(bindparam("member_keys", expanding=True)),
    ledger.c.fields_digest.is_not(None),
)


async def digests_of(db: AsyncConnection, mapping_id: int, member_keys: Sequence[str]) -> dict[str, str]:
    """Return the digests of the data fields that were sent last to few members of a mapping, by member key."""
    rows = await db.execute(_DIGESTS, {"mapping_id": mapping_id, "member_keys": member_keys})
    return {key: digest for key, digest in rows}  # noqa: C416  # rows, not pairs


async def _run(db: AsyncConnection, statement: str, entries: Sequence[BatchEntry], **values: Any) -> None:
    sql = statement.format(entries=_ENTRIES[db.dialect.name])
    await db.execute(text(sql), {"entries": orjson.dumps([entry.as_row() for entry in entries]).decode(), **values})
