"""The bot in a process: it connects to Slack in each mode, stays connected, and stops."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy import text

from bot.serve import serving
from bot.services import Services
from bot.slack import connection, listener_tracker
from core.engine import Engine, open_engine
from core.errors import SettingsError
from core.models.run import RunRequest
from core.runs import commands
from core.settings import Settings
from sandbox.iterable import running as iterable_running
from sandbox.slack import Slack
from sandbox.slack import running as slack_running
from tests.bot.slack.following import until
from tests.bot.slack.harness import MARKETING, MAYA, TEAM, Workspace, audience, local_slack, running_bot, workspace
from tests.core.databases import furnish
from tests.core.harness import QUICK, people


async def test_connects_and_stops(tmp_path: Path) -> None:
    """The bot connects to Slack, stops when it is asked to, and leaves no task."""
    before = asyncio.all_tasks()
    async with workspace(tmp_path) as bot:
        assert not bot.engine.stopping.is_set()
    assert bot.engine.stopping.is_set()
    assert asyncio.all_tasks() == before


async def test_listener_is_cancelled_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener that waits for Slack forever is cancelled when the bot stops."""
    monkeypatch.setattr(listener_tracker, "GRACE_S", 0.1)
    async with workspace(tmp_path) as bot:
        bot.slack.faults.add("no_answer", "chat.postEphemeral")
        assert (await bot.slack.marketer.command("/iterable-sync help")).ok
        await until(lambda: bot.slack.faults.active[0].struck == 1)
        assert [name for name in map(repr, asyncio.all_tasks()) if "run_ack_function" in name]
    assert not [name for name in map(repr, asyncio.all_tasks()) if "run_ack_function" in name]


async def test_stays_through_refreshed_and_lost_connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands are answered after Slack has refreshed the connection, and after it has dropped it."""
    monkeypatch.setattr(connection, "PING_EVERY_S", 0.2)
    async with workspace(tmp_path) as bot:
        for lose in (bot.slack.refresh_sockets, bot.slack.drop_sockets):
            await _lose_connection(bot.slack, lose)
            assert (await bot.slack.marketer.command("/iterable-sync help")).ok


async def test_lost_connection_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says once that the connection is lost, and why, and once that it is back."""
    monkeypatch.setattr(connection, "PING_EVERY_S", 0.5)
    monkeypatch.setattr(connection, "LOOK_EVERY_S", 0.05)
    monkeypatch.setattr(connection, "TELL_AFTER_S", 0.1)

    def logged() -> list[str]:
        return [record.message for record in caplog.records if record.name == connection.__name__]

    async with workspace(tmp_path) as bot:
        bot.slack.faults.add("refused", "socket")
        bot.slack.faults.add("token_revoked", "apps.connections.open")
        await bot.slack.drop_sockets()
        await until(lambda: len(logged()) == 1)
        bot.slack.faults.clear()
        await bot.slack.wait_connected()
        await until(lambda: len(logged()) == 2)

    lost, again = logged()
    assert lost.startswith("lost the connection to Slack, reconnecting: SLACK_APP_TOKEN was revoked")
    assert again == "reconnected to Slack"


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"SLACK_BOT_TOKEN": "xoxb-unknown"}, r"SLACK_BOT_TOKEN is not a token that Slack knows \(invalid_auth\)"),
        ({"SLACK_BOT_TOKEN": "xapp-local"}, "SLACK_BOT_TOKEN is a token of another kind"),
        ({"SLACK_APP_TOKEN": "xapp-unknown"}, r"SLACK_APP_TOKEN is not a token .* Copy an app-level token"),
        ({"SLACK_APP_TOKEN": "xoxb-local-fernway"}, "SLACK_APP_TOKEN is a token of another kind"),
    ],
)
async def test_wrong_token(tmp_path: Path, changed: dict[str, Any], sentence: str) -> None:
    """A token that Slack refuses is an error with the setting's name, and nothing starts."""
    async with local_slack() as slack:
        with pytest.raises(SettingsError, match=sentence):
            await _start_and_stop(tmp_path, _settings(slack, tmp_path, **changed))

        assert not slack.delivery.socket_mode.connections


async def test_token_of_an_app_that_was_removed(tmp_path: Path) -> None:
    """The error says that the token is that of a removed app."""
    async with local_slack() as slack:
        await slack.uninstall()

        with pytest.raises(SettingsError, match="an app that was removed from its workspace"):
            await _start_and_stop(tmp_path, _settings(slack, tmp_path))


async def test_missing_scopes(tmp_path: Path) -> None:
    """The bot starts with missing scopes, and prints which are missing and what to do."""
    lines: list[str] = []
    async with local_slack(scopes=["commands", "chat:write", "files:read"]) as slack:
        await _start_and_stop(tmp_path, _settings(slack, tmp_path), lines)

    assert "lacks files:write, users:read in Fernway Outdoor" in "\n".join(lines)


async def test_slack_is_unreachable_at_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Slack everything else runs, the output says so once, and the bot connects when Slack is back."""
    monkeypatch.setattr(connection, "TRY_AGAIN_S", 0.05)
    lines: list[str] = []
    async with local_slack() as slack:
        slack.faults.add("server_error", "auth.test")
        async with _serving(_settings(slack, tmp_path), lines):
            await slack.wait_for(lambda: len(slack.calls("auth.test")) > 2)
            slack.faults.clear()
            await slack.wait_connected()
            assert (await slack.marketer.command("/iterable-sync help")).ok

    assert sum("Retrying every" in line for line in lines) == 1


async def test_database_is_away_when_slack_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault of the database while the bot connects ends nothing: the bot connects when the database is back."""
    monkeypatch.setattr(connection, "TRY_AGAIN_S", 0.05)
    async with local_slack() as slack:
        slack.faults.add("server_error", "auth.test")
        async with _serving(_settings(slack, tmp_path), []) as (engine, _):
            await slack.wait_for(lambda: len(slack.calls("auth.test")) > 1)
            async with engine.database.write() as db:
                await db.execute(text("ALTER TABLE connections RENAME TO away"))
            slack.faults.clear()
            await slack.wait_for(lambda: "could not read the workspace" in caplog.text)
            async with engine.database.write() as db:
                await db.execute(text("ALTER TABLE away RENAME TO connections"))
            await slack.wait_connected()
            assert (await slack.marketer.command("/iterable-sync help")).ok


async def test_http_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a signing secret Slack sends requests to the bot, and a client id in the environment has no effect."""
    monkeypatch.setenv("SLACK_CLIENT_ID", "1.2")
    monkeypatch.setenv("SLACK_CLIENT_SECRET", "unused")
    lines: list[str] = []
    async with local_slack() as slack:
        settings = _settings(slack, tmp_path, SLACK_APP_TOKEN=None, SLACK_SIGNING_SECRET=slack.signing_secret)
        async with _serving(settings, lines):
            url = _address(lines)
            slack.use_http(f"{url}/slack/events")
            assert await slack.delivery.http_mode.verify_url(f"{url}/slack/events")
            assert (await slack.marketer.command("/iterable-sync help")).ok
            await slack.wait_for_message("marketing", "status", reader=slack.marketer)
            async with aiohttp.ClientSession() as session, session.get(f"{url}/readyz") as ready:
                assert await ready.json() == {"database": "ok", "migrations": "ok", "worker": "ok"}


async def test_calls_to_slack_are_counted(tmp_path: Path) -> None:
    """The metrics count each call of the Web API, and measure acknowledgements."""
    lines: list[str] = []
    async with local_slack() as slack, _serving(_settings(slack, tmp_path), lines):
        slack.faults.add("channel_not_found", "chat.postEphemeral")
        await slack.marketer.command("/iterable-sync help")
        await slack.wait_for(lambda: slack.calls("chat.postMessage"))
        async with aiohttp.ClientSession() as session, session.get(f"{_address(lines)}/metrics") as answer:
            numbers = await answer.text()

    assert 'iterable_sync_slack_calls_total{answer="ok",method="auth.test"}' in numbers
    assert 'iterable_sync_slack_calls_total{answer="channel_not_found",method="chat.postEphemeral"}' in numbers
    assert 'iterable_sync_slack_acknowledgement_seconds_bucket{kind="command",le="0.3"}' in numbers


async def test_port_that_is_taken(tmp_path: Path) -> None:
    """A port that is in use is an error that names its setting."""
    async with local_slack() as slack:
        port = int(slack.page_url.rstrip("/").rpartition(":")[2])

        with pytest.raises(SettingsError, match=f"can't listen at 127.0.0.1, port {port} .*Set ITERABLE_SYNC_PORT"):
            await _start_and_stop(tmp_path, _settings(slack, tmp_path, port=port))


async def test_without_slack_ends_of_runs_are_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without Slack, the end of a run is logged once, without addresses."""
    caplog.set_level(logging.INFO, "bot.messages.log_notifier")
    async with iterable_running() as iterable, slack_running() as slack:
        settings = _settings(slack, tmp_path, SLACK_BOT_TOKEN=None, SLACK_APP_TOKEN=None, iterable_url=iterable.url)
        async with _serving(settings) as (engine, services):
            bot = Workspace(slack, iterable, engine, services)
            mapping = await bot.mapping(await bot.connection())
            file = tmp_path / "audience.csv"
            file.write_bytes(audience(people(range(3))))
            run_id = await commands.start(
                engine, mapping, RunRequest(path=str(file)), by=MAYA, channel=MARKETING, team_id=TEAM
            )
            async with asyncio.timeout(60):
                while not caplog.messages:
                    services.wake()
                    await asyncio.sleep(0.02)
        async with _serving(settings):
            pass

    assert caplog.messages == [f"run {run_id} to list 1001 succeeded: 3 members, 3 added"]


async def test_bot_is_started_again(tmp_path: Path) -> None:
    """The bot starts again with the same data and the same Slack."""
    async with iterable_running() as iterable, local_slack() as slack:
        for _ in range(2):
            async with running_bot(slack, iterable, tmp_path):
                assert (await slack.marketer.command("/iterable-sync help")).ok


def _settings(slack: Slack, directory: Path, **changed: Any) -> Settings:
    values = {
        "SLACK_API_URL": slack.api_url,
        "SLACK_BOT_TOKEN": slack.bot_token,
        "SLACK_APP_TOKEN": slack.app_token,
        "audience_paths": str(directory),
        "data_dir": directory / "data",
        "worker_id": "test",
        "port": 0,
    }
    return Settings(**{**values, **changed})


@asynccontextmanager
async def _serving(settings: Settings, lines: list[str] | None = None) -> AsyncIterator[tuple[Engine, Services]]:
    say = (lines if lines is not None else []).append
    furnish(settings)
    async with open_engine(settings, "test", retry_policy=QUICK) as engine, serving(engine, say) as services:
        yield engine, services


async def _start_and_stop(tmp_path: Path, settings: Settings, lines: list[str] | None = None) -> None:
    async with _serving(settings, lines):
        pass


async def _lose_connection(slack: Slack, lose: Callable[[], Awaitable[None]]) -> None:
    """Lose the connection, and wait for another one."""
    sockets = slack.delivery.socket_mode
    old = list(sockets.connections)
    await lose()
    await slack.wait_for(lambda: any(each not in old for each in sockets.connections), 15.0, "another connection")


def _address(lines: list[str]) -> str:
    return next(line.split()[2] for line in lines if line.startswith("HTTP server: "))
