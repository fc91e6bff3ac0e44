"""The stage: a table of a file's rows in their order. One pass over the file checks and flags them.

From the table `stage` they are read through the view `staged`, which has the same columns for all files and the place
of each row; mpids are numbers there, and blank identities are NULL.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from core.sources.duckdb_errors import query
from core.sources.row_cleaner import clean_staged_rows
from core.sources.row_faults import refuse_faulty
from core.sources.row_flags import RowFlag, first_flags
from core.sources.source_file import SourceFile
from core.sources.sql_expressions import literal
from core.sources.staged_rows import BY_KIND, KINDS, LONGEST_IDENTITY, OTHER, LabelCount, StagedRows
from core.sources.summary_rows import remove_summary_rows

if TYPE_CHECKING:
    import duckdb

# More audiences, or types of identity, than this in one file are a mistake.
MOST_LABELS = 1_000


def _short(text: str) -> str:
    """A value if it is not too long: others are refused, and must not take all memory. That of a plain row is not."""
    return f"CASE WHEN flags = 0 OR strlen({text}) <= {LONGEST_IDENTITY} THEN {text} END"


# Rows are put on the stage in the order of the file, so `rowid`, which every table has, is the place of a row.
_STAGE = """
    CREATE TABLE IF NOT EXISTS stage (
        label VARCHAR, name VARCHAR, mpid BIGINT, member BOOLEAN, email VARCHAR, customer_id VARCHAR, stamp BIGINT,
        flags UTINYINT{fields}
    );
    CREATE VIEW IF NOT EXISTS staged AS SELECT *, rowid AS place FROM stage
"""
_FLAGGED = "SELECT *, {flags} AS flags FROM (SELECT *, TRY_CAST(mpid AS BIGINT) AS number FROM ({{rows}}))"
_TO_STAGE = f"""
    INSERT INTO stage
    SELECT {_short("label")}, {_short("name")}, nullif(number, 0), member, {_short("email")},
        {_short("customer_id")}, stamp, flags{{fields}}
    FROM ({_FLAGGED.format(flags=first_flags(is_long=False))})
"""
# Without labels, which would be a tenth of it: they follow from the kind, and where the identity is of no use its label
# is kept in its place.
_LABELS = " ".join(f"WHEN {kind} THEN {literal(label)}" for label, kind in KINDS.items())
_LONG_STAGE = f"""
    CREATE TABLE IF NOT EXISTS stage (kind UTINYINT, mpid BIGINT, value VARCHAR, stamp BIGINT, flags UTINYINT);
    CREATE VIEW IF NOT EXISTS staged AS
    SELECT CASE kind {_LABELS} ELSE value END AS label, NULL::VARCHAR AS name, mpid, stamp, flags, {BY_KIND},
        rowid AS place
    FROM stage
"""
_TO_LONG_STAGE = f"""
    INSERT INTO stage
    SELECT kind, nullif(number, 0), CASE WHEN kind = {OTHER} THEN {_short("label")} ELSE {_short("value")} END,
        stamp, flags
    FROM ({_FLAGGED.format(flags=first_flags(is_long=True))})
"""
# (DuckDB uses the room of a dropped table again after the next checkpoint.)
CLEAR_STAGE = "DROP VIEW IF EXISTS staged; DROP TABLE IF EXISTS stage; CHECKPOINT"
_COUNTS = """
    SELECT label, coalesce(arg_max(name, stamp), any_value(name)), count(*), count(mpid), min(stamp), max(stamp),
        bit_or(flags)
    FROM staged WHERE place >= {first} GROUP BY label ORDER BY label LIMIT {most}
"""
# To group by a small number costs half as much as by text.
_MEASURES = "count(*), count(mpid), min(stamp), max(stamp), bit_or(flags)"
_LONG_COUNTS = f"""
    SELECT CASE kind {_LABELS} END AS label, NULL, {_MEASURES} FROM stage
    WHERE rowid >= {{first}} AND kind <> {OTHER} GROUP BY kind
    UNION ALL SELECT value, NULL, {_MEASURES} FROM stage WHERE rowid >= {{first}} AND kind = {OTHER} GROUP BY value
    ORDER BY label LIMIT {{most}}
"""


def stage(con: "duckdb.DuckDBPyConnection", rows: StagedRows) -> list[LabelCount]:
    """Read a file once: refuse its first faulty row, put the rows on the stage and count them by label.

    The rows of several files may be put there, one file after the other; each call counts its own.
    """
    query(con, _stage_table(rows), rows.file)
    first = query(con, "SELECT coalesce(max(rowid) + 1, 0) FROM stage", rows.file)[0][0]
    counts = _put(con, rows, first)
    if rows.sql_without_empty_rows and _has_empty(con, rows, first, counts):
        rows = replace(rows, sql=rows.sql_without_empty_rows)
        if first:
            query(con, f"DELETE FROM stage WHERE rowid >= {first}", rows.file)
        else:  # so that rows are numbered from the beginning
            query(con, f"{CLEAR_STAGE};{_stage_table(rows)}", rows.file)
        counts = _put(con, rows, first)
    summaries = 0 if rows.is_long or rows.is_delta else remove_summary_rows(con, rows, first)
    if summaries:
        counts = _counts(con, rows, first)
    if len(counts) > MOST_LABELS:
        raise rows.file.error(
            f"holds more than {MOST_LABELS:,} audiences or types of identity: this is not an audience."
        )
    if any(count[-1] & RowFlag.SUSPICIOUS or "\0" in f"{count[0]}{count[1]}" for count in counts):
        refuse_faulty(con, rows)
    by_label = [LabelCount(*count) for count in counts]
    return [replace(by_label[0], summaries=summaries), *by_label[1:]] if by_label else []


def _stage_table(rows: StagedRows) -> str:
    fields = "".join(f", f{index} VARCHAR" for index in range(rows.field_count))
    return _LONG_STAGE if rows.is_long else _STAGE.format(fields=fields)


def _put(con: "duckdb.DuckDBPyConnection", rows: StagedRows, first: int) -> list[tuple[Any, ...]]:
    """Put rows on the stage, cleaned, and count them by label; their places begin with `first`."""
    fields = "".join(f", f{index}" for index in range(rows.field_count))
    to_stage = _TO_LONG_STAGE if rows.is_long else _TO_STAGE.replace("{fields}", fields)
    query(con, to_stage.replace("{rows}", rows.sql), rows.file)
    counts = _counts(con, rows, first)
    if len(counts) <= MOST_LABELS and any(count[-1] & RowFlag.IRREGULAR for count in counts):
        clean_staged_rows(con, rows.file, is_long=rows.is_long)
        counts = _counts(con, rows, first)
    return counts


def _counts(con: "duckdb.DuckDBPyConnection", rows: StagedRows, first: int) -> list[tuple[Any, ...]]:
    return query(con, (_LONG_COUNTS if rows.is_long else _COUNTS).format(first=first, most=MOST_LABELS + 1), rows.file)


def _has_empty(
    con: "duckdb.DuckDBPyConnection", rows: StagedRows, first: int, counts: Sequence[tuple[Any, ...]]
) -> bool:
    """Whether some row has no identity, and so perhaps nothing at all."""
    if all(count[2] == count[3] for count in counts):
        return False
    nothing = "mpid IS NULL AND email IS NULL AND customer_id IS NULL"
    return bool(query(con, f"SELECT 1 FROM staged WHERE place >= {first} AND {nothing} LIMIT 1", rows.file))


def count_profiles(con: "duckdb.DuckDBPyConnection", first: int, rows: int, file: SourceFile) -> int:
    """How many profiles with an mpid so many rows of the stage hold, from the first of them on."""
    sql = f"SELECT count(DISTINCT mpid) FROM staged WHERE place >= {first} AND place < {first + rows}"
    return int(query(con, sql, file)[0][0])
