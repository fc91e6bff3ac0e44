"""Mappings of audiences to lists."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypedDict, Unpack

from sqlalchemy import (
    ColumnElement,
    Row,
    Text,
    and_,
    bindparam,
    case,
    cast,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from core.identity import ProjectType
from core.models.batch import FORMER_IDENTITY_PREFIX
from core.models.data_fields import DataFields
from core.models.exclusions import Exclusion, dump, load
from core.store import clock, run_totals
from core.store.rows import by_key, plain
from core.store.slack_messages import DONE
from core.store.tables import connections, ledger, mappings, runs, slack_messages

# The comments of a mapping if the change of its data fields, or of other settings, was declined.
_FIELDS_DECLINED = "The change of its data fields was declined."
_CHANGE_DECLINED = "The change of its settings was declined."

# Columns that hold a JSON array of ids.
_PEOPLE = ("operators", "approvers")
# An approval of removals is from the future if it is further ahead of the database's clock than so many seconds.
_APPROVED_AHEAD_S = 60.0

#: The list id of a live mapping until a list is chosen.
NO_LIST = 0


def new_list_id(mapping_id: int) -> int:
    """Return the placeholder id of the list that is created for a mapping after approval: negative, one per mapping."""
    return -mapping_id


def is_new_list(list_id: int) -> bool:
    """Whether a list has not been created in Iterable yet."""
    return list_id < NO_LIST


class MappingStatus(StrEnum):
    """Whether a mapping may be synced."""

    PROPOSED = "proposed"
    """Its first run needs approval, whatever the plan."""
    ACTIVE = "active"
    PAUSED = "paused"
    """Nothing is synced until it is resumed."""
    DECLINED = "declined"
    ARCHIVED = "archived"
    """Nothing is synced, and status and the home page don't show it. Its ledger stays."""


#: Nothing that mParticle sends is kept for mappings with these statuses.
ENDED = (MappingStatus.DECLINED, MappingStatus.ARCHIVED)


class RemovalPolicy(StrEnum):
    """What to do with members who leave the audience."""

    REMOVE = "remove"
    ASK = "ask"
    """Remove them from the list, after an approval each time."""
    KEEP = "keep"
    """Leave them on the list."""


class LiveOffer(StrEnum):
    """The state of mParticle's offer to feed a mapping that files feed."""

    PROPOSED = "proposed"
    """mParticle's changes stay pending; files are synced as before."""
    DECLINED = "declined"
    """mParticle's changes are ignored."""
    ANNOUNCED = "announced"
    """The settings approve all live mappings: the mapping is live, and Slack announces it once."""


class FreezeHolds(StrEnum):
    """Which changes wait while a mapping is frozen."""

    BOTH = "both"
    """All changes, those of identities as well."""
    REMOVALS = "removals"
    ADDITIONS = "additions"


@dataclass(frozen=True, slots=True)
class AdditionLimits:
    """The number and the share of additions above which a run needs approval. None: the default."""

    number: int | None = None
    share: float | None = None


@dataclass(frozen=True, slots=True)
class AudienceMapping:
    """A mapping as stored. `mode` is the default mode of its runs: auto, mirror, delta or add.

    mParticle's messages feed a live one; its `list_id` is NO_LIST until a person has chosen a list.
    """

    id: int
    connection_id: int
    list_id: int
    audience_id: str | None
    audience_name: str | None
    mode: str
    created_at: float
    status: MappingStatus = MappingStatus.ACTIVE
    removal_policy: RemovalPolicy = RemovalPolicy.REMOVE
    channel: str | None = None
    proposed_by: str | None = None
    decided_by: str | None = None
    decided_at: float | None = None
    comment: str | None = None
    is_live: bool = False
    mparticle_account_id: str | None = None
    firehose_list_setting: str | None = None
    disconnected_at: float | None = None
    removals_approved_until: float | None = None
    """The time up to which received live removals are approved, unless it is in the future (core/store/inbox.py)."""
    bulk_removal_cursor: str | None = None
    max_added: int | None = None
    max_added_share: float | None = None
    max_removed_share: float | None = None
    name: str | None = None
    delete_at: float | None = None
    live_offer: LiveOffer | None = None
    project_type: ProjectType | None = None
    freeze_before_s: float | None = None
    freeze_holds: FreezeHolds = FreezeHolds.BOTH
    fields: DataFields = field(default_factory=dict, hash=False)
    """Its data fields: names in Iterable by names in the source."""
    fields_before: DataFields | None = field(default=None, hash=False)
    """Its data fields before a change that waits for approval. None: no change waits."""
    exclusions: tuple[Exclusion, ...] = ()
    """Who is kept off the list."""
    change_before: Mapping[str, str] | None = field(default=None, hash=False)
    """The settings that decide who is on the list, before a change that waits for approval (as stored).

    None: no change waits."""
    managed: str | None = None
    """What the configuration file set last (core/configuration/record.py). None: no file manages it."""

    operators: tuple[str, ...] = ()
    """Who may start its runs: ids of people and user groups in Slack. None: the operators of its connection."""
    approvers: tuple[str, ...] = ()
    """Who approves its runs. None: the approvers of its connection."""

    replaces: int | None = None
    """The id of the mapping whose place it takes once it is approved (core.connections.list_change)."""

    @property
    def settings_digest(self) -> str:
        """A digest of the settings that decide who is on the list. An approval is about them."""
        values = [self.mode, self.removal_policy.value, dump(self.exclusions)]
        return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]

    @property
    def waits_for_change(self) -> bool:
        """Whether a change of a mapping that was approved before waits for approval."""
        return self.fields_before is not None or self.change_before is not None

    @property
    def label(self) -> str:
        """The name to show to people."""
        return self.name or self.audience_name or self.audience_id or f"list {self.list_id}"

    def is_of(self, audience: str) -> bool:
        """Whether the text is the audience's id or name, ignoring case."""
        return audience.casefold() in [name.casefold() for name in (self.audience_id, self.audience_name) if name]


NO_LIMITS = AdditionLimits()


async def add(
    db: AsyncConnection,
    *,
    connection_id: int,
    list_id: int,
    audience_id: str | None,
    audience_name: str | None,
    mode: str = "auto",
    status: MappingStatus = MappingStatus.ACTIVE,
    removal_policy: RemovalPolicy = RemovalPolicy.REMOVE,
    channel: str | None = None,
    proposed_by: str | None = None,
    limits: AdditionLimits = NO_LIMITS,
    fields: DataFields | None = None,
) -> int:
    """Store a new mapping and return its id."""
    result = await db.execute(
        insert(mappings)
        .values(
            connection_id=connection_id,
            list_id=list_id,
            audience_id=audience_id,
            audience_name=audience_name,
            mode=mode,
            status=status.value,
            removal_policy=removal_policy.value,
            channel=channel,
            proposed_by=proposed_by,
            max_added=limits.number,
            max_added_share=limits.share,
            fields=json.dumps(dict(fields or {})),
            created_at=await clock.now(db),
        )
        .returning(mappings.c.id)
    )
    return int(result.scalar_one())


_BY_ID = select(mappings).where(mappings.c.id == bindparam("wanted"))


async def by_id(db: AsyncConnection, mapping_id: int) -> AudienceMapping | None:
    """Find a mapping by its id."""
    row = (await db.execute(_BY_ID, {"wanted": mapping_id})).mappings().first()
    return None if row is None else from_row(row)


class MappingUpdate(TypedDict, total=False):
    """Columns of a mapping that may be set."""

    list_id: int
    audience_id: str | None
    audience_name: str | None
    mode: str
    status: MappingStatus
    removal_policy: RemovalPolicy
    channel: str | None
    proposed_by: str | None
    decided_by: str | None
    decided_at: float | None
    comment: str | None
    is_live: bool
    mparticle_account_id: str | None
    firehose_list_setting: str | None
    disconnected_at: float | None
    removals_approved_until: float | None
    bulk_removal_cursor: str | None
    max_added: int | None
    max_added_share: float | None
    max_removed_share: float | None
    name: str | None
    delete_at: float | None
    live_offer: LiveOffer | None
    project_type: ProjectType | None
    freeze_before_s: float | None
    freeze_holds: FreezeHolds
    operators: tuple[str, ...]
    approvers: tuple[str, ...]


async def change(db: AsyncConnection, mapping_id: int, **values: Unpack[MappingUpdate]) -> None:
    """Set columns of a mapping."""
    stored = {name: json.dumps(value) if name in _PEOPLE else value for name, value in plain(values).items()}
    await db.execute(update(mappings).where(mappings.c.id == mapping_id).values(**stored))


async def copy_settings(db: AsyncConnection, former: AudienceMapping, mapping_id: int) -> None:
    """Give a new mapping the settings of the one whose place it takes, but for its audience and its list."""
    values = {
        "replaces": former.id,
        "name": former.name,
        "max_removed_share": former.max_removed_share,
        "exclusions": dump(former.exclusions),
        "freeze_before_s": former.freeze_before_s,
        "freeze_holds": former.freeze_holds.value,
        **{name: json.dumps(getattr(former, name)) for name in _PEOPLE},
    }
    await db.execute(update(mappings).where(mappings.c.id == mapping_id).values(**values))


async def end_replacement(db: AsyncConnection, mapping_id: int) -> None:
    """Note that a mapping has taken the place of another one, or will not."""
    await db.execute(update(mappings).where(mappings.c.id == mapping_id).values(replaces=None))


def is_approved_ahead() -> ColumnElement[bool]:
    """Return the condition, on a row of `mappings`, that removals are approved until a time in the future (or NULL).

    A statement may see an approval that is milliseconds newer than its own time.
    """
    return mappings.c.removals_approved_until > clock.AT_START + _APPROVED_AHEAD_S


async def drop_approvals_ahead(db: AsyncConnection) -> None:
    """Forget the approvals of removals that are from the future: the database's clock was set back since.

    Otherwise the removals that arrive until that time would be approved then. A person is asked again.
    """
    await db.execute(update(mappings).where(is_approved_ahead()).values(removals_approved_until=None))


async def any_live_fields(db: AsyncConnection) -> bool:
    """Return whether any live mapping has data fields."""
    query = select(mappings.c.id).where(mappings.c.is_live, mappings.c.fields != "{}").limit(1)
    return (await db.execute(query)).first() is not None


async def replace_fields(db: AsyncConnection, mapping_id: int, fields: DataFields) -> None:
    """Set the data fields of a mapping that is proposed again."""
    values = {"fields": json.dumps(dict(fields)), "fields_before": None, "change_before": None}
    await db.execute(update(mappings).where(mappings.c.id == mapping_id).values(**values))


async def set_fields(db: AsyncConnection, mapping: AudienceMapping, fields: DataFields, *, by: str) -> None:
    """Change the data fields of a mapping. A mapping that was approved has to be approved again."""
    values: dict[str, Any] = {"fields": json.dumps(dict(fields))}
    if mapping.status is not MappingStatus.PROPOSED:
        values["fields_before"] = json.dumps(dict(mapping.fields))
        values |= {"status": MappingStatus.PROPOSED.value, "proposed_by": by, "decided_by": None, "decided_at": None}
        values |= {"comment": None}
    elif mapping.fields_before is not None and dict(mapping.fields_before) == dict(fields):  # the change was taken back
        values["fields_before"] = None
        if mapping.change_before is None:
            values["status"] = MappingStatus.ACTIVE.value
    elif mapping.fields_before is None and mapping.change_before is not None:  # approved before, and changed again
        values["fields_before"] = json.dumps(dict(mapping.fields))
    await db.execute(update(mappings).where(mappings.c.id == mapping.id).values(**values))


def stored_decisive(mapping: AudienceMapping) -> dict[str, str]:
    """Return the settings that decide who is on the list, as stored."""
    return {
        "mode": mapping.mode,
        "removal_policy": mapping.removal_policy.value,
        "exclusions": dump(mapping.exclusions),
    }


async def set_decisive(
    db: AsyncConnection, mapping: AudienceMapping, values: Mapping[str, str], *, by: str, approved: bool
) -> None:
    """Change settings that decide who is on the list (as stored). A mapping that was approved has to be approved again.

    `approved`: an approver makes the change, so it applies at once, unless another change waits for approval.
    """
    current = stored_decisive(mapping)
    is_new = mapping.status is MappingStatus.PROPOSED and not mapping.waits_for_change
    changed: dict[str, Any] = dict(values)
    if not is_new and not (approved and mapping.status is MappingStatus.ACTIVE):
        before = {name: current[name] for name in values} | dict(mapping.change_before or {})
        now = current | dict(values)
        before = {name: value for name, value in before.items() if now[name] != value}
        changed["change_before"] = json.dumps(before) if before else None
        if before:
            changed |= {"status": MappingStatus.PROPOSED.value, "proposed_by": by, "decided_by": None}
            changed |= {"decided_at": None, "comment": None}
        elif mapping.fields_before is None:  # the change was taken back
            changed["status"] = MappingStatus.ACTIVE.value
    await db.execute(update(mappings).where(mappings.c.id == mapping.id).values(**changed))


async def decide(
    db: AsyncConnection, mapping_id: int, state: MappingStatus, *, by: str, comment: str | None
) -> MappingStatus | None:
    """Approve or decline a proposed mapping. Returns its new status, or None if it was decided already.

    If only its data fields or settings were changed, and the change is declined, the mapping is active as before, with
    the data fields and settings that it had.
    """
    query = select(mappings.c.fields_before, mappings.c.change_before).where(
        mappings.c.id == mapping_id, mappings.c.status == MappingStatus.PROPOSED.value
    )
    row = (await db.execute(query.with_for_update())).one_or_none()
    if row is None:
        return None
    values: dict[str, Any] = {"fields_before": None, "change_before": None}
    if state is MappingStatus.DECLINED and (row.fields_before is not None or row.change_before is not None):
        state = MappingStatus.ACTIVE
        values |= json.loads(row.change_before or "{}")
        if row.fields_before is not None:
            values["fields"] = row.fields_before
        words = _FIELDS_DECLINED if row.change_before is None else _CHANGE_DECLINED
        comment = f"{words} {comment or ''}".strip()
    result = await db.execute(
        update(mappings)
        .where(mappings.c.id == mapping_id, mappings.c.status == MappingStatus.PROPOSED.value)
        .values(status=state.value, decided_by=by, decided_at=await clock.now(db), comment=comment, **values)
    )
    return state if result.rowcount else None


async def assign_list(db: AsyncConnection, mapping: AudienceMapping, list_id: int) -> None:
    """Set the list of a mapping and its runs to the one that was created for it."""
    await db.execute(
        update(runs).where(runs.c.mapping_id == mapping.id, runs.c.list_id == mapping.list_id).values(list_id=list_id)
    )
    await db.execute(update(mappings).where(mappings.c.id == mapping.id).values(list_id=list_id))


async def decide_offer(db: AsyncConnection, mapping_id: int, *, accepts: bool) -> bool:
    """Accept or decline mParticle's offer to feed a mapping. Returns False if no offer is pending."""
    values = {"is_live": True, "live_offer": None} if accepts else {"live_offer": LiveOffer.DECLINED.value}
    result = await db.execute(
        update(mappings)
        .where(mappings.c.id == mapping_id, mappings.c.live_offer == LiveOffer.PROPOSED.value)
        .values(**values)
    )
    return bool(result.rowcount)


async def offers(db: AsyncConnection) -> list[AudienceMapping]:
    """Return the mappings with a pending offer, and those whose message in Slack does not show the decision yet."""
    shown = slack_messages.c.key == literal("offer:") + cast(mappings.c.id, Text)
    waits = mappings.c.live_offer == LiveOffer.PROPOSED.value
    announced = mappings.c.live_offer == LiveOffer.ANNOUNCED.value
    query = (
        select(mappings)
        .select_from(mappings.outerjoin(slack_messages, shown))
        .where(
            or_(
                waits,
                and_(announced, slack_messages.c.key.is_(None)),
                and_(slack_messages.c.key.is_not(None), slack_messages.c.kind != DONE),
            )
        )
        .order_by(mappings.c.id)
    )
    return [from_row(row) for row in (await db.execute(query)).mappings()]


def other_feeders(of_list: Sequence[AudienceMapping], mapping_id: int) -> list[AudienceMapping]:
    """Return the other active or paused mappings of a list."""
    states = (MappingStatus.ACTIVE, MappingStatus.PAUSED)
    return [mapping for mapping in of_list if mapping.id != mapping_id and mapping.status in states]


async def of_connection(db: AsyncConnection, connection_id: int, list_id: int | None = None) -> list[AudienceMapping]:
    """Return the mappings of a connection, or those to one of its lists, oldest first."""
    query = select(mappings).where(mappings.c.connection_id == connection_id).order_by(mappings.c.id)
    if list_id is not None:
        query = query.where(mappings.c.list_id == list_id)
    return [from_row(row) for row in (await db.execute(query)).mappings()]


async def of_lists(
    db: AsyncConnection, lists: Collection[tuple[int, int]]
) -> dict[tuple[int, int], list[AudienceMapping]]:
    """Return the mappings to these lists (connection id, list id) by list, oldest first."""
    of_each: dict[tuple[int, int], list[AudienceMapping]] = {each: [] for each in lists}
    if of_each:
        is_of_these = tuple_(mappings.c.connection_id, mappings.c.list_id).in_(list(of_each))
        query = select(mappings).where(is_of_these).order_by(mappings.c.id)
        for mapping in map(from_row, (await db.execute(query)).mappings()):
            of_each[mapping.connection_id, mapping.list_id].append(mapping)
    return of_each


async def with_own_people(db: AsyncConnection) -> dict[int, AudienceMapping]:
    """Return the mappings that have operators or approvers of their own, by id."""
    query = select(mappings).where(or_(mappings.c.operators != "[]", mappings.c.approvers != "[]"))
    return {mapping.id: mapping for mapping in map(from_row, (await db.execute(query)).mappings())}


async def by_ids(db: AsyncConnection, ids: Collection[int]) -> dict[int, AudienceMapping]:
    """Find mappings by their ids."""
    rows = (await db.execute(select(mappings).where(mappings.c.id.in_(list(ids))))).mappings()
    return {mapping.id: mapping for mapping in map(from_row, rows)}


async def proposals(db: AsyncConnection) -> list[AudienceMapping]:
    """Return the mappings proposed (perhaps again) in a channel that have no run yet, and those whose message in Slack
    does not show the decision yet. Proposals by mParticle go to the alert channel."""
    shown = slack_messages.c.key == literal("mapping:") + cast(mappings.c.id, Text)
    started = select(runs.c.id).where(runs.c.mapping_id == mappings.c.id, runs.c.status != "cancelled").exists()
    proposed = mappings.c.status == MappingStatus.PROPOSED.value
    query = (
        select(mappings)
        .select_from(
            mappings.outerjoin(slack_messages, shown).join(connections, connections.c.id == mappings.c.connection_id)
        )
        .where(
            or_(mappings.c.channel.is_not(None), and_(mappings.c.is_live, connections.c.alert_channel.is_not(None))),
            or_(
                and_(proposed, slack_messages.c.key.is_(None), or_(mappings.c.is_live, ~started)),
                and_(proposed, slack_messages.c.kind == DONE),
                and_(slack_messages.c.key.is_not(None), slack_messages.c.kind != DONE),
            ),
        )
        .order_by(mappings.c.id)
    )
    return [from_row(row) for row in (await db.execute(query)).mappings()]


async def name_audience(db: AsyncConnection, mapping_id: int, audience_id: str | None, name: str | None) -> None:
    """Set the audience id and name of a mapping as far as they are unknown."""
    await db.execute(
        update(mappings)
        .where(mappings.c.id == mapping_id)
        .values(
            audience_id=func.coalesce(mappings.c.audience_id, audience_id),
            audience_name=func.coalesce(mappings.c.audience_name, name),
        )
    )


async def set_audience(db: AsyncConnection, mapping_id: int, audience_id: str | None, name: str | None) -> None:
    """Change the audience of a mapping, after a person approved that."""
    await db.execute(
        update(mappings).where(mappings.c.id == mapping_id).values(audience_id=audience_id, audience_name=name)
    )


async def never_planned(db: AsyncConnection, mapping_ids: list[int]) -> set[int]:
    """Return which of these mappings have only runs that could not be planned (a bad file, a wrong name)."""
    rows = await db.execute(
        select(runs.c.mapping_id)
        .where(runs.c.mapping_id.in_(mapping_ids))
        .group_by(runs.c.mapping_id)
        .having(func.count(runs.c.plan) == 0)
    )
    return {mapping_id for (mapping_id,) in rows}


async def remove(db: AsyncConnection, mapping_id: int) -> None:
    """Delete a mapping with its runs and its ledger. The list in Iterable does not change."""
    await db.execute(update(mappings).where(mappings.c.replaces == mapping_id).values(replaces=None))
    await run_totals.delete_runs(db, runs.c.mapping_id == mapping_id)
    await db.execute(delete(mappings).where(mappings.c.id == mapping_id))


async def to_delete(db: AsyncConnection, before: float) -> list[AudienceMapping]:
    """Return the mappings that are to be deleted by this time (UTC seconds)."""
    query = select(mappings).where(mappings.c.delete_at <= before).order_by(mappings.c.id)
    return [from_row(row) for row in (await db.execute(query)).mappings()]


async def sizes(db: AsyncConnection, mapping_ids: list[int]) -> dict[int, int]:
    """Return how many people these mappings have on their list, by mapping.

    Several profiles of a person count once, as for Iterable, and the former identities that still have to leave not.
    """
    names = (ledger.c.email, ledger.c.user_id)
    by_user_id = mappings.c.project_type == ProjectType.USER_ID.value
    identity = case((by_user_id, func.coalesce(*reversed(names))), else_=func.coalesce(*names))
    rows = await db.execute(
        select(ledger.c.mapping_id, func.count(identity.distinct()))
        .join(mappings, mappings.c.id == ledger.c.mapping_id)
        .where(ledger.c.mapping_id.in_(mapping_ids), ~ledger.c.member_key.startswith(FORMER_IDENTITY_PREFIX))
        .group_by(ledger.c.mapping_id)
    )
    return dict(tuple(row) for row in rows)


def from_values(row: Row[Any]) -> AudienceMapping:
    """As `from_row`, of a row that begins with the columns of the table. Rows that are the same are parsed once."""
    return _parsed(tuple(row[: len(mappings.columns)]))


@lru_cache(maxsize=2_000)
def _parsed(values: tuple[Any, ...]) -> AudienceMapping:
    return from_row(dict(zip((column.name for column in mappings.columns), values, strict=True)))


def from_row(row: Any) -> AudienceMapping:
    """Build a mapping from its row."""
    values = by_key(mappings, row)
    status, policy = MappingStatus(values["status"]), RemovalPolicy(values["removal_policy"])
    offer = LiveOffer(values["live_offer"]) if values["live_offer"] else None
    project_type = ProjectType(values["project_type"]) if values["project_type"] else None
    holds = FreezeHolds(values["freeze_holds"])
    enums = {
        "status": status,
        "removal_policy": policy,
        "live_offer": offer,
        "project_type": project_type,
        "freeze_holds": holds,
    }
    before = values["fields_before"]
    fields = {"fields": json.loads(values["fields"]), "fields_before": None if before is None else json.loads(before)}
    change = values["change_before"]
    rules = {
        "exclusions": load(values["exclusions"]),
        "change_before": None if change is None else json.loads(change),
    }
    people = {name: tuple(json.loads(values[name])) for name in _PEOPLE}
    return AudienceMapping(**{**values, **enums, **fields, **rules, **people})
