"""The last known emails of leavers that come with a user id only.

The ledger may know the user with that id by email only, as another member that stays on the list. The diff notices that
only if it can compare the leaver's email.
"""

from core.planning.workspace import Workspace, insert, run
from core.store import last_known_emails
from core.store.database import Database

# Profiles that are looked up at once.
_CHUNK = 5_000

_WITHOUT_EMAIL = "SELECT member_key FROM leavers WHERE reason IS NULL AND email IS NULL ORDER BY member_key"


async def fill_last_known_emails(con: Workspace, database: Database, mapping_id: int) -> None:
    """Fill the table `last_known_emails` for the leavers without an email."""
    rows = await run(con, lambda: con.cursor().execute(_WITHOUT_EMAIL))
    while chunk := await run(con, rows.fetchmany, _CHUNK):
        async with database.read() as db:
            emails = await last_known_emails.find(db, mapping_id, [key for (key,) in chunk])
        await run(con, insert, con, "last_known_emails", emails)
