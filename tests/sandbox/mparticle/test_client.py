"""The local mParticle behaves as mParticle does: it sends again what is not taken, and heeds a suspension."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jsonschema
import pytest
from aiohttp import web

from sandbox.mparticle import Audience, MParticle, Profile, RefusedError, client, messages
from sandbox.mparticle.scenario import play_story

AUDIENCE = Audience(1, "VIPs", {"listId": "42"})


@asynccontextmanager
async def endpoint(*statuses: int, **answer: Any) -> AsyncIterator[tuple[str, list[dict[str, Any]]]]:
    """A server that answers with these statuses, then with 200; yields its address and what it was sent."""
    left = list(statuses)
    sent: list[dict[str, Any]] = []

    async def handle(request: web.Request) -> web.Response:
        sent.append(await request.json())
        return web.json_response({"name": "Sync", "version": "1", **answer}, status=left.pop(0) if left else 200)

    app = web.Application()
    app.router.add_post("/", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/", sent
    finally:
        await runner.cleanup()


async def test_sends_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is answered with a 5xx is sent again, with the same id."""
    monkeypatch.setattr(client, "PAUSE_S", 0.001)
    async with endpoint(503, 500) as (url, sent), MParticle(url) as mparticle:
        await mparticle.add(AUDIENCE, Profile(1))
    assert len(sent) == 3
    assert len({message["id"] for message in sent}) == 1


async def test_gives_up() -> None:
    """What is refused for good is not sent again, and said so."""
    async with endpoint(400) as (url, sent), MParticle(url) as mparticle:
        with pytest.raises(RefusedError, match="400"):
            await mparticle.ping()
    assert len(sent) == 1


async def test_story() -> None:
    """It registers, connects, streams and disconnects, and says so."""
    said: list[str] = []
    async with endpoint() as (url, sent), MParticle(url) as mparticle:
        await play_story(mparticle, AUDIENCE, said.append, members=150, leave=20, disconnect=True, erase=1)
    kinds = [message["type"].removesuffix("_request") for message in sent]
    assert kinds == [
        "module_registration",
        "audience_subscription",
        *["audience_membership_change"] * 2,
        "dsr_processing",
        "audience_subscription",
    ]
    assert sum(len(message["user_profiles"]) for message in sent if "user_profiles" in message) == 170
    assert "170 of 170 changes were taken." in said


async def test_suspension_ends_the_stream() -> None:
    """If the endpoint asks to suspend the subscription, the stream ends."""
    said: list[str] = []
    async with endpoint(suspend_subscription=True) as (url, sent), MParticle(url) as mparticle:
        await play_story(mparticle, AUDIENCE, said.append, members=500)
    assert len(sent) == 3
    assert "asks to send no more" in said[-1]


def test_profiles_are_as_mparticle_writes_them() -> None:
    """Ids are numbers in strings, also negative ones, and what is not there is not listed."""
    schema = {
        "type": "object",
        "required": ["mpid", "user_identities", "audiences"],
        "properties": {"mpid": {"type": "string", "pattern": "^-?[0-9]+$"}, "user_identities": {"maxItems": 1}},
    }
    message = messages.membership(messages.account(1, {}), AUDIENCE, [("add", Profile(-5, customer_id="c"))], at=7)
    jsonschema.validate(message["user_profiles"][0], schema)
    assert message["timestamp_ms"] == 7
