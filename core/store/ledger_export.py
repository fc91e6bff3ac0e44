"""The ledger's rows as lines of JSON arrays, made by the database: for planning, which reads all rows of a list.

As Python objects, the rows cost more than the rest of planning. No text is empty.
"""

from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

# On SQLite, one row for the lines of a piece. An array of arrays costs less than to join lines, and it becomes lines
# unless a text has what is between two arrays. `_LAST` finds the last key of a piece.
_SQLITE = """
SELECT {lines}, count(*) FROM ledger
WHERE mapping_id = :mapping_id AND profile > :after {up_to_last}
"""
_LINE = "json_array(0, profile, email, user_id, certain)"
_ARRAY, _JOINED = f"json_group_array({_LINE})", f"group_concat({_LINE}, char(10))"
_BETWEEN = b"],["
_LAST = """
SELECT profile FROM ledger WHERE mapping_id = :mapping_id AND profile > :after
ORDER BY profile LIMIT 1 OFFSET :rows - 1
"""
# On PostgreSQL, a row for each line. (COPY costs four times as much here, because it is read row by row, too.) Its
# functions for JSON take half as long again.
_POSTGRESQL = r"""
SELECT '[0,"' || replace(replace(profile, '\', '\\'), '"', '\"') || '",'
    || coalesce('"' || replace(replace(email, '\', '\\'), '"', '\"') || '"', 'null') || ','
    || coalesce('"' || replace(replace(user_id, '\', '\\'), '"', '\"') || '"', 'null') || ',' || certain::int || ']'
FROM ledger
WHERE mapping_id = %s
"""


async def lines_of(db: AsyncConnection, mapping_id: int, rows: int) -> AsyncIterator[bytes]:
    """Yield pieces of at most so many lines: all rows of a mapping. `core.sources.arrow.table_of_lines` reads them.

    A line is an array: 0, the member's key, its email and user id or null, and whether it is confirmed (0 or 1). Line
    breaks and the like in a text are escaped, or are there as they are.
    """
    pieces = _sqlite_pieces if db.dialect.name == "sqlite" else _postgresql_pieces
    async for piece in pieces(db, mapping_id, rows):
        yield piece


async def _postgresql_pieces(db: AsyncConnection, mapping_id: int, rows: int) -> AsyncIterator[bytes]:
    """Read with the driver itself: SQLAlchemy costs 1.5 us per row. Raises SQLAlchemy's errors all the same."""
    connection: Any = (await db.get_raw_connection()).driver_connection
    errors = db.dialect.loaded_dbapi.Error
    try:
        async with connection.cursor("ledger", binary=True) as cursor:
            await cursor.execute(_POSTGRESQL, [mapping_id])
            while lines := await cursor.fetchmany(rows):
                yield "\n".join([line for (line,) in lines]).encode()
    except errors as error:
        is_gone = connection.closed
        if is_gone:
            await db.invalidate(error)
        raise DBAPIError.instance(
            _POSTGRESQL, None, error, errors, hide_parameters=True, connection_invalidated=is_gone, dialect=db.dialect
        ) from error


async def _sqlite_pieces(db: AsyncConnection, mapping_id: int, rows: int) -> AsyncIterator[bytes]:
    after: str | None = ""
    while after is not None:
        values: dict[str, object] = {"mapping_id": mapping_id, "after": after}
        last = (await db.execute(text(_LAST), values | {"rows": rows})).scalar()
        up_to_last = "" if last is None else "AND profile <= :last"
        values |= {} if last is None else {"last": last}
        piece, count = (await db.execute(text(_SQLITE.format(lines=_ARRAY, up_to_last=up_to_last)), values)).one()
        lines = piece.encode()[1:-1].replace(_BETWEEN, b"]\n[")
        if lines.count(b"\n") + 1 > count:
            query = text(_SQLITE.format(lines=_JOINED, up_to_last=up_to_last))
            lines = (await db.execute(query, values)).one()[0].encode() if count else b""
        if lines:
            yield lines
        after = last
