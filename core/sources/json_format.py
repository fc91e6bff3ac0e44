"""The SQL that reads a file of JSON objects, whether a line holds one, several, or a part of one.

mParticle's stream lands in S3 as its objects one after the other, with nothing between them: DuckDB's format
"unstructured" takes that and newline-delimited JSON alike.
"""

from collections.abc import Callable

from core.sources import error_location
from core.sources.source_file import SourceFile
from core.sources.sql_expressions import literal
from core.sources.staging import StagedRows

# In bytes, and of the identities in it a few thousand. What holds more costs DuckDB many times its size.
LARGEST_OBJECT = 2 << 20


def scan(file: SourceFile, columns: dict[str, str]) -> str:
    """`read_json` over a file."""
    layout = "array" if file.is_array else "unstructured"
    named = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in columns.items())
    return (
        f"read_json({file.sql}, auto_detect=false, format='{layout}', compression='none', hive_partitioning=false, "
        f"maximum_object_size={LARGEST_OBJECT}, columns={{{named}}})"
    )


def rows(sql: str, file: SourceFile) -> StagedRows:
    """Rows of a JSON file: changes of membership, of which the latest of a profile counts."""
    return StagedRows(sql, file, line_of(file), is_delta=True)


def line_of(file: SourceFile) -> Callable[[int], int | None]:
    """Tells the line of the n-th object; in an array, none."""
    return lambda row: None if file.is_array else error_location.json_line(file.path, row)


def scan_objects(file: SourceFile) -> str:
    """`read_json_objects` over a file: a column `json`, whatever the objects hold."""
    layout = "array" if file.is_array else "unstructured"
    return (
        f"read_json_objects({file.sql}, format='{layout}', compression='none', hive_partitioning=false, "
        f"maximum_object_size={LARGEST_OBJECT})"
    )
