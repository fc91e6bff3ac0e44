"""The properties of any file: it is read into the table, or refused with a clear error."""

import tempfile
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from core.errors import InputError
from core.sources import Source, read
from core.sources.small_files import read_small

COLUMNS = [
    ("profile", "VARCHAR"),
    ("mpid", "BIGINT"),
    ("member", "BOOLEAN"),
    ("email", "VARCHAR"),
    ("customer_id", "VARCHAR"),
]


@contextmanager
def planning_workspace(directory: Path, threads: int = 1) -> Iterator[duckdb.DuckDBPyConnection]:
    """A workspace with the limits of core/planning/workspace.py."""
    with duckdb.connect(
        ":memory:",
        config={
            "memory_limit": "200MB",
            "threads": threads,
            "temp_directory": str(directory / "spill"),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        },
    ) as con:
        yield con


def read_or_refuse(path: Path, con: duckdb.DuckDBPyConnection, *, audience: str | None = None) -> Source | InputError:
    """Read a file and check the result or the error; any other exception is raised."""
    unpacked = _unpacked(con)
    outcome: Source | InputError
    try:
        outcome = read(path, con, audience=audience)
    except InputError as error:
        outcome = error
    assert _unpacked(con) == unpacked
    if isinstance(outcome, InputError):
        check_small(path, None, [], audience=audience)
        _check_error(outcome)
        assert con.execute("SHOW TABLES").fetchall() == []
    else:
        check_small(path, outcome, con.execute("SELECT * FROM source").fetchall(), audience=audience)
        _check_table(outcome, con)
    return outcome


def check_small(path: Path, source: Source | None, rows: Sequence[tuple[Any, ...]], **options: Any) -> bool:
    """Compare the reader of small files with what DuckDB has read (None: it has refused the file).

    Returns whether the file was read without DuckDB.
    """
    small = read_small(path, most_profiles=1_000, **options)
    if small is None:
        return False
    assert small.source == source
    assert sorted(small.rows) == sorted(rows)
    return True


def _check_error(error: InputError) -> None:
    assert error.path
    assert error.message.endswith((".", "--audience")), error.message
    assert all(unicodedata.category(letter) not in ("Cc", "Cs") for letter in error.message), repr(error.message)
    assert len(error.message) < 2_000
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__


def _check_table(source: Source, con: duckdb.DuckDBPyConnection) -> None:
    columns = con.execute("DESCRIBE source").fetchall()
    assert [row[:2] for row in columns] == COLUMNS
    rows = con.execute("SELECT * FROM source").fetchall()
    con.execute("DROP TABLE source")
    assert len({row[0] for row in rows}) == len(rows) <= source.rows
    assert all(row[0].encode() for row in rows)


def _unpacked(con: duckdb.DuckDBPyConnection) -> set[str]:
    """The directories next to the workspace into which archives are unpacked."""
    spill = Path(con.execute("SELECT current_setting('temp_directory')").fetchall()[0][0])
    folder = spill.parent if spill.is_absolute() else Path(tempfile.gettempdir())
    return {path.name for path in folder.glob("audience-*")}
