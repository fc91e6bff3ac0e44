"""The rows of the ledger that matter for a small change: copying all rows of a large list would take seconds.

For a source that is not a whole audience, `core.planning.diff` needs the rows of the source's members and the rows of
the same subscribers. In an email-based project these have an email that one of the members has or had, or the user id
of a member without an email. In a userID-based project they have the user id of a member, in a hybrid project either.
No other row changes an outcome.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from core.identity import ProjectType
from core.planning.workspace import Workspace, fill_ledger, load_ledger, run
from core.store import ledger_rows
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

#: Member key, email and user id.
Member = tuple[str, str | None, str | None]


class LedgerLookup:
    """Which rows of the ledger matter for some members of a mapping, and those that were found."""

    def __init__(
        self, members: Sequence[Member], mapping_id: int, mapping_ids: Sequence[int], project_type: ProjectType
    ) -> None:
        """Take members with their identities. `mapping_ids` are all mappings of the mapping's list."""
        self.mapping_id = mapping_id
        self.mapping_ids = mapping_ids
        self._by_email = project_type is not ProjectType.USER_ID
        self._by_user_id = project_type is not ProjectType.EMAIL
        self.member_keys = {member_key for member_key, _, _ in members}
        self._rows: set[Entry] = set()
        self._looked_up = 0
        self._emails = {email for _, email, _ in members if email is not None and self._by_email}
        # in an email-based project a user id is looked up only if nothing else identifies the member
        self._user_ids = {
            user_id
            for profile, email, user_id in members
            if user_id is not None and (self._by_user_id or email is None or profile.startswith(_HAS_OTHER_KEY))
        }

    @property
    def rows(self) -> list[Entry]:
        """The rows that were found, in the order of their keys."""
        return sorted(self._rows, key=lambda row: row[:2])

    def add(self, rows: Iterable[Entry]) -> None:
        """Add rows that were found, and take their identities."""
        self._rows.update(rows)
        for mapping_id, _, email, user_id, _ in self._rows:
            if mapping_id != self.mapping_id:
                continue
            if email is not None and self._by_email:
                self._emails.add(email)
            if user_id is not None and (self._by_user_id or email is None):
                self._user_ids.add(user_id)

    def next_identities(self) -> tuple[set[str], set[str]] | None:
        """Return the emails and user ids to look up; None if all have been.

        That is once, and again for members that the ledger knows by their user id under another email.
        """
        size = len(self._emails) + len(self._user_ids)
        if size == self._looked_up:
            return None
        self._looked_up = size
        return self._emails, self._user_ids

    def concerns(self, row: Entry) -> bool:
        """Return whether a row has one of the identities."""
        return row[0] in self.mapping_ids and (row[2] in self._emails or row[3] in self._user_ids)


async def look_up(db: AsyncConnection, lookups: Sequence[LedgerLookup]) -> None:
    """Find the rows of several look-ups, each of another mapping, with few statements."""
    by_mapping = {lookup.mapping_id: lookup for lookup in lookups}
    rows = await ledger_rows.of_members(db, {lookup.mapping_id: lookup.member_keys for lookup in lookups})
    for mapping_id, lookup in by_mapping.items():
        lookup.add(row for row in rows if row[0] == mapping_id)
    unfinished = [*lookups]
    while unfinished:
        emails: dict[int, set[str]] = {}
        user_ids: dict[int, set[str]] = {}
        wanted = [(lookup, identities) for lookup in unfinished if (identities := lookup.next_identities()) is not None]
        for lookup, identities in wanted:
            for mapping_id in lookup.mapping_ids:
                emails.setdefault(mapping_id, set()).update(identities[0])
                user_ids.setdefault(mapping_id, set()).update(identities[1])
        rows = await ledger_rows.of_identities(db, emails, user_ids)
        unfinished = [lookup for lookup, _ in wanted]
        for lookup in unfinished:
            lookup.add([row for row in rows if lookup.concerns(row)])


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
    lookup = LedgerLookup(members, mapping_id, mapping_ids, project_type)
    async with database.read() as db:
        await look_up(db, [lookup])
    await run(con, fill_ledger, con, lookup.rows)
