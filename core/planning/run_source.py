"""The source of a run: its files or live changes, read into the workspace in which they are planned.

DuckDB reads files, except small plain ones. If there are few members and the ledger is small, they move on to a
small workspace, in which live changes are planned as well.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core import sources
from core.errors import ColumnNotFoundError, InputError, SeveralAudiencesError
from core.models.run import Run, SyncMode
from core.planning import small_workspace
from core.planning.data_fields import FieldSettings
from core.planning.exclusions import ExclusionSettings, load_exclusions
from core.planning.live_source import (
    SourceRow,
    claimed_changes,
    exclude_newer_live_changes,
    fill_source,
    live_source,
    load_attributes,
    load_newer_changes,
)
from core.planning.member_account import check_rows
from core.planning.plan_files import is_small, paths_of
from core.planning.schema import create
from core.planning.small_planner import MOST_LEDGER, MOST_MEMBERS
from core.planning.small_workspace import SMALL_LEDGER, SmallWorkspace, is_supported
from core.planning.suppression import exclude_erased
from core.planning.workspace import (
    Workspace,
    insert,
    open_small_workspace,
    run,
    scalar,
    workspace,
)
from core.sources import Source
from core.sources.audience_ref import split_variant
from core.sources.content_digest import check_unchanged, fingerprint
from core.sources.field_columns import keep_members
from core.sources.small_files import SmallAudience, read_small
from core.store import runs
from core.store.database import Database
from core.store.erasures import SuppressionList
from core.store.mappings import AudienceMapping

if TYPE_CHECKING:
    import duckdb

_MEMBERS = "SELECT profile, mpid, member, email, customer_id, 0 FROM source"
_NEWER = "SELECT * FROM newer_changes"


@dataclass(frozen=True, slots=True)
class RunSource:
    """A source in the table `source` of a workspace, its description, and the digest of its bytes."""

    con: Workspace
    source: Source
    digest: str = ""


@asynccontextmanager
async def open_source(
    database: Database,
    data_dir: Path,
    planned: Run,
    target: AudienceMapping,
    memory_mb: int,
    erased: SuppressionList | None,
    fields: FieldSettings | None,
    ledger_size: int,
    exclusions: ExclusionSettings | None = None,
    small: SmallAudience | None = None,
) -> AsyncIterator[RunSource]:
    """Read the members of a run, for the length of the block. `ledger_size` is that of all mappings of the list.

    `small` is what `read_small_file` has returned; None: it was not asked, or the file is not of that kind. With
    `exclusions`, the workspace has their tables, and is one of DuckDB.

    Raises InputError if a file can't be used.
    """
    if planned.request.live:
        async with _live_changes(database, data_dir, planned, memory_mb, fields, exclusions) as opened:
            yield opened
        return
    needs_duckdb = fields is not None or exclusions is not None
    if small is not None and not needs_duckdb:
        async with _small_source(small.source, [(*row, 0) for row in small.rows], [], erased, small.digest) as opened:
            yield opened
        return
    paths, small_files = paths_of(planned), is_small(planned, ledger_size)
    excluded = [] if exclusions is None else list(exclusions.files)
    async with workspace(data_dir, planned.id, memory_mb, small=small_files, reads=[*paths, *excluded]) as con:
        if exclusions is not None:
            await load_exclusions(con, database, exclusions, planned.user_id_field)
        await load_newer_changes(con, database, planned.mapping_id, is_live=target.is_live)
        before = await run(con, fingerprint, paths)
        source = await _read_file(con, database, planned, target, [] if fields is None else list(fields.choices))
        await run(con, check_unchanged, paths, before)
        members = scalar(con, "SELECT count(*) FROM source")
        check_rows(source, members)
        digest = before.digest if before is not None else ""
        rows_needed = _rows_needed(planned, target, source, ledger_size)
        newer = scalar(con, "SELECT count(*) FROM newer_changes") if target.is_live else 0
        if needs_duckdb or not _are_few(planned, members, newer, rows_needed):
            await _exclude(con, source, erased)
            if source.has_fields:
                await run(con, keep_members, con)
            yield RunSource(con, source, digest)
            return
        rows, newer_changes = (con.execute(query).fetchall() for query in (_MEMBERS, _NEWER))
    async with _small_source(source, rows, newer_changes, erased, digest) as opened:
        yield opened


async def read_small_file(
    database: Database, planned: Run, target: AudienceMapping, ledger_size: int, *, in_python: bool
) -> SmallAudience | None:
    """Read the members of a run without DuckDB. Returns None if they are not in a small, plain file.

    `ledger_size` is that of all mappings of the list. `in_python`: they are also planned in Python, and not in a small
    workspace, so they may be more.
    """
    if planned.request.live:
        return None
    paths = paths_of(planned)
    if target.is_live or len(paths) > 1 or not _are_few(planned, 0, 0, 0):
        return None
    most_members, most_ledger = small_workspace.SMALL_MEMBERS, SMALL_LEDGER
    if in_python:
        most_members, most_ledger = MOST_MEMBERS, MOST_LEDGER
    columns = planned.request.columns or await _columns_chosen_before(database, target)
    small = await asyncio.to_thread(
        read_small,
        paths[0],
        most_profiles=most_members,
        audience=planned.request.audience,
        variant=target.audience_name,
        columns=columns,
    )
    if small is None or _rows_needed(planned, target, small.source, ledger_size) > most_ledger:
        return None
    check_rows(small.source, len(small.rows))
    return small


@asynccontextmanager
async def _small_source(
    source: Source,
    rows: Sequence[SourceRow],
    newer_changes: Sequence[Sequence[object]],
    erased: SuppressionList | None,
    digest: str,
) -> AsyncIterator[RunSource]:
    """Put the members of a file into a small workspace, for the length of the block."""
    async with open_small_workspace() as small:
        fill_source(small, rows)
        small.execute(create("newer_changes"))
        insert(small, "newer_changes", newer_changes)
        await _exclude(small, source, erased)
        yield RunSource(small, source, digest)


def _rows_needed(planned: Run, target: AudienceMapping, source: Source, ledger_size: int) -> int:
    """Return how many rows of the ledger are loaded: additions and removals look up those that they need."""
    return ledger_size if sync_mode(planned, target, source) is SyncMode.MIRROR else 0


async def _columns_chosen_before(database: Database, target: AudienceMapping) -> dict[str, str]:
    async with database.read() as db:
        return await runs.columns_chosen_before(db, target.id)


async def _exclude(con: Workspace, source: Source, erased: SuppressionList | None) -> None:
    """Delete the members from `source` that have a newer live change, or asked to be erased."""
    await exclude_newer_live_changes(con, source)
    await exclude_erased(con, erased)


@asynccontextmanager
async def _live_changes(
    database: Database,
    data_dir: Path,
    planned: Run,
    memory_mb: int,
    fields: FieldSettings | None,
    exclusions: ExclusionSettings | None,
) -> AsyncIterator[RunSource]:
    rows = await claimed_changes(database, planned)
    async with contextlib.AsyncExitStack() as stack:
        con: Workspace
        needs_duckdb = fields is not None or exclusions is not None or planned.request.full
        if len(rows) <= small_workspace.SMALL_MEMBERS and not needs_duckdb and is_supported():
            con = await stack.enter_async_context(open_small_workspace())
        else:
            files = [] if exclusions is None else exclusions.files
            con = await stack.enter_async_context(workspace(data_dir, planned.id, memory_mb, small=True, reads=files))
            if exclusions is not None:
                await load_exclusions(con, database, exclusions, planned.user_id_field)
            if fields is not None:
                await load_attributes(con, database, planned, fields)
        await run(con, fill_source, con, rows)
        await exclude_erased(con, None)  # the inbox accepts no change that is older than an erasure
        if fields is not None and not isinstance(con, SmallWorkspace):
            await run(con, keep_members, con)
        yield RunSource(con, live_source(len(rows), has_fields=fields is not None))


def sync_mode(planned: Run, target: AudienceMapping, source: Source) -> SyncMode:
    """Return the mode of a run: the one asked for, or else the one for this kind of source."""
    mode = planned.request.mode or (SyncMode(target.mode) if target.mode != "auto" else None)
    if mode is SyncMode.MIRROR and not source.is_snapshot:
        raise InputError(
            "contains additions and removals, not a whole audience, so the list can't be made equal to it. "
            "Choose the mode delta, or no mode.",
            path=source.file_name,
        )
    return mode or (SyncMode.MIRROR if source.is_snapshot else SyncMode.DELTA)


def _are_few(planned: Run, members: int, newer: int, ledger_size: int) -> bool:
    """Return whether the members that were read, their newer changes, and the ledger fit into a small workspace."""
    is_special = planned.request.adopts is not None or planned.request.full
    fits = max(members, newer) <= small_workspace.SMALL_MEMBERS and ledger_size <= SMALL_LEDGER
    return fits and not is_special and is_supported()


async def _read_file(
    con: "duckdb.DuckDBPyConnection",
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
        columns = await _columns_chosen_before(database, target)

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
