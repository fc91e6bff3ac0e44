"""Malformed requests, which are refused before any subscriber is looked up."""

from __future__ import annotations

import io
from typing import Any

import pytest

from sandbox.iterable import DEFAULT_KEY
from tests.sandbox.iterable.conftest import LIST, Client, Reply

GOOD = {"email": "a@example.com"}


async def post_raw(client: Client, body: bytes, content_type: str = "application/json", **headers: str) -> Reply:
    """Post a body as it is."""
    return await client.request(
        "POST", "/api/lists/subscribe", data=io.BytesIO(body), headers={"Content-Type": content_type, **headers}
    )


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"listId": NaN}', b"\xff", b"listId=1"])
async def test_a_body_must_be_a_json_object(client: Client, body: bytes) -> None:
    """A body that is not a JSON object is BadJsonBody."""
    reply = await post_raw(client, body)
    assert (reply.status, reply.code) == (400, "BadJsonBody")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded"])
async def test_another_content_type_is_refused(client: Client, content_type: str) -> None:
    """A content type other than JSON is BadJsonBody."""
    reply = await post_raw(client, b'{"listId": 1001, "subscribers": []}', content_type)
    assert (reply.status, reply.code, "Content-Type" in reply.data["msg"]) == (400, "BadJsonBody", True)


async def test_a_charset_is_accepted(client: Client) -> None:
    """A charset in the content type is accepted."""
    reply = await post_raw(client, b'{"listId": 1001, "subscribers": []}', "application/json; charset=utf-8")
    assert (reply.status, reply.data["successCount"], reply.data["failCount"]) == (200, 0, 0)


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        ({"subscribers": []}, "listId"),
        ({"listId": LIST}, "subscribers"),
        ({"listId": str(LIST), "subscribers": []}, "listId must be a whole number"),
        ({"listId": True, "subscribers": []}, "listId must be a whole number"),
        ({"listId": 1.5, "subscribers": []}, "listId must be a whole number"),
        ({"listId": LIST, "subscribers": {}}, "subscribers must be an array"),
        ({"listId": LIST, "subscribers": [], "extra": 1}, "unknown: extra"),
        ({"listId": LIST, "subscribers": [], "channelUnsubscribe": False}, "unknown: channelUnsubscribe"),
        ({"listId": LIST, "subscribers": [], "updateExistingUsersOnly": "no"}, "must be true or false"),
        ({"listId": LIST, "subscribers": ["a@example.com"]}, "must hold objects"),
        ({"listId": LIST, "subscribers": [GOOD, None]}, "must hold objects"),
        ({"listId": LIST, "subscribers": [GOOD, {"mail": "a@example.com"}]}, "unknown in subscribers: mail"),
        ({"listId": LIST, "subscribers": [GOOD, {**GOOD, "x": 1}]}, "unknown in subscribers: x"),
        ({"listId": LIST, "subscribers": [GOOD, {"email": 1}]}, "subscribers.email must be a string"),
        ({"listId": LIST, "subscribers": [GOOD, {"email": None}]}, "subscribers.email must be a string"),
        ({"listId": LIST, "subscribers": [{**GOOD, "userId": 1}]}, "subscribers.userId must be a string"),
        ({"listId": LIST, "subscribers": [{}, {"userId": None}]}, "subscribers.userId must be a string"),
        ({"listId": LIST, "subscribers": [{**GOOD, "dataFields": []}]}, "dataFields must be an object"),
        ({"listId": LIST, "subscribers": [{**GOOD, "preferUserId": 1}]}, "preferUserId must be true or false"),
    ],
)
async def test_a_body_of_the_wrong_shape_is_refused(client: Client, body: dict[str, Any], hint: str) -> None:
    """Missing, unknown and mistyped fields are BadParams, and the message names them."""
    reply = await client.post("/api/lists/subscribe", body)
    assert (reply.status, reply.code, hint in reply.data["msg"]) == (400, "BadParams", True)


async def test_an_unsubscriber_may_have_identifiers_only(client: Client) -> None:
    """An unsubscriber may have identifiers only, unlike a subscriber."""
    reply = await client.unsubscribe({**GOOD, "preferUserId": True})
    assert (reply.status, reply.code) == (400, "BadParams")


@pytest.mark.parametrize(("extra", "status"), [(0, 200), (1, 413)])
async def test_a_body_over_the_limit_is_too_large(client: Client, extra: int, status: int) -> None:
    """A body may have up to 4 MB; one byte more is answered with 413."""
    body = b'{"listId": 1001, "subscribers": []}'
    reply = await post_raw(client, body + b" " * (4_000_000 - len(body) + extra))
    assert reply.status == status


async def test_too_many_subscribers_are_too_large(client: Client) -> None:
    """More subscribers than the setting allows are BatchTooLarge."""
    client.iterable.settings.max_subscribers = 2
    reply = await client.subscribe("a@example.com", "b@example.com", "c@example.com")
    assert (reply.status, reply.code) == (400, "BatchTooLarge")


async def test_a_compressed_body_is_refused(client: Client) -> None:
    """A compressed body is refused, because Iterable does not document compression."""
    async with client.session.post(
        f"{client.iterable.url}/api/lists/subscribe",
        json={"listId": LIST, "subscribers": []},
        headers={"Api-Key": DEFAULT_KEY},
        compress=True,
    ) as response:
        assert (response.status, (await response.json())["code"]) == (400, "BadJsonBody")
