"""Fill in last-known emails for leavers that carry only a user id.

In Iterable a user id stands for the user that has it, which may be a member that the ledger knows by its email only. A
leaver is therefore compared by its email, so that the diff sees a member that stays on the list.
"""

import duckdb

from core.planning.workspace import insert, run
from core.store import last_known_emails
from core.store.database import Database

# Profiles looked up at once.
_CHUNK = 5_000

_WITHOUT_EMAIL = "SELECT member_key FROM leavers WHERE reason IS NULL AND email IS NULL ORDER BY member_key"


async def fill_last_known_emails(con: duckdb.DuckDBPyConnection, database: Database, mapping_id: int) -> None:
    """Fill the table `last_known_emails` for leavers."""
    rows = con.cursor()
    await run(con, rows.execute, _WITHOUT_EMAIL)
    while some := await run(con, rows.fetchmany, _CHUNK):
        async with database.read() as db:
            emails = await last_known_emails.find(db, mapping_id, [key for (key,) in some])
        await run(con, insert, con, "last_known_emails", emails)
