"""The rows of the ledger that concern a small change: copying all rows of a large list would take seconds.

For changes that are no whole audience, `core.planning.diff` needs two kinds of rows: those of the source's members, and
those with an email that one of them has or had, or with the user id of one without an email. No other row changes an
outcome.
"""

from collections.abc import Sequence

import duckdb

from core.planning.workspace import fill_ledger, load_ledger, run
from core.store import ledger
from core.store.database import Database
from core.store.ledger import Entry

# Members of a source up to which looking their rows up is cheaper than copying all.
MOST_LOOKED_UP = 5_000

_MEMBERS = """
SELECT member_key, email, user_id FROM desired
UNION ALL
SELECT member_key, coalesce(leavers.email, last_known_emails.email), user_id
FROM leavers LEFT JOIN last_known_emails USING (member_key)
"""
_HAS_OTHER_KEY = ("customer:", "email:")


async def load_relevant_ledger(
    con: duckdb.DuckDBPyConnection, database: Database, mapping_id: int, mapping_ids: Sequence[int]
) -> None:
    """Fill the table `ledger` with the rows that concern `desired` and `leavers`, or with all rows if those are many.

    `mapping_id` is the run's mapping, `mapping_ids` are all of its list.
    """
    count = await run(con, lambda: con.execute(f"SELECT count(*) FROM ({_MEMBERS})").fetchall()[0][0])
    if count > MOST_LOOKED_UP:
        await load_ledger(con, database, mapping_ids)
        return
    members = await run(con, lambda: con.execute(_MEMBERS).fetchall())
    rows = await _concerned(database, mapping_id, mapping_ids, members)
    await run(con, fill_ledger, con, rows)


async def _concerned(
    database: Database,
    mapping_id: int,
    mapping_ids: Sequence[int],
    members: Sequence[tuple[str, str | None, str | None]],
) -> list[Entry]:
    emails = {email for _, email, _ in members if email is not None}
    # by user id only where nothing else tells who it is
    user_ids = {
        user_id
        for profile, email, user_id in members
        if user_id is not None and (email is None or profile.startswith(_HAS_OTHER_KEY))
    }
    async with database.read() as db:
        found = {
            *await ledger.by_profile(db, mapping_id, [profile for profile, _, _ in members]),
            *await ledger.former_identities(db, mapping_id),
        }
        looked_for: set[str] = set()
        while True:  # once, and again for those who are known by their user id under another email
            theirs = [row for row in found if row[0] == mapping_id]
            emails.update(email for _, _, email, _, _ in theirs if email is not None)
            user_ids.update(user_id for _, _, email, user_id, _ in theirs if email is None and user_id is not None)
            wanted = emails | user_ids
            if wanted <= looked_for:
                return sorted(found, key=lambda row: row[:2])
            looked_for = wanted
            found.update(await ledger.by_identity(db, mapping_ids, sorted(emails), sorted(user_ids)))
