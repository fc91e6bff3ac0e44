"""The campaigns that are due: those that Iterable will send to a list, or that leave its people out."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import and_, bindparam, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from core.iterable import Campaign
from core.store import clock
from core.store.connections import Connection, from_row
from core.store.freezes import LONGEST_S
from core.store.mappings import NO_LIST, MappingStatus
from core.store.tables import connections, list_campaigns, lists, mappings

#: The state of a campaign that Iterable is sending.
RUNNING = "Running"


@dataclass(frozen=True, slots=True)
class ListCampaign:
    """A campaign that goes to a list or, if `is_suppression`, leaves its people out. `start_at` is in UTC seconds."""

    campaign_id: int
    name: str
    is_suppression: bool
    state: str
    start_at: float | None

    @property
    def is_running(self) -> bool:
        """Whether Iterable is sending it."""
        return self.state == RUNNING


async def of_list(db: AsyncConnection, connection_id: int, list_id: int) -> list[ListCampaign]:
    """Return the campaigns of a list that are due, the next one first."""
    columns = list_campaigns.c
    query = (
        select(columns.campaign_id, columns.name, columns.is_suppression, columns.state, columns.start_at)
        .where(columns.connection_id == connection_id, columns.list_id == list_id)
        .order_by(func.coalesce(columns.start_at, 0.0), columns.campaign_id)
    )
    return [ListCampaign(*row) for row in await db.execute(query)]


async def of_connections(
    db: AsyncConnection, connection_ids: Collection[int]
) -> dict[tuple[int, int], list[ListCampaign]]:
    """Return the campaigns that are due by connection id and list id, the next one first."""
    columns = list_campaigns.c
    query = (
        select(columns.connection_id, columns.list_id, columns.campaign_id, columns.name, columns.is_suppression)
        .add_columns(columns.state, columns.start_at)
        .where(columns.connection_id.in_(list(connection_ids)))
        .order_by(func.coalesce(columns.start_at, 0.0), columns.campaign_id)
    )
    of_lists: dict[tuple[int, int], list[ListCampaign]] = {}
    for connection_id, list_id, *values in await db.execute(query):
        of_lists.setdefault((connection_id, list_id), []).append(ListCampaign(*values))
    return of_lists


_STORED = select(list_campaigns.c.campaign_id).where(list_campaigns.c.connection_id == bindparam("connection")).limit(1)


async def has_stored(db: AsyncConnection, connection_id: int) -> bool:
    """Return whether campaigns of a connection are stored."""
    return (await db.execute(_STORED, {"connection": connection_id})).first() is not None


async def replace(db: AsyncConnection, connection_id: int, due: Iterable[Campaign]) -> None:
    """Store the campaigns of a connection that are due. Lists that are not synced to are left out.

    Iterable may not say when a running campaign started. Then it counts from when it was first read.
    """
    known = select(list_campaigns.c.campaign_id, list_campaigns.c.start_at)
    of_connection = list_campaigns.c.connection_id == connection_id
    first_read = {row.campaign_id: row.start_at for row in await db.execute(known.where(of_connection))}
    now = await clock.now(db)
    query = select(lists.c.list_id).where(lists.c.connection_id == connection_id)
    synced = {list_id for (list_id,) in await db.execute(query)}
    rows = [
        {
            "connection_id": connection_id,
            "list_id": list_id,
            "campaign_id": campaign.id,
            "name": campaign.name,
            "is_suppression": list_id not in campaign.list_ids,
            "state": campaign.state,
            "start_at": _start_of(campaign, first_read.get(campaign.id) or now),
        }
        for campaign in due
        for list_id in sorted((campaign.list_ids | campaign.suppression_list_ids) & synced)
    ]
    await db.execute(delete(list_campaigns).where(of_connection))
    if rows:
        await db.execute(insert(list_campaigns), rows)


def _start_of(campaign: Campaign, first_read: float) -> float | None:
    return first_read if campaign.start_at is None and campaign.state == RUNNING else campaign.start_at


async def read_again_for_freeze(db: AsyncConnection, connection_id: int, every_s: float) -> None:
    """If a stored campaign freezes a mapping, record that the campaigns are read again in so many seconds: it thaws
    when the campaign has been sent. Before a freeze begins they are read once more.
    """
    now = await clock.now(db)
    begins = list_campaigns.c.start_at - mappings.c.freeze_before_s
    of_mapping = and_(
        list_campaigns.c.connection_id == mappings.c.connection_id, list_campaigns.c.list_id == mappings.c.list_id
    )
    query = (
        select(func.min(begins))
        .join_from(mappings, list_campaigns, of_mapping)
        .where(mappings.c.connection_id == connection_id, mappings.c.freeze_before_s.is_not(None))
        .where(list_campaigns.c.start_at + LONGEST_S > now)
    )
    first: float | None = (await db.execute(query)).scalar_one()
    if first is not None:
        next_at = max(first, now + every_s)
        of_connection = (connections.c.id == connection_id, connections.c.campaigns_due_at > next_at)
        await db.execute(update(connections).where(*of_connection).values(campaigns_due_at=next_at))


async def due(db: AsyncConnection, now: float) -> list[Connection]:
    """Return the connections whose campaigns are to be read again: those with mappings that may be synced."""
    is_synced = (
        select(mappings.c.id)
        .where(
            mappings.c.connection_id == connections.c.id,
            mappings.c.list_id > NO_LIST,
            mappings.c.status == MappingStatus.ACTIVE.value,
        )
        .exists()
    )
    query = select(connections).where(
        connections.c.campaigns_due_at <= now, connections.c.key_rejected_at.is_(None), is_synced
    )
    return [from_row(row) for row in (await db.execute(query)).mappings()]


async def claim(db: AsyncConnection, connection: Connection, due_at: float) -> bool:
    """Record when the campaigns of a connection are read next. Returns False if another process did so meanwhile."""
    result = await db.execute(
        update(connections)
        .where(connections.c.id == connection.id, connections.c.campaigns_due_at == connection.campaigns_due_at)
        .values(campaigns_due_at=due_at)
    )
    return bool(result.rowcount)
