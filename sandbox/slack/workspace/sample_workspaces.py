"""Two sample workspaces with their people and channels. The app is installed in the first."""

from __future__ import annotations

from sandbox.slack.workspace.app import App
from sandbox.slack.workspace.models import Channel, Message, Team, User
from sandbox.slack.workspace.user_groups import UserGroup
from sandbox.slack.workspace.workspace import World

FIRST_TEAM = "T01FERNWAY"
SECOND_TEAM = "T02HARBOUR"


def sample_world(app: App, base_url: str) -> World:
    """Return a world with both workspaces."""
    world = World(app, base_url)
    for team in (
        Team(FIRST_TEAM, "Fernway Outdoor", "fernway"),
        Team(SECOND_TEAM, "Harbour Books", "harbour"),
    ):
        world.teams[team.id] = team
    for user in (
        User("U01MAYA", FIRST_TEAM, "maya", "Maya Lindqvist", "Lifecycle marketer"),
        User("U01AMIR", FIRST_TEAM, "amir", "Amir Haddad", "Head of CRM, approver"),
        User("U01OKSANA", FIRST_TEAM, "oksana", "Oksana Bondar", "Marketing operations"),
        User("U01ADA", FIRST_TEAM, "ada", "Ada Nwosu", "Workspace admin", is_admin=True, is_owner=True),
        User("U02NOOR", SECOND_TEAM, "noor", "Noor Visser", "Campaign manager"),
        User("U02SVEN", SECOND_TEAM, "sven", "Sven Aalto", "Workspace admin", is_admin=True, is_owner=True),
    ):
        world.users[user.id] = user
    for group in (
        UserGroup("S01CRM", FIRST_TEAM, "crm", "CRM team", ["U01AMIR", "U01OKSANA"]),
        UserGroup("S01LEADS", FIRST_TEAM, "crm-leads", "CRM leads", ["U01AMIR"]),
        UserGroup("S02BOOKS", SECOND_TEAM, "books", "Books", ["U02NOOR"]),
    ):
        world.user_groups[group.id] = group
    everyone = {user.id for user in world.people(FIRST_TEAM)}
    second = {user.id for user in world.people(SECOND_TEAM)}
    for channel in (
        Channel("C01MARKETING", FIRST_TEAM, "marketing", "Campaigns and audiences", members=set(everyone)),
        Channel("C01ALERTS", FIRST_TEAM, "sync-alerts", "What the sync has to say", members=set(everyone)),
        Channel("C01GENERAL", FIRST_TEAM, "general", "Everyone", members=set(everyone)),
        Channel("C01CRM", FIRST_TEAM, "crm-leads", "Private", is_private=True, members={"U01AMIR", "U01OKSANA"}),
        Channel("C01OLD", FIRST_TEAM, "spring-2024", "Archived", is_archived=True, members=set(everyone)),
        Channel("C02CAMPAIGNS", SECOND_TEAM, "campaigns", "Newsletters", members=set(second)),
        Channel("C02GENERAL", SECOND_TEAM, "general", "Everyone", members=set(second)),
    ):
        world.channels[channel.id] = channel
    first = world.install(FIRST_TEAM, "U01ADA", frozenset(app.scopes))
    for name in ("C01MARKETING", "C01ALERTS", "C01OLD"):
        world.channels[name].members.add(first.bot_user)
    for user in world.people(FIRST_TEAM):
        world.direct_message(user)
    general = world.channels["C01GENERAL"]
    world.add_message(
        Message(world.new_ts(), general, "U01ADA", f"Welcome! <@{first.bot_user}> is installed, see the Apps below.")
    )
    return world
