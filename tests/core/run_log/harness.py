"""A run log in a folder, and reading it as a customer does: with DuckDB."""

import json
from pathlib import Path
from typing import Any

import duckdb

from core.engine import Engine
from core.run_log import configuration
from core.store.audit_log import COMMAND_LINE
from core.store.run_log import Identifiers
from tests.core.harness import until

SALT = "a salt that is secret"


async def turn_on(engine: Engine, directory: Path, identifiers: Identifiers = Identifiers.RAW) -> Path:
    """Let runs be written to a folder in a directory, and return it."""
    place = directory / "log"
    place.mkdir(exist_ok=True)
    salt = SALT if identifiers is Identifiers.HASHED else None
    await configuration.turn_on(engine, str(place), identifiers, salt, by=COMMAND_LINE, team_id=None)
    return place


def rows(place: Path | str, table: str, columns: str = "run_id", *, settings: str = "") -> list[tuple[Any, ...]]:
    """Return these columns of a table of the run log, ordered; none if it has no file."""
    if isinstance(place, Path) and not list(place.glob(f"{table}/*/*.parquet")):
        return []
    with duckdb.connect() as con:
        con.execute(f"SET TimeZone = 'UTC'; {settings}")
        source = f"read_parquet('{place}/{table}/*/*.parquet', hive_partitioning = true)"
        return con.execute(f"SELECT {columns} FROM {source} ORDER BY ALL").fetchall()


def manifests(place: Path) -> list[dict[str, Any]]:
    """Return the manifests in a folder, by their paths."""
    return [json.loads(path.read_text()) for path in sorted(place.glob("manifests/*/*.json"))]


def files(place: Path) -> set[str]:
    """Return the names of all files in a folder, without the day of a run."""
    paths = (path.relative_to(place) for path in place.rglob("*") if path.is_file())
    return {"/".join(part for part in path.parts if not part.startswith("day=")) for path in paths}


async def until_written(place: Path) -> None:
    """Wait until a worker has written a run, which no event signals."""

    async def is_written() -> bool:
        return bool(manifests(place))

    await until(is_written)
