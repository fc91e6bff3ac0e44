"""A temporary directory for the files that are written while an audience is read."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from core.sources.duckdb_errors import disk_errors, query
from core.sources.source_file import SourceFile, is_pattern

if TYPE_CHECKING:
    import duckdb


@contextmanager
def scratch(con: "duckdb.DuckDBPyConnection", file: SourceFile) -> Iterator[Path]:
    """Yield a temporary directory next to the one that DuckDB spills to, or else in the system's.

    DuckDB's directory has enough room, and only this program uses it. Raises SettingsError if the disk is full.
    """
    spill = Path(query(con, "SELECT current_setting('temp_directory')", file)[0][0])
    is_usable = spill.is_absolute() and spill.parent.is_dir() and not is_pattern(spill.parent)
    with disk_errors():
        folder = tempfile.TemporaryDirectory(prefix="audience-", dir=spill.parent if is_usable else None)
    with folder as name:
        yield Path(name)
