"""The SQL that reads a file of JSON objects, whether a line holds one, several, or a part of one.

mParticle's stream lands in S3 as its objects one after the other, with nothing between them: DuckDB's format
"unstructured" takes that and newline-delimited JSON alike.
"""

from core.sources import error_location
from core.sources.source_file import SourceFile
from core.sources.sql_expressions import literal
from core.sources.staging import StagedRows

# In bytes, and of the identities in it a few thousand. What holds more costs DuckDB many times its size.
LARGEST_OBJECT = 2 << 20


def scan(file: SourceFile, columns: dict[str, str]) -> str:
    """`read_json` over a file."""
    named = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in columns.items())
    return (
        f"read_json({file.sql}, auto_detect=false, format='unstructured', compression='none', hive_partitioning=false, "
        f"maximum_object_size={LARGEST_OBJECT}, columns={{{named}}})"
    )


def rows(sql: str, file: SourceFile) -> StagedRows:
    """Rows of a JSON file: changes of membership, of which the latest of a profile counts."""
    return StagedRows(sql, file, lambda row: error_location.json_line(file.path, row), is_delta=True)
