"""The SQL of planning, from the files in `sql/`: named statements, and the columns of the working tables."""

import re
from functools import cache
from pathlib import Path

import pyarrow as pa

#: The tables that every planning needs before the diff.
TABLES = ("desired", "leavers", "rejected", "last_known_emails", "previous_plan")
_DIRECTORY = Path(__file__).parent / "sql"
_BLOCK = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_COLUMN = re.compile(r"^    (\w+) (VARCHAR|BOOLEAN|BIGINT)\b", re.MULTILINE)
_ARROW = {"VARCHAR": pa.string(), "BOOLEAN": pa.bool_(), "BIGINT": pa.int64()}


@cache
def statements(name: str) -> dict[str, str]:
    """Return the statements of a file in `sql/`, keyed by the names in the comments `-- name:`."""
    _, *parts = _BLOCK.split((_DIRECTORY / name).read_text(encoding="utf-8"))
    return {name: body.strip().rstrip(";") for name, body in zip(parts[::2], parts[1::2], strict=True)}


def create(*tables: str) -> str:
    """Return the statements that create these working tables, empty."""
    return ";\n".join(statements("schema.sql")[table] for table in tables)


@cache
def columns_of(table: str) -> tuple[str, ...]:
    """Return the names of the columns of a working table."""
    return tuple(name for name, _ in _COLUMN.findall(statements("schema.sql")[table]))


@cache
def arrow_schema(table: str) -> pa.Schema:
    """Return the columns of a working table that Python fills, as an Arrow schema."""
    columns = _COLUMN.findall(statements("schema.sql")[table])
    return pa.schema([(name, _ARROW[kind]) for name, kind in columns])
