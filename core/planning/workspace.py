"""The workspace of one planning: a temporary DuckDB database in a file, with a memory limit.

Audiences have tens of millions of rows. Reading, grouping and comparing happen in the workspace, out of core and
without holding the GIL, instead of in Python or in the database that other runs write to.
"""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeAlias, TypeVar

from core.errors import SettingsError
from core.planning.schema import create, types_of
from core.planning.small_workspace import SmallWorkspace
from core.settings import WORK
from core.sources.source_file import is_pattern
from core.sources.sql_expressions import literal
from core.store import ledger
from core.store.database import Database
from core.store.ledger_export import lines_of

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

P = ParamSpec("P")
T = TypeVar("T")
#: Where a planning happens: DuckDB, or for few members SQLite in memory.
Workspace: TypeAlias = "duckdb.DuckDBPyConnection | SmallWorkspace"

#: DuckDB's memory limits, in MB; the rest is in the workspace's directory. Fifty million members fit the first limit.
#: If a planning runs out of memory, it starts again with the next limit.
MEMORY_MB = (140, 400, 800)
# A second thread does not pay off up to this many bytes of an audience and rows of a ledger.
THREADS = 2
SMALL_BYTES, SMALL_ROWS = 1_000_000, 20_000
# Rows of the ledger that are copied at once: about ten milliseconds of Python.
LEDGER_CHUNK = 20_000
# Rows of the ledger that are read at once as lines. Larger pieces need more memory and are no quicker.
LINES = 30_720
# A row group of DuckDB. Statements that append whole ones cost a quarter: the rows of others are copied once more.
ROW_GROUP = 122_880


@asynccontextmanager
async def workspace(
    data_dir: Path, run_id: str, memory_mb: int, *, small: bool = False, reads: Sequence[Path] = ()
) -> AsyncIterator["duckdb.DuckDBPyConnection"]:
    """Open an empty workspace for a run, and remove it at the end of the block. `small`: use a single thread.

    SQL in the workspace can read the files and folders in `reads` and in the workspace's directory, and nothing else on
    this machine or on the network. Raises SettingsError if the data directory can't be written.
    """
    import duckdb

    directory = _directory_of(data_dir, run_id)
    await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)  # left by a process that was killed
    try:
        directory.mkdir(parents=True)
    except OSError as error:
        raise SettingsError(
            f"The data directory can't be written ({error.strerror}). Make it writable, free some space, or set "
            "ITERABLE_SYNC_DATA_DIR."
        ) from error
    try:
        con = await asyncio.to_thread(
            duckdb.connect,
            # In a file, from which a table can be read again. One in memory is written to disk each time it leaves
            # memory, and a part of each column can't leave. (In a path, DuckDB takes a question mark for the end of a
            # name.)
            ":memory:" if is_pattern(directory) else str(directory / "workspace.duckdb"),
            config={
                "memory_limit": f"{memory_mb}MB",
                "threads": 1 if small else THREADS,
                "force_compression": "uncompressed",  # to choose another one costs more than everything else
                "fsync_mode": "NONE",  # no one reads the file after a crash
                # it builds filters from the keys of a join; here most rows match, and each filter costs milliseconds
                "disabled_optimizers": "join_filter_pushdown",
                "temp_directory": str(directory / "spill"),
                # extensions would be downloaded
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            },
        )
        try:
            _lock(con, directory, reads)
            yield con
        finally:
            con.interrupt()
            await asyncio.to_thread(con.close)
    finally:
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)


def _directory_of(data_dir: Path, run_id: str) -> Path:
    """Return the directory of a workspace, absolute: archives are unpacked next to where DuckDB spills."""
    return data_dir.absolute() / WORK / run_id


def _lock(con: "duckdb.DuckDBPyConnection", directory: Path, reads: Sequence[Path]) -> None:
    """Restrict a connection for good to the workspace's `directory` and the files that it `reads`.

    See duckdb.org/docs/stable/operations_manual/securing_duckdb.
    """
    paths = [path.absolute() for path in reads]
    folders = [directory.absolute(), *(path for path in paths if path.is_dir())]
    if is_pattern(directory.absolute()):  # then archives are unpacked elsewhere: core/sources/scratch.py
        folders.append(Path(tempfile.gettempdir()).absolute())
    con.execute(f"SET allowed_directories = [{', '.join(literal(str(folder)) for folder in folders)}]")
    con.execute(f"SET allowed_paths = [{', '.join(literal(str(path)) for path in paths if path not in folders)}]")
    con.execute("SET enable_external_access = false")
    con.execute("SET TimeZone = 'UTC'")  # a date without a time zone must not depend on this machine's
    con.execute("SET enable_progress_bar = false")  # on standard output, after two seconds
    con.execute("SET lock_configuration = true")


@asynccontextmanager
async def open_small_workspace() -> AsyncIterator[SmallWorkspace]:
    """Open an empty workspace for few members, and forget it at the end of the block."""
    con = SmallWorkspace()
    try:
        yield con
    finally:
        con.close()


async def run(con: Workspace, work: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """Do blocking work on a workspace in a thread. On cancellation, interrupt the work and wait for its end.

    In a small workspace the work takes less time than the change of threads.
    """
    if isinstance(con, SmallWorkspace):
        return work(*args, **named)
    task = asyncio.create_task(asyncio.to_thread(work, *args, **named))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        import duckdb

        con.interrupt()
        with contextlib.suppress(duckdb.Error):
            await task
        raise


async def load_ledger(con: Workspace, database: Database, mapping_ids: Sequence[int]) -> None:
    """Copy the ledger of these mappings into the table `ledger`."""
    con.execute(create("ledger"))
    async with database.read_rows() as db:
        if isinstance(con, SmallWorkspace):
            async for rows in ledger.rows_of(db, mapping_ids, LEDGER_CHUNK):
                insert(con, "ledger", rows)
        else:
            rest = None
            for mapping_id in mapping_ids:
                async for lines in lines_of(db, mapping_id, LINES):
                    rest = await run(con, _insert_lines, con, rest, mapping_id, lines)
            if rest is not None:
                await run(con, _insert_table, con, "ledger", rest)


def _insert_lines(
    con: "duckdb.DuckDBPyConnection", rest: "pa.Table | None", mapping_id: int, lines: bytes
) -> "pa.Table":
    """Append the rows of `rest` and the lines of a mapping to the ledger if they are a row group.

    Returns the rows that are left. The lines are as core/store/ledger_export.py says.
    """
    from core.sources.arrow import joined_tables, table_of_lines, with_number

    columns = types_of("ledger")
    in_lines = {name: kind for name, kind in columns.items() if name != "mapping_id"}
    rows = joined_tables(rest, with_number(table_of_lines(in_lines, lines), "mapping_id", mapping_id))
    while rows.num_rows >= ROW_GROUP:
        _insert_table(con, "ledger", rows.slice(0, ROW_GROUP))
        rows = rows.slice(ROW_GROUP)
    return rows


def _insert_table(con: "duckdb.DuckDBPyConnection", table: str, rows: "pa.Table") -> None:
    con.register("chunk", rows)
    con.execute(f"INSERT INTO {table} BY NAME SELECT * FROM chunk")  # no name from outside
    con.unregister("chunk")


def fill_ledger(con: Workspace, rows: Sequence[Sequence[object]]) -> None:
    """Create the table `ledger` with these rows."""
    con.execute(create("ledger"))
    insert(con, "ledger", rows)


def insert(
    con: Workspace, table: str, rows: Sequence[Sequence[object]], columns: Mapping[str, str] | None = None
) -> None:
    """Append rows to a table. `columns`: the types of its columns by name, unless the table is in sql/schema.sql."""
    if rows:
        columns = types_of(table) if columns is None else columns
        if isinstance(con, SmallWorkspace):
            con.insert(table, tuple(columns), rows)
            return
        from core.sources.arrow import arrow_table

        _insert_table(con, table, arrow_table(columns, rows))


def scalar(con: Workspace, query: str) -> int:
    """Return the number that a query yields."""
    return int(con.execute(query).fetchall()[0][0])
