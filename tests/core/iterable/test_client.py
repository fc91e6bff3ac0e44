"""Each call of the client does to the local Iterable what it says."""

import aiohttp
import pytest

from core.errors import SettingsError
from core.iterable import (
    DataCenter,
    FailureReason,
    IdentityConflictError,
    InvalidApiKeyError,
    IterableClient,
    ListNotFoundError,
    NoRateLimit,
    RequestStats,
    RequestTooLargeError,
)
from sandbox.iterable import HYBRID_KEY, Running
from tests.core.iterable.conftest import HYBRID_LIST, LIST, connected

ANN = ("ann@example.com", "1")
BOB = ("bob@example.com", "2")


async def test_lists_have_their_types(client: IterableClient) -> None:
    """All lists of the project come back, of whatever type."""
    assert [found.type for found in await client.lists()] == [
        "Standard",
        "Standard",
        "Dynamic",
        "Suppression",
        "Internal",
    ]


async def test_list_is_described(client: IterableClient) -> None:
    """A list has its id, name, time of creation in ms and description."""
    found = (await client.lists())[0]
    assert (found.id, found.name, found.description) == (LIST, "Newsletter", "Everyone who asked for news")
    assert found.created_at == 1_735_689_600_000
    assert found.is_standard


async def test_created_list_can_be_subscribed_to(client: IterableClient, iterable: Running) -> None:
    """A new list is a static one, under the id that was returned."""
    list_id = await client.create_list("New", "Made by a test")
    await client.subscribe(list_id, [ANN])
    assert iterable.state.members(list_id) == [ANN]


async def test_subscribe_puts_people_on_the_list(client: IterableClient, iterable: Running) -> None:
    """Whoever is subscribed is on the list, with email and user id."""
    result = await client.subscribe(LIST, [ANN, BOB])
    assert (result.success_count, result.fail_count, result.is_clean) == (2, 0, True)
    assert iterable.state.members(LIST) == [ANN, BOB]


async def test_missing_identifiers_are_left_out(iterable: Running) -> None:
    """None is not sent as null, which Iterable would refuse."""
    async with connected(iterable, key=HYBRID_KEY) as client:
        await client.subscribe(HYBRID_LIST, [("ann@example.com", None), (None, "2")])
    assert iterable.state.members(HYBRID_LIST) == [("ann@example.com", None), (None, "2")]


async def test_unsubscribe_takes_people_off_the_list(client: IterableClient, iterable: Running) -> None:
    """Whoever is unsubscribed is off the list; the others stay."""
    await client.subscribe(LIST, [ANN, BOB])
    await client.unsubscribe(LIST, [ANN])
    assert iterable.state.members(LIST) == [BOB]


async def test_unsubscribe_leaves_the_channel_alone(client: IterableClient, iterable: Running) -> None:
    """Nobody is unsubscribed from the whole channel."""
    await client.subscribe(LIST, [ANN])
    await client.unsubscribe(LIST, [ANN])
    assert not iterable.state.project().channel_unsubscribed


async def test_unsubscribing_a_stranger_is_named_not_found(client: IterableClient) -> None:
    """Who was never there comes back as not found."""
    result = await client.unsubscribe(LIST, [("stranger@example.com", None)])
    assert result.failed_emails == {"stranger@example.com": FailureReason.NOT_FOUND}


@pytest.mark.parametrize(
    ("domain", "failure"),
    [
        ("invalid.test", FailureReason.INVALID_EMAIL),
        ("forgotten.test", FailureReason.FORGOTTEN),
        ("conflict.test", FailureReason.CONFLICT),
        ("invaliddata.test", FailureReason.INVALID_DATA),
        ("notfound.test", FailureReason.NOT_FOUND),
    ],
)
async def test_failed_email_is_keyed_in_lower_case(
    client: IterableClient, iterable: Running, domain: str, failure: FailureReason
) -> None:
    """A failed email has its reason, and is found by its lower-case form whatever Iterable made of it."""
    iterable.settings.email_case = "upper"
    result = await client.subscribe(LIST, [ANN, (f"eve@{domain}", "9")])
    assert dict(result.failed_emails) == {f"eve@{domain}": failure}
    assert (result.success_count, result.fail_count) == (1, 1)


@pytest.mark.parametrize(
    ("user_id", "failure"),
    [
        ("x" * 53, FailureReason.INVALID_USER_ID),
        ("forgotten-X", FailureReason.FORGOTTEN),
        ("conflict-X", FailureReason.CONFLICT),
        ("invaliddata-X", FailureReason.INVALID_DATA),
        ("notfound-X", FailureReason.NOT_FOUND),
    ],
)
async def test_failed_user_id_is_kept_exactly(client: IterableClient, user_id: str, failure: FailureReason) -> None:
    """A failed user id has its reason, in the case in which it was sent."""
    result = await client.subscribe(LIST, [("eve@example.com", user_id)])
    assert dict(result.failed_user_ids) == {user_id: failure}


async def test_unattributed_failure_is_only_counted(client: IterableClient) -> None:
    """A failure that Iterable counts without a name shows in the count alone."""
    result = await client.subscribe(LIST, [ANN, ("eve@unattributed.test", None)])
    assert (result.fail_count, dict(result.failed_emails), dict(result.failed_user_ids)) == (1, {}, {})
    assert not result.is_clean


async def test_rename_gives_the_real_address(client: IterableClient, iterable: Running) -> None:
    """A person with a placeholder has the real address afterwards."""
    await client.subscribe(LIST, [("1@placeholder.email", "1")])
    await client.update_placeholder_email("1@placeholder.email", "ann@example.com")
    assert iterable.state.members(LIST) == [ANN]


@pytest.mark.parametrize(
    ("placeholder", "email", "failure"),
    [
        ("1@placeholder.email", "taken@example.com", FailureReason.CONFLICT),
        ("1@placeholder.email", "gone@example.com", FailureReason.FORGOTTEN),
        ("unknown@placeholder.email", "ann@example.com", FailureReason.NOT_FOUND),
    ],
)
async def test_refused_rename_says_why(
    client: IterableClient, iterable: Running, placeholder: str, email: str, failure: FailureReason
) -> None:
    """A rename that can't be is a conflict with its reason."""
    await client.subscribe(LIST, [("1@placeholder.email", "1"), ("taken@example.com", "2")])
    iterable.state.forget(email="gone@example.com")
    with pytest.raises(IdentityConflictError) as caught:
        await client.update_placeholder_email(placeholder, email)
    assert caught.value.failure is failure


async def test_list_size_counts_members(client: IterableClient) -> None:
    """The size is the number of people on the list."""
    await client.subscribe(LIST, [ANN, BOB])
    assert await client.get_list_size(LIST) == 2


async def test_list_users_streams_every_email(client: IterableClient) -> None:
    """Everybody on the list comes back, also when the answer takes many pieces."""
    people = [(f"person{number}@example.com", None) for number in range(20_000)]
    await client.subscribe(LIST, people)
    assert {email async for email in client.list_users(LIST)} == {email for email, _ in people}


async def test_list_users_of_an_empty_list(client: IterableClient) -> None:
    """Nobody comes back from an empty list."""
    assert [email async for email in client.list_users(LIST)] == []


@pytest.mark.parametrize("code", ["BadParams", "Success"])
async def test_list_users_of_a_missing_list(client: IterableClient, iterable: Running, code: str) -> None:
    """A list that is not there is an error, whatever code Iterable gives it."""
    iterable.settings.deleted_list_code = code
    with pytest.raises(ListNotFoundError):
        await anext(client.list_users(99))


async def test_large_body_is_sent(client: IterableClient, iterable: Running) -> None:
    """A request of more than a megabyte goes through like any other."""
    await client.subscribe(LIST, [(f"person{number:050}@example.com", None) for number in range(15_000)])
    assert iterable.state.size(LIST) == 15_000


async def test_body_above_the_limit_is_not_sent(client: IterableClient, iterable: Running) -> None:
    """What Iterable would refuse for its size is refused before it costs a request."""
    with pytest.raises(RequestTooLargeError):
        await client.subscribe(LIST, [("x" * 4_000_000, None)])
    assert iterable.state.log.total() == 0


async def test_traffic_counts_requests(client: IterableClient) -> None:
    """Each request is counted once."""
    await client.lists()
    await client.subscribe(LIST, [ANN])
    assert client.traffic == RequestStats(requests=2)


async def test_given_session_is_used_and_left_open(iterable: Running) -> None:
    """A session belongs to who made it."""
    async with aiohttp.ClientSession() as session:
        async with IterableClient(
            iterable.key, base_url=iterable.url, limiter=NoRateLimit(), session=session
        ) as client:
            await client.lists()
        assert not session.closed
        assert client.traffic.requests == 1


async def test_client_can_be_opened_again(iterable: Running) -> None:
    """A closed client opens a new session."""
    client = IterableClient(iterable.key, base_url=iterable.url, limiter=NoRateLimit())
    for _ in range(2):
        async with client:
            assert await client.lists()


async def test_closed_client_says_so(iterable: Running) -> None:
    """A client outside `async with` is a mistake of the program, not of Iterable."""
    client = IterableClient(iterable.key, base_url=iterable.url, limiter=NoRateLimit())
    with pytest.raises(RuntimeError, match="not open"):
        await client.lists()


@pytest.mark.parametrize("key", ["", "two words", "línea", "line\nbreak"])
async def test_impossible_key_is_refused(key: str) -> None:
    """A key that can't be one is refused before it is sent, and not repeated in the error."""
    with pytest.raises(InvalidApiKeyError) as caught:
        IterableClient(key, base_url=DataCenter.US.url, limiter=NoRateLimit())
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize("url", ["", "api.iterable.com", "ftp://host", "http://", "http://u:p@host", "http://["])
async def test_impossible_address_is_refused(url: str) -> None:
    """An address that can't be used names the setting that it comes from."""
    with pytest.raises(SettingsError, match="ITERABLE_SYNC_ITERABLE_URL"):
        IterableClient("key", base_url=url, limiter=NoRateLimit())


def test_data_centers_have_their_addresses() -> None:
    """Each data center has a base URL of its own."""
    assert [center.url for center in DataCenter] == [
        "https://api.iterable.com",
        "https://api.eu.iterable.com",
    ]
