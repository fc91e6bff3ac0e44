"""A list that was just created is unknown to Iterable for a while: the client tries again, by a clock of its own."""

from collections.abc import AsyncIterator

import pytest

from core.iterable import IterableClient, ListNotFoundError, NoRateLimit, RetryPolicy
from sandbox.iterable import Fault, Running, running
from tests.clock import QuickClock
from tests.core.iterable.conftest import LIST

ANN = ("ann@example.com", "1")


@pytest.fixture
def clock() -> QuickClock:
    """The clock of the client and of the local Iterable."""
    return QuickClock()


@pytest.fixture
async def iterable(clock: QuickClock) -> AsyncIterator[Running]:
    """A local Iterable that knows a new list after a minute."""
    async with running(bulk_per_second=0, clock=clock.monotonic) as it:
        it.settings.list_ready_after = 60.0
        yield it


@pytest.fixture
async def client(iterable: Running, clock: QuickClock) -> AsyncIterator[IterableClient]:
    """A client as it is by default, which waits by that clock."""
    async with IterableClient(
        iterable.key, base_url=iterable.url, limiter=NoRateLimit(), retry_policy=RetryPolicy(), clock=clock
    ) as it:
        yield it


async def test_new_list_is_waited_for(client: IterableClient, iterable: Running, clock: QuickClock) -> None:
    """A list that is known after a minute takes people, and the waits grow."""
    list_id = await client.create_list("New")
    assert (await client.subscribe(list_id, [ANN])).is_clean
    assert iterable.state.members(list_id) == [ANN]
    assert client.traffic.retries == len(clock.slept) > 2


async def test_list_of_another_client_is_waited_for(
    client: IterableClient, iterable: Running, clock: QuickClock
) -> None:
    """So it is for a list that somebody else created minutes ago, if the caller says so."""
    async with IterableClient(iterable.key, base_url=iterable.url, limiter=NoRateLimit()) as other:
        list_id = await other.create_list("New")
    client.expect_new_list(list_id)
    assert (await client.subscribe(list_id, [ANN])).is_clean


@pytest.mark.parametrize("answer", ["400 invalidListId", "400 invalidListId, Success", "500 invalidListId"])
async def test_new_list_that_stays_unknown(
    client: IterableClient, iterable: Running, clock: QuickClock, answer: str
) -> None:
    """After 90 seconds the list is taken for gone, whatever the status."""
    list_id = await client.create_list("New")
    iterable.faults.add(Fault("answer", answer=answer, path="/api/lists/subscribe"))
    with pytest.raises(ListNotFoundError):
        await client.subscribe(list_id, [ANN])
    assert 90.0 <= sum(clock.slept) < 150.0


@pytest.mark.parametrize("answer", ["400 invalidListId", "500 invalidListId"])
async def test_old_list_is_gone_at_once(
    client: IterableClient, iterable: Running, clock: QuickClock, answer: str
) -> None:
    """A list that is not new is gone at the first such answer."""
    iterable.faults.add(Fault("answer", answer=answer))
    with pytest.raises(ListNotFoundError):
        await client.subscribe(LIST, [ANN])
    assert clock.slept == []
