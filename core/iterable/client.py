"""Iterable's API, as far as a sync needs it. The endpoints are those of Iterable's API description 1.8."""

from collections.abc import AsyncIterator, Iterable
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson

from core.errors import ValidationError
from core.iterable.clock import Clock, SystemClock
from core.iterable.fence import NoFence, SendFence
from core.iterable.models import BulkResult, IterableList, RequestStats, SubscriberKey
from core.iterable.rate_limiter import RateLimiter
from core.iterable.responses import parse_bulk, parse_done, parse_list_id, parse_lists, parse_size
from core.iterable.retry import RetryPolicy
from core.iterable.transport import ApiRequest, Transport

# Limits of single endpoints, in requests a second for a project.
LISTS_RATE = 100.0
SIZE_RATE = 5 / 60
USERS_RATE = 5 / 60
# Characters of a list's description, as documented.
DESCRIPTION_MAX = 140


class IterableClient:
    """One Iterable project, by its key.

    Every method waits for its turn, tries again what passes, and raises an IterableError for the rest: a passing
    one where patience is at its end, KeyRefusedError where the connection is broken, and what else it names.
    Use it in `async with`; a session that was given is used and left open.
    """

    def __init__(
        self,
        api_key: str,
        *,
        base_url: str,
        pacer: RateLimiter,
        session: aiohttp.ClientSession | None = None,
        traffic: RequestStats | None = None,
        patience: RetryPolicy | None = None,
        clock: Clock | None = None,
        fence: SendFence | None = None,
    ) -> None:
        """Take what a connection says; no I/O. Raises KeyRefusedError or SettingsError for what can't be right."""
        self.traffic = traffic if traffic is not None else RequestStats()
        self._pacer = pacer
        self._lists_pacer = pacer.endpoint("lists", LISTS_RATE)
        self._size_pacer = pacer.endpoint("size", SIZE_RATE)
        self._users_pacer = pacer.endpoint("getUsers", USERS_RATE)
        self._transport = Transport(
            api_key,
            base_url,
            session=session,
            traffic=self.traffic,
            patience=patience or RetryPolicy(),
            clock=clock or SystemClock(),
            fence=fence or NoFence(),
        )

    def __repr__(self) -> str:
        """Name the host and nothing else: the key stays out of logs."""
        return f"<IterableClient {self._transport.host}>"

    async def __aenter__(self) -> Self:
        """Open the session."""
        self._transport.open()
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Close the session."""
        await self._transport.close()

    def halt(self) -> None:
        """Have requests that wait for their turn, or to be tried again, raise HaltedError. Those under way may end."""
        self._transport.abort_waiting()

    def now(self) -> float:
        """Seconds since some moment, by the client's clock."""
        return self._transport.clock.monotonic()

    @property
    def succeeded_at(self) -> float:
        """When a request last succeeded, by that clock; minus infinity if none has."""
        return self._transport.succeeded_at

    def expect_new_list(self, list_id: int) -> None:
        """A list was created minutes ago: if Iterable does not know it, try again for a while.

        Iterable's own client tests repeat a subscribe to a new list for 30 seconds.
        """
        self._transport.new_lists.add(list_id)

    async def lists(self) -> list[IterableList]:
        """All lists of the project, of every type."""
        return await self._transport.call(ApiRequest("GET", "/api/lists"), self._lists_pacer, parse_lists)

    async def create_list(self, name: str, description: str = "") -> int:
        """Create a static list and return its id. If the answer is lost, an unknown list may remain in Iterable.

        Raises ValidationError if the description is longer than Iterable takes.
        """
        if len(description) > DESCRIPTION_MAX:
            raise ValidationError(f"The description of a list has at most {DESCRIPTION_MAX} characters.")
        body = orjson.dumps({"name": name, "description": description})
        list_id = await self._transport.call(ApiRequest("POST", "/api/lists", body), self._pacer, parse_list_id)
        self.expect_new_list(list_id)
        return list_id

    async def subscribe(
        self, list_id: int, subscribers: Iterable[SubscriberKey], tries: int | None = None
    ) -> BulkResult:
        """Put people, each an email and a user id, on a list; who is unknown is created. Safe to repeat.

        Raises ListError for a list that can't be used, TooLargeError above 4 MB and RefusedError where one of
        the members may be the cause: send either in parts. `tries`: how often a passing fault is met at most, if not
        as often as the client's patience says.
        """
        return await self._bulk("/api/lists/subscribe", list_id, subscribers, {}, tries)

    async def unsubscribe(
        self, list_id: int, subscribers: Iterable[SubscriberKey], tries: int | None = None
    ) -> BulkResult:
        """Take people off a list, and off nothing else. Safe to repeat. Raises what `subscribe` raises.

        `channelUnsubscribe` is spelled out: true would unsubscribe them from the list's whole channel.
        """
        return await self._bulk("/api/lists/unsubscribe", list_id, subscribers, {"channelUnsubscribe": False}, tries)

    async def update_placeholder_email(self, placeholder_email: str, new_email: str) -> None:
        """Give a person with a placeholder their real address (email-based projects).

        Raises IdentityConflictError (see its `failure`) if the new address is taken or forgotten, or if no user has
        the placeholder: the last may also mean that an earlier try succeeded and its answer was lost.
        """
        body = orjson.dumps({"currentEmail": placeholder_email, "newEmail": new_email})
        await self._transport.call(ApiRequest("POST", "/api/users/updateEmail", body), self._pacer, parse_done)

    async def update_email_by_user_id(self, user_id: str, new_email: str) -> None:
        """Give the user with a user id another address (email-based projects).

        Raises IdentityConflictError as `update_email` does.
        """
        body = orjson.dumps({"currentUserId": user_id, "newEmail": new_email})
        await self._transport.call(ApiRequest("POST", "/api/users/updateEmail", body), self._pacer, parse_done)

    async def get_list_size(self, list_id: int) -> int:
        """How many people are on a list. Iterable allows this 5 times a minute. Raises ListGoneError."""
        request = ApiRequest("GET", f"/api/lists/{list_id}/size", list_id=list_id)
        return await self._transport.call(request, self._size_pacer, parse_size)

    async def list_users(self, list_id: int) -> AsyncIterator[str]:
        """Yield the email (or user id, where there is none) of everybody on a list, as the answer streams in.

        Iterable allows this 5 times a minute. Raises ListGoneError, and UnreachableError where the answer breaks
        off halfway.
        """
        request = ApiRequest("GET", "/api/lists/getUsers", list_id=list_id, params={"listId": str(list_id)})
        async for line in self._transport.lines(request, self._users_pacer):
            yield line

    async def _bulk(
        self,
        path: str,
        list_id: int,
        subscribers: Iterable[SubscriberKey],
        more: dict[str, Any],
        tries: int | None,
    ) -> BulkResult:
        body = orjson.dumps({"listId": list_id, "subscribers": _encodable(subscribers), **more})
        return await self._transport.call(ApiRequest("POST", path, body, list_id, tries=tries), self._pacer, parse_bulk)


def _encodable(subscribers: Iterable[SubscriberKey]) -> list[dict[str, str | None]]:
    return [
        {"email": email, "userId": user_id}
        if email is not None and user_id is not None
        else {"userId": user_id}
        if email is None
        else {"email": email}
        for email, user_id in subscribers
    ]
