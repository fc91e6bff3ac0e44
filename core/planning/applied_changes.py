"""Planning an undo, first half: what a run did to whom, and whether that is still so.

A run's stored batches say of each member what was done, and what the ledger said before (core/models/batch.py). They
are replayed here, in the order in which they were made, and compared with what the ledger says now.
"""

import duckdb
import pyarrow as pa

from core.errors import NOT_KEPT, InputError
from core.models.batch import COUNTED, FORMER_IDENTITY_PREFIX, Operation, Phase, decode
from core.planning.workspace import insert, run
from core.store import batches, rejections
from core.store.batches import BatchStatus
from core.store.database import Database

# Batches, and rejections, read at once.
BATCHES_A_READ = 20
REJECTIONS_A_READ = 10_000


# `deeds`: what was done, in order. `kind`: on (the list), off, rename, or old (a former identity that was let go of).
# `judged_by` is the member whose rejection says that it was not done, `sure` is false for what was sent and never seen
# answered. `known`, `was_email` and `was_user_id` are what the ledger said before.
_TABLES = """
CREATE TABLE deeds (seq BIGINT, kind VARCHAR, sure BOOLEAN, profile VARCHAR, email VARCHAR, user_id VARCHAR,
    new_email VARCHAR, judged_by VARCHAR, known BOOLEAN, was_email VARCHAR, was_user_id VARCHAR);
CREATE TABLE rejected (profile VARCHAR);
"""
_STRING = pa.string()
_DEEDS = pa.schema(
    [
        ("seq", pa.int64()),
        ("kind", _STRING),
        ("sure", pa.bool_()),
        ("profile", _STRING),
        ("email", _STRING),
        ("user_id", _STRING),
        ("new_email", _STRING),
        ("judged_by", _STRING),
        ("known", pa.bool_()),
        ("was_email", _STRING),
        ("was_user_id", _STRING),
    ]
)
_REJECTED = pa.schema([("profile", _STRING)])

# `reversals`: each member that the run touched, what is to be done about it ('on', 'off' or 'alone': it is not any more
# as the run left it, or as it was before anyway), and under which identity.
_REVERSALS = """
CREATE TABLE reversals AS
WITH now AS (SELECT profile, email, user_id, certain FROM ledger WHERE mapping_id = $mapping_id),
done AS (
    SELECT d.*, n.profile IS NOT NULL AS here, n.certain,
        n.email IS NOT DISTINCT FROM d.email AND n.user_id IS NOT DISTINCT FROM d.user_id AND here AS same,
        coalesce(n.email = d.new_email AND n.user_id IS NOT DISTINCT FROM d.user_id, false) AS renamed
    FROM deeds AS d LEFT JOIN now AS n ON n.profile = d.profile
    WHERE d.judged_by IS NULL OR d.judged_by NOT IN (SELECT profile FROM rejected WHERE profile IS NOT NULL)
), true_ones AS (
    SELECT * FROM done WHERE sure OR (same AND NOT certain AND kind IN ('on', 'off'))
), firsts AS (
    SELECT profile, known AND (kind <> 'on' OR was_email IS DISTINCT FROM email OR was_user_id IS DISTINCT FROM user_id)
            AS was_there,
        kind = 'off' AND NOT known AS unclear, -- a leaver of whom it is not known whether it was there before
        was_email, was_user_id
    FROM true_ones QUALIFY row_number() OVER (PARTITION BY profile ORDER BY seq) = 1
), lasts AS (
    SELECT profile, CASE
            WHEN NOT sure THEN true
            WHEN kind = 'on' THEN same
            WHEN kind = 'rename' THEN renamed OR NOT here
            ELSE NOT here OR (same AND NOT certain) -- perhaps off
        END AS as_left
    FROM true_ones QUALIFY row_number() OVER (PARTITION BY profile ORDER BY sure, kind = 'old', seq DESC) = 1
)
SELECT f.profile, CASE
        WHEN f.unclear OR NOT l.as_left THEN 'alone'
        WHEN NOT f.was_there THEN if(n.profile IS NULL, 'alone', 'off')
        WHEN f.was_email IS NULL THEN 'alone'
        WHEN n.certain AND n.email = f.was_email AND n.user_id IS NOT DISTINCT FROM f.was_user_id THEN 'alone'
        ELSE 'on'
    END AS action,
    if(action = 'on', f.was_email, n.email) AS email, if(action = 'on', f.was_user_id, n.user_id) AS user_id
FROM firsts AS f JOIN lasts AS l USING (profile) LEFT JOIN now AS n USING (profile)
"""


async def load_applied_changes(con: duckdb.DuckDBPyConnection, database: Database, undone: str) -> None:
    """Make the workspace's tables of what the run `undone` did. Raises InputError where that is not kept any more."""
    con.execute(_TABLES)
    after = 0
    while True:
        async with database.read() as db:
            found = await batches.sent_batches(db, undone, limit=BATCHES_A_READ, after=after)
        if not found:
            break
        for batch_id, phase, state, members in found:
            await run(con, _load_batch, con, batch_id, phase, members, state is BatchStatus.DONE)
        after = found[-1][0]
    if not after:
        raise InputError(NOT_KEPT.format(undone))
    async with database.read() as db:
        async for profiles in rejections.profiles_of(db, undone, REJECTIONS_A_READ):
            await run(con, insert, con, "rejected", _REJECTED, [(profile,) for profile in profiles])


def compute_reversals(con: duckdb.DuckDBPyConnection, mapping_id: int) -> None:
    """Make the table `reversals` of the deeds, and of what `ledger` says now."""
    con.execute(_REVERSALS, {"mapping_id": mapping_id})


def _load_batch(con: duckdb.DuckDBPyConnection, batch_id: int, phase: Phase, members: str, sure: bool) -> None:
    rows = []
    leader, leader_counts = "", False
    for nth, (role, profile, email, user_id, *more) in enumerate(decode(members).entries):
        if role != Operation.DUPLICATE:
            leader, leader_counts = profile, role in COUNTED
        if profile.startswith(FORMER_IDENTITY_PREFIX):
            continue  # nobody's: found again beside the member that it was of
        new_email, known, was = None, True, (email, user_id)
        if phase is Phase.RENAME:
            kind, new_email = "rename", more[0]
        elif phase is Phase.REMOVE:
            kind, known = "off", not more
        elif phase is Phase.RELEASE:
            kind = "old" if role == Operation.UNSUBSCRIBE_FORMER else "off"
        else:
            kind, known = "on", bool(more)
            was = (more[0], more[1]) if more else (None, None)
        judged_by = leader if leader_counts else None
        seq = batch_id * 1_000_000 + nth
        rows.append((seq, kind, sure, profile, email, user_id, new_email, judged_by, known, *was))
    insert(con, "deeds", _DEEDS, rows)
