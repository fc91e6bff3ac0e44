"""Planning a run from its source: which changes it would make to the list, and which members can't be synced."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import duckdb
from sqlalchemy.ext.asyncio import AsyncConnection

from core import sources
from core.errors import ColumnNotFoundError, InputError, SeveralAudiencesError
from core.identity import ProjectType
from core.iterable import FailureReason
from core.models.data_fields import MOST_FIELDS
from core.models.run import Run, RunPlan, SyncMode, digest_of
from core.planning.adoption import adopt_list
from core.planning.approval_rules import PlanResult, had_approval, with_open_guards
from core.planning.approved_changes import count_outside, load_approved_changes
from core.planning.data_fields import FieldSettings, load_fields
from core.planning.diff import diff_against_ledger
from core.planning.guards import PlannedNumbers, adoption_guard, check_guards, check_project_type
from core.planning.identity_mapping import map_members
from core.planning.last_known_emails import fill_last_known_emails
from core.planning.ledger_lookup import load_relevant_ledger
from core.planning.live_source import (
    exclude_newer_live_changes,
    load_live_changes,
    load_newer_changes,
    restore_newer,
)
from core.planning.member_account import IdentityProblems, check_rows, identity_problems
from core.planning.plan_files import is_small, paths_of
from core.planning.plan_storage import discard_drafts, store_batches, store_rejections
from core.planning.removal_limits import removal_note
from core.planning.source_guards import LAST_RUNS, History
from core.planning.suppression import exclude_erased, reject_erased, reject_forgotten, reject_suppressed
from core.planning.workspace import load_ledger, run, workspace
from core.sources import Source
from core.sources.audience_ref import split_variant
from core.sources.content_digest import check_unchanged, fingerprint
from core.sources.field_columns import keep_members
from core.store import approvals, batches, ledger, lists, mappings, runs
from core.store.database import Database
from core.store.erasures import SuppressionList
from core.store.mappings import AudienceMapping, RemovalPolicy
from core.store.runs import DeltaHistory

_COUNT_FORGOTTEN = f"SELECT count(*) FROM rejected WHERE reason = '{FailureReason.FORGOTTEN.value}'"


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
) -> PlanResult:
    """Plan a run from its source: store drafts of its changes and its rejections, and return the plan.

    `address` is where the source was fetched from (None: the run's path). `source_at` is when the source was made, if
    the caller knows it (UTC seconds). `people_on_list` is a file with the people on the list, a line each, if the run
    takes the list over. `forgotten` are files with the digests of emails and user ids that Iterable has forgotten, 32
    bytes each. `merges`: placeholder profiles may be merged into others. `fields` are the data fields to send (None:
    none). If the run has an approved plan, that plan is kept for comparison until `publish_plan` replaces it.

    The caller holds the list lock. Raises InputError if the file can't be used (nothing has been sent), and
    duckdb.OutOfMemoryException if `memory_mb` is too little: call it again with more.
    """
    await discard_drafts(database, planned.id, keep_planned=had_approval(planned))
    async with database.read() as db:
        target, mappings_of_list, revision = await load_targets(db, planned)
        mapping_ids = [mapping.id for mapping in mappings_of_list]
        # only guards need the size, and live changes have none
        ledger_size = 0 if planned.request.live else await ledger.size(db, target.id)
    reads = [] if planned.request.live else paths_of(planned)
    async with workspace(data_dir, planned.id, memory_mb, small=is_small(planned, ledger_size), reads=reads) as con:
        is_bound = had_approval(planned) and await load_approved_changes(con, database, planned.id)
        source, source_digest = await _read(con, database, planned, target, erased, fields)
        mode = _mode(planned, target, source)
        # no leavers are computed for a mapping that keeps them
        diff_mode = SyncMode.ADD if target.removal_policy is RemovalPolicy.KEEP else mode
        in_source = scalar(con, "SELECT count(*) FROM source WHERE member")
        with_removals, live = diff_mode is SyncMode.DELTA, planned.request.live
        project_type = planned.project_type
        await run(con, map_members, con, planned.user_id_field, project_type, with_removals=with_removals, live=live)
        if project_type is ProjectType.EMAIL:  # in others a user id alone is precise
            await fill_last_known_emails(con, database, target.id)
        if diff_mode is SyncMode.MIRROR:
            await load_ledger(con, database, mapping_ids)
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
            adopted = await adopt_list(con, people_on_list, target.id, planned.request.adopts, diff_mode)
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
        )
        outside = await run(con, lambda: count_outside(con, merges=merges)) if is_bound else None
        problems = IdentityProblems() if live else await run(con, identity_problems, con, target.id, source)
        rejected = scalar(con, "SELECT count(*) FROM rejected")
        forgotten_count = scalar(con, _COUNT_FORGOTTEN)
        to_replace = scalar(con, "SELECT count(*) FROM removals WHERE NOT is_leaver AND position = 1")
        await store_rejections(con, database, planned.id, with_words=fields is not None)
        work = await store_batches(con, database, planned.id, None if fields is None else fields.vault)
    async with database.read() as db:
        history = await _history(db, target.id, mode)
        deltas = await runs.delta_history(db, target.id)
        read_at = await _read_first_at(db, planned, source, source_digest, address or planned.request.path)
    numbers = PlannedNumbers(
        members,
        counts.left,
        counts.to_add,
        counts.to_remove,
        ledger_size,
        to_replace,
        to_merge=work.renames if merges else 0,
    )
    guards = check_guards(
        mode,
        target,
        source,
        numbers,
        history=history,
        source_at=read_at if source_at is None else source_at,
        problems=problems,
    )
    guards = (*check_project_type(target, project_type), *guards)
    if adopted is not None:
        guards = (adoption_guard(target.list_id, adopted.message), *guards)
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
            *field_notes,
            *([] if adopted is None else [f"List {target.list_id}: {adopted.message}"]),
        ),
        fields=dict(fields.choices) if fields is not None else {},
        other_columns=source.other_columns[:MOST_FIELDS],
        removal_note=_removal_note(source, diff_mode, deltas, counts.left, is_live=live),
        members=members,
        rejected=rejected,
        forgotten=forgotten_count,
        ledger_size=ledger_size,
        requests=work.requests,
        to_merge=numbers.to_merge,
        seconds=work.requests / planned.rate if planned.rate else 0.0,
        source_digest=source_digest,
        source_at=read_at if source_at is None else None,
        **asdict(counts),
    )
    return with_open_guards(planned, PlanResult(plan, mode, revision), guards, outside)


def _removal_note(source: Source, mode: SyncMode, before: DeltaHistory, left: int, *, is_live: bool) -> str:
    """Return the note about removals; none if the source is a whole audience, or no one is to be removed anyway."""
    if is_live or mode is not SyncMode.DELTA:
        return ""
    return removal_note(DeltaHistory(before.files + 1, before.removals + left, source.shape))


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


async def _read(
    con: duckdb.DuckDBPyConnection,
    database: Database,
    planned: Run,
    target: AudienceMapping,
    erased: SuppressionList | None,
    fields: FieldSettings | None,
) -> tuple[Source, str]:
    """Read the run's members into the table `source`. Returns the source's description, and the digest of its bytes."""
    digest = ""
    if planned.request.live:
        source = await load_live_changes(con, database, planned, fields)
        erased = None  # the inbox accepts no change that is older than an erasure
    else:
        paths = paths_of(planned)
        await load_newer_changes(con, database, planned.mapping_id, is_live=target.is_live)
        before = await run(con, fingerprint, paths)
        source = await _read_file(con, database, planned, target, [] if fields is None else list(fields.choices))
        await run(con, check_unchanged, paths, before)
        check_rows(source, scalar(con, "SELECT count(*) FROM source"))
        digest = before.digest if before is not None else ""
        await exclude_newer_live_changes(con, source)
    await exclude_erased(con, erased)
    if source.has_fields:
        await run(con, keep_members, con)
    return source, digest


async def _read_file(
    con: duckdb.DuckDBPyConnection,
    database: Database,
    planned: Run,
    target: AudienceMapping,
    fields: Sequence[str],
) -> Source:
    """Read the run's files. If they contain several audiences, read the request's, or else the mapping's.

    If the request names no columns, the columns of an earlier run of the mapping are used, if the files have them.
    """
    request = planned.request
    paths, columns = paths_of(planned), request.columns
    if not columns:
        async with database.read() as db:
            columns = await runs.columns_chosen_before(db, target.id)

    async def read(audience: str | None) -> Source:
        nonlocal columns
        try:
            return await run(
                con,
                sources.read,
                paths,
                con,
                audience=audience,
                variant=target.audience_name,
                columns=columns,
                sheet=request.sheet,
                fields=fields,
            )
        except ColumnNotFoundError:
            if request.columns:
                raise
            columns = {}
        return await read(audience)

    try:
        return await read(request.audience)
    except SeveralAudiencesError:
        is_variant = split_variant(target.audience_name) is not None
        mapped = target.audience_name if is_variant else target.audience_id or target.audience_name
        if mapped is None:
            raise
        return await read(mapped)


def _mode(planned: Run, target: AudienceMapping, source: Source) -> SyncMode:
    mode = planned.request.mode or (SyncMode(target.mode) if target.mode != "auto" else None)
    if mode is SyncMode.MIRROR and not source.is_snapshot:
        raise InputError(
            "contains additions and removals, not a whole audience, so the list can't be made equal to it. "
            "Choose the mode delta, or no mode.",
            path=source.file_name,
        )
    return mode or (SyncMode.MIRROR if source.is_snapshot else SyncMode.DELTA)


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
