"""Single users are renamed, updated, read and forgotten."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from sandbox.iterable import HYBRID_KEY, USER_ID_KEY
from tests.sandbox.iterable.conftest import HYBRID_LIST, LIST, USER_ID_LIST, Client
from tests.sandbox.iterable.test_subscribe import person

RENAME = "/api/users/updateEmail"


async def test_a_renamed_person_stays_on_the_list(client: Client) -> None:
    """A renamed person stays on their lists, without an entry in the history."""
    await client.subscribe(person("7@placeholder.email", "7"))
    reply = await client.post(RENAME, {"currentEmail": "7@Placeholder.email", "newEmail": "Ann@example.com"})
    assert (reply.status, reply.data) == (200, {"msg": "", "code": "Success", "params": None})
    assert client.iterable.state.members(LIST) == [("ann@example.com", "7")]
    assert client.iterable.state.history(LIST) == [("ann@example.com", "7", 1, 0)]


async def test_a_person_can_be_renamed_by_user_id(client: Client) -> None:
    """`currentUserId` finds the person if no email is given."""
    await client.subscribe(person("7@placeholder.email", "7"))
    await client.post(RENAME, {"currentUserId": "7", "newEmail": "ann@example.com"})
    assert client.iterable.state.members(LIST) == [("ann@example.com", "7")]


async def test_an_old_email_is_free_after_a_rename(client: Client) -> None:
    """A new person can use the old email of a renamed one."""
    await client.subscribe("a@example.com")
    await client.post(RENAME, {"currentEmail": "a@example.com", "newEmail": "b@example.com"})
    await client.subscribe("a@example.com")
    assert client.iterable.state.size(LIST) == 2


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"currentEmail": "a@example.com", "newEmail": "B@example.com"}, (409, "EmailAlreadyExists")),
        ({"currentEmail": "a@example.com", "newEmail": "a@example.com"}, (409, "EmailAlreadyExists")),
        ({"currentEmail": "a@example.com", "newEmail": "gone@example.com"}, (409, "ForgottenUserError")),
        ({"currentEmail": "a@example.com", "newEmail": "x@forgotten.test"}, (409, "ForgottenUserError")),
        ({"currentEmail": "a@example.com", "newEmail": "x@conflict.test"}, (409, "EmailAlreadyExists")),
        ({"currentEmail": "a@example.com", "newEmail": "x@poison.test"}, (400, "BadParams")),
        ({"currentEmail": "a@example.com", "newEmail": "nonsense"}, (400, "InvalidEmailAddressError")),
        ({"currentEmail": "who@example.com", "newEmail": "c@example.com"}, (400, "UnknownEmailError")),
        ({"currentUserId": "9", "newEmail": "c@example.com"}, (400, "UnknownUserIdError")),
        ({"newEmail": "c@example.com"}, (400, "BadParams")),
        ({"currentEmail": "a@example.com"}, (400, "BadParams")),
    ],
)
async def test_a_rename_is_refused(client: Client, body: dict[str, Any], answer: tuple[int, str]) -> None:
    """A rename to a used, forgotten or malformed email is refused, and so is that of an unknown person."""
    await client.subscribe("a@example.com", "b@example.com")
    client.iterable.state.forget(email="gone@example.com")
    reply = await client.post(RENAME, body)
    assert (reply.status, reply.code) == answer


@pytest.mark.parametrize("key", [HYBRID_KEY, USER_ID_KEY])
async def test_renaming_works_in_email_based_projects_only(client: Client, key: str) -> None:
    """In projects that are not email-based, updateEmail is BadParams."""
    reply = await client.post(RENAME, {"currentUserId": "1", "newEmail": "a@example.com"}, key=key)
    assert (reply.status, reply.code) == (400, "BadParams")


@pytest.mark.parametrize(
    "change",
    [{"email": "New@example.com"}, {"dataFields": {"email": "New@example.com"}}],
    ids=["next to the user id", "in dataFields"],
)
@pytest.mark.parametrize(("key", "list_id"), [(HYBRID_KEY, HYBRID_LIST), (USER_ID_KEY, USER_ID_LIST)])
async def test_update_changes_an_email_elsewhere(
    client: Client, key: str, list_id: int, change: dict[str, Any]
) -> None:
    """In hybrid and userID-based projects, `users/update` changes a person's email."""
    await client.subscribe(person("old@example.com", "1"), list_id=list_id, key=key)
    reply = await client.post("/api/users/update", {"userId": "1", **change}, key=key)
    assert (reply.status, client.iterable.state.members(list_id)) == (200, [("new@example.com", "1")])


async def test_update_can_change_a_user_id(client: Client) -> None:
    """A user id in `dataFields` replaces the person's."""
    await client.subscribe(person("a@example.com", "1"))
    await client.post("/api/users/update", {"email": "a@example.com", "dataFields": {"userId": "2"}})
    assert client.iterable.state.members(LIST) == [("a@example.com", "2")]


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"userId": "1", "email": "b@example.com"}, (409, "UserIdAlreadyExists")),
        ({"userId": "1", "dataFields": {"email": "b@example.com"}}, (409, "EmailAlreadyExists")),
        ({"email": "x@forgotten.test"}, (409, "ForgottenUserError")),
        ({"email": "nonsense"}, (400, "InvalidEmailAddressError")),
        ({"userId": "x" * 53}, (400, "InvalidUserIdError")),
        ({}, (400, "BadParams")),
    ],
)
async def test_an_update_is_refused(client: Client, body: dict[str, Any], answer: tuple[int, str]) -> None:
    """An update with a conflict or a forgotten user is answered with 409, and one with malformed identifiers with
    400."""
    await client.subscribe(
        person("a@example.com", "1"), person("b@example.com", "2"), list_id=HYBRID_LIST, key=HYBRID_KEY
    )
    reply = await client.post("/api/users/update", body, key=HYBRID_KEY)
    assert (reply.status, reply.code) == answer


async def test_a_bulk_update_answers_like_a_subscribe(client: Client) -> None:
    """A bulk update creates people and names failures, and changes no list."""
    users = [person("a@example.com", dataFields={"city": "Bonn"}), person("x@invalid.test")]
    reply = await client.post("/api/users/bulkUpdate", {"users": users})
    assert (reply.data["successCount"], reply.failed, reply.data["createdFields"]) == (
        1,
        {"invalidEmails": ["X@invalid.test"]},
        ["city"],
    )


async def test_a_user_is_read_by_email(client: Client) -> None:
    """getByEmail and byUserId return identifiers and lists, and an empty object for an unknown person."""
    await client.subscribe(person("a@example.com", "1"))
    known = await client.get("/api/users/getByEmail?email=A@example.com")
    unknown = await client.get("/api/users/getByEmail?email=b@example.com")
    assert (await client.get("/api/users/byUserId?userId=1")).data == known.data
    assert (await client.get("/api/users/byUserId?userId=2")).data == {}
    assert known.data == {
        "user": {
            "email": "a@example.com",
            "userId": "1",
            "dataFields": {"email": "a@example.com", "userId": "1", "emailListIds": [LIST]},
        }
    }
    assert unknown.data == {}


async def test_a_forgotten_person_can_not_be_added_again(client: Client) -> None:
    """A forgotten person is removed from all lists, and their address always fails."""
    await client.subscribe(person("a@example.com", "1"), "b@example.com")
    forgot = await client.post("/_sandbox/forget", {"email": "A@example.com"})
    reply = await client.subscribe("a@example.com")
    assert (forgot.data, reply.failed) == ({"known": True}, {"forgottenEmails": ["A@example.com"]})
    assert client.iterable.state.members(LIST) == [("b@example.com", None)]


async def test_a_forgotten_user_id_can_not_be_added_again(client: Client) -> None:
    """In a hybrid project, both identifiers of a forgotten person always fail."""
    options: dict[str, Any] = {"list_id": HYBRID_LIST, "key": HYBRID_KEY}
    await client.subscribe(person("a@example.com", "1"), **options)
    await client.post("/_sandbox/forget", {"userId": "1", "project": "Sandbox hybrid"})
    reply = await client.subscribe(person("b@example.com", "1"), "a@example.com", **options)
    assert reply.failed == {"forgottenEmails": ["A@example.com"], "forgottenUserIds": ["1"]}


async def test_forgotten_emails_are_hashes(client: Client) -> None:
    """Forgotten emails are returned as SHA-256 of the trimmed, lower-case address."""
    client.iterable.state.forget(email=" A@example.com ")
    reply = await client.get("/api/users/forgotten")
    assert reply.data == {"hashedEmails": [hashlib.sha256(b"a@example.com").hexdigest()]}


async def test_forgotten_user_ids_are_hashes(client: Client) -> None:
    """Forgotten user ids are returned as hashes in lower case, although user ids are case-sensitive."""
    client.iterable.state.forget(user_id="Ab", project="Sandbox userId")
    reply = await client.get("/api/users/forgottenUserIds", key=USER_ID_KEY)
    assert reply.data == {"hashedUserIds": [hashlib.sha256(b"ab").hexdigest()]}


@pytest.mark.parametrize(
    ("path", "key"), [("forgotten", USER_ID_KEY), ("forgottenUserIds", "sandbox-key-00000000000000000000")]
)
async def test_a_project_forgets_by_its_own_identifier(client: Client, path: str, key: str) -> None:
    """The endpoint of the identifier that the project does not use is BadParams."""
    reply = await client.get(f"/api/users/{path}", key=key)
    assert (reply.status, reply.code) == (400, "BadParams")
