"""Many workspaces: each installs the app by OAuth, is served with its own token, and is forgotten after it removes the
app."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from slack_sdk.oauth.installation_store import Bot
from sqlalchemy import text

from bot.serve import serving
from bot.services import Services
from bot.slack.app_factory import open_workspaces
from core.connections import offboarding
from core.engine import Engine, open_engine
from core.models.batch import BatchEntry
from core.models.run import RunStatus
from core.settings import Settings
from core.store import connections, ledger, mappings, runs
from core.store.connections import DELETED_KEY
from core.store.mappings import AudienceMapping, MappingStatus
from sandbox.slack import Slack
from sandbox.slack.faults import SERVER_ERROR
from sandbox.slack.workspace.sample_workspaces import FIRST_TEAM, SECOND_TEAM
from tests.bot.slack.following import LONG
from tests.bot.slack.harness import local_slack
from tests.core.databases import furnish
from tests.core.harness import QUICK
from tests.core.store.seeds import add_connection, add_mapping, add_run


@asynccontextmanager
async def many_workspaces(
    folder: Path, database_url: str | None = None, allowed: str = "*"
) -> AsyncIterator[tuple[Slack, str, Engine, Services]]:
    """Run the bot for many workspaces, without an installation. Yields Slack, the bot's address, engine and
    services."""
    async with local_slack(event_retries=()) as slack:
        settings = Settings.model_validate(
            {
                "SLACK_API_URL": slack.api_url,
                "SLACK_CLIENT_ID": slack.client_id,
                "SLACK_CLIENT_SECRET": slack.client_secret,
                "SLACK_SIGNING_SECRET": slack.signing_secret,
                "allowed_workspaces": allowed,
                "data_dir": folder / "data",
                "database_url": database_url,
                "worker_id": "test",
                "port": 0,
            }
        )
        furnish(settings)
        lines: list[str] = []
        async with (
            open_engine(settings, "test", retry_policy=QUICK) as engine,
            serving(engine, lines.append) as services,
        ):
            url = next(line.split()[2] for line in lines if line.startswith("HTTP server: "))
            slack.use_http(f"{url}/slack/events")
            yield slack, url, engine, services


async def install(slack: Slack, url: str, person: str, organization: str = "") -> int:
    """Install the app as a person does in the browser, for their workspace or for an organization.

    Returns the status of the bot's last page.
    """
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{url}/slack/install") as page:
            html = await page.text()
            cookie = page.cookies["slack-app-oauth-state"].value
        start = html.index(slack.authorize_url)
        authorize = html[start : html.index('"', start)].replace("&amp;", "&")
        redirect = f"{authorize}&redirect_uri={url}/slack/oauth_redirect"
        back = await slack.person(person).allow_install(redirect, organization)
        headers = {"Cookie": f"slack-app-oauth-state={cookie}"}  # for https only, so not sent
        async with session.get(f"{url}/slack/oauth_redirect?{urlsplit(back).query}", headers=headers) as response:
            return response.status


async def test_installed_used_and_removed(tmp_path: Path, database_url: str) -> None:
    """A second workspace installs the app, uses it and removes it; afterwards only the first one has a client."""
    async with many_workspaces(tmp_path, database_url) as (slack, url, _, services):
        assert await install(slack, url, "ada") == 200
        assert await install(slack, url, "sven") == 200

        assert (await slack.person("noor").command("/iterable-sync help", channel="campaigns")).ok
        assert not services.one_workspace
        client = await services.clients.for_team(SECOND_TEAM)
        assert client is not None
        assert (await client.auth_test())["team_id"] == SECOND_TEAM

        await slack.uninstall(SECOND_TEAM)

        async with asyncio.timeout(LONG):
            while await services.clients.for_team(SECOND_TEAM) is not None:  # noqa: ASYNC110  # the listener gives no signal
                await asyncio.sleep(0.01)
        assert await services.clients.for_team(FIRST_TEAM) is not None


async def test_only_workspaces_on_the_list_can_install(tmp_path: Path) -> None:
    """A workspace that the operator has not allowed gets a refusal, and its token is revoked and not stored."""
    async with many_workspaces(tmp_path, allowed=FIRST_TEAM) as (slack, url, _, services):
        assert await install(slack, url, "ada") == 200
        assert await install(slack, url, "sven") == 403

        assert await services.clients.for_team(SECOND_TEAM) is None
        assert slack.world.installs[SECOND_TEAM].gone == "token_revoked"


async def test_refused_workspace_whose_token_is_not_revoked(tmp_path: Path) -> None:
    """If Slack does not revoke the token of a refused workspace, the workspace is still refused and its token not
    stored."""
    async with many_workspaces(tmp_path, allowed=FIRST_TEAM) as (slack, url, _, services):
        slack.faults.add(SERVER_ERROR, "auth.revoke")
        assert await install(slack, url, "sven") == 403
        assert await services.clients.for_team(SECOND_TEAM) is None


async def test_workspace_that_is_no_longer_allowed(tmp_path: Path) -> None:
    """A workspace that is no longer allowed is not served; by default none is allowed."""
    async with many_workspaces(tmp_path) as (slack, url, _, _):
        assert await install(slack, url, "ada") == 200
    async with many_workspaces(tmp_path, allowed="") as (slack, _, _, services):
        assert await services.clients.for_team(FIRST_TEAM) is None
        await slack.marketer.command("/iterable-sync help")
        await slack.wait_for_message("marketing", "no longer installed in this workspace", reader=slack.marketer)


@pytest.mark.parametrize("tokens_first", [False, True])
async def test_uninstalled(tmp_path: Path, database_url: str, tokens_first: bool) -> None:
    """After a workspace removes the app, its mappings are paused and its keys deleted; an installation restores the
    rest."""
    async with many_workspaces(tmp_path, database_url) as (slack, url, engine, services):
        await install(slack, url, "ada")
        await install(slack, url, "sven")
        ours, theirs = await stored_mapping(engine, FIRST_TEAM), await stored_mapping(engine, SECOND_TEAM)
        await slack.uninstall(FIRST_TEAM, tokens_first=tokens_first)
        assert await is_suspended(engine, ours.connection_id)  # before the event is acknowledged

        async with engine.database.read() as db:
            ended, waiting = await connections.by_id(db, ours.connection_id), await mappings.by_id(db, ours.id)
            other, active = await connections.by_id(db, theirs.connection_id), await mappings.by_id(db, theirs.id)
            assert (await runs.latest_of(db, [ours.id], 1))[0].status is RunStatus.CANCELLED
        assert ended is not None
        assert waiting is not None
        assert other is not None
        assert active is not None
        assert (ended.api_key, ended.previous_key_digests, waiting.status) == (DELETED_KEY, (), MappingStatus.PAUSED)
        assert (other.api_key, active.status) == (b"sealed", MappingStatus.ACTIVE)
        assert await services.clients.for_team(FIRST_TEAM) is None

        await install(slack, url, "ada")
        assert not await is_suspended(engine, ours.connection_id)


async def test_erased_after_30_days(tmp_path: Path, database_url: str) -> None:
    """All data of a workspace is erased 30 days after it removed the app, and no data of others."""
    settings = Settings.model_validate(
        {"database_url": database_url, "data_dir": tmp_path / "data", "worker_id": "test"}
    )
    async with open_engine(settings, "test") as engine:
        ours, theirs = await stored_mapping(engine, FIRST_TEAM), await stored_mapping(engine, SECOND_TEAM)
        await offboarding.suspend_workspace(engine, FIRST_TEAM)
        await offboarding.erase_uninstalled(engine)
        assert await is_suspended(engine, ours.connection_id)  # the 30 days are not over

        async with engine.database.write() as db:
            await connections.change(db, ours.connection_id, uninstalled_at=time.time() - 31 * offboarding.DAY_S)
        await offboarding.erase_uninstalled(engine)

        async with engine.database.read() as db:
            assert [each.id for each in await connections.everyone(db)] == [theirs.connection_id]
            remaining = (await db.execute(text("SELECT mapping_id FROM ledger"))).scalars().all()
            assert remaining == [theirs.id]
            teams = (await db.execute(text("SELECT DISTINCT team_id FROM audit"))).scalars().all()
            assert FIRST_TEAM not in teams


async def stored_mapping(engine: Engine, team_id: str) -> AudienceMapping:
    """Add a connection with an active mapping, a member in its ledger and a waiting run. Returns the mapping."""
    connection_id = await add_connection(engine.database, "Shop", api_key=b"sealed", team_id=team_id)
    mapping = await add_mapping(engine.database, connection_id)
    run_id = await add_run(engine.database, mapping)
    async with engine.database.write() as db:
        await runs.set_status(db, run_id, RunStatus.NEEDS_APPROVAL)
        await ledger.upsert(db, mapping.id, [BatchEntry("a", "7", "seven@example.com", None)], certain=True)
    return mapping


async def is_suspended(engine: Engine, connection_id: int) -> bool:
    """Return whether the workspace of a connection has removed the app."""
    async with engine.database.read() as db:
        connection = await connections.by_id(db, connection_id)
    return connection is not None and connection.uninstalled_at is not None


async def test_token_is_looked_up_once(tmp_path: Path) -> None:
    """The bot calls auth.test once, not before every answer."""
    async with many_workspaces(tmp_path) as (slack, url, _, _):
        await install(slack, url, "ada")
        before = len(slack.calls("auth.test"))

        for _ in range(3):
            assert (await slack.marketer.command("/iterable-sync help")).ok

        assert len(slack.calls("auth.test")) <= before + 1


async def test_workspace_without_the_app(tmp_path: Path) -> None:
    """A person who types the command in a workspace without the app reads what to do."""
    async with many_workspaces(tmp_path) as (slack, _, _, _):
        await slack.marketer.command("/iterable-sync help")

        await slack.wait_for_message("marketing", "no longer installed in this workspace", reader=slack.marketer)


async def test_tokens_are_encrypted(tmp_path: Path) -> None:
    """The database has no token in plain text, and the bot reads the token after a restart."""
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
    """The bot of a workspace is found by the workspace's id, even in an organization."""
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
    """A link back from Slack's install page works once, and only in the browser in which it was requested."""
    async with many_workspaces(tmp_path) as (_, url, _, services), aiohttp.ClientSession() as session:
        headers = {"Cookie": "slack-app-oauth-state=stolen"}
        async with session.get(f"{url}/slack/oauth_redirect?code=1&state=stolen", headers=headers) as answer:
            assert answer.status == 401
        async with session.get(f"{url}/slack/oauth_redirect?code=1&state=stolen") as answer:
            assert answer.status == 400
        assert await services.clients.for_team(FIRST_TEAM) is None
        assert "SLACK_BOT_TOKEN" not in os.environ


async def test_abandoned_installations(tmp_path: Path) -> None:
    """The state of an abandoned installation is deleted after it has expired."""
    async with many_workspaces(tmp_path) as (_, url, engine, _services), aiohttp.ClientSession() as session:
        for expired in (True, True, False):
            async with session.get(f"{url}/slack/install") as page:
                assert page.status == 200
            async with engine.database.write() as db:
                if expired:
                    await db.execute(text("UPDATE slack_oauth_states SET expire_at = '2020-01-01 00:00:00.000000'"))
                count = (await db.execute(text("SELECT count(*) FROM slack_oauth_states"))).scalar_one()
            assert count == 1
