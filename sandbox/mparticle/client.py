"""A client that sends Firehose messages over HTTP, as mParticle does."""

import asyncio
import io
import json
import random
from collections.abc import AsyncIterator, Iterable, Mapping
from itertools import islice
from types import TracebackType
from typing import Any, Self

import aiohttp

from sandbox.mparticle import messages
from sandbox.mparticle.messages import Audience, Message, Profile

# Profiles per message, as mParticle sends them when many change at once.
PROFILES_A_MESSAGE = 100
# The number of messages per second at a low rate of changes.
MESSAGES_A_SECOND = 5
# The number of attempts for a message, and the first pause between them, in seconds.
ATTEMPTS, PAUSE_S = 8, 0.25


class RefusedError(Exception):
    """The endpoint rejected a message on every attempt."""


class MParticle:
    """An account in mParticle, with this integration in it. Use it with `async with`."""

    def __init__(
        self,
        url: str,
        *,
        account_id: int = 4711,
        settings: Mapping[str, str] | None = None,
        attempts: int = ATTEMPTS,
        faults: bool = False,
    ) -> None:
        """Store the endpoint's address, and the settings entered in mParticle's form.

        `faults`: a message that is not taken faults the connection, as in mParticle: it sends no more changes until a
        person presses Resume there (documentation of connections, "Faulted").
        """
        self.url = url
        self.account = messages.account(account_id, settings or {})
        #: Whether the endpoint's last answer asked to stop sending.
        self.suspended = False
        #: Whether the connection is faulted.
        self.faulted = False
        self._attempts, self._faults = attempts, faults

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60.0))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def register(self) -> dict[str, Any]:
        """Request the integration's registration."""
        return await self.send(messages.registration())

    async def connect(self, audience: Audience) -> dict[str, Any]:
        """Connect an audience to the integration."""
        return await self.send(messages.subscription(self.account, audience, "add"))

    async def change(self, audience: Audience, *, previous: Audience | None = None) -> dict[str, Any]:
        """Change an audience's name or settings."""
        before = None if previous is None else previous.settings
        return await self.send(messages.subscription(self.account, audience, "update", previous=before))

    async def disconnect(self, audience: Audience) -> dict[str, Any]:
        """Disconnect an audience."""
        return await self.send(messages.subscription(self.account, audience, "remove"))

    async def tell(
        self, audience: Audience, changes: Iterable[tuple[str, Profile]], *, at: int | None = None
    ) -> dict[str, Any]:
        """Send changes in one message. While the connection is faulted, they are lost without a word: the answer is
        {}."""
        if self.faulted:
            return {}
        try:
            return await self.send(messages.membership(self.account, audience, changes, at=at))
        except RefusedError:
            self.faulted = self._faults
            raise

    def resume(self) -> None:
        """Press Resume at the connection."""
        self.faulted = False

    async def add(self, audience: Audience, *profiles: Profile, at: int | None = None) -> dict[str, Any]:
        """Profiles join an audience."""
        return await self.tell(audience, [("add", profile) for profile in profiles], at=at)

    async def delete(self, audience: Audience, *profiles: Profile, at: int | None = None) -> dict[str, Any]:
        """Profiles leave an audience."""
        return await self.tell(audience, [("delete", profile) for profile in profiles], at=at)

    async def merge(self, audience: Audience, profile: Profile, into: Profile) -> None:
        """Make two profiles one, as some identity strategies do at a login: one leaves the audience, the other joins.

        Source: mParticle's documentation of IDSync (aliasing; strategies that make a new mpid at login). The order of
        the two messages is not documented.
        """
        await self.delete(audience, profile)
        await self.add(audience, into)

    async def ping(self) -> dict[str, Any]:
        """Check whether the endpoint works."""
        return await self.send(messages.ping(self.account))

    async def erase(self, **identities: str) -> dict[str, Any]:
        """Request the erasure of a person, by `email`, `customer_id` or `mpid`."""
        return await self.send(messages.erasure(self.account, identities))

    async def stream(
        self, audience: Audience, changes: Iterable[tuple[str, Profile]], *, rate: float = 0.0
    ) -> AsyncIterator[int]:
        """Send a stream of changes, `rate` profiles a second (0: as fast as possible).

        Yields the number of profiles that have been sent so far.
        """
        loop = asyncio.get_running_loop()
        began, sent = loop.time(), 0
        remaining = iter(changes)
        size = max(1, min(PROFILES_A_MESSAGE, int(rate / MESSAGES_A_SECOND))) if rate else PROFILES_A_MESSAGE
        while piece := list(islice(remaining, size)):
            await self.tell(audience, piece)
            sent += len(piece)
            yield sent
            if rate:
                await asyncio.sleep(max(0.0, began + sent / rate - loop.time()))

    async def send(self, message: Message) -> dict[str, Any]:
        """Send a message until it is answered with 200. Raises RefusedError after the last attempt."""
        body, headers = json.dumps(message).encode(), {"Content-Type": "application/json"}
        pause = PAUSE_S
        for attempt in range(self._attempts):
            if attempt:
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  # jitter
                pause *= 2
            try:
                async with self._session.post(self.url, data=io.BytesIO(body), headers=headers) as answer:
                    if answer.status == 200:
                        content: dict[str, Any] = await answer.json()
                        self.suspended = bool(content.get("suspend_subscription"))
                        return content
                    reason = f"{answer.status}: {(await answer.text())[:200]}"
                    if 400 <= answer.status < 500:
                        break
            except (aiohttp.ClientError, TimeoutError) as error:
                reason = str(error) or type(error).__name__
        raise RefusedError(reason)
