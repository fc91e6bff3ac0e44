"""Shape 4, the plain table: CSV, Parquet or JSON with a column for email, customer id or mpid.

With a column `isadd`, as in mParticle's export to BigQuery, it contains additions and removals. Otherwise it is the
whole audience.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from core.sources import error_location, field_columns, json_format
from core.sources.csv_format import MOST_COLUMNS, TOO_WIDE, scan
from core.sources.duckdb_errors import query
from core.sources.source_file import SourceFile, readable, refuse_bomb
from core.sources.sql_expressions import boolean, identifier, literal, milliseconds_of_text
from core.sources.staged_rows import LONGEST_IDENTITY, StagedRows
from core.sources.table_columns import (
    AUDIENCE_ID,
    AUDIENCE_NAME,
    CUSTOMER,
    EMAIL,
    IS_ADD,
    MPID,
    STAMP,
    column_notes,
    columns_by_meaning,
    other_columns,
)

if TYPE_CHECKING:
    import duckdb


def csv_rows(file: SourceFile) -> StagedRows:
    """Return the query for the rows of a CSV table."""
    columns = file.layout.columns
    indexes = columns_by_meaning(columns, file)
    names = [f"c{index}" for index in range(len(columns))]
    source = scan(file, names, ["VARCHAR"] * len(columns))
    cell = "trim({})" if file.layout.padded else "{}"
    texts = {name: cell.format(names[index]) for name, index in indexes.items()}
    if MPID in texts:
        texts[MPID] = _without_text_mark(texts[MPID])
    stamp = milliseconds_of_text(texts[STAMP]) if STAMP in texts else "NULL::BIGINT"
    # a repeated header is not a member: the file was concatenated from parts, the first column perhaps with its mark
    repeated_header = " AND ".join(
        f"({cell.format(names[index])} = {literal(columns[index])}"
        + (f" OR {cell.format(names[index])} = {literal(chr(0xFEFF) + columns[index])})" if index == 0 else ")")
        for index in indexes.values()
    )
    places = field_columns.places_of(columns, file)
    fields = field_columns.values_of(places, lambda place: field_columns.csv_value(names[place], file))
    condition = f"({repeated_header}) IS NOT TRUE"
    if len(columns) == 1:
        condition += " AND c0 IS NOT NULL"  # otherwise a blank line is a row
    filled = " OR ".join(f"trim({name}) <> ''" for name in names)
    select = f"{_select(source, texts, stamp, fields)} WHERE {condition}"
    return StagedRows(
        select,
        file,
        lambda row: error_location.csv_line_of_row(file, row),
        is_delta=IS_ADD in indexes,
        sql_without_empty_rows=f"{select} AND ({filled})",
        customer_id_column=columns[indexes[CUSTOMER]] if CUSTOMER in indexes else None,
        field_count=len(places),
        other_columns=other_columns(columns, indexes),
        notes=(*column_notes(columns, indexes, places), *file.notes),
    )


def _without_text_mark(text: str) -> str:
    """Return a number without the mark by which a spreadsheet keeps it as text: '123 or ="123"."""
    trimmed = f"trim({text}, {literal(chr(39) + '=' + chr(34))})"
    is_apostrophe = f"{text} BETWEEN {literal(chr(39))} AND '('"
    return f"CASE WHEN {is_apostrophe} THEN {trimmed} WHEN {text} BETWEEN '=' AND '>' THEN {trimmed} ELSE {text} END"


def parquet_rows(con: "duckdb.DuckDBPyConnection", file: SourceFile) -> StagedRows:
    """Return the query for the rows of a Parquet table. Raises InputError if the file can't be used."""
    source = f"read_parquet({file.sql}, hive_partitioning=false)"
    described = query(con, f"DESCRIBE SELECT * FROM {source}", file)
    if len(described) > MOST_COLUMNS:
        raise file.error(TOO_WIDE.format(len(described)))
    _refuse_packed(con, file)
    columns = [str(row[0]) for row in described]
    indexes = columns_by_meaning(columns, file)
    types = {name: str(described[index][1]) for name, index in indexes.items()}
    for name in indexes:
        if types[name].endswith(("[]", ")")) and not types[name].startswith("DECIMAL"):
            raise file.error(_SEVERAL.format(columns[indexes[name]]))
        if types[name] == "BLOB":
            _refuse_bytes(con, source, columns[indexes[name]], file)
    _refuse_inexact(con, source, {columns[indexes[name]]: types[name] for name in indexes.keys() & _IDS}, file)
    places = field_columns.places_of(columns, file)
    values = [field_columns.parquet_value(identifier(columns[place]), str(described[place][1])) for place in places]
    _refuse_long(con, file, {columns[index]: types[name] for name, index in indexes.items()}, values)
    texts = {name: _parquet_text(identifier(columns[index]), types[name]) for name, index in indexes.items()}
    stamp = _parquet_stamp(identifier(columns[indexes[STAMP]]), types[STAMP]) if STAMP in indexes else "NULL::BIGINT"
    select = _select(source, texts, stamp, field_columns.values_of(range(len(places)), values.__getitem__))
    filled = " OR ".join(f"trim({identifier(column)}::VARCHAR) <> ''" for column in columns)
    return StagedRows(
        select,
        file,
        None,
        is_delta=IS_ADD in indexes,
        sql_without_empty_rows=f"{select} WHERE ({filled})",
        customer_id_column=columns[indexes[CUSTOMER]] if CUSTOMER in indexes else None,
        field_count=len(places),
        other_columns=other_columns(columns, indexes),
        notes=column_notes(columns, indexes, places),
    )


def json_rows(con: "duckdb.DuckDBPyConnection", file: SourceFile) -> StagedRows:
    """Return the query for the rows of a JSON table: objects one per line or in an array.

    BigQuery and Snowflake export such files and omit null values, so the columns are all keys of all objects.
    """
    source = json_format.scan_objects(file)
    keys = query(con, f"SELECT DISTINCT unnest(json_keys(json)) AS key FROM {source} ORDER BY key LIMIT 2001", file)
    columns = [str(key) for (key,) in keys]
    if len(columns) > MOST_COLUMNS:
        raise file.error(TOO_WIDE.format(len(columns)))
    is_empty = not columns and not query(con, f"SELECT 1 FROM {source} LIMIT 1", file)
    indexes = {} if is_empty else columns_by_meaning(columns, file)
    texts = _json_texts(con, file, {name: columns[index] for name, index in indexes.items()})
    stamp = milliseconds_of_text(texts[STAMP]) if STAMP in texts else "NULL::BIGINT"
    places = [] if is_empty else field_columns.places_of(columns, file)
    fields = field_columns.values_of(places, lambda place: field_columns.json_value(literal(_pointer(columns[place]))))
    select = _select(source, texts, stamp, fields)
    return StagedRows(
        select,
        file,
        json_format.line_of(file),
        is_delta=IS_ADD in indexes,
        sql_without_empty_rows=f"{select} WHERE EXISTS (SELECT 1 FROM (SELECT unnest(json_keys(json)) AS key) "
        "WHERE trim(json ->> ('/' || replace(replace(key, '~', '~0'), '/', '~1'))) <> '')",
        customer_id_column=columns[indexes[CUSTOMER]] if CUSTOMER in indexes else None,
        field_count=len(places),
        other_columns=other_columns(columns, indexes),
        notes=column_notes(columns, indexes, places) if indexes else (),
    )


def _pointer(key: str) -> str:
    """Return a key as a JSON pointer."""
    return "/" + key.replace("~", "~0").replace("/", "~1")


_IDS = {MPID, CUSTOMER, AUDIENCE_ID}
_IDENTITIES = {EMAIL, CUSTOMER, MPID}
# Below this, every whole number is an exact floating-point number.
_FIRST_INEXACT = 1 << 53
_INEXACT = (
    "the column {} contains floating-point numbers, which lose the last digits of an id, or ids with decimals. Export "
    "it as text or as 64-bit integers."
)
_SEVERAL = "the column {} contains several values in one cell. Export it as text."


def _json_texts(con: "duckdb.DuckDBPyConnection", file: SourceFile, keys: dict[str, str]) -> dict[str, str]:
    """Return the SQL of each key's value as text, by meaning.

    JSON has numbers with decimals and exponents, and DuckDB reads a number of more than 64 bits as such a one. As in
    Parquet, an id may be one if it is whole and exact. Raises InputError for others, and for nested values.
    """
    places = {name: literal(_pointer(key)) for name, key in keys.items()}
    texts = {name: f"(json ->> {place})" for name, place in places.items()}
    if not (checked := sorted(keys.keys() & (_IDS | _IDENTITIES))):
        return texts
    kinds = {name: f"json_type(json, {places[name]})" for name in checked}
    number = {name: f"CASE WHEN {kinds[name]} = 'DOUBLE' THEN {texts[name]}::DOUBLE END" for name in checked}
    aggregates = ", ".join(
        f"count({number[name]}), count(*) FILTER ({number[name]} <> trunc({number[name]}) "
        f"OR abs({number[name]}) >= {_FIRST_INEXACT}), count(*) FILTER ({kinds[name]} IN ('ARRAY', 'OBJECT'))"
        for name in checked
    )
    counts = query(con, f"SELECT {aggregates} FROM {json_format.scan_objects(file)}", file)[0]
    for name, floating, inexact, nested in zip(checked, counts[::3], counts[1::3], counts[2::3], strict=True):
        if nested and name in _IDENTITIES:
            raise file.error(_SEVERAL.format(readable(keys[name], 60)))
        if inexact and name in _IDS:
            raise file.error(_INEXACT.format(readable(keys[name], 60)))
        if floating and name in _IDS:
            texts[name] = f"coalesce(({number[name]})::HUGEINT::VARCHAR, {texts[name]})"
    return texts


def _refuse_inexact(con: "duckdb.DuckDBPyConnection", source: str, types: dict[str, str], file: SourceFile) -> None:
    """Raise InputError for ids in numbers that are not exact: with decimals, or too large for floating point.

    `types` are the types of the columns with ids, by column.
    """
    for column, kind in types.items():
        if not kind.startswith(("FLOAT", "DOUBLE", "DECIMAL")):
            continue
        value = identifier(column)
        limit = {"F": 1 << 24, "D": _FIRST_INEXACT}[kind[0]] if not kind.startswith("DECIMAL") else None
        inexact = f"{value} <> trunc({value})" + (f" OR abs({value}) >= {limit} OR isnan({value})" if limit else "")
        if query(con, f"SELECT 1 FROM {source} WHERE {inexact} LIMIT 1", file):
            raise file.error(_INEXACT.format(column))


def _refuse_bytes(con: "duckdb.DuckDBPyConnection", source: str, column: str, file: SourceFile) -> None:
    """Raise InputError if a column contains bytes that are not text: Iterable would not know such an id."""
    value = identifier(column)
    if query(con, f"SELECT 1 FROM {source} WHERE {value} IS NOT NULL AND TRY(decode({value})) IS NULL LIMIT 1", file):
        raise file.error(f"the column {column} contains bytes that are not text. Export it as text.")


def _refuse_packed(con: "duckdb.DuckDBPyConnection", file: SourceFile) -> None:
    """Raise InputError for a bomb: a column of equal values takes few bytes, whatever their number and length."""
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


def _refuse_long(
    con: "duckdb.DuckDBPyConnection", file: SourceFile, types: dict[str, str], fields: Sequence[str] = ()
) -> None:
    """Raise InputError if a column contains too long a value, or too many bytes in all, with those of `fields` (SQL).

    Only lengths are read: a long value that is stored once may occur in each of a million rows.
    """
    measures = {"VARCHAR": "strlen", "BLOB": "octet_length"}
    columns = [column for column, kind in types.items() if kind in measures]
    if not columns and not fields:
        return
    lengths = [f"{measures[types[column]]}({identifier(column)})" for column in columns]
    lengths += [f"strlen({value})" for value in fields]
    aggregates = ", ".join(f"coalesce(max({length}), 0), coalesce(sum({length}), 0)" for length in lengths)
    values = query(con, f"SELECT {aggregates} FROM read_parquet({file.sql}, hive_partitioning=false)", file)[0]
    for column, longest in zip(columns, values[: 2 * len(columns) : 2], strict=True):
        if longest > LONGEST_IDENTITY:
            raise file.error(
                f"the column {column} contains a value of more than {LONGEST_IDENTITY:,} bytes: this is not an "
                "audience."
            )
    refuse_bomb(int(sum(values[1::2])), file.path.stat().st_size, file)


def _parquet_text(column: str, kind: str) -> str:
    """Return a value as text. Some programs write text as bytes, and whole numbers with decimals."""
    if kind in ("FLOAT", "DOUBLE") or kind.startswith("DECIMAL"):
        return f"CASE WHEN {column} = trunc({column}) THEN trunc({column})::HUGEINT::VARCHAR ELSE {column}::VARCHAR END"
    return f"decode({column})" if kind == "BLOB" else f"{column}::VARCHAR"


def _parquet_stamp(column: str, kind: str) -> str:
    if kind.startswith("TIMESTAMP"):
        return f"epoch_ms({column})"
    return milliseconds_of_text(f"{column}::VARCHAR")


def _select(source: str, texts: dict[str, str], stamp: str, fields: str = "") -> str:
    def text(name: str) -> str:
        return texts.get(name, "NULL::VARCHAR")

    is_delta = IS_ADD in texts
    member = boolean(texts[IS_ADD]) if is_delta else "true"
    unreadable = f"trim({texts[STAMP]}) <> '' AND {stamp} IS NULL" if is_delta and STAMP in texts else "false"
    # what begins with no white space is not trimmed: that costs more than all the rest, and numbers are read with it
    mpid = f"CASE WHEN {text(MPID)} > '!' THEN {text(MPID)} ELSE nullif(trim({text(MPID)}), '') END"
    label = text(AUDIENCE_ID) if AUDIENCE_ID in texts else text(AUDIENCE_NAME)
    return (
        f"SELECT {label} AS label, {text(AUDIENCE_NAME)} AS name, {mpid} AS mpid, "
        f"{member} AS member, {text(EMAIL)} AS email, {text(CUSTOMER)} AS customer_id, {stamp} AS stamp, "
        f"{unreadable} AS unreadable{fields} FROM {source}"
    )
