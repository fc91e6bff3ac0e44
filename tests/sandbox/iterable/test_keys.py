"""API keys: which ones Iterable accepts."""

from __future__ import annotations

import pytest

from sandbox.iterable import DEFAULT_KEY, HYBRID_KEY
from tests.sandbox.iterable.conftest import Client


async def test_the_key_in_the_header_opens_its_project(client: Client) -> None:
    """A key gives access to the lists of its own project only."""
    own = await client.get("/api/lists")
    others = await client.get("/api/lists", key=HYBRID_KEY)
    assert [each["id"] for each in own.data["lists"]] == [1001, 1002, 1003, 1004, 1005]
    assert [each["id"] for each in others.data["lists"]] == [1006, 1007, 1008, 1009, 1010]


@pytest.mark.parametrize("key", [None, "", "wrong"])
async def test_a_wrong_key_is_refused(client: Client, key: str | None) -> None:
    """A missing or unknown key is answered with 401 and Iterable's three fields."""
    reply = await client.get("/api/lists", key=key)
    assert reply.status == 401
    assert reply.data == {"msg": "Invalid API key", "code": "BadApiKey", "params": None}


@pytest.mark.parametrize("name", ["api_key", "apiKey", "Api-Key"])
async def test_a_key_in_the_address_is_refused(client: Client, name: str) -> None:
    """A key in the query string is refused even with a good one in the header."""
    reply = await client.get(f"/api/lists?{name}={DEFAULT_KEY}")
    assert (reply.status, reply.code) == (401, "BadApiKey")


async def test_an_authorization_header_is_refused(client: Client) -> None:
    """A key in `Authorization` is refused."""
    reply = await client.get("/api/lists", key=None, headers={"Authorization": f"Bearer {DEFAULT_KEY}"})
    assert (reply.status, reply.code) == (401, "BadAuthorizationHeader")


@pytest.mark.parametrize(
    ("status", "answer"),
    [("revoked", (401, "BadApiKey")), ("forbidden", (403, "Forbidden"))],
)
async def test_a_key_can_be_revoked_and_restored(client: Client, status: str, answer: tuple[int, str]) -> None:
    """A revoked key is answered with 401, a key of the wrong kind with 403, and a restored key works again."""
    await client.post("/_sandbox/keys", {"key": DEFAULT_KEY, "status": status})
    refused = await client.get("/api/lists")
    await client.post("/_sandbox/keys", {"key": DEFAULT_KEY, "status": "active"})
    restored = await client.get("/api/lists")
    assert ((refused.status, refused.code), restored.status) == (answer, 200)


async def test_a_project_can_have_a_second_key(client: Client) -> None:
    """A second key gives access to its project, so that keys can be rotated."""
    await client.post("/_sandbox/keys", {"key": "another", "project": "Sandbox hybrid"})
    reply = await client.get("/api/lists", key="another")
    assert reply.data["lists"][0]["id"] == 1006
