"""The last runs of mappings, as alert rules and reports compare them."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, and_, bindparam, func, or_, select, union_all
from sqlalchemy.ext.asyncio import AsyncConnection

from core.models.run import RunStatus, SyncMode
from core.store.tables import mappings, rejections, runs

# Mappings whose runs one statement finds: SQLite takes 500 parts of a UNION (sqlite.org/limits.html).
MAPPINGS_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run that has succeeded. Times are UTC seconds, `duration_s` is without its waits for approval.

    `is_purged` says that its rejections were deleted.
    """

    id: str
    finished_at: float
    duration_s: float
    size: int
    added: int
    removed: int
    rejected: int
    is_purged: bool

    @property
    def rejected_share(self) -> float:
        """The share of its members that were rejected."""
        return self.rejected / self.size if self.size else 0.0


_COLUMNS = (
    runs.c.id,
    runs.c.finished_at,
    (runs.c.finished_at - func.coalesce(runs.c.started_at, runs.c.finished_at) - runs.c.approval_wait_s).label("took"),
    (runs.c.members + runs.c.left).label("size"),
    runs.c.added,
    runs.c.removed,
    runs.c.rejected,
    or_(
        runs.c.is_purged,
        and_(runs.c.rejected > 0, ~select(rejections.c.id).where(rejections.c.run_id == runs.c.id).exists()),
    ).label("is_purged"),
)


# They are built once, because each run executes them.
_LAST = (
    select(*_COLUMNS)
    .where(
        runs.c.mapping_id == bindparam("mapping"),
        runs.c.status == RunStatus.SUCCEEDED.value,
        ~runs.c.is_live,
        runs.c.undo_of.is_(None),
        runs.c.finished_at <= bindparam("before"),
        runs.c.id != bindparam("but"),
    )
    .order_by(runs.c.created_at.desc())
    .limit(bindparam("limit"))
)
_LAST_IN_MODE = _LAST.where(runs.c.mode == bindparam("mode"), runs.c.source_at.is_not(None))


_LAST_OF_ANY = (
    select(runs.c.mapping_id, runs.c.finished_at)
    .where(
        runs.c.status == RunStatus.SUCCEEDED.value,
        ~runs.c.is_live,
        runs.c.undo_of.is_(None),
        runs.c.finished_at <= bindparam("before"),
    )
    .order_by(runs.c.created_at.desc())
)


async def last(
    db: AsyncConnection, mapping_id: int, mode: SyncMode | None, limit: int, *, before: float, but: str = ""
) -> list[PastRun]:
    """Return the last runs of a mapping that succeeded before a time, newest first.

    `mode`: only those in this mode. `but` is the id of a run that is left out. Undos and repairs are left out.
    """
    values: dict[str, Any] = {"mapping": mapping_id, "before": before, "but": but, "limit": limit}
    query = _LAST
    if mode is not None:
        query, values["mode"] = _LAST_IN_MODE, mode.value
    rows = await db.execute(query, values)
    return [
        PastRun(row.id, row.finished_at, row.took, row.size, row.added, row.removed, row.rejected, row.is_purged)
        for row in rows
    ]


async def last_ends(
    db: AsyncConnection, mapping_ids: Sequence[int], limit: int, *, before: float
) -> dict[int, list[float]]:
    """Return when the last runs of these mappings ended (UTC seconds), newest first, by mapping: those of `last`."""
    ends: dict[int, list[float]] = defaultdict(list)
    for start in range(0, len(mapping_ids), MAPPINGS_AT_ONCE):
        of_each = [
            select(_LAST_OF_ANY.where(runs.c.mapping_id == mapping_id).limit(limit).subquery())
            for mapping_id in mapping_ids[start : start + MAPPINGS_AT_ONCE]
        ]
        for row in await db.execute(union_all(*of_each), {"before": before}):
            ends[row.mapping_id].append(row.finished_at)
    return {mapping_id: sorted(of_mapping, reverse=True) for mapping_id, of_mapping in ends.items()}


async def reasons(db: AsyncConnection, run_ids: Collection[str]) -> set[str]:
    """Return the reasons for which members of these runs were rejected."""
    if not run_ids:
        return set()
    query = select(rejections.c.reason).where(rejections.c.run_id.in_(run_ids)).distinct()
    return set((await db.execute(query)).scalars())


@dataclass(frozen=True, slots=True)
class ListSizes:
    """The last syncs of a mapping that succeeded: when the newest ended (UTC seconds), and for each, oldest first, when
    it ended and the size of the list afterwards (without those after which Iterable was not asked for it)."""

    last_success_at: float
    points: tuple[tuple[float, int], ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """The sizes alone."""
        return tuple(size for _, size in self.points)


async def list_sizes(db: AsyncConnection, mapping_ids: Collection[int], limit: int) -> dict[int, ListSizes]:
    """Return the sizes of the lists after the last syncs of these mappings, by mapping; without those that have none.

    Syncs to a list that the mapping had before are left out.
    """
    if not mapping_ids:
        return {}
    of_each = [
        select(
            select(runs.c.mapping_id, runs.c.finished_at, runs.c.list_size, runs.c.created_at)
            .join(mappings, and_(mappings.c.id == runs.c.mapping_id, mappings.c.list_id == runs.c.list_id))
            .where(
                runs.c.mapping_id == mapping_id, runs.c.status == RunStatus.SUCCEEDED.value, runs.c.finished_at > 0.0
            )
            .order_by(runs.c.created_at.desc())
            .limit(limit)
            .subquery()
        )
        for mapping_id in mapping_ids
    ]
    by_mapping: dict[int, list[Row[Any]]] = defaultdict(list)
    for row in await db.execute(union_all(*of_each)):
        by_mapping[row.mapping_id].append(row)
    return {
        mapping_id: ListSizes(
            max(row.finished_at for row in rows),
            tuple(
                (row.finished_at, row.list_size)
                for row in sorted(rows, key=lambda row: row.created_at)
                if row.list_size is not None
            ),
        )
        for mapping_id, rows in by_mapping.items()
    }
