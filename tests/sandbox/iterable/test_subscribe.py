"""Subscribing and unsubscribing: who is found, who is created, who fails, and how the answer says it."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.iterable import HYBRID_KEY, USER_ID_KEY
from tests.sandbox.iterable.conftest import HYBRID_LIST, LIST, USER_ID_LIST, Client

HYBRID: dict[str, Any] = {"list_id": HYBRID_LIST, "key": HYBRID_KEY}
USER_ID: dict[str, Any] = {"list_id": USER_ID_LIST, "key": USER_ID_KEY}


def person(email: str | None = None, user_id: str | None = None, **more: object) -> dict[str, object]:
    """A subscriber."""
    given = {"email": email, "userId": user_id}
    return {name: value for name, value in given.items() if value is not None} | more


async def test_unknown_people_are_made_and_put_on_the_list(client: Client) -> None:
    """A batch of new people succeeds whole, with all the fields that Iterable answers."""
    reply = await client.subscribe(person("a@example.com", "1"), person("b@example.com", "2"))
    assert (reply.data["successCount"], reply.data["failCount"], reply.failed) == (2, 0, {})
    assert (reply.data["createdFields"], reply.data["filteredOutFields"]) == ([], [])
    assert client.iterable.state.members(LIST) == [("a@example.com", "1"), ("b@example.com", "2")]


async def test_emails_are_one_whatever_their_case(client: Client) -> None:
    """The same address in another case is the same person."""
    await client.subscribe("Ann@Example.com")
    reply = await client.subscribe("ann@example.COM", "ANN@example.com")
    assert (reply.data["successCount"], client.iterable.state.size(LIST)) == (2, 1)


async def test_user_ids_keep_their_case(client: Client) -> None:
    """User ids that differ in case are different people."""
    await client.subscribe(person(user_id="a"), person(user_id="A"), **USER_ID)
    assert client.iterable.state.members(USER_ID_LIST) == [(None, "a"), (None, "A")]


async def test_a_mixed_batch_of_known_and_new_people(client: Client) -> None:
    """Known people are found and new ones made within one request."""
    await client.subscribe(person("a@example.com", "1"))
    await client.subscribe(person("b@example.com", "2"), person("a@example.com", "1"))
    assert client.iterable.state.members(LIST) == [("a@example.com", "1"), ("b@example.com", "2")]


async def test_in_an_email_project_the_email_wins_and_the_user_id_is_overwritten(client: Client) -> None:
    """The person is found by email, and gets the user id that was sent."""
    await client.subscribe(person("a@example.com", "1"))
    await client.subscribe(person("a@example.com", "2"))
    assert client.iterable.state.members(LIST) == [("a@example.com", "2")]


async def test_an_email_project_does_not_insist_on_unique_user_ids(client: Client) -> None:
    """Two emails with one user id are two people there."""
    reply = await client.subscribe(person("a@example.com", "1"), person("b@example.com", "1"))
    assert (reply.data["successCount"], client.iterable.state.size(LIST)) == (2, 2)


async def test_an_email_project_can_be_told_to_insist(client: Client) -> None:
    """With the setting, a user id of another person is a conflict."""
    client.iterable.settings.unique_user_ids = True
    reply = await client.subscribe(person("a@example.com", "1"), person("b@example.com", "1"))
    assert (reply.data["successCount"], reply.failed) == (1, {"conflictUserIds": ["1"]})


async def test_in_an_email_project_an_unknown_user_id_alone_is_not_found(client: Client) -> None:
    """An unknown user id fails without an email."""
    reply = await client.subscribe(person(user_id="7"))
    assert (reply.data["failCount"], reply.failed) == (1, {"notFoundUserIds": ["7"]})


async def test_prefer_user_id_makes_a_placeholder(client: Client) -> None:
    """With `preferUserId` an unknown user id makes a person with a placeholder email."""
    await client.subscribe(person(user_id="7", preferUserId=True))
    assert client.iterable.state.members(LIST) == [("7@placeholder.email", "7")]


async def test_a_known_user_id_alone_means_its_person(client: Client) -> None:
    """A user id finds the person who was made with an email."""
    await client.subscribe(person("a@example.com", "1"), list_id=1002)
    await client.subscribe(person(user_id="1"))
    assert client.iterable.state.members(LIST) == [("a@example.com", "1")]


async def test_in_a_hybrid_project_either_finds_and_the_other_is_filled_in(client: Client) -> None:
    """An email learns its user id, and a person found by user id changes email."""
    await client.subscribe("a@example.com", **HYBRID)
    await client.subscribe(person("a@example.com", "1"), **HYBRID)
    await client.subscribe(person("new@example.com", "1"), **HYBRID)
    assert client.iterable.state.members(HYBRID_LIST) == [("new@example.com", "1")]


async def test_in_a_hybrid_project_two_people_at_once_are_a_conflict(client: Client) -> None:
    """Identifiers of two different people fail, and neither changes."""
    await client.subscribe(person("a@example.com", "1"), person("b@example.com", "2"), **HYBRID)
    reply = await client.subscribe(person("a@example.com", "2"), **HYBRID)
    assert reply.failed == {"conflictUserIds": ["2"]}
    assert client.iterable.state.members(HYBRID_LIST) == [("a@example.com", "1"), ("b@example.com", "2")]


async def test_in_a_user_id_project_emails_may_be_shared(client: Client) -> None:
    """Only user ids are unique there."""
    reply = await client.subscribe(person("a@example.com", "1"), person("a@example.com", "2"), **USER_ID)
    assert (reply.data["successCount"], client.iterable.state.size(USER_ID_LIST)) == (2, 2)


async def test_in_a_user_id_project_an_email_alone_finds_nobody(client: Client) -> None:
    """Without a user id no person is found."""
    reply = await client.subscribe("a@example.com", **USER_ID)
    assert reply.failed == {"notFoundEmails": ["A@example.com"]}


async def test_existing_users_only_makes_nobody(client: Client) -> None:
    """Unknown people are left out with `updateExistingUsersOnly`, outside email-based projects."""
    body = {"listId": HYBRID_LIST, "subscribers": [person(user_id="1")], "updateExistingUsersOnly": True}
    reply = await client.post("/api/lists/subscribe", body, key=HYBRID_KEY)
    assert (reply.failed, client.iterable.state.size(HYBRID_LIST)) == ({"notFoundUserIds": ["1"]}, 0)


async def test_existing_users_only_means_nothing_in_an_email_project(client: Client) -> None:
    """In an email-based project the flag is not respected."""
    body = {"listId": LIST, "subscribers": [person("a@example.com")], "updateExistingUsersOnly": True}
    await client.post("/api/lists/subscribe", body)
    assert client.iterable.state.size(LIST) == 1


async def test_unsubscribing_takes_people_off(client: Client) -> None:
    """Whoever is on the list leaves it, by email or by user id."""
    await client.subscribe(person("a@example.com", "1"), person("b@example.com", "2"), "c@example.com")
    reply = await client.unsubscribe("A@example.com", person(user_id="2"))
    assert (reply.data["successCount"], client.iterable.state.members(LIST)) == (2, [("c@example.com", None)])


async def test_unsubscribing_somebody_who_is_not_there_is_not_found(client: Client) -> None:
    """Unknown people and people of other lists are named, and counted."""
    await client.subscribe("a@example.com", list_id=1002)
    reply = await client.unsubscribe("a@example.com", "who@example.com", person(user_id="9"))
    assert (reply.data["successCount"], reply.data["failCount"]) == (0, 3)
    assert reply.failed == {
        "notFoundEmails": ["A@example.com", "Who@example.com"],
        "notFoundUserIds": ["9"],
    }


async def test_unsubscribing_twice_in_one_request_counts_once(client: Client) -> None:
    """The second mention no longer finds the person on the list."""
    await client.subscribe("a@example.com")
    reply = await client.unsubscribe("a@example.com", "A@example.com")
    assert (reply.data["successCount"], reply.data["failCount"]) == (1, 1)


async def test_a_channel_unsubscribe_shows(client: Client) -> None:
    """Whoever is taken out of the whole channel can be seen to have been."""
    await client.subscribe("a@example.com")
    body = {"listId": LIST, "subscribers": [person("a@example.com")], "channelUnsubscribe": True}
    await client.post("/api/lists/unsubscribe", body)
    overview = await client.get("/_sandbox")
    assert overview.data["projects"][0]["channelUnsubscribed"] == 1


async def test_new_data_fields_are_reported(client: Client) -> None:
    """Fields that the project had not seen are created, and kept."""
    reply = await client.subscribe(person("a@example.com", dataFields={"city": "Bonn", "age": 3}))
    user = await client.get("/api/users/getByEmail?email=a@example.com")
    assert reply.data["createdFields"] == ["age", "city"]
    assert user.data["user"]["dataFields"]["city"] == "Bonn"


async def test_a_data_field_of_another_type_is_invalid_data(client: Client) -> None:
    """The type of a field is fixed by its first value."""
    await client.subscribe(person("a@example.com", dataFields={"age": 3}))
    reply = await client.subscribe(person("b@example.com", dataFields={"age": "three"}))
    assert reply.failed == {"invalidDataEmails": ["B@example.com"]}


@pytest.mark.parametrize(("case", "spelled"), [("capital", "Ab@x.invalid"), ("upper", "AB@X.INVALID")])
async def test_emails_come_back_in_another_case(client: Client, case: str, spelled: str) -> None:
    """How failed emails are spelled is a setting, and by default not as they were sent."""
    client.iterable.settings.update({"email_case": case})
    reply = await client.subscribe("ab@x.invalid")
    assert reply.failed == {"invalidEmails": [spelled]}


async def test_empty_lists_of_failures_may_be_missing(client: Client) -> None:
    """With the setting, failedUpdates holds only what failed."""
    client.iterable.settings.empty_buckets = False
    reply = await client.subscribe("a@example.com")
    assert reply.data["failedUpdates"] == {}
