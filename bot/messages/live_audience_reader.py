"""Reading how the audiences stand that mParticle feeds. What is counted is counted now and then: it may be much."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.features.live_audiences.views import LiveAudience
from bot.messages import fallback, live_audience_messages
from bot.messages.live_audience_messages import Day
from core.store import audit_log, inbox, live_mappings, mappings, slack_messages
from core.store.connections import Connection
from core.store.mappings import AudienceMapping, MappingStatus, RemovalPolicy
from core.store.slack_messages import MessageStatus as PostState
from core.store.slack_messages import SlackMessage

_DAY_S = 24 * 3600.0
# So many days back, digests are posted that nobody posted then, because the bot or Slack was not there.
MISSED_DAYS = 7


@dataclass(frozen=True, slots=True)
class _Counted:
    """How many removals wait, how many members there are and how many changes wait, as of a moment."""

    of: tuple[object, ...]
    at: float
    removals: int
    members: int
    waiting: int


class LiveAudienceReader:
    """Reads, and remembers for some seconds what it has counted."""

    def __init__(self, fresh: float) -> None:
        """Take how long a count is good for, in seconds."""
        self._fresh = fresh
        self._counted: dict[int, _Counted] = {}

    async def posts_of(
        self, db: AsyncConnection, found: list[AudienceMapping], connections: Mapping[int, Connection]
    ) -> dict[str, SlackMessage]:
        """The messages that ask something about these audiences."""
        asking = (live_audience_messages.removals_key, live_audience_messages.disconnected_key)
        keys = [(key(each.id), connections[each.connection_id]) for each in found for key in asking]
        wanted = [each for key, connection in keys for each in (key, *fallback.keys_for(key, connection))]
        return await slack_messages.of(db, wanted) if wanted else {}

    async def read(
        self,
        db: AsyncConnection,
        found: list[AudienceMapping],
        connections: Mapping[int, Connection],
        names: Mapping[tuple[int, int], str],
        shown: Mapping[str, SlackMessage],
    ) -> list[LiveAudience]:
        """Those of which something is asked, or is shown to be asked."""
        told = []
        for mapping in found:
            keys = (
                live_audience_messages.removals_key(mapping.id),
                live_audience_messages.disconnected_key(mapping.id),
            )
            connection = connections[mapping.connection_id]
            open_ = [key for key in keys if live_audience_messages.is_asking(key, connection, shown)]
            asks = mapping.removals is RemovalPolicy.ASK and mapping.state is MappingStatus.ACTIVE
            if not (open_ or asks or live_audience_messages.is_asked(mapping)):
                continue
            counted = await self._count(db, mapping)
            entries = await audit_log.of(db, [f"mapping:{mapping.id}"]) if open_ else []
            name = names.get((mapping.connection_id, mapping.list_id))
            removals, members = counted.removals, counted.members
            told.append(LiveAudience(mapping, connection, name, removals, members, entries))
        self._counted = {each.id: self._counted[each.id] for each in found if each.id in self._counted}
        return told

    async def waiting(self, db: AsyncConnection, mapping: AudienceMapping) -> int:
        """How many changes wait for a mapping that nobody has approved."""
        return (await self._count(db, mapping)).waiting

    async def days(
        self,
        db: AsyncConnection,
        found: list[AudienceMapping],
        connections: Mapping[int, Connection],
        names: Mapping[tuple[int, int], str],
        now: float,
    ) -> list[Day]:
        """The digests that were not posted: of yesterday, and of the days before where nobody did it then."""
        ends = {live_mappings.day_of(now - ago * _DAY_S): now - ago * _DAY_S for ago in range(1, MISSED_DAYS + 1)}
        by_id = {each.id: each for each in found}
        of_days = [(day, each) for day, each in await live_mappings.of_days(db, list(ends)) if each in by_id]
        keys = {live_audience_messages.digest_key(each, day): (day, each) for day, each in of_days}
        known = await slack_messages.of(db, list(keys)) if keys else {}
        due = []
        for key, (day, mapping_id) in keys.items():
            if key in known and known[key].state not in (PostState.NEW, PostState.SENDING):
                continue
            mapping = by_id[mapping_id]
            connection = connections[mapping.connection_id]
            if live_audience_messages.channel_of(mapping, connection) is None:
                continue
            fed = LiveAudience(mapping, connection, names.get((mapping.connection_id, mapping.list_id)))
            due.append(Day(fed, day, await live_mappings.status(db, mapping_id, ends[day])))
        return due

    async def _count(self, db: AsyncConnection, mapping: AudienceMapping) -> _Counted:
        of = (mapping.state, mapping.approved_until, mapping.disconnected_at)
        known = self._counted.get(mapping.id)
        if known is not None and known.of == of and time.monotonic() - known.at < self._fresh:
            return known
        removals = members = waiting = 0
        if mapping.state is MappingStatus.ACTIVE and mapping.removals is RemovalPolicy.ASK:
            removals = await inbox.removals_that_wait(db, mapping.id, mapping.approved_until)
        if mapping.disconnected_at is not None:
            members = (await mappings.sizes(db, [mapping.id])).get(mapping.id, 0)
        if mapping.state is MappingStatus.PROPOSED:
            waiting = (await inbox.backlog(db, mapping.id)).size
        counted = _Counted(of, time.monotonic(), removals, members, waiting)
        self._counted[mapping.id] = counted
        return counted
