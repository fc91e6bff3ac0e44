"""Planning a run from its source: which changes it would make to the list, and which members can't be synced."""

from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from core.identity import ProjectType
from core.iterable import FailureReason
from core.models.data_fields import MOST_FIELDS
from core.models.run import Guard, Run, RunPlan, SyncMode, digest_of
from core.planning import small_workspace
from core.planning.adoption import adopt_list
from core.planning.approval_rules import PlanResult, had_approval, with_open_guards
from core.planning.approved_changes import OutsideApproval, count_outside, load_approved_changes
from core.planning.data_fields import FieldSettings, load_fields
from core.planning.diff import DiffCounts, diff_against_ledger
from core.planning.exclusions import ExclusionSettings
from core.planning.guards import PlannedNumbers, adoption_guard, check_guards, check_project_type
from core.planning.identity_mapping import map_members
from core.planning.last_known_emails import fill_last_known_emails
from core.planning.ledger_lookup import load_relevant_ledger, look_up
from core.planning.live_planner import LiveFields, LivePlan, LivePlanning
from core.planning.live_source import restore_newer
from core.planning.member_account import IdentityProblems, identity_problems
from core.planning.plan_storage import Work, add_plan, discard_drafts, store_plan, work_of
from core.planning.removal_limits import DELETED, removal_note
from core.planning.run_source import open_source, read_small_file, sync_mode
from core.planning.small_exclusions import find_excluded
from core.planning.small_planner import plan_small_file
from core.planning.source_guards import LAST_RUNS, History
from core.planning.suppression import reject_erased, reject_forgotten, reject_suppressed
from core.planning.whole_ledger import load_whole_ledger
from core.planning.workspace import run, scalar
from core.sources import Source
from core.sources.small_files import SmallAudience
from core.store import approvals, batches, inbox, last_known_emails, ledger, lists, live_attributes, mappings, runs
from core.store.database import Database
from core.store.erasures import SuppressionList
from core.store.mappings import AudienceMapping, RemovalPolicy
from core.store.rejections import EXCLUDED
from core.store.runs import DeltaHistory

_COUNT = "SELECT count(*) FROM rejected WHERE reason = '{reason}'"
_COUNT_REJECTED = "SELECT count(*) FROM rejected"
_COUNT_REPLACED = "SELECT count(*) FROM removals WHERE NOT is_leaver AND position = 1"
_COUNTED_REASONS = (FailureReason.FORGOTTEN.value, EXCLUDED)


async def plan_run(
    database: Database,
    data_dir: Path,
    planned: Run,
    memory_mb: int,
    erased: SuppressionList | None = None,
    suppressed: SuppressionList | None = None,
    *,
    address: str | None = None,
    source_at: float | None = None,
    forgotten: tuple[Path | None, Path | None] | None = None,
    people_on_list: Path | None = None,
    merges: bool = False,
    fields: FieldSettings | None = None,
    exclusions: ExclusionSettings | None = None,
    is_deleted: bool = False,
) -> PlanResult:
    """Plan a run from its source: store drafts of its changes and its rejections, and return the plan.

    `address` is where the source was fetched from (None: the run's path). `source_at` is when the source was made, if
    the caller knows it (UTC seconds). `people_on_list` is a file with the people on the list, a line each, if the run
    takes the list over. `forgotten` are files with the digests of emails and user ids that Iterable has forgotten, 32
    bytes each. `merges`: placeholder profiles may be merged into others. `fields` are the data fields to send (None:
    none), and `exclusions` the people who are kept off the list. `is_deleted`: mParticle no longer has the audience. If
    the run has an approved plan, that plan is kept for comparison until `publish_plan` replaces it.

    The caller holds the list lock. Raises InputError if the file can't be used (nothing has been sent), and
    duckdb.OutOfMemoryException if `memory_mb` is too little: call it again with more.
    """
    live, project_type = planned.request.live, planned.project_type
    async with database.read() as db:
        is_planned_again = await batches.has_stored(db, planned.id)
        target, mappings_of_list, revision = await load_targets(db, planned)
        mapping_ids = [mapping.id for mapping in mappings_of_list]
        # only guards and the choice of a workspace need the sizes, and live changes look up the rows that they need
        sizes = {} if live else await ledger.sizes(db, mapping_ids)
    if is_planned_again:
        await discard_drafts(database, planned.id, keep_planned=had_approval(planned))
    is_light = live and not merges and not had_approval(planned) and not (exclusions is not None and exclusions.files)
    if (
        is_light
        and (few := await _plan_few(database, planned, target, mapping_ids, suppressed, forgotten, fields, exclusions))
        is not None
    ):
        guards = tuple(check_project_type(target, planned.project_type))
        return with_open_guards(planned, PlanResult(few.plan, few.mode, revision), guards, None)
    list_size, in_duckdb = sum(sizes.values()), fields is not None or exclusions is not None
    in_python = not merges and not had_approval(planned)
    small = None if in_duckdb else await read_small_file(database, planned, target, list_size, in_python=in_python)
    if small is not None and in_python:
        changes = await _plan_small(
            database, planned, target, mapping_ids, small, erased, suppressed, forgotten, sizes.get(target.id, 0)
        )
        return await _result(
            database, planned, target, changes, revision, address=address, source_at=source_at, is_deleted=is_deleted
        )
    ledger_size = sizes.get(target.id, 0)
    opening = open_source(database, data_dir, planned, target, memory_mb, erased, fields, list_size, exclusions, small)
    async with opening as opened:
        con, source, source_digest = opened.con, opened.source, opened.digest
        is_bound = had_approval(planned) and await load_approved_changes(con, database, planned.id)
        mode = sync_mode(planned, target, source)
        # no leavers are computed for a mapping that keeps them
        diff_mode = SyncMode.ADD if target.removal_policy is RemovalPolicy.KEEP else mode
        in_source = scalar(con, "SELECT count(*) FROM source WHERE member")
        with_removals = diff_mode is SyncMode.DELTA
        await run(con, map_members, con, planned.user_id_field, project_type, with_removals=with_removals, live=live)
        if project_type is ProjectType.EMAIL:  # in others a user id alone is precise
            await fill_last_known_emails(con, database, target.id)
        # who is excluded leaves the list, whether or not the source says anything of them
        if diff_mode is SyncMode.MIRROR or (exclusions is not None and not live):
            ledger_size = await load_whole_ledger(con, database, target.id, mapping_ids)
        else:
            await load_relevant_ledger(con, database, target.id, mapping_ids, project_type)
        await restore_newer(con, target.id, diff_mode)
        if forgotten is not None:
            await reject_forgotten(con, target.id, planned.user_id_field, *forgotten)
        await reject_suppressed(con, target.id, planned.user_id_field, suppressed)
        members = in_source + await reject_erased(con)
        field_notes = await load_fields(con, database, fields, source, planned, only_known=diff_mode != SyncMode.MIRROR)
        adopted = None
        if planned.request.adopts is not None and people_on_list is not None:
            adopted = await adopt_list(con, people_on_list, target.id, planned.request.adopts, diff_mode, project_type)
            ledger_size = max(ledger_size, adopted.ledger_size)
        counts = await run(
            con,
            diff_against_ledger,
            con,
            mapping_id=target.id,
            field=planned.user_id_field,
            mode=diff_mode,
            project_type=project_type,
            merges=merges,
            salt=None if fields is None else fields.salt,
            unchanged_as="update" if planned.request.full else None,
            exclusion_salt=None if exclusions is None else exclusions.salt,
        )
        outside = await run(con, lambda: count_outside(con, merges=merges)) if is_bound else None
        problems = IdentityProblems() if live else await run(con, identity_problems, con, target.id, source)
        forgotten_count, excluded_count = (scalar(con, _COUNT.format(reason=each)) for each in _COUNTED_REASONS)
        rejected, to_replace = scalar(con, _COUNT_REJECTED), scalar(con, _COUNT_REPLACED)
        work = await store_plan(con, database, planned.id, None if fields is None else fields.vault)
    changes = _Changes(
        source=source,
        digest=source_digest,
        mode=mode,
        diff_mode=diff_mode,
        members=members,
        counts=counts,
        rejected=rejected,
        forgotten=forgotten_count,
        excluded=excluded_count,
        replaced=to_replace,
        ledger_size=ledger_size,
        work=work,
        problems=problems,
        notes=(*field_notes, *([] if adopted is None else [f"List {target.list_id}: {adopted.message}"])),
        guards=() if adopted is None else (adoption_guard(target.list_id, adopted.message),),
        outside=outside,
    )
    return await _result(
        database,
        planned,
        target,
        changes,
        revision,
        address=address,
        source_at=source_at,
        is_deleted=is_deleted,
        merges=merges,
        fields=fields,
    )


@dataclass(frozen=True, slots=True)
class _Changes:
    """What a run would change, and what its guards look at. `digest` is that of the source."""

    source: Source
    digest: str
    mode: SyncMode
    diff_mode: SyncMode
    members: int
    counts: DiffCounts
    rejected: int
    forgotten: int
    excluded: int
    replaced: int
    ledger_size: int
    work: Work
    problems: IdentityProblems
    notes: tuple[str, ...] = ()
    guards: tuple[Guard, ...] = ()
    """Guards that come first."""
    outside: OutsideApproval | None = None
    """How many changes are not in the plan that was approved (None: no plan was)."""


async def _result(
    database: Database,
    planned: Run,
    target: AudienceMapping,
    changes: _Changes,
    revision: int,
    *,
    address: str | None,
    source_at: float | None,
    is_deleted: bool,
    merges: bool = False,
    fields: FieldSettings | None = None,
) -> PlanResult:
    """Check the guards of a plan that is stored. The parameters are as for `plan_run`."""
    source, counts, mode = changes.source, changes.counts, changes.mode
    history, deltas, read_at = await _before(
        database, planned, target.id, mode, source, changes.digest, address or planned.request.path
    )
    numbers = PlannedNumbers(
        changes.members,
        counts.left,
        counts.to_add,
        counts.to_remove,
        changes.ledger_size,
        changes.replaced,
        to_merge=changes.work.renames if merges else 0,
    )
    guards = (
        *changes.guards,
        *check_project_type(target, planned.project_type),
        *check_guards(
            mode,
            target,
            source,
            numbers,
            history=history,
            source_at=read_at if source_at is None else source_at,
            problems=changes.problems,
        ),
    )
    plan = RunPlan(
        shape=source.shape,
        file_name=source.file_name,
        audience_id=source.audience_id or target.audience_id,
        audience_name=source.audience_name or target.audience_name,
        as_of=source.as_of,
        oldest=source.oldest,
        rows_read=source.rows,
        rows_merged=source.merged_rows,
        notes=(
            *source.notes,
            *changes.notes,
        ),
        fields=dict(fields.choices) if fields is not None else {},
        other_columns=source.other_columns[:MOST_FIELDS],
        removal_note=DELETED
        if is_deleted
        else _removal_note(source, changes.diff_mode, deltas, counts.left, is_live=planned.request.live),
        members=changes.members,
        rejected=changes.rejected,
        forgotten=changes.forgotten,
        excluded=changes.excluded,
        settings=target.settings_digest,
        ledger_size=changes.ledger_size,
        requests=changes.work.requests,
        to_merge=numbers.to_merge,
        seconds=changes.work.requests / planned.rate if planned.rate else 0.0,
        source_digest=changes.digest,
        source_at=read_at if source_at is None else None,
        **asdict(counts),
    )
    return with_open_guards(planned, PlanResult(plan, mode, revision), guards, changes.outside)


async def _plan_small(
    database: Database,
    planned: Run,
    target: AudienceMapping,
    mapping_ids: list[int],
    small: SmallAudience,
    erased: SuppressionList | None,
    suppressed: SuppressionList | None,
    forgotten: tuple[Path | None, Path | None] | None,
    ledger_size: int,
) -> _Changes:
    """Plan a small file in memory, and store its drafts."""
    mode = sync_mode(planned, target, small.source)
    diff_mode = SyncMode.ADD if target.removal_policy is RemovalPolicy.KEEP else mode
    rows = [(*row, 0) for row in small.rows]
    plan = await plan_small_file(
        database, planned, diff_mode, mapping_ids, rows, small.source, erased, suppressed, forgotten
    )
    await add_plan(database, planned.id, plan.rejected, plan.diff.drafts)
    return _Changes(
        source=small.source,
        digest=small.digest,
        mode=mode,
        diff_mode=diff_mode,
        members=plan.members,
        counts=plan.diff.counts,
        rejected=len(plan.rejected),
        forgotten=sum(each.reason == FailureReason.FORGOTTEN for each in plan.rejected),
        excluded=0,
        replaced=plan.diff.replaced,
        ledger_size=ledger_size if plan.ledger_size is None else plan.ledger_size,
        work=work_of(plan.diff.drafts),
        problems=plan.diff.problems,
    )


async def _plan_few(
    database: Database,
    planned: Run,
    target: AudienceMapping,
    mapping_ids: list[int],
    suppressed: SuppressionList | None,
    forgotten: tuple[Path | None, Path | None] | None,
    fields: FieldSettings | None,
    exclusions: ExclusionSettings | None,
) -> LivePlan | None:
    """Plan the live changes of a run in memory, and store its drafts. Returns None if that is not possible.

    The exclusions have no files.
    """
    if planned.request.full:
        return None
    async with database.read() as db:
        if await inbox.claimed_count(db, planned.id) > small_workspace.SMALL_MEMBERS:
            return None
        of_fields = None if fields is None else await _live_fields(db, planned, fields)
        planning = LivePlanning(planned, target, await inbox.claimed_by(db, planned.id), of_fields)
        keys = planning.without_email
        lookup = planning.lookup(mapping_ids, await last_known_emails.find(db, target.id, keys) if keys else ())
        await look_up(db, [lookup])
        rows = lookup.rows
        known = planning.digests_needed(rows)
        digests = await ledger.digests_of(db, target.id, known) if known else {}
        excluded = None if exclusions is None else await find_excluded(db, exclusions, planning.identities(rows))
    few = planning.plan(rows, suppressed, forgotten, digests, excluded)
    await add_plan(database, planned.id, few.rejections, few.drafts, None if fields is None else fields.vault)
    return few


async def _live_fields(db: AsyncConnection, planned: Run, fields: FieldSettings) -> LiveFields:
    sealed = await inbox.attributes_claimed_by(db, planned.id)
    return LiveFields(fields, {key: live_attributes.opened(fields.vault, token) for key, token in sealed})


def _removal_note(source: Source, mode: SyncMode, before: DeltaHistory, left: int, *, is_live: bool) -> str:
    """Return the note about removals; none if the source is a whole audience, or no one is to be removed anyway."""
    if is_live or mode is not SyncMode.DELTA:
        return ""
    return removal_note(DeltaHistory(before.files + 1, before.removals + left, source.shape))


async def _before(
    database: Database, planned: Run, mapping_id: int, mode: SyncMode, source: Source, digest: str, address: str
) -> tuple[History, DeltaHistory, float | None]:
    """Return what guards and notes compare a plan with, and when its source was made. Live changes need neither."""
    if planned.request.live:
        return History(), DeltaHistory(), None
    async with database.read() as db:
        history = await _history(db, mapping_id, mode)
        deltas = await runs.delta_history(db, mapping_id)
        return history, deltas, await _read_first_at(db, planned, source, digest, address)


async def _history(db: AsyncConnection, mapping_id: int, mode: SyncMode) -> History:
    latest = await approvals.latest_source(db, mapping_id)
    sizes = await approvals.last_sizes(db, mapping_id, mode, LAST_RUNS)
    return History(sizes) if latest is None else History(sizes, latest.at, latest.run_id)


async def _read_first_at(db: AsyncConnection, planned: Run, source: Source, digest: str, address: str) -> float | None:
    """Return when a source was made (UTC seconds): its newest time stamp, or when a run first read these bytes there.

    Returns None if neither is known.
    """
    if source.as_of is not None:
        return source.as_of.timestamp()
    if not digest:
        return None
    first = await approvals.first_read_at(db, planned.mapping_id, digest, address)
    return planned.created_at if first is None else min(first, planned.created_at)


async def publish_plan(db: AsyncConnection, planned: Run, worker: str, result: PlanResult) -> None:
    """Make a result the run's plan.

    The caller sets the run's status in the same transaction: a run that has a plan is uploaded when it is resumed,
    without another check of its guards.
    """
    await batches.publish(db, planned.id)
    await runs.set_plan(db, planned.id, worker, result.plan, result.mode, result.revision)
    digest = digest_of(planned, result.plan, result.mode, result.revision)
    await approvals.set_digest(db, planned, result.plan, digest, is_approved=result.is_approved)


async def load_targets(db: AsyncConnection, run_: Run) -> tuple[AudienceMapping, list[AudienceMapping], int]:
    """Return the run's mapping, all mappings of its list, and the revision of the list's ledger."""
    state = await lists.get(db, run_.connection_id, run_.list_id)
    of_list = await mappings.of_connection(db, run_.connection_id, run_.list_id)
    target = next((each for each in of_list if each.id == run_.mapping_id), None)
    if target is None:  # it goes to another list by now
        target = await mappings.by_id(db, run_.mapping_id)
    assert target is not None
    assert state is not None
    return target, of_list, state.ledger_revision
