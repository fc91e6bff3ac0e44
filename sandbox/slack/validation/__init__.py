"""Validation of messages and views as in Slack; each problem has its place as a JSON pointer."""

from sandbox.slack.validation.checker import Problem
from sandbox.slack.validation.messages import checked_message_blocks, message_problems
from sandbox.slack.validation.views import checked_view, view_problems

__all__ = ["Problem", "checked_message_blocks", "checked_view", "message_problems", "view_problems"]
