"""Scripted results: which addresses and user ids fail, and how."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.iterable import scripted_outcomes
from tests.examples import examples
from tests.sandbox.iterable.conftest import LIST, Client
from tests.sandbox.iterable.test_subscribe import person

RULES = [
    ("invalid", "invalid"),
    ("forgotten", "forgotten"),
    ("conflict", "conflict"),
    ("invaliddata", "invalidData"),
    ("notfound", "notFound"),
]
INVALID_ADDRESSES = [
    *("", "a", "a@", "@example.com", "a@b", "a@@example.com", "a b@example.com", ".a@example.com"),
    *("a.@example.com", "a..b@example.com", "a@-x.com", "a@example.c", "a@x.localhost", "a@1.2.3.4"),
    *("a@example.com\n", "a@b@example.com", "a@example.com@example.com", "a" * 65 + "@example.com"),
]
PIECES = [
    *("", "a", "B", "9", ".", "@", "@@", " ", "\n", "\r", "-", "ü", "x" * 40, "example.com", "@example.com"),
    *("@invalid.test", "@x.org", "@sub.x.org", "@a-b.de", "@nodot", "@y.io", "@z.io", "@w.io"),
]


@pytest.mark.parametrize(("rule", "bucket"), RULES)
async def test_an_address_fails_by_its_domain(client: Client, rule: str, bucket: str) -> None:
    """An address with the domain of a rule fails, and the others of the batch do not."""
    reply = await client.subscribe("good@example.com", f"x@{rule}.test")
    assert (reply.data["successCount"], reply.failed) == (1, {f"{bucket}Emails": [f"X@{rule}.test"]})


@pytest.mark.parametrize(("rule", "bucket"), RULES)
async def test_a_user_id_fails_by_its_prefix(client: Client, rule: str, bucket: str) -> None:
    """A user id with the prefix of a rule fails, even with a good email."""
    reply = await client.subscribe(person("good@example.com", f"{rule}-1"))
    assert (reply.data["failCount"], reply.failed) == (1, {f"{bucket}UserIds": [f"{rule}-1"]})


async def test_some_failures_are_counted_and_not_named(client: Client) -> None:
    """An unattributed failure and an empty subscriber appear only in failCount."""
    reply = await client.subscribe("x@unattributed.test", person(user_id="unattributed-1"), {})
    assert (reply.data["successCount"], reply.data["failCount"], reply.failed) == (0, 3, {})


@pytest.mark.parametrize("poison", [person("x@poison.test"), person("a@example.com", "poison-1")])
async def test_poison_refuses_the_whole_request(client: Client, poison: dict[str, object]) -> None:
    """A poisonous subscriber makes the answer a 400, and no one is subscribed."""
    reply = await client.subscribe("good@example.com", poison)
    assert (reply.status, reply.code, client.iterable.state.size(LIST)) == (400, "BadParams", 0)


async def test_unsubscribing_by_rule(client: Client) -> None:
    """Unsubscribing reports invalid and forgotten addresses as such, and those that were never on a list as not
    found."""
    reply = await client.unsubscribe("x@invalid.test", "x@forgotten.test", "x@conflict.test")
    assert reply.failed == {
        "invalidEmails": ["X@invalid.test"],
        "forgottenEmails": ["X@forgotten.test"],
        "notFoundEmails": ["X@conflict.test"],
    }


@pytest.mark.parametrize("email", INVALID_ADDRESSES)
async def test_malformed_addresses_are_invalid(client: Client, email: str) -> None:
    """Malformed addresses are returned in invalidEmails, both in the current and in the old field."""
    reply = await client.subscribe("good@example.com", email)
    returned = email[:1].upper() + email[1:]
    assert (reply.failed, reply.data["invalidEmails"]) == ({"invalidEmails": [returned]}, [returned])


@pytest.mark.parametrize("user_id", ["", "x" * 53, "a ", "ümlaut", "a\tb", "a\nb"])
async def test_malformed_user_ids_are_invalid(client: Client, user_id: str) -> None:
    """Malformed user ids are returned in invalidUserIds."""
    reply = await client.subscribe(person("a@example.com", user_id))
    assert reply.failed == {"invalidUserIds": [user_id]}


@pytest.mark.parametrize("user_id", ["x" * 52, "a b", " a", "-123", "~"])
async def test_unusual_user_ids_are_valid(client: Client, user_id: str) -> None:
    """A user id may have 52 printable ASCII characters, with spaces anywhere but at the end."""
    reply = await client.subscribe(person("a@example.com", user_id))
    assert reply.data["successCount"] == 1


_emails = st.lists(st.sampled_from(PIECES), max_size=5).map("".join)


@given(st.lists(_emails, min_size=1, max_size=8))
@settings(max_examples=examples(500), deadline=None)
def test_the_fast_check_of_emails_is_strict(emails: list[str]) -> None:
    """The fast check of a batch accepts only emails that the slow check accepts."""
    plain = scripted_outcomes.plain_emails(emails)
    if plain is not None:
        assert plain == [email.lower() for email in emails]
        assert [scripted_outcomes.judge(email, None) for email in plain] == [None] * len(emails)


@given(st.lists(st.text(alphabet="a -\tü9", max_size=54), max_size=5))
def test_the_fast_check_of_user_ids_is_strict(user_ids: list[str]) -> None:
    """The fast check of a batch accepts only user ids that the slow check accepts."""
    if scripted_outcomes.plain_user_ids(user_ids):
        assert [scripted_outcomes.judge(None, user_id) for user_id in user_ids] == [None] * len(user_ids)


@pytest.mark.parametrize("emails", [["a@example.com"], ["a.b@x.org", "c+d@y.de", "e_f@sub.z.co.uk"] * 3])
def test_the_fast_check_passes_ordinary_batches(emails: list[str]) -> None:
    """Ordinary addresses pass the fast check."""
    assert scripted_outcomes.plain_emails(emails) == emails
