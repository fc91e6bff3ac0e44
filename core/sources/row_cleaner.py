"""Cleaning the identities on the stage. DuckDB finds the rows that need it, and only those pass through Python.

The rules are in core/raw_identity.py. The expressions here are cheap tests: no rule would change a row that passes
them.
"""

from enum import IntFlag

import duckdb
import pyarrow as pa

from core.raw_identity import NULL_WORDS, REWRITTEN_ID_PATTERN, clean_customer_id, clean_email, visible
from core.sources.duckdb_errors import query
from core.sources.plain_text import UNDECODABLE
from core.sources.source_file import SourceFile
from core.sources.sql_expressions import literal

# Rows that pass through Python at once.
CHUNK = 20_000


class RowFlag(IntFlag):
    """Flags of a row on the stage."""

    SUSPICIOUS = 1
    """It may have a fault."""
    IRREGULAR = 2
    """One of its identities has to be cleaned."""
    NULL_ID = 4
    """Its customer id was a word for "nothing"."""
    NULL_EMAIL = 8
    """Its email was a word for "nothing"."""
    CLEANED = 16
    """More than white space was removed from its email."""
    DECIMAL_ID = 32
    """Its customer id ends with `.0`."""
    ZERO_ID = 64
    """Its customer id is 0."""
    NULL_MPID = 128
    """Its mpid is 0, or a word for "nothing"."""


_WORDS = ", ".join(literal(word) for word in NULL_WORDS)
_LONGEST_WORD = max(map(len, NULL_WORDS))
#: The value is a word for "nothing".
IS_WORD = f"(strlen({{0}}) <= {_LONGEST_WORD} AND lower({{0}}) IN ({_WORDS}))"
#: An email that cleaning would not change: ASCII, from a letter or digit at the start to a letter at the end. (A
#: regular expression costs four times as much.)
PLAIN_EMAIL = " AND ".join(
    (
        "{0} BETWEEN '0' AND '{{'",
        "{0} NOT BETWEEN ':' AND 'A'",
        "{0} NOT BETWEEN '[' AND 'a'",
        "strlen({0}) > 10",
        "strlen({0}) = length({0})",
        "{0}[-1] BETWEEN 'A' AND 'z'",
        "{0}[-1] NOT BETWEEN '[' AND '`'",
        "NOT ({0} BETWEEN 'M' AND 'n' AND starts_with(lower({0}), 'mailto:'))",
    )
)
#: A customer id that needs neither cleaning nor a flag: ASCII, not marked as text, not rewritten, not 0.
PLAIN_ID = " AND ".join(
    (
        "{0} BETWEEN '$' AND '~'",
        "{0} NOT BETWEEN '''' AND '('",
        "{0} NOT BETWEEN '=' AND '>'",
        "strlen({0}) = length({0})",
        "{0}[-1] > ' '",
        "({0} >= ':' OR NOT (contains({0}, '+') OR contains({0}, '.') OR {0} = '0'))",
        f"NOT {IS_WORD}",
    )
)
IRREGULAR_EMAIL = f"({{0}} IS NOT NULL AND NOT ({PLAIN_EMAIL}) AND NOT {IS_WORD})"
IRREGULAR_ID = f"({{0}} IS NOT NULL AND NOT ({PLAIN_ID}) AND NOT {IS_WORD})"
#: A value that means that there is no mpid.
NO_MPID = f"(TRY_CAST({{0}} AS BIGINT) = 0 OR trim({{0}}) <> '' AND lower(trim({{0}})) IN ({_WORDS}))"
REWRITTEN_ID = (
    "((contains({0}, '+') OR {0} BETWEEN '#' AND '$') AND "
    f"regexp_full_match(trim({{0}}), {literal(REWRITTEN_ID_PATTERN).replace('{', '{{').replace('}', '}}')}))"
)

_IRREGULAR_ROWS = f"SELECT rowid, {{columns}} FROM stage WHERE flags & {RowFlag.IRREGULAR.value} <> 0 ORDER BY rowid"
_CLEANED_TABLE = "CREATE OR REPLACE TABLE cleaned (place BIGINT, email VARCHAR, customer_id VARCHAR, flags UTINYINT)"
_CLEANED = pa.schema(
    [("place", pa.int64()), ("email", pa.string()), ("customer_id", pa.string()), ("flags", pa.uint8())]
)
_UPDATE = """
    UPDATE stage SET email = cleaned.email, customer_id = cleaned.customer_id,
        flags = (stage.flags - 2) | cleaned.flags
    FROM cleaned WHERE stage.rowid = cleaned.place
"""
_UPDATE_LONG = """
    UPDATE stage SET value = coalesce(cleaned.email, cleaned.customer_id), flags = (stage.flags - 2) | cleaned.flags
    FROM cleaned WHERE stage.rowid = cleaned.place
"""


def clean_staged_rows(con: duckdb.DuckDBPyConnection, file: SourceFile, *, is_long: bool) -> None:
    """Clean the identities of the irregular rows on the stage. `is_long`: each row contains one identity."""
    columns = "if(kind = 1, value, NULL), if(kind > 1, value, NULL)" if is_long else "email, customer_id"
    query(con, _CLEANED_TABLE, file)
    rows = con.cursor().execute(_IRREGULAR_ROWS.format(columns=columns))
    while chunk := rows.fetchmany(CHUNK):
        cleaned = [(place, *_cleaned(email, customer_id)) for place, email, customer_id in chunk]
        arrays = [
            pa.array(column, field.type) for column, field in zip(zip(*cleaned, strict=True), _CLEANED, strict=True)
        ]
        con.register("cleaned_chunk", pa.table(arrays, schema=_CLEANED))
        query(con, "INSERT INTO cleaned SELECT * FROM cleaned_chunk", file)
        con.unregister("cleaned_chunk")
    query(con, _UPDATE_LONG if is_long else _UPDATE, file)
    query(con, "DROP TABLE cleaned", file)


def _cleaned(email: str | None, customer_id: str | None) -> tuple[str | None, str | None, int]:
    flags = RowFlag(0)
    clean, clean_id = clean_email(email), clean_customer_id(customer_id)
    if email is not None and clean is None and visible(email):
        flags |= RowFlag.NULL_EMAIL
    elif email is not None and clean is not None and clean != email.strip():
        flags |= RowFlag.CLEANED
    if customer_id is not None and clean_id is None and visible(customer_id):
        flags |= RowFlag.NULL_ID
    if UNDECODABLE.search(f"{email}{customer_id}"):
        flags |= RowFlag.SUSPICIOUS
    if clean_id is not None and clean_id.endswith(".0"):
        flags |= RowFlag.DECIMAL_ID
    if clean_id == "0":
        flags |= RowFlag.ZERO_ID
    return clean, clean_id, flags.value
