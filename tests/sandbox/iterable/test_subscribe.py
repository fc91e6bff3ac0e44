"""Subscribing and unsubscribing: who is found, who is created, who fails, and how the answer reports it."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.iterable import HYBRID_KEY, USER_ID_KEY
from tests.sandbox.iterable.conftest import HYBRID_LIST, LIST, USER_ID_LIST, Client

HYBRID: dict[str, Any] = {"list_id": HYBRID_LIST, "key": HYBRID_KEY}
USER_ID: dict[str, Any] = {"list_id": USER_ID_LIST, "key": USER_ID_KEY}


def person(email: str | None = None, user_id: str | None = None, **more: object) -> dict[str, object]:
    """Return a subscriber."""
    identifiers = {"email": email, "userId": user_id}
    return {name: value for name, value in identifiers.items() if value is not None} | more


async def test_unknown_people_are_created_and_added(client: Client) -> None:
    """A batch of new people succeeds, and the answer has all of Iterable's fields."""
    reply = await client.subscribe(person("a@example.com", "1"), person("b@example.com", "2"))
    assert (reply.data["successCount"], reply.data["failCount"], reply.failed) == (2, 0, {})
    assert (reply.data["createdFields"], reply.data["filteredOutFields"]) == ([], [])
    assert client.iterable.state.members(LIST) == [("a@example.com", "1"), ("b@example.com", "2")]


async def test_emails_are_not_case_sensitive(client: Client) -> None:
    """The same address in another case is the same person."""
    await client.subscribe("Ann@Example.com")
    reply = await client.subscribe("ann@example.COM", "ANN@example.com")
    assert (reply.data["successCount"], client.iterable.state.size(LIST)) == (2, 1)


async def test_user_ids_are_case_sensitive(client: Client) -> None:
    """User ids that differ in case are different people."""
    await client.subscribe(person(user_id="a"), person(user_id="A"), **USER_ID)
    assert client.iterable.state.members(USER_ID_LIST) == [(None, "a"), (None, "A")]


async def test_a_mixed_batch_of_known_and_new_people(client: Client) -> None:
    """One request finds known people and creates new ones."""
    await client.subscribe(person("a@example.com", "1"))
    await client.subscribe(person("b@example.com", "2"), person("a@example.com", "1"))
    assert client.iterable.state.members(LIST) == [("a@example.com", "1"), ("b@example.com", "2")]


async def test_in_an_email_project_the_email_wins_and_the_user_id_is_overwritten(client: Client) -> None:
    """An email-based project finds the person by email, and overwrites their user id."""
    await client.subscribe(person("a@example.com", "1"))
    await client.subscribe(person("a@example.com", "2"))
    assert client.iterable.state.members(LIST) == [("a@example.com", "2")]


async def test_an_email_project_allows_shared_user_ids(client: Client) -> None:
    """In an email-based project, two emails with one user id are two people."""
    reply = await client.subscribe(person("a@example.com", "1"), person("b@example.com", "1"))
    assert (reply.data["successCount"], client.iterable.state.size(LIST)) == (2, 2)


async def test_unique_user_ids_is_a_setting(client: Client) -> None:
    """With the setting, the user id of another person is a conflict."""
    client.iterable.settings.unique_user_ids = True
    reply = await client.subscribe(person("a@example.com", "1"), person("b@example.com", "1"))
    assert (reply.data["successCount"], reply.failed) == (1, {"conflictUserIds": ["1"]})


async def test_in_an_email_project_an_unknown_user_id_alone_is_not_found(client: Client) -> None:
    """In an email-based project, an unknown user id without an email is not found."""
    reply = await client.subscribe(person(user_id="7"))
    assert (reply.data["failCount"], reply.failed) == (1, {"notFoundUserIds": ["7"]})


async def test_prefer_user_id_creates_a_placeholder(client: Client) -> None:
    """With `preferUserId`, an unknown user id creates a person with a placeholder email."""
    await client.subscribe(person(user_id="7", preferUserId=True))
    assert client.iterable.state.members(LIST) == [("7@placeholder.email", "7")]


async def test_a_known_user_id_alone_means_its_person(client: Client) -> None:
    """A user id alone finds the person who was created with an email."""
    await client.subscribe(person("a@example.com", "1"), list_id=1002)
    await client.subscribe(person(user_id="1"))
    assert client.iterable.state.members(LIST) == [("a@example.com", "1")]


async def test_a_hybrid_project_finds_by_either_identifier(client: Client) -> None:
    """A hybrid project finds a person by email or user id, and stores the other identifier."""
    await client.subscribe("a@example.com", **HYBRID)
    await client.subscribe(person("a@example.com", "1"), **HYBRID)
    await client.subscribe(person("new@example.com", "1"), **HYBRID)
    assert client.iterable.state.members(HYBRID_LIST) == [("new@example.com", "1")]


async def test_identifiers_of_two_people_are_a_conflict(client: Client) -> None:
    """In a hybrid project, identifiers of two different people fail, and neither person changes."""
    await client.subscribe(person("a@example.com", "1"), person("b@example.com", "2"), **HYBRID)
    reply = await client.subscribe(person("a@example.com", "2"), **HYBRID)
    assert reply.failed == {"conflictUserIds": ["2"]}
    assert client.iterable.state.members(HYBRID_LIST) == [("a@example.com", "1"), ("b@example.com", "2")]


async def test_in_a_user_id_project_emails_may_be_shared(client: Client) -> None:
    """In a userID-based project, two people may have the same email."""
    reply = await client.subscribe(person("a@example.com", "1"), person("a@example.com", "2"), **USER_ID)
    assert (reply.data["successCount"], client.iterable.state.size(USER_ID_LIST)) == (2, 2)


async def test_in_a_user_id_project_an_email_alone_is_not_found(client: Client) -> None:
    """In a userID-based project, an email without a user id is not found."""
    reply = await client.subscribe("a@example.com", **USER_ID)
    assert reply.failed == {"notFoundEmails": ["A@example.com"]}


async def test_existing_users_only_creates_no_one(client: Client) -> None:
    """Outside email-based projects, `updateExistingUsersOnly` leaves out unknown people."""
    body = {"listId": HYBRID_LIST, "subscribers": [person(user_id="1")], "updateExistingUsersOnly": True}
    reply = await client.post("/api/lists/subscribe", body, key=HYBRID_KEY)
    assert (reply.failed, client.iterable.state.size(HYBRID_LIST)) == ({"notFoundUserIds": ["1"]}, 0)


async def test_existing_users_only_is_ignored_in_an_email_project(client: Client) -> None:
    """An email-based project ignores `updateExistingUsersOnly`."""
    body = {"listId": LIST, "subscribers": [person("a@example.com")], "updateExistingUsersOnly": True}
    await client.post("/api/lists/subscribe", body)
    assert client.iterable.state.size(LIST) == 1


async def test_unsubscribing_removes_people(client: Client) -> None:
    """A member is removed by email or by user id."""
    await client.subscribe(person("a@example.com", "1"), person("b@example.com", "2"), "c@example.com")
    reply = await client.unsubscribe("A@example.com", person(user_id="2"))
    assert (reply.data["successCount"], client.iterable.state.members(LIST)) == (2, [("c@example.com", None)])


async def test_unsubscribing_people_who_are_not_on_the_list(client: Client) -> None:
    """Unknown people and people of other lists are named as not found, and counted."""
    await client.subscribe("a@example.com", list_id=1002)
    reply = await client.unsubscribe("a@example.com", "who@example.com", person(user_id="9"))
    assert (reply.data["successCount"], reply.data["failCount"]) == (0, 3)
    assert reply.failed == {
        "notFoundEmails": ["A@example.com", "Who@example.com"],
        "notFoundUserIds": ["9"],
    }


async def test_unsubscribing_twice_in_one_request_counts_once(client: Client) -> None:
    """A second mention in the same request fails, because the person is no longer on the list."""
    await client.subscribe("a@example.com")
    reply = await client.unsubscribe("a@example.com", "A@example.com")
    assert (reply.data["successCount"], reply.data["failCount"]) == (1, 1)


async def test_a_channel_unsubscribe_is_counted(client: Client) -> None:
    """The overview counts the people who were unsubscribed from the channel."""
    await client.subscribe("a@example.com")
    body = {"listId": LIST, "subscribers": [person("a@example.com")], "channelUnsubscribe": True}
    await client.post("/api/lists/unsubscribe", body)
    overview = await client.get("/_sandbox")
    assert overview.data["projects"][0]["channelUnsubscribed"] == 1


async def test_new_data_fields_are_reported(client: Client) -> None:
    """New data fields are created, reported and stored."""
    reply = await client.subscribe(person("a@example.com", dataFields={"city": "Bonn", "age": 3}))
    user = await client.get("/api/users/getByEmail?email=a@example.com")
    assert reply.data["createdFields"] == ["age", "city"]
    assert user.data["user"]["dataFields"]["city"] == "Bonn"


async def test_the_first_value_of_a_field_fixes_its_type(client: Client) -> None:
    """getFields names the type that the first value has given to each field, next to those of every project."""
    data = {"age": 3, "share": 0.5, "vip": True, "tags": ["a"], "since": "2026-01-31 10:00:00 +00:00", "home": {"x": 1}}
    await client.subscribe(person("a@example.com", dataFields=data))
    fields = (await client.get("/api/users/getFields")).data["fields"]
    kinds = {"age": "long", "share": "double", "vip": "boolean", "tags": "string", "since": "date", "home": "object"}
    assert {name: fields[name] for name in kinds} == kinds
    assert (fields["email"], fields["phoneNumber"]) == ("string", "string")


@pytest.mark.parametrize(
    ("first", "value", "fits"),
    [
        (3, "three", False),
        (3, 4, True),
        (3, 4.5, False),
        (0.5, 4, True),
        ("x", 4, False),
        ("x", ["y"], True),
        ("x", True, False),
        ("x", "2026-01-31 10:00:00 +00:00", True),
        ("2026-01-31 10:00:00 +00:00", "soon", False),
        ({"a": 1}, "x", False),
        (True, None, True),
    ],
)
async def test_a_value_of_another_type_is_invalid_data(client: Client, first: Any, value: Any, fits: bool) -> None:
    """A value of another type than the field's is invalid data for its person, and others are taken."""
    await client.subscribe(person("a@example.com", dataFields={"field": first}))
    reply = await client.subscribe(person("b@example.com", dataFields={"field": value}), "c@example.com")
    assert reply.failed == ({} if fits else {"invalidDataEmails": ["B@example.com"]})
    assert reply.data["successCount"] == (2 if fits else 1)


async def test_null_removes_a_value(client: Client) -> None:
    """A null removes the value of a field, and the overview counts who has a value."""
    await client.subscribe(person("a@example.com", dataFields={"city": "Bonn", "age": 3}))
    await client.subscribe(person("a@example.com", dataFields={"city": None}))
    project = (await client.get("/_sandbox")).data["projects"][0]
    assert project["fields"] == [{"name": "age", "type": "long", "people": 1}]
    assert project["profiles"] == [{"email": "a@example.com", "userId": None, "dataFields": {"age": 3}}]


@pytest.mark.parametrize(("case", "returned"), [("capital", "Ab@x.invalid"), ("upper", "AB@X.INVALID")])
async def test_failed_emails_are_returned_in_another_case(client: Client, case: str, returned: str) -> None:
    """A setting decides the case in which failed emails are returned; by default it is not the sent one."""
    client.iterable.settings.update({"email_case": case})
    reply = await client.subscribe("ab@x.invalid")
    assert reply.failed == {"invalidEmails": [returned]}


async def test_empty_lists_of_failures_may_be_missing(client: Client) -> None:
    """With the setting, failedUpdates has only the lists with failures."""
    client.iterable.settings.empty_buckets = False
    reply = await client.subscribe("a@example.com")
    assert reply.data["failedUpdates"] == {}
