"""The CPU of a delivery of live changes, in a process that is open already."""

import asyncio
import resource
import statistics
import time
from pathlib import Path

import aiohttp
from pydantic import SecretStr

from core.connections import data_fields
from core.connections.exclusions import ExclusionInput, change_exclusions
from core.engine import Engine, open_engine
from core.live import decisions, micro_batch
from core.live.deliveries import Deliveries
from core.live.rounds import begin_round, plan_round
from core.settings import FirehoseApproval, Settings
from core.store import connections, inbox, live_attributes, live_mappings, live_work
from core.store.inbox import Change
from sandbox.iterable import DEFAULT_KEY
from sandbox.mparticle import Audience, MParticle, Profile
from tests.firehosing import TOKEN, serving

#: Deliveries before the measurement: the first ones prepare statements.
WARM_UP = 5


async def measure(
    url: str, data_dir: str, database_url: str, *, audiences: int, changes: int, runs: int, with_fields: bool = False
) -> dict[str, float]:
    """Deliver `changes` new people to each of so many audiences, `runs` times, to the local Iterable at `url`.

    `with_fields`: each with a value of a data field, and each mapping excludes an address and a domain.
    Returns the least and the median CPU of a delivery to one audience in this process (seconds), from the look at the
    pending changes to the recorded end.
    """
    settings = Settings(
        iterable_url=url,
        data_dir=Path(data_dir),
        database_url=SecretStr(database_url) if database_url else None,
        firehose_token=SecretStr(TOKEN),
        firehose_approval=FirehoseApproval.NONE,
        firehose_gather_s=0.0,
        firehose_merge_window_s=0.0,
        _env_file=None,  # type: ignore[call-arg]
    )
    async with open_engine(settings, "benchmark") as engine:
        await _with_audiences(engine, url, audiences, with_fields=with_fields)
        sending = Deliveries(engine)
        try:
            turns = range(WARM_UP + runs)
            measured = [await _cpu_of_round(engine, sending, turn, changes, with_fields) for turn in turns]
        finally:
            await sending.close()
    each = [seconds / audiences for seconds in measured[WARM_UP:]]
    return {"least_s": min(each), "median_s": statistics.median(each)}


async def _with_audiences(engine: Engine, url: str, count: int, *, with_fields: bool = False) -> None:
    """Create audiences with a list and a member each, and deliver that: the first run learns what is needed."""
    lists = [await _new_list(url, number) for number in range(count)]
    async with serving(engine) as base_url:
        address = f"{base_url}/mparticle/firehose/{TOKEN}"
        async with MParticle(address, settings={"apiKey": DEFAULT_KEY}, attempts=1) as mparticle:
            for number, list_id in enumerate(lists):
                audience = Audience(9000 + number, f"Audience {number}", {"listId": str(list_id)})
                await mparticle.add(audience, Profile(number, f"p{number}@example.com", f"c{number}"))
    async with engine.database.write() as db:
        mappings = await live_mappings.everyone(db)
        for connection in await connections.everyone(db):
            await connections.change(db, connection.id, requests_per_second=0)
    for mapping in mappings if with_fields else ():
        await data_fields.choose(engine, mapping.id, {"Plan": "plan"}, by="U1", team_id=None)
        excluded = ExclusionInput(["someone@example.com"], ["rival.example.com"])
        await change_exclusions(engine, mapping.id, add=excluded, by="U1", team_id=None, allowed=None)
        await decisions.approve(engine, mapping.id, list_id=mapping.list_id, by="U1")
    for mapping in mappings:
        run_id = await micro_batch.create_micro_batch(engine, mapping)
        assert run_id is not None
        await micro_batch.execute(engine, run_id)


async def _new_list(url: str, number: int) -> int:
    headers = {"Api-Key": DEFAULT_KEY}
    async with aiohttp.request("POST", f"{url}/api/lists", json={"name": f"List {number}"}, headers=headers) as answer:
        return int((await answer.json())["listId"])


async def _cpu_of_round(engine: Engine, sending: Deliveries, turn: int, changes: int, with_fields: bool) -> float:
    async with engine.database.write() as db:
        ids = [mapping.id for mapping in await live_mappings.everyone(db)]
        people = range(1_000_000 + turn * changes, 1_000_000 + (turn + 1) * changes)
        stamp = time.time_ns() // 1_000_000
        attributes = {"Plan": "tgold"} if with_fields else None
        arrived = [
            Change(id_, str(n), True, stamp, f"p{n}@example.com", f"customer-{n}", attributes=attributes)
            for id_ in ids
            for n in people
        ]
        await inbox.put(db, await live_attributes.put(db, arrived, engine.vault))
    before = _cpu()
    async with engine.database.read() as db:
        plan = await plan_round(engine, db, await live_work.pending(db, 0.0, 1))
    deliveries = (await begin_round(engine, plan)).deliveries
    assert len(deliveries) == len(ids)
    await asyncio.gather(*map(sending.deliver, deliveries))
    used = _cpu() - before
    async with engine.database.read() as db:
        assert await live_work.pending(db, 0.0, 1) == []
    return used


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
