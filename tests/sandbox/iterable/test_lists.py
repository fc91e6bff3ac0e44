"""Lists: made, shown, counted, deleted, and who is on them."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.iterable import HYBRID_KEY, USER_ID_KEY
from tests.sandbox.iterable.conftest import DYNAMIC, HYBRID_LIST, LIST, USER_ID_LIST, Client, Clock


async def test_lists_are_described_as_iterable_does(client: Client) -> None:
    """A list has id, name, time of creation in milliseconds, and type."""
    reply = await client.get("/api/lists")
    assert reply.data["lists"][2] == {
        "id": DYNAMIC,
        "name": "Active in the last 30 days",
        "description": "Filled by Iterable",
        "createdAt": 1_735_689_600_000,
        "listType": "Dynamic",
    }


async def test_a_created_list_is_standard_and_takes_people(client: Client) -> None:
    """A list made over the API can be subscribed to."""
    created = await client.post("/api/lists", {"name": "Mine", "description": "Made here"})
    await client.subscribe("a@example.com", list_id=created.data["listId"])
    assert (await client.get(f"/api/lists/{created.data['listId']}/size")).text == "1"


async def test_a_deleted_list_is_gone(client: Client) -> None:
    """A deleted list is not shown, and refuses people."""
    deleted = await client.request("DELETE", f"/api/lists/{LIST}")
    shown = await client.get("/api/lists")
    refused = await client.subscribe("a@example.com")
    assert (deleted.status, deleted.code) == (200, "Success")
    assert LIST not in [one["id"] for one in shown.data["lists"]]
    assert (refused.status, refused.code, refused.data["msg"]) == (
        400,
        "BadParams",
        "error.lists.invalidListId",
    )


@pytest.mark.parametrize("list_id", [99, HYBRID_LIST])
async def test_a_list_of_nobody_or_of_another_project_is_invalid(client: Client, list_id: int) -> None:
    """A list that the project does not have is 400 with the vendor's words."""
    reply = await client.unsubscribe("a@example.com", list_id=list_id)
    assert (reply.status, reply.data["msg"]) == (400, "error.lists.invalidListId")


async def test_an_invalid_list_may_come_under_code_success(client: Client) -> None:
    """A setting gives the answer that has been seen: 400 with code Success."""
    client.iterable.settings.deleted_list_code = "Success"
    reply = await client.subscribe("a@example.com", list_id=99)
    assert (reply.status, reply.code) == (400, "Success")


@pytest.mark.parametrize("list_id", [DYNAMIC, 1004, 1005])
async def test_only_standard_lists_take_people(client: Client, list_id: int) -> None:
    """Dynamic, Suppression and Internal lists refuse a subscribe."""
    reply = await client.subscribe("a@example.com", list_id=list_id)
    assert (reply.status, "error.lists.invalidListId" in reply.data["msg"]) == (400, True)


async def test_users_of_a_list_come_as_lines(client: Client) -> None:
    """getUsers is text, an email a line, in lower case."""
    await client.subscribe("B@Example.com", "a@example.com")
    reply = await client.get(f"/api/lists/getUsers?listId={LIST}")
    assert (reply.text, reply.headers["Content-Type"]) == (
        "b@example.com\na@example.com\n",
        "text/plain; charset=utf-8",
    )


@pytest.mark.parametrize(
    ("prefer", "line"), [("true", "U1"), ("false", "a@example.com")], ids=["preferred", "not preferred"]
)
async def test_a_hybrid_project_lists_what_is_preferred(client: Client, prefer: str, line: str) -> None:
    """`preferUserId` decides between email and user id in a hybrid project."""
    await client.subscribe({"email": "a@example.com", "userId": "U1"}, list_id=HYBRID_LIST, key=HYBRID_KEY)
    reply = await client.get(f"/api/lists/getUsers?listId={HYBRID_LIST}&preferUserId={prefer}", key=HYBRID_KEY)
    assert reply.text == f"{line}\n"


async def test_a_user_id_project_lists_user_ids(client: Client) -> None:
    """A userID-based project shows user ids."""
    await client.subscribe({"email": "a@example.com", "userId": "U1"}, list_id=USER_ID_LIST, key=USER_ID_KEY)
    reply = await client.get(f"/api/lists/getUsers?listId={USER_ID_LIST}", key=USER_ID_KEY)
    assert reply.text == "U1\n"


async def test_a_preview_is_a_sample_of_the_list(client: Client) -> None:
    """previewUsers returns as many different members as asked for."""
    everybody = [f"user{number}@example.com" for number in range(20)]
    await client.subscribe(*everybody)
    lines = (await client.get(f"/api/lists/previewUsers?listId={LIST}&size=5")).text.splitlines()
    assert (len(set(lines)), set(lines) <= set(everybody)) == (5, True)


@pytest.mark.parametrize("query", ["", "?listId=", "?listId=x", f"?listId={LIST}&preferUserId=1", "?list=1"])
async def test_a_bad_query_is_refused(client: Client, query: str) -> None:
    """Missing, malformed and unknown parameters are BadParams."""
    reply = await client.get(f"/api/lists/getUsers{query}")
    assert (reply.status, reply.code) == (400, "BadParams")


@pytest.mark.parametrize("body", [{}, {"name": " "}, {"name": 1}, {"name": "a", "type": "Dynamic"}])
async def test_a_list_needs_a_name_and_nothing_unknown(client: Client, body: dict[str, Any]) -> None:
    """Creating a list checks its fields."""
    reply = await client.post("/api/lists", body)
    assert (reply.status, reply.code) == (400, "BadParams")


async def test_an_unknown_endpoint_is_not_found(client: Client) -> None:
    """There is nothing but what is documented."""
    reply = await client.get("/api/campaigns")
    assert (reply.status, reply.code) == (404, "NotFound")


async def test_new_list_is_unknown_for_a_while(client: Client, clock: Clock) -> None:
    """A new list accepts no subscribers until it is ready, and shows its members late."""
    client.iterable.settings.list_ready_after = 60.0
    client.iterable.settings.membership_after = 30.0
    created = (await client.post("/api/lists", {"name": "New"})).data["listId"]
    refused = await client.subscribe("a@example.com", list_id=created)
    assert (refused.status, refused.data["msg"]) == (400, "error.lists.invalidListId")
    clock.now += 60.0
    assert (await client.subscribe("a@example.com", list_id=created)).status == 200
    assert (await client.get(f"/api/lists/{created}/size")).text == "0"
    clock.now += 30.0
    assert (await client.get(f"/api/lists/{created}/size")).text == "1"


async def test_description_has_a_longest_length(client: Client) -> None:
    """A description of more than 140 characters is refused."""
    assert (await client.post("/api/lists", {"name": "New", "description": "x" * 140})).status == 200
    assert (await client.post("/api/lists", {"name": "New", "description": "x" * 141})).code == "BadParams"
