"""Installing in two workspaces by OAuth, the home tab, and uninstalling."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from slack_bolt.async_app import AsyncApp
from slack_bolt.oauth.async_oauth_settings import AsyncOAuthSettings
from slack_sdk.errors import SlackApiError
from slack_sdk.oauth.installation_store import FileInstallationStore
from slack_sdk.oauth.state_store import FileOAuthStateStore
from slack_sdk.web.async_client import AsyncWebClient

from sandbox.slack import NotPossibleError, Slack, running
from sandbox.slack.workspace.sample_workspaces import SECOND_TEAM
from tests.sandbox.slack.bolt import client_of, section, serving

HOME = {"type": "home", "blocks": [section("Welcome")]}
SCOPES = ["commands", "chat:write"]


def oauth_app(slack: Slack, folder: Path) -> AsyncApp:
    """Return a Bolt app for many workspaces."""
    settings = AsyncOAuthSettings(
        client_id=slack.client_id,
        client_secret=slack.client_secret,
        scopes=SCOPES,
        authorization_url=slack.authorize_url,
        installation_store=FileInstallationStore(base_dir=str(folder / "installs")),
        state_store=FileOAuthStateStore(expiration_seconds=600, base_dir=str(folder / "states")),
        state_validation_enabled=True,
    )
    client = AsyncWebClient(base_url=slack.api_url)
    return AsyncApp(client=client, signing_secret=slack.signing_secret, oauth_settings=settings)


async def test_install_in_the_second_workspace(slack: Slack, tmp_path: Path) -> None:
    """A person installs the app from /slack/install, and its command works in their workspace."""
    app = oauth_app(slack, tmp_path)
    teams: list[str] = []

    @app.command("/iterable-sync")
    async def handle(ack: Any, body: dict[str, Any]) -> None:
        teams.append(body["team_id"])
        await ack("Hello, second workspace")

    noor = slack.person("noor")
    async with serving(app.web_app()) as url, aiohttp.ClientSession() as session:
        slack.use_http(f"{url}/slack/events")
        async with session.get(f"{url}/slack/install", allow_redirects=False) as page:
            authorize = page.headers["Location"] if page.status == 302 else await _link(page)
            cookie = page.cookies["slack-app-oauth-state"].value
        back = urlsplit(await slack.person("sven").allow_install(_with_redirect(authorize, url)))
        headers = {"Cookie": f"slack-app-oauth-state={cookie}"}
        async with session.get(f"{url}/slack/oauth_redirect?{back.query}", headers=headers) as response:
            assert response.status == 200
        outcome = await noor.command("/iterable-sync", channel="campaigns")

    assert outcome.payload["text"] == "Hello, second workspace"
    assert teams == [SECOND_TEAM]


async def _link(page: aiohttp.ClientResponse) -> str:
    text = await page.text()
    start = text.index("/oauth/v2/authorize")
    return text[text.rindex('"', 0, start) + 1 : text.index('"', start)].replace("&amp;", "&")


def _with_redirect(authorize: str, url: str) -> str:
    return f"{authorize}&redirect_uri={url}/slack/oauth_redirect"


async def test_code_works_once_and_with_the_secret(slack: Slack) -> None:
    """oauth.v2.access accepts a code once; a wrong secret and a used code have their errors."""
    query = f"client_id={slack.client_id}&scope=commands,chat:write&state=s&redirect_uri=http://localhost/x"
    back = await slack.person("sven").allow_install(f"{slack.authorize_url}?{query}")
    code = parse_qs(urlsplit(back).query)["code"][0]
    client = AsyncWebClient(base_url=slack.api_url)
    access = {"client_id": slack.client_id, "client_secret": slack.client_secret, "redirect_uri": "http://localhost/x"}

    with pytest.raises(SlackApiError, match="bad_client_secret"):
        await client.oauth_v2_access(**{**access, "client_secret": "wrong"}, code=code)
    answer = await client.oauth_v2_access(**access, code=code)
    with pytest.raises(SlackApiError, match="invalid_code"):
        await client.oauth_v2_access(**access, code=code)

    assert answer["team"]["id"] == SECOND_TEAM
    assert (await client_of(slack, answer["access_token"]).auth_test())["team_id"] == SECOND_TEAM


async def test_install_page_of_an_unknown_client(slack: Slack) -> None:
    """The page names the error of a wrong client_id."""
    url = f"{slack.authorize_url}?client_id=1.2&scope=commands"
    async with aiohttp.ClientSession() as session, session.get(url) as page:
        assert page.status == 400
        assert "invalid_client_id" in await page.text()

    with pytest.raises(NotPossibleError, match="invalid_client_id"):
        await slack.admin.allow_install(url)


async def test_allow_button_redirects_with_code_and_state(slack: Slack) -> None:
    """The page's form redirects to the app with the code and the state."""
    url = f"{slack.authorize_url}?client_id={slack.client_id}&scope=commands&state=abc&redirect_uri=http://localhost/x"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data={"as": "U02SVEN"}, allow_redirects=False) as answer,
    ):
        query = parse_qs(urlsplit(answer.headers["Location"]).query)

    assert query["state"] == ["abc"]
    assert query["code"]


async def test_home_tab_is_published_when_opened(slack: Slack, app: AsyncApp) -> None:
    """app_home_opened lets the app publish the home tab."""

    @app.event("app_home_opened")
    async def opened(event: dict[str, Any]) -> None:
        await app.client.views_publish(user_id=event["user"], view=HOME)

    home = await slack.marketer.open_home()

    assert "Welcome" in slack.render(home)


async def test_home_tab_with_a_stale_hash(slack: Slack) -> None:
    """views.publish with an old hash is hash_conflict."""
    client = client_of(slack)
    first = await client.views_publish(user_id=slack.admin.id, view=HOME)
    await client.views_publish(user_id=slack.admin.id, view=HOME, hash=first["view"]["hash"])

    with pytest.raises(SlackApiError, match="hash_conflict"):
        await client.views_publish(user_id=slack.admin.id, view=HOME, hash=first["view"]["hash"])


async def test_home_tab_that_the_manifest_turns_off() -> None:
    """Without home_tab_enabled, publishing is not_enabled."""
    manifest = {
        "display_information": {"name": "Iterable Sync"},
        "features": {"bot_user": {"display_name": "sync"}},
        "oauth_config": {"scopes": {"bot": ["chat:write"]}},
    }
    async with running(manifest=manifest) as slack:
        with pytest.raises(SlackApiError, match="not_enabled"):
            await client_of(slack).views_publish(user_id=slack.admin.id, view=HOME)

    assert slack.world.app.name == "sync"


@pytest.mark.parametrize("tokens_first", [False, True])
async def test_uninstall_sends_two_events_and_ends_the_token(slack: Slack, app: AsyncApp, tokens_first: bool) -> None:
    """Uninstalling sends app_uninstalled and tokens_revoked in either order, and ends the token."""
    events: list[str] = []

    @app.event("app_uninstalled")
    @app.event("tokens_revoked")
    async def ended(event: dict[str, Any]) -> None:
        events.append(event["type"])
        slack.world.changed()

    await slack.uninstall(tokens_first=tokens_first)
    await slack.wait_for(lambda: len(events) == 2)

    assert events == (["tokens_revoked", "app_uninstalled"] if tokens_first else ["app_uninstalled", "tokens_revoked"])
    with pytest.raises(SlackApiError, match="account_inactive"):
        await client_of(slack).chat_postMessage(channel="C01MARKETING", text="x")


async def test_reinstalling_gives_another_token(slack: Slack) -> None:
    """After a new installation the old token stays invalid, and the new one posts direct messages."""
    old = slack.bot_token
    await slack.uninstall()
    slack.world.install(slack.admin.user.team_id, slack.admin.id, frozenset({"chat:write"}))

    answer = await client_of(slack).chat_postMessage(channel=slack.marketer.id, text="Back")

    assert slack.bot_token != old
    assert answer["channel"] == slack.marketer.direct_message.id


async def test_revoked_token_is_refused(slack: Slack) -> None:
    """auth.revoke ends the token with token_revoked."""
    client = client_of(slack)
    await client.auth_revoke()

    with pytest.raises(SlackApiError, match="token_revoked"):
        await client.auth_test()


async def test_manifest_decides_on_commands_and_shortcuts() -> None:
    """Commands, shortcuts, scopes and events are those of the manifest."""
    manifest = {
        "display_information": {"name": "Iterable Sync"},
        "features": {
            "slash_commands": [{"command": "/other", "description": "x"}],
            "shortcuts": [{"name": "Start", "type": "global", "callback_id": "start", "description": "x"}],
        },
        "oauth_config": {"scopes": {"bot": ["commands"]}},
    }
    async with running(manifest=manifest) as slack:
        outcome = await slack.marketer.command("/iterable-sync")

    assert not outcome.sent
    assert [shortcut.kind for shortcut in slack.world.app.shortcuts] == ["global"]
