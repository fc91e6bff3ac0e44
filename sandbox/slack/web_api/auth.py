"""Tokens: auth.test, auth.revoke, oauth.v2.access, apps.connections.open."""

from __future__ import annotations

from sandbox.slack.errors import SlackError
from sandbox.slack.web_api.request import ApiRequest
from sandbox.slack.workspace.grants import Install
from sandbox.slack.workspace.models import Json
from sandbox.slack.workspace.organization import install_for_organization
from sandbox.slack.workspace.token_rotation import refresh, rotate
from sandbox.slack.workspace.workspace import World


def auth_test(request: ApiRequest) -> Json:
    """auth.test"""
    world, install = request.world, request.caller
    if install.organization:
        return {
            "url": f"{world.base_url}/",
            "team": world.organizations[install.organization],
            "user": world.app.name,
            "team_id": install.organization,
            "user_id": install.bot_user,
            "bot_id": install.bot_id,
            "enterprise_id": install.organization,
            "is_enterprise_install": True,
        }
    team = world.teams[install.team_id]
    return {
        "url": f"{world.base_url}/",
        "team": team.name,
        "user": world.app.name,
        "team_id": team.id,
        "user_id": install.bot_user,
        "bot_id": install.bot_id,
        "is_enterprise_install": False,
    }


def auth_revoke(request: ApiRequest) -> Json:
    """auth.revoke"""
    if request.flag("test"):
        return {"revoked": False}
    request.caller.gone = "token_revoked"
    return {"revoked": True}


def oauth_v2_access(request: ApiRequest) -> Json:
    """oauth.v2.access: exchange the code of the install page for a token, once."""
    world, app = request.world, request.world.app
    client_id = request.basic[0] if request.basic else request.text("client_id")
    secret = request.basic[1] if request.basic else request.text("client_secret")
    if client_id != app.client_id:
        raise SlackError("invalid_client_id")
    if secret != app.client_secret:
        raise SlackError("bad_client_secret")
    if request.text("grant_type") == "refresh_token":
        return _refreshed(request)
    code = world.codes.pop(request.text("code"), None)
    if code is None or code.expires < world.now():
        raise SlackError("invalid_code")
    if request.text("redirect_uri") != code.redirect_uri and (
        request.text("redirect_uri") or code.redirect_uri in app.redirect_urls
    ):
        raise SlackError("bad_redirect_uri")
    if code.organization:
        install = install_for_organization(world, code.organization, code.user, code.scopes)
    else:
        install = world.install(code.team_id, code.user, code.scopes)
    answer = _installed(world, install) | {"authed_user": {"id": code.user}}
    return answer | rotate(world, install) if app.token_rotation else answer


def _refreshed(request: ApiRequest) -> Json:
    install, tokens = refresh(request.world, request.text("refresh_token"))
    return _installed(request.world, install) | tokens


def _installed(world: World, install: Install) -> Json:
    """Return the fields of an installation; one for an organization has no `team`."""
    organization = install.organization or world.teams[install.team_id].organization
    return {
        "app_id": world.app.id,
        "scope": ",".join(sorted(install.scopes)),
        "token_type": "bot",
        "access_token": install.token,
        "bot_user_id": install.bot_user,
        "team": None if install.organization else {"id": install.team_id, "name": world.teams[install.team_id].name},
        "enterprise": {"id": organization, "name": world.organizations[organization]} if organization else None,
        "is_enterprise_install": bool(install.organization),
    }
