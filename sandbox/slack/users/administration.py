"""Actions on the app itself: open its home tab, install it, remove it."""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from sandbox.slack.delivery.dispatcher import Delivery
from sandbox.slack.users.outcome import Outcome
from sandbox.slack.workspace.grants import Code
from sandbox.slack.workspace.models import User
from sandbox.slack.workspace.view_state import NotPossibleError
from sandbox.slack.workspace.workspace import CODE_SECONDS, World


async def open_home(delivery: Delivery, user: User, tab: str = "home") -> Outcome:
    """Open the app's home (or messages) tab."""
    world = delivery.world
    event: dict[str, Any] = {
        "type": "app_home_opened",
        "user": user.id,
        "channel": world.direct_message(user).id,
        "tab": tab,
        "event_ts": world.new_ts(),
    }
    if user.home and tab == "home":
        event["view"] = user.home.as_json()
    answer = await delivery.event(user.app_team_id, event)
    return Outcome(answer.error)


def allow(world: World, user: User, authorize_url: str, organization: str = "") -> str:
    """Press Allow on the install page, for a workspace or an organization. Returns the redirect address, with code and
    state."""
    query = {key: values[0] for key, values in parse_qs(urlsplit(authorize_url).query).items()}
    problem = install_problem(world, query)
    if problem:
        raise NotPossibleError(problem)
    code = Code(
        secrets.token_hex(10),
        user.team_id,
        user.id,
        query.get("redirect_uri", ""),
        frozenset(scope for scope in query["scope"].replace(" ", ",").split(",") if scope),
        world.now() + CODE_SECONDS,
        organization,
    )
    world.codes[code.code] = code
    redirect = code.redirect_uri or world.app.redirect_urls[0]
    joiner = "&" if "?" in redirect else "?"
    return redirect + joiner + urlencode({"code": code.code, "state": query.get("state", "")})


def install_problem(world: World, query: dict[str, str]) -> str:
    """Return what is wrong with a request for the install page, or an empty string."""
    app = world.app
    redirect = query.get("redirect_uri", "")
    if query.get("client_id") != app.client_id:
        return "invalid_client_id: no app has this client_id"
    if not query.get("scope"):
        return "invalid_scope: no scope is asked for"
    if app.redirect_urls and redirect and not any(redirect.startswith(url) for url in app.redirect_urls):
        return "bad_redirect_uri: the manifest doesn't list this redirect_uri"
    if not redirect and not app.redirect_urls:
        return "bad_redirect_uri: there is no redirect_uri"
    return ""


async def uninstall(delivery: Delivery, team_id: str, tokens_first: bool = False) -> None:
    """Remove the app from a workspace: its token stops working, and two events follow, in either order."""
    world = delivery.world
    install = world.installs[team_id]
    install.gone = "account_inactive"
    for channel in world.channels.values():
        channel.members.discard(install.bot_user)
    events: list[dict[str, Any]] = [
        {"type": "app_uninstalled"},
        {"type": "tokens_revoked", "tokens": {"oauth": [], "bot": [install.bot_user]}},
    ]
    for event in reversed(events) if tokens_first else events:
        await delivery.event(team_id, event)


async def revoke_tokens(delivery: Delivery, team_id: str) -> None:
    """Revoke the bot's token without removing the app."""
    install = delivery.world.installs[team_id]
    install.gone = "token_revoked"
    await delivery.event(team_id, {"type": "tokens_revoked", "tokens": {"oauth": [], "bot": [install.bot_user]}})


async def revoke_access(delivery: Delivery, team_id: str) -> None:
    """Remove the app from a workspace, but not from its organization.

    See docs.slack.dev/reference/events/team_access_revoked.
    """
    install = delivery.world.installs[team_id]
    install.team_ids.discard(team_id)
    await delivery.event(team_id, {"type": "team_access_revoked", "team_ids": [team_id]})
    del delivery.world.installs[team_id]
