"""Each call of the client has its effect on the local Iterable."""

import pytest
from aiohttp import web

from core.errors import SettingsError
from core.iterable import (
    DataCenter,
    FailureReason,
    IdentityConflictError,
    InvalidApiKeyError,
    IterableClient,
    IterableUser,
    ListNotFoundError,
    NoRateLimit,
    RequestStats,
    RequestTooLargeError,
)
from core.iterable.transport import connection_pool
from sandbox.iterable import HYBRID_KEY, Running
from tests.core.iterable.conftest import HYBRID_LIST, LIST, connected, serving

ANN = ("ann@example.com", "1")
BOB = ("bob@example.com", "2")


async def test_lists_have_their_types(client: IterableClient) -> None:
    """The client returns all lists of the project with their types."""
    assert [mailing_list.type for mailing_list in await client.lists()] == [
        "Standard",
        "Standard",
        "Dynamic",
        "Suppression",
        "Internal",
    ]


async def test_list_is_described(client: IterableClient) -> None:
    """A list has its id, name, creation time in ms and description."""
    mailing_list = (await client.lists())[0]
    assert (mailing_list.id, mailing_list.name, mailing_list.description) == (
        LIST,
        "Newsletter",
        "Everyone who asked for news",
    )
    assert mailing_list.created_at == 1_735_689_600_000
    assert mailing_list.is_standard


async def test_created_list_can_be_subscribed_to(client: IterableClient, iterable: Running) -> None:
    """A created list is a static list, and can be used under the returned id."""
    list_id = await client.create_list("New", "Made by a test")
    await client.subscribe(list_id, [ANN])
    assert iterable.state.members(list_id) == [ANN]


async def test_person_is_read_with_lists(client: IterableClient) -> None:
    """A person is found by email and by user id, with the lists that they are on; an unknown one is None."""
    await client.subscribe(LIST, [ANN])
    by_email, by_id = await client.user_by_email("Ann@example.com"), await client.user_by_id("1")
    assert by_email == by_id == IterableUser(*ANN, frozenset({LIST}))
    assert await client.user_by_email("bob@example.com") is None
    assert await client.user_by_id("2") is None


async def test_subscribe_adds_people(client: IterableClient, iterable: Running) -> None:
    """Subscribing adds people to the list, with email and user id."""
    result = await client.subscribe(LIST, [ANN, BOB])
    assert (result.success_count, result.fail_count, result.is_clean) == (2, 0, True)
    assert iterable.state.members(LIST) == [ANN, BOB]


async def test_missing_identifiers_are_left_out(iterable: Running) -> None:
    """A missing identifier is left out of the request, since Iterable refuses null."""
    async with connected(iterable, key=HYBRID_KEY) as client:
        await client.subscribe(HYBRID_LIST, [("ann@example.com", None), (None, "2")])
    assert iterable.state.members(HYBRID_LIST) == [("ann@example.com", None), (None, "2")]


async def test_unsubscribe_removes_people(client: IterableClient, iterable: Running) -> None:
    """Unsubscribing removes people from the list, and others stay."""
    await client.subscribe(LIST, [ANN, BOB])
    await client.unsubscribe(LIST, [ANN])
    assert iterable.state.members(LIST) == [BOB]


async def test_unsubscribe_leaves_the_channel_alone(client: IterableClient, iterable: Running) -> None:
    """Unsubscribing from a list leaves the subscription to the channel."""
    await client.subscribe(LIST, [ANN])
    await client.unsubscribe(LIST, [ANN])
    assert not iterable.state.project().channel_unsubscribed


async def test_unsubscribing_a_stranger(client: IterableClient) -> None:
    """Unsubscribing an unknown person is a failure with the reason "not found"."""
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
    """A failed email has its reason, under the lower-case form whatever case Iterable returns."""
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
    """A failed user id has its reason, under the case that was sent."""
    result = await client.subscribe(LIST, [("eve@example.com", user_id)])
    assert dict(result.failed_user_ids) == {user_id: failure}


async def test_unattributed_failure_is_only_counted(client: IterableClient) -> None:
    """A failure without a name is only counted."""
    result = await client.subscribe(LIST, [ANN, ("eve@unattributed.test", None)])
    assert (result.fail_count, dict(result.failed_emails), dict(result.failed_user_ids)) == (1, {}, {})
    assert not result.is_clean


async def test_rename_gives_the_real_address(client: IterableClient, iterable: Running) -> None:
    """Renaming gives a person with a placeholder the real address."""
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
async def test_refused_rename_has_a_reason(
    client: IterableClient, iterable: Running, placeholder: str, email: str, failure: FailureReason
) -> None:
    """A refused rename is a conflict with its reason."""
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
    """The client returns all people on a list, even if the answer comes in many chunks."""
    people = [(f"person{number}@example.com", None) for number in range(20_000)]
    await client.subscribe(LIST, people)
    assert {email async for email in client.list_users(LIST)} == {email for email, _ in people}


async def test_list_users_of_an_empty_list(client: IterableClient) -> None:
    """The client returns no people for an empty list."""
    assert [email async for email in client.list_users(LIST)] == []


@pytest.mark.parametrize("code", ["BadParams", "Success"])
async def test_list_users_of_a_missing_list(client: IterableClient, iterable: Running, code: str) -> None:
    """A missing list is an error, whatever code Iterable gives it."""
    iterable.settings.deleted_list_code = code
    with pytest.raises(ListNotFoundError):
        await anext(client.list_users(99))


async def test_large_body_is_sent(client: IterableClient, iterable: Running) -> None:
    """A request of more than a megabyte is sent."""
    await client.subscribe(LIST, [(f"person{number:050}@example.com", None) for number in range(15_000)])
    assert iterable.state.size(LIST) == 15_000


async def test_body_above_the_limit_is_not_sent(client: IterableClient, iterable: Running) -> None:
    """A body above Iterable's limit is refused without a request."""
    with pytest.raises(RequestTooLargeError):
        await client.subscribe(LIST, [("x" * 4_000_000, None)])
    assert iterable.state.log.total() == 0


async def test_traffic_counts_requests(client: IterableClient) -> None:
    """The client counts each request once."""
    await client.lists()
    await client.subscribe(LIST, [ANN])
    assert client.traffic == RequestStats(requests=2)


async def test_clients_share_connections() -> None:
    """Clients with the same connections use one after the other, and leave it open."""
    ports = []

    async def answer(request: web.Request) -> web.Response:
        ports.append(request.transport and request.transport.get_extra_info("peername")[1])
        return web.json_response({"lists": []})

    async with serving(answer) as url, connection_pool() as connector:
        for _ in range(3):
            async with IterableClient("key", base_url=url, limiter=NoRateLimit(), connector=connector) as client:
                await client.lists()
        assert not connector.closed
    assert len(ports) == 3
    assert len(set(ports)) == 1


async def test_client_can_be_opened_again(iterable: Running) -> None:
    """A closed client can be opened again, with a new session."""
    client = IterableClient(iterable.key, base_url=iterable.url, limiter=NoRateLimit())
    for _ in range(2):
        async with client:
            assert await client.lists()


async def test_closed_client_says_so(iterable: Running) -> None:
    """Using a client outside `async with` is a programming error."""
    client = IterableClient(iterable.key, base_url=iterable.url, limiter=NoRateLimit())
    with pytest.raises(RuntimeError, match="not open"):
        await client.lists()


@pytest.mark.parametrize("key", ["", "two words", "línea", "line\nbreak"])
async def test_impossible_key_is_refused(key: str) -> None:
    """An impossible key is refused before it is sent, and the error does not repeat it."""
    with pytest.raises(InvalidApiKeyError) as caught:
        IterableClient(key, base_url=DataCenter.US.url, limiter=NoRateLimit())
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize("url", ["", "api.iterable.com", "ftp://host", "http://", "http://u:p@host", "http://["])
async def test_impossible_address_is_refused(url: str) -> None:
    """An error for an unusable address names its setting."""
    with pytest.raises(SettingsError, match="ITERABLE_SYNC_ITERABLE_URL"):
        IterableClient("key", base_url=url, limiter=NoRateLimit())


def test_data_centers_have_their_addresses() -> None:
    """Each data center has its own base URL."""
    assert [center.url for center in DataCenter] == [
        "https://api.iterable.com",
        "https://api.eu.iterable.com",
    ]
