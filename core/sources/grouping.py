"""From rows to profiles: what is on the stage, grouped into the table `source`."""

import duckdb

from core.sources.audience_ref import NOBODY, AudienceRef, choose
from core.sources.duckdb_errors import query
from core.sources.source import Source, SourceFormat, instant
from core.sources.sql_expressions import literal, stripped
from core.sources.staging import CLEAR_STAGE, LabelCount, StagedRows, stage

NOTHING = LabelCount(label=None, name=None, rows=0, with_mpid=0, oldest=None, newest=None)


def read_rows(
    con: duckdb.DuckDBPyConnection,
    shape: SourceFormat,
    rows: StagedRows,
    wanted: str | None,
    told: AudienceRef = NOBODY,
) -> Source:
    """Read the rows of a file of one statement: check, choose the audience, group.

    `told` is the audience that the file's name tells, for rows that don't.
    """
    counts = stage(con, rows) or [NOTHING]
    audiences = [_audience(count) for count in counts]
    if audiences == [NOBODY]:
        audiences = [told]
    place = choose(audiences, wanted, rows.file)
    count, audience = counts[place], audiences[place]
    label = "NULL" if count.label is None else literal(count.label)
    group_rows(con, rows, [count], "" if len(counts) == 1 else f"WHERE label IS NOT DISTINCT FROM {label}")
    return Source(
        shape=shape,
        is_snapshot=not rows.is_delta,
        audience_id=audience.id,
        audience_name=audience.name,
        file_name=rows.file.given,
        rows=count.rows,
        has_mpid=count.with_mpid > 0,
        as_of=instant(count.newest),
    )


def _audience(count: LabelCount) -> AudienceRef:
    """The audience that a label stands for: an id, or a name where rows have no ids."""
    return AudienceRef(None if count.label == count.name else count.label, count.name)


def group_rows(con: duckdb.DuckDBPyConnection, rows: StagedRows, counts: list[LabelCount], chosen: str = "") -> int:
    """Make the table `source` of what is on the stage, one row per profile, and tell how many profiles there are.

    `counts` is what was counted of these rows; `chosen` is a condition (WHERE ...), if they are not all. The stage is
    cleared.
    """
    by_mpid = all(count.rows == count.with_mpid for count in counts)
    total = int(query(con, "SELECT count(*) FROM stage", rows.file)[0][0])
    order = _order(counts, total)
    query(con, _TABLE, rows.file)
    if rows.is_delta or not by_mpid or not _gather_joined(con, rows, total, order, chosen):
        query(con, f"INSERT INTO source {_grouping(rows, order, chosen, by_mpid=by_mpid)}", rows.file)
    query(con, CLEAR_STAGE, rows.file)
    if by_mpid:
        query(con, _NAME_BY_MPID, rows.file)
    return int(query(con, "SELECT count(*) FROM source", rows.file)[0][0])


def _gather_joined(con: duckdb.DuckDBPyConnection, rows: StagedRows, total: int, order: str, chosen: str) -> bool:
    """Fill `source` as if no profile had two identities of a kind, and group only those that have.

    To join costs less than to group texts. Returns False, and leaves `source` empty, where too many have.
    """
    staged = f"SELECT * FROM staged {chosen}"
    # rows of one profile multiply when they are joined: more than there were are not looked at
    joined = (_JOINED if rows.is_long else _ALONE).format(staged=staged)
    query(con, f"INSERT INTO source {joined} LIMIT {total + 1}", rows.file)
    found, told = query(con, "SELECT count(*), count(email) + count(customer_id) FROM source", rows.file)[0]
    if rows.is_long and told != total:
        query(con, f"INSERT INTO source {_NEITHER.format(staged=staged)}", rows.file)
    query(con, _SEVERAL, rows.file)
    several = int(query(con, "SELECT count(*) FROM several", rows.file)[0][0])
    is_worth_it = bool(found <= total and several * FEW <= found)
    if not is_worth_it:
        query(con, "DELETE FROM source", rows.file)
    elif several:
        query(con, "DELETE FROM source WHERE mpid IN (SELECT mpid FROM several)", rows.file)
        query(con, f"INSERT INTO source {_grouping(rows, order, chosen, by_mpid=True, of=_OF_SEVERAL)}", rows.file)
    query(con, "DROP TABLE several", rows.file)
    return is_worth_it


# Fewer than one profile in so many is grouped by itself.
FEW = 10
_ALONE = "SELECT NULL, mpid, true, email, customer_id FROM ({staged})"
_JOINED = """
    SELECT NULL, coalesce(e.mpid, c.mpid), true, e.email, c.customer_id
    FROM (SELECT mpid, email FROM ({staged}) WHERE email IS NOT NULL) AS e
    FULL JOIN (SELECT mpid, customer_id FROM ({staged}) WHERE customer_id IS NOT NULL) AS c ON c.mpid = e.mpid
"""
# Members all the same, whom nobody can be reached by.
_NEITHER = """
    SELECT DISTINCT NULL, mpid, true, NULL, NULL FROM ({staged}) ANTI JOIN source USING (mpid)
    WHERE email IS NULL AND customer_id IS NULL
"""
_SEVERAL = "CREATE OR REPLACE TABLE several AS SELECT mpid FROM source GROUP BY mpid HAVING count(*) > 1"
_OF_SEVERAL = "WHERE mpid IN (SELECT mpid FROM several)"

_TABLE = """
    CREATE OR REPLACE TABLE source (
        profile VARCHAR, mpid BIGINT, member BOOLEAN NOT NULL, email VARCHAR, customer_id VARCHAR
    )
"""
# The text of mpids is made last: beside the stage there may be no room for it.
_NAME_BY_MPID = "ALTER TABLE source ALTER COLUMN profile TYPE VARCHAR USING mpid::VARCHAR"


def _grouping(rows: StagedRows, order: str, chosen: str, *, by_mpid: bool, of: str = "") -> str:
    """The SELECT that keeps the latest of each profile (`of` whom). Grouping by number costs half of that by text."""
    latest = "arg_max_null" if rows.is_delta else "arg_max"
    member = "arg_max(member, k)" if rows.is_delta else "true"
    kept = f"{member} AS member, {latest}(email, k) AS email, {latest}(customer_id, k) AS customer_id"
    numbered = f"SELECT mpid, member, email, customer_id, stamp, place + 1 AS n FROM staged {chosen}"
    if by_mpid:
        grouped = f"SELECT mpid, {kept} FROM (SELECT *, {order} AS k FROM ({numbered}) {of}) GROUP BY mpid"
        return f"SELECT NULL, mpid, member, email, customer_id FROM ({grouped})"
    keyed = f"SELECT *, {order} AS k, {_PROFILE} AS profile FROM ({numbered})"
    return f"SELECT profile, any_value(mpid) AS mpid, {kept} FROM ({keyed}) GROUP BY profile"


_PROFILE = f"""
    CASE WHEN mpid IS NOT NULL THEN mpid::VARCHAR
         WHEN customer_id IS NOT NULL THEN 'customer:' || customer_id
         WHEN email IS NOT NULL THEN 'email:' || lower({stripped("email")})
         ELSE 'row:' || n END
"""


def _order(counts: list[LabelCount], total: int) -> str:
    """An expression that is greater the later a row is: by time stamp, among equals by place in the file.

    A row without a time stamp is older than any other. `total` is how many rows there are on the stage, chosen or not.

    Both are packed into one number, as narrow as the time stamps that were found allow: 64 bits hold 20 million
    rows over 29 years; beyond that it takes 128 bits and a third more time.
    """
    stamps = [stamp for count in counts for stamp in (count.oldest, count.newest) if stamp is not None]
    if not stamps:
        return "n"
    span = max(stamps) - min(stamps) + 2
    width = "BIGINT" if span * (total + 1) < 2**63 else "HUGEINT"
    return f"CASE WHEN stamp IS NULL THEN n ELSE (stamp::{width} - {min(stamps)} + 1) * {total + 1} + n END"
