"""The sources of mappings: where their files come from, and which files were seen there."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypedDict, Unpack

from sqlalchemy import and_, bindparam, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.run import PROCESS_DIED, RunStatus, SyncMode
from core.store import clock
from core.store.rows import by_key, plain
from core.store.tables import file_sources, runs, source_files


class Existing(StrEnum):
    """Which of the files that are there at the first look are synced. Later ones all are."""

    NEWEST = "newest"
    ALL = "all"
    NONE = "none"


class FileStatus(StrEnum):
    """What became of a file."""

    ARRIVING = "arriving"
    """It may be incomplete: it has changed since the look before."""
    READY = "ready"
    """It is complete, and waits for its turn."""
    SYNCING = "syncing"
    """Its run has not ended."""
    SYNCED = "synced"
    FAILED = "failed"
    """Its run failed, and is not retried by itself."""
    DUPLICATE = "duplicate"
    """A file with the same content was synced before."""
    SKIPPED = "skipped"
    """It was there before the first look, or its run was declined, cancelled or has expired."""


#: What does not change until the file changes.
ENDED = frozenset({FileStatus.SYNCED, FileStatus.FAILED, FileStatus.DUPLICATE, FileStatus.SKIPPED})


@dataclass(frozen=True, slots=True)
class FileSource:
    """The source of a mapping, as stored. `sealed` is the encrypted address if `address` is only a part of it.

    `look_at` is when its place is listed next, and `look_by` the actor for which; `looked_at` is when it was listed
    last. `failures` counts how often in a row that failed, and `error_code` is that of the alert about it.
    """

    mapping_id: int
    address: str
    sealed: str | None
    columns: dict[str, str]
    sheet: str | None
    archive: str | None
    existing: Existing
    set_by: str
    team_id: str | None
    look_at: float | None
    look_by: str | None
    looked_at: float | None
    failures: int
    error_code: str | None


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that was seen in a source. `at` is its place in the order, `digest` the SHA-256 of its bytes."""

    id: int
    mapping_id: int
    address: str
    size: int
    tag: str
    at: float
    seen_at: float
    unchanged_since: float
    status: FileStatus
    digest: str | None
    run_id: str | None


class SourceValues(TypedDict):
    """What a person chooses about a source."""

    address: str
    sealed: str | None
    columns: dict[str, str]
    sheet: str | None
    archive: str | None
    existing: Existing
    set_by: str
    team_id: str | None


async def get(db: AsyncConnection, mapping_id: int) -> FileSource | None:
    """Find the source of a mapping. None: its files are synced by hand."""
    row = (await db.execute(select(file_sources).where(file_sources.c.mapping_id == mapping_id))).mappings().first()
    return None if row is None else _source(row)


async def lock(db: AsyncConnection, mapping_id: int) -> None:
    """Let other processes wait with the files of a source until the transaction ends."""
    await db.execute(select(file_sources.c.mapping_id).where(file_sources.c.mapping_id == mapping_id).with_for_update())


async def of_mappings(db: AsyncConnection, mapping_ids: Collection[int]) -> dict[int, FileSource]:
    """Return the sources of these mappings, by mapping."""
    rows = (await db.execute(select(file_sources).where(file_sources.c.mapping_id.in_(list(mapping_ids))))).mappings()
    return {source.mapping_id: source for source in map(_source, rows)}


async def put(db: AsyncConnection, mapping_id: int, **values: Unpack[SourceValues]) -> None:
    """Set the source of a mapping. Files that were seen at another address are forgotten."""
    known = await get(db, mapping_id)
    stored: dict[str, Any] = plain(values) | {"columns": json.dumps(values["columns"])}
    if known is None:
        await db.execute(insert(file_sources).values(mapping_id=mapping_id, **stored))
        return
    if known.address != values["address"]:
        stored["looked_at"] = None
        await db.execute(delete(source_files).where(source_files.c.mapping_id == mapping_id))
    await db.execute(
        update(file_sources).where(file_sources.c.mapping_id == mapping_id).values(**stored, failures=0, look_at=None)
    )


async def remove(db: AsyncConnection, mapping_id: int) -> bool:
    """Delete the source of a mapping. Returns False if it had none."""
    return bool((await db.execute(delete(file_sources).where(file_sources.c.mapping_id == mapping_id))).rowcount)


async def move(db: AsyncConnection, former_id: int, mapping_id: int) -> None:
    """Give the source of a mapping to another one, which looks at it for the first time: the newest file is synced."""
    values = {"mapping_id": mapping_id, "existing": Existing.NEWEST.value, "looked_at": None, "look_at": None}
    await db.execute(update(file_sources).where(file_sources.c.mapping_id == former_id).values(**values))


async def request_look(db: AsyncConnection, mapping_id: int, by: str) -> bool:
    """Have the place of a source listed now, for an actor. Returns False if the mapping has no source."""
    values = {"look_at": await clock.now(db), "look_by": by}
    query = update(file_sources).where(file_sources.c.mapping_id == mapping_id).values(**values)
    return bool((await db.execute(query)).rowcount)


_IS_FILE = select(source_files.c.id).where(
    source_files.c.mapping_id == bindparam("mapping"),
    source_files.c.status.in_([FileStatus.SYNCING.value, FileStatus.READY.value]),
)
# Built once, because each run executes it.
_FILE_ENDED = (
    update(file_sources)
    .where(file_sources.c.mapping_id == bindparam("mapping"), _IS_FILE.exists())
    .values(look_at=bindparam("at"))
)


async def run_ended(db: AsyncConnection, mapping_id: int) -> None:
    """Have the next file of a source synced now, if a run of the mapping was one of its files."""
    await db.execute(_FILE_ENDED, {"mapping": mapping_id, "at": await clock.now(db)})


async def due(db: AsyncConnection, now: float) -> list[FileSource]:
    """Return the sources whose place has to be listed now, the longest overdue first."""
    query = select(file_sources).where(file_sources.c.look_at <= now).order_by(file_sources.c.look_at)
    return [_source(row) for row in (await db.execute(query)).mappings()]


async def claim(db: AsyncConnection, source: FileSource, look_at: float) -> bool:
    """Set when a due source is looked at again if this process dies. Returns False if another process claimed it."""
    unchanged = (file_sources.c.mapping_id == source.mapping_id, file_sources.c.look_at == source.look_at)
    return bool((await db.execute(update(file_sources).where(*unchanged).values(look_at=look_at))).rowcount)


class LookUpdate(TypedDict, total=False):
    """What a look changes in a source."""

    look_at: float | None
    looked_at: float
    failures: int
    error_code: str | None


async def end_look(db: AsyncConnection, mapping_id: int, claimed: float, **values: Unpack[LookUpdate]) -> None:
    """Record a look. `look_at` is kept if a look was requested meanwhile: it is no longer `claimed`."""
    columns: dict[str, Any] = dict(values)
    of_mapping = file_sources.c.mapping_id == mapping_id
    if "look_at" in columns:
        unchanged = file_sources.c.look_at == claimed
        await db.execute(update(file_sources).where(of_mapping, unchanged).values(look_at=columns.pop("look_at")))
    if columns:
        await db.execute(update(file_sources).where(of_mapping).values(**columns))


async def files(db: AsyncConnection, mapping_id: int) -> list[SourceFile]:
    """Return the files that were seen in a source, in their order."""
    query = select(source_files).where(source_files.c.mapping_id == mapping_id)
    rows = (await db.execute(query.order_by(source_files.c.at, source_files.c.address))).mappings()
    return [_file(row) for row in rows]


async def is_duplicate(db: AsyncConnection, file: SourceFile, digest: str) -> bool:
    """Return whether a file repeats a content that must not be synced once more.

    That is the content of the file before it, or additions and removals that were synced at any time: applied again,
    they would undo later ones. A whole audience may be as it was before, after it was different in between.
    """
    others = (source_files.c.mapping_id == file.mapping_id, source_files.c.id != file.id)
    waits = (source_files.c.status == FileStatus.READY.value, source_files.c.at <= file.at)
    next_to_it = select(source_files.c.digest).where(*others, *waits)
    started = select(source_files.c.digest).select_from(source_files.join(runs, runs.c.id == source_files.c.run_id))
    before = next_to_it.order_by(source_files.c.at.desc(), source_files.c.id.desc())
    last = started.where(*others).order_by(runs.c.created_at.desc())
    for query in (before, last):
        row = (await db.execute(query.limit(1))).first()
        if row is not None:
            if row.digest == digest:
                return True
            break
    kept = [FileStatus.SYNCING.value, FileStatus.SYNCED.value]
    changes = (
        select(source_files.c.id)
        .select_from(source_files.join(runs, runs.c.id == source_files.c.run_id))
        .where(*others, source_files.c.digest == digest, runs.c.mode != SyncMode.MIRROR.value)
        .where(source_files.c.status.in_(kept))
    )
    return (await db.execute(changes.limit(1))).first() is not None


class FileUpdate(TypedDict, total=False):
    """Columns of a file that may be set."""

    size: int
    tag: str
    at: float
    unchanged_since: float
    status: FileStatus
    digest: str | None
    run_id: str | None


async def add_file(
    db: AsyncConnection,
    mapping_id: int,
    address: str,
    *,
    size: int,
    tag: str,
    at: float,
    now: float,
    status: FileStatus,
) -> None:
    """Store a file that was seen for the first time."""
    values = {"mapping_id": mapping_id, "address": address, "size": size, "tag": tag, "at": at}
    await db.execute(insert(source_files).values(**values, seen_at=now, unchanged_since=now, status=status.value))


async def change_file(db: AsyncConnection, file_id: int, **values: Unpack[FileUpdate]) -> None:
    """Set columns of a file."""
    await db.execute(update(source_files).where(source_files.c.id == file_id).values(**plain(values)))


async def forget_file(db: AsyncConnection, file_id: int) -> None:
    """Delete the record of a file that disappeared before it was complete."""
    await db.execute(delete(source_files).where(source_files.c.id == file_id))


async def arrivals(db: AsyncConnection, mapping_id: int, limit: int) -> list[float]:
    """Return when the last new files of a source were seen first, newest first."""
    query = select(source_files.c.seen_at).where(
        source_files.c.mapping_id == mapping_id, source_files.c.status != FileStatus.SKIPPED.value
    )
    return list((await db.execute(query.order_by(source_files.c.seen_at.desc()).limit(limit))).scalars())


async def has_unfinished_run(db: AsyncConnection, mapping_id: int) -> bool:
    """Return whether a run of a mapping is at work, waits for approval, or is going to be retried."""
    active = [status.value for status in RunStatus if status.is_active or status is RunStatus.NEEDS_APPROVAL]
    is_orphan = and_(runs.c.status == RunStatus.INTERRUPTED.value, runs.c.error_code == PROCESS_DIED)
    query = select(runs.c.id).where(
        runs.c.mapping_id == mapping_id,
        ~runs.c.is_live,
        runs.c.undo_of.is_(None),
        or_(runs.c.status.in_(active), is_orphan, runs.c.retry_at.is_not(None)),
    )
    return (await db.execute(query.limit(1))).first() is not None


def _source(row: Any) -> FileSource:
    values = by_key(file_sources, row)
    return FileSource(**{**values, "columns": json.loads(values["columns"]), "existing": Existing(values["existing"])})


def _file(row: Any) -> SourceFile:
    values = by_key(source_files, row)
    return SourceFile(**{**values, "status": FileStatus(values["status"])})
