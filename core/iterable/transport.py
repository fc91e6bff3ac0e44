"""Sending a request until Iterable has answered it: the pace, the retries, the faults.

Everything that can go wrong on the way leaves here as an `IterableError`, and only after what passes has been
given time to pass.
"""

import asyncio
import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from types import SimpleNamespace
from typing import Any, TypeVar

import aiohttp
from yarl import URL

from core import network
from core.errors import SettingsError
from core.iterable.clock import Clock
from core.iterable.errors import (
    InvalidApiKeyError,
    IterableError,
    ListNotFoundError,
    RateLimitedError,
    RequestTooLargeError,
    UnavailableError,
    UnexpectedResponseError,
    UnreachableError,
    UntrustedCertificateError,
)
from core.iterable.fence import FenceClosedError, FencedRequest, SendFence
from core.iterable.models import RequestStats
from core.iterable.rate_limiter import RateLimiter, Slot
from core.iterable.responses import ApiResponse, error_from
from core.iterable.retry import RetryPolicy

T = TypeVar("T")

# Seconds for reaching the host.
CONNECT_TIMEOUT_S = 10.0
# Connections at once. A rate of 100 requests a second at half a second each fills 50.
CONNECTIONS = 64
# Bytes of an answer that are read at most. A list's description takes about 200, so this holds 80,000 lists.
ANSWER_LIMIT = 16 * 1024 * 1024
# Bytes of one line of a streamed answer; an identifier takes less than 300.
LINE_LIMIT = 64 * 1024
# Bytes of a request, by Iterable's documented limit for bulk requests (4 MB).
BODY_LIMIT = 4_000_000
_JSON = {"Content-Type": "application/json"}
_KEY = re.compile(r"[!-~]+")


class AbortedError(Exception):
    """The client was halted while a request waited: for its turn, or to be tried again."""


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """What is asked of Iterable; `list_id` is the list that it is about, for errors.

    `tries` is how often at most it is sent while a fault passes, if not as often as the client's patience says.
    """

    method: str
    path: str
    body: bytes | None = None
    list_id: int | None = None
    params: Mapping[str, str] | None = None
    tries: int | None = None


class Transport:
    """One session with Iterable, opened and closed by its client. No I/O in the constructor."""

    def __init__(
        self,
        api_key: str,
        base_url: str,
        *,
        session: aiohttp.ClientSession | None,
        traffic: RequestStats,
        patience: RetryPolicy,
        clock: Clock,
        fence: SendFence,
    ) -> None:
        """Take the key, the address and the rest. Raises KeyRefusedError or SettingsError where one can't be right."""
        if not _KEY.fullmatch(api_key):
            raise InvalidApiKeyError(
                "The Iterable API key is empty, or holds characters that no key has. Copy it again from Iterable."
            )
        self._base = _checked(base_url)
        self._headers = {"Api-Key": api_key, "User-Agent": f"iterable-sync/{_version()}"}
        self._given = session
        self._session = session
        self._traffic = traffic
        self._patience = patience
        self.clock = clock
        self._fence = fence
        self.succeeded_at = -math.inf
        #: Lists that were created a moment ago: that Iterable does not know them passes.
        self.new_lists: set[int] = set()
        self._halted = asyncio.Event()
        self._waiting: set[asyncio.Task[Any]] = set()

    @property
    def host(self) -> str:
        """Where requests go: scheme, host and port."""
        return str(URL(self._base).origin())

    def open(self) -> None:
        """Open a session, unless one was given or is open."""
        if self._session is None:
            tracing = aiohttp.TraceConfig()
            tracing.on_request_headers_sent.append(_on_leaving)
            self._session = aiohttp.ClientSession(
                connector=network.connector(limit=CONNECTIONS),
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=[tracing],
            )

    async def close(self) -> None:
        """Close the session, unless it was given. May be called twice."""
        session, self._session = self._session, self._given
        if session is not None and session is not self._given:
            await session.close()

    def abort_waiting(self) -> None:
        """Have whatever waits raise HaltedError now, and whatever would wait from now on. What is under way may end."""
        self._halted.set()
        for task in self._waiting:
            task.cancel()

    async def call(self, request: ApiRequest, pacer: RateLimiter, parse: Callable[[ApiResponse], T]) -> T:
        """Send a request until there is an answer, and return what `parse` reads from it.

        Raises the IterableError that the answer stands for; a passing one only when patience is at its end.
        """
        if request.body is not None and len(request.body) > BODY_LIMIT:
            raise RequestTooLargeError(list_id=request.list_id)

        async def once() -> T:
            async with self._sent(request, pacer, self._patience.request_timeout_s) as response:
                return parse(await _succeeded(response, request.list_id))

        return await self._with_retries(once, pacer, request.tries)

    async def lines(self, request: ApiRequest, pacer: RateLimiter) -> AsyncIterator[str]:
        """Send a request until there is an answer, and yield the answer's lines as they come.

        Raises what `call` raises; also, and without another try, UnreachableError where the answer breaks off.
        """

        async def once() -> tuple[aiohttp.ClientResponse, AsyncExitStack]:
            async with AsyncExitStack() as opened:
                response = await opened.enter_async_context(self._sent(request, pacer, None))
                if response.status != 200:
                    await _succeeded(response, request.list_id)
                return response, opened.pop_all()

        response, opened = await self._with_retries(once, pacer)
        async with opened:
            first = True
            async for line in _lines(response):
                if first and (error := error_from(ApiResponse(200, line, list_id=request.list_id))):
                    raise error
                first = False
                yield line.decode(errors="replace")

    async def _with_retries(self, once: Callable[[], Awaitable[T]], pacer: RateLimiter, tries: int | None = None) -> T:
        most = min(tries or self._patience.max_attempts, self._patience.max_attempts)
        failures = throttled = 0
        began = self.clock.monotonic()
        while True:
            try:
                result = await once()
            except FenceClosedError:  # nothing has left: it takes another turn when this process may send again
                continue
            except RateLimitedError as error:
                throttled += 1
                self._traffic.throttled += 1
                if self.clock.monotonic() - max(began, self.succeeded_at) > self._patience.throttle_timeout_s:
                    raise
                await pacer.on_throttled(self._patience.bounded_retry_after(error.retry_after))
                with self._wait():
                    await self.clock.sleep(self._patience.delay(throttled, error.retry_after))
            except ListNotFoundError as error:
                failures += 1
                if not self._may_be_known_soon(error, began):
                    raise
                self._traffic.retries += 1
                with self._wait():
                    await self.clock.sleep(self._patience.delay(failures))
            except IterableError as error:
                failures += 1
                if not error.is_transient or failures >= most:
                    raise
                self._traffic.retries += 1
                asked = error.retry_after if isinstance(error, UnavailableError) else None
                with self._wait():
                    await self.clock.sleep(self._patience.delay(failures, asked))
            else:
                self.succeeded_at = self.clock.monotonic()
                return result

    def _may_be_known_soon(self, error: ListNotFoundError, began: float) -> bool:
        """Whether the list is new, and Iterable has had less than the time that it takes to know one."""
        waited = self.clock.monotonic() - began
        return error.list_id in self.new_lists and waited < self._patience.new_list_timeout_s

    @contextmanager
    def _wait(self) -> Iterator[None]:
        """Be woken from what is awaited in the block when the client is halted, by a HaltedError."""
        if self._halted.is_set():
            raise AbortedError
        task = asyncio.current_task()
        assert task is not None
        self._waiting.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if self._halted.is_set() and task.uncancel() == 0:  # nobody else wants the task to end
                raise AbortedError from None
            raise
        finally:
            self._waiting.discard(task)

    @asynccontextmanager
    async def _sent(
        self, request: ApiRequest, pacer: RateLimiter, seconds: float | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request once, in its turn, and hold its response. What breaks meanwhile leaves as UnreachableError.

        Raises FenceClosedError, with nothing sent, if this process may not send when its turn has come.
        """
        if self._session is None:
            raise RuntimeError("the client is not open: use it in `async with`")
        with self._wait():
            await self._fence.until_open()
            slot = await pacer.slot()
        fenced = FencedRequest(self._fence)
        fenced.check()
        leaving = _Leaving(pacer, slot, self._traffic)
        if self._session is self._given:  # it may lack our tracing, so this is as near as we get
            leaving.now()
        try:
            async with self._session.request(
                request.method,
                URL(self._base + request.path),
                params=request.params,
                data=fenced.body(request.body),
                headers=self._headers if request.body is None else self._headers | _JSON,
                timeout=aiohttp.ClientTimeout(
                    total=seconds, sock_connect=CONNECT_TIMEOUT_S, sock_read=self._patience.request_timeout_s
                ),
                allow_redirects=False,
                proxy=network.proxy_for(self._base),
                trace_request_ctx=leaving,
            ) as response:
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if fenced.refused:
                self._traffic.requests -= 1  # counted when its headers were ready; they stayed here, too
                raise FenceClosedError from None
            if fault := network.certificate_fault(error, self.host):
                raise UntrustedCertificateError(fault, list_id=request.list_id) from error
            raise UnreachableError(
                f"Iterable can't be reached at {self.host}: {network.why_unreachable(error)}. "
                "Check the network and try again; a run resumes where it stopped.",
                list_id=request.list_id,
            ) from _presentable(error)


@dataclass(frozen=True, slots=True)
class _Leaving:
    """A request on its way out, and what must be told when it leaves."""

    pacer: RateLimiter
    slot: Slot
    traffic: RequestStats

    def now(self) -> None:
        self.traffic.requests += 1
        self.pacer.mark_sent(self.slot)


async def _on_leaving(_session: aiohttp.ClientSession, context: SimpleNamespace, _what: Any) -> None:
    # aiohttp calls this when a connection is there, just before the request goes into it
    leaving = context.trace_request_ctx
    if isinstance(leaving, _Leaving):
        leaving.now()


async def _succeeded(response: aiohttp.ClientResponse, list_id: int | None) -> ApiResponse:
    """Read an answer whole. Raises the IterableError that it stands for, if it is no success."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > ANSWER_LIMIT:
            raise UnexpectedResponseError(status=response.status, list_id=list_id)
        chunks.append(chunk)
    answer = ApiResponse(response.status, b"".join(chunks), response.headers.get("Retry-After"), list_id)
    error = error_from(answer)
    if error is not None:
        raise error
    return answer


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in response.content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > LINE_LIMIT:
            raise UnexpectedResponseError(status=response.status)
        for line in lines:
            if stripped := line.rstrip(b"\r"):
                yield stripped
    if rest:
        yield rest


def _version() -> str:
    try:
        return version("iterable-sync")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"


def _checked(base_url: str) -> str:
    try:
        url = URL(base_url)
        usable = url.scheme in {"http", "https"} and bool(url.host) and not (url.query_string or url.user)
    except ValueError:
        usable = False
    if not usable:
        raise SettingsError(
            "Iterable's address (ITERABLE_SYNC_ITERABLE_URL) is not one that can be used. Give it as "
            "https://host, or leave it out to use the data center's."
        )
    return base_url.rstrip("/")


def _presentable(error: Exception) -> Exception | None:
    # a ClientResponseError holds the request's headers, and so the key
    return None if isinstance(error, aiohttp.ClientResponseError) else error
