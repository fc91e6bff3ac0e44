"""Reports in Slack: an admin sets them on the Home page, and the channel gets them with charts."""

from pathlib import Path

from bot.features.ids import ReportAction, ReportBlock, ReportCallback
from core.automation.reports import send_now
from core.models.reports import ReportKind
from core.store import reports
from tests.bot.features.test_home import wait_for_home
from tests.bot.slack.following import LONG, choose, ended, start
from tests.bot.slack.harness import MARKETING, OKSANA, TEAM, workspace
from tests.core.harness import people


async def test_reports(tmp_path: Path) -> None:
    """An admin chooses a day, a time zone and a channel, and sends a report at once: it comes once, with charts."""
    async with workspace(tmp_path) as bot:
        connection = await bot.connection()
        mapping = await bot.mapping(connection)
        await ended(bot, await start(bot, tmp_path, mapping, people(range(3))))
        admin = bot.slack.admin
        page = await wait_for_home(bot, admin, "SpringShoppers")
        await choose(admin, page, ReportAction.OPEN)
        form = await admin.open_view(ReportCallback.SETTINGS)
        await admin.fill(
            form, {ReportBlock.WEEKDAY: "1", ReportBlock.CHANNEL: MARKETING, ReportBlock.TIME_ZONE: "Berlin"}
        )
        assert "no time zone" in (await admin.submit(form)).errors[ReportBlock.TIME_ZONE]
        await admin.fill(form, {ReportBlock.TIME_ZONE: "Europe/Berlin"})
        assert (await admin.submit(form)).ok
        async with bot.engine.database.read() as db:
            stored = await reports.settings(db, connection.id)
        assert (stored.weekly, stored.weekday, stored.channel, stored.time_zone) == (
            True,
            1,
            MARKETING,
            "Europe/Berlin",
        )

        await choose(admin, page, ReportAction.OPEN)
        form = await admin.open_view(ReportCallback.SETTINGS)
        await admin.click(form, ReportAction.SEND)
        message = await bot.slack.wait_for_message("marketing", "Weekly report: Shop", timeout=LONG)
        shown = bot.slack.render(message)
        assert "*1 sync* succeeded. 3 added." in shown
        assert "[bar chart: People added and removed each day]" in shown
        assert "[line chart: List sizes, in people]" in shown
        assert "• *SpringShoppers*:" in shown
        assert "Nothing needs attention." in shown

        bot.slack.faults.add("invalid_blocks", "chat.postMessage", text="data_visualization")
        await send_now(bot.engine, connection.id, ReportKind.WEEKLY, by=OKSANA, team_id=TEAM)
        plain = await bot.slack.wait_for_message("marketing", "*List sizes, in people*", timeout=LONG)
        assert "SpringShoppers: ▁▁▁▁▁▁▁▁▁▁▁▁▁█ 0" in plain.text, "the charts as text, if Slack refuses them"
