"""Asks Slack about each message and view: `SLACK_BOT_TOKEN=... python -m tests.bot.screens.validate`.

For maintainers: Slack adds rules that neither slack-sdk nor the local Slack knows. Nothing is posted. The method is
described at https://docs.slack.dev/reference/methods/blocks.validate.
"""

import asyncio
import os
import sys
from collections.abc import Mapping

from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient

from bot.ui.blocks import Message
from tests.bot.screens.examples import screens
from tests.bot.screens.values import Screen


async def problems(client: AsyncWebClient, examples: Mapping[str, Screen]) -> list[str]:
    """Return what Slack objects to, a line each: the example, the place as a JSON pointer, and Slack's words."""
    lines = []
    for name, screen in examples.items():
        arguments = {"blocks": screen.payload()["blocks"]} if isinstance(screen, Message) else {"view": dict(screen)}
        try:
            await client.api_call("blocks.validate", json=arguments)
        except SlackApiError as error:
            if error.response["error"] != "invalid_blocks":
                raise
            lines += [f"{name}{each['pointer']}: {each['message']}" for each in error.response["errors"]]
    return lines


async def _main(token: str) -> int:
    lines = [line for examples in screens().values() for line in await problems(AsyncWebClient(token), examples)]
    print("\n".join(lines) or "Slack accepts all messages and views.")
    return bool(lines)


if __name__ == "__main__":
    if not (token := os.environ.get("SLACK_BOT_TOKEN")):
        sys.exit("Set SLACK_BOT_TOKEN to the token of an app (xoxb-...).")
    sys.exit(asyncio.run(_main(token)))
