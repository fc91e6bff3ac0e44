"""Users are merged, and single-user calls take effect after bulk calls if the server is set so."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.iterable import DEFAULT_KEY, HYBRID_KEY, USER_ID_KEY
from tests.sandbox.iterable.conftest import HYBRID_LIST, LIST, Client, Clock
from tests.sandbox.iterable.test_subscribe import person

MERGE = "/api/users/merge"
PAIR = {"sourceEmail": "7@placeholder.email", "destinationEmail": "ann@example.com"}


@pytest.mark.parametrize("keeps_lists", [False, True])
async def test_source_moves_into_the_destination(client: Client, keeps_lists: bool) -> None:
    """The source is deleted, its data fills what the destination lacks, and its lists are kept if so set."""
    client.iterable.settings.update({"merge_keeps_lists": keeps_lists})
    await client.subscribe({**person("7@placeholder.email", "7"), "dataFields": {"city": "Ulm", "pet": "cat"}})
    await client.subscribe({**person("ann@example.com"), "dataFields": {"city": "Bonn"}}, list_id=1002)
    reply = await client.post(MERGE, {**PAIR, "sourceEmail": "7@Placeholder.email"})
    assert (reply.status, reply.code) == (200, "Success")
    assert client.iterable.state.members(LIST) == ([("ann@example.com", "7")] if keeps_lists else [])
    assert client.iterable.state.members(1002) == [("ann@example.com", "7")]
    user = (await client.get("/api/users/getByEmail", params={"email": "ann@example.com"})).data["user"]
    assert (user["dataFields"]["city"], user["dataFields"]["pet"]) == ("Bonn", "cat")
    assert (await client.get("/api/users/getByEmail", params={"email": "7@placeholder.email"})).data == {}


async def test_unknown_destination_only_changes_the_identifier(client: Client) -> None:
    """Then the source gets the email, and stays on its lists."""
    await client.subscribe(person("7@placeholder.email", "7"))
    assert (await client.post(MERGE, PAIR)).status == 200
    assert client.iterable.state.history(LIST) == [("ann@example.com", "7", 1, 0)]


@pytest.mark.parametrize(
    ("body", "key", "answer"),
    [
        ({**PAIR, "sourceEmail": "who@example.com"}, DEFAULT_KEY, (400, "UnknownEmailError")),
        ({"sourceUserId": "8", "destinationEmail": "ann@example.com"}, DEFAULT_KEY, (400, "UnknownUserIdError")),
        ({**PAIR, "destinationEmail": "gone@example.com"}, DEFAULT_KEY, (409, "ForgottenUserError")),
        ({**PAIR, "sourceEmail": "gone@example.com"}, DEFAULT_KEY, (409, "ForgottenUserError")),
        ({**PAIR, "destinationEmail": "nonsense"}, DEFAULT_KEY, (400, "InvalidEmailAddressError")),
        ({**PAIR, "destinationEmail": PAIR["sourceEmail"]}, DEFAULT_KEY, (400, "BadParams")),
        ({**PAIR, "sourceUserId": "7"}, DEFAULT_KEY, (400, "BadParams")),
        ({"sourceEmail": "7@placeholder.email"}, DEFAULT_KEY, (400, "BadParams")),
        (PAIR, USER_ID_KEY, (400, "BadParams")),
        (PAIR, "a-mobile-key", (403, "Forbidden")),
    ],
)
async def test_merge_is_refused(client: Client, body: dict[str, Any], key: str, answer: tuple[int, str]) -> None:
    """An unknown source, forgotten users, malformed requests, and keys of another kind are refused."""
    client.iterable.state.add_key("a-mobile-key", "Sandbox", "forbidden")
    client.iterable.state.forget(email="gone@example.com")
    await client.subscribe(person("7@placeholder.email", "7"), person("ann@example.com"))
    reply = await client.post(MERGE, body, key=key)
    assert (reply.status, reply.code) == answer


async def test_source_may_be_given_by_user_id(client: Client) -> None:
    """In a hybrid project the destination keeps its email and gets the user id."""
    await client.subscribe(person("7@placeholder.email", "7"), list_id=HYBRID_LIST, key=HYBRID_KEY)
    await client.subscribe(person("ann@example.com"), list_id=1007, key=HYBRID_KEY)
    body = {"sourceUserId": "7", "destinationEmail": "ann@example.com"}
    assert (await client.post(MERGE, body, key=HYBRID_KEY)).status == 200
    assert client.iterable.state.members(1007) == [("ann@example.com", "7")]


async def test_bulk_call_comes_before_a_single_user_call(client: Client, clock: Clock) -> None:
    """Within the time that is set, subscribing a renamed person makes another person, and the rename is lost."""
    client.iterable.settings.update({"single_calls_after": 60.0})
    await client.subscribe(person("7@placeholder.email", "7"))
    rename = {"currentEmail": "7@placeholder.email", "newEmail": "ann@example.com"}
    assert (await client.post("/api/users/updateEmail", rename)).status == 200
    clock.now += 59
    await client.subscribe(person("ann@example.com", "7"))
    clock.now += 2
    await client.get("/api/lists")
    assert client.iterable.state.members(LIST) == [("7@placeholder.email", "7"), ("ann@example.com", "7")]


async def test_single_user_calls_keep_their_order(client: Client, clock: Clock) -> None:
    """The next single-user call finds what the one before has done, and a bulk call a minute later does, too."""
    client.iterable.settings.update({"single_calls_after": 60.0})
    await client.subscribe(person("7@placeholder.email", "7"))
    for old, new in (("7@placeholder.email", "a@example.com"), ("a@example.com", "b@example.com")):
        assert (await client.post("/api/users/updateEmail", {"currentEmail": old, "newEmail": new})).status == 200
    clock.now += 60
    await client.subscribe(person("b@example.com", "7"))
    assert client.iterable.state.history(LIST) == [("b@example.com", "7", 1, 0)]
