"""Files: the three steps of an upload, files.info, and the download with a token."""

from __future__ import annotations

import mimetypes
import secrets
from typing import Any
from urllib.parse import quote

from aiohttp import web

from sandbox.slack.errors import SlackError
from sandbox.slack.web_api.chat import thread_of
from sandbox.slack.web_api.request import ApiRequest
from sandbox.slack.workspace.grants import Install
from sandbox.slack.workspace.models import File, Json, Message, User
from sandbox.slack.workspace.workspace import World

LOGIN_PAGE = (
    "<!DOCTYPE html><html lang='en'><head><title>Sign in</title></head>"
    "<body><h1>Sign in to see this file</h1></body></html>"
)


def new_file(world: World, user: User, name: str, content: bytes | None, size: int = 0) -> File:
    """Create a file of this person; without content it waits for an upload."""
    file_id = world.new_id("F")
    file = File(
        id=file_id,
        team_id=user.team_id,
        name=name,
        user=user.id,
        url=f"{world.base_url}/files-pri/{user.team_id}-{file_id}/download/{name}",
        created=int(world.now()),
        content=content,
        mimetype=mimetypes.guess_type(name)[0] or "application/octet-stream",
        announced_size=size,
    )
    world.files[file_id] = file
    return file


def get_upload_url(request: ApiRequest) -> Json:
    """files.getUploadURLExternal"""
    name, length = request.needed("filename"), request.number("length", 0)
    if length <= 0:
        raise SlackError("invalid_arguments")
    world = request.world
    file = new_file(world, world.users[request.caller.bot_user], name, None, length)
    file.for_app = True
    ticket = secrets.token_hex(12)
    world.uploads[ticket] = file
    return {"upload_url": f"{world.base_url}/upload/v1/{ticket}", "file_id": file.id}


def complete_upload(request: ApiRequest) -> Json:
    """files.completeUploadExternal"""
    world, install = request.world, request.caller
    listed: Any = request.decoded("files")
    if not isinstance(listed, list) or not listed:
        raise SlackError("invalid_arguments")
    files = []
    for item in listed:
        file = world.files.get(item.get("id", ""))
        if file is None or file.user != install.bot_user or file.content is None:
            raise SlackError("file_not_found")
        file.title = item.get("title") or file.title
        files.append(file)
    if request.text("channel_id"):
        channel = request.visible_channel(request.text("channel_id"))
        if channel.is_archived:
            raise SlackError("is_archived")
        if install.bot_user not in channel.members:
            raise SlackError("not_in_channel")
        for file in files:
            file.channels.add(channel.id)
        world.add_message(
            Message(
                ts=world.new_ts(),
                channel=channel,
                user=install.bot_user,
                text=request.text("initial_comment"),
                thread_ts=thread_of(world, channel, request.args.get("thread_ts")),
                bot_id=install.bot_id,
                files=files,
            )
        )
    return {"files": [file.as_json() for file in files]}


def info(request: ApiRequest) -> Json:
    """files.info"""
    file = request.world.files.get(request.text("file"))
    if file is None or file.content is None or not may_read(request.world, request.caller, file):
        raise SlackError("file_not_found")
    return {"file": file.as_json(), "comments": [], "response_metadata": {"next_cursor": ""}}


def may_read(world: World, install: Install, file: File) -> bool:
    """Whether a bot can see a file: its own, one entered in its modal, or one in a conversation that it sees."""
    if not install.covers(file.team_id):
        return False
    if file.for_app:
        return True
    channels = [world.channels[channel_id] for channel_id in file.channels]
    return any(install.bot_user in channel.members or not (channel.is_private or channel.is_im) for channel in channels)


async def upload(world: World, request: web.Request) -> web.Response:
    """Receive the bytes (the second step), raw or as a form."""
    file = world.uploads.pop(request.match_info["ticket"], None)
    if file is None:
        return web.Response(status=404, text="unknown upload")
    if request.content_type == "multipart/form-data":
        form = await request.post()
        part = next(iter(form.values()), b"")
        file.content = part.file.read() if isinstance(part, web.FileField) else str(part).encode()
    else:
        file.content = await request.read()
    return web.Response(text=f"OK - {file.size}")


def download(world: World, request: web.Request) -> web.Response:
    """Return a file's bytes for a token that may read it. Otherwise redirect to the login page of the workspace.

    That page has status 200. Slack redirects to `/?redir=...`: https://github.com/drewminns/slackdeletron/issues/48.
    """
    token = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
    install = world.tokens.get(token)
    file = world.files.get(request.match_info["file"])
    if install is None or install.gone or "files:read" not in install.scopes:
        return web.Response(status=302, headers={"Location": f"{world.base_url}/login?redir={quote(request.path)}"})
    if file is None or file.content is None or not may_read(world, install, file):
        return web.Response(status=404, text=LOGIN_PAGE, content_type="text/html")
    if file.moved_to:
        return web.Response(status=302, headers={"Location": file.moved_to})
    return web.Response(body=file.content, content_type=file.mimetype)


def login(_request: web.Request) -> web.Response:
    """Return the login page, to which requests without a sufficient token are redirected."""
    return web.Response(text=LOGIN_PAGE, content_type="text/html")
