"""Planning with live changes: a run's members from the inbox, and what keeps a file from undoing newer ones."""

from collections.abc import Sequence

import duckdb
import pyarrow as pa

from core.models.run import Run, SyncMode
from core.planning.workspace import insert, run
from core.sources import Source, SourceFormat
from core.store import inbox
from core.store.database import Database

# As core/audience makes it, and which identities there are only as hashes.
_SOURCE = """
CREATE OR REPLACE TABLE source (
    profile VARCHAR NOT NULL, mpid BIGINT, member BOOLEAN NOT NULL, email VARCHAR, customer_id VARCHAR, hashed INTEGER)
"""
_STRING = pa.string()
_ROWS = pa.schema(
    [
        ("profile", _STRING),
        ("mpid", pa.int64()),
        ("member", pa.bool_()),
        ("email", _STRING),
        ("customer_id", _STRING),
        ("hashed", pa.int32()),
    ]
)
_NEWER = pa.schema([("profile", _STRING), ("member", pa.bool_())])
_CHUNK = 20_000

# A mirror keeps whom a newer live change has put on the list, as that did.
_KEEP = """
INSERT INTO desired BY NAME SELECT profile, email, user_id, false AS counted FROM ledger
WHERE mapping_id = $mapping_id AND profile IN (SELECT profile FROM newer WHERE member)
    AND profile NOT IN (SELECT profile FROM desired)
"""


async def load_live_changes(con: duckdb.DuckDBPyConnection, database: Database, this: Run) -> Source:
    """Make the table `source` of what the inbox has for a live run."""
    async with database.read() as db:
        found = await inbox.claimed_by(db, this.id)
    rows = [(c.member_key, _mpid(c.member_key), c.is_member, c.email, c.customer_id, c.hashed_fields) for c in found]
    await run(con, _make_source, con, rows)
    return Source(
        shape=SourceFormat.LIVE,
        is_snapshot=False,
        audience_id=None,
        audience_name=None,
        file_name="mParticle",
        rows=len(rows),
        has_mpid=True,
        as_of=None,
    )


async def exclude_newer_live_changes(
    con: duckdb.DuckDBPyConnection, database: Database, mapping_id: int, source: Source
) -> None:
    """Leave members out of a file's `source` about whom mParticle has said something newer since."""
    con.execute("CREATE TABLE newer (profile VARCHAR, member BOOLEAN)")
    if source.as_of is None:  # nobody knows how old it is
        return
    async with database.read() as db:
        async for rows in inbox.newer(db, mapping_id, int(source.as_of.timestamp() * 1000), _CHUNK):
            await run(con, insert, con, "newer", _NEWER, rows)
    await run(con, con.execute, "DELETE FROM source WHERE profile IN (SELECT profile FROM newer)")


async def exclude_changed_since(
    con: duckdb.DuckDBPyConnection, database: Database, mapping_id: int, since: float
) -> int:
    """Leave out of what is left of a file's plan whom live changes concern that are newer than it.

    Returns how many of those count.
    """
    con.execute("CREATE TABLE newer (profile VARCHAR, member BOOLEAN)")
    async with database.read() as db:
        async for rows in inbox.newer(db, mapping_id, int(since * 1000), _CHUNK):
            await run(con, insert, con, "newer", _NEWER, rows)
    left_out = 0
    for table in ("desired", "gone"):
        query = f"SELECT count(*) FROM {table} SEMI JOIN newer USING (profile) WHERE counted"
        left_out += int(con.execute(query).fetchall()[0][0])
        con.execute(f"DELETE FROM {table} WHERE profile IN (SELECT profile FROM newer)")
    return left_out


async def restore_newer(con: duckdb.DuckDBPyConnection, mapping_id: int, mode: SyncMode) -> None:
    """Add to `desired`, not to be counted, those left out whom live changes have put on the list."""
    if mode is SyncMode.MIRROR and con.execute("SELECT count(*) FROM newer WHERE member").fetchall()[0][0]:
        await run(con, con.execute, _KEEP, {"mapping_id": mapping_id})


def _make_source(con: duckdb.DuckDBPyConnection, rows: Sequence[Sequence[object]]) -> None:
    con.execute(_SOURCE)
    insert(con, "source", _ROWS, rows)


def _mpid(profile: str) -> int | None:
    digits = profile.removeprefix("-")
    return int(profile) if digits.isascii() and digits.isdecimal() else None
