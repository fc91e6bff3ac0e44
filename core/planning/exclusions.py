"""Exclusions in planning: people who are kept off the list. They count as rejected, and leave the list if they are on
it.

DuckDB plans runs of mappings with exclusions, except few live changes (core/planning/small_exclusions.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core import sources
from core.identity import UserIdField
from core.models.batch import FORMER_IDENTITY_PREFIX
from core.planning.schema import create, statements
from core.planning.workspace import LEDGER_CHUNK, insert, run
from core.store import ledger
from core.store.database import Database
from core.store.rejections import EXCLUDED

if TYPE_CHECKING:
    import duckdb

#: A digest of an address has so many hexadecimal digits.
DIGEST_LENGTH = 32
_FROM_FILE = """
INSERT INTO excluded_people
SELECT mpid::VARCHAR, lower(trim(email)), CASE WHEN $with_customer_ids THEN customer_id END FROM source WHERE member
"""
_CUSTOMER_ID = {UserIdField.CUSTOMER_ID: "user_id", UserIdField.MPID: "NULL::VARCHAR"}


@dataclass(frozen=True, slots=True)
class ExclusionSettings:
    """The exclusions of a mapping.

    `digests` are those of addresses, keyed with `salt`. `mapping_ids` are the mappings whose people are excluded.
    `files` are the local paths of files with people, by the address of each file.
    """

    salt: str
    digests: Sequence[str] = ()
    domains: Sequence[str] = ()
    mapping_ids: Sequence[int] = ()
    files: Sequence[Path] = ()


async def load_exclusions(
    con: "duckdb.DuckDBPyConnection", database: Database, exclusions: ExclusionSettings, field: UserIdField
) -> None:
    """Fill the tables of the exclusions. It comes before the source is read, because files are read the same way.

    Raises InputError if a file can't be used: no one may be synced then, because it could be someone excluded.
    """
    con.execute(create("exclusion_digests", "exclusion_domains", "excluded_people"))
    insert(con, "exclusion_digests", [(digest,) for digest in exclusions.digests])
    insert(con, "exclusion_domains", [(domain,) for domain in exclusions.domains])
    for path in exclusions.files:
        await run(con, sources.read, path, con)
        await run(con, con.execute, _FROM_FILE, {"with_customer_ids": field is UserIdField.CUSTOMER_ID})
        con.execute("DROP TABLE source")
    if exclusions.mapping_ids:
        async with database.read_rows() as db:
            async for rows in ledger.rows_of(db, exclusions.mapping_ids, LEDGER_CHUNK):
                people = [row[1:4] for row in rows if not row[1].startswith(FORMER_IDENTITY_PREFIX)]
                await run(con, insert, con, "excluded_people", people)


def exclude(con: "duckdb.DuckDBPyConnection", mapping_id: int, field: UserIdField, salt: str) -> None:
    """Move excluded members from `desired` to `rejected`, and make those leavers who are on the list by the ledger."""
    sql = statements("exclusions.sql")
    values = {"salt": salt, "length": DIGEST_LENGTH}
    mapping, former = {"mapping_id": mapping_id}, {"former": FORMER_IDENTITY_PREFIX}
    con.execute(sql["find_domains"])
    con.execute(sql["define_excluded"])
    con.execute(sql["find_members"], values)
    con.execute(sql["reject"].format(customer_id=_CUSTOMER_ID[field]), {"reason": EXCLUDED})
    con.execute(sql["drop_members"])
    con.execute(sql["add_leavers"], values | mapping | former)
