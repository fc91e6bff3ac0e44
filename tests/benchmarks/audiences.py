"""Audience downloads of any size, written by DuckDB: random mpids, a row per identity, not adjacent."""

from pathlib import Path

import duckdb

# Of each hundred profiles two have no email, and a third of all has a device identity besides.
_ROWS = """
WITH profiles AS (
    SELECT i, (hash(i)::HUGEINT - 9223372036854775808)::BIGINT AS mpid, 1538596000 + i % 1000 AS stamp
    FROM range({members}) AS numbers(i)
), listed AS (
    SELECT i, mpid, stamp, 'member' || i || '@example.com' AS value, 'email' AS type FROM profiles WHERE i % 50 <> 0
    UNION ALL
    SELECT i, mpid, stamp, 'customer-' || i, 'customer_id' FROM profiles
    UNION ALL
    SELECT i, mpid, stamp, uuid()::VARCHAR, 'ios_idfv' FROM profiles WHERE i % 3 = 0
)
SELECT mpid || ', ' || stamp || ', ' || value || ', ' || type AS line FROM listed ORDER BY hash(i, type)
"""


def write_download(path: Path, members: int) -> None:
    """Write an audience download (a bare CSV) with that many members, of whom 98 in 100 can be synced."""
    with duckdb.connect() as con:
        con.execute("SET memory_limit = '2GB'")
        con.execute(f"SET temp_directory = '{path.parent}'")
        con.execute(
            f"COPY ({_ROWS.format(members=members)}) TO '{path}' (HEADER false, QUOTE '', ESCAPE '', DELIMITER '\t')"
        )
    header = b"mpid, scanned_timestamp_ms, identity_value, identity_type\n"
    whole = path.with_suffix(".whole")
    with whole.open("wb") as target, path.open("rb") as rows:
        target.write(header)
        while piece := rows.read(1 << 20):
            target.write(piece)
    whole.replace(path)
