"""Transient faults are retried for as long as the retry policy says."""

import asyncio
from typing import Any

import pytest

from core.iterable import (
    IterableClient,
    IterableError,
    NoRateLimit,
    RateLimitedError,
    RequestStats,
    RetryPolicy,
    Slot,
    UnavailableError,
    UnreachableError,
)
from sandbox.iterable import Fault, Running
from tests.core.iterable.conftest import LIST, QUICK, connected

ANN = ("ann@example.com", "1")
PASSING: dict[str, dict[str, Any]] = {
    "500": {"action": "error", "status": 500},
    "502": {"action": "error", "status": 502},
    "503": {"action": "error", "status": 503},
    "504": {"action": "error", "status": 504},
    "408": {"action": "error", "status": 408},
    "database error": {"action": "error", "status": 400, "code": "DatabaseError"},
    "gateway's page": {"action": "html"},
    "gateway's page with 400": {"action": "html", "status": 400},
    "gateway's page with 403": {"action": "html", "status": 403},
    "gateway's page with 200": {"action": "html", "status": 200},
    "text": {"action": "not_json"},
    "broken JSON": {"action": "truncated"},
    "half an answer": {"action": "cut"},
    "reset before": {"action": "reset"},
    "reset after": {"action": "reset", "applied": True},
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
async def test_passing_fault_is_tried_again(client: IterableClient, iterable: Running, fault: dict[str, Any]) -> None:
    """A fault that passes costs a retry, and the subscribe succeeds."""
    iterable.faults.add(Fault(**fault, times=2))
    result = await client.subscribe(LIST, [ANN])
    assert result.is_clean
    assert client.traffic == RequestStats(requests=3, retries=2)
    assert iterable.state.members(LIST) == [ANN]


@pytest.mark.parametrize(
    ("fault", "error"), [("error", UnavailableError), ("not_json", UnavailableError), ("reset", UnreachableError)]
)
async def test_lasting_fault_ends_the_retries(
    client: IterableClient, iterable: Running, fault: Any, error: type[IterableError]
) -> None:
    """A fault that does not pass is raised after the last attempt, still marked as passing."""
    iterable.faults.add(Fault(fault))
    with pytest.raises(error) as caught:
        await client.subscribe(LIST, [ANN])
    assert caught.value.is_transient
    assert iterable.state.log.total() == QUICK.max_attempts == client.traffic.requests


async def test_slow_answer_times_out(iterable: Running) -> None:
    """An answer that does not come in time is a passing fault."""
    iterable.faults.add(Fault("hang", times=1))
    async with connected(iterable, request_timeout_s=0.2) as client:
        await client.subscribe(LIST, [ANN])
    assert client.traffic.retries == 1


async def test_closed_port_is_unreachable(unused_port: int) -> None:
    """A host where nobody listens is named in the error, with what to do."""
    url = f"http://127.0.0.1:{unused_port}"
    async with IterableClient("key", base_url=url, limiter=NoRateLimit(), retry_policy=QUICK) as client:
        with pytest.raises(UnreachableError, match=f"{url}.*no connection can be made.*resumes where it stopped"):
            await client.lists()


@pytest.fixture
async def unused_port() -> int:
    """A port on which nobody listens."""
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


async def test_plain_server_can_not_speak_tls(iterable: Running) -> None:
    """A failed TLS handshake is a passing fault that says so."""
    url = iterable.url.replace("http:", "https:")
    async with IterableClient(iterable.key, base_url=url, limiter=NoRateLimit(), retry_policy=QUICK) as client:
        with pytest.raises(UnreachableError, match="TLS"):
            await client.lists()


async def test_broken_off_stream_is_unreachable(client: IterableClient, iterable: Running) -> None:
    """A list of users that breaks off halfway is an error, not a shorter list."""
    await client.subscribe(LIST, [(f"person{number}@example.com", None) for number in range(1000)])
    iterable.faults.add(Fault("cut", path="/api/lists/getUsers"))
    with pytest.raises(UnreachableError, match="broke off"):
        _ = [email async for email in client.list_users(LIST)]


@pytest.mark.parametrize("retry_after", [0.0, 1.0, None])
async def test_throttling_is_not_an_attempt(
    client: IterableClient, iterable: Running, retry_after: float | None
) -> None:
    """More 429s than attempts are waited out, with and without Retry-After."""
    iterable.faults.add(Fault("throttle", times=QUICK.max_attempts + 2, retry_after=retry_after))
    await client.subscribe(LIST, [ANN])
    assert client.traffic == RequestStats(requests=QUICK.max_attempts + 3, throttled=QUICK.max_attempts + 2)


async def test_endless_throttling_ends_the_retries(iterable: Running) -> None:
    """429s without any success for too long are a passing error."""
    iterable.faults.add(Fault("throttle"))
    async with connected(iterable, throttle_timeout_s=0.0) as client:
        with pytest.raises(RateLimitedError) as caught:
            await client.subscribe(LIST, [ANN])
    assert caught.value.is_transient


@pytest.mark.parametrize(("asked", "told"), [(None, None), (0.004, 0.004), (7200.0, QUICK.retry_after)])
async def test_pacer_is_told_of_throttling(iterable: Running, asked: float | None, told: float | None) -> None:
    """The limiter hears of each 429 and of its Retry-After, within bounds."""
    iterable.faults.add(Fault("throttle", times=1, retry_after=asked))
    limiter = Noting()
    async with connected(iterable, limiter=limiter) as client:
        await client.subscribe(LIST, [ANN])
    assert limiter.throttlings == [told]


async def test_every_request_takes_a_slot(iterable: Running) -> None:
    """A request that is repeated waits for its turn again."""
    iterable.faults.add(Fault("error", times=1), Fault("throttle", times=1))
    limiter = Noting()
    async with connected(iterable, limiter=limiter) as client:
        await client.subscribe(LIST, [ANN])
    assert (limiter.slots, limiter.departures) == (3, 3)


class Noting(NoRateLimit):
    """A limiter that notes what it is told."""

    def __init__(self) -> None:
        self.slots = 0
        self.departures = 0
        self.departed = asyncio.Event()
        self.throttlings: list[float | None] = []

    async def slot(self) -> Slot:
        self.slots += 1
        return Slot(0.0)

    def mark_sent(self, slot: Slot) -> None:
        self.departures += 1
        self.departed.set()

    async def on_throttled(self, retry_after: float | None) -> None:
        self.throttlings.append(retry_after)


async def test_cancelled_call_leaves_the_client_usable(iterable: Running) -> None:
    """A call can be cancelled while it waits for an answer, and the next one works."""
    iterable.faults.add(Fault("hang", times=1))
    limiter = Noting()
    async with connected(iterable, limiter=limiter) as client:
        call = asyncio.create_task(client.subscribe(LIST, [ANN]))
        await limiter.departed.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert (await client.subscribe(LIST, [ANN])).is_clean


def test_delay_grows_to_its_cap() -> None:
    """Delays are a random part of what doubles from the base to the cap."""
    retry_policy = RetryPolicy(backoff_initial_s=1.0, backoff_max_s=30.0)
    for failures, most in [(1, 1.0), (2, 2.0), (5, 16.0), (6, 30.0), (1000, 30.0)]:
        drawn = [retry_policy.delay(failures) for _ in range(200)]
        assert 0 <= min(drawn) < most / 2 < max(drawn) <= most


def test_delay_is_what_iterable_asks_for() -> None:
    """Retry-After is waited for, within bounds."""
    retry_policy = RetryPolicy(backoff_initial_s=0.0, retry_after=300.0)
    assert [retry_policy.delay(1, asked) for asked in (12.0, 7200.0)] == [12.0, 300.0]
