"""What is to be seen in Slack: a message, where, and what becomes of it where Slack does not take it."""

from dataclasses import dataclass
from enum import StrEnum

from bot.ui.blocks import Message
from core.store.slack_messages import DONE, MessageStatus, SlackMessage


class MessageKind(StrEnum):
    """What kind of content a message shows. Where a message is lost, the next stage is posted anew."""

    PLANNING = "planning"
    CARD = "card"
    PROGRESS = "progress"
    FINAL = "final"
    OPEN = "open"
    """Of an alert, of a mapping that is proposed, or of what else a person is asked."""
    REPLY = "reply"
    """Said once, and never changed."""
    DONE = DONE
    """The final stage, and nothing more comes."""


@dataclass(frozen=True, slots=True)
class Thread:
    """The message under which another one is."""

    channel: str
    ts: str


def thread_of(post: SlackMessage | None) -> Thread | None:
    """The thread of a message that is there."""
    if post is None or post.state is not MessageStatus.POSTED or post.channel is None or post.ts is None:
        return None
    return Thread(post.channel, post.ts)


@dataclass(frozen=True, slots=True)
class DesiredMessage:
    """A message that is to be seen. `target` is a channel's or a person's id.

    `urgent` goes before what is not, where Slack's limits are near.
    """

    key: str
    team_id: str | None
    target: str
    stage: MessageKind
    message: Message
    urgent: bool = False
    thread: Thread | None = None
    broadcast: bool = False
    """Whether a reply is shown in the channel as well."""

    @property
    def is_said_once(self) -> bool:
        """Whether it is never changed once it was said."""
        return self.stage is MessageKind.REPLY
