"""The people on a list in Iterable, compared with the ledger: who is missing, and who is extra."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from core.models.batch import FORMER_IDENTITY_PREFIX
from core.planning.schema import create
from core.planning.workspace import Workspace, insert, load_ledger, run, workspace
from core.store.database import Database

# Lines that are read at once.
CHUNK = 20_000

_NORMALIZE = """
CREATE TABLE list_people AS
SELECT DISTINCT if(person LIKE '%@%', lower(trim(person)), person) AS person, person LIKE '%@%' AS is_email
FROM people_on_list
"""
# Former identities are on the list only until they are removed, and unconfirmed members perhaps.
_MISSING = """
CREATE TABLE list_missing AS
SELECT member_key, mapping_id, email, user_id FROM ledger
WHERE is_confirmed AND NOT starts_with(member_key, $former)
    AND NOT EXISTS (SELECT 1 FROM list_people WHERE person = ledger.email)
    AND NOT EXISTS (SELECT 1 FROM list_people WHERE person = ledger.user_id)
"""
_EXTRA = """
CREATE TABLE list_extra AS
SELECT person, is_email FROM list_people
WHERE person NOT IN (SELECT email FROM ledger WHERE email IS NOT NULL)
    AND person NOT IN (SELECT user_id FROM ledger WHERE user_id IS NOT NULL)
"""
_COUNTS = """
SELECT (SELECT count(*) FROM list_people),
    (SELECT count(DISTINCT coalesce(email, user_id)) FROM list_missing), (SELECT count(*) FROM list_extra)
"""
_ROWS = """
SELECT 'missing', member_key, email, user_id FROM list_missing
UNION ALL
SELECT 'extra', '', if(is_email, person, NULL), if(is_email, NULL, person) FROM list_extra
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


async def load_people(con: Workspace, people: Path) -> None:
    """Create the table `list_people` from a file with an email or user id a line."""
    con.execute(create("people_on_list"))
    with people.open(encoding="utf-8") as lines:
        while chunk := [(line.rstrip("\n"),) for line in islice(lines, CHUNK)]:
            await run(con, insert, con, "people_on_list", chunk)
    await run(con, con.execute, _NORMALIZE)


def find_differences(con: Workspace) -> ListDifference:
    """Create `list_missing` and `list_extra` from `list_people` and `ledger`, and return the numbers."""
    con.execute(_MISSING, {"former": FORMER_IDENTITY_PREFIX})
    con.execute(_EXTRA)
    return ListDifference(*con.execute(_COUNTS).fetchall()[0])


async def compare_list(
    database: Database,
    data_dir: Path,
    name: str,
    mapping_ids: Sequence[int],
    people: Path,
    memory_mb: int,
    take_rows: TakeRows | None = None,
) -> ListDifference:
    """Compare the people on a list with the ledgers of these mappings, in a workspace of this name.

    `people` is a file with an email or user id a line. `take_rows` gets the people who differ.
    """
    async with workspace(data_dir, name, memory_mb) as con:
        await load_ledger(con, database, mapping_ids)
        await load_people(con, people)
        difference = await run(con, find_differences, con)
        if take_rows is not None:
            rows = await run(con, con.execute, _ROWS)
            while chunk := await run(con, rows.fetchmany, CHUNK):
                take_rows(chunk)
        return difference
