"""The fence: the last check, right before a request is sent, that this process may still send.

A process that was suspended does not notice it: another process may have taken over its work an hour ago. So the fence
is checked after every wait, and again when the request is written to the connection.
"""

import io
from collections.abc import Callable
from typing import Protocol

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import BytesIOPayload, BytesPayload

# aiohttp wants larger bodies as a stream, so that writing one does not hold up the event loop.
STREAMED_ABOVE = 1_000_000


class SendFence(Protocol):
    """Decides whether this process may send."""

    def is_open(self) -> bool:
        """Return whether a request may be sent at this instant. No I/O, no waiting."""

    async def until_open(self) -> None:
        """Wait until a request may be sent. Raises a SyncError if this process may never send again."""


class NoFence:
    """A fence that is always open: for clients whose work no other process can take over."""

    def is_open(self) -> bool:
        """Return True."""
        return True

    async def until_open(self) -> None:
        """Return at once."""


class FenceClosedError(Exception):
    """The fence was closed when a request was about to be sent. Nothing of it was sent."""


class FencedRequest:
    """A request that is sent only while the fence is open. `refused`: the fence held it back.

    `on_written` is called when a body, and the headers before it, were written to the connection.
    """

    def __init__(self, fence: SendFence, on_written: Callable[[], None]) -> None:
        """Store the fence. No I/O."""
        self._fence = fence
        self.on_written = on_written
        self.refused = False

    def check(self) -> None:
        """Raise FenceClosedError if the fence is closed."""
        if not self._fence.is_open():
            self.refused = True
            raise FenceClosedError

    def body(self, content: bytes | None) -> "_ShortBody | _LongBody | None":
        """Return the body as an aiohttp payload that is sent only while the fence is open; None if there is no body."""
        if content is None:
            return None
        return (_LongBody if len(content) > STREAMED_ABOVE else _ShortBody)(content, self)


# aiohttp holds the headers back until the body's first bytes are written (StreamWriter.write_headers). So nothing of
# the request is sent if its body is held back.


class _ShortBody(BytesPayload):
    def __init__(self, body: bytes, request: FencedRequest) -> None:
        super().__init__(body)
        self._request = request

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        self._request.check()
        await super().write_with_length(writer, content_length)
        self._request.on_written()


class _LongBody(BytesIOPayload):
    def __init__(self, body: bytes, request: FencedRequest) -> None:
        super().__init__(io.BytesIO(body))
        self._request = request

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        self._request.check()
        await super().write_with_length(writer, content_length)
        self._request.on_written()
