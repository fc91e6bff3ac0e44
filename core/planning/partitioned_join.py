"""The join of the source with the ledger, part by part: for audiences that do not fit into DuckDB's memory.

A join of two large tables copies both to disk. So the members are first written to a compressed file for each part, a
range of member keys, and each part is joined in memory with the same range of the ledger. That takes a third less disk,
and as much CPU as the single join. The statements are in sql/parts.sql.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from core.planning.schema import create, statements, types_of
from core.planning.workspace import ROW_GROUP

if TYPE_CHECKING:
    import duckdb

#: Members, or rows of the ledger, in a part: they fit into DuckDB's first memory limit, with room for other work.
PART = 400_000
#: Members in shared identities or with changed data fields, up to which parts pay off.
MOST_IN_SETS = 1_000_000


def join_in_parts(con: "duckdb.DuckDBPyConnection", join: str, values: Mapping[str, Any]) -> bool:
    """Create and fill the table `joined`, if the audience is large. Returns whether it is.

    `join` is the SELECT in which `desired` and `known` (rows of the ledger) are joined, and `values` are its
    parameters, `mapping_id` among them.
    """
    sql = statements("parts.sql")
    mapping = {"mapping_id": values["mapping_id"]}
    members, known = con.execute(sql["count_rows"], mapping).fetchall()[0]
    parts = -(-max(members, known) // PART)
    if parts < 2 or con.execute(sql["count_sets"]).fetchall()[0][0] > MOST_IN_SETS:
        return False
    # Arrow takes a tenth of a second to import
    from core.sources.row_parts import bounds_of, divide, open_part, part_of

    sample = con.execute(sql["sample_desired"]) if members >= known else con.execute(sql["sample_ledger"], mapping)
    bounds = bounds_of([key for (key,) in sample.fetchall()], parts)
    zones = con.execute(sql["find_zones"], mapping | {"zone": ROW_GROUP}).fetchall()
    con.execute(create("joined"))
    (spill,) = con.execute("SELECT current_setting('temp_directory')").fetchall()[0]
    with TemporaryDirectory(prefix="parts-", dir=Path(spill).parent) as directory:
        with_parts = sql["with_parts"].format(part=part_of("member_key", bounds))
        files = divide(con, with_parts, types_of("desired"), Path(directory), len(bounds) + 1)
        for file, (low, high) in zip(files, pairwise(["", *bounds, None]), strict=True):
            first, end = _rows_in(zones, low or "", high)
            part = {"first": first, "end": end, "low": low, "high": high}
            with open_part(con, file, "desired_part"):
                con.execute(f"{sql['join_part']}\n{join}", {**values, **part})
    return True


def _rows_in(zones: Sequence[tuple[int, str, str]], low: str, high: str | None) -> tuple[int, int]:
    """Return the range of rows of the ledger (end excluded) that has the keys from `low` on, and before `high`."""
    numbers = [zone for zone, least, most in zones if most >= low and (high is None or least < high)]
    return (min(numbers) * ROW_GROUP, (max(numbers) + 1) * ROW_GROUP) if numbers else (0, 0)
