"""A local receiver of webhooks. It can be down, slow or hostile.

It verifies signatures as the Standard Webhooks specification describes, without any of the sender's code
(https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
"""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from aiohttp import web

# How much a hostile receiver sends, in bytes.
_FLOOD_BYTES = 1 << 30


class Behavior(StrEnum):
    """How the receiver answers."""

    TAKE = "take"
    REFUSE = "refuse"
    """It answers `status`."""
    REDIRECT = "redirect"
    """It redirects to `/stolen`."""
    HANG = "hang"
    """It does not answer."""
    FLOOD = "flood"
    """It answers 200 with a body that does not end."""
    LONG_HEADER = "long_header"
    """It answers 200 with a header of a megabyte."""


@dataclass(frozen=True)
class Received:
    """A request that the receiver got."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        """The body as JSON."""
        content: dict[str, Any] = json.loads(self.body)
        return content

    def is_signed(self, secret: str) -> bool:
        """Whether it has the signature that belongs to a secret."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        signed = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + self.body
        expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        versions = [part.partition(",") for part in self.headers["webhook-signature"].split()]
        return any(version == "v1" and hmac.compare_digest(value, expected) for version, _, value in versions)


@dataclass
class Receiver:
    """The receiver: what it has got, and how it answers the next requests."""

    url: str = ""
    behavior: Behavior = Behavior.TAKE
    status: int = 503
    received: list[Received] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    leaving: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def types(self) -> list[str]:
        """The types of the events that it has got, in order."""
        return [each.event["type"] for each in self.received]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.received.append(Received(request.path_qs, headers, await request.read()))
        self.arrived.set()
        match self.behavior:
            case Behavior.REFUSE:
                return web.Response(status=self.status, text="You will read this in no log.")
            case Behavior.REDIRECT:
                return web.Response(status=307, headers={"Location": f"{self.url}/stolen"})
            case Behavior.HANG:
                await self.leaving.wait()
            case Behavior.FLOOD:
                return await _flood(request)
            case Behavior.LONG_HEADER:
                return web.Response(headers={"X-Long": "x" * (1 << 20)})
            case Behavior.TAKE:
                pass
        return web.Response(status=202)


@asynccontextmanager
async def receiving(port: int = 0) -> AsyncIterator[Receiver]:
    """Run a receiver on this machine for the length of the block."""
    receiver = Receiver()
    app = web.Application(client_max_size=1 << 20)
    app.router.add_route("*", "/{path:.*}", receiver.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", port)
        await site.start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield receiver
    finally:
        receiver.leaving.set()
        await runner.cleanup()


async def _flood(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    chunk = b"x" * (1 << 16)
    try:
        for _ in range(_FLOOD_BYTES // len(chunk)):
            await response.write(chunk)
    except ConnectionError:  # the sender reads no body
        pass
    return response
