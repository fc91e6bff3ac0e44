"""The local mParticle behaves as mParticle does: it retries messages, and obeys a suspension."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jsonschema_rs
import pytest
from aiohttp import web

from sandbox.mparticle import Audience, MParticle, Profile, RefusedError, client, messages
from sandbox.mparticle.scenario import play_story

AUDIENCE = Audience(1, "VIPs", {"listId": "42"})


@asynccontextmanager
async def endpoint(*statuses: int, **answer: Any) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """Run a server that answers with these statuses, then with 200. Yields its address and the received messages."""
    statuses_left = list(statuses)
    received: list[dict[str, Any]] = []

    async def handle(request: web.Request) -> web.Response:
        received.append(await request.json())
        return web.json_response(
            {"name": "Sync", "version": "1", **answer}, status=statuses_left.pop(0) if statuses_left else 200
        )

    app = web.Application()
    app.router.add_post("/", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/", received
    finally:
        await runner.cleanup()


async def test_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that is answered with a 5xx is sent again with the same id."""
    monkeypatch.setattr(client, "PAUSE_S", 0.001)
    async with endpoint(503, 500) as (url, sent), MParticle(url) as mparticle:
        await mparticle.add(AUDIENCE, Profile(1))
    assert len(sent) == 3
    assert len({message["id"] for message in sent}) == 1


async def test_gives_up() -> None:
    """A message that is answered with a 4xx is not sent again, and raises an error."""
    async with endpoint(400) as (url, sent), MParticle(url) as mparticle:
        with pytest.raises(RefusedError, match="400"):
            await mparticle.ping()
    assert len(sent) == 1


async def test_story() -> None:
    """The story registers, connects, sends changes and disconnects, and reports each step."""
    lines: list[str] = []
    async with endpoint() as (url, sent), MParticle(url) as mparticle:
        await play_story(mparticle, AUDIENCE, lines.append, members=150, leave=20, disconnect=True, erase=1)
    kinds = [message["type"].removesuffix("_request") for message in sent]
    assert kinds == [
        "module_registration",
        "audience_subscription",
        *["audience_membership_change"] * 2,
        "dsr_processing",
        "audience_subscription",
    ]
    assert sum(len(message["user_profiles"]) for message in sent if "user_profiles" in message) == 170
    assert "170 of 170 changes were accepted." in lines


async def test_suspension_ends_the_stream() -> None:
    """If the endpoint asks to suspend the subscription, the stream ends."""
    lines: list[str] = []
    async with endpoint(suspend_subscription=True) as (url, sent), MParticle(url) as mparticle:
        await play_story(mparticle, AUDIENCE, lines.append, members=500)
    assert len(sent) == 3
    assert "asks to send no more" in lines[-1]


def test_profiles_have_mparticles_form() -> None:
    """Ids are numbers in strings, even negative ones, and missing identities are left out."""
    schema = {
        "type": "object",
        "required": ["mpid", "user_identities", "audiences"],
        "properties": {"mpid": {"type": "string", "pattern": "^-?[0-9]+$"}, "user_identities": {"maxItems": 1}},
    }
    message = messages.membership(messages.account(1, {}), AUDIENCE, [("add", Profile(-5, customer_id="c"))], at=7)
    jsonschema_rs.validate(schema, message["user_profiles"][0])
    assert message["timestamp_ms"] == 7
