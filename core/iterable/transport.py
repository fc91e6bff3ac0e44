"""HTTP to Iterable: the rate limit, the retries and the faults of requests.

Every fault is raised as an `IterableError`; a transient one only after the retries of the policy.
"""

import asyncio
import math
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from types import SimpleNamespace
from typing import Any, TypeVar

import aiohttp
from yarl import URL

from core import network, telemetry
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
from core.iterable.responses import ApiResponse, error_from, unparsable_error
from core.iterable.retry import RetryPolicy

T = TypeVar("T")

# Seconds to connect to the host.
CONNECT_TIMEOUT_S = 10.0
# Open connections of a pool. 100 requests per second that take half a second each need 50; a process has many runs.
CONNECTIONS = 512
# Bytes of an answer that are read at most. A list takes about 200, so this is enough for 80,000 lists.
ANSWER_LIMIT = 16 * 1024 * 1024
# Bytes of one line of a streamed answer; an identifier takes less than 300.
LINE_LIMIT = 64 * 1024
# Bytes of a request: Iterable documents a limit of 4 MB for bulk requests.
BODY_LIMIT = 4_000_000
_JSON = {"Content-Type": "application/json"}
_KEY = re.compile(r"[!-~]+")


class AbortedError(Exception):
    """The client was halted while a request waited for its slot or for a retry."""


# A part of a path that is not a fixed word.
_ID = re.compile(r"(?<=/)[^/]*[^A-Za-z/][^/]*")


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """A request to Iterable. `list_id` is the list that it is about, for errors.

    `tries` limits the attempts after transient faults; None leaves that to the retry policy.
    """

    method: str
    path: str
    body: bytes | None = None
    list_id: int | None = None
    params: Mapping[str, str] | Sequence[tuple[str, str]] | None = None
    tries: int | None = None


def connection_pool() -> aiohttp.TCPConnector:
    """Return connections that clients can share, so that few requests wait for a new one. The caller closes it.

    To be called in a running event loop.
    """
    return network.connector(limit=CONNECTIONS)


class Transport:
    """A session with Iterable, which the client opens and closes. The constructor does no I/O."""

    def __init__(
        self,
        api_key: str,
        base_url: str,
        *,
        connector: aiohttp.BaseConnector | None,
        traffic: RequestStats,
        retry_policy: RetryPolicy,
        clock: Clock,
        fence: SendFence,
    ) -> None:
        """Store the settings. Raises InvalidApiKeyError or SettingsError if the key or the URL can't be valid."""
        if not _KEY.fullmatch(api_key):
            raise InvalidApiKeyError(
                "The Iterable API key is empty, or contains characters that no key has. Copy it again from Iterable."
            )
        self._base = _checked(base_url)
        self._headers = {"Api-Key": api_key, "User-Agent": f"iterable-sync/{_version()}"}
        self._connector = connector
        self._session: aiohttp.ClientSession | None = None
        self._traffic = traffic
        self._retry_policy = retry_policy
        self.clock = clock
        self._fence = fence
        self.succeeded_at = -math.inf
        #: Lists that were created a moment ago. Iterable may not know them yet.
        self.new_lists: set[int] = set()
        self._halted = asyncio.Event()
        self._waiting: set[asyncio.Task[Any]] = set()

    @property
    def host(self) -> str:
        """The origin of all requests: scheme, host and port."""
        return str(URL(self._base).origin())

    def open(self) -> None:
        """Open a session, unless it is open."""
        if self._session is None:
            tracing = aiohttp.TraceConfig()
            tracing.on_request_headers_sent.append(_on_leaving)
            self._session = aiohttp.ClientSession(
                connector=self._connector or connection_pool(),
                connector_owner=self._connector is None,
                cookie_jar=aiohttp.DummyCookieJar(),
                trace_configs=[tracing],
            )

    async def close(self) -> None:
        """Close the session, and its connections unless the caller gave them. May be called twice."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def abort_waiting(self) -> None:
        """Raise AbortedError in requests that wait, now or later. Requests that were sent may finish."""
        self._halted.set()
        for task in self._waiting:
            task.cancel()

    async def wait(self, seconds: float) -> None:
        """Wait. Raises AbortedError when the client is halted."""
        if seconds > 0:
            with self._wait():
                await self.clock.sleep(seconds)

    async def call(self, request: ApiRequest, limiter: RateLimiter, parse: Callable[[ApiResponse], T]) -> T:
        """Send a request, with retries, and return what `parse` makes of the answer.

        Raises the IterableError that the answer stands for; a transient one only when the retry policy gives up.
        """
        if request.body is not None and len(request.body) > BODY_LIMIT:
            raise RequestTooLargeError(list_id=request.list_id)

        async def once() -> T:
            async with self._sent(request, limiter, self._retry_policy.request_timeout_s) as response:
                return parse(await _succeeded(response, request.list_id))

        return await self._with_retries(once, limiter, request.tries)

    async def lines(self, request: ApiRequest, limiter: RateLimiter) -> AsyncIterator[str]:
        """Send a request, with retries, and yield the lines of the answer as they come.

        Raises the same as `call`, and UnreachableError, without a retry, if the answer breaks off.
        """
        async with aclosing(self.chunks(request, limiter)) as chunks:
            first = True
            async for line in _lines(chunks):
                if first and (error := error_from(ApiResponse(200, line, list_id=request.list_id))):
                    raise error
                first = False
                yield line.decode(errors="replace")

    async def chunks(self, request: ApiRequest, limiter: RateLimiter) -> AsyncGenerator[bytes, None]:
        """Send a request, with retries, and yield the answer as it comes. Raises the same as `lines`."""

        async def once() -> tuple[aiohttp.ClientResponse, AsyncExitStack]:
            async with AsyncExitStack() as opened:
                response = await opened.enter_async_context(self._sent(request, limiter, None))
                if response.status != HTTPStatus.OK:
                    raise unparsable_error(await _succeeded(response, request.list_id))
                return response, opened.pop_all()

        response, opened = await self._with_retries(once, limiter)
        async with opened:
            async for chunk in response.content.iter_any():
                yield chunk

    async def _with_retries(
        self, once: Callable[[], Awaitable[T]], limiter: RateLimiter, tries: int | None = None
    ) -> T:
        max_attempts = min(tries or self._retry_policy.max_attempts, self._retry_policy.max_attempts)
        failures = throttled = 0
        began = self.clock.monotonic()
        while True:
            try:
                result = await once()
            except FenceClosedError:  # nothing was sent: it takes another slot when this process may send again
                continue
            except RateLimitedError as error:
                throttled += 1
                self._traffic.throttled += 1
                if self.clock.monotonic() - max(began, self.succeeded_at) > self._retry_policy.throttle_timeout_s:
                    raise
                await limiter.on_throttled(self._retry_policy.bounded_retry_after(error.retry_after))
                with self._wait():
                    await self.clock.sleep(self._retry_policy.delay(throttled, error.retry_after))
            except ListNotFoundError as error:
                failures += 1
                if not self._may_be_known_soon(error, began):
                    raise
                self._traffic.retries += 1
                with self._wait():
                    await self.clock.sleep(self._retry_policy.delay(failures))
            except IterableError as error:
                failures += 1
                if not error.is_transient or failures >= max_attempts:
                    raise
                self._traffic.retries += 1
                asked = error.retry_after if isinstance(error, UnavailableError) else None
                with self._wait():
                    await self.clock.sleep(self._retry_policy.delay(failures, asked))
            else:
                self.succeeded_at = self.clock.monotonic()
                return result

    def _may_be_known_soon(self, error: ListNotFoundError, began: float) -> bool:
        """Return whether the list is new, and Iterable has had less time than it may need to know a new list."""
        waited = self.clock.monotonic() - began
        return error.list_id in self.new_lists and waited < self._retry_policy.new_list_timeout_s

    @contextmanager
    def _wait(self) -> Iterator[None]:
        """Raise AbortedError out of the block, which awaits something, when the client is halted."""
        if self._halted.is_set():
            raise AbortedError
        task = asyncio.current_task()
        assert task is not None
        self._waiting.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if self._halted.is_set() and task.uncancel() == 0:  # nothing else has cancelled the task
                raise AbortedError from None
            raise
        finally:
            self._waiting.discard(task)

    @asynccontextmanager
    async def _sent(
        self, request: ApiRequest, limiter: RateLimiter, seconds: float | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request once, in its slot, and keep the response open for the block.

        Raises UnreachableError if the connection fails, and FenceClosedError, before anything is sent, if this process
        may not send.
        """
        if self._session is None:
            raise RuntimeError("the client is not open: use it in `async with`")
        with self._wait():
            await self._fence.until_open()
            slot = await limiter.slot()
        leaving = _Leaving(limiter, slot, self._traffic)
        # the process may be interrupted between the headers and the body, with which they are written
        fenced = FencedRequest(self._fence, leaving.mark)
        fenced.check()
        try:
            with telemetry.span("request", is_parent=False, **_described(request)) as ended:
                async with self._begin(request, fenced, leaving, seconds) as response:
                    ended["http.response.status_code"] = response.status
                    yield response
            await limiter.mark_answered()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if fenced.refused:
                self._traffic.requests -= 1  # it was counted when its headers were ready, which were not sent either
                raise FenceClosedError from None
            if fault := network.certificate_fault(error, self.host):
                raise UntrustedCertificateError(fault, list_id=request.list_id) from error
            raise UnreachableError(
                f"Iterable can't be reached at {self.host}: {network.why_unreachable(error)}. "
                "Check the network and try again; a run resumes where it stopped.",
                list_id=request.list_id,
            ) from _presentable(error)

    def _begin(
        self, request: ApiRequest, fenced: FencedRequest, leaving: "_Leaving", seconds: float | None
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        assert self._session is not None
        return self._session.request(
            request.method,
            URL(self._base + request.path),
            params=request.params,
            data=fenced.body(request.body),
            headers=self._headers if request.body is None else self._headers | _JSON,
            timeout=aiohttp.ClientTimeout(
                total=seconds, sock_connect=CONNECT_TIMEOUT_S, sock_read=self._retry_policy.request_timeout_s
            ),
            allow_redirects=False,
            proxy=network.proxy_for(self._base),
            trace_request_ctx=leaving,
        )


def _described(request: ApiRequest) -> dict[str, str]:
    """Return the attributes of a request's span: no parameter, and no id in the path."""
    return {"http.request.method": request.method, "url.template": _ID.sub("{id}", request.path)}


@dataclass(frozen=True, slots=True)
class _Leaving:
    """A request that is about to be sent, and what records that."""

    limiter: RateLimiter
    slot: Slot
    traffic: RequestStats

    def begin(self) -> None:
        self.traffic.requests += 1
        self.mark()

    def mark(self) -> None:
        self.limiter.mark_sent(self.slot)


async def _on_leaving(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:
    # aiohttp calls this when it has a connection, just before it writes the request
    leaving = context.trace_request_ctx
    if isinstance(leaving, _Leaving):
        leaving.begin()


async def _succeeded(response: aiohttp.ClientResponse, list_id: int | None) -> ApiResponse:
    """Read a whole answer and return it. Raises the IterableError that it stands for, unless it is a success."""
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


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > LINE_LIMIT:
            raise UnexpectedResponseError(status=HTTPStatus.OK)
        for line in lines:
            if stripped := line.rstrip(b"\r"):
                yield stripped
    if rest:
        yield rest


@cache
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
            "Iterable's address (ITERABLE_SYNC_ITERABLE_URL) can't be used. Write it as https://host, or leave it out "
            "to use the data center's."
        )
    return base_url.rstrip("/")


def _presentable(error: Exception) -> Exception | None:
    # a ClientResponseError contains the request's headers, and so the key
    return None if isinstance(error, aiohttp.ClientResponseError) else error
