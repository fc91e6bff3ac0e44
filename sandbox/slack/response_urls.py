"""The addresses for answers to an interaction: five posts within half an hour."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from sandbox.slack.errors import SlackError
from sandbox.slack.users.composing import respond
from sandbox.slack.validation import checked_message_blocks
from sandbox.slack.web_api.chat import change_message
from sandbox.slack.web_api.endpoint import respond as answer
from sandbox.slack.web_api.request import read_arguments
from sandbox.slack.workspace.grants import ResponseUrl
from sandbox.slack.workspace.workspace import World

MOST_USES = 5


async def handle(world: World, request: web.Request) -> web.Response:
    """Handle one post to a response_url."""
    response_url = world.response_urls.get(request.match_info["id"])
    try:
        if response_url is None or response_url.expires < world.now():
            return answer({"ok": False, "error": "expired_url"}, 404)
        if response_url.uses >= MOST_USES:
            return answer({"ok": False, "error": "used_url"}, 404)
        response_url.uses += 1
        _apply(world, response_url, await read_arguments(request))
    except SlackError as error:
        return answer(error.as_json(), 400)
    world.changed()
    return web.Response(text="ok")


def _apply(world: World, response_url: ResponseUrl, body: dict[str, Any]) -> None:
    origin = response_url.origin
    if origin is not None and origin not in origin.channel.messages:
        origin = None
    if body.get("delete_original"):
        if origin is not None:
            origin.channel.messages.remove(origin)
        return
    if body.get("replace_original") and origin is not None:
        blocks = checked_message_blocks(body.get("blocks"))
        if not body.get("text") and not blocks:
            raise SlackError("no_text")
        change_message(world, origin, str(body.get("text") or ""), blocks)
        return
    respond(world, world.users[response_url.user], world.channels[response_url.channel], body)
