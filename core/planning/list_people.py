"""The people on a list in Iterable, compared with the ledger: who is missing, and who is extra."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from core.identity import ProjectType
from core.models.batch import FORMER_IDENTITY_PREFIX
from core.planning.schema import create
from core.planning.workspace import Workspace, insert, load_ledger, run, workspace
from core.store.database import Database

# Lines that are read at once.
CHUNK = 20_000

# A line is a user id in a userID-based project, and else an email, unless the person has none. A user id may contain an
# "@" and is case-sensitive; in a hybrid project such a line may be either, so both are compared. It counts as an email
# if its domain could be one.
_LINE = {
    ProjectType.EMAIL: ("if(contains(line, '@'), lower(trim(line)), NULL)", "if(contains(line, '@'), NULL, line)"),
    ProjectType.USER_ID: ("NULL::VARCHAR", "line"),
    ProjectType.HYBRID: ("if(line SIMILAR TO '.+@[^@]+\\.[^@.]+', lower(trim(line)), NULL)", "line"),
}
_NORMALIZE = """
CREATE TABLE list_people AS
SELECT person, email, min(user_id) AS user_id FROM (
    SELECT coalesce(email, user_id) AS person, * FROM (
        SELECT {email} AS email, {user_id} AS user_id FROM (SELECT person AS line FROM people_on_list)))
GROUP BY ALL
"""
# Former identities are on the list only until they are removed, and unconfirmed members perhaps.
_MISSING = """
CREATE TABLE list_missing AS
SELECT member_key, mapping_id, email, user_id FROM ledger
WHERE is_confirmed AND NOT starts_with(member_key, $former)
    AND NOT EXISTS (SELECT 1 FROM list_people WHERE list_people.email = ledger.email)
    AND NOT EXISTS (SELECT 1 FROM list_people WHERE list_people.user_id = ledger.user_id)
"""
_EXTRA = """
CREATE TABLE list_extra AS
SELECT person, email, if(email IS NULL, user_id, NULL) AS user_id FROM list_people
WHERE NOT EXISTS (SELECT 1 FROM ledger WHERE ledger.email = list_people.email)
    AND NOT EXISTS (SELECT 1 FROM ledger WHERE ledger.user_id = list_people.user_id)
"""
_COUNTS = """
SELECT (SELECT count(*) FROM list_people),
    (SELECT count(DISTINCT if($by_user_id, coalesce(user_id, email), coalesce(email, user_id))) FROM list_missing),
    (SELECT count(*) FROM list_extra)
"""
_ROWS = """
SELECT 'missing', member_key, email, user_id FROM list_missing
UNION ALL
SELECT 'extra', '', email, user_id FROM list_extra
ORDER BY ALL
"""

#: Gets the people who differ, in chunks: "missing" or "extra", member key, email, user id.
TakeRows = Callable[[Sequence[tuple[str, str, str | None, str | None]]], None]


@dataclass(frozen=True, slots=True)
class ListDifference:
    """How many people are on a list, how many of ours are missing, and how many on it are not ours."""

    people: int
    missing: int
    extra: int


async def load_people(con: Workspace, people: Path, project_type: ProjectType) -> None:
    """Create the table `list_people` from a file with an email or user id a line.

    Its columns are `email` and `user_id`, one of them NULL unless the line may be either; and `person`, the email
    or else the user id.
    """
    con.execute(create("people_on_list"))
    with people.open(encoding="utf-8") as lines:
        while chunk := [(line.rstrip("\n"),) for line in islice(lines, CHUNK)]:
            await run(con, insert, con, "people_on_list", chunk)
    email, user_id = _LINE[project_type]
    await run(con, con.execute, _NORMALIZE.format(email=email, user_id=user_id))


def find_differences(con: Workspace, project_type: ProjectType) -> ListDifference:
    """Create `list_missing` and `list_extra` from `list_people` and `ledger`, and return the numbers."""
    con.execute(_MISSING, {"former": FORMER_IDENTITY_PREFIX})
    con.execute(_EXTRA)
    return ListDifference(*con.execute(_COUNTS, {"by_user_id": project_type is ProjectType.USER_ID}).fetchall()[0])


async def compare_list(
    database: Database,
    data_dir: Path,
    name: str,
    mapping_ids: Sequence[int],
    people: Path,
    memory_mb: int,
    take_rows: TakeRows | None = None,
    *,
    project_type: ProjectType,
) -> ListDifference:
    """Compare the people on a list with the ledgers of these mappings, in a workspace of this name.

    `people` is a file with an email or user id a line. `take_rows` gets the people who differ.
    """
    async with workspace(data_dir, name, memory_mb) as con:
        await load_ledger(con, database, mapping_ids)
        await load_people(con, people, project_type)
        difference = await run(con, find_differences, con, project_type)
        if take_rows is not None:
            rows = await run(con, con.execute, _ROWS)
            while chunk := await run(con, rows.fetchmany, CHUNK):
                take_rows(chunk)
        return difference
