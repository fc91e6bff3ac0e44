"""Audience downloads of any size, written by DuckDB: random mpids, a row per identity, not adjacent."""

from enum import StrEnum
from pathlib import Path

import duckdb


class Kind(StrEnum):
    """The addresses of an audience."""

    PLAIN = "plain"
    """All are in lower case; two in a hundred profiles have none."""
    CAPITALS = "capitals"
    """Like plain, but all have capitals."""
    MESSY = "messy"
    """Realistic: 15 % with capitals, 10 % without an email, 5 % share the address of another profile."""


_EMAILS = {
    Kind.PLAIN: ("'member' || i || '@example.com'", "i % 50 <> 0"),
    Kind.CAPITALS: ("'Member' || i || '@Example.com'", "i % 50 <> 0"),
    Kind.MESSY: (
        """CASE WHEN i % 20 = 3 THEN 'member' || (i - 1) || '@example.com'
                WHEN i % 20 IN (5, 6, 7) THEN 'Member' || i || '@Example.com'
                ELSE 'member' || i || '@example.com' END""",
        "i % 10 <> 0",
    ),
}

# A third of all profiles also has a device identity.
_ROWS = """
WITH profiles AS (
    SELECT i, (hash(i)::HUGEINT - 9223372036854775808)::BIGINT AS mpid, 1538596000 + i % 1000 AS stamp
    FROM range({members}) AS numbers(i)
), listed AS (
    SELECT i, mpid, stamp, {email} AS value, 'email' AS type FROM profiles WHERE {has_email}
    UNION ALL
    SELECT i, mpid, stamp, 'customer-' || i, 'customer_id' FROM profiles
    UNION ALL
    SELECT i, mpid, stamp, uuid()::VARCHAR, 'ios_idfv' FROM profiles WHERE i % 3 = 0
)
SELECT mpid || ', ' || stamp || ', ' || value || ', ' || type AS line FROM listed ORDER BY hash(i, type)
"""


def write_download(path: Path, members: int, kind: Kind = Kind.PLAIN) -> None:
    """Write an audience download (a bare CSV) with this many members."""
    email, has_email = _EMAILS[kind]
    select = _ROWS.format(members=members, email=email, has_email=has_email)
    with duckdb.connect() as con:
        con.execute("SET memory_limit = '2GB'")
        con.execute(f"SET temp_directory = '{path.parent}'")
        con.execute(f"COPY ({select}) TO '{path}' (HEADER false, QUOTE '', ESCAPE '', DELIMITER '\t')")
    header = b"mpid, scanned_timestamp_ms, identity_value, identity_type\n"
    complete = path.with_suffix(".whole")
    with complete.open("wb") as target, path.open("rb") as rows:
        target.write(header)
        while chunk := rows.read(1 << 20):
            target.write(chunk)
    complete.replace(path)
