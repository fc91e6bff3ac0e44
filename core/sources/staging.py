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

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import duckdb

from core.sources.duckdb_errors import NO_INTEGER, NOT_UTF8, REWRITTEN, query
from core.sources.plain_text import UNDECODABLE_FIRST, UNDECODABLE_LAST
from core.sources.row_cleaner import (
    IRREGULAR_EMAIL,
    IRREGULAR_ID,
    IS_WORD,
    NO_MPID,
    PLAIN_EMAIL,
    PLAIN_ID,
    REWRITTEN_ID,
    RowFlag,
    clean_staged_rows,
)
from core.sources.source_file import SourceFile
from core.sources.sql_expressions import blank_as_null, literal

# More audiences, or types of identity, than this in one file are a mistake.
MOST_LABELS = 1_000

# In bytes. An address has 254 letters at most, and mParticle cuts off values at 4,096.
LONGEST_IDENTITY = 4_096

#: What kind of identity the row of a long file holds, by how its type is spelled (but for accidents).
KINDS = {"email": 1, "customer_id": 2, "customer": 3, "customerid": 4}
OTHER, EMAIL = 0, 1

_HAS_MPID = f"{NO_MPID.format('mpid')} IS NOT TRUE"

# Rows that no audience has: what is wrong, and the condition.
_FAULTS = (
    (
        NO_INTEGER,
        f"mpid IS NOT NULL AND (mpid ~ '[^0-9 +-]' OR TRY_CAST(mpid AS BIGINT) IS NULL) AND {_HAS_MPID}",
    ),
    ("the row doesn't say whether the profile joined or left.", "member IS NULL"),
    ("the time stamp can't be read.", "unreadable"),
    ("there is a NUL byte in an identity.", "contains(email, chr(0)) OR contains(customer_id, chr(0))"),
    (REWRITTEN, REWRITTEN_ID.format("customer_id")),
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

# Looked for in the rows that are cleaned: others are ASCII.
_UNDECODABLE = (
    NOT_UTF8,
    " OR ".join(
        f"regexp_matches({name}, '[\\x{{{UNDECODABLE_FIRST:x}}}-\\x{{{UNDECODABLE_LAST:x}}}]')"
        for name in ("email", "customer_id")
    ),
)

# A cheaper test that no faulty row passes: every mpid that DuckDB wouldn't write in the same way. NUL bytes in what
# rows are counted by are looked for in the counts.
_NO_NUMBER = f"(TRY_CAST(mpid AS BIGINT)::VARCHAR = mpid) IS NOT TRUE AND {_HAS_MPID}"
_SUSPICIOUS = " OR ".join(
    (f"(mpid IS NOT NULL AND {_NO_NUMBER})", *(condition for _, condition in _FAULTS[1:-1])),
)
_SUSPICIOUS_LONG = (
    f"({_NO_NUMBER}) OR contains(value, chr(0)) "
    f"OR strlen(value) > {LONGEST_IDENTITY} OR strlen(label) > {LONGEST_IDENTITY} "
    f"OR (kind > {EMAIL} AND {REWRITTEN_ID.format('value')})"
)


# Most rows need no closer look: in the order of what costs least.
_PLAIN_MPID = "TRY_CAST(mpid AS BIGINT)::VARCHAR = mpid AND mpid <> '0'"
_PLAIN_ROW = " AND ".join(
    (
        "member IS NOT NULL",
        "NOT unreadable",
        f"(mpid IS NULL OR {_PLAIN_MPID})",
        f"(email IS NULL OR ({PLAIN_EMAIL.format('email')} AND NOT contains(email, chr(0))))",
        f"(customer_id IS NULL OR ({PLAIN_ID.format('customer_id')} AND NOT contains(customer_id, chr(0))))",
        *(f"coalesce(strlen({name}), 0) <= {LONGEST_IDENTITY}" for name in ("email", "customer_id", "label", "name")),
    )
)
_PLAIN_ROW_LONG = (
    f"{_PLAIN_MPID} AND coalesce(strlen(value), 0) <= {LONGEST_IDENTITY} AND strlen(label) <= {LONGEST_IDENTITY} "
    f"AND NOT coalesce(contains(value, chr(0)), false) AND (value IS NULL OR CASE kind WHEN {OTHER} THEN true "
    f"WHEN {EMAIL} THEN {PLAIN_EMAIL.format('value')} ELSE {PLAIN_ID.format('value')} END)"
)


def _flags(plain: str, suspicious: str, email: str, customer_id: str) -> str:
    """What is to be known of a row, as a sum of RowFlag; `email` and `customer_id` are expressions."""
    tests = {
        RowFlag.SUSPICIOUS: suspicious,
        RowFlag.IRREGULAR: f"{IRREGULAR_EMAIL.format(email)} OR {IRREGULAR_ID.format(customer_id)}",
        RowFlag.NULL_ID: IS_WORD.format(customer_id),
        RowFlag.NULL_EMAIL: IS_WORD.format(email),
        RowFlag.DECIMAL_ID: f"suffix({customer_id}, '.0')",
        RowFlag.ZERO_ID: f"{customer_id} = '0'",
        RowFlag.NULL_MPID: NO_MPID.format("mpid"),
    }
    flags = " | ".join(f"CASE WHEN {test} THEN {flag.value} ELSE 0 END" for flag, test in tests.items())
    return f"CASE WHEN {plain} THEN 0 ELSE {flags} END"


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
    #: What the column of the customer ids is called in the file, where it has a name.
    customer_id_column: str | None = None
    #: The same without rows in which no cell of any column holds anything, if the file may have such rows. It costs
    #: more, because all columns are read.
    sql_without_empty_rows: str | None = None
    #: What a person should know of how the file was read, a sentence each.
    notes: tuple[str, ...] = ()

    @property
    def wide(self) -> str:
        """The rows with the columns that those of all files can have.

        A row that holds one identity has to say whose it is: there, no mpid is as bad as one that is no number.
        """
        return (
            "SELECT * REPLACE (coalesce(mpid, 'missing') AS mpid), NULL::VARCHAR AS name, false AS unreadable, "
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
    #: Every RowFlag that some row has.
    flags: int = 0

    def __add__(self, other: "LabelCount") -> "LabelCount":
        """The rows of the same label in two files."""
        stamps = [stamp for count in (self, other) for stamp in (count.oldest, count.newest) if stamp is not None]
        return LabelCount(
            label=self.label,
            name=self.name or other.name,
            rows=self.rows + other.rows,
            with_mpid=self.with_mpid + other.with_mpid,
            oldest=min(stamps, default=None),
            newest=max(stamps, default=None),
            flags=self.flags | other.flags,
        )


_BY_KIND = (
    f"true AS member, CASE WHEN kind = {EMAIL} THEN value END AS email, "
    f"CASE WHEN kind > {EMAIL} THEN value END AS customer_id"
)
# Rows are put on the stage in the order of the file, so `rowid`, which every table has, is the place of a row.
_STAGE = """
    CREATE TABLE IF NOT EXISTS stage (
        label VARCHAR, name VARCHAR, mpid BIGINT, member BOOLEAN, email VARCHAR, customer_id VARCHAR, stamp BIGINT,
        flags UTINYINT
    );
    CREATE VIEW IF NOT EXISTS staged AS SELECT *, rowid AS place FROM stage
"""
_TO_STAGE = """
    INSERT INTO stage
    SELECT {label}, {name}, nullif(TRY_CAST(mpid AS BIGINT), 0), member, {email}, {customer_id}, stamp, {flags}
    FROM ({rows})
"""
# Without labels, which would be a tenth of it: they follow from the kind, and where the identity is of no use its label
# is kept in its place.
_LABELS = " ".join(f"WHEN {kind} THEN {literal(label)}" for label, kind in KINDS.items())
_LONG_STAGE = f"""
    CREATE TABLE IF NOT EXISTS stage (kind UTINYINT, mpid BIGINT, value VARCHAR, stamp BIGINT, flags UTINYINT);
    CREATE VIEW IF NOT EXISTS staged AS
    SELECT CASE kind {_LABELS} ELSE value END AS label, NULL::VARCHAR AS name, mpid, stamp, flags, {_BY_KIND},
        rowid AS place
    FROM stage
"""
_TO_LONG_STAGE = f"""
    INSERT INTO stage
    SELECT kind, nullif(TRY_CAST(mpid AS BIGINT), 0), CASE WHEN kind = {OTHER} THEN {{label}} ELSE {{value}} END, stamp,
        {{flags}}
    FROM ({{rows}})
"""
CLEAR_STAGE = "DROP VIEW IF EXISTS staged; DROP TABLE IF EXISTS stage"
_COUNTS = """
    SELECT label, coalesce(arg_max(name, stamp), any_value(name)), count(*), count(mpid), min(stamp), max(stamp),
        bit_or(flags)
    FROM staged WHERE place >= {first} GROUP BY label ORDER BY label LIMIT {most}
"""


def stage(con: duckdb.DuckDBPyConnection, rows: StagedRows) -> list[LabelCount]:
    """Read a file once: refuse its first faulty row, put the rows on the stage and count them by label.

    The rows of several files may be put there, one file after the other; each call counts its own.
    """
    query(con, _LONG_STAGE if rows.is_long else _STAGE, rows.file)
    first = query(con, "SELECT coalesce(max(rowid) + 1, 0) FROM stage", rows.file)[0][0]
    values = {name: _short(name) for name in ("label", "name")}
    words = {name: IS_WORD.format(name) for name in ("email", "customer_id")}
    words["value"] = f"kind <> {OTHER} AND {IS_WORD.format('value')}"
    values |= {
        name: _short(name, f"CASE WHEN {word} THEN NULL ELSE {blank_as_null(name)} END") for name, word in words.items()
    }
    if rows.is_long:
        email, customer_id = f"if(kind = {EMAIL}, value, NULL)", f"if(kind > {EMAIL}, value, NULL)"
        sql, flags = _TO_LONG_STAGE, _flags(_PLAIN_ROW_LONG, _SUSPICIOUS_LONG, email, customer_id)
    else:
        sql, flags = _TO_STAGE, _flags(_PLAIN_ROW, _SUSPICIOUS, "email", "customer_id")
    to_stage, counting = (
        sql.format(rows="{rows}", flags=flags, **values),
        _COUNTS.format(first=first, most=MOST_LABELS + 1),
    )
    query(con, to_stage.replace("{rows}", rows.sql), rows.file)
    counts = query(con, counting, rows.file)
    if rows.sql_without_empty_rows and _has_empty(con, rows, first, counts):
        rows = replace(rows, sql=rows.sql_without_empty_rows)
        if first:
            query(con, f"DELETE FROM stage WHERE rowid >= {first}", rows.file)
        else:  # so that rows are numbered from the beginning
            query(con, CLEAR_STAGE + ";" + (_LONG_STAGE if rows.is_long else _STAGE), rows.file)
        query(con, to_stage.replace("{rows}", rows.sql), rows.file)
        counts = query(con, counting, rows.file)
    if len(counts) > MOST_LABELS:
        raise rows.file.error(
            f"holds more than {MOST_LABELS:,} audiences or types of identity: this is not an audience."
        )
    if any(count[-1] & RowFlag.IRREGULAR for count in counts):
        clean_staged_rows(con, rows.file, is_long=rows.is_long)
        counts = query(con, counting, rows.file)
    if any(count[-1] & RowFlag.SUSPICIOUS or "\0" in f"{count[0]}{count[1]}" for count in counts):
        _refuse_faulty(con, rows)
    return [LabelCount(*count) for count in counts]


def _has_empty(con: duckdb.DuckDBPyConnection, rows: StagedRows, first: int, counts: Sequence[tuple[Any, ...]]) -> bool:
    """Whether some row has no identity, and so perhaps nothing at all."""
    if all(count[2] == count[3] for count in counts):
        return False
    nothing = "mpid IS NULL AND email IS NULL AND customer_id IS NULL"
    return bool(query(con, f"SELECT 1 FROM staged WHERE place >= {first} AND {nothing} LIMIT 1", rows.file))


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
    faults = (*_FAULTS, _UNDECODABLE)
    tested = ", ".join(f"{condition} AS fault_{place}" for place, (_, condition) in enumerate(faults))
    numbered = f"SELECT *, row_number() OVER () AS n FROM (SELECT {tested} FROM ({rows.wide}))"
    first = ", ".join(f"min(n) FILTER (WHERE fault_{place})" for place in range(len(faults)))
    firsts = query(con, f"SELECT {first} FROM ({numbered})", rows.file)[0]
    messages = [(row, message) for row, (message, _) in zip(firsts, faults, strict=True) if row is not None]
    if not messages:
        return
    row, message = min(messages)
    if rows.line is None:
        raise rows.file.error(f"row {row}: {message}")
    raise rows.file.error(message, line=rows.line(row))
