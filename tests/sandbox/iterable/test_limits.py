"""Rate limits over a sliding window, on a clock that the test moves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.iterable import HYBRID_KEY, Limit
from sandbox.iterable.rate_limits import SlidingWindow
from tests.sandbox.iterable.conftest import HYBRID_LIST, LIST, Client, Clock


@pytest.fixture
def limited(client: Client) -> Client:
    """A client that may send 5 batches a second."""
    client.iterable.settings.update({"limits": {"bulk": 5}})
    return client


async def test_subscribe_and_unsubscribe_share_five_a_second(limited: Client) -> None:
    """The sixth batch within a second is refused with a Retry-After."""
    statuses = [(await limited.subscribe("a@example.com")).status for _ in range(3)]
    statuses += [(await limited.unsubscribe("a@example.com")).status for _ in range(2)]
    refused = await limited.subscribe("a@example.com")
    assert statuses == [200] * 5
    assert (refused.status, refused.code, refused.headers["Retry-After"]) == (429, "RateLimitExceeded", "1")


async def test_the_window_slides(limited: Client, clock: Clock) -> None:
    """A slot is free one second after its request, not at the next full second."""
    for _ in range(5):
        await limited.subscribe("a@example.com")
        clock.now += 0.1
    clock.now = 1000.95
    early = await limited.subscribe("a@example.com")
    clock.now = 1001.0
    free = [(await limited.subscribe("a@example.com")).status for _ in range(2)]
    assert (early.status, free) == (429, [200, 429])


async def test_retry_after_can_be_left_out(limited: Client) -> None:
    """Without the setting, a 429 has no Retry-After."""
    limited.iterable.settings.retry_after = False
    replies = [await limited.subscribe("a@example.com") for _ in range(6)]
    assert (replies[5].status, "Retry-After" in replies[5].headers) == (429, False)


async def test_each_project_has_its_own_limit(limited: Client) -> None:
    """The requests of one project do not use the limit of another project."""
    for _ in range(5):
        await limited.subscribe("a@example.com")
    reply = await limited.subscribe("a@example.com", list_id=HYBRID_LIST, key=HYBRID_KEY)
    assert reply.status == 200


@pytest.mark.parametrize(
    "path",
    [f"/api/lists/{LIST}/size", f"/api/lists/getUsers?listId={LIST}", f"/api/lists/previewUsers?listId={LIST}"],
)
async def test_reading_a_list_is_five_a_minute(client: Client, path: str, clock: Clock) -> None:
    """Size, users and preview each have a limit of five requests a minute."""
    statuses = [(await client.get(path)).status for _ in range(6)]
    clock.now += 60
    assert (statuses, (await client.get(path)).status) == ([200] * 5 + [429], 200)


async def test_the_lists_are_a_hundred_a_second(client: Client) -> None:
    """The 101st request for the lists within a second is refused."""
    statuses = [(await client.get("/api/lists")).status for _ in range(101)]
    assert statuses == [200] * 100 + [429]


async def test_a_refused_request_does_nothing(limited: Client) -> None:
    """A request that is answered with 429 is not executed."""
    for number in range(6):
        await limited.subscribe(f"user{number}@example.com")
    assert limited.iterable.state.size(LIST) == 5


@given(st.lists(st.floats(0, 0.5), max_size=60), st.integers(1, 6))
def test_no_window_ever_holds_more_than_the_limit(gaps: list[float], count: int) -> None:
    """However requests arrive, no window contains more requests than the limit."""
    window, now, passed = SlidingWindow(), 0.0, list[float]()
    for gap in gaps:
        now += gap
        if window.wait(Limit(count), now) == 0:
            passed.append(now)
    assert all(passed[i + count] - passed[i] >= 1 - 1e-9 for i in range(len(passed) - count))
