"""Which rows on the stage belong to one person, and the number of people in them.

Most people have one row. Only the rows that share a key with another one have to be compared.
"""

from typing import TYPE_CHECKING

from core.sources.duckdb_errors import query
from core.sources.staged_rows import LabelCount, StagedRows

if TYPE_CHECKING:
    import duckdb

PLAIN_EMAIL = "lower(email)"  # there is no white space around those on the stage
PROFILE = f"""
    CASE WHEN mpid IS NOT NULL THEN mpid::VARCHAR
         WHEN customer_id IS NOT NULL THEN 'customer:' || customer_id
         WHEN email IS NOT NULL THEN 'email:' || {PLAIN_EMAIL}
         ELSE 'row:' || n END
"""
# Rows of one profile have the same key.
_KEY = f"""
    CASE WHEN mpid IS NOT NULL THEN hash(mpid) WHEN customer_id IS NOT NULL THEN hash(customer_id)
         WHEN email IS NOT NULL THEN hash({PLAIN_EMAIL}) ELSE hash(n) END
"""
OF_REPEATED = f"WHERE {_KEY} IN (SELECT key FROM repeated)"


def numbered(chosen: str, more: str = "") -> str:
    """Return the query for the rows on the stage, numbered from 1.

    `chosen` is a condition (WHERE ...), or empty. `more` are further columns, each after a comma.
    """
    return f"SELECT mpid, member, email, customer_id, stamp, place + 1 AS n{more} FROM staged {chosen}"


def find_repeated_keys(con: "duckdb.DuckDBPyConnection", rows: StagedRows, count: LabelCount, chosen: str) -> int:
    """Create the table `repeated` of the keys that several rows share, and return the number of keys.

    Keys are hashes: to group by numbers costs a third. Two different profiles rarely share one, and then their
    rows are compared like those that really repeat.
    """
    key = "hash(mpid)" if count.rows == count.with_mpid else _KEY
    keys = f"SELECT {key} AS key FROM ({numbered(chosen)}) GROUP BY key HAVING count(*) > 1"
    query(con, f"CREATE OR REPLACE TABLE repeated AS {keys}", rows.file)
    return int(query(con, "SELECT count(*) FROM repeated", rows.file)[0][0])


def count_people(
    con: "duckdb.DuckDBPyConnection", rows: StagedRows, count: LabelCount, chosen: str, repeated: int | None
) -> int:
    """Return the number of people in the rows on the stage. Counted from the rows, as a check of the grouping.

    `repeated` is the number of keys that rows share (`find_repeated_keys`), None if all rows are changes.
    """
    if repeated is None:
        people = f"SELECT DISTINCT {PROFILE} FROM ({numbered(chosen)})"
        return int(query(con, f"SELECT count(*) FROM ({people})", rows.file)[0][0])
    if not repeated:
        return count.rows
    # 128 bits stand for the texts
    keys = (
        f"hash(customer_id, {PLAIN_EMAIL})",
        f"hash(concat(customer_id, chr(10), {PLAIN_EMAIL}))",
        "if(customer_id IS NULL AND email IS NULL, n, NULL)",
    )
    alone = ", ".join(f"CASE WHEN mpid IS NULL THEN {key} END" for key in keys)
    several = f"SELECT * FROM ({numbered(chosen)}) {OF_REPEATED}"
    people = f"SELECT DISTINCT mpid, {alone} FROM ({several})"
    distinct = int(query(con, f"SELECT count(*) FROM ({people})", rows.file)[0][0])
    return count.rows - int(query(con, f"SELECT count(*) FROM ({several})", rows.file)[0][0]) + distinct
