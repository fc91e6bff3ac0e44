"""`python -m sandbox.slack`: a local Slack until Ctrl-C, with its address and tokens printed."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import signal
from pathlib import Path
from typing import Any

from sandbox.slack.running import Slack, running


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.slack", description="A local Slack workspace.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8901, help="port, 0 for any (default: %(default)s)")
    parser.add_argument("--manifest", type=Path, help="the app's manifest (YAML or JSON)")
    parser.add_argument("--request-url", help="deliver over HTTP to this address instead of Socket Mode")
    parser.add_argument("--rate-limits", action="store_true", help="enforce Slack's rate limits")
    parser.add_argument("--iterable-url", help="a local Iterable to show beside the workspace")
    asyncio.run(_serve(parser.parse_args()))


async def _serve(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    manifest: dict[str, Any] | None = None
    if options.manifest:
        manifest = importlib.import_module("yaml").safe_load(options.manifest.read_text())
    async with running(
        host=options.host,
        port=options.port,
        manifest=manifest,
        request_url=options.request_url,
        rate_limits=options.rate_limits,
        iterable_url=options.iterable_url,
    ) as slack:
        print(_introduction(slack), flush=True)
        await stop.wait()


def _introduction(slack: Slack) -> str:
    lines = [f"Local Slack: {slack.page_url}", ""]
    lines += [f"{name}={value}" for name, value in slack.environment().items()]
    lines += [
        f"SLACK_SIGNING_SECRET={slack.signing_secret}",
        f"SLACK_CLIENT_ID={slack.client_id}",
        f"SLACK_CLIENT_SECRET={slack.client_secret}",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
