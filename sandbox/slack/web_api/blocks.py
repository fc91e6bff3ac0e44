"""blocks.validate: validates blocks, a message or a view without sending it."""

from __future__ import annotations

from sandbox.slack.errors import SlackError
from sandbox.slack.validation import message_problems, view_problems
from sandbox.slack.web_api.request import ApiRequest
from sandbox.slack.workspace.models import Json


def validate(request: ApiRequest) -> Json:
    """blocks.validate"""
    view, message = request.decoded("view"), request.decoded("message")
    blocks = message.get("blocks") if isinstance(message, dict) else request.decoded("blocks")
    if isinstance(view, dict):
        problems = view_problems(view, "home" if view.get("type") == "home" else "modal")
    elif blocks is not None:
        problems = message_problems(blocks)
    else:
        raise SlackError("invalid_arguments")
    if problems:
        listed = [{"pointer": problem.at, "message": problem.message} for problem in problems]
        raise SlackError("invalid_blocks", errors=listed)
    return {}
