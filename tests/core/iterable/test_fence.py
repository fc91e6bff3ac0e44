"""A request is sent only while the fence is open: checked after every wait, and at the write to the connection."""

import asyncio

import pytest

from core.errors import SyncError
from core.iterable import IterableClient, NoRateLimit, Slot
from core.iterable.fence import STREAMED_ABOVE
from core.lease import Lease, LeaseLostError, LeaseTimes, elapsed
from sandbox.iterable import Running
from tests.core.iterable.conftest import LIST

TIMES = LeaseTimes(lease_s=1000.0)


class Gate:
    """A fence that is closed at the nth check."""

    def __init__(self, closed_at: int) -> None:
        self.checks = 0
        self.waits = 0
        self._closed_at = closed_at

    def is_open(self) -> bool:
        self.checks += 1
        return self.checks != self._closed_at

    async def until_open(self) -> None:
        self.waits += 1


class CountingLimiter(NoRateLimit):
    """A rate limiter that counts the slots."""

    def __init__(self) -> None:
        self.slots = 0

    async def slot(self) -> Slot:
        self.slots += 1
        return await super().slot()

    def endpoint(self, _name: str, _rate: float) -> "CountingLimiter":
        return self


def subscribers(count: int) -> list[tuple[str | None, str | None]]:
    """People to add to a list."""
    return [(f"a-person-with-a-long-name-{number:06d}@example.com", f"c{number}") for number in range(count)]


@pytest.mark.parametrize("closed_at", [1, 2])
@pytest.mark.parametrize("count", [3, 20_000])
async def test_closed_fence_keeps_the_request(iterable: Running, closed_at: int, count: int) -> None:
    """A request whose fence closes after its slot, or at its write, is sent with another slot and counted once."""
    fence, limiter = Gate(closed_at), CountingLimiter()
    people = subscribers(count)
    assert (len(str(people)) > STREAMED_ABOVE) == (count > 1000)
    async with IterableClient(iterable.key, base_url=iterable.url, limiter=limiter, fence=fence) as client:
        result = await client.subscribe(LIST, people)
    assert result.success_count == count
    assert (limiter.slots, fence.waits) == (2, 2)
    assert client.traffic.requests == 1
    assert client.traffic.retries == 0
    assert iterable.state.log.total("/api/lists/subscribe") == 1


async def test_no_lease_no_request(iterable: Running) -> None:
    """A request waits for a valid lease, and a process that was declared dead never sends again."""
    lease = Lease(TIMES)
    async with IterableClient(iterable.key, base_url=iterable.url, limiter=NoRateLimit(), fence=lease) as client:
        request = asyncio.create_task(client.subscribe(LIST, subscribers(1)))
        done, _ = await asyncio.wait([request], timeout=0.1)
        assert not done
        assert iterable.state.log.total("/api/lists/subscribe") == 0
        lease.renew(elapsed())
        await request
        lease.renew(elapsed() - TIMES.lease_s)
        request = asyncio.create_task(client.subscribe(LIST, subscribers(1)))
        lease.lose()
        with pytest.raises(LeaseLostError, match="ends without sending"):
            await request
    assert issubclass(LeaseLostError, SyncError)
    assert iterable.state.log.total("/api/lists/subscribe") == 1
