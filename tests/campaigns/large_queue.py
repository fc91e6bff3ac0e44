"""Measure the queue of runs on PostgreSQL with very many projects and mappings.

    python -m tests.campaigns.large_queue --projects 10000 --mappings 100000 --queued 1000 20000

Each project has as many mappings as the others. At each number of queued runs, spread over the projects, the campaign
measures how long it takes to queue one more, to claim one, and to end it, and how soon a project that had no run gets
its turn. It also measures the statement that finds live audiences with work: while none is live, and while many are.
"""

import argparse
import asyncio
import random
import statistics
import time
from collections.abc import Sequence

from sqlalchemy import text

from core.models.run import RunStatus
from core.store import live_work, mappings, run_queue, runs
from core.store.database import Database
from core.store.migrate import migrate
from tests.benchmarks.durable_postgresql import new_database, postgresql
from tests.core.store.seeds import add_connection, add_mapping, add_run

#: Runs that are queued, claimed and ended one by one for each figure.
MEASURED = 50
#: Looks for live work for each figure.
LOOKS = 7
_COPY_LISTS = """
INSERT INTO lists (connection_id, list_id, name, list_created_at, revision)
SELECT :connection, list_id, name, list_created_at, revision FROM lists WHERE connection_id = :first
"""


async def measure(
    url: str, projects: int, count: int, queued: Sequence[int], live: Sequence[int], generator: random.Random
) -> None:
    """Fill the tables, queue runs step by step, and print the figures of each. Then make mappings live."""
    database = Database(url)
    await migrate(database)
    mapping_ids = await _fill(database, projects, count)
    waiting = 0
    for step in queued:
        began = time.monotonic()
        for mapping_id in generator.sample(mapping_ids, step - waiting):
            await _queue(database, mapping_id)
        filling_s = time.monotonic() - began
        waiting = step
        times: dict[str, list[float]] = {"queued": [], "claimed": [], "ended": []}
        for mapping_id in generator.sample(mapping_ids, MEASURED):
            marks = [time.monotonic()]
            await _queue(database, mapping_id)
            marks.append(time.monotonic())
            (claimed,) = await run_queue.claim(database, "worker", 1)
            marks.append(time.monotonic())
            async with database.write() as db:
                await runs.set_status(db, claimed, RunStatus.SUCCEEDED)
            marks.append(time.monotonic())
            for name, start, end in zip(times, marks[:-1], marks[1:], strict=True):
                times[name].append(end - start)
        live_s = await _time_live_work(database)
        figures = ", ".join(f"{name} in {_spread(each)}" for name, each in times.items())
        print(
            f"{projects} projects, {count} mappings, {step} queued ({filling_s / max(1, step) * 1000:.1f} ms each): "
            f"a run is {figures}; live work found in {live_s * 1000:.0f} ms",
            flush=True,
        )
    for number in live:
        await _make_live(database, number)
        print(f"{number} live mappings without changes: {_spread(await _time_looks(database))}", flush=True)
    await database.close()


async def _make_live(database: Database, number: int) -> None:
    """Make this many mappings live and active."""
    of_these = "WHERE id IN (SELECT id FROM mappings ORDER BY id LIMIT :number)"
    async with database.write() as db:
        await db.execute(text(f"UPDATE mappings SET live = true, state = 'active' {of_these}"), {"number": number})
    async with database.write() as db:
        await db.execute(text("ANALYZE"))


async def _time_looks(database: Database) -> list[float]:
    return [await _time_live_work(database) for _ in range(LOOKS)]


async def _fill(database: Database, projects: int, count: int) -> list[int]:
    per_project = count // projects
    first = await add_connection(database, "shop 0", rate_limit_key="digest 0")
    await add_mapping(database, first, list_id=1)
    ids = [(await add_mapping(database, first, list_id=1 + number)).id for number in range(1, per_project)]
    for project in range(1, projects):
        connection = await add_connection(database, f"shop {project}", rate_limit_key=f"digest {project}")
        async with database.write() as db:
            await db.execute(text(_COPY_LISTS), {"connection": connection, "first": first})
            ids += [
                await mappings.add(
                    db, connection_id=connection, list_id=1 + number, audience_id=None, audience_name=f"A{number}"
                )
                for number in range(per_project)
            ]
    return ids


async def _queue(database: Database, mapping_id: int) -> None:
    async with database.read() as db:
        mapping = await mappings.by_id(db, mapping_id)
    assert mapping is not None
    await add_run(database, mapping)


async def _time_live_work(database: Database) -> float:
    began = time.monotonic()
    async with database.read() as db:
        await live_work.pending(db, 2.0, 1_000)
    return time.monotonic() - began


def _spread(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds) * 1000:.1f} ms (at most {max(seconds) * 1000:.0f})"


def main() -> None:
    """Run the campaign on a new database."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--projects", type=int, default=10_000)
    parser.add_argument("--mappings", type=int, default=100_000)
    parser.add_argument("--queued", type=int, nargs="+", default=[1_000, 20_000], help="runs at each measurement")
    parser.add_argument("--live", type=int, nargs="*", default=[20, 10_000, 100_000], help="live mappings at the end")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with postgresql() as server:
        asyncio.run(
            measure(
                new_database(server),
                given.projects,
                given.mappings,
                given.queued,
                given.live,
                random.Random(given.seed),
            )
        )


if __name__ == "__main__":
    main()
