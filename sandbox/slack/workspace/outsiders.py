"""People who are not regular members of the app's workspace: guests, bots, deactivated people, other workspaces.

They are added only if a test or a tour needs them.
"""

from __future__ import annotations

from sandbox.slack.workspace.models import Team, User
from sandbox.slack.workspace.sample_workspaces import FIRST_TEAM, SECOND_TEAM
from sandbox.slack.workspace.workspace import World

PARTNER_TEAM = "T03PARTNER"
SHARED_CHANNEL = "C01MARKETING"
GUEST, SINGLE_CHANNEL_GUEST, BOT, DEACTIVATED = "U01GINA", "U01SIMON", "U01FLOW", "U01DORA"
STRANGER, NEIGHBOUR = "U03PIA", "U02NOOR"


def add_outsiders(world: World) -> None:
    """Add them to the first workspace, and install the app in the second one as well.

    If an app is installed in several workspaces, requests from all of them arrive over the same Socket Mode connection:
    the app-level token belongs to the app, not to a workspace (docs.slack.dev/apis/events-api/using-socket-mode).
    """
    world.teams[PARTNER_TEAM] = Team(PARTNER_TEAM, "Partner Agency", "partner")
    for user in (
        User(GUEST, FIRST_TEAM, "gina", "Gina Rossi", "Guest of several channels", is_restricted=True),
        User(
            SINGLE_CHANNEL_GUEST,
            FIRST_TEAM,
            "simon",
            "Simon Okafor",
            "Guest of one channel",
            is_restricted=True,
            is_ultra_restricted=True,
        ),
        User(BOT, FIRST_TEAM, "flow", "Workflow", is_bot=True),
        User(DEACTIVATED, FIRST_TEAM, "dora", "Dora Klein", deleted=True),
        User(STRANGER, PARTNER_TEAM, "pia", "Pia Novak", "Works for a partner", connected_to=FIRST_TEAM),
    ):
        world.users[user.id] = user
        world.channels[SHARED_CHANNEL].members.add(user.id)
    world.install(SECOND_TEAM, "U02SVEN", frozenset(world.app.scopes))
    world.changed()
