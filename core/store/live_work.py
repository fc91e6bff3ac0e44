"""What the worker of live mappings has to do: one query for all mappings."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Float,
    Select,
    Subquery,
    and_,
    bindparam,
    case,
    cast,
    false,
    func,
    or_,
    select,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from core.store import clock, freezes, mappings
from core.store.alert_kinds import AlertKind
from core.store.inbox import joins_as_another
from core.store.mappings import NO_LIST, AudienceMapping, FreezeHolds, MappingStatus, RemovalPolicy
from core.store.tables import alerts, connections, inbox, runs
from core.store.tables import mappings as mappings_table


@dataclass(frozen=True, slots=True)
class LiveWork:
    """A live mapping that has work.

    `has_run` is whether a micro batch of it has not been added to its day. `oldest` is since when the oldest change
    waits that may be delivered and that no run carries (None: there is none). Removals that wait for a merge count.
    `is_full` is whether enough changes wait for a run that does not gather more. `is_key_rejected` is whether Iterable
    refuses the connection's key. `held` is which changes a freeze holds back. `now` is the time by the database's
    clock.
    """

    mapping: AudienceMapping
    has_run: bool
    oldest: float | None
    is_full: bool
    is_key_rejected: bool
    now: float
    held: FreezeHolds | None = None


async def pending(db: AsyncConnection, gather_s: float, enough: int) -> list[LiveWork]:
    """Return the live mappings that have work, in no order.

    That is a bulk removal, a run that has not ended, or changes that wait and that no freeze holds back. Changes are
    counted, up to `enough`, only while they are gathered: for `gather_s` seconds.
    """
    values = {"gather_s": gather_s, "before_last": enough - 1}
    rows = (await db.execute(_PENDING, values)).all()
    return [
        LiveWork(
            mapping=mappings.from_values(row),
            has_run=bool(row.has_run),
            oldest=row.oldest,
            is_full=bool(row.is_full),
            is_key_rejected=not row.is_free,
            now=row.now,
            held=None if row.held is None else FreezeHolds(row.held),
        )
        for row in rows
    ]


@dataclass(frozen=True, slots=True)
class Upkeep:
    """A live mapping that maintenance looks at.

    `oldest` is since when the oldest change waits that may be delivered, whether or not a run carries it.
    `has_backlog_alert` is whether an alert about that is open. `has_old` is whether records of delivered changes have
    expired. `is_approved_ahead` is whether an approval of removals is from the future
    (`core.store.mappings.drop_approvals_ahead`). `now` is the time by the database's clock.
    """

    mapping: AudienceMapping
    oldest: float | None
    has_backlog_alert: bool
    has_old: bool
    is_approved_ahead: bool
    now: float


async def upkeep(db: AsyncConnection, kept_s: float) -> list[Upkeep]:
    """Return the live mappings that maintenance has to look at.

    Records of changes that are older than `kept_s` seconds have expired: mParticle's stamps are compared with the
    database's clock.
    """
    rows = (await db.execute(_UPKEEP, {"kept_s": kept_s})).mappings()
    return [
        Upkeep(
            mappings.from_row(row),
            row["oldest"],
            bool(row["has_backlog_alert"]),
            bool(row["has_old"]),
            bool(row["is_approved_ahead"]),
            row["now"],
        )
        for row in rows
    ]


def _upkeep() -> Select[Any]:
    """Build the query of `upkeep`, with the parameter `kept_s`."""
    of_mapping = mappings_table.c
    frozen = _frozen()
    is_open = (alerts.c.connection_id == of_mapping.connection_id, alerts.c.mapping_id == of_mapping.id)
    of_backlog = (alerts.c.code == AlertKind.BACKLOG.value, alerts.c.closed_at.is_(None))
    has_alert = select(alerts.c.id).where(*is_open, *of_backlog).exists()
    before_ms = cast((clock.AT_START - bindparam("kept_s", type_=Float)) * 1000, BigInteger)
    is_old = (inbox.c.pending_since.is_(None), inbox.c.event_ms < before_ms)
    has_old = select(inbox.c.member_key).where(inbox.c.mapping_id == of_mapping.id, *is_old).exists()
    audiences = (
        select(mappings_table)
        .add_columns(
            case((_is_deliverable(), _oldest(frozen))).label("oldest"),
            has_alert.label("has_backlog_alert"),
            has_old.label("has_old"),
            func.coalesce(mappings.is_approved_ahead(), false()).label("is_approved_ahead"),
            clock.AT_START.label("now"),
        )
        .join_from(mappings_table, frozen, frozen.c.id == of_mapping.id)
        .where(of_mapping.is_live)
        .subquery()
    )
    return select(audiences).where(
        or_(
            audiences.c.oldest.is_not(None),
            audiences.c.has_backlog_alert,
            audiences.c.has_old,
            audiences.c.is_approved_ahead,
            audiences.c.disconnected_at.is_not(None),
        )
    )


def _by_age(*which: ColumnElement[bool]) -> Select[Any]:
    """Select since when the changes of a mapping wait that may be delivered, oldest first."""
    of_mapping = mappings_table.c
    # as core.store.inbox.DeliveryFilter
    until = func.coalesce(of_mapping.removals_approved_until, 0.0)
    is_allowed = or_(
        of_mapping.removal_policy != RemovalPolicy.ASK.value,
        inbox.c.is_member,
        and_(until <= clock.AT_START, inbox.c.pending_since <= until),
    )
    waits = (inbox.c.mapping_id == of_mapping.id, inbox.c.pending_since.is_not(None), is_allowed, *which)
    return select(inbox.c.pending_since).where(*waits).order_by(inbox.c.pending_since).correlate(mappings_table)


def _pending() -> Select[Any]:
    """Build the query of `pending`, with the parameters `gather_s` and `before_last`."""
    of_mapping = mappings_table.c
    # in this form, SQLite takes the index of the waiting time (as in core.store.inbox)
    is_unclaimed = func.coalesce(inbox.c.run_id, "") == ""
    by_age = _by_age(is_unclaimed)
    frozen = _frozen()
    last_needed = by_age.limit(1).offset(bindparam("before_last")).scalar_subquery()
    has_run = select(runs.c.id).where(runs.c.is_live, runs.c.mapping_id == of_mapping.id).exists()
    is_emptied = and_(of_mapping.status == MappingStatus.ACTIVE.value, of_mapping.bulk_removal_cursor.is_not(None))
    is_free = connections.c.key_rejected_at.is_(None)
    audiences = (
        select(mappings_table)
        .add_columns(has_run.label("has_run"), is_emptied.label("is_emptied"), is_free.label("is_free"))
        .add_columns(case((and_(_is_deliverable(), is_free, ~has_run), _oldest(frozen, is_unclaimed))).label("oldest"))
        .add_columns(_held(frozen).label("held"))
        .add_columns(last_needed.label("last_needed"), clock.AT_START.label("now"))
        .join_from(mappings_table, connections, connections.c.id == of_mapping.connection_id)
        .join(frozen, frozen.c.id == of_mapping.id)
        .where(of_mapping.is_live)
        .subquery()
    )
    gathers_since = audiences.c.now - bindparam("gather_s", type_=Float)
    is_gathered = and_(audiences.c.oldest > gathers_since, audiences.c.oldest <= audiences.c.now)
    return select(
        audiences, case((is_gathered, audiences.c.last_needed.is_not(None)), else_=False).label("is_full")
    ).where(or_(audiences.c.has_run, audiences.c.is_emptied, audiences.c.oldest.is_not(None)))


def _frozen() -> Subquery:
    """Build the query of the freezes: whether removals and additions of each live mapping are held back."""
    removals, additions = (
        freezes.holds(kind, clock.AT_START) for kind in (FreezeHolds.REMOVALS, FreezeHolds.ADDITIONS)
    )
    of_mapping = mappings_table.c
    columns = (of_mapping.id, removals.label("holds_removals"), additions.label("holds_additions"))
    return select(*columns).where(of_mapping.is_live).subquery("frozen")


def _held(frozen: Subquery) -> ColumnElement[str]:
    """Which changes of a mapping a freeze holds back (FreezeHolds; NULL: none)."""
    return case(
        (and_(frozen.c.holds_removals, frozen.c.holds_additions), FreezeHolds.BOTH.value),
        (frozen.c.holds_removals, FreezeHolds.REMOVALS.value),
        (frozen.c.holds_additions, FreezeHolds.ADDITIONS.value),
    )


def _oldest(frozen: Subquery, *which: ColumnElement[bool]) -> ColumnElement[float]:
    """Since when the oldest change of a mapping waits that no freeze holds back."""
    leaves = and_(~inbox.c.is_member, ~joins_as_another(mappings_table.c.id))
    of_all, of_additions, of_removals = (
        _by_age(*which, *more).limit(1).scalar_subquery() for more in ((), (inbox.c.is_member,), (leaves,))
    )
    return case(
        (~or_(frozen.c.holds_removals, frozen.c.holds_additions), of_all),
        (~frozen.c.holds_additions, of_additions),
        (~frozen.c.holds_removals, of_removals),
    )


def _is_deliverable() -> ColumnElement[bool]:
    """As `core.live.micro_batch.can_deliver`, of mappings that are live."""
    return and_(
        mappings_table.c.status == MappingStatus.ACTIVE.value,
        mappings_table.c.list_id != NO_LIST,
        mappings_table.c.bulk_removal_cursor.is_(None),
    )


_PENDING = _pending()
_UPKEEP = _upkeep()
