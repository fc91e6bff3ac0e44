"""The workspace of one planning: a DuckDB database of its own, under a memory limit, thrown away afterwards.

Audiences have tens of millions of rows, so reading, grouping and comparing happen here, out of core and without
holding the GIL, and not in Python and not in the database that other runs write to.
"""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

import duckdb
import pyarrow as pa

from core.errors import SettingsError
from core.planning.schema import arrow_schema, create
from core.settings import WORK
from core.sources.source_file import is_pattern
from core.sources.sql_expressions import literal
from core.store import ledger
from core.store.database import Database

P = ParamSpec("P")
T = TypeVar("T")

#: What DuckDB may hold in memory, in MB; the rest goes to the workspace's directory. Ten million members fit the first;
#: where something else does not, planning begins again with the next.
MEMORY_MB = (170, 400, 800)
# Another thread is not worth its making for less than so many bytes of an audience, and rows of a ledger.
THREADS = 2
SMALL_BYTES, SMALL_ROWS = 1_000_000, 20_000
# Rows of the ledger copied at once: some ten milliseconds of Python.
LEDGER_CHUNK = 20_000


@asynccontextmanager
async def workspace(
    data_dir: Path, run_id: str, memory_mb: int, *, small: bool = False, reads: Sequence[Path] = ()
) -> AsyncIterator[duckdb.DuckDBPyConnection]:
    """Open an empty workspace for a run, and remove it at the end of the block. `small`: for little work.

    SQL in the workspace can read the files and folders in `reads`, and the workspace's own; nothing else on this
    machine or on the network.
    """
    pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own pools keep some 30 MB more
    directory = data_dir / WORK / run_id
    await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)  # left by a process that was killed
    try:
        directory.mkdir(parents=True)
    except OSError as error:
        raise SettingsError(
            f"The data directory can't be written ({error.strerror}). Make it writable, free some space, or set "
            "ITERABLE_SYNC_DATA_DIR."
        ) from error
    con = await asyncio.to_thread(
        duckdb.connect,
        # Not a file: DuckDB compresses the tables of a file, which costs more than all else, and spills all the same.
        ":memory:",
        config={
            "memory_limit": f"{memory_mb}MB",
            "threads": 1 if small else THREADS,
            # it makes filters of what is joined: here most finds its counterpart, and each filter costs milliseconds
            "disabled_optimizers": "join_filter_pushdown",
            "temp_directory": str(directory / "spill"),
            # extensions would be fetched from the network
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
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)


def _lock(con: duckdb.DuckDBPyConnection, directory: Path, reads: Sequence[Path]) -> None:
    """Limit a connection to these files, for good (duckdb.org/docs/stable/operations_manual/securing_duckdb)."""
    paths = [each.absolute() for each in reads]
    folders = [directory.absolute(), *(each for each in paths if each.is_dir())]
    if is_pattern(directory.absolute()):  # what is unpacked is elsewhere then: core/sources/scratch.py
        folders.append(Path(tempfile.gettempdir()).absolute())
    con.execute(f"SET allowed_directories = [{', '.join(literal(str(each)) for each in folders)}]")
    con.execute(f"SET allowed_paths = [{', '.join(literal(str(each)) for each in paths if each not in folders)}]")
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")


async def run(con: duckdb.DuckDBPyConnection, work: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """Do blocking work on a workspace in a thread. If this is cancelled, the work is interrupted and awaited."""
    task = asyncio.create_task(asyncio.to_thread(work, *args, **named))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        con.interrupt()
        with contextlib.suppress(duckdb.Error):
            await task
        raise


async def load_ledger(con: duckdb.DuckDBPyConnection, database: Database, mapping_ids: Sequence[int]) -> None:
    """Copy the ledger of these mappings into the workspace's table `ledger`."""
    con.execute(create("ledger"))
    async with database.read() as db:
        async for rows in ledger.rows_of(db, mapping_ids, LEDGER_CHUNK):
            await run(con, insert, con, "ledger", rows)


def fill_ledger(con: duckdb.DuckDBPyConnection, rows: Sequence[Sequence[object]]) -> None:
    """Make the workspace's table `ledger` of these rows."""
    con.execute(create("ledger"))
    insert(con, "ledger", rows)


def insert(
    con: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Sequence[object]], schema: pa.Schema | None = None
) -> None:
    """Append rows to a table of the workspace. Its columns are those in sql/schema.sql, unless a schema is given."""
    if rows:
        schema = arrow_schema(table) if schema is None else schema
        columns = [pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), schema, strict=True)]
        con.register("chunk", pa.table(columns, schema=schema))
        con.execute(f"INSERT INTO {table} BY NAME SELECT * FROM chunk")  # the name is ours
        con.unregister("chunk")
