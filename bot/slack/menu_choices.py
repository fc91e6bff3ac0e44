"""Turns a choice in a menu behind three dots into the click of the button that it stands for.

The value of the choice is the action id of the button, a colon, and the value of the button (bot.ui.blocks.menu). So
each action has one listener, whether a button or a menu offers it.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from slack_bolt.async_app import AsyncApp


def register(app: AsyncApp, menu_action: str) -> None:
    """Put this before all listeners of an app, for the menus with this action id."""

    @app.middleware
    async def press_button(body: dict[str, Any], next_: Callable[[], Awaitable[None]]) -> None:
        if body.get("type") == "block_actions":
            for action in body["actions"]:
                if action["action_id"] == menu_action and action["type"] == "overflow":
                    chosen, _, value = action["selected_option"]["value"].partition(":")
                    action |= {"type": "button", "action_id": chosen, "value": value}
        await next_()
