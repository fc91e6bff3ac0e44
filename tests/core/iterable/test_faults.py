"""The client retries transient faults, up to the limits of its retry policy."""

import asyncio
import time
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
TRANSIENT: dict[str, dict[str, Any]] = {
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


@pytest.mark.parametrize("fault", TRANSIENT.values(), ids=TRANSIENT.keys())
async def test_transient_fault_is_retried(client: IterableClient, iterable: Running, fault: dict[str, Any]) -> None:
    """The client retries a transient fault, and the subscribe succeeds."""
    iterable.faults.add(Fault(**fault, times=2))
    result = await client.subscribe(LIST, [ANN])
    assert result.is_clean
    assert client.traffic == RequestStats(requests=3, retries=2)
    assert iterable.state.members(LIST) == [ANN]


@pytest.mark.parametrize(
    ("fault", "error"), [("error", UnavailableError), ("not_json", UnavailableError), ("reset", UnreachableError)]
)
async def test_lasting_fault_is_raised(
    client: IterableClient, iterable: Running, fault: Any, error: type[IterableError]
) -> None:
    """A lasting fault is raised after the last attempt, as a transient error."""
    iterable.faults.add(Fault(fault))
    with pytest.raises(error) as caught:
        await client.subscribe(LIST, [ANN])
    assert caught.value.is_transient
    assert iterable.state.log.total() == QUICK.max_attempts == client.traffic.requests


async def test_slow_answer_times_out(iterable: Running) -> None:
    """An answer that does not arrive in time is a transient fault."""
    iterable.faults.add(Fault("hang", times=1))
    async with connected(iterable, request_timeout_s=0.2) as client:
        await client.subscribe(LIST, [ANN])
    assert client.traffic.retries == 1


async def test_closed_port_is_unreachable(unused_port: int) -> None:
    """An error for a closed port names the host and says what to do."""
    url = f"http://127.0.0.1:{unused_port}"
    async with IterableClient("key", base_url=url, limiter=NoRateLimit(), retry_policy=QUICK) as client:
        with pytest.raises(UnreachableError, match=f"{url}.*no connection can be made.*resumes where it stopped"):
            await client.lists()


@pytest.fixture
async def unused_port() -> int:
    """A port without a listener."""
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port


async def test_server_without_tls(iterable: Running) -> None:
    """A failed TLS handshake is a transient fault, and the error says so."""
    url = iterable.url.replace("http:", "https:")
    async with IterableClient(iterable.key, base_url=url, limiter=NoRateLimit(), retry_policy=QUICK) as client:
        with pytest.raises(UnreachableError, match="TLS"):
            await client.lists()


async def test_broken_off_stream_is_unreachable(client: IterableClient, iterable: Running) -> None:
    """A list of users that breaks off is an error, not a shorter list."""
    await client.subscribe(LIST, [(f"person{number}@example.com", None) for number in range(1000)])
    iterable.faults.add(Fault("cut", path="/api/lists/getUsers"))
    with pytest.raises(UnreachableError, match="broke off"):
        _ = [email async for email in client.list_users(LIST)]


@pytest.mark.parametrize("retry_after", [0.0, 1.0, None])
async def test_throttling_is_not_an_attempt(
    client: IterableClient, iterable: Running, retry_after: float | None
) -> None:
    """The client waits out more 429s than it has attempts, with and without Retry-After."""
    iterable.faults.add(Fault("throttle", times=QUICK.max_attempts + 2, retry_after=retry_after))
    await client.subscribe(LIST, [ANN])
    assert client.traffic == RequestStats(requests=QUICK.max_attempts + 3, throttled=QUICK.max_attempts + 2)


async def test_endless_throttling_is_raised(iterable: Running) -> None:
    """Too long a time of nothing but 429s is a transient error."""
    iterable.faults.add(Fault("throttle"))
    async with connected(iterable, throttle_timeout_s=0.0) as client:
        with pytest.raises(RateLimitedError) as caught:
            await client.subscribe(LIST, [ANN])
    assert caught.value.is_transient


@pytest.mark.parametrize(("requested", "noted"), [(None, None), (0.004, 0.004), (7200.0, QUICK.retry_after)])
async def test_rate_limiter_learns_of_throttling(
    iterable: Running, requested: float | None, noted: float | None
) -> None:
    """The rate limiter gets each 429 with its Retry-After, within bounds."""
    iterable.faults.add(Fault("throttle", times=1, retry_after=requested))
    limiter = RecordingLimiter()
    async with connected(iterable, limiter=limiter) as client:
        await client.subscribe(LIST, [ANN])
    assert limiter.throttlings == [noted]


async def test_every_request_takes_a_slot(iterable: Running) -> None:
    """Each retry of a request takes another slot."""
    iterable.faults.add(Fault("error", times=1), Fault("throttle", times=1))
    limiter = RecordingLimiter()
    async with connected(iterable, limiter=limiter) as client:
        await client.subscribe(LIST, [ANN])
    assert limiter.sent_requests == {1, 2, 3}


async def test_request_is_sent_when_its_body_is(iterable: Running) -> None:
    """A request whose process is interrupted between its headers and its body, which leave together, is sent late."""

    class InterruptedLimiter(NoRateLimit):
        def __init__(self) -> None:
            self.sent_at: list[float] = []

        def mark_sent(self, slot: Slot) -> None:
            self.sent_at.append(time.monotonic())
            time.sleep(0.02)

    limiter = InterruptedLimiter()
    async with connected(iterable, limiter=limiter) as client:
        await client.subscribe(LIST, [ANN])
    assert limiter.sent_at[-1] - limiter.sent_at[0] >= 0.02


class RecordingLimiter(NoRateLimit):
    """A rate limiter that records its calls."""

    def __init__(self) -> None:
        self.slots = 0
        self.sent_requests: set[int] = set()
        self.sent = asyncio.Event()
        self.throttlings: list[float | None] = []

    async def slot(self) -> Slot:
        self.slots += 1
        return Slot(0.0, permit=self.slots)

    def mark_sent(self, slot: Slot) -> None:
        self.sent_requests.add(slot.permit)
        self.sent.set()

    async def on_throttled(self, retry_after: float | None) -> None:
        self.throttlings.append(retry_after)


async def test_cancelled_call_leaves_the_client_usable(iterable: Running) -> None:
    """The client works after a call was cancelled while it waited for an answer."""
    iterable.faults.add(Fault("hang", times=1))
    limiter = RecordingLimiter()
    async with connected(iterable, limiter=limiter) as client:
        call = asyncio.create_task(client.subscribe(LIST, [ANN]))
        await limiter.sent.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert (await client.subscribe(LIST, [ANN])).is_clean


def test_delay_grows_to_its_cap() -> None:
    """Delays are random up to a bound that doubles from the initial value to the maximum."""
    retry_policy = RetryPolicy(backoff_initial_s=1.0, backoff_max_s=30.0)
    for failures, bound in [(1, 1.0), (2, 2.0), (5, 16.0), (6, 30.0), (1000, 30.0)]:
        delays = [retry_policy.delay(failures) for _ in range(200)]
        assert 0 <= min(delays) < bound / 2 < max(delays) <= bound


def test_delay_follows_retry_after() -> None:
    """The delay is Retry-After, within bounds."""
    retry_policy = RetryPolicy(backoff_initial_s=0.0, retry_after=300.0)
    assert [retry_policy.delay(1, retry_after) for retry_after in (12.0, 7200.0)] == [12.0, 300.0]
