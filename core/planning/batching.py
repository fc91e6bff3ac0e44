"""Batching: the classified members, split into batches in the order in which they are sent."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import orjson

from core.identity import PLACEHOLDER_DOMAIN
from core.models.batch import (
    BATCH_SIZE,
    COUNTED,
    FORMER_IDENTITY_PREFIX,
    BatchFields,
    FieldsOfMember,
    Operation,
    Phase,
    encode,
)
from core.planning.drafts import bounds_by_size, drafts_of_rows
from core.planning.schema import columns_of
from core.planning.small_workspace import SmallWorkspace
from core.planning.workspace import Workspace
from core.store.batches import Draft

if TYPE_CHECKING:
    import duckdb

# Rows that are fetched at once.
CHUNK = 20_000

# Duplicates that the ledger does not yet record as on the list under the identity of the primary profile.
_UNRECORDED_DUPLICATES = """
CREATE TABLE unrecorded_duplicates AS
SELECT duplicate.member_key, primary_member.email, primary_member.user_id, duplicate.primary_profile,
    primary_member.outcome,
    duplicate.in_ledger, duplicate.ledger_email, duplicate.ledger_user_id
FROM (SELECT * FROM classified WHERE primary_profile IS NOT NULL) AS duplicate
JOIN classified AS primary_member ON primary_member.member_key = duplicate.primary_profile
WHERE NOT (duplicate.is_confirmed AND duplicate.ledger_email IS NOT DISTINCT FROM primary_member.email
    AND duplicate.ledger_user_id IS NOT DISTINCT FROM primary_member.user_id)
"""
# If the primary profile's data fields are sent, those that were sent for a duplicate before no longer count.
_OUTDATED_DUPLICATES = """
    OR (primary_member.outcome IN ('add', 'update')
        AND duplicate.member_key IN (SELECT member_key FROM ledger_digests))
"""
# The ledger's row of each member before the run began, so that the run can be undone. If the run was planned again,
# that is the row that its first plan found, not the current one.
_PREVIOUS = {
    "in_ledger": "coalesce(previous_plan.in_ledger, members.in_ledger)",
    "ledger_email": "if(previous_plan.in_ledger IS NULL, members.ledger_email, previous_plan.email)",
    "ledger_user_id": "if(previous_plan.in_ledger IS NULL, members.ledger_user_id, previous_plan.user_id)",
}
_CHANGING_TABLES = ("classified", "unrecorded_duplicates", "removals")
_FORMER_STATE = """CASE WHEN in_ledger THEN coalesce(to_json(ledger_email), 'null') || ','
    || coalesce(to_json(ledger_user_id), 'null') ELSE '' END"""
_SUBSCRIBE = f"""
SELECT CASE WHEN is_counted THEN $role ELSE 'q' END AS role, member_key, email, user_id, {_FORMER_STATE} AS more,
    member_key AS place
FROM classified_with_previous WHERE outcome = $outcome
UNION ALL
SELECT 'f', member_key, email, user_id, {_FORMER_STATE}, primary_profile
FROM unrecorded_duplicates_with_previous WHERE outcome = $outcome
"""
# Each query returns entries: role, member key, email, user id, and more values as JSON. `place` is the member key of
# the leading entry, which comes before its duplicates. Entries are sorted by it, so that the rows of the ledger are
# written in the order of their key.
_ENTRIES: dict[Phase, tuple[str, dict[str, str]]] = {
    Phase.RETAIN: (
        f"""
        SELECT 'h' AS role, member_key, email, user_id, {_FORMER_STATE} AS more, member_key AS place
        FROM classified_with_previous WHERE outcome = 'retained'
        UNION ALL
        SELECT 'h', member_key, email, user_id, {_FORMER_STATE}, member_key
        FROM unrecorded_duplicates_with_previous WHERE outcome IN ('retained', 'unchanged')
        UNION ALL
        SELECT 'h', $former || key, min(email), min(user_id), '', '!' || key -- before all others, which replace it
        FROM (SELECT *, former_key(email, user_id) AS key FROM removal_candidates SEMI JOIN retained_by
            USING (member_key) WHERE NOT is_leaver) GROUP BY key""",
        {"former": FORMER_IDENTITY_PREFIX},
    ),
    Phase.REMOVE: (
        """
        SELECT CASE WHEN position > 1 THEN 'f' WHEN is_leaver AND is_counted THEN 'r' ELSE 'o' END AS role,
            member_key, email, user_id, CASE WHEN is_leaver AND NOT in_ledger THEN 'false' ELSE '' END AS more,
            primary_profile AS place
        FROM removals_with_previous""",
        {},
    ),
    Phase.RENAME: (
        """
        SELECT 'n' AS role, member_key, member_key || '@' || $domain AS email, user_id,
            to_json(email)::VARCHAR AS more, member_key AS place
        FROM classified WHERE needs_rename AND outcome = 'update'""",
        {"domain": PLACEHOLDER_DOMAIN},
    ),
    Phase.UPDATE: (_SUBSCRIBE, {"role": "u", "outcome": "update"}),
    Phase.ADD: (_SUBSCRIBE, {"role": "a", "outcome": "add"}),
    Phase.RELEASE: (
        """
        SELECT CASE WHEN is_leaver THEN 'x' ELSE 'o' END AS role, member_key, email, user_id,
            retaining_mapping || ',' || to_json(retaining_key) AS more, member_key AS place
        FROM removal_candidates JOIN retained_by USING (member_key) WHERE in_ledger
        UNION ALL
        SELECT 'x', $former || key, first_email, first_user_id, retaining_mapping || ',' || to_json(retaining_key),
            $former || key
        FROM (SELECT *, min(email) OVER (PARTITION BY key) AS first_email,
                min(user_id) OVER (PARTITION BY key) AS first_user_id,
                row_number() OVER (PARTITION BY key ORDER BY retaining_mapping, retaining_key) AS position
            FROM (SELECT *, former_key(email, user_id) AS key FROM removal_candidates
                JOIN retained_by USING (member_key) WHERE NOT is_leaver) AS former)
        WHERE position = 1""",
        {"former": FORMER_IDENTITY_PREFIX},
    ),
}
# DuckDB turns the values into JSON, off the event loop and without the GIL.
_AS_JSON = """
SELECT role, role IN ('a', 'u', 'r') AS counts, role <> 'f' AS leads, to_json(member_key) AS member_key,
    coalesce(to_json(email), 'null') AS email, coalesce(to_json(user_id), 'null') AS user_id, more{fields}
FROM ({sorted})
"""
_SORTED = """
SELECT role, member_key, email, user_id, more FROM ({entries}) WHERE place >= $low AND ($high IS NULL OR place < $high)
ORDER BY place, role = 'f', member_key
"""
# The data fields of a member, as a pair of a JSON object: its key, and digest and fields.
_SORTED_WITH_FIELDS = """
SELECT role, member_key, email, user_id, more, if(role = 'f' OR fields IS NULL, NULL,
    to_json(member_key) || ':[' || to_json(digest) || ',' || to_json(fields) || ']') AS fields
FROM ({entries}) LEFT JOIN data_fields USING (member_key) WHERE place >= $low AND ($high IS NULL OR place < $high)
ORDER BY place, role = 'f', member_key
"""
# For phases with one role, no duplicates and no more values. That is most phases, and sorting takes 0.6 of the time.
_SORTED_ALIKE = """
SELECT $role AS role, *, '' AS more FROM (
    SELECT member_key, email, user_id FROM ({entries})
    WHERE member_key >= $low AND ($high IS NULL OR member_key < $high) ORDER BY member_key)
"""
# The outcomes that occur. Most runs have changes in one or two phases, and querying a phase takes milliseconds.
_PRESENT = """
SELECT outcome FROM classified
UNION SELECT 'retained' FROM unrecorded_duplicates WHERE outcome = 'unchanged'
UNION SELECT outcome FROM unrecorded_duplicates
UNION SELECT 'removal' FROM removals
UNION SELECT 'retained by another' FROM removal_candidates SEMI JOIN retained_by USING (member_key)
"""
_MAY_HAVE = {
    Phase.RETAIN: {"retained", "retained by another"},
    Phase.REMOVE: {"removal"},
    Phase.RENAME: {"update"},
    Phase.UPDATE: {"update"},
    Phase.ADD: {"add"},
    Phase.RELEASE: {"retained by another"},
}
_COUNT = """
SELECT count(*), min(role), max(role), count(*) FILTER (WHERE role = 'f' OR more <> '' OR place <> member_key)
FROM ({entries})
"""

# Entries that are sorted at once. They fit into the memory limit, whatever the size of the audience.
SLICE = 500_000
# Places that are sampled to find the bounds of slices.
SAMPLE = 20_000


def prepare(con: Workspace, *, with_fields: bool = False) -> list[Phase]:
    """Create the tables that batches need in addition to those of `core.planning.diff`.

    Returns the phases that may have batches. `with_fields`: the run sends data fields.
    """
    con.execute(_UNRECORDED_DUPLICATES + (_OUTDATED_DUPLICATES if with_fields else ""))
    is_planned_again = con.execute("SELECT count(*) FROM previous_plan").fetchall()[0][0] > 0
    for table in _CHANGING_TABLES:
        members = _with_previous(table) if is_planned_again else f"SELECT * FROM {table}"
        con.execute(f"CREATE VIEW {table}_with_previous AS {members}")
    present = {outcome for (outcome,) in con.execute(_PRESENT).fetchall()}
    return [phase for phase in Phase if _MAY_HAVE[phase] & present]


def _with_previous(table: str) -> str:
    columns = (f"{_PREVIOUS.get(name, f'members.{name}')} AS {name}" for name in columns_of(table))
    return f"SELECT {', '.join(columns)} FROM {table} AS members LEFT JOIN previous_plan USING (member_key)"


def iter_drafts(con: Workspace, phase: Phase, *, with_fields: bool = False) -> Iterator[Draft]:
    """Yield the batches of a phase, ready to be stored. `with_fields`: with data fields, if the phase sends any."""
    with_fields = with_fields and phase in (Phase.UPDATE, Phase.ADD)
    entries, values = _ENTRIES[phase]
    count, role, last_role, others = con.execute(_COUNT.format(entries=entries), values).fetchall()[0]
    if with_fields:
        ordered = _SORTED_WITH_FIELDS
    elif role == last_role and not others:
        ordered = _SORTED_ALIKE
        values = {**values, "role": role}
    else:
        ordered = _SORTED
    query = _AS_JSON.format(sorted=ordered.format(entries=entries), fields=", fields" if with_fields else "")
    if isinstance(con, SmallWorkspace):
        rows = con.execute(query, {**values, "low": "", "high": None}).fetchall()
        yield from drafts_of_rows(phase, rows, BATCH_SIZE)
        return
    from core.planning.arrow_batches import drafts_of_chunks  # Arrow takes a tenth of a second to import
    from core.sources.arrow import read_chunks

    slices = _slices(con, entries, values, count)
    ranges = ({**values, "low": low, "high": high} for low, high in slices)
    chunks = (chunk for each in ranges for chunk in read_chunks(con.cursor(), query, CHUNK, each))
    yield from drafts_of_chunks(phase, chunks, BATCH_SIZE, with_fields=with_fields)


def drafts_of_entries(
    phase: Phase,
    ordered: Sequence[tuple[str, bool, str, tuple[Any, ...]]],
    fields: BatchFields | None = None,
) -> Iterator[Draft]:
    """Yield the batches of few entries that are in their order.

    Each is a place, whether it is a duplicate of an entry before it, a member key, and the values of a BatchEntry.
    `fields` are the data fields of members; None: none are sent.
    """
    if phase not in (Phase.UPDATE, Phase.ADD):
        fields = None
    if fields is None:
        leading = [place for place, (_, follows, _, _) in enumerate(ordered) if not follows]
        bounds = [0, *leading[BATCH_SIZE::BATCH_SIZE]]
    else:
        sizes = [0 if follows else _size(entry, fields.get(key)) for _, follows, key, entry in ordered]
        bounds = bounds_by_size([not follows for _, follows, _, _ in ordered], sizes)
    for low, high in pairwise([*bounds, len(ordered)]):
        if low < high:
            entries = [entry for _, _, _, entry in ordered[low:high]]
            roles = [entry[0] for entry in entries]
            of_batch = {
                key: of_member
                for _, follows, key, _ in (ordered[low:high] if fields else ())
                if not follows and fields is not None and (of_member := fields.get(key)) is not None
            }
            yield Draft(
                phase=phase,
                sent_size=len(roles) - roles.count(Operation.DUPLICATE.value),
                counted_size=sum(map(roles.count, COUNTED)),
                members=encode(entries),
                data_fields=of_batch or None,
            )


def _size(entry: tuple[Any, ...], fields: FieldsOfMember | None) -> int:
    """Return how many bytes an entry has as JSON, as `core.planning.field_batches` counts them."""
    _, key, email, user_id, _ = entry
    pair = 0 if fields is None else len(orjson.dumps({key: fields[:2]})) - len("{}")
    return len(orjson.dumps(email)) + len(orjson.dumps(user_id)) + pair


def _slices(
    con: "duckdb.DuckDBPyConnection", entries: str, values: dict[str, str], count: int
) -> Iterator[tuple[str, str | None]]:
    """Yield ranges of places (start included, end excluded), in order, with about SLICE of `count` entries each."""
    bounds: list[str] = []
    if count > SLICE:
        sample = con.execute(f"SELECT place FROM ({entries}) USING SAMPLE {SAMPLE} ROWS", values).fetchall()
        ordered = sorted(place for (place,) in sample)
        step = max(1, len(ordered) * SLICE // count)
        bounds = sorted(set(ordered[step::step]))
    if count:
        yield from zip(["", *bounds], [*bounds, None], strict=True)
