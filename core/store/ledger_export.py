"""The ledger's rows as CSV, made by the database: for planning, which reads all rows of a list.

As Python objects, the rows cost more than the rest of planning. Text is quoted; no text is empty, so an empty field is
NULL.
"""

from collections.abc import AsyncIterator, Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from core.errors import StorageError

#: The columns of a line, in this order. The names are those of `ledger` in core/planning/sql/schema.sql.
COLUMNS = ("mapping_id", "member_key", "email", "user_id", "is_confirmed")

# One row: the lines of the next rows by primary key, how many they are, and the last key. `%w` doubles quotes.
_SQLITE = """
SELECT CAST(group_concat(line, char(10)) AS BLOB), count(*), max(profile) FROM (
    SELECT
        profile,
        printf(
            '%d,"%w","%w","%w",%d', mapping_id, profile, coalesce(email, ''), coalesce(user_id, ''), certain
        ) AS line
    FROM ledger
    WHERE mapping_id = :mapping_id AND profile > :after
    ORDER BY profile
    LIMIT :limit
)
"""
_POSTGRESQL = """
COPY (SELECT mapping_id, profile, email, user_id, certain::int FROM ledger WHERE mapping_id IN ({mapping_ids}))
TO STDOUT (FORMAT csv, FORCE_QUOTE (profile, email, user_id), ENCODING 'UTF8')
"""
# Bytes of a piece on PostgreSQL, which sends row by row.
_PIECE_BYTES = 8 << 20


async def csv_of(db: AsyncConnection, mapping_ids: Sequence[int], rows: int) -> AsyncIterator[bytes]:
    """Yield pieces of CSV without a header: all rows of these mappings. On SQLite, each has at most so many rows."""
    pieces = _sqlite_pieces(db, mapping_ids, rows) if db.dialect.name == "sqlite" else _copied(db, mapping_ids)
    async for piece in pieces:
        yield piece


async def _sqlite_pieces(db: AsyncConnection, mapping_ids: Sequence[int], rows: int) -> AsyncIterator[bytes]:
    statement = text(_SQLITE)
    for mapping_id in mapping_ids:
        count, after = rows, ""
        while count == rows:
            values = {"mapping_id": mapping_id, "after": after, "limit": rows}
            lines, count, last = (await db.execute(statement, values)).one()
            if count:
                yield lines
                after = last


async def _copied(db: AsyncConnection, mapping_ids: Sequence[int]) -> AsyncIterator[bytes]:
    connection = (await db.get_raw_connection()).driver_connection
    if connection is None:
        raise StorageError("The connection to the database was closed.")
    numbers = ", ".join(str(int(each)) for each in mapping_ids) or "NULL"
    piece = bytearray()
    async with connection.cursor() as cursor, cursor.copy(_POSTGRESQL.format(mapping_ids=numbers)) as copy:
        async for block in copy:
            piece += block
            if len(piece) >= _PIECE_BYTES:
                yield bytes(piece)
                piece.clear()
    if piece:
        yield bytes(piece)
