"""Without Slack, notifications are logged at INFO; email addresses are never included."""

import logging

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.services import WakeSignal
from core.engine import Engine
from core.models.run import Run, RunStatus
from core.store import alerts, clock, live_mappings, runs
from core.store.alerts import Alert
from core.store.database_errors import DATABASE_FAULTS
from core.store.live_mappings import LiveStatus
from core.store.mappings import AudienceMapping, MappingStatus

# How often the database is polled, also while nothing happens in it, in seconds.
LOOK_EVERY_S, IDLE_LOOK_EVERY_S = 5.0, 60.0
# Only the newest runs are read: no more than these end between two polls.
MOST_RUNS = 100
_DAY_S = 24 * 3600.0
_REPORTED = (
    RunStatus.NEEDS_APPROVAL,
    RunStatus.SUCCEEDED,
    RunStatus.FAILED,
    RunStatus.CANCELLED,
    RunStatus.INTERRUPTED,
    RunStatus.EXPIRED,
)

logger = logging.getLogger(__name__)


class LogNotifier:
    """Logs ended runs, pending approvals, failures and daily digests, each once."""

    def __init__(self, engine: Engine, wake: WakeSignal) -> None:
        """Take the engine. No I/O."""
        self._engine = engine
        self._wake = wake
        self._runs: dict[str, tuple[RunStatus, int]] = {}
        self._alerts: dict[int, bool] = {}
        self._audiences: dict[int, tuple[MappingStatus, bool]] = {}
        self._days_seen: dict[int, str] = {}

    async def run(self) -> None:
        """Poll until the engine is stopping, and then once more. The state at the start is not logged."""
        seen = self._engine.database.activity.count
        await self._look(is_logging=False)
        while not self._engine.stopping.is_set():
            await self._wake.wait(self._engine, LOOK_EVERY_S, IDLE_LOOK_EVERY_S, seen)
            seen = self._engine.database.activity.count
            await self._look(is_logging=True)

    async def _look(self, *, is_logging: bool) -> None:
        try:
            async with self._engine.database.read() as db:
                latest = await runs.latest(db, MOST_RUNS)
                open_or_closed = await alerts.current(db)
                audiences = await live_mappings.everyone(db)
                days = await self._days(db, audiences)
        except DATABASE_FAULTS:
            logger.warning("could not read notifications from the database", exc_info=True)
            return
        news = [sentence for run in reversed(latest) if (sentence := self._of_run(run))]
        news += [sentence for alert in open_or_closed if (sentence := self._of_alert(alert))]
        news += [sentence for mapping in audiences if (sentence := self._of_audience(mapping))]
        for sentence in [*news, *days] if is_logging else ():
            logger.info("%s", sentence)
        self._runs = {run.id: self._runs[run.id] for run in latest}

    async def _days(self, db: AsyncConnection, audiences: list[AudienceMapping]) -> list[str]:
        """Return the digests of the days that have just ended, by the time zones of the mappings."""
        if not audiences:
            return []
        now, zones, sentences = await clock.now(db), await live_mappings.time_zones(db), []
        for mapping in audiences:
            zone = zones.get(mapping.id, live_mappings.UTC)
            today, yesterday = live_mappings.day_of(now, zone), live_mappings.day_of(now - _DAY_S, zone)
            before = self._days_seen.get(mapping.id, today)
            self._days_seen[mapping.id] = today
            if before == today or (yesterday, mapping.id) not in await live_mappings.of_days(db, [yesterday]):
                continue
            status = await live_mappings.status(db, mapping.id, now - _DAY_S)
            sentences.append(day_sentence(mapping, yesterday, status))
        return sentences

    def _of_audience(self, mapping: AudienceMapping) -> str | None:
        now = (mapping.status, mapping.disconnected_at is not None)
        if self._audiences.get(mapping.id) == now:
            return None
        self._audiences[mapping.id] = now
        if mapping.disconnected_at is not None and mapping.status is not MappingStatus.ACTIVE:
            return f"mParticle disconnected audience {mapping.label}: its members stay on list {mapping.list_id}"
        if mapping.status is MappingStatus.PROPOSED:
            return f"audience {mapping.label} from mParticle is awaiting approval in Slack"
        return None

    def _of_run(self, run: Run) -> str | None:
        now = (run.status, run.attempt)
        if self._runs.get(run.id) == now:
            return None
        self._runs[run.id] = now
        return sentence_of(run) if run.status in _REPORTED and not run.is_live else None

    def _of_alert(self, alert: Alert) -> str | None:
        closed = alert.closed_at is not None
        if self._alerts.get(alert.id) is closed:
            return None
        self._alerts[alert.id] = closed
        if closed:
            return f"alert {alert.id} is over: {alert.outcome}"
        return f"alert {alert.id}: {alert.message}"


def day_sentence(mapping: AudienceMapping, day: str, status: LiveStatus) -> str:
    """Return the digest of a live audience for the log, in a line."""
    numbers = f"{status.added:,} added, {status.updated:,} updated, {status.removed:,} removed"
    return (
        f"audience {mapping.label} to list {mapping.list_id}, {day}: {status.changes_today:,} changes, {numbers}, "
        f"{status.rejected:,} rejected, {status.backlog:,} on the way"
    )


def sentence_of(run: Run) -> str:
    """Return the status of a run for the log, in a line."""
    if run.status is RunStatus.SUCCEEDED:
        numbers = ", ".join(f"{value:,} {name}" for name, value in run.counters.model_dump().items() if value)
        return f"run {run.id} to list {run.list_id} succeeded: {numbers or 'the audience is empty'}"
    if run.status is RunStatus.NEEDS_APPROVAL:
        return f"run {run.id} to list {run.list_id} is awaiting approval in Slack"
    status = run.status.value.replace("_", " ")
    return f"run {run.id} to list {run.list_id} {status}" + (f": {run.error}" if run.error else "")
