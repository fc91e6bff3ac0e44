"""Grouping: the rows on the stage become profiles in the table `source`.

Rows with the same mpid belong to one person. Rows without an mpid belong to one person if all their identities are
equal. In a list of changes it is enough that they share the customer id, because there a person's address may change
from one row to the next.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from core.sources import field_columns, stage_parts
from core.sources.audience_ref import UNKNOWN_AUDIENCE, AudienceRef, choose
from core.sources.duckdb_errors import query
from core.sources.repeated_rows import (
    OF_REPEATED,
    PLAIN_EMAIL,
    PROFILE,
    count_people,
    find_repeated_keys,
    numbered,
)
from core.sources.row_notes import refuse_decimal_ids, row_notes
from core.sources.source import Source, SourceFormat
from core.sources.sql_expressions import literal
from core.sources.staged_rows import LabelCount, StagedRows, audience_of, described
from core.sources.staging import CLEAR_STAGE, stage

if TYPE_CHECKING:
    import duckdb

NOTHING = LabelCount(label=None, name=None, rows=0, with_mpid=0, oldest=None, newest=None)

#: A table of the caller with members to look for in the rows, see `core.sources.read`.
TIMED = "newer_changes"
#: The prefix of the keys of members who have another member's customer id.
SHARED_ID_PREFIX = "shared:"


def read_rows(
    con: "duckdb.DuckDBPyConnection",
    shape: SourceFormat,
    parts: StagedRows | Sequence[StagedRows],
    wanted: str | None,
    file_audience: AudienceRef = UNKNOWN_AUDIENCE,
) -> Source:
    """Read the rows of a file, or of the parts of one: check them, choose the audience, and group them.

    `wanted` is the id or name of an audience, if the rows contain several. `file_audience` is the audience in the
    file's name, for rows that contain none. Raises InputError.
    """
    parts = [parts] if isinstance(parts, StagedRows) else list(parts)
    rows = parts[0]
    counts = _merged_counts([count for part in parts for count in stage(con, part)]) or [NOTHING]
    audiences = [audience_of(count) for count in counts]
    if audiences == [UNKNOWN_AUDIENCE]:
        audiences = [file_audience]
    index = choose(audiences, wanted, rows.file)
    count, audience = counts[index], audiences[index]
    label = "NULL" if count.label is None else literal(count.label)
    chosen = "" if len(counts) == 1 else f"WHERE label IS NOT DISTINCT FROM {label}"
    refuse_decimal_ids(con, rows, count, chosen)
    notes = row_notes(con, rows, count, chosen)
    repeated = None if rows.is_delta else find_repeated_keys(con, rows, count, chosen)
    people = count_people(con, rows, count, chosen, repeated)
    group_rows(con, rows, [count], chosen, repeated)
    shared = f"SELECT count(*) FROM source WHERE starts_with(profile, {literal(SHARED_ID_PREFIX)})"
    sharing = int(query(con, shared, rows.file)[0][0]) if count.rows > count.with_mpid else 0
    return described(shape, rows, count, audience, people=people, sharing=sharing, notes=notes)


def _merged_counts(counts: Sequence[LabelCount]) -> list[LabelCount]:
    """Return the counts of several files, merged by label."""
    merged: dict[str | None, LabelCount] = {}
    for count in counts:
        before = merged.get(count.label)
        merged[count.label] = count if before is None else before + count
    return list(merged.values())


def group_rows(
    con: "duckdb.DuckDBPyConnection",
    rows: StagedRows,
    counts: list[LabelCount],
    chosen: str = "",
    repeated: int | None = None,
) -> int:
    """Create the table `source` from the rows on the stage, one row per profile, and return the number of profiles.

    `counts` are the counts of these rows. `chosen` is a condition (WHERE ...), unless all rows are grouped. `repeated`
    is the number of keys in the table `repeated`, if most profiles have one row. Clears the stage.
    """
    by_mpid = all(count.rows == count.with_mpid for count in counts)
    total = int(query(con, "SELECT coalesce(max(place) + 1, 0) FROM staged", rows.file)[0][0])
    order = _order(counts, total)
    if _has_timed(con):
        query(con, _TIME.replace("{rows}", numbered(chosen)), rows.file)
    if rows.field_count:
        field_columns.create_values(con, rows.field_count)
    query(con, _TABLE.format(name="source"), rows.file)
    if stage_parts.are_many(total):
        query(con, _TABLE.format(name="grouped"), rows.file)
        for part in stage_parts.iter_parts(con, rows, total, chosen, by_mpid=by_mpid):
            of_part = None if repeated is None else find_repeated_keys(con, rows, counts[0], "")
            _fill_source(con, rows, part, order, "", of_part, by_mpid=by_mpid)
            query(con, _MOVE_TO_GROUPED.format(profile="mpid::VARCHAR" if by_mpid else "profile"), rows.file)
        query(con, _USE_GROUPED, rows.file)
    else:
        _fill_source(con, rows, total, order, chosen, repeated, by_mpid=by_mpid)
        query(con, CLEAR_STAGE, rows.file)
        if by_mpid:
            query(con, _NAME_BY_MPID, rows.file)
    query(con, "DROP TABLE IF EXISTS repeated", rows.file)
    return int(query(con, "SELECT count(*) FROM source", rows.file)[0][0])


def _fill_source(
    con: "duckdb.DuckDBPyConnection",
    rows: StagedRows,
    total: int,
    order: str,
    chosen: str,
    repeated: int | None,
    *,
    by_mpid: bool,
) -> None:
    """Group all rows on the stage, so many, into the empty table `source`, without `profile` if `by_mpid`."""
    if repeated is not None:
        _group_people(con, rows, order, chosen, repeated, by_mpid=by_mpid, are_few=repeated * FEW <= total)
    elif not by_mpid and not rows.is_delta:  # a download with rows without an mpid
        _group_people(con, rows, order, chosen, total, by_mpid=False, are_few=False)
    elif rows.is_delta or not _gather_joined(con, rows, total, order, chosen):
        query(con, f"INSERT INTO source {_grouping(rows, order, chosen, by_mpid=by_mpid)}", rows.file)
    if rows.field_count:
        names = "".join(f", f{index}" for index in range(rows.field_count))
        field_columns.gather(con, rows, order, PROFILE, numbered(chosen, names))


def _gather_joined(con: "duckdb.DuckDBPyConnection", rows: StagedRows, total: int, order: str, chosen: str) -> bool:
    """Fill `source` by a join, as if no profile had two identities of a kind, and group only the profiles that do.

    A join costs less than grouping by text. Returns False, and leaves `source` empty, if too many profiles do.
    """
    staged = f"SELECT * FROM staged {chosen}"
    # the join multiplies the rows of such a profile: if there are more rows than before, it is given up
    query(con, f"INSERT INTO source {_JOINED.format(staged=staged)} LIMIT {total + 1}", rows.file)
    profiles, identities = query(con, "SELECT count(*), count(email) + count(customer_id) FROM source", rows.file)[0]
    if identities != total:
        query(con, f"INSERT INTO source {_NEITHER.format(staged=staged)}", rows.file)
    query(con, _SEVERAL, rows.file)
    several = int(query(con, "SELECT count(*) FROM several", rows.file)[0][0])
    are_few = bool(profiles <= total and several * FEW <= profiles)
    if not are_few:
        query(con, "DELETE FROM source", rows.file)
    elif several:
        query(con, "DELETE FROM source WHERE mpid IN (SELECT mpid FROM several)", rows.file)
        query(
            con, f"INSERT INTO source {_grouping(rows, order, chosen, by_mpid=True, condition=_OF_SEVERAL)}", rows.file
        )
    query(con, "DROP TABLE several", rows.file)
    return are_few


def _group_people(
    con: "duckdb.DuckDBPyConnection",
    rows: StagedRows,
    order: str,
    chosen: str,
    repeated: int,
    *,
    by_mpid: bool,
    are_few: bool,
) -> None:
    """Fill `source` from a whole audience in which most profiles have one row. Only the others are grouped, if few.

    The hashes of their emails show which rows without an mpid share a customer id but differ in the email. Those rows
    are few, or a mistake, so they are grouped a second time, by email: the latest row with an email gets the key of the
    customer id, and the others get keys of their own.
    """
    condition = ""
    if are_few:
        profile = "NULL" if by_mpid else PROFILE
        alone = OF_REPEATED.replace(" IN ", " NOT IN ") if repeated else ""
        rows_alone = f"SELECT {profile}, mpid, true, email, customer_id FROM ({numbered(chosen)}) {alone}"
        query(con, f"INSERT INTO source {rows_alone}", rows.file)
        condition = OF_REPEATED
    if not repeated:
        return
    if by_mpid:
        query(con, f"INSERT INTO source {_grouping(rows, order, chosen, by_mpid=True, condition=condition)}", rows.file)
        return
    query(con, "ALTER TABLE source ADD COLUMN differ BOOLEAN", rows.file)
    grouping = _grouping(rows, order, chosen, by_mpid=False, condition=condition, differ=_DIFFER)
    query(con, f"INSERT INTO source {grouping}", rows.file)
    if query(con, "SELECT count(*) FROM source WHERE differ", rows.file)[0][0]:
        query(con, _SHARING.replace("{order}", order).replace("{rows}", numbered(chosen)), rows.file)
        query(con, "DELETE FROM source WHERE differ", rows.file)
        query(con, _INSERT_SHARING, rows.file)
        query(con, "DROP TABLE sharing", rows.file)
    query(con, "ALTER TABLE source DROP COLUMN differ", rows.file)


# Profiles with several identities of a kind are few if they are at most one in this many.
FEW = 10
_JOINED = """
    SELECT NULL, coalesce(e.mpid, c.mpid), true, e.email, c.customer_id
    FROM (SELECT mpid, email FROM ({staged}) WHERE email IS NOT NULL) AS e
    FULL JOIN (SELECT mpid, customer_id FROM ({staged}) WHERE customer_id IS NOT NULL) AS c ON c.mpid = e.mpid
"""
# Profiles with neither email nor customer id are members, too.
_NEITHER = """
    SELECT DISTINCT NULL, mpid, true, NULL, NULL FROM ({staged}) ANTI JOIN source USING (mpid)
    WHERE email IS NULL AND customer_id IS NULL
"""
_SEVERAL = "CREATE OR REPLACE TABLE several AS SELECT mpid FROM source GROUP BY mpid HAVING count(*) > 1"
_OF_SEVERAL = "WHERE mpid IN (SELECT mpid FROM several)"

_TABLE = """
    CREATE OR REPLACE TABLE {name} (
        profile VARCHAR, mpid BIGINT, member BOOLEAN NOT NULL, email VARCHAR, customer_id VARCHAR
    )
"""
_MOVE_TO_GROUPED = """
    INSERT INTO grouped SELECT {profile}, mpid, member, email, customer_id FROM source;
    TRUNCATE source
"""
_USE_GROUPED = "DROP TABLE source; ALTER TABLE grouped RENAME TO source"
# The mpids become text last, because there may be no room for that text next to the stage.
_NAME_BY_MPID = "ALTER TABLE source ALTER COLUMN profile TYPE VARCHAR USING mpid::VARCHAR"

_EMAIL_HASH = f"hash(CASE WHEN mpid IS NULL AND customer_id IS NOT NULL THEN {PLAIN_EMAIL} END)"
_DIFFER = f"min({_EMAIL_HASH}) <> max({_EMAIL_HASH})"
# Only of the profiles in the table: a column of `source` would cost memory for all, and few have a live change.
_TIME = f"""
    UPDATE {TIMED} SET in_source = true, row_ms = found.stamp FROM (
        SELECT profile, max(stamp) AS stamp FROM (SELECT {PROFILE} AS profile, stamp FROM ({{rows}}))
        WHERE profile IN (SELECT member_key FROM {TIMED}) GROUP BY profile
    ) AS found WHERE found.profile = {TIMED}.member_key
"""
# (`nth` is 1 for the latest row with an email.)
_SHARING = f"""
    CREATE TABLE sharing AS
    SELECT *, row_number() OVER (PARTITION BY customer_id ORDER BY plain_email IS NULL, k DESC) AS nth FROM (
        SELECT customer_id, {PLAIN_EMAIL} AS plain_email, arg_max(email, k) AS email, max(k) AS k
        FROM (SELECT *, {{order}} AS k FROM ({{rows}}))
        WHERE mpid IS NULL AND customer_id IN (SELECT customer_id FROM source WHERE differ)
        GROUP BY customer_id, plain_email
    )
"""
_INSERT_SHARING = f"""
    INSERT INTO source SELECT CASE WHEN nth = 1 THEN 'customer:' || customer_id
        ELSE {literal(SHARED_ID_PREFIX)} || customer_id || chr(10) || coalesce(plain_email, '') END,
        NULL, true, email, customer_id, false FROM sharing
"""


def _has_timed(con: "duckdb.DuckDBPyConnection") -> bool:
    import duckdb

    try:  # to look for the table in the catalog takes ten milliseconds
        return bool(con.execute(f"SELECT 1 FROM {TIMED} LIMIT 1").fetchall())
    except duckdb.CatalogException:
        return False


def _grouping(
    rows: StagedRows, order: str, chosen: str, *, by_mpid: bool, condition: str = "", differ: str | None = None
) -> str:
    """Return the SELECT that keeps the latest identities of each profile.

    `by_mpid`: every row has an mpid. Grouping by that number costs half as much as by text. `condition` limits the
    rows that are grouped. `differ` is an aggregate for a further column.
    """
    latest = "arg_max_null" if rows.is_delta else "arg_max"
    member = "arg_max(member, k)" if rows.is_delta else "true"
    kept = f"{member} AS member, {latest}(email, k) AS email, {latest}(customer_id, k) AS customer_id"
    if by_mpid:
        grouped = (
            f"SELECT mpid, {kept} FROM (SELECT *, {order} AS k FROM ({numbered(chosen)}) {condition}) GROUP BY mpid"
        )
        return f"SELECT NULL, mpid, member, email, customer_id FROM ({grouped})"
    more = f", {differ}" if differ else ""
    keyed = f"SELECT *, {order} AS k, {PROFILE} AS profile FROM ({numbered(chosen)}) {condition}"
    return f"SELECT profile, any_value(mpid) AS mpid, {kept}{more} FROM ({keyed}) GROUP BY profile"


def _order(counts: list[LabelCount], total: int) -> str:
    """Return an expression that orders rows by time stamp, and then by their place in the file.

    A row without a time stamp is older than any other. `total` is the number of all rows on the stage, chosen or not.

    Time stamp and place are packed into one number. 64 bits are enough for 20 million rows over 29 years; beyond that
    it takes 128 bits and a third more time.
    """
    stamps = [stamp for count in counts for stamp in (count.oldest, count.newest) if stamp is not None]
    if not stamps:
        return "n"
    span = max(stamps) - min(stamps) + 2
    width = "BIGINT" if span * (total + 1) < 2**63 else "HUGEINT"
    return f"CASE WHEN stamp IS NULL THEN n ELSE (stamp::{width} - {min(stamps)} + 1) * {total + 1} + n END"
