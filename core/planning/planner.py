"""Planning a run: from its source or, where the ledger has changed meanwhile, from what was left of its plan."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import duckdb
from sqlalchemy.ext.asyncio import AsyncConnection

from core import sources
from core.errors import InputError, SeveralAudiencesError
from core.identity import UserIdField
from core.models.batch import FORMER_IDENTITY_PREFIX, Operation, Phase
from core.models.run import Run, RunPlan, SyncMode
from core.planning import batching
from core.planning.applied_changes import compute_reversals, load_applied_changes
from core.planning.diff import DiffCounts, diff_against_ledger
from core.planning.guards import check_guards
from core.planning.identity_mapping import DESIRED, FORMERLY, GONE, TABLES, map_members
from core.planning.last_known_emails import fill_last_known_emails
from core.planning.ledger_lookup import load_relevant_ledger
from core.planning.live_source import (
    exclude_changed_since,
    exclude_newer_live_changes,
    load_live_changes,
    restore_newer,
)
from core.planning.suppression import exclude_erased, reject_erased, reject_suppressed
from core.planning.workspace import SMALL_BYTES, SMALL_ROWS, insert, load_ledger, run, workspace
from core.sources import Source
from core.store import batches, ledger, lists, mappings, rejections, runs
from core.store.batches import Batch, BatchStatus, Draft
from core.store.database import Database, to_the_end
from core.store.erasures import SuppressionList
from core.store.mappings import AudienceMapping, RemovalPolicy
from core.store.rejections import Rejection

# Batches written in one transaction: some 4 MB, which holds SQLite's write lock for some 25 ms.
BATCHES_A_WRITE = 25
REJECTIONS_A_WRITE = 5_000
BATCHES_A_DROP = 200


@dataclass(frozen=True, slots=True)
class PlanResult:
    """What planning a run has found. Its changes are stored as drafts: `publish` makes them count."""

    plan: RunPlan
    mode: SyncMode
    revision: int


async def plan_run(
    database: Database,
    data_dir: Path,
    this: Run,
    memory_mb: int,
    forgotten: SuppressionList | None = None,
    barred: SuppressionList | None = None,
) -> PlanResult:
    """Plan a run from its source: store the drafts of its changes, and its rejections, and return what was found.

    The caller holds the run's list. Raises InputError where the file can't be used (nothing has been sent), and
    duckdb.OutOfMemoryException where `memory_mb` is too little; then it can be called again with more.
    """
    await discard_drafts(database, this.id)
    async with database.read() as db:
        target, of_list, revision = await load_targets(db, this)
        # a guard wants to know, and live changes pass none
        ledger_size = 0 if this.request.live else await ledger.size(db, target.id)
    async with workspace(data_dir, this.id, memory_mb, small=_is_small(this, ledger_size)) as con:
        source = await _read(con, database, this, target, forgotten)
        mode = _mode(this, target, source)
        # who leaves the audience of a mapping that keeps them is not looked at: for the rest its runs are as they say
        as_if = SyncMode.ADD if target.removal_policy is RemovalPolicy.KEEP else mode
        in_source = scalar(con, "SELECT count(*) FROM source WHERE member")
        live, with_removals = this.request.live, as_if is SyncMode.DELTA
        await run(con, lambda: map_members(con, this.user_id_field, with_removals=with_removals, live=live))
        await fill_last_known_emails(con, database, target.id)
        if as_if is SyncMode.MIRROR:
            await load_ledger(con, database, [m.id for m in of_list])
        else:
            await load_relevant_ledger(con, database, target.id, [m.id for m in of_list])
        await restore_newer(con, target.id, as_if)
        await reject_suppressed(con, target.id, this.user_id_field, barred)
        members = in_source + await reject_erased(con)
        verdicts = await _compare(con, target.id, this.user_id_field, as_if)
        rejected = scalar(con, "SELECT count(*) FROM refused")
        await _store_rejections(con, database, this.id)
        requests = await store_batches(con, database, this.id)
    plan = RunPlan(
        shape=source.shape,
        file_name=source.file_name,
        audience_id=source.audience_id or target.audience_id,
        audience_name=source.audience_name or target.audience_name,
        as_of=source.as_of,
        members=members,
        rejected=rejected,
        ledger_size=ledger_size,
        requests=requests,
        seconds=requests / this.rate if this.rate else 0.0,
        guards=check_guards(
            this.request, mode, target, source, members=members, to_remove=verdicts.to_remove, ledger_size=ledger_size
        ),
        **asdict(verdicts),
    )
    return PlanResult(plan, mode, revision)


def _is_small(this: Run, ledger_size: int) -> bool:
    """Whether there is little to plan."""
    if this.request.live:
        return True
    try:
        size = Path(this.request.path).stat().st_size
    except OSError:  # reading it will say what is wrong
        return True
    return size <= SMALL_BYTES and ledger_size <= SMALL_ROWS


async def publish_plan(db: AsyncConnection, run_id: str, worker: str, planned: PlanResult) -> None:
    """Make what was planned the run's plan.

    The caller decides in the same transaction what becomes of the run: one that has a plan goes on with it when it is
    taken up again, without a guard being asked.
    """
    await batches.publish(db, run_id)
    await runs.set_plan(db, run_id, worker, planned.plan, planned.mode, planned.revision)


async def replan_run(database: Database, data_dir: Path, this: Run, worker: str, memory_mb: int) -> None:
    """Plan anew what is left of a run whose list's ledger was changed by others since it was planned.

    Members that have been counted stay counted; those that have nothing to do any more become unchanged or
    duplicates. The caller holds the list and has settled what was sent and left unanswered.
    """
    await _drop(database, this.id, [BatchStatus.DRAFT])
    async with database.read() as db:
        target, of_list, revision = await load_targets(db, this)
    async with workspace(data_dir, this.id, memory_mb) as con:
        con.execute(TABLES)
        await _load_rest(con, database, this.id)
        # a follower may hang on a former identity, of a member that stays
        con.execute("DELETE FROM gone WHERE profile IN (SELECT profile FROM desired)")
        con.execute("DELETE FROM formerly WHERE leaving AND profile IN (SELECT profile FROM desired)")
        await fill_last_known_emails(con, database, target.id)
        await load_ledger(con, database, [m.id for m in of_list])
        alone = 0
        if target.is_live and not this.request.live:
            alone += await exclude_changed_since(con, database, target.id, this.created_at)
        if this.undo_of is not None:
            await load_applied_changes(con, database, this.undo_of)
            alone += await run(con, _exclude, con, target.id)
        verdicts = await _compare(
            con, target.id, this.user_id_field, SyncMode.DELTA, keys_are_known=this.undo_of is not None
        )
        await store_batches(con, database, this.id)
    more = {"unchanged": verdicts.unchanged + alone, "duplicates": verdicts.duplicates}
    await to_the_end(_publish_anew(database, this.id, worker, more, revision))
    await _drop(database, this.id, [BatchStatus.SUPERSEDED])


async def _publish_anew(database: Database, run_id: str, worker: str, more: dict[str, int], revision: int) -> None:
    async with database.write() as db:
        await batches.publish(db, run_id)
        await runs.count(db, run_id, worker, more)
        await runs.change(db, run_id, ledger_revision=revision)


async def _read(
    con: duckdb.DuckDBPyConnection,
    database: Database,
    this: Run,
    target: AudienceMapping,
    forgotten: SuppressionList | None,
) -> Source:
    """Read the run's members into the table `source`."""
    if this.request.live:
        source = await load_live_changes(con, database, this)
        forgotten = None  # what is older than an erasure was not taken; what is newer counts
    else:
        source = await _read_file(con, this, target)
        await exclude_newer_live_changes(con, database, this.mapping_id, source)
    await exclude_erased(con, forgotten)
    return source


async def _read_file(con: duckdb.DuckDBPyConnection, this: Run, target: AudienceMapping) -> Source:
    """Read the run's file: of several audiences in it the one that was asked for, else the mapping's."""
    path, chosen = Path(this.request.path), this.request.audience
    try:
        source: Source = await run(con, lambda: sources.read(path, con, audience=chosen))
    except InputError as error:
        mapped = target.audience_id or target.audience_name
        if error.code != SeveralAudiencesError.code or mapped is None:
            raise
        source = await run(con, lambda: sources.read(path, con, audience=mapped))
    return source


def _mode(this: Run, target: AudienceMapping, source: Source) -> SyncMode:
    wanted = this.request.mode or (SyncMode(target.mode) if target.mode != "auto" else None)
    if wanted is SyncMode.MIRROR and not source.is_snapshot:
        raise InputError(
            "holds additions and removals, not a whole audience, so the list can't be made equal to it. "
            "Choose the mode delta, or none.",
            path=source.file_name,
        )
    return wanted or (SyncMode.MIRROR if source.is_snapshot else SyncMode.DELTA)


async def load_targets(db: AsyncConnection, this: Run) -> tuple[AudienceMapping, list[AudienceMapping], int]:
    """The run's mapping, all mappings of its list, and the revision of the list's ledger."""
    target = await mappings.by_id(db, this.mapping_id)
    state = await lists.get(db, this.connection_id, this.list_id)
    assert target is not None
    assert state is not None
    return target, await mappings.of_connection(db, this.connection_id, this.list_id), state.ledger_revision


async def _compare(
    con: duckdb.DuckDBPyConnection, mapping_id: int, field: UserIdField, mode: SyncMode, *, keys_are_known: bool = False
) -> DiffCounts:
    verdicts: DiffCounts = await run(
        con,
        lambda: diff_against_ledger(con, mapping_id=mapping_id, field=field, mode=mode, keys_are_known=keys_are_known),
    )
    return verdicts


# What an undo has not done yet, and what somebody else has changed since it was planned. (What it has sent without
# seeing the answer is recorded under the identity that it wanted, and uncertain.)
_NO_LONGER = """
CREATE TABLE no_longer AS
SELECT profile FROM desired AS d ANTI JOIN (SELECT profile FROM reversals WHERE action = 'on') USING (profile)
WHERE NOT EXISTS (SELECT 1 FROM ledger AS l WHERE l.mapping_id = $mapping_id AND l.profile = d.profile
    AND NOT l.certain AND l.email = d.email AND l.user_id IS NOT DISTINCT FROM d.user_id)
UNION ALL
SELECT profile FROM gone ANTI JOIN (SELECT profile FROM reversals WHERE action = 'off') USING (profile)
"""


def _exclude(con: duckdb.DuckDBPyConnection, mapping_id: int) -> int:
    """Take out of what is left of an undo whom others have changed meanwhile. Returns how many of those count."""
    compute_reversals(con, mapping_id)
    con.execute(_NO_LONGER, {"mapping_id": mapping_id})
    alone = 0
    for table in ("desired", "gone"):
        alone += scalar(con, f"SELECT count(*) FROM {table} SEMI JOIN no_longer USING (profile) WHERE counted")
        con.execute(f"DELETE FROM {table} WHERE profile IN (SELECT profile FROM no_longer)")
    return alone


async def _store_rejections(con: duckdb.DuckDBPyConnection, database: Database, run_id: str) -> None:
    rows = con.cursor()
    await run(con, rows.execute, "SELECT profile, email, customer_id, reason FROM refused ORDER BY profile")
    while found := await run(con, rows.fetchmany, REJECTIONS_A_WRITE):
        await to_the_end(_add_rejections(database, run_id, [Rejection(*row) for row in found]))


async def _add_rejections(database: Database, run_id: str, found: list[Rejection]) -> None:
    async with database.write() as db:
        await rejections.add(db, run_id, found)


async def store_batches(con: duckdb.DuckDBPyConnection, database: Database, run_id: str) -> int:
    """Store the drafts of all phases and return how many requests they take."""
    requests = 0
    for phase in await run(con, batching.prepare, con):
        async with aclosing(_prefetch(con, batching.iter_drafts(con, phase))) as pieces:
            async for piece in pieces:
                await to_the_end(_add_drafts(database, run_id, piece))
                if phase is Phase.RENAME:
                    requests += sum(draft.sent_size for draft in piece)
                elif phase not in (Phase.RETAIN, Phase.RELEASE):
                    requests += len(piece)
    return requests


async def _prefetch(con: duckdb.DuckDBPyConnection, drafts: Iterator[Draft]) -> AsyncGenerator[list[Draft], None]:
    """Yield drafts in pieces; the next piece is made while the one before is written."""
    piece = await run(con, _next_batch, drafts)
    while piece:
        following = asyncio.create_task(run(con, _next_batch, drafts))
        try:
            yield piece
            piece = await following
        finally:  # where writing has failed, nobody may close the workspace under it
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def _add_drafts(database: Database, run_id: str, drafts: list[Draft]) -> None:
    async with database.write() as db:
        await batches.add_drafts(db, run_id, drafts)


def _next_batch(drafts: Iterator[Draft]) -> list[Draft]:
    return list(islice(drafts, BATCHES_A_WRITE))


async def _load_rest(con: duckdb.DuckDBPyConnection, database: Database, run_id: str) -> None:
    """Make `desired` and `gone` of the batches that are still planned."""
    after = 0
    while True:
        async with database.read() as db:
            found = await batches.open_batches(db, run_id, BatchStatus.PLANNED, limit=BATCHES_A_WRITE, after=after)
        if not found:
            return
        after = found[-1].id
        for batch in found:
            await run(con, _load_batch, con, batch)


def _load_batch(con: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    desired, gone, formerly = [], [], []
    phase = batch.phase
    for role, profile, email, user_id, *more in batch.entries:
        if role in (Operation.UNSUBSCRIBE_FORMER, Operation.RENAME) or profile.startswith(FORMER_IDENTITY_PREFIX):
            continue  # found again, if it is still to be done, beside the update that it belongs to
        if phase in (Phase.REMOVE, Phase.RELEASE):
            gone.append((profile, email, user_id, role == Operation.REMOVE, None))
            formerly.append((profile, phase is Phase.RELEASE or not more, None, None, True))
        else:
            desired.append((profile, email, user_id, role in (Operation.ADD, Operation.UPDATE)))
            formerly.append((profile, bool(more), *(more or (None, None)), False))
    insert(con, "desired", DESIRED, desired)
    insert(con, "gone", GONE, gone)
    insert(con, "formerly", FORMERLY, formerly)


async def discard_drafts(database: Database, run_id: str) -> None:
    """Delete what an earlier planning of the run left. Nothing of it has been sent."""
    await _drop(database, run_id, list(BatchStatus))
    while await to_the_end(_drop_rejections(database, run_id)) == REJECTIONS_A_WRITE:
        pass


async def _drop_rejections(database: Database, run_id: str) -> int:
    async with database.write() as db:
        return await rejections.drop(db, run_id, limit=REJECTIONS_A_WRITE)


async def _drop(database: Database, run_id: str, states: list[BatchStatus]) -> None:
    while await to_the_end(_drop_some(database, run_id, states)) == BATCHES_A_DROP:
        pass


async def _drop_some(database: Database, run_id: str, states: list[BatchStatus]) -> int:
    async with database.write() as db:
        return await batches.drop(db, run_id, states, BATCHES_A_DROP)


def scalar(con: duckdb.DuckDBPyConnection, query: str) -> int:
    """Return the number that a query yields."""
    return int(con.execute(query).fetchall()[0][0])
