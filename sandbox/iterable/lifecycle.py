"""Starts and stops the local Iterable: within a test, or as a separate process."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from sandbox.iterable.faults import Faults
from sandbox.iterable.rate_limits import Limit
from sandbox.iterable.server import app
from sandbox.iterable.settings import Settings
from sandbox.iterable.state import DEFAULT_KEY, ProjectType, State

_GRACE = 2.0  # seconds for requests to finish when the server stops
_GC_THRESHOLD = 50_000  # objects; a request of 1,000 subscribers creates about 1,000


@dataclass(frozen=True)
class Running:
    """A local Iterable that answers at `url`."""

    url: str
    state: State
    key: str = DEFAULT_KEY

    @property
    def faults(self) -> Faults:
        """The active faults."""
        return self.state.faults

    @property
    def settings(self) -> Settings:
        """The current settings."""
        return self.state.settings


@contextlib.asynccontextmanager
async def running(
    state: State | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    bulk_per_second: float | None = None,
    lean: bool = False,
    seed: int = 0,
    project_type: ProjectType = "email",
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[Running]:
    """Run a local Iterable for the length of the block, on a free port by default.

    `bulk_per_second` is the limit for subscribe and unsubscribe together, 0 for none. `lean`, `seed`,
    `project_type` and `clock` configure the state, if none is given.
    """
    if state is None:
        state = State(faults=Faults(seed), lean=lean, project_type=project_type, clock=clock)
    if bulk_per_second is not None:
        state.settings.limits["bulk"] = Limit.per_second(bulk_per_second)
    runner = web.AppRunner(app(state), access_log=None, shutdown_timeout=_GRACE)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        bound_host, bound_port = runner.addresses[0][:2]
        yield Running(f"http://{bound_host}:{bound_port}", state)
    finally:
        await runner.cleanup()


async def serve(
    port: int = 0,
    *,
    host: str = "127.0.0.1",
    bulk_per_second: float | None = None,
    lean: bool = False,
    seed: int = 0,
    project_type: ProjectType = "email",
    settings: Mapping[str, Any] | None = None,
    forgotten: Iterable[str] = (),
    ready: Callable[[Running], None] | None = None,
) -> None:
    """Run a local Iterable until SIGINT or SIGTERM; `ready` is called once it answers.

    `settings` are changed at the start, and `forgotten` are emails that the first project has forgotten.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD, 20, 100)
    try:
        async with running(
            host=host, port=port, bulk_per_second=bulk_per_second, lean=lean, seed=seed, project_type=project_type
        ) as iterable:
            iterable.settings.update(settings or {})
            for email in forgotten:
                iterable.state.forget(email=email)
            if ready is not None:
                ready(iterable)
            await stop.wait()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
