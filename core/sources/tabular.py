"""Shape 4, the plain table: CSV or Parquet with a column for email, customer id or mpid.

With a column `isadd`, as in mParticle's export to BigQuery, it tells who joined and who left; otherwise it is the
whole audience.
"""

import re
from collections.abc import Sequence

import duckdb

from core.errors import AmbiguousColumnsError, ColumnNotFoundError
from core.sources import error_location, json_format
from core.sources.csv_format import MOST_COLUMNS, TOO_WIDE, scan
from core.sources.duckdb_errors import query
from core.sources.source_file import SourceFile, readable, refuse_bomb
from core.sources.sql_expressions import boolean, identifier, literal, milliseconds_of_text
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

#: The spellings of a column, in lower case without anything but letters and digits.
SPELLINGS = {
    EMAIL: ("email", "emailaddress", "mail", "mailaddress", "useremail"),
    CUSTOMER: ("customerid", "customer", "userid", "externalid", "externalcustomerid", "clientid"),
    MPID: ("mpid", "mparticleid"),
    IS_ADD: ("isadd", "isaddrequest", "ismember"),
    STAMP: ("timestamp", "timestampms", "membershipchangedtimestamp"),
    AUDIENCE_ID: ("audienceid",),
    AUDIENCE_NAME: ("audiencename",),
}
#: What a person can choose a column for, and what that is called here.
_CHOICES = {"email": EMAIL, "customer_id": CUSTOMER, "mpid": MPID}
COLUMN_CHOICES = tuple(_CHOICES)
_MEANINGS = {spelling: name for name, spellings in SPELLINGS.items() for spelling in spellings}


def meaning(column: str) -> str | None:
    """What a column of the header is here, if anything."""
    return _MEANINGS.get("".join(letter for letter in column.lower() if letter.isalnum()))


def columns_by_meaning(columns: Sequence[str], file: SourceFile) -> dict[str, int]:
    """Where each column that matters stands: those that a person has chosen, and others by their names."""
    found = _chosen_columns(columns, file)
    for place, column in enumerate(columns):
        name = meaning(column)
        if name is None or place in found.values() or name in {_CHOICES[key] for key, _ in file.chosen_columns}:
            continue
        if name in found:
            raise AmbiguousColumnsError(
                f"has two columns for the {name}, {readable(columns[found[name]], 60)} and {readable(column, 60)}. "
                "Choose one of them.",
                path=file.shown,
            )
        found[name] = place
    if not found.keys() & {EMAIL, CUSTOMER, MPID}:
        _refuse_columns(columns, file)
    return found


def _chosen_columns(columns: Sequence[str], file: SourceFile) -> dict[str, int]:
    """Where the columns stand that a person has chosen."""
    names = [column.strip().casefold() for column in columns]
    found = {}
    for key, column in file.chosen_columns:
        if column.strip().casefold() not in names:
            shown = ", ".join(name if _NAME.fullmatch(name) else "(not a name)" for name in columns[:LISTED])
            raise ColumnNotFoundError(
                f"has no column {readable(column, 60)}, which was chosen for {key}, only {shown}.", path=file.shown
            )
        found[_CHOICES[key]] = names.index(column.strip().casefold())
    return found


def _refuse_columns(columns: Sequence[str], file: SourceFile) -> None:
    accepted = "; ".join(f"{name}: {', '.join(SPELLINGS[name])}" for name in (EMAIL, CUSTOMER, MPID))
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
    cell = "trim({})" if file.layout.padded else "{}"
    texts = {name: cell.format(names[place]) for name, place in found.items()}
    if MPID in texts:
        texts[MPID] = _unmarked(texts[MPID])
    stamp = milliseconds_of_text(texts[STAMP]) if STAMP in texts else "NULL::BIGINT"
    # a header that is repeated is no member: the files of an export were put together
    repeated = " AND ".join(
        f"{cell.format(names[place])} IN ({literal(columns[place])}, {literal(chr(0xFEFF) + columns[place])})"
        for place in found.values()
    )
    kept = f"({repeated}) IS NOT TRUE"
    if len(columns) == 1:
        kept += " AND c0 IS NOT NULL"  # otherwise a blank line is a row
    filled = " OR ".join(f"trim({name}) <> ''" for name in names)
    select = f"{_select(source, texts, stamp)} WHERE {kept}"
    return StagedRows(
        select,
        file,
        lambda row: error_location.csv_line_of_row(file, row),
        is_delta=IS_ADD in found,
        sql_without_empty_rows=f"{select} AND ({filled})",
        customer_id_column=columns[found[CUSTOMER]] if CUSTOMER in found else None,
        notes=(*_column_notes(columns, found), *file.notes),
    )


def _unmarked(text: str) -> str:
    """A number that a spreadsheet keeps as text: '123 or ="123"."""
    signs = literal("'=" + '"')
    return f"CASE WHEN {text} BETWEEN {literal(chr(39))} AND '>' THEN trim({text}, {signs}) ELSE {text} END"


def _column_notes(columns: Sequence[str], found: dict[str, int]) -> tuple[str, ...]:
    """Which columns count, and which are ignored."""
    used = ", ".join(
        f"{readable(columns[place], 40)} as {name}" for place, name in sorted((p, n) for n, p in found.items())
    )
    ignored = [
        column if _NAME.fullmatch(column) else "(not a name)"
        for place, column in enumerate(columns)
        if place not in found.values()
    ]
    more = f" and {len(ignored) - LISTED} more" if len(ignored) > LISTED else ""
    rest = f" Ignored: {', '.join(ignored[:LISTED])}{more}." if ignored else ""
    return (f"Columns used: {used}.{rest}",)


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
    _refuse_inexact(con, source, {columns[found[name]]: types[name] for name in found.keys() & _IDS}, file)
    for name in found:
        if types[name].endswith(("[]", ")")) and not types[name].startswith("DECIMAL"):
            raise file.error(f"the column {columns[found[name]]} holds several values in one. Export it as text.")
        if types[name] == "BLOB":
            _refuse_bytes(con, source, columns[found[name]], file)
    _refuse_long(con, file, {columns[place]: types[name] for name, place in found.items()})
    texts = {name: _parquet_text(identifier(columns[place]), types[name]) for name, place in found.items()}
    stamp = _parquet_stamp(identifier(columns[found[STAMP]]), types[STAMP]) if STAMP in found else "NULL::BIGINT"
    select = _select(source, texts, stamp)
    filled = " OR ".join(f"trim({identifier(column)}::VARCHAR) <> ''" for column in columns)
    return StagedRows(
        select,
        file,
        None,
        is_delta=IS_ADD in found,
        sql_without_empty_rows=f"{select} WHERE ({filled})",
        customer_id_column=columns[found[CUSTOMER]] if CUSTOMER in found else None,
        notes=_column_notes(columns, found),
    )


def json_rows(con: duckdb.DuckDBPyConnection, file: SourceFile) -> StagedRows:
    """The rows of a table as JSON objects, one a line or in an array, as BigQuery and Snowflake export them.

    They leave out what is null, so that the columns are all keys of all objects.
    """
    source = json_format.scan_objects(file)
    keys = query(con, f"SELECT DISTINCT unnest(json_keys(json)) AS key FROM {source} ORDER BY key LIMIT 2001", file)
    columns = [str(key) for (key,) in keys]
    if len(columns) > MOST_COLUMNS:
        raise file.error(TOO_WIDE.format(len(columns)))
    empty = not columns and not query(con, f"SELECT 1 FROM {source} LIMIT 1", file)
    found = {} if empty else columns_by_meaning(columns, file)
    texts = {name: f"(json ->> {literal(_pointer(columns[place]))})" for name, place in found.items()}
    stamp = milliseconds_of_text(texts[STAMP]) if STAMP in texts else "NULL::BIGINT"
    select = _select(source, texts, stamp)
    return StagedRows(
        select,
        file,
        json_format.line_of(file),
        is_delta=IS_ADD in found,
        sql_without_empty_rows=f"{select} WHERE EXISTS (SELECT 1 FROM (SELECT unnest(json_keys(json)) AS key) "
        "WHERE trim(json ->> ('/' || replace(replace(key, '~', '~0'), '/', '~1'))) <> '')",
        customer_id_column=columns[found[CUSTOMER]] if CUSTOMER in found else None,
        notes=_column_notes(columns, found) if found else (),
    )


def _pointer(key: str) -> str:
    """A key as a JSON pointer."""
    return "/" + key.replace("~", "~0").replace("/", "~1")


_IDS = {MPID, CUSTOMER, AUDIENCE_ID}
# Up to here every whole number has a floating-point number of its own.
_LAST_EXACT = 1 << 53


def _refuse_inexact(con: duckdb.DuckDBPyConnection, source: str, types: dict[str, str], file: SourceFile) -> None:
    """Refuse ids in numbers that can't hold them: with decimals, or too large to be exact."""
    for column, kind in types.items():
        if not kind.startswith(("FLOAT", "DOUBLE", "DECIMAL")):
            continue
        value = identifier(column)
        last = {"F": 1 << 24, "D": _LAST_EXACT}[kind[0]] if not kind.startswith("DECIMAL") else None
        inexact = f"{value} <> trunc({value})" + (f" OR abs({value}) >= {last} OR isnan({value})" if last else "")
        if query(con, f"SELECT 1 FROM {source} WHERE {inexact} LIMIT 1", file):
            raise file.error(
                f"the column {column} holds floating-point numbers, which lose the last digits of an id, or ids with "
                "decimals. Export it as text or as 64-bit integers."
            )


def _refuse_bytes(con: duckdb.DuckDBPyConnection, source: str, column: str, file: SourceFile) -> None:
    """Refuse bytes that are no text: an id in another form than people and Iterable write it."""
    value = identifier(column)
    if query(con, f"SELECT 1 FROM {source} WHERE {value} IS NOT NULL AND TRY(decode({value})) IS NULL LIMIT 1", file):
        raise file.error(f"the column {column} holds bytes that are not text. Export it as text.")


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
    """A value as text. Some programs write text without saying that it is any, and whole numbers with decimals."""
    if kind in ("FLOAT", "DOUBLE") or kind.startswith("DECIMAL"):
        return f"CASE WHEN {column} = trunc({column}) THEN trunc({column})::HUGEINT::VARCHAR ELSE {column}::VARCHAR END"
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
