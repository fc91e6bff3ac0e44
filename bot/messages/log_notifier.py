"""Without Slack: what would have been told there goes to the log (as INFO), without addresses."""

import logging
import time

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.wakeup import WakeSignal
from core.engine import Engine
from core.models.run import Run, RunStatus
from core.store import alerts, live_mappings, runs
from core.store.alerts import Alert
from core.store.live_mappings import LiveStatus
from core.store.mappings import AudienceMapping, MappingStatus

# How often it looks, in seconds.
LOOK_EVERY_S = 1.0
# Newer runs than these are not looked at; more don't end within the time between two looks.
MOST_RUNS = 100
_DAY_S = 24 * 3600.0
_TOLD = (RunStatus.NEEDS_APPROVAL, RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.INTERRUPTED)

logger = logging.getLogger(__name__)


class LogNotifier:
    """Says in the log how runs end, what waits for a person, what fails, and what days brought: each once."""

    def __init__(self, engine: Engine, wake: WakeSignal) -> None:
        """Take the engine. No I/O."""
        self._engine = engine
        self._wake = wake
        self._runs: dict[str, tuple[RunStatus, int]] = {}
        self._alerts: dict[int, bool] = {}
        self._audiences: dict[int, tuple[MappingStatus, bool]] = {}
        self._day = ""

    async def run(self) -> None:
        """Look until the engine is stopping, and then once more. What was so at the start is not news."""
        await self._look(telling=False)
        while not self._engine.stopping.is_set():
            await self._wake.wait(LOOK_EVERY_S)
            await self._look(telling=True)

    async def _look(self, *, telling: bool) -> None:
        try:
            async with self._engine.database.read() as db:
                found = await runs.latest(db, MOST_RUNS)
                open_or_closed = await alerts.current(db)
                fed = await live_mappings.everyone(db)
                days = await self._days(db, fed)
        except (DBAPIError, OSError):
            logger.warning("the database could not be asked for what is new", exc_info=True)
            return
        news = [said for run in reversed(found) if (said := self._of_run(run))]
        news += [said for alert in open_or_closed if (said := self._of_alert(alert))]
        news += [said for mapping in fed if (said := self._of_audience(mapping))]
        for said in [*news, *days] if telling else ():
            logger.info("%s", said)
        self._runs = {run.id: self._runs[run.id] for run in found}

    async def _days(self, db: AsyncConnection, fed: list[AudienceMapping]) -> list[str]:
        """What the day brought that has just ended."""
        now = time.time()
        today, yesterday = live_mappings.day_of(now), live_mappings.day_of(now - _DAY_S)
        if self._day in ("", today):
            self._day = today
            return []
        self._day = today
        came = {mapping_id for _, mapping_id in await live_mappings.of_days(db, [yesterday])}
        return [
            day_sentence(mapping, yesterday, await live_mappings.status(db, mapping.id, now - _DAY_S))
            for mapping in fed
            if mapping.id in came
        ]

    def _of_audience(self, mapping: AudienceMapping) -> str | None:
        now = (mapping.status, mapping.disconnected_at is not None)
        if self._audiences.get(mapping.id) == now:
            return None
        self._audiences[mapping.id] = now
        if mapping.disconnected_at is not None and mapping.status is not MappingStatus.ACTIVE:
            return f"mParticle disconnected audience {mapping.label}: its members stay on list {mapping.list_id}"
        if mapping.status is MappingStatus.PROPOSED:
            return f"audience {mapping.label} from mParticle waits for approval, which somebody gives in Slack"
        return None

    def _of_run(self, run: Run) -> str | None:
        now = (run.status, run.attempt)
        if self._runs.get(run.id) == now:
            return None
        self._runs[run.id] = now
        return sentence_of(run) if run.status in _TOLD and not run.is_live else None

    def _of_alert(self, alert: Alert) -> str | None:
        closed = alert.closed_at is not None
        if self._alerts.get(alert.id) is closed:
            return None
        self._alerts[alert.id] = closed
        if closed:
            return f"alert {alert.id} is over: {alert.outcome}"
        return f"alert {alert.id}: {alert.message}"


def day_sentence(mapping: AudienceMapping, day: str, status: LiveStatus) -> str:
    """What a day brought for an audience, in a line, for the log."""
    numbers = f"{status.added:,} added, {status.updated:,} updated, {status.removed:,} removed"
    return (
        f"audience {mapping.label} to list {mapping.list_id}, {day}: {status.changes_today:,} changes, {numbers}, "
        f"{status.rejected:,} rejected, {status.backlog:,} on the way"
    )


def sentence_of(run: Run) -> str:
    """A run in a line, for the log."""
    if run.status is RunStatus.SUCCEEDED:
        numbers = ", ".join(f"{value:,} {name}" for name, value in run.counters.model_dump().items() if value)
        return f"run {run.id} to list {run.list_id} succeeded: {numbers or 'nobody in it'}"
    if run.status is RunStatus.NEEDS_APPROVAL:
        return f"run {run.id} to list {run.list_id} waits for approval, which somebody gives in Slack"
    status = run.status.value.replace("_", " ")
    return f"run {run.id} to list {run.list_id} {status}" + (f": {run.error}" if run.error else "")
