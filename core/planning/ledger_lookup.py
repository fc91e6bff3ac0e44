"""The rows of the ledger that matter for a small change: copying all rows of a large list would take seconds.

For a source that is not a whole audience, `core.planning.diff` needs the rows of the source's members and the rows of
the same subscribers. In an email-based project these have an email that one of the members has or had, or the user id
of a member without an email. In a userID-based project they have the user id of a member, in a hybrid project either.
No other row changes an outcome.
"""

from collections.abc import Sequence

from core.identity import ProjectType
from core.planning.workspace import Workspace, fill_ledger, load_ledger, run
from core.store import ledger
from core.store.database import Database
from core.store.ledger import Entry

# Up to this many members, looking up their rows is cheaper than copying all rows.
MOST_LOOKED_UP = 5_000

_MEMBERS = """
SELECT member_key, email, user_id FROM desired
UNION ALL
SELECT member_key, coalesce(leavers.email, last_known_emails.email), user_id
FROM leavers LEFT JOIN last_known_emails USING (member_key)
"""
_HAS_OTHER_KEY = ("customer:", "email:")


async def load_relevant_ledger(
    con: Workspace,
    database: Database,
    mapping_id: int,
    mapping_ids: Sequence[int],
    project_type: ProjectType = ProjectType.EMAIL,
) -> None:
    """Fill the table `ledger` with the rows that matter for `desired` and `leavers`, or with all if those are many.

    `mapping_id` is the run's mapping, `mapping_ids` are all mappings of its list.
    """
    count = await run(con, lambda: con.execute(f"SELECT count(*) FROM ({_MEMBERS})").fetchall()[0][0])
    if count > MOST_LOOKED_UP:
        await load_ledger(con, database, mapping_ids)
        return
    members = await run(con, lambda: con.execute(_MEMBERS).fetchall())
    rows = await _find_rows(database, mapping_id, mapping_ids, members, project_type)
    await run(con, fill_ledger, con, rows)


async def _find_rows(
    database: Database,
    mapping_id: int,
    mapping_ids: Sequence[int],
    members: Sequence[tuple[str, str | None, str | None]],
    project_type: ProjectType,
) -> list[Entry]:
    by_email = project_type is not ProjectType.USER_ID
    by_user_id = project_type is not ProjectType.EMAIL
    emails = {email for _, email, _ in members if email is not None and by_email}
    # in an email-based project a user id is looked up only if nothing else identifies the member
    user_ids = {
        user_id
        for profile, email, user_id in members
        if user_id is not None and (by_user_id or email is None or profile.startswith(_HAS_OTHER_KEY))
    }
    async with database.read() as db:
        rows = {
            *await ledger.by_profile(db, mapping_id, [profile for profile, _, _ in members]),
            *await ledger.former_identities(db, mapping_id),
        }
        looked_up: set[tuple[str, str]] = set()
        while True:  # once, and again for members that the ledger knows by their user id under another email
            own_rows = [row for row in rows if row[0] == mapping_id]
            emails.update(email for _, _, email, _, _ in own_rows if email is not None and by_email)
            user_ids.update(
                user_id for _, _, email, user_id, _ in own_rows if user_id is not None and (by_user_id or email is None)
            )
            identities = {("email", email) for email in emails} | {("user id", user_id) for user_id in user_ids}
            if identities <= looked_up:
                return sorted(rows, key=lambda row: row[:2])
            looked_up = identities
            rows.update(await ledger.by_identity(db, mapping_ids, sorted(emails), sorted(user_ids)))
