"""Which clients of a process wait for the next slots of a rate limit.

Equal shares would let runs of equal size end at the same moment, and the rate would be unused until the next runs are
planned. So the fewer requests a client has left, the more of them wait for slots at once. Each client gets slots, small
runs pass large ones, and runs end one after the other. That needs no agreement between processes.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Turn = asyncio.Future[None]

# With up to so many requests left, a client may let all of them wait for slots; with twice as many half of it; and so
# forth. Both count in units of the least number of requests that wait.
FEW, SHARE = 3, 8


@dataclass(slots=True)
class _Client:
    """The requests of a client: how many wait for slots, and the others, which wait for their turn."""

    at_slots: int = 0
    queue: deque[Turn] = field(default_factory=deque)


class ClientTurns:
    """The turns of the clients of a rate limit. `alone` requests of a client wait for slots if no other client has any.

    Otherwise at least `least` of each client do.
    """

    def __init__(self, alone: int, least: int) -> None:
        """Store the numbers. No I/O."""
        self._alone = alone
        self._least = least
        self._clients: dict[int, _Client] = {}  # those with requests

    @asynccontextmanager
    async def take(self, number: int) -> AsyncIterator[None]:
        """Wait until a request of the client with this number may wait for a slot, which it does in the block."""
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
        for number, client in list(self._clients.items()):
            while client.queue and client.at_slots < self._most(client):
                if not (turn := client.queue.popleft()).done():  # it may have been cancelled
                    turn.set_result(None)
                    client.at_slots += 1
            if not client.queue and not client.at_slots:
                del self._clients[number]

    def _most(self, client: _Client) -> int:
        """Return how many requests of a client may wait for slots."""
        if len(self._clients) == 1 or self._alone == 1:
            return self._alone
        left = len(client.queue) + client.at_slots
        return max(self._least, round(SHARE * self._least / (1 + left // (FEW * self._least))))
