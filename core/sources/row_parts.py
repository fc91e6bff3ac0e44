"""Rows in parts: what does not fit into DuckDB's memory at once is divided by ranges of a key, into a file for each.

A grouping of more rows than fit into memory copies them to disk in any case, and needs the more memory for that, the
more rows there are. Each part is read on its own, and fits.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from core.sources.arrow import arrow_schema, read_chunks
from core.sources.sql_expressions import literal

if TYPE_CHECKING:
    import duckdb

#: Keys from which the bounds of parts are taken.
SAMPLE = 20_000
#: The most parts; those of very large audiences are larger.
MOST_PARTS = 255
# Rows that are divided at once, and at least how many for each part. More are no quicker.
CHUNK, CHUNK_OF_PART = 20_480, 2_048


def bounds_of(keys: Sequence[str], parts: int) -> list[str]:
    """Return the keys at which up to MOST_PARTS parts begin, except the first one, from a sample of all keys."""
    parts, ordered = min(parts, MOST_PARTS), sorted(keys)
    return sorted({ordered[len(ordered) * part // parts] for part in range(1, parts)})


def part_of(key: str, bounds: Sequence[str], first: int = 0) -> str:
    """Return the expression for the number of the part that has a key, with as few comparisons as possible.

    `key` is an SQL expression, and is never NULL.
    """
    if not bounds:
        return str(first)
    middle = len(bounds) // 2
    lower, upper = part_of(key, bounds[:middle], first), part_of(key, bounds[middle + 1 :], first + middle + 1)
    return f"CASE WHEN {key} < {literal(bounds[middle])} THEN {lower} ELSE {upper} END"


def divide(
    con: "duckdb.DuckDBPyConnection", query: str, columns: Mapping[str, str], directory: Path, parts: int
) -> list[Path]:
    """Write the rows of a query to a file for each part, and return the files.

    The query has these columns (DuckDB's types, by name), and `part`, the number of the row's part: a UTINYINT.
    """
    files = [Path(directory, str(part)) for part in range(parts)]
    schema, options = arrow_schema(columns), pa.ipc.IpcWriteOptions(compression="lz4")
    with ExitStack() as stack:
        streams = [stack.enter_context(pa.OSFile(str(file), "wb")) for file in files]
        writers = [stack.enter_context(pa.ipc.new_stream(each, schema, options=options)) for each in streams]
        for chunk in read_chunks(con, query, max(CHUNK, CHUNK_OF_PART * parts)):
            rows = chunk.take(pc.array_sort_indices(chunk["part"]))
            begin = 0
            for counted in pc.value_counts(rows["part"]).to_pylist():
                writers[counted["values"]].write_batch(rows.slice(begin, counted["counts"]).select(schema.names))
                begin += counted["counts"]
    return files


@contextmanager
def load_part(con: "duckdb.DuckDBPyConnection", file: Path, name: str) -> Iterator[int]:
    """Let several statements read a part as the table `name`, and delete its file at the end of the block.

    Yields the number of rows. They are in memory, which DuckDB's limit does not count.
    """
    with pa.OSFile(str(file)) as stream:
        rows = pa.ipc.open_stream(stream).read_all().combine_chunks()
    con.register(name, rows)
    yield rows.num_rows
    con.unregister(name)
    file.unlink()
