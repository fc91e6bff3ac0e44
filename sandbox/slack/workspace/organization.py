"""An organization (Enterprise Grid): workspaces that one installation of the app may serve.

An admin installs the app for the organization, and then adds it to workspaces. One token works in all of them
(docs.slack.dev/enterprise, "Organization-ready apps"; api.slack.com/enterprise/apps/reference).
"""

from __future__ import annotations

from sandbox.slack.workspace.grants import Install
from sandbox.slack.workspace.models import User
from sandbox.slack.workspace.workspace import World

ORGANIZATION = "E01GROVE"


def found_organization(world: World) -> None:
    """Put all workspaces and their people into one organization."""
    world.organizations[ORGANIZATION] = "Grove Group"
    for team in world.teams.values():
        team.organization = ORGANIZATION
    for user in world.people():
        user.organization, user.teams = ORGANIZATION, (user.team_id,)


def install_for_organization(world: World, organization: str, user_id: str, scopes: frozenset[str]) -> Install:
    """Install the app for an organization, and add it to all of its workspaces."""
    team_ids = {team.id for team in world.teams.values() if team.organization == organization}
    bot_user = f"U{organization[1:]}BOT"
    token = f"xoxb-local-{organization.lower()}"
    install = Install(
        "", bot_user, f"B{organization[1:]}BOT", token, scopes, user_id, organization=organization, team_ids=team_ids
    )
    first = min(team_ids)
    world.users[bot_user] = User(
        bot_user, first, world.app.name, world.app.title, is_bot=True, organization=organization, teams=tuple(team_ids)
    )
    world.tokens[token] = install
    for team_id in team_ids:
        former = world.installs.get(team_id)
        world.installs[team_id] = install
        for channel in world.channels.values():
            if former and channel.team_id == team_id and former.bot_user in channel.members:
                channel.members.add(bot_user)
    world.changed()
    return install
