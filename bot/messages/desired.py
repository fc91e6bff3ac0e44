"""The messages that Slack should show: content, channel or person, thread and urgency."""

from dataclasses import dataclass
from enum import StrEnum

from bot.ui.blocks import Message
from core.store.slack_messages import DONE, MessageStatus, SlackMessage


class MessageKind(StrEnum):
    """The kind of content that a message shows. After a message was lost, the next kind is posted as a new message."""

    PLANNING = "planning"
    CARD = "card"
    PROGRESS = "progress"
    FINAL = "final"
    OPEN = "open"
    """An open alert, a proposed mapping, or any other question to a person."""
    REPLY = "reply"
    """Posted once, and never edited."""
    DONE = DONE
    """The final content is shown, and no edit follows."""


@dataclass(frozen=True, slots=True)
class Thread:
    """The parent message of a thread."""

    channel: str
    ts: str


def thread_of(stored: SlackMessage | None) -> Thread | None:
    """Return the thread of a message, or None if the message is not posted."""
    if stored is None or stored.status is not MessageStatus.POSTED or stored.channel is None or stored.ts is None:
        return None
    return Thread(stored.channel, stored.ts)


@dataclass(frozen=True, slots=True)
class DesiredMessage:
    """A message that Slack should show. `target` is the id of a channel or of a person.

    Urgent messages may use the reserve of Slack's rate limit.
    """

    key: str
    team_id: str | None
    target: str
    kind: MessageKind
    message: Message
    urgent: bool = False
    thread: Thread | None = None
    broadcast: bool = False
    """Whether the channel shows a thread reply, too."""

    @property
    def is_reply(self) -> bool:
        """Whether the message is posted once and never edited."""
        return self.kind is MessageKind.REPLY
