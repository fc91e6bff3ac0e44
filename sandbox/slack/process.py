"""A local Slack as a process: runs until Ctrl-C, and prints its address and tokens."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any

from sandbox.slack.lifecycle import Slack, running


async def serve(port: int = 0, *, ready: Callable[[Slack], None] | None = None, **options: Any) -> None:
    """Serve a local Slack until SIGINT or SIGTERM. `ready` is called when it answers; `options` go to `running`."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    async with running(port=port, **options) as slack:
        if ready is not None:
            ready(slack)
        await stop.wait()


def introduction(slack: Slack) -> str:
    """Return the address and the settings that a bot needs, a line each."""
    lines = [f"Local Slack: {slack.page_url}", ""]
    lines += [f"{name}={value}" for name, value in slack.environment().items()]
    lines += [
        f"SLACK_SIGNING_SECRET={slack.signing_secret}",
        f"SLACK_CLIENT_ID={slack.client_id}",
        f"SLACK_CLIENT_SECRET={slack.client_secret}",
    ]
    return "\n".join(lines)
