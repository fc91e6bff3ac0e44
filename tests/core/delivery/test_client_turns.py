"""The clients of a process take turns at a rate limit, so that their runs do not all end at once."""

import asyncio

from core.delivery.client_turns import ClientTurns

ALONE, LEAST = 4, 1


async def _requests(turns: ClientTurns, number: int, count: int, served: list[int], slot: asyncio.Lock) -> None:
    """Make requests of a client, which wait for their slots at the same time; each adds the client's number."""

    async def request() -> None:
        async with turns.take(number), slot:
            await asyncio.sleep(0)
            served.append(number)

    await asyncio.gather(*(request() for _ in range(count)))


async def test_few_requests_pass_many() -> None:
    """A client with few requests ends before those with many, which get some slots meanwhile."""
    turns, served, slot = ClientTurns(ALONE, LEAST), list[int](), asyncio.Lock()
    async with asyncio.TaskGroup() as group:
        for number, count in enumerate((40, 40, 9)):
            group.create_task(_requests(turns, number, count, served, slot))
    assert len(served) == 89
    last = max(place for place, each in enumerate(served) if each == 2)
    assert last < 23
    assert {0, 1} < set(served[:last])


async def test_lead_grows() -> None:
    """Of clients with about as many requests, the one with the fewest ends well before the others."""
    turns, served, slot = ClientTurns(ALONE, LEAST), list[int](), asyncio.Lock()
    async with asyncio.TaskGroup() as group:
        for number, count in enumerate((20, 20, 17)):
            group.create_task(_requests(turns, number, count, served, slot))
    last = [max(place for place, each in enumerate(served) if each == number) for number in range(3)]
    assert last[2] < min(last[:2]) - 5


async def test_clients_that_were_cancelled_take_no_turn() -> None:
    """A request that is cancelled, before its turn or at its slot, holds up no other one."""
    turns, served, slot = ClientTurns(ALONE, LEAST), list[int](), asyncio.Lock()
    await slot.acquire()
    cancelled = [asyncio.create_task(_requests(turns, 1, 20, served, slot)) for _ in range(2)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for task in cancelled:
        task.cancel()
    slot.release()
    await asyncio.gather(*cancelled, return_exceptions=True)
    async with asyncio.timeout(60):
        await _requests(turns, 0, 20, served, slot)
    assert served == [0] * 20
