"""*More options* of a form: the first screen asks what can't be guessed, and a button shows the rest.

Slack keeps what was typed if the block ids of the inputs stay the same
(https://docs.slack.dev/surfaces/modals#updating_views). What is not shown has its default.
"""

from collections.abc import Mapping
from typing import Any

from slack_sdk.models.blocks import ActionsBlock

from bot.ui.blocks import actions, button, context
from bot.ui.formatting import escape
from bot.ui.modal_state import Metadata

#: The text of the button.
MORE_OPTIONS = "More options"


class FormMetadata(Metadata):
    """The base class of the state of a form with more options. `shows_options`: the form shows them."""

    shows_options: bool = False


def options_button(action: str) -> ActionsBlock:
    """Return the button that shows the rest of a form."""
    return actions(button(MORE_OPTIONS, action))


def hides_any(view: Mapping[str, Any], errors: Mapping[str, str]) -> bool:
    """Return whether a form does not show one of the inputs that these errors, by block id, are about."""
    shown = {block["block_id"] for block in view["blocks"]}
    return not errors.keys() <= shown


def with_errors(view: dict[str, Any], errors: Mapping[str, str]) -> dict[str, Any]:
    """Return a form with error messages, by block id, above their inputs."""
    blocks: list[dict[str, Any]] = []
    for block in view["blocks"]:
        if message := errors.get(block.get("block_id", "")):
            blocks.append(context(f":warning: *{escape(message)}*").to_dict())
        blocks.append(block)
    return {**view, "blocks": blocks}
