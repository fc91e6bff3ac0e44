"""A look at the database: what is followed, and what is to be seen of it now."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.features.alerts.views import AlertView
from bot.features.live_audiences.views import LiveAudience
from bot.features.runs.run_view import RunView
from bot.messages import alert_messages, run_messages
from bot.messages import proposal_messages as mapping_messages
from bot.messages.limits import MessagingLimits
from bot.messages.live_audience_messages import Day
from bot.messages.live_audience_reader import LiveAudienceReader
from core.models.run import Run, RunStatus
from core.reporting.progress import ProgressTracker
from core.store import (
    alerts,
    audit_log,
    batches,
    connections,
    lists,
    live_mappings,
    mappings,
    rejections,
    runs,
    slack_messages,
)
from core.store.audit_log import AuditEntry
from core.store.connections import Connection
from core.store.mappings import AudienceMapping
from core.store.slack_messages import SlackMessage


@dataclass(slots=True)
class Snapshot:
    """All that is followed, in one consistent state."""

    runs: list[Run] = field(default_factory=list)
    stories: dict[str, RunView] = field(default_factory=dict)
    entries: Mapping[str, list[AuditEntry]] = field(default_factory=dict)
    troubles: list[AlertView] = field(default_factory=list)
    muted: set[tuple[int, int | None]] = field(default_factory=set)
    proposals: list[AudienceMapping] = field(default_factory=list)
    connections: dict[int, Connection] = field(default_factory=dict)
    mappings: dict[int, AudienceMapping] = field(default_factory=dict)
    lists: dict[tuple[int, int], str] = field(default_factory=dict)
    waiting: dict[int, int] = field(default_factory=dict)
    """How many changes wait for each of the proposals that mParticle feeds."""
    feeds: list[LiveAudience] = field(default_factory=list)
    days: list[Day] = field(default_factory=list)
    posts: dict[str, SlackMessage] = field(default_factory=dict)

    def target_of(self, run: Run) -> str | None:
        """Where a run is shown: its channel, else its mapping's, else the person who started it."""
        mapping = self.mappings.get(run.mapping_id)
        return run.channel or (mapping.channel if mapping is not None else None) or run.started_by


class SnapshotReader:
    """Looks, and remembers what does not change."""

    def __init__(self, pace: MessagingLimits) -> None:
        """Nothing has been seen yet."""
        self._feeds = LiveAudienceReader(pace.gap)
        self._clock = pace.clock
        self._reasons: dict[str, tuple[tuple[object, ...], dict[str, int]]] = {}
        self._courses: dict[str, ProgressTracker] = {}

    async def look(self, db: AsyncConnection, undone: Collection[str]) -> Snapshot:
        """Read what is followed: runs that have not ended, these ones, alerts, proposals."""
        sight = Snapshot(runs=await runs.to_follow(db, undone), proposals=await mappings.proposals(db))
        found_alerts = await alerts.to_follow(db)
        failed = await runs.by_ids(db, [each.run_id for each in found_alerts if each.run_id is not None])
        ids = {run.mapping_id for run in [*sight.runs, *failed.values()]}
        ids |= {each.mapping_id for each in found_alerts if each.mapping_id is not None}
        sight.mappings = await mappings.by_ids(db, ids) if ids else {}
        fed = await live_mappings.everyone(db)
        if sight.runs or found_alerts or sight.proposals or fed:
            sight.connections = {each.id: each for each in await connections.everyone(db)}
            sight.lists = await lists.names(db, list(sight.connections))
        for run in [*sight.runs, *failed.values()]:
            if run.connection_id in sight.connections:
                sight.stories[run.id] = await self._story(db, run, sight)
        sight.entries = await _entries(db, sight.runs)
        if found_alerts:
            sight.muted = await alerts.snoozed(db)
        for alert in found_alerts:
            mapping = sight.mappings.get(alert.mapping_id) if alert.mapping_id is not None else None
            story = sight.stories.get(alert.run_id) if alert.run_id is not None else None
            sight.troubles.append(AlertView(alert, sight.connections[alert.connection_id], mapping, story))
        await self._look_at_feeds(db, sight, fed)
        sight.posts |= await slack_messages.of(db, list(_keys(sight)))
        self._forget(sight)
        return sight

    async def _look_at_feeds(self, db: AsyncConnection, sight: Snapshot, fed: list[AudienceMapping]) -> None:
        sight.posts = await self._feeds.posts_of(db, fed, sight.connections)
        sight.feeds = await self._feeds.read(db, fed, sight.connections, sight.lists, sight.posts)
        sight.days = await self._feeds.days(db, fed, sight.connections, sight.lists, self._clock())
        for each in sight.proposals:
            if each.live:
                sight.waiting[each.id] = await self._feeds.waiting(db, each)

    async def _story(self, db: AsyncConnection, run: Run, sight: Snapshot) -> RunView:
        moment = None
        if run.status is RunStatus.RUNNING:
            done, total = await batches.progress(db, run.id)
            moment = self._courses.setdefault(run.id, ProgressTracker()).add(done, total)
        return RunView(
            run,
            sight.connections[run.connection_id],
            sight.lists.get((run.connection_id, run.list_id)),
            await self._by_reason(db, run),
            moment,
        )

    async def _by_reason(self, db: AsyncConnection, run: Run) -> dict[str, int]:
        """How many were rejected for each reason: counted once for each state in which that is shown."""
        if run.status.is_active or not run.counters.rejected:
            return {}
        state = (run.status, run.attempt, run.counters.rejected)
        known = self._reasons.get(run.id)
        if known is None or known[0] != state:
            known = (state, await rejections.by_reason(db, run.id))
            self._reasons[run.id] = known
        return known[1]

    def _forget(self, sight: Snapshot) -> None:
        for known in (self._reasons, self._courses):
            for run_id in [each for each in known if each not in sight.stories]:
                del known[run_id]


async def _entries(db: AsyncConnection, found: Iterable[Run]) -> dict[str, list[AuditEntry]]:
    """What people did to these runs, by the runs' ids."""
    by_run: dict[str, list[AuditEntry]] = defaultdict(list)
    if subjects := [f"run:{run.id}" for run in found]:
        for entry in await audit_log.of(db, subjects):
            by_run[entry.subject.removeprefix("run:")].append(entry)
    return by_run


def _keys(sight: Snapshot) -> Iterable[str]:
    for run in sight.runs:
        yield from run_messages.keys_of(run, sight.entries.get(run.id, ()))
    for trouble in sight.troubles:
        yield from alert_messages.keys_of(trouble.alert.id, trouble.connection)
    for mapping in sight.proposals:
        yield from mapping_messages.keys_of(mapping.id, sight.connections[mapping.connection_id])
    for day in sight.days:
        yield day.key
