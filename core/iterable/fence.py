"""Whether this process may send: asked last, when nothing is left to do but to send.

A process that was paused does not know it. It may have waited for its turn for an hour, while another process took over
its work. So the question comes after every wait, and once more at the write to the connection.
"""

import io
from typing import Protocol

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import BytesIOPayload, BytesPayload

# aiohttp wants larger bodies as a stream, so that writing one does not hold up the event loop.
STREAMED_ABOVE = 1_000_000


class SendFence(Protocol):
    """Says whether this process may send."""

    def is_open(self) -> bool:
        """Return whether a request may leave at this instant. No I/O, no waiting."""

    async def until_open(self) -> None:
        """Wait until a request may leave. Raises a SyncError if this process may never send again."""


class NoFence:
    """A fence that is always open: for clients whose work no other process can take over."""

    def is_open(self) -> bool:
        """Return True."""
        return True

    async def until_open(self) -> None:
        """Return at once."""


class FenceClosedError(Exception):
    """The fence was closed when a request was about to leave. Nothing of it was sent."""


class FencedRequest:
    """A request on its way out. `refused`: the fence was closed when it was about to leave."""

    def __init__(self, fence: SendFence) -> None:
        """Take the fence. No I/O."""
        self._fence = fence
        self.refused = False

    def check(self) -> None:
        """Raise FenceClosedError if the fence is closed."""
        if not self._fence.is_open():
            self.refused = True
            raise FenceClosedError

    def body(self, content: bytes | None) -> "_ShortBody | _LongBody | None":
        """Return what aiohttp sends as the body (None if there is none): it leaves only while the fence is open."""
        if content is None:
            return None
        return (_LongBody if len(content) > STREAMED_ABOVE else _ShortBody)(content, self)


# aiohttp holds the headers back until the body's first bytes are written (StreamWriter.write_headers), so a body that
# is refused keeps the whole request in this process.


class _ShortBody(BytesPayload):
    def __init__(self, body: bytes, request: FencedRequest) -> None:
        super().__init__(body)
        self._request = request

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        self._request.check()
        await super().write_with_length(writer, content_length)


class _LongBody(BytesIOPayload):
    def __init__(self, body: bytes, request: FencedRequest) -> None:
        super().__init__(io.BytesIO(body))
        self._request = request

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        self._request.check()
        await super().write_with_length(writer, content_length)
