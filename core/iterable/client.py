"""The client of Iterable's API, with the endpoints that a sync needs (Iterable's API description 1.8)."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson

from core.errors import ValidationError
from core.iterable.clock import Clock, SystemClock
from core.iterable.fence import NoFence, SendFence
from core.iterable.hashes import HashReader
from core.iterable.models import BulkResult, Campaign, IterableList, IterableUser, RequestStats, SubscriberKey
from core.iterable.rate_limiter import RateLimiter
from core.iterable.responses import (
    ApiResponse,
    error_from,
    parse_bulk,
    parse_campaigns,
    parse_done,
    parse_field_types,
    parse_list_id,
    parse_lists,
    parse_size,
    parse_user,
    unparsable_error,
)
from core.iterable.retry import RetryPolicy
from core.iterable.transport import ApiRequest, Transport

# Rate limits of single endpoints, in requests per second and project (of merge: and key, which is the same here).
LISTS_RATE = 100.0
SIZE_RATE = 5 / 60
USERS_RATE = 5 / 60
FORGOTTEN_RATE = 3.0
USER_RATE = 100.0
CAMPAIGNS_RATE = 100.0
# Campaigns of a page, and the most pages that are read.
CAMPAIGNS_OF_PAGE, MOST_PAGES = 1000, 10
MERGE_RATE = 50.0
FIELDS_RATE = 3.0
# Characters of a list's description, as Iterable documents.
DESCRIPTION_MAX = 140


class IterableClient:
    """A client of one Iterable project.

    Every method keeps to the rate limit and retries transient faults. Every method raises InvalidApiKeyError if the key
    is refused, a transient IterableError if the retry policy gives up, and the errors in its own docstring.
    Use the client in `async with`. If it was given connections (`connector`), it leaves them open.
    """

    def __init__(
        self,
        api_key: str,
        *,
        base_url: str,
        limiter: RateLimiter,
        connector: aiohttp.BaseConnector | None = None,
        traffic: RequestStats | None = None,
        retry_policy: RetryPolicy | None = None,
        clock: Clock | None = None,
        fence: SendFence | None = None,
    ) -> None:
        """Store the settings, without I/O. Raises InvalidApiKeyError or SettingsError if key or URL can't be valid."""
        self.traffic = traffic if traffic is not None else RequestStats()
        self._limiter = limiter
        self._lists_limiter = limiter.endpoint("lists", LISTS_RATE)
        self._size_limiter = limiter.endpoint("size", SIZE_RATE)
        self._users_limiter = limiter.endpoint("getUsers", USERS_RATE)
        self._by_email_limiter = limiter.endpoint("getByEmail", USER_RATE)
        self._by_user_id_limiter = limiter.endpoint("byUserId", USER_RATE)
        self._transport = Transport(
            api_key,
            base_url,
            connector=connector,
            traffic=self.traffic,
            retry_policy=retry_policy or RetryPolicy(),
            clock=clock or SystemClock(),
            fence=fence or NoFence(),
        )

    def __repr__(self) -> str:
        """Return the host only: the key stays out of logs."""
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
        """Abort requests that wait for their slot or for a retry: they raise AbortedError. Sent requests may finish."""
        self._transport.abort_waiting()

    def now(self) -> float:
        """Return the time on the client's monotonic clock, in seconds."""
        return self._transport.clock.monotonic()

    @property
    def succeeded_at(self) -> float:
        """When a request last succeeded, on the clock of `now`; minus infinity if none has."""
        return self._transport.succeeded_at

    def expect_new_list(self, list_id: int) -> None:
        """Retry for a while if Iterable does not know this list: it was created minutes ago.

        Iterable's own client tests repeat a subscribe to a new list for 30 seconds.
        """
        self._transport.new_lists.add(list_id)

    async def lists(self) -> list[IterableList]:
        """Return all lists of the project, of every type."""
        return await self._transport.call(ApiRequest("GET", "/api/lists"), self._lists_limiter, parse_lists)

    async def create_list(self, name: str, description: str = "") -> int:
        """Create a static list and return its id. If the answer is lost, a list that we don't know may remain.

        Raises ValidationError if the description is longer than Iterable accepts.
        """
        if len(description) > DESCRIPTION_MAX:
            raise ValidationError(f"The description of a list has at most {DESCRIPTION_MAX} characters.")
        body = orjson.dumps({"name": name, "description": description})
        list_id = await self._transport.call(ApiRequest("POST", "/api/lists", body), self._limiter, parse_list_id)
        self.expect_new_list(list_id)
        return list_id

    async def subscribe(
        self,
        list_id: int,
        subscribers: Iterable[SubscriberKey],
        tries: int | None = None,
        *,
        data_fields: Mapping[SubscriberKey, str] | None = None,
    ) -> BulkResult:
        """Subscribe people to a list. Iterable creates users that it does not know. Safe to repeat.

        `data_fields` are JSON objects of some of them: Iterable stores these fields, and leaves others alone. `tries`
        limits the attempts after transient faults; None leaves that to the retry policy. Raises ListError if
        the list can't be used, RequestTooLargeError above 4 MB, and RequestRejectedError if one of the members may be
        the cause. After the last two, send the members in parts.
        """
        encoded = _encodable(subscribers) if data_fields is None else _with_fields(subscribers, data_fields)
        return await self._bulk("/api/lists/subscribe", list_id, encoded, {}, tries)

    async def unsubscribe(
        self, list_id: int, subscribers: Iterable[SubscriberKey], tries: int | None = None
    ) -> BulkResult:
        """Unsubscribe people from a list, and from nothing else. Safe to repeat. Raises the same as `subscribe`.

        `channelUnsubscribe` is explicit, because true would unsubscribe them from the list's whole channel.
        """
        return await self._bulk(
            "/api/lists/unsubscribe", list_id, _encodable(subscribers), {"channelUnsubscribe": False}, tries
        )

    async def update_placeholder_email(self, placeholder_email: str, new_email: str, tries: int | None = None) -> None:
        """Replace a user's placeholder email by the real one (email-based projects). `tries` as in `subscribe`.

        Raises IdentityConflictError (see its `failure`) if the new address is taken or forgotten, or if no user has the
        placeholder. In the last case an earlier attempt may have succeeded without our seeing the answer.
        """
        await self._update_email({"currentEmail": placeholder_email, "newEmail": new_email}, tries)

    async def update_email_by_user_id(self, user_id: str, new_email: str, tries: int | None = None) -> None:
        """Change the email of the user with this user id (email-based projects).

        Raises IdentityConflictError as `update_placeholder_email` does.
        """
        await self._update_email({"currentUserId": user_id, "newEmail": new_email}, tries)

    async def merge_users(
        self,
        *,
        source_email: str | None = None,
        source_user_id: str | None = None,
        destination_email: str,
        tries: int | None = None,
    ) -> None:
        """Merge a user (given by email or user id) into the one with the other email. The source is deleted.

        If no user has the destination's email, the source gets it. This can't be undone. Safe to repeat: the source is
        unknown then. Raises IdentityConflictError (see its `failure`) if a user is forgotten or the source unknown.
        Iterable allows 50 calls a second.
        """
        source = {"sourceEmail": source_email} if source_email is not None else {"sourceUserId": source_user_id}
        body = orjson.dumps({**source, "destinationEmail": destination_email})
        limiter = self._limiter.endpoint("merge", MERGE_RATE)
        await self._transport.call(ApiRequest("POST", "/api/users/merge", body, tries=tries), limiter, parse_done)

    async def wait_until(self, moment: float) -> None:
        """Wait until a moment on the clock of `now`. Raises AbortedError if the client is halted meanwhile."""
        await self._transport.wait(moment - self.now())

    async def get_list_size(self, list_id: int) -> int:
        """Return how many people are on a list. Iterable allows 5 calls a minute. Raises ListNotFoundError."""
        request = ApiRequest("GET", f"/api/lists/{list_id}/size", list_id=list_id)
        return await self._transport.call(request, self._size_limiter, parse_size)

    def forgotten_emails(self) -> AsyncGenerator[bytes, None]:
        """Yield SHA-256 digests (32 bytes each, several at a time) of the emails of forgotten people.

        Iterable hashes the trimmed, lower-cased value. Raises RequestRejectedError in userID-based projects, and
        UnreachableError or UnavailableError if the answer breaks off. Iterable allows this 3 times a second.
        """
        return self._hashes("/api/users/forgotten", "hashedEmails")

    def forgotten_user_ids(self) -> AsyncGenerator[bytes, None]:
        """As `forgotten_emails`, of user ids. Raises RequestRejectedError in email-based projects."""
        return self._hashes("/api/users/forgottenUserIds", "hashedUserIds")

    async def field_types(self) -> dict[str, str]:
        """Return the type of each data field of the project, by name. Iterable allows this 3 times a second."""
        limiter = self._limiter.endpoint("getFields", FIELDS_RATE)
        return await self._transport.call(ApiRequest("GET", "/api/users/getFields"), limiter, parse_field_types)

    async def user_by_email(self, email: str, tries: int | None = None) -> IterableUser | None:
        """Return the person with this email, or None if the project knows none. Iterable allows 100 calls a second."""
        request = ApiRequest("GET", "/api/users/getByEmail", params={"email": email}, tries=tries)
        return await self._transport.call(request, self._by_email_limiter, parse_user)

    async def user_by_id(self, user_id: str) -> IterableUser | None:
        """Return the person with this user id, or None if the project knows none. 100 calls a second, too."""
        request = ApiRequest("GET", "/api/users/byUserId", params={"userId": user_id})
        return await self._transport.call(request, self._by_user_id_limiter, parse_user)

    async def due_campaigns(self) -> list[Campaign]:
        """Return the Scheduled and Running campaigns of the project. Iterable allows 100 calls a second."""
        campaigns: list[Campaign] = []
        limiter = self._limiter.endpoint("campaigns", CAMPAIGNS_RATE)
        for page in range(1, MOST_PAGES + 1):
            params = [
                ("campaignState", "Scheduled"),
                ("campaignState", "Running"),
                ("page", str(page)),
                ("pageSize", str(CAMPAIGNS_OF_PAGE)),
            ]
            request = ApiRequest("GET", "/api/campaigns", params=params)
            rows, has_more = await self._transport.call(request, limiter, parse_campaigns)
            campaigns += rows
            if not has_more:
                break
        return campaigns

    async def list_users(self, list_id: int) -> AsyncIterator[str]:
        """Yield the email of each person on a list (the user id, if there is no email), as the answer streams in.

        Iterable allows 5 calls a minute. Raises ListNotFoundError, and UnreachableError if the answer breaks off.
        """
        request = ApiRequest("GET", "/api/lists/getUsers", list_id=list_id, params={"listId": str(list_id)})
        async for line in self._transport.lines(request, self._users_limiter):
            yield line

    async def _hashes(self, path: str, field: str) -> AsyncGenerator[bytes, None]:
        limiter = self._limiter.endpoint(path.rpartition("/")[2], FORGOTTEN_RATE)
        reader = HashReader(field)
        async with aclosing(self._transport.chunks(ApiRequest("GET", path), limiter)) as chunks:
            async for chunk in chunks:
                if digests := reader.feed(chunk):
                    yield digests
        if not reader.is_complete:
            answer = ApiResponse(HTTPStatus.OK, reader.beginning)
            raise error_from(answer) or unparsable_error(answer)

    async def _update_email(self, change: dict[str, str], tries: int | None) -> None:
        request = ApiRequest("POST", "/api/users/updateEmail", orjson.dumps(change), tries=tries)
        await self._transport.call(request, self._limiter, parse_done)

    async def _bulk(
        self,
        path: str,
        list_id: int,
        subscribers: Sequence[Mapping[str, Any]],
        more: dict[str, Any],
        tries: int | None,
    ) -> BulkResult:
        body = orjson.dumps({"listId": list_id, "subscribers": subscribers, **more})
        return await self._transport.call(
            ApiRequest("POST", path, body, list_id, tries=tries), self._limiter, parse_bulk
        )


def _encodable(subscribers: Iterable[SubscriberKey]) -> list[dict[str, str | None]]:
    return [
        {"email": email, "userId": user_id}
        if email is not None and user_id is not None
        else {"userId": user_id}
        if email is None
        else {"email": email}
        for email, user_id in subscribers
    ]


def _with_fields(
    subscribers: Iterable[SubscriberKey], data_fields: Mapping[SubscriberKey, str]
) -> list[dict[str, Any]]:
    keys = list(subscribers)
    encoded: list[dict[str, Any]] = [*_encodable(keys)]
    for key, subscriber in zip(keys, encoded, strict=True):
        if (fields := data_fields.get(key)) is not None:
            subscriber["dataFields"] = orjson.Fragment(fields)
    return encoded
