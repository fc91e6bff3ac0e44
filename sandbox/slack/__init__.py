"""A local Slack: a server that a Bolt app can't tell from Slack, with a page for the browser."""

from sandbox.slack.faults import Fault
from sandbox.slack.lifecycle import Slack, running
from sandbox.slack.text_renderer import render_text
from sandbox.slack.users.outcome import Outcome
from sandbox.slack.users.user_driver import Person
from sandbox.slack.workspace.models import Channel, File, Message, User, View
from sandbox.slack.workspace.view_state import NotPossibleError

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
