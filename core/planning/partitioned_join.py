"""The join of the source with the ledger, part by part: for audiences that do not fit into DuckDB's memory.

A join of two large tables copies both to disk. So the members are first written to a compressed file for each part, a
range of member keys, and each part is joined in memory with the same range of the ledger. That takes a third less disk,
and as much CPU as the single join. The statements are in sql/parts.sql.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from core.planning.schema import create, statements, types_of
from core.planning.workspace import ROW_GROUP
from core.sources.sql_expressions import literal

if TYPE_CHECKING:
    import duckdb

#: Members, or rows of the ledger, in a part: they fit into DuckDB's first memory limit, with room for other work.
PART = 400_000
#: The most parts; those of very large audiences are larger.
MOST_PARTS = 64
#: Members in shared identities or with changed data fields, up to which parts pay off.
MOST_IN_SETS = 1_000_000
# Members that are divided at once. More are no quicker.
CHUNK = 20_480


def join_in_parts(con: "duckdb.DuckDBPyConnection", join: str, values: Mapping[str, Any]) -> bool:
    """Create and fill the table `joined`, if the audience is large. Returns whether it is.

    `join` is the SELECT in which `desired` and `known` (rows of the ledger) are joined, and `values` are its
    parameters, `mapping_id` among them.
    """
    sql = statements("parts.sql")
    mapping = {"mapping_id": values["mapping_id"]}
    members, known = con.execute(sql["count_rows"], mapping).fetchall()[0]
    parts = min(MOST_PARTS, -(-max(members, known) // PART))
    if parts < 2 or con.execute(sql["count_sets"]).fetchall()[0][0] > MOST_IN_SETS:
        return False
    sample = con.execute(sql["sample_desired"]) if members >= known else con.execute(sql["sample_ledger"], mapping)
    bounds = _bounds(sorted(key for (key,) in sample.fetchall()), parts)
    zones = con.execute(sql["find_zones"], mapping | {"zone": ROW_GROUP}).fetchall()
    con.execute(create("joined"))
    (spill,) = con.execute("SELECT current_setting('temp_directory')").fetchall()[0]
    with TemporaryDirectory(prefix="parts-", dir=Path(spill).parent) as directory:
        files = [Path(directory, str(part)) for part in range(len(bounds) + 1)]
        _divide(con, sql["with_parts"].format(part=_part_of(bounds)), files)
        for file, (low, high) in zip(files, pairwise(["", *bounds, None]), strict=True):
            first, end = _rows_in(zones, low or "", high)
            part = {"first": first, "end": end, "low": low, "high": high}
            _join_part(con, f"{sql['join_part']}\n{join}", file, {**values, **part})
    return True


def _bounds(keys: Sequence[str], parts: int) -> list[str]:
    """Return the keys at which parts begin, except the first part, from a sorted sample of all keys."""
    return sorted({keys[len(keys) * part // parts] for part in range(1, parts)})


def _part_of(bounds: Sequence[str], first: int = 0) -> str:
    """Return the expression for the number of a member's part, with as few comparisons as possible."""
    if not bounds:
        return str(first)
    middle = len(bounds) // 2
    lower, upper = _part_of(bounds[:middle], first), _part_of(bounds[middle + 1 :], first + middle + 1)
    return f"CASE WHEN member_key < {literal(bounds[middle])} THEN {lower} ELSE {upper} END"


def _rows_in(zones: Sequence[tuple[int, str, str]], low: str, high: str | None) -> tuple[int, int]:
    """Return the range of rows of the ledger (end excluded) that has the keys from `low` on, and before `high`."""
    numbers = [zone for zone, least, most in zones if most >= low and (high is None or least < high)]
    return (min(numbers) * ROW_GROUP, (max(numbers) + 1) * ROW_GROUP) if numbers else (0, 0)


def _divide(con: "duckdb.DuckDBPyConnection", query: str, files: Sequence[Path]) -> None:
    """Write the rows of a query, which has the columns of `desired` and the number of the `part`, to a file each."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from core.sources.arrow import arrow_schema, read_chunks

    schema, options = arrow_schema(types_of("desired")), pa.ipc.IpcWriteOptions(compression="lz4")
    with ExitStack() as stack:
        streams = [stack.enter_context(pa.OSFile(str(file), "wb")) for file in files]
        writers = [stack.enter_context(pa.ipc.new_stream(each, schema, options=options)) for each in streams]
        for chunk in read_chunks(con, query, CHUNK):
            rows = chunk.take(pc.array_sort_indices(chunk["part"]))
            begin = 0
            for counted in pc.value_counts(rows["part"]).to_pylist():
                writers[counted["values"]].write_batch(rows.slice(begin, counted["counts"]).select(schema.names))
                begin += counted["counts"]


def _join_part(con: "duckdb.DuckDBPyConnection", statement: str, file: Path, values: Mapping[str, Any]) -> None:
    """Execute a statement in which `desired_part` is what a file contains, and delete the file."""
    import pyarrow as pa

    with pa.OSFile(str(file)) as stream:
        con.register("desired_part", pa.ipc.open_stream(stream))
        con.execute(statement, values)
        con.unregister("desired_part")
    file.unlink()
