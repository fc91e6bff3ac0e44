"""Faults of rows. The error names the first row that has one."""

from typing import TYPE_CHECKING

from core.sources.duckdb_errors import NO_INTEGER, NOT_UTF8, REWRITTEN, query
from core.sources.plain_text import UNDECODABLE_FIRST, UNDECODABLE_LAST
from core.sources.row_flags import LIST_ID, NO_MPID, REWRITTEN_ID
from core.sources.staged_rows import LONGEST_IDENTITY, StagedRows

if TYPE_CHECKING:
    import duckdb

_HAS_MPID = f"{NO_MPID.format('mpid')} IS NOT TRUE"

# What is wrong, and the condition.
_FAULTS = (
    (
        NO_INTEGER,
        f"mpid IS NOT NULL AND (mpid ~ '[^0-9 +-]' OR TRY_CAST(mpid AS BIGINT) IS NULL) AND {_HAS_MPID}",
    ),
    ("the row doesn't say whether the profile joined or left.", "member IS NULL"),
    ("the time stamp can't be read.", "unreadable"),
    ("there is a NUL byte in an identity.", "contains(email, chr(0)) OR contains(customer_id, chr(0))"),
    (REWRITTEN, REWRITTEN_ID.format("customer_id")),
    ("the customer id is a list. Export one id for each row.", LIST_ID.format("trim(customer_id)")),
    (
        f"an identity is longer than {LONGEST_IDENTITY:,} bytes: this is not an audience.",
        f"strlen(email) > {LONGEST_IDENTITY} OR strlen(customer_id) > {LONGEST_IDENTITY}",
    ),
    (
        f"an audience's id or name, or a type of identity, is longer than {LONGEST_IDENTITY:,} bytes.",
        f"strlen(label) > {LONGEST_IDENTITY} OR strlen(name) > {LONGEST_IDENTITY}",
    ),
    (
        "there is a NUL byte in an audience's id or name, or in a type of identity.",
        "contains(label, chr(0)) OR contains(name, chr(0))",
    ),
    (
        NOT_UTF8,
        " OR ".join(
            f"regexp_matches({name}, '[\\x{{{UNDECODABLE_FIRST:x}}}-\\x{{{UNDECODABLE_LAST:x}}}]')"
            for name in ("email", "customer_id")
        ),
    ),
)


def refuse_faulty(con: "duckdb.DuckDBPyConnection", rows: StagedRows) -> None:
    """Raise InputError for the first row that has a fault, if any has."""
    # numbered after the values are gone: DuckDB holds 2,048 of those at once, and they may be of any length
    tested = ", ".join(f"{condition} AS fault_{place}" for place, (_, condition) in enumerate(_FAULTS))
    numbered = f"SELECT *, row_number() OVER () AS n FROM (SELECT {tested} FROM ({rows.wide}))"
    first = ", ".join(f"min(n) FILTER (WHERE fault_{place})" for place in range(len(_FAULTS)))
    firsts = query(con, f"SELECT {first} FROM ({numbered})", rows.file)[0]
    messages = [(row, message) for row, (message, _) in zip(firsts, _FAULTS, strict=True) if row is not None]
    if not messages:
        return
    row, message = min(messages)
    if rows.line is None:
        raise rows.file.error(f"row {row}: {message}")
    raise rows.file.error(message, line=rows.line(row))
