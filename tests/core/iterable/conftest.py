"""A local Iterable, clients for it, and a server that gives any answer."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiohttp import web

from core.iterable import IterableClient, NoRateLimit, RateLimiter, RetryPolicy
from sandbox.iterable import Running, running

#: Lists of the local Iterable.
LIST = 1001
DYNAMIC = 1003
HYBRID_LIST = 1006

#: As many attempts as by default, but quick.
QUICK = RetryPolicy(
    max_attempts=4, backoff_initial_s=0.001, backoff_max_s=0.002, retry_after=0.01, request_timeout_s=5.0
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
async def iterable() -> AsyncIterator[Running]:
    """A local Iterable without a limit on subscribe and unsubscribe."""
    async with running(bulk_per_second=0) as server:
        yield server


@asynccontextmanager
async def connected(
    iterable: Running, *, key: str = "", limiter: RateLimiter | None = None, **retry_policy: float
) -> AsyncIterator[IterableClient]:
    """A client of the local Iterable; other keyword arguments are those of its retry policy."""
    async with IterableClient(
        key or iterable.key,
        base_url=iterable.url,
        limiter=limiter or NoRateLimit(),
        retry_policy=replace(QUICK, **retry_policy),  # type: ignore[arg-type]
    ) as client:
        yield client


@pytest.fixture
async def client(iterable: Running) -> AsyncIterator[IterableClient]:
    """A client of the local Iterable."""
    async with connected(iterable) as opened:
        yield opened


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    """Run a server that answers every request with `handler`; yields its base URL."""
    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", handler)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()
