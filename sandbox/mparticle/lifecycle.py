"""Starts and stops mParticle's platform API: within a test, or as a separate process."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from aiohttp import web

from sandbox.mparticle.platform import DEFAULT_ACCOUNT, Platform, sample_audiences


@dataclass(frozen=True)
class RunningPlatform:
    """A platform API that answers at `url`."""

    url: str
    platform: Platform


@contextlib.asynccontextmanager
async def running(
    platform: Platform | None = None, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[RunningPlatform]:
    """Run the platform API for the length of the block, on a free port by default."""
    played = Platform() if platform is None else platform
    runner = web.AppRunner(played.app(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        bound_host, bound_port = runner.addresses[0][:2]
        yield RunningPlatform(f"http://{bound_host}:{bound_port}", played)
    finally:
        await runner.cleanup()


async def serve(port: int, *, host: str = "127.0.0.1", ready: Callable[[str], None]) -> None:
    """Run the platform API with sample audiences until SIGINT or SIGTERM. `ready` gets how to use it."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, stop.set)
    try:
        async with running(Platform(accounts={DEFAULT_ACCOUNT: sample_audiences()}), host=host, port=port) as started:
            ready(_introduction(started))
            await stop.wait()
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


def _introduction(started: RunningPlatform) -> str:
    played = started.platform
    return (
        f"mParticle's platform API answers at {started.url}. Press Ctrl-C to stop it.\n"
        f"Account: {DEFAULT_ACCOUNT}\nClient ID: {played.client_id}\nClient secret: {played.client_secret}\n"
        "To use it, run in another terminal:\n"
        f"  export ITERABLE_SYNC_MPARTICLE_URL={started.url}\n"
        f"  iterable-sync audiences connect CONNECTION --account {DEFAULT_ACCOUNT} --client-id {played.client_id}"
    )
