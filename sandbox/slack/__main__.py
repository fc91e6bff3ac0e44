"""`python -m sandbox.slack`: runs a local Slack until Ctrl-C, and prints its address and tokens."""

from __future__ import annotations

import argparse
import asyncio
import importlib
from pathlib import Path
from typing import Any

from sandbox.slack.process import introduction, serve


def main() -> None:
    """Parse the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.slack", description="A local Slack workspace.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8901, help="port, 0 for any (default: %(default)s)")
    parser.add_argument("--manifest", type=Path, help="the app's manifest (YAML or JSON)")
    parser.add_argument("--request-url", help="deliver over HTTP to this address instead of Socket Mode")
    parser.add_argument("--rate-limits", action="store_true", help="enforce Slack's rate limits")
    parser.add_argument("--iterable-url", help="a local Iterable to show next to the workspace")
    asyncio.run(_serve(parser.parse_args()))


async def _serve(options: argparse.Namespace) -> None:
    manifest: dict[str, Any] | None = None
    if options.manifest:
        manifest = importlib.import_module("yaml").safe_load(options.manifest.read_text())
    await serve(
        options.port,
        host=options.host,
        ready=lambda slack: print(introduction(slack), flush=True),
        manifest=manifest,
        request_url=options.request_url,
        rate_limits=options.rate_limits,
        iterable_url=options.iterable_url,
    )


if __name__ == "__main__":
    main()
