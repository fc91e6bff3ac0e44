"""Taking a list over: the people that another tool has put on it, matched with the audience.

Members of the audience who are on the list are treated like members that another mapping has put on it: the run sends
nothing for them, and records them in the ledger. A member whose placeholder email is on the list is treated like one
that was synced under it. The others stay, or are treated like synced members who have left the audience.

mParticle's hosted extension makes placeholders of two shapes: `<mpid>@placeholder.email` and
`<device id>@placeholder.email`. The first belongs to the member with that mpid; of the second no member is known.
"""

from dataclasses import dataclass
from pathlib import Path

from core.errors import InputError
from core.identity import PLACEHOLDER_DOMAIN, ProjectType
from core.models.run import OthersOnList, SyncMode
from core.planning.list_people import load_people
from core.planning.workspace import Workspace, run

# A mapping id that no mapping has. It is larger than any, because the smallest retaining row is recorded.
_NO_MAPPING = 2**62

# Members in the audience who are on the list, under their email or else under their user id.
_MATCHED = """
CREATE TABLE list_matches AS
WITH by_email AS (
    SELECT list_people.person, desired.member_key FROM list_people JOIN desired ON desired.email = list_people.email
)
FROM by_email
UNION
SELECT list_people.person, desired.member_key FROM list_people JOIN desired ON desired.user_id = list_people.user_id
WHERE list_people.person NOT IN (SELECT person FROM by_email)
"""
# Members whose placeholder is on the list, while they have another email by now, which is not on it.
_RENAMED = """
CREATE TABLE list_placeholders AS
SELECT list_people.person, desired.member_key FROM list_people
JOIN desired ON desired.member_key || '@' || $domain = list_people.email
WHERE desired.email <> list_people.email AND desired.member_key NOT IN (SELECT member_key FROM list_matches)
    AND desired.member_key NOT IN (SELECT member_key FROM ledger WHERE mapping_id = $mapping_id)
"""
_OTHERS = """
CREATE TABLE list_others AS
SELECT person, email, if(email IS NULL, user_id, NULL) AS user_id FROM list_people
WHERE person NOT IN (SELECT person FROM list_matches)
    AND person NOT IN (SELECT person FROM list_placeholders)
    AND NOT EXISTS (SELECT 1 FROM ledger WHERE ledger.email = list_people.email)
    AND NOT EXISTS (SELECT 1 FROM ledger WHERE ledger.user_id = list_people.user_id)
    AND NOT EXISTS (SELECT 1 FROM rejected WHERE lower(trim(rejected.email)) = list_people.email)
    AND NOT EXISTS (SELECT 1 FROM rejected WHERE customer_id = list_people.user_id)
    AND NOT EXISTS (SELECT 1 FROM rejected WHERE member_key = list_people.user_id)
"""
_RECORD_MATCHED = """
INSERT INTO ledger
SELECT $no_mapping, 'list:' || member_key, email, user_id, true FROM desired
WHERE member_key IN (SELECT member_key FROM list_matches)
    AND member_key NOT IN (SELECT member_key FROM ledger WHERE mapping_id = $mapping_id)
"""
_RECORD_RENAMED = """
INSERT INTO ledger
SELECT $mapping_id, desired.member_key, person, desired.user_id, true
FROM list_placeholders JOIN desired USING (member_key)
"""
_RECORD_OTHERS = """
INSERT INTO ledger
SELECT $mapping_id, if(email IS NULL, 'customer:', 'email:') || person, email, user_id, true FROM list_others
"""
_COUNTS = """
SELECT (SELECT count(*) FROM list_people), (SELECT count(*) FROM list_others),
    count(*) FILTER (regexp_full_match(email, '-?[0-9]+@' || $domain)), count(*)
FROM list_others WHERE ends_with(email, '@' || $domain)
"""


@dataclass(frozen=True, slots=True)
class AdoptedList:
    """A list that is taken over, in numbers of people.

    `others` are not in the audience; `mpid_placeholders` and `device_placeholders` are those of them with a placeholder
    email of each shape.
    """

    people: int
    others: int
    mpid_placeholders: int
    device_placeholders: int
    others_leave: bool

    @property
    def ledger_size(self) -> int:
        """The number of people on the list that are ours from now on, or leave it."""
        return self.people if self.others_leave else self.people - self.others

    @property
    def message(self) -> str:
        """What happens to the people on the list, in numbers: sentences for a person."""
        matched = self.people - self.others
        fate = "would be removed" if self.others_leave else "stay, and no sync removes them"
        sentences = f"{self.people:,} people are on it: {matched:,} belong to the audience, and {self.others:,} {fate}."
        placeholders = self.mpid_placeholders + self.device_placeholders
        if placeholders:
            sentences += (
                f" {placeholders:,} of those are placeholders that mParticle made: {self.mpid_placeholders:,} of "
                f"profiles that left, {self.device_placeholders:,} of devices."
            )
        return sentences


async def adopt_list(
    con: Workspace,
    people: Path,
    mapping_id: int,
    others: OthersOnList,
    mode: SyncMode,
    project_type: ProjectType,
) -> AdoptedList:
    """Add the people on a list to the table `ledger` of a planning, and return their numbers.

    `people` is a file with an email or user id a line. `desired`, `rejected` and `ledger` are filled. Raises InputError
    if others are to leave and the source is not the whole audience, so that it is not known who they are.
    """
    others_leave = others is OthersOnList.REMOVE
    if others_leave and mode is not SyncMode.MIRROR:
        raise InputError(
            "is not the whole audience, or members who leave stay on the list, so the others on the list can't be "
            "removed. Use a file with the whole audience, or leave the others."
        )
    await load_people(con, people, project_type)
    return await run(con, _match, con, mapping_id, others_leave)


def _match(con: Workspace, mapping_id: int, others_leave: bool) -> AdoptedList:
    domain, mapping = {"domain": PLACEHOLDER_DOMAIN}, {"mapping_id": mapping_id}
    con.execute(_MATCHED)
    con.execute(_RENAMED, domain | mapping)
    con.execute(_OTHERS)
    con.execute(_RECORD_MATCHED, mapping | {"no_mapping": _NO_MAPPING})
    con.execute(_RECORD_RENAMED, mapping)
    if others_leave:
        con.execute(_RECORD_OTHERS, mapping)
    total, rest, of_profiles, placeholders = con.execute(_COUNTS, domain).fetchall()[0]
    return AdoptedList(total, rest, of_profiles, placeholders - of_profiles, others_leave)
