"""Planning, the end: the judged members cut into batches, in the order in which they are sent."""

from collections.abc import Iterator
from itertools import pairwise

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from core.identity import PLACEHOLDER_DOMAIN
from core.models.batch import BATCH_SIZE, FORMER_IDENTITY_PREFIX, Phase
from core.store.batches import Draft

# Rows fetched at once.
CHUNK = 20_000

# Followers that the ledger does not know yet as what they are: on the list under the identity of their leader.
_ATTACHED = """
CREATE TABLE attached AS
SELECT f.profile, f.email, l.user_id, f.leader, l.verdict, f.known, f.old_email, f.old_user_id
FROM (SELECT * FROM judged WHERE leader IS NOT NULL) AS f JOIN judged AS l ON l.profile = f.leader
WHERE NOT (f.certain AND coalesce(f.old_email = f.email, false) AND f.old_user_id IS NOT DISTINCT FROM l.user_id)
"""
# What each member was before the run began, so that the run can be undone: for what is planned anew that is what the
# first plan found, and not what the ledger says by now.
_WAS = """
CREATE VIEW {name}_was AS SELECT x.* REPLACE (
    coalesce(w.known, x.known) AS known, if(w.known IS NULL, x.old_email, w.email) AS old_email,
    if(w.known IS NULL, x.old_user_id, w.user_id) AS old_user_id)
FROM {name} AS x LEFT JOIN formerly AS w USING (profile)
"""
_WAS_LEAVING = """
CREATE VIEW leaving_was AS SELECT x.* REPLACE (coalesce(w.known, x.known) AS known)
FROM leaving AS x LEFT JOIN formerly AS w USING (profile)
"""
_FORMER_STATE = """CASE WHEN known THEN coalesce(to_json(old_email), 'null') || ','
    || coalesce(to_json(old_user_id), 'null') ELSE '' END"""
_SUBSCRIBE = f"""
SELECT CASE WHEN counted THEN $role ELSE 'q' END AS role, profile, email, user_id, {_FORMER_STATE} AS more,
    profile AS place
FROM judged_was WHERE verdict = $verdict
UNION ALL
SELECT 'f', profile, email, user_id, {_FORMER_STATE}, leader FROM attached_was WHERE verdict = $verdict
"""
# Each query yields entries: role, profile, email, user id, and more values as JSON. `place` is the profile of the entry
# that leads: a leader comes before its followers, and all are sorted by it, so that the ledger's rows are written in
# the order of their key.
_ENTRIES: dict[Phase, tuple[str, dict[str, str]]] = {
    Phase.RETAIN: (
        f"""
        SELECT 'h' AS role, profile, email, user_id, {_FORMER_STATE} AS more, profile AS place
        FROM judged_was WHERE verdict = 'held'
        UNION ALL
        SELECT 'h', profile, email, user_id, {_FORMER_STATE}, profile
        FROM attached_was WHERE verdict IN ('held', 'unchanged')
        UNION ALL
        SELECT 'h', $former || email, email, min(user_id), '', '!' || email -- before all others: they replace it
        FROM off SEMI JOIN holders USING (profile) WHERE NOT leaver GROUP BY email""",
        {"former": FORMER_IDENTITY_PREFIX},
    ),
    Phase.REMOVE: (
        """
        SELECT CASE WHEN nth > 1 THEN 'f' WHEN leaver AND counted THEN 'r' ELSE 'o' END AS role,
            profile, email, user_id, CASE WHEN leaver AND NOT known THEN 'false' ELSE '' END AS more, leader AS place
        FROM leaving_was""",
        {},
    ),
    Phase.RENAME: (
        """
        SELECT 'n' AS role, profile, profile || '@' || $domain AS email, user_id, to_json(email)::VARCHAR AS more,
            profile AS place
        FROM judged WHERE rename AND verdict = 'update'""",
        {"domain": PLACEHOLDER_DOMAIN},
    ),
    Phase.UPDATE: (_SUBSCRIBE, {"role": "u", "verdict": "update"}),
    Phase.ADD: (_SUBSCRIBE, {"role": "a", "verdict": "add"}),
    Phase.RELEASE: (
        """
        SELECT CASE WHEN leaver THEN 'x' ELSE 'o' END AS role, profile, email, user_id,
            holder[1] || ',' || to_json(holder[2]) AS more, profile AS place
        FROM off JOIN holders USING (profile) WHERE known
        UNION ALL
        SELECT 'x', $former || email, email, min(user_id),
            min(holder)[1] || ',' || to_json(min(holder)[2]), $former || email
        FROM off JOIN holders USING (profile) WHERE NOT leaver GROUP BY email""",
        {"former": FORMER_IDENTITY_PREFIX},
    ),
}
# Values become JSON in DuckDB, off the event loop and without the GIL.
_AS_JSON = """
SELECT role, role IN ('a', 'u', 'r') AS counts, role <> 'f' AS leads, to_json(profile) AS profile,
    coalesce(to_json(email), 'null') AS email, coalesce(to_json(user_id), 'null') AS user_id, more
FROM ({sorted})
"""
_SORTED = """
SELECT role, profile, email, user_id, more FROM ({entries}) WHERE place >= $low AND ($high IS NULL OR place < $high)
ORDER BY place, role = 'f', profile
"""
# Most phases have entries of one role that lead and hold nothing more: what is left to sort takes 0.6 of the time.
_SORTED_ALIKE = """
SELECT $role AS role, *, '' AS more FROM (
    SELECT profile, email, user_id FROM ({entries}) WHERE profile >= $low AND ($high IS NULL OR profile < $high)
    ORDER BY profile)
"""
# What there is at all: most runs have changes in one or two phases, and to ask for those of a phase takes milliseconds.
_PRESENT = """
SELECT verdict FROM judged
UNION SELECT 'held' FROM attached WHERE verdict = 'unchanged'
UNION SELECT verdict FROM attached
UNION SELECT 'leaving' FROM leaving
UNION SELECT 'kept by another' FROM off SEMI JOIN holders USING (profile)
"""
_MAY_HAVE = {
    Phase.RETAIN: {"held", "kept by another"},
    Phase.REMOVE: {"leaving"},
    Phase.RENAME: {"update"},
    Phase.UPDATE: {"update"},
    Phase.ADD: {"add"},
    Phase.RELEASE: {"kept by another"},
}
_COUNT = """
SELECT count(*), min(role), max(role), count(*) FILTER (role = 'f' OR more <> '' OR place <> profile) FROM ({entries})
"""

# Entries sorted at once: so many fit into the memory limit, whatever the size of the audience.
SLICE = 500_000
# Places looked at to find where slices begin.
SAMPLE = 20_000


def prepare(con: duckdb.DuckDBPyConnection) -> list[Phase]:
    """Make the tables that batches need beside those of `core.planning.diff`; return the phases that may have any."""
    con.execute(_ATTACHED)
    if con.execute("SELECT count(*) FROM formerly").fetchall()[0][0]:
        con.execute(_WAS.format(name="judged"))
        con.execute(_WAS.format(name="attached"))
        con.execute(_WAS_LEAVING)
    else:
        for name in ("judged", "attached", "leaving"):
            con.execute(f"CREATE VIEW {name}_was AS SELECT * FROM {name}")
    present = {what for (what,) in con.execute(_PRESENT).fetchall()}
    return [phase for phase in Phase if _MAY_HAVE[phase] & present]


def iter_drafts(con: duckdb.DuckDBPyConnection, phase: Phase) -> Iterator[Draft]:
    """Yield the batches of a phase as they are to be stored."""
    entries, values = _ENTRIES[phase]
    count, role, last_role, others = con.execute(_COUNT.format(entries=entries), values).fetchall()[0]
    if role == last_role and not others:
        ordered = _SORTED_ALIKE
        values = {**values, "role": role}
    else:
        ordered = _SORTED
    query = _AS_JSON.format(sorted=ordered.format(entries=entries))
    rest: pa.Table | None = None
    for low, high in _slices(con, entries, values, count):
        reader = con.cursor().sql(query, params={**values, "low": low, "high": high}).to_arrow_reader(CHUNK)
        for chunk in reader:
            rows = pa.Table.from_batches([chunk])
            rows = rows if rest is None else pa.concat_tables([rest, rows]).combine_chunks()
            # a batch ends before the leader that would be one too many
            bounds = [0, *pc.indices_nonzero(rows["leads"])[BATCH_SIZE::BATCH_SIZE].to_pylist()]
            yield from _cut(phase, rows, bounds)
            rest = rows.slice(bounds[-1])
    if rest is not None:
        yield from _cut(phase, rest, [0, rest.num_rows])


def _slices(
    con: duckdb.DuckDBPyConnection, entries: str, values: dict[str, str], count: int
) -> Iterator[tuple[str, str | None]]:
    """Yield ranges of places (from, up to but without) that hold about SLICE of `count` entries each, in order."""
    bounds: list[str] = []
    if count > SLICE:
        sample = con.execute(f"SELECT place FROM ({entries}) USING SAMPLE {SAMPLE} ROWS", values).fetchall()
        ordered = sorted(place for (place,) in sample)
        step = max(1, len(ordered) * SLICE // count)
        bounds = sorted(set(ordered[step::step]))
    if count:
        yield from zip(["", *bounds], [*bounds, None], strict=True)


def _cut(phase: Phase, rows: pa.Table, bounds: list[int]) -> Iterator[Draft]:
    """Yield a draft for each two bounds, that is, for the rows from one to the next.

    Entries are stored as in core/models/batch.py, put together without making a Python object of each, and a column
    of all batches at once.
    """
    if len(bounds) < 2:
        return
    rows = rows.slice(0, bounds[-1])
    columns = (
        _joined(rows["role"], "", bounds),
        *(_joined(rows[name], ",", bounds) for name in ("profile", "email", "user_id")),
        _joined(rows["more"], "],[", bounds),
    )
    sizes, counted = (_totals(rows[name], bounds) for name in ("leads", "counts"))
    for role, profiles, emails, user_ids, more, size, counts in zip(*columns, sizes, counted, strict=True):
        members = f'"role":"{role}","profile":[{profiles}],"email":[{emails}],"user_id":[{user_ids}]'
        if more.strip("],["):  # otherwise there is nothing but what it was joined by
            members += f',"more":[[{more}]]'
        yield Draft(phase=phase, sent_size=size, counted_size=counts, members=f"{{{members}}}")


def _joined(values: pa.ChunkedArray, separator: str, bounds: list[int]) -> list[str]:
    joined: list[str] = pc.binary_join(pa.ListArray.from_arrays(bounds, values.combine_chunks()), separator).to_pylist()
    return joined


def _totals(flags: pa.ChunkedArray, bounds: list[int]) -> list[int]:
    """How many of the rows between two bounds have a flag."""
    sums = [0, *pc.take(pc.cumulative_sum(flags.cast(pa.int64())), [bound - 1 for bound in bounds[1:]]).to_pylist()]
    return [after - before for before, after in pairwise(sums)]
