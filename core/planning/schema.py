"""The SQL of planning, from the files in `sql/`: named statements, and the columns of the working tables."""

import re
from functools import cache
from pathlib import Path

#: The tables that every planning needs before the diff.
TABLES = ("desired", "leavers", "rejected", "last_known_emails", "previous_plan")
_DIRECTORY = Path(__file__).parent / "sql"
_BLOCK = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_COLUMN = re.compile(r"^    (\w+) (VARCHAR|BOOLEAN|BIGINT)\b", re.MULTILINE)


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
    return tuple(types_of(table))


@cache
def types_of(table: str) -> dict[str, str]:
    """Return the types of the columns of a working table, by name, in their order."""
    return dict(_COLUMN.findall(statements("schema.sql")[table]))
