"""Tokens: auth.test, auth.revoke, oauth.v2.access, apps.connections.open."""

from __future__ import annotations

from sandbox.slack.errors import SlackError
from sandbox.slack.web_api.request import ApiRequest
from sandbox.slack.workspace.models import Json


def auth_test(request: ApiRequest) -> Json:
    """auth.test"""
    world, install = request.world, request.caller
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
    code = world.codes.pop(request.text("code"), None)
    if code is None or code.expires < world.now():
        raise SlackError("invalid_code")
    if request.text("redirect_uri") != code.redirect_uri and (
        request.text("redirect_uri") or code.redirect_uri in app.redirect_urls
    ):
        raise SlackError("bad_redirect_uri")
    install = world.install(code.team_id, code.user, code.scopes)
    return {
        "app_id": app.id,
        "authed_user": {"id": code.user},
        "scope": ",".join(sorted(install.scopes)),
        "token_type": "bot",
        "access_token": install.token,
        "bot_user_id": install.bot_user,
        "team": {"id": code.team_id, "name": world.teams[code.team_id].name},
        "enterprise": None,
        "is_enterprise_install": False,
    }
