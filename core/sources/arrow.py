"""Rows as Arrow tables, from which DuckDB reads them quickly.

Import it in functions: Arrow takes a tenth of a second to import, and many commands and small files need none.
"""

from collections.abc import Mapping, Sequence

import pyarrow as pa
from pyarrow import csv

pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own pools keep about 30 MB more

_TYPES = {
    "VARCHAR": pa.string(),
    "BOOLEAN": pa.bool_(),
    "BIGINT": pa.int64(),
    "INTEGER": pa.int32(),
    "UTINYINT": pa.uint8(),
}


def arrow_table(columns: Mapping[str, str], rows: Sequence[Sequence[object]]) -> pa.Table:
    """Return rows as a table. `columns` are DuckDB's types, by name, in the order of the values. There is a row."""
    schema = _schema(columns)
    arrays = [pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), schema, strict=True)]
    return pa.table(arrays, schema=schema)


def csv_table(columns: Mapping[str, str], lines: bytes) -> pa.Table:
    """Return lines of CSV as a table. An empty value is NULL, and truth values are 1 and 0. `columns`: as above."""
    schema = _schema(columns)
    return csv.read_csv(
        pa.py_buffer(lines),
        csv.ReadOptions(column_names=schema.names, use_threads=False, block_size=len(lines)),
        csv.ParseOptions(newlines_in_values=True),
        csv.ConvertOptions(
            column_types=schema,
            null_values=[""],
            true_values=["1"],
            false_values=["0"],
            strings_can_be_null=True,
        ),
    )


def _schema(columns: Mapping[str, str]) -> pa.Schema:
    return pa.schema([(name, _TYPES[kind]) for name, kind in columns.items()])
