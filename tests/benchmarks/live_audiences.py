"""The delay of live changes of many audiences: from mParticle's request until Iterable has the change.

The local Iterable runs in this process, `tests.benchmarks.firehose.server` in another one. Each change adds a person
who is on no list yet, so the subscribers of a request are the oldest changes of its list that were waiting.
"""

import asyncio
import math
import time
import uuid
from collections import defaultdict, deque

import aiohttp
import orjson

from core.store import connections
from core.store.database import Database
from sandbox.iterable import DEFAULT_KEY, Running, running
from sandbox.mparticle import Audience, Profile, messages
from tests.benchmarks.firehose import server

#: Profiles of a message.
PROFILES = 5
#: Changes that are not delivered this long after the last one was posted are counted as this late.
PATIENCE_S = 60.0
#: The time after which a message that was refused for now is sent again (seconds).
RETRY_S = 0.5
#: The time between two looks at the local Iterable (seconds).
POLL_S = 0.1

#: When the changes that are on their way were posted (seconds of the monotonic clock), by list.
Posted = dict[int, deque[float]]


async def measure_delay(
    data_dir: str, database_url: str | None, *, audiences: int, rate: float, seconds: float
) -> dict[str, float]:
    """Post `rate` changes a second in turn to so many audiences. Returns `p50_s`, `p99_s`, `late` and `changes`."""
    async with running(bulk_per_second=0) as iterable:
        lists = [iterable.state.add_list(f"Audience {number}").id for number in range(audiences)]
        with server(iterable.url, data_dir, database_url) as url:
            async with aiohttp.ClientSession() as session:
                await _begin(session, url, lists)
                await _stop_pacing(data_dir, database_url)
                await _until_sent(iterable, audiences)
                begun = len(iterable.state.log.records)
                posted = await _post(session, url, lists, rate, seconds)
                await _until_sent(iterable, audiences + sum(map(len, posted.values())))
        delays = _delays(iterable, posted, begun)
    late = sum(len(times) for times in posted.values())
    delays += [PATIENCE_S] * late
    delays.sort()
    return {
        "p50_s": delays[len(delays) // 2],
        "p99_s": delays[math.ceil(len(delays) * 0.99) - 1],
        "late": late,
        "changes": len(delays),
    }


def _message(audience: int, list_id: int, first: int, count: int) -> bytes:
    account = messages.account(4711, {"apiKey": DEFAULT_KEY})
    added = [("add", Profile(n, f"p{n}@example.com", f"customer-{n}")) for n in range(first, first + count)]
    named = Audience(10_000 + audience, f"Audience {audience}", {"listId": str(list_id)})
    return orjson.dumps(messages.membership(account, named, added) | {"id": str(uuid.uuid4())})


async def _begin(session: aiohttp.ClientSession, url: str, lists: list[int]) -> None:
    """Post one person to each audience, so that its mapping exists."""
    for number, list_id in enumerate(lists):
        async with session.post(url, data=_message(number, list_id, 10_000_000 + number, 1)) as answer:
            assert answer.status == 200, await answer.text()


async def _stop_pacing(data_dir: str, database_url: str | None) -> None:
    """Take the rate limit off the connection: the delay of the queue is measured, not Iterable's limit of a project."""
    database = Database(database_url or f"sqlite:///{data_dir}/iterable-sync.sqlite")
    async with database.write() as db:
        for connection in await connections.everyone(db):
            await connections.change(db, connection.id, requests_per_second=0)
    await database.close()


async def _post(session: aiohttp.ClientSession, url: str, lists: list[int], rate: float, seconds: float) -> Posted:
    """Post messages at the rate, in turn to each audience. Returns when each change was posted, by list."""
    per_message = min(PROFILES, max(1, round(rate / len(lists))))
    posted: Posted = defaultdict(deque)
    began, tasks = time.monotonic(), set()
    for turn in range(round(rate * seconds / per_message)):
        due = began + turn * per_message / rate
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        audience = turn % len(lists)
        body = _message(audience, lists[audience], turn * per_message, per_message)
        posted[lists[audience]].extend([time.monotonic()] * per_message)
        task = asyncio.create_task(_send(session, url, body))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    return posted


async def _send(session: aiohttp.ClientSession, url: str, body: bytes) -> None:
    for _ in range(round(PATIENCE_S / RETRY_S)):
        async with session.post(url, data=body) as answer:
            if answer.status == 200:
                return
            assert answer.status in {429, 503}, await answer.text()  # mParticle sends it again
        await asyncio.sleep(RETRY_S)


async def _until_sent(iterable: Running, people: int) -> None:
    """Wait until Iterable has received so many people, or patience ends."""
    for _ in range(round(PATIENCE_S / POLL_S)):
        if iterable.state.log.subscribers >= people:
            return
        await asyncio.sleep(POLL_S)


def _delays(iterable: Running, posted: Posted, begun: int) -> list[float]:
    """Return the delay of each delivered change in seconds, and take it from `posted`."""
    delays = []
    for record in list(iterable.state.log.records)[begun:]:
        if record.path.startswith("/api/lists/subscribe") and record.list_id is not None:
            times = posted[record.list_id]
            delays += [record.at - times.popleft() for _ in range(min(record.subscribers, len(times)))]
    return delays
