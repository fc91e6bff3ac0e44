"""Leavers who come with a user id alone, and under which address they are or were known.

To Iterable a user id means whoever has it, and that may be somebody whom the ledger holds under the address only. So
such a leaver is looked for by the address: then whoever is to stay on the list is seen to hold it.
"""

import duckdb
import pyarrow as pa

from core.planning.workspace import insert, run
from core.store import last_known_emails
from core.store.database import Database

# Profiles looked up at once.
_CHUNK = 5_000

_ADDRESSES = pa.schema([("profile", pa.string()), ("email", pa.string())])
_NAMELESS = "SELECT profile FROM gone WHERE reason IS NULL AND email IS NULL ORDER BY profile"


async def fill_last_known_emails(con: duckdb.DuckDBPyConnection, database: Database, mapping_id: int) -> None:
    """Fill the table `addresses` for the leavers in `gone`."""
    rows = con.cursor()
    await run(con, rows.execute, _NAMELESS)
    while some := await run(con, rows.fetchmany, _CHUNK):
        async with database.read() as db:
            found = await last_known_emails.find(db, mapping_id, [profile for (profile,) in some])
        await run(con, insert, con, "addresses", _ADDRESSES, found)
