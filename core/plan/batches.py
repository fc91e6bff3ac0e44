"""Planning, the end: the judged members cut into batches, in the order in which they are sent."""

from collections.abc import Iterator

import duckdb

from core.changes import BATCH_SIZE, SENT, Phase, encode
from core.identity import PLACEHOLDER_DOMAIN

# Rows fetched at once.
CHUNK = 10_000

# Followers that the ledger does not know yet as what they are: on the list under the identity of their leader.
_ATTACHED = """
CREATE TABLE attached AS
SELECT f.profile, f.email, l.user_id, f.leader, l.verdict
FROM judged AS f JOIN judged AS l ON l.profile = f.leader
WHERE NOT (f.certain AND coalesce(f.old_email = f.email, false) AND f.old_user_id IS NOT DISTINCT FROM l.user_id)
"""
_SUBSCRIBE = """
SELECT role, profile, email, user_id FROM (
    SELECT CASE WHEN counted THEN $role ELSE 'q' END AS role, profile, email, user_id, profile AS leader
    FROM judged WHERE verdict = $verdict
    UNION ALL
    SELECT 'f', profile, email, user_id, leader FROM attached WHERE verdict = $verdict
) ORDER BY leader, role = 'f', profile
"""
# Each query yields entries (role, profile, email, user id, and two more for some roles), a leader before its followers.
# Sorted by profile, so that the ledger's rows are written in the order of their key.
_ENTRIES: dict[Phase, tuple[str, dict[str, str]]] = {
    Phase.HOLD: (
        """
        SELECT 'h', profile, email, user_id FROM judged WHERE verdict = 'held'
        UNION ALL
        SELECT 'h', profile, email, user_id FROM attached WHERE verdict IN ('held', 'unchanged') ORDER BY 2""",
        {},
    ),
    Phase.REMOVE: (
        """
        SELECT CASE WHEN nth > 1 THEN 'f' WHEN leaver AND counted THEN 'r' ELSE 'o' END, profile, email, user_id
        FROM leaving ORDER BY leader, nth""",
        {},
    ),
    Phase.RENAME: (
        """
        SELECT 'n', profile, profile || '@' || $domain, user_id, email FROM judged
        WHERE rename AND verdict = 'update' ORDER BY profile""",
        {"domain": PLACEHOLDER_DOMAIN},
    ),
    Phase.UPDATE: (_SUBSCRIBE, {"role": "u", "verdict": "update"}),
    Phase.ADD: (_SUBSCRIBE, {"role": "a", "verdict": "add"}),
    Phase.RELEASE: (
        """
        SELECT 'x', profile, email, user_id, holder[1], holder[2] FROM off JOIN holders USING (profile)
        WHERE leaver AND known ORDER BY profile""",
        {},
    ),
}


def prepare(con: duckdb.DuckDBPyConnection) -> None:
    """Make the table that the batches need beside those of `core.plan.compare`."""
    con.execute(_ATTACHED)


def batches(con: duckdb.DuckDBPyConnection, phase: Phase) -> Iterator[tuple[Phase, int, str]]:
    """Yield the batches of a phase as they are stored: phase, number of members that are sent, entries as JSON."""
    query, values = _ENTRIES[phase]
    rows = con.cursor().execute(query, values)
    batch: list[tuple[object, ...]] = []
    size = 0
    while chunk := rows.fetchmany(CHUNK):
        for entry in chunk:
            sent = entry[0] in SENT or phase in (Phase.HOLD, Phase.RELEASE)
            if sent and size == BATCH_SIZE:
                yield phase, size, encode(batch)
                batch, size = [], 0
            batch.append(entry)
            size += sent
    if batch:
        yield phase, size, encode(batch)
