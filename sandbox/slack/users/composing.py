"""Composing: messages, slash commands, files, invitations."""

from __future__ import annotations

import re
from typing import Any

from sandbox.slack.delivery import payloads
from sandbox.slack.delivery.ack import TIMED_OUT
from sandbox.slack.delivery.dispatcher import Delivery
from sandbox.slack.errors import SlackError
from sandbox.slack.users.outcome import Outcome
from sandbox.slack.validation import checked_message_blocks
from sandbox.slack.web_api.chat import thread_of, with_ids
from sandbox.slack.web_api.files import new_file
from sandbox.slack.workspace.models import Channel, Json, Message, User
from sandbox.slack.workspace.workspace import World

SYSTEM = "USLACKBOT"


def say(world: World, user: User, channel: Channel, text: str, thread_ts: str | None = None) -> Message:
    """Write a message; `@name` and `#name` become mentions, addresses become links."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    escaped = re.sub(r"https?://[^\s<>|]+[^\s<>|.,;:!?)'\"]", r"<\g<0>>", escaped)
    return world.add_message(
        Message(
            world.new_ts(),
            channel,
            user.id,
            with_mentions(world, user.team_id, escaped),
            thread_ts=thread_of(world, channel, thread_ts),
        )
    )


def upload(
    world: World,
    user: User,
    channel: Channel,
    name: str,
    content: bytes,
    comment: str = "",
    thread_ts: str | None = None,
) -> Message:
    """Upload a file to a conversation."""
    file = new_file(world, user, name, content)
    file.channels.add(channel.id)
    message = say(world, user, channel, comment, thread_ts)
    message.files.append(file)
    world.changed()
    return message


def invite(world: World, user: User, channel: Channel) -> None:
    """Invite the app's bot to a channel."""
    bot = world.installs[user.team_id].bot_user
    if bot not in channel.members:
        channel.members.add(bot)
        world.add_message(Message(world.new_ts(), channel, user.id, f"added <@{bot}> to the channel"))


async def command(
    delivery: Delivery, user: User, channel: Channel, typed: str, thread_ts: str | None = None
) -> Outcome:
    """Type a slash command. The person sees the app's acknowledgement, or an error if there is none."""
    world = delivery.world
    name, _, text = typed.strip().partition(" ")
    if name == "/invite":
        invite(world, user, channel)
        return Outcome(sent=False)
    known = next((command for command in world.app.commands if command.command == name), None)
    install = world.installs.get(user.team_id)
    if thread_ts:
        return _refused(world, user, channel, f"{name} can't be used in a thread.", thread_ts)
    if known is None or install is None or install.gone or "commands" not in install.scopes:
        return _refused(world, user, channel, f"{name} is not a command that this workspace knows.")
    if known.should_escape:
        text = with_mentions(world, user.team_id, text)
    payload = payloads.command(world, user, channel, name, text.strip())
    answer = await delivery.send("slash_commands", payload)
    if answer.error:
        reason = "it took longer than 3 seconds" if answer.error == TIMED_OUT else "the app can't be reached"
        shown = f"{name} failed with the error `{answer.error}`: {reason}."
        return Outcome(error=answer.error, shown=shown, message=_notice(world, user, channel, shown))
    return _acknowledged(world, user, channel, typed.strip(), answer.payload)


def _acknowledged(world: World, user: User, channel: Channel, typed: str, payload: Json) -> Outcome:
    if not payload:
        return Outcome()
    try:
        return Outcome(payload=payload, message=respond(world, user, channel, payload, echo=typed))
    except SlackError as error:
        shown = f"{typed.split(maxsplit=1)[0]} failed with the error `{error.error}`."
        return Outcome(error.error, shown, payload=payload, message=_notice(world, user, channel, shown))


def respond(world: World, user: User, channel: Channel, body: dict[str, Any], echo: str = "") -> Message:
    """Post the message of an acknowledgement or a response_url; it is ephemeral by default."""
    install = world.installs[user.team_id]
    blocks = with_ids(world, checked_message_blocks(body.get("blocks")))
    text = str(body.get("text") or "")
    if not text and not blocks:
        raise SlackError("no_text")
    in_channel = body.get("response_type") == "in_channel"
    if in_channel and echo:
        say(world, user, channel, echo)
    return world.add_message(
        Message(
            world.new_ts(),
            channel,
            install.bot_user,
            text,
            blocks,
            thread_ts=thread_of(world, channel, body.get("thread_ts")),
            bot_id=install.bot_id,
            only_for=None if in_channel else user.id,
        )
    )


def with_mentions(world: World, team_id: str, text: str) -> str:
    """Return the text with the `@name` and `#name` of existing people and channels as Slack encodes them."""
    people = {user.name: f"<@{user.id}>" for user in world.users.values() if user.team_id == team_id}
    channels = {
        channel.name: f"<#{channel.id}|{channel.name}>"
        for channel in world.channels.values()
        if channel.team_id == team_id and not channel.is_im
    }

    def encode(match: re.Match[str]) -> str:
        names = people if match[1] == "@" else channels
        return names.get(match[2], match[0])

    return re.sub(r"(?<![\w.])([@#])([\w-]+)", encode, text)


def _refused(world: World, user: User, channel: Channel, shown: str, thread_ts: str | None = None) -> Outcome:
    return Outcome(shown=shown, sent=False, message=_notice(world, user, channel, shown, thread_ts))


def _notice(world: World, user: User, channel: Channel, text: str, thread_ts: str | None = None) -> Message:
    return world.add_message(Message(world.new_ts(), channel, SYSTEM, text, only_for=user.id, thread_ts=thread_ts))
