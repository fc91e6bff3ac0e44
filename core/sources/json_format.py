"""The SQL that reads a file of JSON objects, whether a line holds one, several, or a part of one.

mParticle's stream lands in S3 as its objects one after the other, with nothing between them: DuckDB's format
"unstructured" takes that and newline-delimited JSON alike.
"""

from core.sources import error_location
from core.sources.source_file import File
from core.sources.sql_expressions import literal
from core.sources.staging import Rows

# In bytes, and of the identities in it a few thousand. What holds more costs DuckDB many times its size.
LARGEST_OBJECT = 2 << 20


def scan(file: File, columns: dict[str, str]) -> str:
    """`read_json` over a file."""
    named = ", ".join(f"{literal(name)}: {literal(kind)}" for name, kind in columns.items())
    return (
        f"read_json({file.sql}, auto_detect=false, format='unstructured', compression='none', hive_partitioning=false, "
        f"maximum_object_size={LARGEST_OBJECT}, columns={{{named}}})"
    )


def rows(sql: str, file: File) -> Rows:
    """Rows of a JSON file: changes of membership, of which the latest of a profile counts."""
    return Rows(sql, file, lambda row: error_location.json_line(file.path, row), is_delta=True)
