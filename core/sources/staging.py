"""The stage: one pass over a file checks its rows and puts them there, in the order of the file, to be grouped.

Whatever the shape, a reader gives its rows as a SELECT in the order of the file, with the columns

    label        what the rows are counted by: an audience, or a type of identity
    name         the name of the audience, where the rows tell it
    mpid         text, NULL where there is none
    member       whether the row says that the profile is in the audience
    email, customer_id
    stamp        when, in milliseconds since 1970, or NULL
    unreadable   there is a time stamp, but none that can be read

or, where a row holds one identity (`is_long`), with `label`, `mpid`, `stamp` and

    value        the identity
    kind         one of KINDS, and OTHER for those that are of no use here

From the table `stage` they are read through the view `staged`, which has the same columns for both and the place of
each row; mpids are numbers there, and blank identities are NULL.
"""

from collections.abc import Callable
from dataclasses import dataclass

import duckdb

from core.sources.duckdb_errors import NO_INTEGER, query
from core.sources.source_file import SourceFile
from core.sources.sql_expressions import blank_as_null, literal

# More audiences, or types of identity, than this in one file are a mistake.
MOST_LABELS = 1_000

# In bytes. An address has 254 letters at most, and mParticle cuts off values at 4,096.
LONGEST_IDENTITY = 4_096

#: What kind of identity the row of a long file holds, by how its type is spelled (but for accidents).
KINDS = {"email": 1, "customer_id": 2, "customer": 3, "customerid": 4}
OTHER, EMAIL = 0, 1

# Rows that no audience has: what is wrong, and the condition.
_FAULTS = (
    (NO_INTEGER, "mpid IS NOT NULL AND (mpid ~ '[^0-9 +-]' OR TRY_CAST(mpid AS BIGINT) IS NULL)"),
    ("the row doesn't say whether the profile joined or left.", "member IS NULL"),
    ("the time stamp can't be read.", "unreadable"),
    ("there is a NUL byte in an identity.", "contains(email, chr(0)) OR contains(customer_id, chr(0))"),
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
)

# A cheaper test that no faulty row passes: every mpid that DuckDB wouldn't write in the same way. NUL bytes in what
# rows are counted by are looked for in the counts.
_SUSPICIOUS = " OR ".join(
    (
        "(mpid IS NOT NULL AND (TRY_CAST(mpid AS BIGINT)::VARCHAR = mpid) IS NOT TRUE)",
        *(condition for _, condition in _FAULTS[1:-1]),
    )
)
_SUSPICIOUS_LONG = (
    "(TRY_CAST(mpid AS BIGINT)::VARCHAR = mpid) IS NOT TRUE OR contains(value, chr(0)) "
    f"OR strlen(value) > {LONGEST_IDENTITY} OR strlen(label) > {LONGEST_IDENTITY}"
)


@dataclass(frozen=True)
class StagedRows:
    """The rows of a file: of one audience, or of several that are still to be told apart."""

    sql: str
    file: SourceFile
    #: The line in the file of the n-th row; None where a file has no lines.
    line: Callable[[int], int | None] | None
    #: The rows tell who joined and who left, and a profile's identities are those of its latest row; otherwise
    #: all are members, and the latest of each kind of identity counts.
    is_delta: bool = False
    #: A row holds one identity, and a profile has several rows; otherwise most profiles have one row.
    is_long: bool = False

    @property
    def wide(self) -> str:
        """The rows with the columns that those of all files can have.

        A row that holds one identity has to say whose it is: there, no mpid is as bad as one that is no number.
        """
        return (
            "SELECT * REPLACE (coalesce(mpid, '') AS mpid), NULL::VARCHAR AS name, false AS unreadable, "
            f"{_BY_KIND} FROM ({self.sql})"
            if self.is_long
            else self.sql
        )


@dataclass(frozen=True)
class LabelCount:
    """What is known of the rows of one label."""

    label: str | None
    name: str | None
    rows: int
    with_mpid: int
    oldest: int | None
    newest: int | None


_BY_KIND = (
    f"true AS member, CASE WHEN kind = {EMAIL} THEN value END AS email, "
    f"CASE WHEN kind > {EMAIL} THEN value END AS customer_id"
)
# Rows are put on the stage in the order of the file, so `rowid`, which every table has, is the place of a row.
_STAGE = """
    CREATE TABLE IF NOT EXISTS stage (
        label VARCHAR, name VARCHAR, mpid BIGINT, member BOOLEAN, email VARCHAR, customer_id VARCHAR, stamp BIGINT,
        suspicious BOOLEAN
    );
    CREATE VIEW IF NOT EXISTS staged AS SELECT *, rowid AS place FROM stage
"""
_TO_STAGE = """
    INSERT INTO stage
    SELECT {label}, {name}, TRY_CAST(mpid AS BIGINT), member, {email}, {customer_id}, stamp, {suspicious} FROM ({rows})
"""
# Without labels, which would be a tenth of it: they follow from the kind, and where the identity is of no use its label
# is kept in its place.
_LABELS = " ".join(f"WHEN {kind} THEN {literal(label)}" for label, kind in KINDS.items())
_LONG_STAGE = f"""
    CREATE TABLE IF NOT EXISTS stage (kind UTINYINT, mpid BIGINT, value VARCHAR, stamp BIGINT, suspicious BOOLEAN);
    CREATE VIEW IF NOT EXISTS staged AS
    SELECT CASE kind {_LABELS} ELSE value END AS label, NULL::VARCHAR AS name, mpid, stamp, suspicious, {_BY_KIND},
        rowid AS place
    FROM stage
"""
_TO_LONG_STAGE = f"""
    INSERT INTO stage
    SELECT kind, TRY_CAST(mpid AS BIGINT), CASE WHEN kind = {OTHER} THEN {{label}} ELSE {{value}} END, stamp,
        {{suspicious}}
    FROM ({{rows}})
"""
CLEAR_STAGE = "DROP VIEW IF EXISTS staged; DROP TABLE IF EXISTS stage"
_COUNTS = """
    SELECT label, coalesce(arg_max(name, stamp), any_value(name)), count(*), count(mpid), min(stamp), max(stamp),
        bool_or(suspicious)
    FROM staged WHERE place >= {first} GROUP BY label ORDER BY label LIMIT {most}
"""


def stage(con: duckdb.DuckDBPyConnection, rows: StagedRows) -> list[LabelCount]:
    """Read a file once: refuse its first faulty row, put the rows on the stage and count them by label.

    The rows of several files may be put there, one file after the other; each call counts its own.
    """
    query(con, _LONG_STAGE if rows.is_long else _STAGE, rows.file)
    first = query(con, "SELECT count(*) FROM stage", rows.file)[0][0]
    values = {name: _short(name) for name in ("label", "name")}
    values |= {name: _short(name, blank_as_null(name)) for name in ("email", "customer_id", "value")}
    to_stage = _TO_LONG_STAGE if rows.is_long else _TO_STAGE
    suspicious = _SUSPICIOUS_LONG if rows.is_long else _SUSPICIOUS
    query(con, to_stage.format(rows=rows.sql, suspicious=f"coalesce({suspicious}, false)", **values), rows.file)
    found = query(con, _COUNTS.format(first=first, most=MOST_LABELS + 1), rows.file)
    if len(found) > MOST_LABELS:
        raise rows.file.error(
            f"holds more than {MOST_LABELS:,} audiences or types of identity: this is not an audience."
        )
    if any(counts[-1] or "\0" in f"{counts[0]}{counts[1]}" for counts in found):
        _refuse_faulty(con, rows)
    return [LabelCount(*counts[:-1]) for counts in found]


def count_profiles(con: duckdb.DuckDBPyConnection, first: int, rows: int, file: SourceFile) -> int:
    """How many profiles with an mpid so many rows of the stage hold, from the first of them on."""
    sql = f"SELECT count(DISTINCT mpid) FROM staged WHERE place >= {first} AND place < {first + rows}"
    return int(query(con, sql, file)[0][0])


def _short(text: str, value: str | None = None) -> str:
    """A value (or what becomes of it), where it is not too long: what is, is refused, and must not take all memory."""
    return f"CASE WHEN strlen({text}) <= {LONGEST_IDENTITY} THEN {value or text} END"


def _refuse_faulty(con: duckdb.DuckDBPyConnection, rows: StagedRows) -> None:
    """Refuse the first row that has a fault, if one has."""
    # numbered after the values are gone: DuckDB holds 2,048 of those at once, and they may be of any length
    tested = ", ".join(f"{condition} AS fault_{place}" for place, (_, condition) in enumerate(_FAULTS))
    numbered = f"SELECT *, row_number() OVER () AS n FROM (SELECT {tested} FROM ({rows.wide}))"
    first = ", ".join(f"min(n) FILTER (WHERE fault_{place})" for place in range(len(_FAULTS)))
    found = query(con, f"SELECT {first} FROM ({numbered})", rows.file)[0]
    faults = [(row, message) for row, (message, _) in zip(found, _FAULTS, strict=True) if row is not None]
    if not faults:
        return
    row, message = min(faults)
    if rows.line is None:
        raise rows.file.error(f"row {row}: {message}")
    raise rows.file.error(message, line=rows.line(row))
