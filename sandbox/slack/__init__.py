"""A local Slack: a server that a Bolt app can't tell from Slack, with a page for the browser."""

from sandbox.slack.faults import Fault
from sandbox.slack.people.outcome import Outcome
from sandbox.slack.people.person import Person
from sandbox.slack.render import render_text
from sandbox.slack.running import Slack, running
from sandbox.slack.world.model import Channel, File, Message, User, View
from sandbox.slack.world.values import NotPossibleError

__all__ = [
    "Channel",
    "Fault",
    "File",
    "Message",
    "NotPossibleError",
    "Outcome",
    "Person",
    "Slack",
    "User",
    "View",
    "render_text",
    "running",
]
