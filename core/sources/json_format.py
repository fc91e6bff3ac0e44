"""The SQL that reads a file of JSON objects. A line may contain one object, several, or part of one.

mParticle's stream arrives in S3 as objects with nothing between them. DuckDB's format "unstructured" accepts that as
well as newline-delimited JSON.
"""

from collections.abc import Callable

from core.sources import error_location
from core.sources.source_file import SourceFile
from core.sources.sql_expressions import literal
from core.sources.staged_rows import StagedRows

# In bytes: enough for a few thousand identities. Larger objects cost DuckDB many times their size in memory.
LARGEST_OBJECT = 2 << 20


def scan(file: SourceFile, columns: dict[str, str]) -> str:
    """Return the `read_json` call for a file, with these names and types for its columns."""
    layout = "array" if file.is_array else "unstructured"
    named = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in columns.items())
    return (
        f"read_json({file.sql}, auto_detect=false, format='{layout}', compression='none', hive_partitioning=false, "
        f"maximum_object_size={LARGEST_OBJECT}, columns={{{named}}})"
    )


def rows(sql: str, file: SourceFile) -> StagedRows:
    """Return the rows of a JSON file from its query: changes of membership. The latest of a profile counts."""
    return StagedRows(sql, file, line_of(file), is_delta=True)


def line_of(file: SourceFile) -> Callable[[int], int | None]:
    """Return a function from the number of an object to its line; to None in an array."""
    return lambda row: None if file.is_array else error_location.json_line(file.path, row)


def scan_objects(file: SourceFile) -> str:
    """Return the `read_json_objects` call for a file. Its only column is `json`."""
    layout = "array" if file.is_array else "unstructured"
    return (
        f"read_json_objects({file.sql}, format='{layout}', compression='none', hive_partitioning=false, "
        f"maximum_object_size={LARGEST_OBJECT})"
    )
