"""Token rotation: bot tokens that expire after 12 hours, and refresh tokens that work once.

See https://docs.slack.dev/authentication/using-token-rotation. A former token works until it expires.
"""

from __future__ import annotations

import secrets

from sandbox.slack.errors import SlackError
from sandbox.slack.workspace.grants import Install
from sandbox.slack.workspace.models import Json
from sandbox.slack.workspace.workspace import World


def rotate(world: World, install: Install) -> Json:
    """Give an install a new token and a new refresh token. Returns the fields of the answer."""
    install.token = f"xoxe.xoxb-local-{secrets.token_hex(8)}"
    install.refresh_token = f"xoxe-1-local-{secrets.token_hex(8)}"
    world.tokens[install.token] = install
    world.token_ends[install.token] = world.now() + world.token_lifetime
    return {
        "access_token": install.token,
        "refresh_token": install.refresh_token,
        "expires_in": world.token_lifetime,
        "token_type": "bot",
    }


def refresh(world: World, refresh_token: str) -> tuple[Install, Json]:
    """Use up a refresh token. Returns the install, and the fields of the answer."""
    for install in world.tokens.values():
        if refresh_token and install.refresh_token == refresh_token and not install.gone:
            return install, rotate(world, install)
    raise SlackError("invalid_refresh_token")
