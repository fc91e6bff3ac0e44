"""Reads what the messages of live audiences show. Expensive counts are cached for a few seconds."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.features.live_audiences.views import LiveAudience
from bot.messages import fallback
from bot.messages.desired import MessageKind
from bot.messages.provider import Snapshot
from core.store import audit_log, inbox, live_mappings, mappings, slack_messages
from core.store.connections import Connection
from core.store.live_mappings import UTC, LiveStatus
from core.store.mappings import AudienceMapping, MappingStatus, RemovalPolicy
from core.store.slack_messages import MessageStatus, SlackMessage

_DAY_S = 24 * 3600.0
# The people of a disconnected audience no longer change, and counting many takes long.
_MEMBERS_TTL_S = 60.0
# Digests of this many past days are posted late if the bot or Slack was down.
MISSED_DAYS = 7


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of a live mapping: removals that wait for approval, members on the list, changes that wait."""

    removals: int
    members: int
    waiting: int


class LiveCounts:
    """Counts what waits for live mappings, and caches the counts for `ttl` seconds."""

    def __init__(self, ttl: float) -> None:
        """Take how long a count is valid, in seconds. No I/O."""
        self._ttl = ttl
        self._cache: dict[int, tuple[float, tuple[object, ...], Counts]] = {}

    async def read(self, db: AsyncConnection, mapping: AudienceMapping) -> Counts:
        """Return the counts of a mapping. A count that the mapping's status does not need is 0."""
        status = (mapping.status, mapping.removals_approved_until, mapping.disconnected_at)
        counted_at, counted_status, counts = self._cache.get(mapping.id, (0.0, (), Counts(0, 0, 0)))
        ttl = self._ttl if mapping.disconnected_at is None else max(self._ttl, _MEMBERS_TTL_S)
        if counted_status == status and time.monotonic() - counted_at < ttl:
            return counts
        removals = members = waiting = 0
        if mapping.status is MappingStatus.ACTIVE and mapping.removal_policy is RemovalPolicy.ASK:
            removals = await inbox.removals_that_wait(db, mapping.id, mapping.removals_approved_until)
        if mapping.disconnected_at is not None:
            members = (await mappings.sizes(db, [mapping.id])).get(mapping.id, 0)
        if mapping.status is MappingStatus.PROPOSED:
            waiting = (await inbox.backlog(db, mapping.id)).size
        counts = Counts(removals, members, waiting)
        self._cache[mapping.id] = (time.monotonic(), status, counts)
        return counts

    def keep(self, mapping_ids: Iterable[int]) -> None:
        """Drop the counts of all other mappings."""
        self._cache = {each: self._cache[each] for each in mapping_ids if each in self._cache}


@dataclass(frozen=True, slots=True)
class DailyDigest:
    """A past day of a live audience whose digest is not posted yet."""

    audience: LiveAudience
    day: str
    time_zone: str
    status: LiveStatus


def channel_of(mapping: AudienceMapping, connection: Connection) -> str | None:
    """Return the channel for messages about a mapping: its own, else the alert channel."""
    return mapping.channel or connection.alert_channel


def digest_key(mapping_id: int, day: str) -> str:
    """Return the key of a digest's message."""
    return f"digest:{mapping_id}:{day}"


def removals_key(mapping_id: int) -> str:
    """Return the key of the message that asks an approver about removals."""
    return f"removals:{mapping_id}"


def disconnected_key(mapping_id: int) -> str:
    """Return the key of the message that asks an approver about the members of a disconnected audience."""
    return f"disconnected:{mapping_id}"


def needs_decision(mapping: AudienceMapping) -> bool:
    """Return whether an approver has to decide about the members of a disconnected audience."""
    return mapping.disconnected_at is not None and mapping.status is not MappingStatus.ACTIVE


def is_open(key: str, connection: Connection, stored: Mapping[str, SlackMessage]) -> bool:
    """Return whether a question, or its fallback, was sent and does not show its answer yet."""
    keys = (key, *fallback.keys_for(key, connection))
    return any(stored[each].kind != MessageKind.DONE for each in keys if each in stored)


async def _connection_of(snapshot: Snapshot, mapping: AudienceMapping) -> Connection:
    connection = await snapshot.connection_of(mapping.connection_id, mapping.id)
    assert connection is not None  # a mapping is deleted with its connection
    return connection


class LiveAudienceReader:
    """Reads live audiences that messages report on."""

    def __init__(self, ttl: float) -> None:
        """Take how long a count is valid, in seconds. No I/O."""
        self._counts = LiveCounts(ttl)

    async def read_questions(self, snapshot: Snapshot, live: Sequence[AudienceMapping]) -> list[LiveAudience]:
        """Read the live audiences that have a question for a person, or whose question is still shown."""
        connections = {each.id: await _connection_of(snapshot, each) for each in live}
        keys = {each.id: (removals_key(each.id), disconnected_key(each.id)) for each in live}
        stored = await snapshot.stored_messages(
            message_key
            for each in live
            for key in keys[each.id]
            for message_key in (key, *fallback.keys_for(key, connections[each.id]))
        )
        audiences = []
        for mapping in live:
            connection = connections[mapping.id]
            has_open = any(is_open(key, connection, stored) for key in keys[mapping.id])
            may_ask = mapping.removal_policy is RemovalPolicy.ASK and mapping.status is MappingStatus.ACTIVE
            if not (has_open or may_ask or needs_decision(mapping)):
                continue
            counts = await self._counts.read(snapshot.db, mapping)
            entries = await audit_log.of(snapshot.db, [f"mapping:{mapping.id}"]) if has_open else []
            list_name = (await snapshot.list_names()).get((mapping.connection_id, mapping.list_id))
            audiences.append(LiveAudience(mapping, connection, list_name, counts.removals, counts.members, entries))
        self._counts.keep(each.id for each in live)
        return audiences

    async def read_digests(self, snapshot: Snapshot, live: Sequence[AudienceMapping], now: float) -> list[DailyDigest]:
        """Read the digests of past days that are not posted yet."""
        zones = await live_mappings.time_zones(snapshot.db)
        # The past days of each time zone, with a time in each.
        past = {zone: _past_days(now, zone) for zone in {UTC, *zones.values()}}
        by_id = {each.id: each for each in live}
        known_days = {day for days_of_zone in past.values() for day in days_of_zone}
        days = [
            (day, by_id[mapping_id])
            for day, mapping_id in await live_mappings.of_days(snapshot.db, list(known_days))
            if mapping_id in by_id and day in past[zones.get(mapping_id, UTC)]
        ]
        keys = [digest_key(mapping.id, day) for day, mapping in days]
        # Not through the snapshot, because messages of digests that are posted are not needed.
        stored = await slack_messages.of(snapshot.db, keys) if keys else {}
        digests = []
        for key, (day, mapping) in zip(keys, days, strict=True):
            if key in stored and stored[key].status not in (MessageStatus.NEW, MessageStatus.SENDING):
                continue
            connection = await _connection_of(snapshot, mapping)
            if channel_of(mapping, connection) is None:
                continue
            list_name = (await snapshot.list_names()).get((mapping.connection_id, mapping.list_id))
            zone = zones.get(mapping.id, UTC)
            status = await live_mappings.status(snapshot.db, mapping.id, past[zone][day])
            digests.append(DailyDigest(LiveAudience(mapping, connection, list_name), day, zone, status))
        return digests


def _past_days(now: float, time_zone: str) -> dict[str, float]:
    """Return the last days in a time zone without the current one, with a time in each (UTC seconds)."""
    times = [now - ago * _DAY_S for ago in range(1, MISSED_DAYS + 1)]
    days = {live_mappings.day_of(at, time_zone): at for at in times}
    days.pop(live_mappings.day_of(now, time_zone), None)  # a day of 25 hours is not over after 24
    return days
