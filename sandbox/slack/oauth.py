"""The install page: choose a workspace, review the scopes, allow."""

from __future__ import annotations

import html

from aiohttp import web

from sandbox.slack.users.administration import allow, install_problem
from sandbox.slack.workspace.workspace import World

MEANINGS = {
    "commands": "Add shortcuts and slash commands",
    "chat:write": "Send messages as the app",
    "chat:write.public": "Send messages to channels that it isn't a member of",
    "files:read": "Read files in conversations that the app is in",
    "files:write": "Upload, edit and delete files",
    "users:read": "See people in the workspace",
    "users:read.email": "See people's email addresses",
    "channels:read": "See basic information about public channels",
    "groups:read": "See basic information about private channels that it is in",
    "im:write": "Start direct messages",
}

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Install {title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="/static/install.css"></head>
<body><main>{body}</main></body></html>
"""


def add_routes(app: web.Application, world: World) -> None:
    """Add the authorize page and its Allow button to the server."""

    async def page(request: web.Request) -> web.Response:
        query = dict(request.query)
        title = html.escape(world.app.title)
        problem = install_problem(world, query)
        if problem:
            body = f"<h1>{title} can't be installed</h1><p role='alert'>{html.escape(problem)}</p>"
            text = PAGE.format(title=title, body=body)
            return web.Response(text=text, content_type="text/html", status=400)
        requested = [scope for scope in query["scope"].replace(" ", ",").split(",") if scope]
        scopes = "".join(f"<li>{html.escape(MEANINGS.get(scope, scope))}</li>" for scope in requested)
        organizations = "".join(
            f"<option value='{user.id}/{user.organization}'>{html.escape(world.organizations[user.organization])}"
            f" (the whole organization), as {html.escape(user.real_name)}</option>"
            for user in world.people()
            if user.is_owner and user.organization
        )
        people = "".join(
            f"<option value='{user.id}'>{html.escape(world.teams[user.team_id].name)},"
            f" as {html.escape(user.real_name)}</option>"
            for user in sorted(world.people(), key=lambda person: not person.is_admin)
        )
        body = (
            f"<h1>{title} wants to join a workspace</h1>"
            f"<form method='post'><label>Workspace<select name='as'>{people}{organizations}</select></label>"
            f"<h2>What it may do</h2><ul>{scopes}</ul><button type='submit'>Allow</button></form>"
        )
        return web.Response(text=PAGE.format(title=title, body=body), content_type="text/html")

    async def install(request: web.Request) -> web.Response:
        form = await request.post()
        user_id, _, organization = str(form["as"]).partition("/")
        raise web.HTTPFound(allow(world, world.users[user_id], str(request.url), organization))

    app.router.add_get("/oauth/v2/authorize", page)
    app.router.add_post("/oauth/v2/authorize", install)
