"""The size of a live mapping's list in Iterable is stored with its daily run, for charts and trends."""

import asyncio
from pathlib import Path

from sqlalchemy import text

from core.live.list_sizes import READ_EVERY_S, read_due_sizes
from core.runs.list_people import SETTLES_S
from core.store import run_history
from tests.firehosing import LIST, VIPS, Live, firehosing, person


async def sizes(service: Live) -> tuple[int, ...]:
    """Return the sizes that are stored, oldest first."""
    mapping_id = (await service.mapping()).id
    async with service.engine.database.read() as db:
        return (await run_history.list_sizes(db, [mapping_id], 20))[mapping_id].sizes


def requests(service: Live) -> int:
    """Return how often Iterable was asked for the size."""
    return sum(record.path == f"/api/lists/{LIST}/size" for record in service.iterable.state.log.records)


async def pass_time(service: Live, statement: str, seconds: float) -> None:
    """Put a time in the database back by so many seconds, with an hour's margin for the test itself."""
    async with service.engine.database.write() as db:
        await db.execute(text(statement), {"by": seconds + 60.0})


async def test_size_is_read_at_intervals(tmp_path: Path, database_url: str) -> None:
    """The size is read two minutes after a day's first change, and an hour later if the list was changed since; of two
    processes, one reads it."""
    async with firehosing(tmp_path, database_url) as service:
        await service.mparticle.connect(VIPS)
        await service.approve()
        await service.mparticle.add(VIPS, person(1), person(2))
        await service.settled()
        await read_due_sizes(service.engine)
        assert await sizes(service) == ()

        await pass_time(service, "UPDATE runs SET created_at = created_at - :by", SETTLES_S)
        await asyncio.gather(read_due_sizes(service.engine), read_due_sizes(service.engine))
        assert await sizes(service) == (2,)
        assert requests(service) == 1

        await pass_time(service, "UPDATE live_days SET size_read_at = size_read_at - :by", READ_EVERY_S)
        await service.mparticle.add(VIPS, person(3))
        await service.settled()
        await read_due_sizes(service.engine)
        assert await sizes(service) == (3,)
        await pass_time(service, "UPDATE live_days SET size_read_at = size_read_at - :by", 0.0)
        await read_due_sizes(service.engine)
        assert requests(service) == 2
