"""Fallback: the direct message that a person gets if the channel message could not be posted."""

from collections.abc import Mapping
from dataclasses import replace

from bot.messages.desired import DesiredMessage
from bot.slack.api_errors import DELETED
from bot.ui.blocks import Message, context
from core.models.people import people_only
from core.store.connections import Connection
from core.store.slack_messages import MessageStatus, SlackMessage

# The number of approvers who get a direct message if a channel rejects a message.
MAX_RECIPIENTS = 5

_REASONS = {
    "not_in_channel": "this app is not in {channel}. Invite it there: type `/invite @iterable-sync` in {channel}",
    "channel_not_found": (
        "this app does not see the channel {channel}: it is private or was deleted. Invite this app there, or choose "
        "another channel"
    ),
    "is_archived": "the channel {channel} is archived. Choose another channel for it",
    "restricted_action": "this app may not post in {channel}. An admin of the workspace can allow it",
}
_UNKNOWN = "Slack does not take it there"


def with_fallback_note(message: Message, stored: SlackMessage | None) -> Message:
    """Return the message with a note that says why it is not in its channel, or unchanged if it is."""
    sentence = fallback_note(stored)
    return Message(message.text, [context(sentence), *message.blocks]) if sentence else message


def fallback_note(stored: SlackMessage | None) -> str:
    """Return why a message is not in its channel (mrkdwn), or an empty string if it is."""
    if stored is None or stored.status not in (MessageStatus.UNCONFIRMED, MessageStatus.REJECTED):
        return ""
    channel = f"<#{stored.target}>"
    if stored.status is MessageStatus.UNCONFIRMED:
        return (
            f"You get this here because Slack did not confirm that it was posted in {channel}: it may be there, "
            "and it may not."
        )
    reason = _REASONS.get(stored.error or "", _UNKNOWN).format(channel=channel)
    return f"You get this here because {reason}. Whatever comes next is tried in {channel} again."


def recipients(connection: Connection) -> list[str]:
    """Return the approvers who get a direct message: those by name first, then those in user groups."""
    in_groups = [person for group in connection.approvers for person in sorted(connection.group_members.get(group, ()))]
    return list(dict.fromkeys([*people_only(connection.approvers), *in_groups]))[:MAX_RECIPIENTS]


def keys_for(key: str, connection: Connection) -> list[str]:
    """Return the keys of the direct messages that approvers get instead of a channel message."""
    return [f"{key}:dm:{person}" for person in recipients(connection)]


def for_approvers(
    desired: DesiredMessage, connection: Connection, stored: Mapping[str, SlackMessage]
) -> list[DesiredMessage]:
    """Return the direct messages to approvers that replace a channel message about a live audience.

    mParticle caused that message, so there is no person who asked for it.
    """
    main = stored.get(desired.key)
    is_missing = needs_fallback(main, main.kind if main is not None else "")
    noted = replace(desired, message=with_fallback_note(desired.message, main), urgent=True)
    return [
        replace(noted, key=key, target=person)
        for key, person in zip(keys_for(desired.key, connection), recipients(connection), strict=True)
        if is_missing or key in stored
    ]


def needs_fallback(stored: SlackMessage | None, kind: str) -> bool:
    """Return whether Slack does not show this kind of content in its channel, and will not after a retry either."""
    if stored is None or stored.kind != kind:
        return False
    if stored.status is MessageStatus.UNCONFIRMED:
        return True
    return stored.status is MessageStatus.REJECTED and stored.error != DELETED
