"""Organizations (Enterprise Grid): one installation serves several workspaces, and each can be taken off."""

import asyncio
from pathlib import Path

import pytest

from bot.slack.app_factory import open_workspaces
from core.errors import SettingsError
from sandbox.iterable import running as iterable_running
from sandbox.slack.users.administration import revoke_access
from sandbox.slack.workspace.organization import ORGANIZATION, found_organization, install_for_organization
from sandbox.slack.workspace.sample_workspaces import FIRST_TEAM, SECOND_TEAM
from tests.bot.slack.harness import local_slack, running_bot
from tests.bot.slack.test_workspaces import install, is_suspended, many_workspaces, stored_mapping


async def test_installation_for_an_organization(tmp_path: Path, database_url: str) -> None:
    """One installation serves all workspaces of an organization, also after a restart; the home page opens in each."""
    async with many_workspaces(tmp_path, database_url, allowed=ORGANIZATION) as (slack, url, engine, services):
        found_organization(slack.world)
        assert await install(slack, url, "ada", ORGANIZATION) == 200
        assert (await slack.marketer.command("/iterable-sync help")).ok
        assert (await slack.person("noor").command("/iterable-sync help", channel="campaigns")).ok
        await slack.person("sven").open_home()

        restarted = (await open_workspaces(engine)).clients
        for team_id in (FIRST_TEAM, SECOND_TEAM):
            client = await restarted.for_team(team_id)
            assert client is not None
            assert client.token == slack.world.installs[team_id].token
        assert await services.clients.workspaces_of(ORGANIZATION) == [FIRST_TEAM, SECOND_TEAM]


async def test_colleague_of_another_workspace(tmp_path: Path) -> None:
    """A person of another workspace of the organization who belongs to this one, too, is a member; others are not."""
    async with many_workspaces(tmp_path) as (slack, url, _, _):
        found_organization(slack.world)
        assert await install(slack, url, "ada", ORGANIZATION) == 200
        noor, sven = slack.person("noor"), slack.person("sven")
        for person, teams in ((noor, (SECOND_TEAM, FIRST_TEAM)), (sven, (SECOND_TEAM,))):
            person.user.connected_to, person.user.teams = FIRST_TEAM, teams
            await person.open_home()
        assert "Only members of the workspace" not in slack.render(noor.user.home)
        assert "Only members of the workspace" in slack.render(sven.user.home)


async def test_workspace_that_is_taken_off(tmp_path: Path, database_url: str) -> None:
    """If the organization removes the app from a workspace, this one is stopped; if it uninstalls it, all are."""
    async with many_workspaces(tmp_path, database_url) as (slack, url, engine, services):
        found_organization(slack.world)
        await install(slack, url, "ada", ORGANIZATION)
        await slack.marketer.command("/iterable-sync help")
        await slack.person("noor").command("/iterable-sync help", channel="campaigns")
        ours, theirs = await stored_mapping(engine, FIRST_TEAM), await stored_mapping(engine, SECOND_TEAM)

        await revoke_access(slack.delivery, SECOND_TEAM)
        assert await is_suspended(engine, theirs.connection_id)
        assert not await is_suspended(engine, ours.connection_id)
        assert await services.clients.for_team(SECOND_TEAM) is None
        assert await services.clients.for_team(FIRST_TEAM) is not None

        await slack.uninstall(FIRST_TEAM)
        assert await is_suspended(engine, ours.connection_id)
        assert await services.clients.for_team(FIRST_TEAM) is None


async def test_organization_that_is_not_allowed(tmp_path: Path) -> None:
    """An organization that the operator has not allowed gets a refusal, even if one of its workspaces is allowed."""
    async with many_workspaces(tmp_path, allowed=FIRST_TEAM) as (slack, url, _, services):
        found_organization(slack.world)
        assert await install(slack, url, "ada", ORGANIZATION) == 403
        assert await services.clients.for_team(FIRST_TEAM) is None


@pytest.mark.parametrize(("rotation", "fault"), [(False, "whole organization"), (True, "expires after 12 hours")])
async def test_tokens_that_a_setting_cannot_have(tmp_path: Path, rotation: bool, fault: str) -> None:
    """The token of an organization, or one that expires, is refused as a setting, and the error says what to do."""
    async with iterable_running() as iterable, local_slack() as slack:
        if rotation:
            slack.world.installs[FIRST_TEAM].token = "xoxe.xoxb-1"
        else:
            found_organization(slack.world)
            install_for_organization(slack.world, ORGANIZATION, "U01ADA", frozenset(slack.world.app.scopes))
        with pytest.raises(SettingsError, match=fault):
            async with running_bot(slack, iterable, tmp_path):
                pass


async def test_tokens_are_refreshed(tmp_path: Path, database_url: str) -> None:
    """A token that expires soon is used while it is refreshed once; an expired one is refreshed before its use."""
    async with many_workspaces(tmp_path, database_url) as (slack, url, _, services):
        world = slack.world
        world.app.token_rotation, world.token_lifetime = True, 5_400
        await install(slack, url, "ada")
        first, world.token_lifetime = world.installs[FIRST_TEAM].token, 43_200
        clients = await asyncio.gather(*(services.clients.for_team(FIRST_TEAM) for _ in range(5)))
        await slack.wait_for(lambda: world.installs[FIRST_TEAM].token != first)
        assert {client.token for client in clients if client} <= {first, world.installs[FIRST_TEAM].token}
        assert [call.args.get("grant_type") for call in slack.calls("oauth.v2.access")] == [None, "refresh_token"]

        world.token_lifetime = 1
        await install(slack, url, "ada")
        expired = world.installs[FIRST_TEAM].token
        slack.advance(2)
        world.token_lifetime = 43_200
        assert (await slack.marketer.command("/iterable-sync help")).ok
        await slack.wait_for(lambda: slack.calls("chat.postEphemeral"))
        assert slack.calls("chat.postEphemeral")[0].answer["ok"]
        client = await services.clients.for_team(FIRST_TEAM)
        assert client is not None
        assert client.token not in (first, expired)


async def test_refresh_that_slack_refuses(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """If Slack refuses the refresh token, the log says so without it, and the present token is used while it works."""
    async with many_workspaces(tmp_path) as (slack, url, _, services):
        slack.world.app.token_rotation, slack.world.token_lifetime = True, 5_400
        await install(slack, url, "ada")
        slack.world.installs[FIRST_TEAM].refresh_token = ""
        client = await services.clients.for_team(FIRST_TEAM)
        assert client is not None
        await slack.wait_for(lambda: len(slack.calls("oauth.v2.access")) > 1)
        assert (await client.auth_test())["ok"]
    assert "could not refresh the token of T01FERNWAY" in caplog.text
    assert "xoxe" not in caplog.text
