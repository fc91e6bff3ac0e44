"""A workspace to read into."""

# As text: hypothesis keeps the tests to the very end, where DuckDB reports types that are still used as leaks.
from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from core.errors import InputError
from core.sources import Source, read

Profiles = dict[str, tuple[Any, ...]]
Reading = Callable[..., tuple[Source, Profiles]]


def connect(directory: Path) -> duckdb.DuckDBPyConnection:
    """A workspace as the caller of `read` opens it."""
    directory.mkdir(exist_ok=True)
    config: dict[str, str | bool | int | float | list[str]]
    config = {"memory_limit": "200MB", "threads": 2, "temp_directory": str(directory / "spill")}
    return duckdb.connect(str(directory / "workspace.duckdb"), config=config)


def profiles(con: duckdb.DuckDBPyConnection) -> Profiles:
    """The table `source`: mpid, member, email and customer id of each profile."""
    rows = con.execute("SELECT * FROM source").fetchall()
    found = {row[0]: row[1:] for row in rows}
    assert len(found) == len(rows)
    return found


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
    """Read a file, or a text under some name, and give what is known of it and its profiles."""

    def run(content: Path | str | bytes, name: str = "file.csv", **options: Any) -> tuple[Source, Profiles]:
        source = read(written(tmp_path, content, name), con, **options)
        return source, profiles(con)

    return run


@pytest.fixture
def refusal(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> Callable[..., InputError]:
    """Read a file that can't be read, and give the error."""

    def run(content: Path | str | bytes, name: str = "file.csv", **options: Any) -> InputError:
        with pytest.raises(InputError) as caught:
            read(written(tmp_path, content, name), con, **options)
        return caught.value

    return run


def written(directory: Path, content: Path | str | bytes, name: str) -> Path:
    """A file with some content."""
    if isinstance(content, Path):
        return content
    path = directory / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
