"""Messages: chat.postMessage, chat.postEphemeral, chat.update, chat.delete, chat.getPermalink."""

from __future__ import annotations

from typing import Any

from sandbox.slack.errors import SlackError
from sandbox.slack.validation import checked_message_blocks
from sandbox.slack.web_api.request import ApiRequest
from sandbox.slack.workspace.models import Channel, Json, Message
from sandbox.slack.workspace.workspace import World

MOST_TEXT = 40_000
NOT_INTERACTIVE = ("plain_text", "mrkdwn", "image")


def with_ids(world: World, blocks: list[Json]) -> list[Json]:
    """Return the blocks as Slack stores them: each with a block_id, each interactive element with an action_id."""

    def named(element: Json) -> Json:
        if element["type"] in NOT_INTERACTIVE:
            return element
        return {**element, "action_id": element.get("action_id") or world.new_id("a")}

    kept = []
    for block in blocks:
        copy = {**block, "block_id": block.get("block_id") or world.new_id("b")}
        for key in ("element", "accessory"):
            if copy.get(key):
                copy[key] = named(copy[key])
        if block["type"] in ("actions", "card"):
            key = "elements" if block["type"] == "actions" else "actions"
            copy[key] = [named(element) for element in copy.get(key) or []]
        if block["type"] in ("container", "carousel"):
            key = "child_blocks" if block["type"] == "container" else "elements"
            copy[key] = with_ids(world, copy[key])
        kept.append(copy)
    return kept


def post_message(request: ApiRequest) -> Json:
    """chat.postMessage"""
    channel = _target(request)
    message = _new_message(request, channel)
    request.world.add_message(message)
    return {"channel": channel.id, "ts": message.ts, "message": message.as_json()}


def post_ephemeral(request: ApiRequest) -> Json:
    """chat.postEphemeral"""
    channel = _target(request)
    user_id = request.needed("user")
    if user_id not in channel.members:
        raise SlackError("user_not_in_channel")
    message = _new_message(request, channel)
    message.only_for = user_id
    request.world.add_message(message)
    return {"message_ts": message.ts}


def update(request: ApiRequest) -> Json:
    """chat.update: text without blocks removes the blocks."""
    message = _own_message(request, "cant_update_message")
    blocks, text = request.decoded("blocks", "invalid_blocks_format"), request.args.get("text")
    if len(str(text or "")) > MOST_TEXT:
        raise SlackError("msg_too_long")
    if not text and not blocks:
        raise SlackError("no_text")
    checked = checked_message_blocks(blocks)
    if message.channel.is_archived:
        raise SlackError("is_archived")
    change_message(request.world, message, None if text is None else str(text), checked)
    if request.args.get("metadata") is not None:
        message.metadata = request.decoded("metadata")
    return {
        "channel": message.channel.id,
        "ts": message.ts,
        "text": message.text,
        "message": message.as_json(),
    }


def change_message(world: World, message: Message, text: str | None, blocks: list[Json]) -> None:
    """Replace the content of a message."""
    if text is not None:
        message.text = text
    message.blocks = with_ids(world, blocks)
    message.edited = world.new_ts()
    message.values.clear()
    world.changed()


def delete(request: ApiRequest) -> Json:
    """chat.delete"""
    message = _own_message(request, "cant_delete_message")
    message.channel.messages.remove(message)
    request.world.changed()
    return {"channel": message.channel.id, "ts": message.ts}


def get_permalink(request: ApiRequest) -> Json:
    """chat.getPermalink"""
    channel = request.visible_channel(request.text("channel"))
    ts = request.text("message_ts")
    if request.world.message(channel.id, ts) is None:
        raise SlackError("message_not_found")
    link = f"{request.world.base_url}/archives/{channel.id}/p{ts.replace('.', '')}"
    return {"channel": channel.id, "permalink": link}


def _target(request: ApiRequest) -> Channel:
    """Return the conversation to post to: by id or #name, or the direct message with a person."""
    name = request.text("channel")
    world = request.world
    if name.startswith(("U", "W")) and name in world.users:
        return world.direct_message(request.user(name))
    for conversation in world.channels.values():
        if (
            request.caller.covers(conversation.team_id)
            and not conversation.is_im
            and name.lstrip("#") == conversation.name
        ):
            name = conversation.id
    channel = request.visible_channel(name)
    if channel.is_archived:
        raise SlackError("is_archived")
    may_anywhere = "chat:write.public" in request.caller.scopes and not channel.is_private
    if request.caller.bot_user not in channel.members and not may_anywhere:
        raise SlackError("not_in_channel")
    return channel


def _new_message(request: ApiRequest, channel: Channel) -> Message:
    world, install = request.world, request.caller
    blocks = checked_message_blocks(request.decoded("blocks", "invalid_blocks_format"))
    text = request.text("text")[:MOST_TEXT]
    if not text and not blocks:
        raise SlackError("no_text")
    return Message(
        ts=world.new_ts(),
        channel=channel,
        user=install.bot_user,
        text=text,
        blocks=with_ids(world, blocks),
        thread_ts=thread_of(world, channel, request.args.get("thread_ts")),
        bot_id=install.bot_id,
        metadata=request.decoded("metadata"),
        broadcast=request.flag("reply_broadcast"),
    )


def thread_of(world: World, channel: Channel, thread_ts: Any) -> str | None:
    """Return the thread of a reply: the ts of its first message, even if a later message was given."""
    if not thread_ts:
        return None
    parent = world.message(channel.id, str(thread_ts))
    if parent is None:
        raise SlackError("thread_not_found")
    return parent.thread_ts or parent.ts


def _own_message(request: ApiRequest, error: str) -> Message:
    channel = request.visible_channel(request.text("channel"))
    message = request.world.message(channel.id, request.text("ts"))
    if message is None or message.only_for:
        raise SlackError("message_not_found")
    if message.bot_id != request.caller.bot_id:
        raise SlackError(error)
    return message
