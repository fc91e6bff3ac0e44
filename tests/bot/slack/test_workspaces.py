"""Many workspaces: installed by OAuth, served each with its own token, forgotten when they remove the app."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
from slack_sdk.oauth.installation_store import Bot
from sqlalchemy import text

from bot.serve import serving
from bot.services import Services
from bot.slack.app_factory import open_workspaces
from core.engine import Engine, open_engine
from core.settings import Settings
from sandbox.slack import Slack
from sandbox.slack.workspace.sample_workspaces import FIRST_TEAM, SECOND_TEAM
from tests.bot.slack.harness import local_slack
from tests.core.databases import furnish
from tests.core.harness import QUICK


@asynccontextmanager
async def many_workspaces(
    folder: Path, database_url: str | None = None
) -> AsyncIterator[tuple[Slack, str, Engine, Services]]:
    """The bot for many workspaces, installed in none of them as far as it knows; with its address."""
    async with local_slack(event_retries=()) as slack:
        settings = Settings.model_validate(
            {
                "SLACK_API_URL": slack.api_url,
                "SLACK_CLIENT_ID": slack.client_id,
                "SLACK_CLIENT_SECRET": slack.client_secret,
                "SLACK_SIGNING_SECRET": slack.signing_secret,
                "data_dir": folder / "data",
                "database_url": database_url,
                "worker_id": "test",
                "port": 0,
            }
        )
        furnish(settings)
        said: list[str] = []
        async with open_engine(settings, "test", patience=QUICK) as engine, serving(engine, said.append) as services:
            url = next(line.split()[2] for line in said if line.startswith("HTTP server: "))
            slack.use_http(f"{url}/slack/events")
            yield slack, url, engine, services


async def install(slack: Slack, url: str, person: str) -> int:
    """Install the app as a person does in the browser; returns how the bot's last page answers."""
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{url}/slack/install") as page:
            found = await page.text()
            cookie = page.cookies["slack-app-oauth-state"].value
        start = found.index(slack.authorize_url)
        authorize = found[start : found.index('"', start)].replace("&amp;", "&")
        back = await slack.person(person).allow_install(f"{authorize}&redirect_uri={url}/slack/oauth_redirect")
        headers = {"Cookie": f"slack-app-oauth-state={cookie}"}  # it is for https only, so the session keeps it back
        async with session.get(f"{url}/slack/oauth_redirect?{urlsplit(back).query}", headers=headers) as done:
            return done.status


async def test_installed_used_and_removed(tmp_path: Path, database_url: str) -> None:
    """A second workspace installs the app, uses it and removes it: then nothing can be posted there, here still."""
    async with many_workspaces(tmp_path, database_url) as (slack, url, _, services):
        assert await install(slack, url, "ada") == 200
        assert await install(slack, url, "sven") == 200

        assert (await slack.person("noor").command("/iterable-sync help", channel="campaigns")).ok
        assert not services.one_workspace
        client = await services.clients.for_team(SECOND_TEAM)
        assert client is not None
        assert (await client.auth_test())["team_id"] == SECOND_TEAM

        await slack.uninstall(SECOND_TEAM)

        async with asyncio.timeout(5):
            while await services.clients.for_team(SECOND_TEAM) is not None:  # noqa: ASYNC110  # the listener tells nobody
                await asyncio.sleep(0.01)
        assert await services.clients.for_team(FIRST_TEAM) is not None


async def test_one_who_asks_often_is_looked_up_once(tmp_path: Path) -> None:
    """Slack is not asked whose a token is before every answer."""
    async with many_workspaces(tmp_path) as (slack, url, _, _):
        await install(slack, url, "ada")
        before = len(slack.calls("auth.test"))

        for _ in range(3):
            assert (await slack.marketer.command("/iterable-sync help")).ok

        assert len(slack.calls("auth.test")) <= before + 1


async def test_a_workspace_that_has_not_installed_it(tmp_path: Path) -> None:
    """Who types the command where nothing is installed (any more) reads what to do."""
    async with many_workspaces(tmp_path) as (slack, _, _, _):
        await slack.marketer.command("/iterable-sync help")

        await slack.wait_for_message("marketing", "no longer installed in this workspace", reader=slack.marketer)


async def test_tokens_are_encrypted(tmp_path: Path) -> None:
    """No token is in the database in plain text, and the bot reads it after a restart."""
    async with many_workspaces(tmp_path) as (slack, url, engine, _):
        await install(slack, url, "ada")
        async with engine.database.read() as db:
            stored = (await db.execute(text("SELECT bot_token FROM slack_bots"))).scalar_one()
        files = b"".join(path.read_bytes() for path in (tmp_path / "data").iterdir() if path.is_file())

        assert stored
        assert slack.bot_token.encode() not in files
        client = await (await open_workspaces(engine)).clients.for_team(FIRST_TEAM)
        assert client is not None
        assert client.token == slack.bot_token


async def test_workspace_of_an_organization(tmp_path: Path) -> None:
    """The bot of a workspace is found by the workspace alone, also where that is part of an organization."""
    async with many_workspaces(tmp_path) as (_, _, engine, services):
        store = (await open_workspaces(engine)).installations
        assert store is not None
        bot = Bot(
            app_id="A1",
            bot_token="xoxb-org",
            bot_id="B1",
            bot_user_id="U1",
            enterprise_id="E1",
            team_id="T9",
            installed_at=1.0,
        )
        await store.async_save_bot(bot)

        client = await services.clients.for_team("T9")

    assert client is not None
    assert client.token == "xoxb-org"


async def test_state_is_used_once(tmp_path: Path) -> None:
    """A link back from Slack's install page works once, and only in the browser that began."""
    async with many_workspaces(tmp_path) as (_, url, _, services), aiohttp.ClientSession() as session:
        headers = {"Cookie": "slack-app-oauth-state=stolen"}
        async with session.get(f"{url}/slack/oauth_redirect?code=1&state=stolen", headers=headers) as answer:
            assert answer.status == 401
        async with session.get(f"{url}/slack/oauth_redirect?code=1&state=stolen") as answer:
            assert answer.status == 400
        assert await services.clients.for_team(FIRST_TEAM) is None
        assert "SLACK_BOT_TOKEN" not in os.environ
