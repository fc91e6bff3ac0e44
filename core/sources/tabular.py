"""Shape 4, the plain table: CSV or Parquet with a column for email, customer id or mpid.

With a column `isadd`, as in mParticle's export to BigQuery, it tells who joined and who left; otherwise it is the
whole audience.
"""

import re
from collections.abc import Sequence

import duckdb

from core.sources import error_location
from core.sources.csv_format import MOST_COLUMNS, TOO_WIDE, scan
from core.sources.duckdb_errors import query
from core.sources.grouping import read_rows
from core.sources.source import Source, SourceFormat
from core.sources.source_file import SourceFile, refuse_bomb
from core.sources.sql_expressions import boolean, identifier, milliseconds_of_text
from core.sources.staging import LONGEST_IDENTITY, StagedRows

EMAIL = "email"
CUSTOMER = "customer id"
MPID = "mpid"
IS_ADD = "isadd"
STAMP = "timestamp"
AUDIENCE_ID = "audience id"
AUDIENCE_NAME = "audience name"

# What an error may show: a file without a header has somebody's data in its first line.
_NAME = re.compile(r"[^\W\d][\w -]{0,39}")

# How many columns an error lists.
LISTED = 10

# The spellings of a column, in lower case without anything but letters and digits.
_SPELLINGS = {
    EMAIL: ("email", "emailaddress", "mail", "mailaddress", "useremail"),
    CUSTOMER: ("customerid", "customer", "userid", "externalid", "externalcustomerid", "clientid"),
    MPID: ("mpid", "mparticleid"),
    IS_ADD: ("isadd", "isaddrequest", "ismember"),
    STAMP: ("timestamp", "timestampms", "membershipchangedtimestamp"),
    AUDIENCE_ID: ("audienceid",),
    AUDIENCE_NAME: ("audiencename",),
}
_MEANINGS = {spelling: name for name, spellings in _SPELLINGS.items() for spelling in spellings}


def meaning(column: str) -> str | None:
    """What a column of the header is here, if anything."""
    return _MEANINGS.get("".join(letter for letter in column.lower() if letter.isalnum()))


def read_csv(con: duckdb.DuckDBPyConnection, file: SourceFile, wanted: str | None) -> Source:
    """Read a CSV table, one audience of it if it tells several."""
    return read_rows(con, SourceFormat.TABLE, csv_rows(file), wanted)


def read_parquet(con: duckdb.DuckDBPyConnection, file: SourceFile, wanted: str | None) -> Source:
    """Read a Parquet table, one audience of it if it tells several."""
    return read_rows(con, SourceFormat.TABLE, parquet_rows(con, file), wanted)


def columns_by_meaning(columns: Sequence[str], file: SourceFile) -> dict[str, int]:
    """Where each column that matters stands."""
    found: dict[str, int] = {}
    for place, column in enumerate(columns):
        name = meaning(column)
        if name is None:
            continue
        if name in found:
            raise file.error(
                f"has two columns for the {name}, {columns[found[name]]} and {column}. Take one of them out."
            )
        found[name] = place
    if not found.keys() & {EMAIL, CUSTOMER, MPID}:
        _refuse_columns(columns, file)
    return found


def _refuse_columns(columns: Sequence[str], file: SourceFile) -> None:
    accepted = "; ".join(f"{name}: {', '.join(_SPELLINGS[name])}" for name in (EMAIL, CUSTOMER, MPID))
    if any("@" in column for column in columns):
        raise file.error(
            f"the first line holds an address instead of the names of columns. Accepted are {accepted}.", line=1
        )
    shown = ", ".join(column if _NAME.fullmatch(column) else "(not a name)" for column in columns[:LISTED])
    more = f" and {len(columns) - LISTED} more" if len(columns) > LISTED else ""
    raise file.error(f"has no column with an identity, only {shown}{more}. Accepted are {accepted}.")


def csv_rows(file: SourceFile) -> StagedRows:
    """The rows of a CSV table."""
    columns = file.layout.columns
    found = columns_by_meaning(columns, file)
    names = [f"c{place}" for place in range(len(columns))]
    source = scan(file, names, ["VARCHAR"] * len(columns))
    if len(columns) == 1:
        source += " WHERE c0 IS NOT NULL"  # otherwise a blank line is a row
    cell = "trim({})" if file.layout.padded else "{}"
    texts = {name: cell.format(names[place]) for name, place in found.items()}
    stamp = milliseconds_of_text(texts[STAMP]) if STAMP in texts else "NULL::BIGINT"
    return StagedRows(
        _select(source, texts, stamp),
        file,
        lambda row: error_location.csv_line_of_row(file, row),
        is_delta=IS_ADD in found,
    )


def parquet_rows(con: duckdb.DuckDBPyConnection, file: SourceFile) -> StagedRows:
    """The rows of a Parquet table."""
    source = f"read_parquet({file.sql}, hive_partitioning=false)"
    described = query(con, f"DESCRIBE SELECT * FROM {source}", file)
    if len(described) > MOST_COLUMNS:
        raise file.error(TOO_WIDE.format(len(described)))
    _refuse_packed(con, file)
    columns = [str(row[0]) for row in described]
    found = columns_by_meaning(columns, file)
    types = {name: str(described[place][1]) for name, place in found.items()}
    for name in found.keys() & {MPID, CUSTOMER, AUDIENCE_ID}:
        if types[name] in ("FLOAT", "DOUBLE"):
            raise file.error(
                f"the column {columns[found[name]]} holds floating-point numbers, which lose the last digits of an "
                "id. Export it as text or as 64-bit integers."
            )
    for name in found:
        if types[name].endswith(("[]", ")")) and not types[name].startswith("DECIMAL"):
            raise file.error(f"the column {columns[found[name]]} holds several values in one. Export it as text.")
    _refuse_long(con, file, {columns[place]: types[name] for name, place in found.items()})
    texts = {name: _parquet_text(identifier(columns[place]), types[name]) for name, place in found.items()}
    stamp = _parquet_stamp(identifier(columns[found[STAMP]]), types[STAMP]) if STAMP in found else "NULL::BIGINT"
    return StagedRows(_select(source, texts, stamp), file, None, is_delta=IS_ADD in found)


def _refuse_packed(con: duckdb.DuckDBPyConnection, file: SourceFile) -> None:
    """A column of equal values takes a few bytes, however many there are and however long they are."""
    size = file.path.stat().st_size
    columns = query(
        con,
        "SELECT sum(total_uncompressed_size), sum(total_compressed_size) "
        f"FROM parquet_metadata({file.sql}) GROUP BY column_id",
        file,
    )
    for unpacked, packed in columns:
        refuse_bomb(int(unpacked or 0), min(int(packed or 0), size), file)
    rows = query(con, f"SELECT sum(num_rows) FROM parquet_file_metadata({file.sql})", file)[0][0]
    refuse_bomb(int(rows or 0), size, file)


def _refuse_long(con: duckdb.DuckDBPyConnection, file: SourceFile, types: dict[str, str]) -> None:
    """Look at the lengths alone: a long value that is stored once can stand in each of a million rows."""
    measures = {"VARCHAR": "strlen", "BLOB": "octet_length"}
    columns = [column for column, kind in types.items() if kind in measures]
    if not columns:
        return
    lengths = [f"{measures[types[column]]}({identifier(column)})" for column in columns]
    wanted = ", ".join(f"coalesce(max({length}), 0), coalesce(sum({length}), 0)" for length in lengths)
    found = query(con, f"SELECT {wanted} FROM read_parquet({file.sql}, hive_partitioning=false)", file)[0]
    for column, longest in zip(columns, found[::2], strict=True):
        if longest > LONGEST_IDENTITY:
            raise file.error(
                f"the column {column} holds a value of more than {LONGEST_IDENTITY:,} bytes: this is not an audience."
            )
    refuse_bomb(int(sum(found[1::2])), file.path.stat().st_size, file)


def _parquet_text(column: str, kind: str) -> str:
    """A value as text. Some programs write text without saying that it is any."""
    return f"decode({column})" if kind == "BLOB" else f"{column}::VARCHAR"


def _parquet_stamp(column: str, kind: str) -> str:
    if kind.startswith("TIMESTAMP"):
        return f"epoch_ms({column})"
    return milliseconds_of_text(f"{column}::VARCHAR")


def _select(source: str, texts: dict[str, str], stamp: str) -> str:
    def text(name: str) -> str:
        return texts.get(name, "NULL::VARCHAR")

    is_delta = IS_ADD in texts
    member = boolean(texts[IS_ADD]) if is_delta else "true"
    unreadable = f"trim({texts[STAMP]}) <> '' AND {stamp} IS NULL" if is_delta and STAMP in texts else "false"
    label = text(AUDIENCE_ID) if AUDIENCE_ID in texts else text(AUDIENCE_NAME)
    return (
        f"SELECT {label} AS label, {text(AUDIENCE_NAME)} AS name, nullif(trim({text(MPID)}), '') AS mpid, "
        f"{member} AS member, {text(EMAIL)} AS email, {text(CUSTOMER)} AS customer_id, {stamp} AS stamp, "
        f"{unreadable} AS unreadable FROM {source}"
    )
