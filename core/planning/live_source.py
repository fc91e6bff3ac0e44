"""Live changes in planning: the members of a live run, and the exclusion of newer changes from the plan of a file."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from core.models.run import Run, SyncMode
from core.planning.data_fields import FieldSettings
from core.planning.schema import create
from core.planning.workspace import Workspace, insert, run
from core.sources import Source, SourceFormat
from core.sources.field_columns import TABLE, create_values
from core.store import inbox, live_attributes
from core.store.database import Database

if TYPE_CHECKING:
    import duckdb

# The table that core/sources creates, plus which identities are present only as hashes.
_SOURCE = """
CREATE TABLE source (
    profile VARCHAR NOT NULL, mpid BIGINT, member BOOLEAN NOT NULL, email VARCHAR, customer_id VARCHAR, hashed INTEGER)
"""
_COLUMNS = {
    "profile": "VARCHAR",
    "mpid": "BIGINT",
    "member": "BOOLEAN",
    "email": "VARCHAR",
    "customer_id": "VARCHAR",
    "hashed": "INTEGER",
}
#: A row of it: member key, mpid, is member, email, customer id, hashed identities.
SourceRow = tuple[str, int | None, bool, str | None, str | None, int]
_CHUNK = 20_000

_FORGET_OLDER = """
DELETE FROM newer_changes WHERE (event_ms > coalesce(if(in_source, row_ms, NULL), $oldest)) IS NOT TRUE
"""
# A mirror keeps members that a newer live change has added, under the identity of that change.
_KEEP = """
INSERT INTO desired (member_key, email, user_id, is_counted) SELECT member_key, email, user_id, false FROM ledger
WHERE mapping_id = $mapping_id AND member_key IN (SELECT member_key FROM newer_changes WHERE is_member)
    AND member_key NOT IN (SELECT member_key FROM desired)
"""


async def claimed_changes(database: Database, live_run: Run) -> list[SourceRow]:
    """Return the live changes of a run as rows of the table `source`."""
    async with database.read() as db:
        changes = await inbox.claimed_by(db, live_run.id)
    return [
        (c.member_key, mpid_of(c.member_key), c.is_member, c.email, c.customer_id, c.hashed_fields) for c in changes
    ]


async def load_attributes(
    con: "duckdb.DuckDBPyConnection", database: Database, live_run: Run, fields: FieldSettings
) -> None:
    """Create the table `source_fields` from the attributes in the live changes of a run."""
    async with database.read() as db:
        sealed = await inbox.attributes_claimed_by(db, live_run.id)
    await run(con, _make_fields, con, fields, sealed)


def live_source(rows: int, *, has_fields: bool) -> Source:
    """Return the description of so many live changes of a run."""
    return Source(
        shape=SourceFormat.LIVE,
        is_snapshot=False,
        audience_id=None,
        audience_name=None,
        file_name="mParticle",
        rows=rows,
        has_mpid=True,
        as_of=None,
        has_fields=has_fields,
        infers_types=False,
    )


async def load_newer_changes(
    con: Workspace,
    database: Database,
    mapping_id: int,
    *,
    is_live: bool = True,
    since_ms: int = -(2**63),
) -> None:
    """Fill the table `newer_changes` with the live changes of a mapping that are newer than `since_ms`.

    It stays empty if the mapping is not live: the Firehose may send changes for it already, but they only wait.
    """
    con.execute(create("newer_changes"))
    if is_live:
        async with database.read_rows() as db:
            async for rows in inbox.newer(db, mapping_id, since_ms, _CHUNK):
                await run(con, insert, con, "newer_changes", [(*row, False, None) for row in rows])


async def exclude_newer_live_changes(con: Workspace, source: Source) -> None:
    """Delete the members from a file's `source` that have a newer live change, and older changes from `newer_changes`.

    An export takes minutes to hours and scans each person at another time: a row is as old as its own time stamp. A
    person who is absent, or whose row has no time stamp, is as old as the oldest one, because nothing tells when in the
    meantime the export looked for that person. Deletes no member if the file has no time stamps.
    """
    oldest = None if source.oldest is None else int(source.oldest.timestamp() * 1000)
    await run(con, lambda: con.execute(_FORGET_OLDER, {"oldest": oldest}))
    await run(con, lambda: con.execute("DELETE FROM source WHERE profile IN (SELECT member_key FROM newer_changes)"))


async def exclude_changed_since(con: Workspace, database: Database, mapping_id: int, since: float) -> int:
    """Delete the members from the rest of a file's plan that have a live change newer than `since` (UTC seconds).

    Returns the number of counted members among them.
    """
    await load_newer_changes(con, database, mapping_id, since_ms=int(since * 1000))
    excluded = 0
    for table in ("desired", "leavers"):
        query = f"SELECT count(*) FROM {table} SEMI JOIN newer_changes USING (member_key) WHERE is_counted"
        excluded += int(con.execute(query).fetchall()[0][0])
        con.execute(f"DELETE FROM {table} WHERE member_key IN (SELECT member_key FROM newer_changes)")
    return excluded


async def restore_newer(con: Workspace, mapping_id: int, mode: SyncMode) -> None:
    """Add the excluded members to `desired`, uncounted, that a newer live change has added. Mirrors only."""
    if mode is SyncMode.MIRROR and con.execute("SELECT count(*) FROM newer_changes WHERE is_member").fetchall()[0][0]:
        await run(con, lambda: con.execute(_KEEP, {"mapping_id": mapping_id}))


def fill_source(con: Workspace, rows: Sequence[SourceRow]) -> None:
    """Create the table `source` with these rows."""
    con.execute(_SOURCE)
    insert(con, "source", rows, _COLUMNS)


def _make_fields(con: "duckdb.DuckDBPyConnection", fields: FieldSettings, sealed: Sequence[tuple[str, str]]) -> None:
    columns = create_values(con, len(fields.choices))
    rows = []
    for member_key, token in sealed:
        values = live_attributes.opened(fields.vault, token)
        rows.append((member_key, *(values.get(name) for name in fields.choices)))
    insert(con, TABLE, rows, columns)


def mpid_of(member_key: str) -> int | None:
    """Return the mpid that is a member's key; None if another identity is."""
    digits = member_key.removeprefix("-")
    return int(member_key) if digits.isascii() and digits.isdecimal() else None
