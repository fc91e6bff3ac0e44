"""Lists are created, listed, counted and deleted, and return their members."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.iterable import HYBRID_KEY, USER_ID_KEY
from tests.sandbox.iterable.conftest import DYNAMIC, HYBRID_LIST, LIST, USER_ID_LIST, Client, Clock


async def test_lists_are_described_as_iterable_does(client: Client) -> None:
    """A list has an id, a name, a creation time in milliseconds, and a type."""
    reply = await client.get("/api/lists")
    assert reply.data["lists"][2] == {
        "id": DYNAMIC,
        "name": "Active in the last 30 days",
        "description": "Filled by Iterable",
        "createdAt": 1_735_689_600_000,
        "listType": "Dynamic",
    }


async def test_a_created_list_is_standard_and_takes_people(client: Client) -> None:
    """People can be subscribed to a list that was created over the API."""
    created = await client.post("/api/lists", {"name": "Mine", "description": "Made here"})
    await client.subscribe("a@example.com", list_id=created.data["listId"])
    assert (await client.get(f"/api/lists/{created.data['listId']}/size")).text == "1"


async def test_a_deleted_list_is_gone(client: Client) -> None:
    """A deleted list is not listed, and refuses subscribers."""
    deleted = await client.request("DELETE", f"/api/lists/{LIST}")
    listed = await client.get("/api/lists")
    refused = await client.subscribe("a@example.com")
    assert (deleted.status, deleted.code) == (200, "Success")
    assert LIST not in [each["id"] for each in listed.data["lists"]]
    assert (refused.status, refused.code, refused.data["msg"]) == (
        400,
        "BadParams",
        "error.lists.invalidListId",
    )


@pytest.mark.parametrize("list_id", [99, HYBRID_LIST])
async def test_a_list_of_another_project_is_invalid(client: Client, list_id: int) -> None:
    """A list that the project does not have is answered with 400 and Iterable's message."""
    reply = await client.unsubscribe("a@example.com", list_id=list_id)
    assert (reply.status, reply.data["msg"]) == (400, "error.lists.invalidListId")


async def test_an_invalid_list_may_come_under_code_success(client: Client) -> None:
    """A setting selects an answer that Iterable has been seen to give: 400 with code Success."""
    client.iterable.settings.deleted_list_code = "Success"
    reply = await client.subscribe("a@example.com", list_id=99)
    assert (reply.status, reply.code) == (400, "Success")


@pytest.mark.parametrize("list_id", [DYNAMIC, 1004, 1005])
async def test_only_standard_lists_take_people(client: Client, list_id: int) -> None:
    """Dynamic, Suppression and Internal lists refuse subscribers."""
    reply = await client.subscribe("a@example.com", list_id=list_id)
    assert (reply.status, "error.lists.invalidListId" in reply.data["msg"]) == (400, True)


async def test_users_of_a_list_are_lines_of_text(client: Client) -> None:
    """getUsers returns text, with one email in lower case a line."""
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
    """`preferUserId` chooses between emails and user ids in a hybrid project."""
    await client.subscribe({"email": "a@example.com", "userId": "U1"}, list_id=HYBRID_LIST, key=HYBRID_KEY)
    reply = await client.get(f"/api/lists/getUsers?listId={HYBRID_LIST}&preferUserId={prefer}", key=HYBRID_KEY)
    assert reply.text == f"{line}\n"


async def test_a_user_id_project_lists_user_ids(client: Client) -> None:
    """A userID-based project returns user ids."""
    await client.subscribe({"email": "a@example.com", "userId": "U1"}, list_id=USER_ID_LIST, key=USER_ID_KEY)
    reply = await client.get(f"/api/lists/getUsers?listId={USER_ID_LIST}", key=USER_ID_KEY)
    assert reply.text == "U1\n"


async def test_a_preview_is_a_sample_of_the_list(client: Client) -> None:
    """previewUsers returns the requested number of different members."""
    emails = [f"user{number}@example.com" for number in range(20)]
    await client.subscribe(*emails)
    lines = (await client.get(f"/api/lists/previewUsers?listId={LIST}&size=5")).text.splitlines()
    assert (len(set(lines)), set(lines) <= set(emails)) == (5, True)


@pytest.mark.parametrize("query", ["", "?listId=", "?listId=x", f"?listId={LIST}&preferUserId=1", "?list=1"])
async def test_a_bad_query_is_refused(client: Client, query: str) -> None:
    """Missing, malformed and unknown parameters are BadParams."""
    reply = await client.get(f"/api/lists/getUsers{query}")
    assert (reply.status, reply.code) == (400, "BadParams")


@pytest.mark.parametrize("body", [{}, {"name": " "}, {"name": 1}, {"name": "a", "type": "Dynamic"}])
async def test_invalid_fields_of_a_list(client: Client, body: dict[str, Any]) -> None:
    """Creating a list with a missing, malformed or unknown field is BadParams."""
    reply = await client.post("/api/lists", body)
    assert (reply.status, reply.code) == (400, "BadParams")


async def test_an_unknown_endpoint_is_not_found(client: Client) -> None:
    """An endpoint that the local Iterable does not have is NotFound."""
    reply = await client.get("/api/templates")
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
