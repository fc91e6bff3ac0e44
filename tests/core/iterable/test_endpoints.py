"""Every answer of Iterable at every endpoint that we call is treated as the table says (core/iterable/answers.py)."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.iterable import IterableClient, IterableError, NoRateLimit, RetryPolicy
from core.iterable import client as client_module
from core.iterable.answers import Action
from core.iterable.responses import ApiResponse, answer_of
from sandbox.iterable import Fault, running
from sandbox.iterable.answers import REFUSALS
from tests.core.iterable.conftest import LIST

ANN = "ann@example.com"
#: Retries once, after no time.
ONCE = RetryPolicy(
    max_attempts=2, backoff_initial_s=0.0, backoff_max_s=0.0, throttle_timeout_s=0.0, new_list_timeout_s=0.0
)
_RETRIES = {Action.RETRY, Action.RETRY_THEN_SPLIT}


@dataclass(frozen=True)
class Endpoint:
    """An endpoint: its method, its path, and how the client calls it. `is_about_list`: with the id of a list."""

    method: str
    path: str
    call: Callable[[IterableClient], Awaitable[object]]
    is_about_list: bool = False


async def read(stream: AsyncIterator[object]) -> None:
    """Read a streamed answer to its end."""
    async for _ in stream:
        pass


ENDPOINTS: Mapping[str, Endpoint] = {
    "lists": Endpoint("GET", "/api/lists", lambda client: client.lists()),
    "create": Endpoint("POST", "/api/lists", lambda client: client.create_list("New")),
    "subscribe": Endpoint("POST", "/api/lists/subscribe", lambda client: client.subscribe(LIST, [(ANN, "1")]), True),
    "unsubscribe": Endpoint(
        "POST", "/api/lists/unsubscribe", lambda client: client.unsubscribe(LIST, [(ANN, "1")]), True
    ),
    "size": Endpoint("GET", f"/api/lists/{LIST}/size", lambda client: client.get_list_size(LIST), True),
    "getUsers": Endpoint("GET", "/api/lists/getUsers", lambda client: read(client.list_users(LIST)), True),
    "updateEmail": Endpoint(
        "POST", "/api/users/updateEmail", lambda client: client.update_placeholder_email("1@placeholder.email", ANN)
    ),
    "updateEmail by user id": Endpoint(
        "POST", "/api/users/updateEmail", lambda client: client.update_email_by_user_id("1", ANN)
    ),
    "merge": Endpoint(
        "POST",
        "/api/users/merge",
        lambda client: client.merge_users(source_email="1@placeholder.email", destination_email=ANN),
    ),
    "forgotten": Endpoint("GET", "/api/users/forgotten", lambda client: read(client.forgotten_emails())),
    "forgottenUserIds": Endpoint(
        "GET", "/api/users/forgottenUserIds", lambda client: read(client.forgotten_user_ids())
    ),
    "getByEmail": Endpoint("GET", "/api/users/getByEmail", lambda client: client.user_by_email(ANN)),
    "byUserId": Endpoint("GET", "/api/users/byUserId", lambda client: client.user_by_id("1")),
    "getFields": Endpoint("GET", "/api/users/getFields", lambda client: client.field_types()),
    "campaigns": Endpoint("GET", "/api/campaigns", lambda client: client.due_campaigns()),
}


def test_all_endpoints_are_here() -> None:
    """Each method of the client that sends a request is in the table."""
    text = Path(client_module.__file__).read_text(encoding="utf-8")
    for path in re.findall(r'"(/api/[^"]+)"', text):
        known = {endpoint.path for endpoint in ENDPOINTS.values()}
        assert path.replace("{list_id}", str(LIST)) in known, path


@pytest.mark.parametrize("name", ENDPOINTS)
async def test_answers(name: str) -> None:
    """The error, its class and the retries are those of the table, and nothing of an invalid value is quoted."""
    endpoint = ENDPOINTS[name]
    list_id = LIST if endpoint.is_about_list else None
    async with running(bulk_per_second=0) as iterable:
        for answer_name, refusal in REFUSALS.items():
            answer = refusal.answer()
            kind, _ = answer_of(ApiResponse(answer.status, answer.body, list_id=list_id))
            if list_id is not None:
                assert kind.name == refusal.means
            path = endpoint.path
            iterable.faults.set([Fault("answer", path=path, method=endpoint.method, answer=answer_name)])
            async with IterableClient(
                iterable.key, base_url=iterable.url, limiter=NoRateLimit(), retry_policy=ONCE
            ) as client:
                error = await caught(endpoint.call(client))
                if kind.error is None:
                    continue  # 202: a bulk request counts as unconfirmed, others can't be read
                assert type(error) is kind.error, answer_name
                assert bool(client.traffic.retries) is (kind.action in _RETRIES), answer_name
                assert bool(client.traffic.throttled) is (kind.action is Action.WAIT), answer_name
                assert "ides" not in f"{error!r} {error}"


async def caught(call: Awaitable[object]) -> IterableError | None:
    """Return the error that a call raises, if any."""
    try:
        async with asyncio.timeout(60):
            await call
    except IterableError as error:
        return error
    return None
