"""The rows on the stage, part by part, if they do not fit into memory. All rows of a profile are in one part."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from core.sources.duckdb_errors import attempt, disk_errors, query
from core.sources.repeated_rows import PROFILE, numbered
from core.sources.scratch import scratch
from core.sources.staged_rows import StagedRows
from core.sources.staging import CLEAR_STAGE

if TYPE_CHECKING:
    import duckdb

#: Up to so many rows are grouped at once: that takes a little less CPU, and fits into DuckDB's first memory limit.
AT_ONCE = 10_000_000
#: Rows in a part, which is read into memory. With a million, the peak is 30 MB higher.
PART = 500_000

_SAMPLE = "SELECT {key} FROM (SELECT * FROM ({rows}) USING SAMPLE {size} ROWS)"
_WITH_PARTS = "SELECT {columns}, ({part})::UTINYINT AS part FROM (SELECT *, n - 1 AS place, {key} AS key FROM ({rows}))"


def are_many(total: int) -> bool:
    """Return whether so many rows on the stage are grouped in parts."""
    return total > AT_ONCE


def iter_parts(
    con: "duckdb.DuckDBPyConnection", rows: StagedRows, total: int, chosen: str, *, by_mpid: bool
) -> Iterator[int]:
    """Yield the number of rows in each part. Meanwhile only these are on the stage, which is empty at the end.

    A part is a range of the profiles' keys. The rows have the columns of `numbered`, and those of data fields. `total`
    is the number of rows, `chosen` a condition (WHERE ...), and `by_mpid` says that every row has an mpid.
    """
    # Arrow takes a tenth of a second to import
    from core.sources.row_parts import SAMPLE, bounds_of, divide, load_part, part_of

    key = "mpid::VARCHAR" if by_mpid else PROFILE
    fields = {f"f{index}": "VARCHAR" for index in range(rows.field_count)}
    columns = {"mpid": "BIGINT", "member": "BOOLEAN", "email": "VARCHAR", "customer_id": "VARCHAR", "stamp": "BIGINT"}
    columns |= {"place": "BIGINT", **fields}
    sample = query(con, _SAMPLE.format(key=key, rows=numbered(chosen), size=SAMPLE), rows.file)
    bounds = bounds_of([key for (key,) in sample], -(-total // PART))
    with_parts = _WITH_PARTS.format(
        columns=", ".join(columns),
        part=part_of("key", bounds),
        key=key,
        rows=numbered(chosen, "".join(f", {name}" for name in fields)),
    )
    with scratch(con, rows.file) as directory:
        with disk_errors():
            files = attempt(lambda: divide(con, with_parts, columns, directory, len(bounds) + 1), rows.file)
        query(con, CLEAR_STAGE, rows.file)
        for file in files:
            with load_part(con, file, "staged") as count:
                yield count
