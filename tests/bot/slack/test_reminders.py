"""A waiting run is reminded of once a day, however many processes check it."""

from pathlib import Path

from bot.features.runs import reminders
from core.models.run import Run
from core.store import audit_log
from core.store.audit_log import AuditAction, AuditEntry
from tests.bot.slack.following import card
from tests.bot.slack.harness import TEAM, Workspace, workspace
from tests.core.harness import people

DAY_S = reminders.DAY_S


async def recorded_reminders(bot: Workspace, run: Run) -> list[AuditEntry]:
    """Return the recorded reminders of a run."""
    async with bot.engine.database.read() as db:
        return [each for each in await audit_log.of(db, [f"run:{run.id}"]) if each.action is AuditAction.RUN_REMINDED]


async def test_once_for_each_day(tmp_path: Path) -> None:
    """Two processes that find a reminder due at the same time record one, and the next one is due a day later."""
    async with workspace(tmp_path) as bot:
        await card(bot, tmp_path, people(range(3)))
        run = await bot.latest_run()
        waits_since = run.finished_at or run.created_at
        assert reminders.due(run, [], waits_since + 0.9 * DAY_S) is None
        assert reminders.due(run, [], waits_since + 2.1 * DAY_S) == 2

        for _ in range(2):
            await reminders.record(bot.engine, run, 2, TEAM)

        entries = await recorded_reminders(bot, run)
        assert [(each.actor, each.after) for each in entries] == [(reminders.ACTOR, {"day": 2})]
        assert reminders.due(run, entries, waits_since + 2.9 * DAY_S) is None
        assert reminders.due(run, entries, waits_since + 3.1 * DAY_S) == 3
        await reminders.record(bot.engine, run, 3, TEAM)
        assert len(await recorded_reminders(bot, run)) == 2
