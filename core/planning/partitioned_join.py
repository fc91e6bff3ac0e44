"""The join of the source with the ledger, part by part: for audiences that do not fit into DuckDB's memory.

A join of two large tables copies both to disk. So one range of member keys is joined after the other, each in memory.
The rows of a range are next to each other in the ledger, and so are the members of a very large audience, which is
grouped by such ranges. Those of other audiences are in no order: for each range all of them are read. To write them to
a file for each range costs more up to about 5 million members. The statements are in sql/parts.sql.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from core.planning.schema import create, statements
from core.planning.workspace import ROW_GROUP

if TYPE_CHECKING:
    import duckdb

#: Members, or rows of the ledger, in a part: they fit into DuckDB's first memory limit, with room for other work.
PART = 400_000
#: Members in shared identities or with changed data fields, up to which parts pay off.
MOST_IN_SETS = 1_000_000
#: Ranges of rows in which the rows of a part are looked for. If they are in more, the rows between are read, too.
MOST_RANGES = 4

_Ranges: TypeAlias = list[tuple[int, int]]


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
    from core.sources.row_parts import bounds_of  # it imports Arrow, which takes a tenth of a second

    sample = con.execute(sql["sample_desired"]) if members >= known else con.execute(sql["sample_ledger"], mapping)
    bounds = bounds_of([key for (key,) in sample.fetchall()], parts)
    limits = list(zip(["", *bounds], [*bounds, None], strict=True))
    of_ledger = _find_ranges(con, "ledger", f"mapping_id = {mapping['mapping_id']:d}", limits)
    of_desired = _find_ranges(con, "desired", "true", limits)
    con.execute(create("joined"))
    for index, (low, high) in enumerate(limits):
        start = sql["join_part"].format(
            ledger=_rows_of("ledger", "mapping_id = $mapping_id", of_ledger[index]),
            desired=_rows_of("desired", "true", of_desired[index]),
        )
        con.execute(f"{start}\n{join}", {**values, "low": low, "high": high})
    return True


def _find_ranges(
    con: "duckdb.DuckDBPyConnection", table: str, condition: str, limits: Sequence[tuple[str, str | None]]
) -> list[_Ranges]:
    """Return the ranges of rows (end excluded) in which a table has the keys of each part.

    `limits` are the first key of a part, and the first one after it (None: there is none).
    """
    find = statements("parts.sql")["find_zones"].format(table=table, condition=condition)
    zones: list[tuple[int, str, str]] = con.execute(find, {"zone": ROW_GROUP}).fetchall()
    return [
        _merged([zone for zone, least, most in zones if most >= low and (high is None or least < high)])
        for low, high in limits
    ]


def _merged(zones: Sequence[int]) -> _Ranges:
    """Return the ranges of rows in these zones, in ascending order: as few as there are, and at most MOST_RANGES."""
    ranges: _Ranges = []
    for zone in zones:
        if ranges and ranges[-1][1] == zone * ROW_GROUP:
            ranges[-1] = (ranges[-1][0], (zone + 1) * ROW_GROUP)
        else:
            ranges.append((zone * ROW_GROUP, (zone + 1) * ROW_GROUP))
    return ranges if len(ranges) <= MOST_RANGES else [(ranges[0][0], ranges[-1][1])]


def _rows_of(table: str, condition: str, ranges: _Ranges) -> str:
    """Return the SELECT for the rows of a part in these ranges of a table."""
    select = statements("parts.sql")["read_part"]
    return " UNION ALL ".join(
        select.format(table=table, condition=condition, first=first, end=end) for first, end in ranges or [(0, 0)]
    )
