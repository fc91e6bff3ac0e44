"""Alert routes in Slack: an admin adds, tests and removes them; those of the operator are shown."""

from pathlib import Path

import pytest

from bot.features.ids import RouteAction, RouteBlock, RouteCallback
from core.notifications import route_address
from core.notifications import routes as route_commands
from core.notifications.route_address import RouteOptions
from core.store import audit_log, routes
from core.store.audit_log import COMMAND_LINE, AuditAction
from core.store.routes import RouteKind
from sandbox.receivers import pagerduty
from tests.bot.features.test_home import wait_for_home
from tests.bot.slack.following import LONG, choose
from tests.bot.slack.harness import ADA, MARKETING, workspace


async def test_routes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A channel and PagerDuty are added, tested and removed; the key is not shown; the operator's route stays."""
    async with workspace(tmp_path) as bot, pagerduty.receiving() as service:
        monkeypatch.setitem(route_address.PAGERDUTY_REGIONS, "eu", service.url)
        await bot.connection()
        hook = RouteOptions("hook", RouteKind.WEBHOOK, "https://hooks.example.com/secret-path")
        await route_commands.add(bot.engine, hook, by=COMMAND_LINE, team_id=None)
        admin = bot.slack.admin
        await choose(admin, await wait_for_home(bot, admin, "Shop"), RouteAction.OPEN)
        shown = await admin.open_view(RouteCallback.LIST)
        assert "*hook*: Webhook, https://hooks.example.com\nGets alerts" in bot.slack.render(shown)
        assert "secret-path" not in str(shown.as_json())
        assert "[Remove]" not in bot.slack.render(shown), "the operator removes it"

        await admin.click(shown, RouteAction.ADD)
        form = await admin.open_view(RouteCallback.ADD)
        await admin.fill(form, {RouteBlock.NAME: "oncall", RouteBlock.KEY: "short", RouteBlock.REGION: "eu"})
        assert "32 letters and digits" in (await admin.submit(form)).errors[RouteBlock.KEY]
        await admin.fill(form, {RouteBlock.CHANNEL: MARKETING})
        assert "one of the three" in (await admin.submit(form)).errors[RouteBlock.CHANNEL]
        await admin.fill(form, {RouteBlock.CHANNEL: None, RouteBlock.KEY: service.routing_key})
        assert (await admin.submit(form)).ok
        shown = await admin.open_view(RouteCallback.LIST)
        assert service.routing_key not in str(shown.as_json())
        async with bot.engine.database.read() as db:
            (_, oncall) = await routes.everyone(db)
            entries = await audit_log.of(db, [f"route:{oncall.id}"])
        assert (oncall.kind, oncall.connection_id, oncall.created_by) == (RouteKind.PAGERDUTY, 1, ADA)
        assert [entry.action for entry in entries] == [AuditAction.ROUTE_ADDED]

        await admin.click(shown, RouteAction.TEST, str(oncall.id))
        await bot.slack.wait_for(lambda: "*oncall* works." in bot.slack.render(shown), LONG)
        assert len(service.incidents) == 1
        await admin.click(shown, RouteAction.REMOVE, str(oncall.id))
        await bot.slack.wait_for(lambda: "oncall" not in bot.slack.render(shown), LONG)

        await admin.click(shown, RouteAction.ADD)
        form = await admin.open_view(RouteCallback.ADD)
        await admin.fill(form, {RouteBlock.NAME: "team", RouteBlock.CHANNEL: MARKETING})
        assert (await admin.submit(form)).ok
        shown = await admin.open_view(RouteCallback.LIST)
        async with bot.engine.database.read() as db:
            (*_, team) = await routes.everyone(db)
        await admin.click(shown, RouteAction.TEST, str(team.id))
        await bot.slack.wait_for_message("marketing", "Test of Iterable Sync", timeout=LONG)
