"""The ledger's rows as lines of JSON arrays, made by the database: for planning, which reads all rows of a list.

As Python objects, the rows cost more than the rest of planning. No text is empty.
"""

from collections.abc import AsyncIterator
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

# On SQLite, one row for many lines: those of the next rows by primary key, how many they are, and the last key.
_SQLITE = """
SELECT group_concat(line, char(10)), count(*), max(profile) FROM (
    SELECT profile, json_array(0, profile, email, user_id, certain) AS line
    FROM ledger
    WHERE mapping_id = :mapping_id AND profile > :after
    ORDER BY profile
    LIMIT :limit
)
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
    count, after = rows, ""
    while count == rows:
        values = {"mapping_id": mapping_id, "after": after, "limit": rows}
        lines, count, last = (await db.execute(text(_SQLITE), values)).one()
        if count:
            yield lines.encode()
            after = last
