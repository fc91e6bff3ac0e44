"""Rows as Arrow tables, from which DuckDB reads them quickly.

Import it in functions: Arrow takes a tenth of a second to import, and many commands and small files need none.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import orjson
import pyarrow as pa
from pyarrow import csv

if TYPE_CHECKING:
    import duckdb

# What follows the backslash of an escape. (A pattern that begins with anything but a letter looks at each byte.)
_ESCAPED = re.compile(rb"\\(.)", re.DOTALL)
_TYPES = {
    "VARCHAR": pa.string(),
    "BOOLEAN": pa.bool_(),
    "BIGINT": pa.int64(),
    "INTEGER": pa.int32(),
    "UTINYINT": pa.uint8(),
}


def arrow_table(columns: Mapping[str, str], rows: Sequence[Sequence[object]]) -> pa.Table:
    """Return rows as a table. `columns` are DuckDB's types, by name, in the order of the values. There is a row."""
    schema = arrow_schema(columns)
    arrays = [pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), schema, strict=True)]
    return pa.table(arrays, schema=schema)


def table_of_lines(columns: Mapping[str, str], lines: bytes) -> pa.Table:
    """Return lines of JSON arrays as a table. The first value of each is ignored. `columns`: as above, of the others.

    The last value of a line is a number; truth values are 1 and 0. In lines without escapes of line breaks and the
    like, they may be in a text as they are.
    """
    if any(escaped not in b'"\\' for escaped in _ESCAPED.findall(lines)):
        rows = [row[1:] for row in orjson.loads(b"[" + lines.replace(b"\n", b",") + b"]")]
        return arrow_table(columns, [_with_truth_values(columns, row) for row in rows])
    schema = arrow_schema(columns)
    return csv.read_csv(
        pa.py_buffer(lines),
        csv.ReadOptions(column_names=["ignored", *schema.names], use_threads=False, block_size=len(lines)),
        csv.ParseOptions(double_quote=False, escape_char="\\", newlines_in_values=True),
        csv.ConvertOptions(
            column_types=schema,
            include_columns=schema.names,
            null_values=["null"],
            quoted_strings_can_be_null=False,
            true_values=["1", "1]"],
            false_values=["0", "0]"],
            strings_can_be_null=True,
        ),
    )


def _with_truth_values(columns: Mapping[str, str], row: Sequence[object]) -> list[object]:
    return [bool(value) if kind == "BOOLEAN" else value for value, kind in zip(row, columns.values(), strict=True)]


def with_number(table: pa.Table, column: str, number: int) -> pa.Table:
    """Return a table with one more column of type BIGINT, which has the same number in each row."""
    return table.append_column(column, pa.repeat(pa.scalar(number, pa.int64()), table.num_rows))


def joined_tables(first: pa.Table | None, second: pa.Table) -> pa.Table:
    """Return the rows of both tables, without a copy. None: no rows."""
    return second if first is None else pa.concat_tables([first, second])


def arrow_schema(columns: Mapping[str, str]) -> pa.Schema:
    """Return the schema of columns with these types of DuckDB, by name, in their order."""
    return pa.schema([(name, _TYPES[kind]) for name, kind in columns.items()])


def read_chunks(
    con: "duckdb.DuckDBPyConnection", query: str, rows: int, values: Mapping[str, object] | None = None
) -> Iterator[pa.RecordBatch]:
    """Yield the result of a query, so many rows at a time. Until its end, nothing else may be executed on `con`.

    Raises DuckDB's errors, in place of the OSError that Arrow raises.
    """
    import duckdb

    try:
        yield from con.sql(query, params=values).to_arrow_reader(rows)
    except OSError as error:
        errors = {
            "Out of Memory Error": duckdb.OutOfMemoryException,
            "INTERRUPT Error": duckdb.InterruptException,
            "IO Error": duckdb.IOException,
        }
        for prefix, kind in errors.items():
            if prefix in str(error):
                raise kind(str(error)) from error
        raise
