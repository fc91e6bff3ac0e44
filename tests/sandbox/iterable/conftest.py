"""A local Iterable, and a client that sends arbitrary requests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from sandbox.iterable import DEFAULT_KEY, Running, State, running

LIST = 1001
DYNAMIC = 1003
HYBRID_LIST = 1006
USER_ID_LIST = 1011


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time, in seconds."""
        return self.now


@dataclass
class Reply:
    """An answer that was read completely."""

    status: int
    text: str
    headers: dict[str, str]
    data: Any  # the JSON, or None

    @property
    def code(self) -> str:
        """The error code."""
        return str(self.data["code"])

    @property
    def failed(self) -> dict[str, list[str]]:
        """`failedUpdates` without its empty lists."""
        return {name: values for name, values in self.data["failedUpdates"].items() if values}


class Client:
    """Sends requests to a local Iterable."""

    def __init__(self, iterable: Running, session: aiohttp.ClientSession) -> None:
        self.iterable = iterable
        self.session = session

    async def request(
        self, method: str, path: str, body: Any = None, *, key: str | None = DEFAULT_KEY, **options: Any
    ) -> Reply:
        """Send one request, with `body` as JSON, and return the answer."""
        headers = ({} if key is None else {"Api-Key": key}) | options.pop("headers", {})
        if body is not None:
            options["json"] = body
        async with self.session.request(method, f"{self.iterable.url}{path}", headers=headers, **options) as response:
            text = await response.text()
            is_json = response.content_type == "application/json"
            return Reply(response.status, text, dict(response.headers), await response.json() if is_json else None)

    async def get(self, path: str, **options: Any) -> Reply:
        """Send a GET request."""
        return await self.request("GET", path, **options)

    async def post(self, path: str, body: Any, **options: Any) -> Reply:
        """Send a POST request."""
        return await self.request("POST", path, body, **options)

    async def subscribe(self, *subscribers: Any, list_id: int = LIST, **options: Any) -> Reply:
        """Subscribe people to a list. A string stands for an email."""
        return await self.post("/api/lists/subscribe", _batch(list_id, subscribers), **options)

    async def unsubscribe(self, *subscribers: Any, list_id: int = LIST, **options: Any) -> Reply:
        """Unsubscribe people from a list. A string stands for an email."""
        return await self.post("/api/lists/unsubscribe", _batch(list_id, subscribers), **options)


def _batch(list_id: int, subscribers: tuple[Any, ...]) -> dict[str, Any]:
    people = [{"email": subscriber} if isinstance(subscriber, str) else subscriber for subscriber in subscribers]
    return {"listId": list_id, "subscribers": people}


@pytest.fixture
def clock() -> Clock:
    """The server's clock."""
    return Clock()


@pytest.fixture
async def iterable(clock: Clock) -> AsyncIterator[Running]:
    """A local Iterable with its samples, its default limits, and a clock that stands still."""
    async with running(State(clock=clock)) as server:
        yield server


@pytest.fixture
async def client(iterable: Running) -> AsyncIterator[Client]:
    """A client of the local Iterable, without the limit on batches."""
    iterable.settings.update({"limits": {"bulk": 0}})
    async with aiohttp.ClientSession() as session:
        yield Client(iterable, session)
