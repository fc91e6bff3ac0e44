"""Planning an undo, first half: what a run changed, and which of its changes still hold.

For each member, a run's stored batches contain the change and the ledger's row before it (core/models/batch.py). This
module replays them in their order and compares the outcome with the current ledger.
"""

from core.errors import NOT_KEPT, InputError
from core.identity import ProjectType
from core.models.batch import COUNTED, FORMER_IDENTITY_PREFIX, Operation, Phase, decode
from core.planning.schema import create
from core.planning.workspace import Workspace, insert, run
from core.store import batches, rejections
from core.store.batches import BatchStatus
from core.store.database import Database

# Batches and rejections that are read at once.
BATCHES_A_READ = 20
REJECTIONS_A_READ = 10_000


# `reversals` has a row for each member that the run changed: what the undo does, and under which identity. `action` is
# 'on' or 'off' (the list), or 'none' if the member has changed since the run, or is in its former state already.
_REVERSALS = """
CREATE TABLE reversals AS
WITH current AS (SELECT member_key, email, user_id, is_confirmed FROM ledger WHERE mapping_id = $mapping_id),
compared AS (
    SELECT applied.* EXCLUDE (is_confirmed), applied.is_confirmed AS is_answered,
        current.member_key IS NOT NULL AS in_ledger, current.is_confirmed,
        current.email IS NOT DISTINCT FROM applied.email AND current.user_id IS NOT DISTINCT FROM applied.user_id
            AND in_ledger AS is_unchanged,
        coalesce(current.email = applied.new_email AND current.user_id IS NOT DISTINCT FROM applied.user_id, false)
            AS is_renamed
    FROM applied_changes AS applied LEFT JOIN current ON current.member_key = applied.member_key
    WHERE applied.decided_by IS NULL OR applied.decided_by NOT IN (
        SELECT member_key FROM rejected_by_undone_run WHERE member_key IS NOT NULL)
), made AS (
    SELECT * FROM compared WHERE is_answered OR (is_unchanged AND NOT is_confirmed AND kind IN ('on', 'off'))
), first_changes AS (
    SELECT member_key, was_in_ledger AND (kind <> 'on' OR previous_email IS DISTINCT FROM email
            OR previous_user_id IS DISTINCT FROM user_id) AS was_on_list,
        kind = 'off' AND NOT was_in_ledger AS is_unclear, -- a leaver that may not have been on the list before
        previous_email, previous_user_id
    FROM made QUALIFY row_number() OVER (PARTITION BY member_key ORDER BY position) = 1
), last_changes AS (
    SELECT member_key, CASE
            WHEN NOT is_answered THEN true
            WHEN kind = 'on' THEN is_unchanged
            WHEN kind = 'rename' THEN is_renamed OR NOT in_ledger
            ELSE NOT in_ledger OR (is_unchanged AND NOT is_confirmed) -- perhaps off
        END AS is_as_left
    FROM made QUALIFY row_number() OVER (
        PARTITION BY member_key ORDER BY is_answered, kind = 'old', position DESC) = 1
)
SELECT first_changes.member_key, CASE
        WHEN first_changes.is_unclear OR NOT last_changes.is_as_left THEN 'none'
        WHEN NOT first_changes.was_on_list THEN if(current.member_key IS NULL, 'none', 'off')
        WHEN if($by_user_id, first_changes.previous_user_id, first_changes.previous_email) IS NULL THEN 'none'
        WHEN current.is_confirmed AND current.email IS NOT DISTINCT FROM first_changes.previous_email
            AND current.user_id IS NOT DISTINCT FROM first_changes.previous_user_id THEN 'none'
        ELSE 'on'
    END AS action,
    if(action = 'on', first_changes.previous_email, current.email) AS email,
    if(action = 'on', first_changes.previous_user_id, current.user_id) AS user_id
FROM first_changes JOIN last_changes USING (member_key) LEFT JOIN current USING (member_key)
"""


async def load_applied_changes(con: Workspace, database: Database, undone: str) -> None:
    """Fill `applied_changes` and `rejected_by_undone_run`. Raises InputError if the run's batches were deleted."""
    con.execute(create("applied_changes", "rejected_by_undone_run"))
    after = 0
    while True:
        async with database.read() as db:
            sent = await batches.sent_batches(db, undone, limit=BATCHES_A_READ, after=after)
        if not sent:
            break
        for batch_id, phase, status, members in sent:
            await run(con, _load_batch, con, batch_id, phase, members, status is BatchStatus.DONE)
        after = sent[-1][0]
    if not after:
        raise InputError(NOT_KEPT.format(undone))
    async with database.read_rows() as db:
        async for member_keys in rejections.profiles_of(db, undone, REJECTIONS_A_READ):
            await run(con, insert, con, "rejected_by_undone_run", [(key,) for key in member_keys])


def compute_reversals(con: Workspace, mapping_id: int, project_type: ProjectType) -> None:
    """Create the table `reversals` from `applied_changes` and the current `ledger`."""
    con.execute(_REVERSALS, {"mapping_id": mapping_id, "by_user_id": project_type is ProjectType.USER_ID})


def _load_batch(con: Workspace, batch_id: int, phase: Phase, members: str, is_confirmed: bool) -> None:
    rows = []
    primary, primary_counts = "", False
    for index, entry in enumerate(decode(members).entries):
        if entry.op != Operation.DUPLICATE:
            primary, primary_counts = entry.member_key, entry.op in COUNTED
        if entry.member_key.startswith(FORMER_IDENTITY_PREFIX):
            continue  # not a member: the entry of the member that had this identity covers it
        new_email, was_in_ledger, previous = None, True, (entry.email, entry.user_id)
        if phase is Phase.RENAME:
            kind, new_email = "rename", entry.extra[0]
        elif phase is Phase.REMOVE:
            kind, was_in_ledger = "off", not entry.extra
        elif phase is Phase.RELEASE:
            kind = "old" if entry.op == Operation.UNSUBSCRIBE_FORMER else "off"
        else:
            kind, was_in_ledger = "on", bool(entry.extra)
            previous = (entry.extra[0], entry.extra[1]) if entry.extra else (None, None)
        identity = (entry.member_key, entry.email, entry.user_id)
        decided_by = primary if primary_counts else None
        position = batch_id * 1_000_000 + index
        rows.append((position, kind, is_confirmed, *identity, new_email, decided_by, was_in_ledger, *previous))
    insert(con, "applied_changes", rows)
