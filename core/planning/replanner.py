"""Planning the rest of a run again, because other runs have changed the list's ledger since it was planned."""

from pathlib import Path

from core.identity import ProjectType
from core.models.batch import FORMER_IDENTITY_PREFIX, Operation, Phase
from core.models.run import Run, RunPlan, SyncMode, digest_of
from core.planning.applied_changes import compute_reversals, load_applied_changes
from core.planning.approval_rules import rest_beyond_approval
from core.planning.approved_changes import count_outside, load_approved_changes
from core.planning.data_fields import StoredFields, load_digests
from core.planning.diff import diff_against_ledger
from core.planning.last_known_emails import fill_last_known_emails
from core.planning.live_source import exclude_changed_since
from core.planning.plan_storage import BATCHES_A_WRITE, drop_batches, store_batches
from core.planning.planner import load_targets
from core.planning.schema import TABLES, create
from core.planning.workspace import Workspace, insert, load_ledger, run, scalar, workspace
from core.store import approvals, batches, runs
from core.store.batches import Batch, BatchStatus
from core.store.database import Database, to_the_end

# Members of an undo that other runs have changed since it was planned. (If a change was sent and never answered, the
# ledger has an unconfirmed row with the identity that was sent.)
_SUPERSEDED = """
CREATE TABLE superseded AS
SELECT desired.member_key
FROM desired ANTI JOIN (SELECT member_key FROM reversals WHERE action = 'on') AS wanted USING (member_key)
WHERE NOT EXISTS (SELECT 1 FROM ledger
    WHERE ledger.mapping_id = $mapping_id AND ledger.member_key = desired.member_key AND NOT ledger.is_confirmed
    AND ledger.email = desired.email AND ledger.user_id IS NOT DISTINCT FROM desired.user_id)
UNION ALL
SELECT member_key
FROM leavers ANTI JOIN (SELECT member_key FROM reversals WHERE action = 'off') AS wanted USING (member_key)
"""


async def replan_run(
    database: Database,
    data_dir: Path,
    unfinished: Run,
    worker: str,
    memory_mb: int,
    fields: StoredFields | None = None,
) -> bool:
    """Plan the rest of a run again, because other runs have changed the list's ledger since it was planned.

    Members that have been counted stay counted. Members that need no change now become unchanged or duplicates. Returns
    False if the run was approved and its rest exceeds that approval: then it needs approval again. `fields` opens the
    data fields of its batches, if it sends any. The caller holds the list lock, and has reconciled the batches that
    were sent and never answered.
    """
    await drop_batches(database, unfinished.id, [BatchStatus.DRAFT])
    async with database.read() as db:
        target, mappings_of_list, revision = await load_targets(db, unfinished)
    merges = unfinished.plan is not None and unfinished.plan.to_merge > 0
    async with workspace(data_dir, unfinished.id, memory_mb) as con:
        con.execute(create(*TABLES))
        is_bound = unfinished.is_approved and await load_approved_changes(con, database, unfinished.id)
        if fields is not None:
            con.execute(create("data_fields"))
            await load_digests(con, database, target.id)
        await _load_rest(con, database, unfinished.id, fields)
        # a batch may list duplicates under a former identity, whose member stays
        con.execute("DELETE FROM leavers WHERE member_key IN (SELECT member_key FROM desired)")
        con.execute("DELETE FROM previous_plan WHERE is_leaver AND member_key IN (SELECT member_key FROM desired)")
        if unfinished.project_type is ProjectType.EMAIL:
            await fill_last_known_emails(con, database, target.id)
        await load_ledger(con, database, [mapping.id for mapping in mappings_of_list])
        unchanged = 0
        if target.is_live and not unfinished.request.live:
            unchanged += await exclude_changed_since(con, database, target.id, _oldest(unfinished))
        if unfinished.undo_of is not None:
            await load_applied_changes(con, database, unfinished.undo_of)
            unchanged += await run(con, _exclude, con, target.id, unfinished.project_type)
        counts = await run(
            con,
            diff_against_ledger,
            con,
            mapping_id=target.id,
            field=unfinished.user_id_field,
            mode=SyncMode.DELTA,
            project_type=unfinished.project_type,
            keys_are_known=unfinished.undo_of is not None,
            merges=merges,
            salt=None if fields is None else fields.salt,
        )
        outside = await run(con, lambda: count_outside(con, merges=merges)) if is_bound else None
        work = await store_batches(con, database, unfinished.id, None if fields is None else fields.vault)
    to_merge = unfinished.merged + work.renames if merges else 0
    unapproved_plan = rest_beyond_approval(unfinished, counts, outside, to_merge) if outside and outside.total else None
    counters = {"unchanged": counts.unchanged + unchanged, "duplicates": counts.duplicates}
    await to_the_end(_publish(database, unfinished, worker, counters, revision, unapproved_plan))
    await drop_batches(database, unfinished.id, [BatchStatus.SUPERSEDED])
    return unapproved_plan is None


def _oldest(unfinished: Run) -> float:
    """Of when the oldest of what a run's source says may be (UTC seconds). Which row is how old is not kept."""
    plan = unfinished.plan
    oldest = None if plan is None or plan.oldest is None else plan.oldest.timestamp()
    return unfinished.created_at if oldest is None else min(oldest, unfinished.created_at)


async def _publish(
    database: Database,
    unfinished: Run,
    worker: str,
    counters: dict[str, int],
    revision: int,
    unapproved_plan: RunPlan | None,
) -> None:
    async with database.write() as db:
        await batches.publish(db, unfinished.id)
        await runs.count(db, unfinished.id, worker, counters)
        await runs.change(db, unfinished.id, ledger_revision=revision)
        if unapproved_plan is not None:
            digest = digest_of(unfinished, unapproved_plan, unfinished.mode, revision)
            await approvals.ask_again(db, unfinished, unapproved_plan, digest)


def _exclude(con: Workspace, mapping_id: int, project_type: ProjectType) -> int:
    """Delete the members from the rest of an undo that other runs have changed. Returns the number of counted ones."""
    compute_reversals(con, mapping_id, project_type)
    con.execute(_SUPERSEDED, {"mapping_id": mapping_id})
    unchanged = 0
    for table in ("desired", "leavers"):
        unchanged += scalar(
            con, f"SELECT count(*) FROM {table} SEMI JOIN superseded USING (member_key) WHERE is_counted"
        )
        con.execute(f"DELETE FROM {table} WHERE member_key IN (SELECT member_key FROM superseded)")
    return unchanged


async def _load_rest(con: Workspace, database: Database, run_id: str, fields: StoredFields | None) -> None:
    """Fill `desired`, `leavers`, `previous_plan` and `data_fields` from the batches that are still planned."""
    vault = None if fields is None else fields.vault
    after = 0
    while True:
        async with database.read() as db:
            planned = await batches.open_batches(
                db, run_id, BatchStatus.PLANNED, limit=BATCHES_A_WRITE, after=after, vault=vault
            )
        if not planned:
            return
        after = planned[-1].id
        for batch in planned:
            await run(con, _load_batch, con, batch)


def _load_batch(con: Workspace, batch: Batch) -> None:
    desired, leavers, previous = [], [], []
    for entry in batch.entries:
        op, member_key, email, user_id, extra = entry
        if op in (Operation.UNSUBSCRIBE_FORMER, Operation.RENAME) or member_key.startswith(FORMER_IDENTITY_PREFIX):
            continue  # if it is still due, the diff derives it again from the update that it belongs to
        if batch.phase in (Phase.REMOVE, Phase.RELEASE):
            leavers.append((member_key, email, user_id, op == Operation.REMOVE, None))
            previous.append((member_key, batch.phase is Phase.RELEASE or not extra, None, None, True))
        else:
            desired.append((member_key, email, user_id, op in (Operation.ADD, Operation.UPDATE)))
            previous.append((member_key, bool(extra), *(extra or (None, None)), False))
    insert(con, "desired", desired)
    insert(con, "leavers", leavers)
    insert(con, "previous_plan", previous)
    if batch.data_fields:
        rows = [(member_key, of_member.fields, None) for member_key, of_member in batch.data_fields.items()]
        insert(con, "data_fields", rows)
