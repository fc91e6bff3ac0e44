"""A workspace for the readers."""

# Annotations stay text: hypothesis keeps the tests until the very end, when DuckDB reports types in use as leaks.
from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from core.errors import InputError
from core.sources import Source, read
from tests.core.sources.oracle import check_small

Profiles = dict[str, tuple[Any, ...]]
Reading = Callable[..., tuple[Source, Profiles]]


def connect(directory: Path) -> duckdb.DuckDBPyConnection:
    """A workspace like the caller of `read` opens it."""
    directory.mkdir(exist_ok=True)
    config: dict[str, str | bool | int | float | list[str]]
    config = {"memory_limit": "200MB", "threads": 2, "temp_directory": str(directory / "spill")}
    return duckdb.connect(str(directory / "workspace.duckdb"), config=config)


def profiles(con: duckdb.DuckDBPyConnection) -> Profiles:
    """The rows of the table `source`: mpid, member, email and customer id, by profile."""
    rows = con.execute("SELECT * FROM source").fetchall()
    by_profile = {row[0]: row[1:] for row in rows}
    assert len(by_profile) == len(rows)
    return by_profile


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the workspace."""
    return tmp_path_factory.mktemp("workspace")


@pytest.fixture(scope="session")
def opened(workspace: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A workspace for all tests, since opening one takes longer than most of them."""
    with connect(workspace) as con:
        yield con


@pytest.fixture
def con(opened: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty workspace."""
    yield opened
    opened.execute("DROP TABLE IF EXISTS source")


@pytest.fixture
def reading(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> Reading:
    """A function that reads a file, or a text under a name, and returns its source and its profiles."""

    def run(content: Path | str | bytes, name: str = "file.csv", **options: Any) -> tuple[Source, Profiles]:
        path = write(tmp_path, content, name)
        source = read(path, con, **options)
        compare(path, con, source, options)
        return source, profiles(con)

    return run


@pytest.fixture
def refusal(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> Callable[..., InputError]:
    """A function that reads a bad file and returns the error."""

    def run(content: Path | str | bytes, name: str = "file.csv", **options: Any) -> InputError:
        path = write(tmp_path, content, name)
        with pytest.raises(InputError) as caught:
            read(path, con, **options)
        compare(path, con, None, options)
        return caught.value

    return run


def compare(path: Path, con: duckdb.DuckDBPyConnection, source: Source | None, options: dict[str, Any]) -> None:
    """Compare the reader of small files with what DuckDB has read (None: it has refused the file)."""
    if not options.keys() - {"audience", "variant", "columns"}:
        rows = [] if source is None else con.execute("SELECT * FROM source").fetchall()
        check_small(path, source, rows, **options)


def write(directory: Path, content: Path | str | bytes, name: str) -> Path:
    """Write a file with this content, unless it is a path already."""
    if isinstance(content, Path):
        return content
    path = directory / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
