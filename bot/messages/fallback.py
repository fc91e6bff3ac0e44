"""What is said where a message could not be shown in its place, and the person who started it gets it instead."""

from collections.abc import Mapping
from dataclasses import replace

from bot.messages.desired import DesiredMessage
from bot.slack.api_errors import DELETED
from bot.ui.blocks import Message, context
from core.store.connections import Connection
from core.store.slack_messages import MessageStatus, SlackMessage

# How many people get what belongs into a channel that does not take it.
MOST_TOLD = 5

_WHY = {
    "not_in_channel": "this app is not in {where}. Invite it there: type `/invite @iterable-sync` in {where}",
    "channel_not_found": (
        "this app does not see the channel {where}: it is private or was deleted. Invite this app there, or choose "
        "another channel"
    ),
    "is_archived": "the channel {where} is archived. Choose another channel for it",
    "restricted_action": "this app may not post in {where}. An admin of the workspace can allow it",
}
_UNKNOWN = "Slack does not take it there"


def with_fallback_note(message: Message, post: SlackMessage | None) -> Message:
    """The message with a sentence that says why it is not where it should be, or that it is there again."""
    sentence = why(post)
    return Message(message.text, [context(sentence), *message.blocks]) if sentence else message


def why(post: SlackMessage | None) -> str:
    """Why a message is not where it should be (mrkdwn); nothing where it is there."""
    if post is None or post.state not in (MessageStatus.UNCONFIRMED, MessageStatus.REJECTED):
        return ""
    where = f"<#{post.target}>"
    if post.state is MessageStatus.UNCONFIRMED:
        return (
            f"You get this here because Slack did not confirm that it was posted in {where}: it may be there, "
            "and it may not."
        )
    because = _WHY.get(post.error or "", _UNKNOWN).format(where=where)
    return f"You get this here because {because}. Whatever comes next is tried in {where} again."


def keys_for(key: str, connection: Connection) -> list[str]:
    """The keys of what those who decide get in the place of a message that nobody here has asked for."""
    return [f"{key}:dm:{person}" for person in connection.approvers[:MOST_TOLD]]


def for_deciders(
    wish: DesiredMessage, connection: Connection, posts: Mapping[str, SlackMessage]
) -> list[DesiredMessage]:
    """What those who decide get in the place of a message that nobody here has asked for: it is mParticle's."""
    post = posts.get(wish.key)
    is_lacking = needs_fallback(post, post.stage if post is not None else "")
    told = replace(wish, message=with_fallback_note(wish.message, post), urgent=True)
    return [
        replace(told, key=key, target=person)
        for key, person in zip(keys_for(wish.key, connection), connection.approvers, strict=False)
        if is_lacking or key in posts
    ]


def needs_fallback(post: SlackMessage | None, stage: str) -> bool:
    """Whether what a message shows now is not seen where it should be, and will not be."""
    if post is None or post.stage != stage:
        return False
    if post.state is MessageStatus.UNCONFIRMED:
        return True
    return post.state is MessageStatus.REJECTED and post.error != DELETED
