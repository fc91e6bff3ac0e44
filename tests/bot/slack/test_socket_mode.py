"""Socket Mode: a closed connection leaves no task, and one that delivers nothing is replaced."""

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bot.metrics import SLACK_CONNECTED, SLACK_RECONNECTS
from bot.slack import connection, socket_health
from bot.slack.connection import connected
from sandbox.slack import running
from tests.bot.slack.harness import TEAM, Workspace, workspace
from tests.core.harness import until
from tests.sandbox.slack.bolt import app_of


async def test_closed_connection_leaves_no_task() -> None:
    """The client's tasks have ended when the block ends, even if they end slowly after their cancellation."""
    at_work = asyncio.Event()

    async def slow(_: Any) -> None:
        at_work.set()
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(100):
                await asyncio.sleep(0)

    async with running(ack_timeout=0.1) as slack:
        async with connected(app_of(slack), slack.app_token) as client:
            client.on_message_listeners.append(slow)
            command = asyncio.create_task(slack.marketer.command("/iterable-sync"))
            await at_work.wait()
            tasks = [client.message_processor, client.current_session_monitor, client.message_receiver]
            assert [task is not None and task.done() for task in tasks] == [False, False, False]
        assert [task is not None and task.done() for task in tasks] == [True, True, True]
        assert not (await command).ok


async def _get(bot: Workspace, path: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(bot.services.address + path) as answer:
        assert answer.status == 200
        return await answer.text()


def _replaced(reason: str) -> float:
    return float(SLACK_RECONNECTS.labels(reason=reason)._value.get())


async def _is_replaced(reason: str, before: float) -> bool:
    return _replaced(reason) > before


async def _is_connected() -> bool:
    return bool(SLACK_CONNECTED.labels(mode="socket")._value.get())


async def test_deaf_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that answers pings and delivers nothing is replaced after a silence, and commands work."""
    monkeypatch.setattr(connection, "LOOK_EVERY_S", 0.02)
    before = _replaced("silent")
    async with workspace(tmp_path) as bot:
        await bot.slack.wait_connected()
        sockets = bot.slack.delivery.socket_mode
        bot.slack.deafen_sockets()
        (deaf,) = sockets.connections
        monkeypatch.setattr(socket_health, "SILENT_S", 0.1)
        await bot.slack.wait_for(lambda: sockets.connections and deaf not in sockets.connections)
        monkeypatch.setattr(socket_health, "SILENT_S", 600.0)
        await bot.slack.wait_connected()

        assert (await bot.slack.marketer.command("/iterable-sync help")).ok
        assert _replaced("silent") > before
        shown = await _get(bot, "/metrics")
        assert 'iterable_sync_slack_envelope_age_seconds{mode="socket"} 0.' in shown
        assert "_created" not in shown


async def test_connection_without_a_greeting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that Slack does not greet is replaced, and commands work."""
    monkeypatch.setattr(connection, "LOOK_EVERY_S", 0.02)
    before = _replaced("not_greeted")
    async with workspace(tmp_path) as bot:
        await bot.slack.wait_connected()
        bot.slack.delivery.socket_mode.greetings_to_omit = 1
        monkeypatch.setattr(socket_health, "GREETING_S", 0.1)
        await bot.slack.refresh_sockets()
        await until(partial(_is_replaced, "not_greeted", before))
        monkeypatch.setattr(socket_health, "GREETING_S", 15.0)
        await until(_is_connected)
        await bot.slack.wait_connected()
        assert (await bot.slack.marketer.command("/iterable-sync help")).ok


async def test_revoked_token_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token is checked regularly; if Slack refuses it, `/readyz` says so, and still answers 200."""
    monkeypatch.setattr(connection, "LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(socket_health, "CHECK_TOKEN_EVERY_S", 0.0)
    async with workspace(tmp_path) as bot:
        await bot.slack.wait_connected()
        await bot.slack.wait_for(lambda: len(bot.slack.calls("auth.test")) > 3)
        assert json.loads(await _get(bot, "/readyz"))["slack"] == "ok"
        bot.slack.world.installs[TEAM].gone = "token_revoked"
        calls = len(bot.slack.calls("auth.test"))
        await bot.slack.wait_for(lambda: len(bot.slack.calls("auth.test")) > calls + 2)
        assert "SLACK_BOT_TOKEN was revoked" in json.loads(await _get(bot, "/readyz"))["slack"]
