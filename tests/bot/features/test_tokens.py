"""API tokens in Slack: an admin creates one, a program uses it, and the admin revokes it."""

import logging
import re
from pathlib import Path

import aiohttp
import pytest

from bot.features.ids import TokenAction, TokenBlock, TokenCallback
from bot.slack import submission
from bot.web.api.operations import PREFIX
from core.store import audit_log
from core.store.audit_log import AuditAction
from tests.bot.features.test_home import buttons, wait_for_home
from tests.bot.slack.following import LONG
from tests.bot.slack.harness import ADA, workspace
from tests.bot.web.api.harness import served


async def test_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A token is shown once, in a modal only. It works until it is revoked. One that Slack does not show is in no
    message."""
    caplog.set_level(logging.INFO)
    async with workspace(tmp_path) as bot, served(bot.engine) as url, aiohttp.ClientSession() as session:
        await bot.connection()
        assert TokenAction.OPEN not in buttons(await wait_for_home(bot, bot.slack.marketer, "Shop"))
        admin = bot.slack.admin
        page = await wait_for_home(bot, admin, "Shop")
        await admin.click(page, TokenAction.OPEN)
        shown = await admin.open_view(TokenCallback.LIST)
        assert "No tokens yet." in bot.slack.render(shown)
        await admin.click(shown, TokenAction.ADD)
        form = await admin.open_view(TokenCallback.CREATE)
        await admin.fill(form, {TokenBlock.NAME: "airflow", TokenBlock.SCOPES: ["read", "run"]})
        assert (await admin.submit(form)).ok
        await bot.slack.wait_for(lambda: "isync_" in bot.slack.render(admin.view), LONG)
        (secret,) = re.findall(r"isync_[\w-]+", bot.slack.render(admin.view))

        async def status() -> int:
            authorization = {"Authorization": f"Bearer {secret}"}
            async with session.get(f"{url}{PREFIX}/connections", headers=authorization) as answer:
                assert answer.status != 200 or [each["name"] for each in (await answer.json())["items"]] == ["Shop"]
                return answer.status

        assert await status() == 200
        await admin.close()
        await admin.click(page, TokenAction.OPEN)
        shown = await admin.open_view(TokenCallback.LIST)
        listed = bot.slack.render(shown)
        assert f"*airflow*: read, run\nEnds with `{secret[-4:]}`, last used" in listed
        assert secret not in str(shown.as_json())

        await admin.click(shown, TokenAction.ADD)
        form = await admin.open_view(TokenCallback.CREATE)
        await admin.fill(form, {TokenBlock.NAME: "airflow", TokenBlock.SCOPES: ["admin"]})
        assert "already" in (await admin.submit(form)).errors[TokenBlock.NAME]
        monkeypatch.setattr(submission, "ACK_WITHIN_S", 0.0)
        bot.slack.faults.add("not_found", "views.update")
        await admin.fill(form, {TokenBlock.NAME: "dagster"})
        await admin.submit(form)
        await bot.slack.wait_for_message(admin.direct_message, "*dagster* was created, but Slack did not", timeout=LONG)
        bot.slack.faults.clear()
        await admin.close()

        await admin.click(page, TokenAction.OPEN)
        shown = await admin.open_view(TokenCallback.LIST)
        await admin.click(shown, TokenAction.REVOKE, "1")
        await bot.slack.wait_for(lambda: "Revoked *airflow*" in bot.slack.render(shown), LONG)
        assert await status() == 401
        await admin.click(shown, TokenAction.REVOKE, "2")
        await bot.slack.wait_for(lambda: "No tokens yet." in bot.slack.render(shown), LONG)
        async with bot.engine.database.read() as db:
            entries = await audit_log.of(db, ["token:1"])
        assert [(each.action, each.actor) for each in entries] == [
            (AuditAction.TOKEN_CREATED, ADA),
            (AuditAction.TOKEN_REVOKED, ADA),
        ]
        messages = [call.args for call in bot.slack.world.calls if call.method.startswith("chat.")]
        assert "isync_" not in str(messages)
        assert "isync_" not in caplog.text
