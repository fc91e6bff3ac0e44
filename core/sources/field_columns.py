"""The columns of a table that are sent as data fields: their values, each with what is known of its type.

A value is text that begins with a letter for its kind; a cell without a value is NULL:

    t   text of a format without types (CSV): it may stand for a number, a date or a truth value
    s   a string
    j   other JSON: a number, true or false, an array, an object
    d   a date, as Iterable writes it: 2026-01-31 10:00:00 +00:00
    l   nothing: the value was longer than LONGEST_VALUE
    n   nothing: the value was deleted, and is to be deleted in Iterable (live changes only)

The rows of a person become one row of the table `source_fields`: of each column, the latest value.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import orjson

from core.errors import InputError
from core.sources.duckdb_errors import query
from core.sources.source_file import SourceFile, readable
from core.sources.sql_expressions import literal, stripped
from core.sources.staged_rows import StagedRows

if TYPE_CHECKING:
    import duckdb

#: In bytes: the longest keyword of Elasticsearch, in which Iterable keeps profiles.
LONGEST_VALUE = 32_766
TABLE = "source_fields"

# Words that stand for "no value" in every column: what databases write.
_NOTHING = ("", "NULL", "null", "\\N")
_DATE_FORMAT = "%Y-%m-%d %H:%M:%S +00:00"
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT")


def places_of(columns: Sequence[str], file: SourceFile) -> list[int]:
    """Return the places of the columns that are data fields, in their order. Raises InputError if one is missing."""
    exact = [column.strip() for column in columns]
    folded = [column.casefold() for column in exact]
    missing = [name for name in file.field_columns if name.strip().casefold() not in folded]
    if missing:
        names = ", ".join(readable(name, 60) for name in missing)
        raise InputError(
            f"has no column {names}, which the mapping sends to Iterable as a data field. Export it, or take it off "
            "the data fields of the mapping.",
            path=file.shown,
        )
    wanted = [name.strip() for name in file.field_columns]
    return [exact.index(name) if name in exact else folded.index(name.casefold()) for name in wanted]


def csv_value(cell: str, file: SourceFile) -> str:
    """Return the value of a cell of a CSV file, an SQL expression like `cell`."""
    if file.has_typed_fields:
        return f"nullif({cell}, '')"
    return _of_text(stripped(cell), "t")


def json_value(pointer: str) -> str:
    """Return the value at a JSON pointer (an SQL literal) of the column `json`."""
    value = f"json_extract(json, {pointer})"
    kind = f"json_type({value})"
    return (
        f"CASE {kind} WHEN 'NULL' THEN NULL WHEN 'VARCHAR' THEN {_of_text(f'(json ->> {pointer})', 's')} "
        f"ELSE {_limited(f'{value}::VARCHAR', 'j')} END"
    )


def parquet_value(column: str, kind: str) -> str:
    """Return the value of a column (an SQL identifier) of this type."""
    if kind in _INTEGERS or kind == "BOOLEAN":
        return f"'j' || lower({column}::VARCHAR)"
    if kind.startswith("DECIMAL"):
        whole = f"trunc({column})"
        return f"'j' || CASE WHEN {column} = {whole} THEN {whole}::HUGEINT::VARCHAR ELSE {column}::VARCHAR END"
    if kind in ("FLOAT", "DOUBLE"):
        return f"CASE WHEN isfinite({column}) THEN 'j' || {column}::VARCHAR END"
    if kind.startswith("TIMESTAMP") or kind == "DATE":
        return f"'d' || strftime(make_timestamp(epoch_us({column})), {literal(_DATE_FORMAT)})"
    if kind.endswith("[]") or kind.startswith(("STRUCT", "MAP", "LIST")):
        return _limited(f"CASE WHEN {column} IS NOT NULL THEN to_json({column})::VARCHAR END", "j")
    return _of_text(f"decode({column})" if kind == "BLOB" else f"{column}::VARCHAR", "s")


def workbook_value(cell: Any) -> str:
    """Return the value of a cell of a workbook, as text ("": none)."""
    if isinstance(cell, datetime):
        moment = cell if cell.tzinfo is None else cell.astimezone(UTC)
        return f"d{moment.strftime(_DATE_FORMAT)}"
    if isinstance(cell, date):
        return f"d{cell.isoformat()} 00:00:00 +00:00"
    if isinstance(cell, bool | int | float):
        whole = isinstance(cell, float) and cell == int(cell)
        return f"j{orjson.dumps(int(cell) if whole else cell).decode()}"
    text = str(cell).strip()
    return "" if text in _NOTHING else f"s{text}" if len(text.encode()) <= LONGEST_VALUE else "l"


def values_of(places: Sequence[int], value: Any) -> str:
    """Return the columns f0, f1, ... of a SELECT; `value` returns the expression of the value at a place."""
    return "".join(f", {value(place)} AS f{index}" for index, place in enumerate(places))


def gather(con: "duckdb.DuckDBPyConnection", rows: StagedRows, order: str, profile: str, numbered: str) -> None:
    """Append to the table `source_fields`, from the rows on the stage, the latest value of each profile and column.

    `order` is what orders rows, `profile` the key of a row's profile, and `numbered` the query of the rows. Of a member
    who shares the customer id with others, only the rows with the same email count.
    """
    names = [f"f{index}" for index in range(rows.field_count)]
    latest = ", ".join(f"arg_max({name}, k) AS {name}" for name in names)
    keyed = (
        f"SELECT *, {order} AS k, {profile} AS profile FROM ({numbered}) "
        f"WHERE coalesce({', '.join([*names, 'NULL'])}) IS NOT NULL"
    )
    gathered = f"SELECT profile, {latest} FROM ({keyed}) {_OWN} GROUP BY profile"
    query(con, f"INSERT INTO {TABLE} {gathered}", rows.file)


# (Rows without an mpid whose customer id is shared by several emails: see core/sources/grouping.py.)
_OWN = """
    WHERE mpid IS NOT NULL OR customer_id IS NULL
        OR customer_id NOT IN (SELECT customer_id FROM source WHERE starts_with(profile, 'shared:'))
        OR lower(email) IN (SELECT lower(source.email) FROM source WHERE source.profile = 'customer:' || customer_id)
"""


def create_values(con: "duckdb.DuckDBPyConnection", count: int) -> dict[str, str]:
    """Create the table `source_fields`, empty, with that many columns of values, and return its columns' types."""
    columns = dict.fromkeys(["profile", *(f"f{index}" for index in range(count))], "VARCHAR")
    con.execute(f"CREATE OR REPLACE TABLE {TABLE} ({', '.join(f'{name} {kind}' for name, kind in columns.items())})")
    return columns


def keep_members(con: "duckdb.DuckDBPyConnection") -> None:
    """Delete the values of profiles that are not in the table `source`, or not as members."""
    con.execute(f"DELETE FROM {TABLE} WHERE profile NOT IN (SELECT profile FROM source WHERE member)")


def _of_text(text: str, kind: str) -> str:
    nothing = ", ".join(map(literal, _NOTHING))
    return f"CASE WHEN {text} NOT IN ({nothing}) THEN {_limited(text, kind)} END"


def _limited(text: str, kind: str) -> str:
    return f"CASE WHEN strlen({text}) > {LONGEST_VALUE} THEN 'l' ELSE '{kind}' || {text} END"
