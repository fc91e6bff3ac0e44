"""Planning a run from its source: what would change on the list, and what can't be synced."""

from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb
from sqlalchemy.ext.asyncio import AsyncConnection

from core import sources
from core.errors import InputError, SeveralAudiencesError
from core.models.run import Run, RunPlan, SyncMode
from core.planning.diff import diff_against_ledger
from core.planning.guards import check_guards
from core.planning.identity_mapping import map_members
from core.planning.last_known_emails import fill_last_known_emails
from core.planning.ledger_lookup import load_relevant_ledger
from core.planning.live_source import exclude_newer_live_changes, load_live_changes, restore_newer
from core.planning.plan_storage import discard_drafts, store_batches, store_rejections
from core.planning.suppression import exclude_erased, reject_erased, reject_suppressed
from core.planning.workspace import SMALL_BYTES, SMALL_ROWS, load_ledger, run, workspace
from core.sources import Source
from core.store import batches, ledger, lists, mappings, runs
from core.store.database import Database
from core.store.erasures import SuppressionList
from core.store.mappings import AudienceMapping, RemovalPolicy


@dataclass(frozen=True, slots=True)
class PlanResult:
    """What planning a run has found. Its changes are stored as drafts until `publish_plan`."""

    plan: RunPlan
    mode: SyncMode
    revision: int


async def plan_run(
    database: Database,
    data_dir: Path,
    planned: Run,
    memory_mb: int,
    erased: SuppressionList | None = None,
    suppressed: SuppressionList | None = None,
) -> PlanResult:
    """Plan a run from its source: store the drafts of its changes, and its rejections, and return what was found.

    The caller holds the list lock. Raises InputError if the file can't be used (nothing has been sent), and
    duckdb.OutOfMemoryException if `memory_mb` is too little; then it can be called again with more.
    """
    await discard_drafts(database, planned.id)
    async with database.read() as db:
        target, mappings_of_list, revision = await load_targets(db, planned)
        # only guards need it, and live changes are not guarded
        mapping_ids = [mapping.id for mapping in mappings_of_list]
        ledger_size = 0 if planned.request.live else await ledger.size(db, target.id)
    async with workspace(data_dir, planned.id, memory_mb, small=_is_small(planned, ledger_size)) as con:
        source = await _read(con, database, planned, target, erased)
        mode = _mode(planned, target, source)
        # a mapping that keeps leavers never computes them; otherwise the mode applies unchanged
        diff_mode = SyncMode.ADD if target.removal_policy is RemovalPolicy.KEEP else mode
        in_source = scalar(con, "SELECT count(*) FROM source WHERE member")
        with_removals, live = diff_mode is SyncMode.DELTA, planned.request.live
        await run(con, map_members, con, planned.user_id_field, with_removals=with_removals, live=live)
        await fill_last_known_emails(con, database, target.id)
        if diff_mode is SyncMode.MIRROR:
            await load_ledger(con, database, mapping_ids)
        else:
            await load_relevant_ledger(con, database, target.id, mapping_ids)
        await restore_newer(con, target.id, diff_mode)
        await reject_suppressed(con, target.id, planned.user_id_field, suppressed)
        members = in_source + await reject_erased(con)
        counts = await run(
            con, diff_against_ledger, con, mapping_id=target.id, field=planned.user_id_field, mode=diff_mode
        )
        rejected = scalar(con, "SELECT count(*) FROM rejected")
        await store_rejections(con, database, planned.id)
        requests = await store_batches(con, database, planned.id)
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
        seconds=requests / planned.rate if planned.rate else 0.0,
        guards=check_guards(
            planned.request, mode, target, source, members=members, to_remove=counts.to_remove, ledger_size=ledger_size
        ),
        **asdict(counts),
    )
    return PlanResult(plan, mode, revision)


def _is_small(planned: Run, ledger_size: int) -> bool:
    """Whether there is little to plan."""
    if planned.request.live:
        return True
    try:
        size = Path(planned.request.path).stat().st_size
    except OSError:  # reading it will say what is wrong
        return True
    return size <= SMALL_BYTES and ledger_size <= SMALL_ROWS


async def publish_plan(db: AsyncConnection, run_id: str, worker: str, result: PlanResult) -> None:
    """Make a result the run's plan.

    The caller sets the run's status in the same transaction: a run that has a plan is uploaded when it is resumed,
    without another guard check.
    """
    await batches.publish(db, run_id)
    await runs.set_plan(db, run_id, worker, result.plan, result.mode, result.revision)


async def _read(
    con: duckdb.DuckDBPyConnection,
    database: Database,
    planned: Run,
    target: AudienceMapping,
    erased: SuppressionList | None,
) -> Source:
    """Read the run's members into the table `source`."""
    if planned.request.live:
        source = await load_live_changes(con, database, planned)
        erased = None  # the inbox has accepted no change that is older than an erasure
    else:
        source = await _read_file(con, planned, target)
        await exclude_newer_live_changes(con, database, planned.mapping_id, source)
    await exclude_erased(con, erased)
    return source


async def _read_file(con: duckdb.DuckDBPyConnection, planned: Run, target: AudienceMapping) -> Source:
    """Read the run's file. Of several audiences in it, that is the one in the request, or else the mapping's."""
    path, chosen = Path(planned.request.path), planned.request.audience
    try:
        return await run(con, sources.read, path, con, audience=chosen)
    except SeveralAudiencesError:
        mapped = target.audience_id or target.audience_name
        if mapped is None:
            raise
        return await run(con, sources.read, path, con, audience=mapped)


def _mode(planned: Run, target: AudienceMapping, source: Source) -> SyncMode:
    wanted = planned.request.mode or (SyncMode(target.mode) if target.mode != "auto" else None)
    if wanted is SyncMode.MIRROR and not source.is_snapshot:
        raise InputError(
            "holds additions and removals, not a whole audience, so the list can't be made equal to it. "
            "Choose the mode delta, or none.",
            path=source.file_name,
        )
    return wanted or (SyncMode.MIRROR if source.is_snapshot else SyncMode.DELTA)


async def load_targets(db: AsyncConnection, run_: Run) -> tuple[AudienceMapping, list[AudienceMapping], int]:
    """Return the run's mapping, all mappings of its list, and the revision of the list's ledger."""
    target = await mappings.by_id(db, run_.mapping_id)
    state = await lists.get(db, run_.connection_id, run_.list_id)
    assert target is not None
    assert state is not None
    return target, await mappings.of_connection(db, run_.connection_id, run_.list_id), state.ledger_revision


def scalar(con: duckdb.DuckDBPyConnection, query: str) -> int:
    """Return the number that a query yields."""
    return int(con.execute(query).fetchall()[0][0])
