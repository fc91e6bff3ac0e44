"""Which client of a process takes the next slot of a rate limit.

Equal shares would let runs of equal size end at the same moment. The rate would be unused then until the next runs are
planned. So the newest client has several requests that wait for slots, and the others have one each. Each client gets
slots, small runs pass large ones, and runs end one after the other.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Turn = asyncio.Future[None]


@dataclass(slots=True)
class _Client:
    """The requests of a client: how many wait for slots, and the others, which wait for their turn."""

    at_slots: int = 0
    queue: deque[Turn] = field(default_factory=deque)


class ClientTurns:
    """The turns of the clients of a rate limit. The newest one has up to `most` requests that wait for slots."""

    def __init__(self, most: int) -> None:
        """Store the number. No I/O."""
        self._most = most
        self._clients: dict[int, _Client] = {}  # those with requests

    @asynccontextmanager
    async def take(self, number: int) -> AsyncIterator[None]:
        """Wait until a request of this client may wait for a slot, which it does in the block.

        Newer clients have higher numbers.
        """
        turn: Turn = asyncio.get_running_loop().create_future()
        client = self._clients.setdefault(number, _Client())
        client.queue.append(turn)
        self._grant()
        try:
            await turn
            yield
        finally:
            if turn.done() and not turn.cancelled():
                client.at_slots -= 1
            elif turn in client.queue:
                client.queue.remove(turn)
            self._grant()

    def _grant(self) -> None:
        newest = max(self._clients, default=0)
        for number in sorted(self._clients, reverse=True):
            client = self._clients[number]
            while client.queue and client.at_slots < (self._most if number == newest else 1):
                if not (turn := client.queue.popleft()).done():  # it may have been cancelled
                    turn.set_result(None)
                    client.at_slots += 1
            if not client.queue and not client.at_slots:
                del self._clients[number]
