"""Iterable does not know a new list at first: the client retries, on a schedule of its own."""

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
    async with running(bulk_per_second=0, clock=clock.monotonic) as server:
        server.settings.list_ready_after = 60.0
        yield server


@pytest.fixture
async def client(iterable: Running, clock: QuickClock) -> AsyncIterator[IterableClient]:
    """A client with the default policy and that clock."""
    async with IterableClient(
        iterable.key, base_url=iterable.url, limiter=NoRateLimit(), retry_policy=RetryPolicy(), clock=clock
    ) as opened:
        yield opened


async def test_client_waits_for_a_new_list(client: IterableClient, iterable: Running, clock: QuickClock) -> None:
    """The client retries with growing delays until Iterable knows the list after a minute."""
    list_id = await client.create_list("New")
    assert (await client.subscribe(list_id, [ANN])).is_clean
    assert iterable.state.members(list_id) == [ANN]
    assert client.traffic.retries == len(clock.slept) > 2


async def test_client_waits_for_a_list_of_another_client(
    client: IterableClient, iterable: Running, clock: QuickClock
) -> None:
    """The client waits for a list that another client created minutes ago, if the caller says so."""
    async with IterableClient(iterable.key, base_url=iterable.url, limiter=NoRateLimit()) as other:
        list_id = await other.create_list("New")
    client.expect_new_list(list_id)
    assert (await client.subscribe(list_id, [ANN])).is_clean


@pytest.mark.parametrize("answer", ["400 invalidListId", "400 invalidListId, Success", "500 invalidListId"])
async def test_new_list_stays_unknown(
    client: IterableClient, iterable: Running, clock: QuickClock, answer: str
) -> None:
    """After 90 seconds, a new list that is still unknown counts as missing, whatever the status."""
    began = clock.monotonic()
    list_id = await client.create_list("New")
    iterable.faults.add(Fault("answer", answer=answer, path="/api/lists/subscribe"))
    with pytest.raises(ListNotFoundError):
        await client.subscribe(list_id, [ANN])
    assert clock.monotonic() - began >= 90.0
    assert sum(clock.slept) < 150.0


@pytest.mark.parametrize("answer", ["400 invalidListId", "500 invalidListId"])
async def test_old_list_is_missing_at_once(
    client: IterableClient, iterable: Running, clock: QuickClock, answer: str
) -> None:
    """A list that is not new counts as missing at the first such answer."""
    iterable.faults.add(Fault("answer", answer=answer))
    with pytest.raises(ListNotFoundError):
        await client.subscribe(LIST, [ANN])
    assert clock.slept == []
