"""The rows of the ledger that matter for a small change: copying all rows of a large list would take seconds.

For a source that is not a whole audience, `core.planning.diff` needs the rows of the source's members and the rows of
the same subscribers. In an email-based project these have an email that one of the members has or had, or the user id
of a member without an email. In a userID-based project they have the user id of a member, in a hybrid project either.
No other row changes an outcome.
"""

from collections.abc import Iterable, Sequence

from sqlalchemy.ext.asyncio import AsyncConnection

from core.identity import ProjectType
from core.models.batch import FORMER_IDENTITY_PREFIX
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
        self._looked_up: tuple[set[str], set[str]] = (set(), set())
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
        """Return the emails and user ids that have not been looked up; None if all have been.

        That is once, and again for members that the ledger knows under another email or user id.
        """
        emails, user_ids = self._emails - self._looked_up[0], self._user_ids - self._looked_up[1]
        if not emails and not user_ids:
            return None
        self._looked_up = self._looked_up[0] | emails, self._looked_up[1] | user_ids
        return emails, user_ids

    def concerns(self, row: Entry) -> bool:
        """Return whether a row is a member's, a former identity of the mapping, or has one of the identities."""
        mapping_id, member_key, email, user_id, _ = row
        if mapping_id == self.mapping_id and (
            member_key in self.member_keys or member_key.startswith(FORMER_IDENTITY_PREFIX)
        ):
            return True
        return mapping_id in self.mapping_ids and (email in self._emails or user_id in self._user_ids)


async def look_up(db: AsyncConnection, lookups: Sequence[LedgerLookup]) -> None:
    """Find the rows of several look-ups, each of another mapping. Mostly that is one statement."""
    member_keys = {lookup.mapping_id: lookup.member_keys for lookup in lookups}
    wanted = _next_identities(lookups)
    while member_keys or wanted:
        emails: dict[int, set[str]] = {}
        user_ids: dict[int, set[str]] = {}
        for lookup, (of_lookup, user_ids_of_lookup) in wanted:
            for mapping_id in lookup.mapping_ids:
                emails.setdefault(mapping_id, set()).update(of_lookup)
                user_ids.setdefault(mapping_id, set()).update(user_ids_of_lookup)
        rows = await ledger_rows.find(db, member_keys, emails, user_ids)
        for lookup in lookups:
            lookup.add([row for row in rows if lookup.concerns(row)])
        member_keys, wanted = {}, _next_identities(lookups)


def _next_identities(lookups: Sequence[LedgerLookup]) -> list[tuple[LedgerLookup, tuple[set[str], set[str]]]]:
    return [(lookup, identities) for lookup in lookups if (identities := lookup.next_identities()) is not None]


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
