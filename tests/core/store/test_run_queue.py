"""Which run is next: projects take turns, a list has one run at a time, and live runs are left out."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from itertools import count
from typing import Any

import pytest
from sqlalchemy import text

from core.models.run import RunPhase, RunStatus
from core.store import job_queue, run_queue, runs
from core.store.database import Database
from tests.core.databases import new_postgresql, on_both, without
from tests.core.harness import until
from tests.core.store.seeds import add_connection, add_mapping, add_run

_names = count()


@pytest.fixture
async def postgresql(postgresql_server: str) -> AsyncIterator[Database]:
    """An open database of PostgreSQL with all tables."""
    url = new_postgresql(postgresql_server)
    database = Database(url)
    yield database
    await database.close()
    without(postgresql_server, url)


async def queued(database: Database, project: str, number: int) -> list[str]:
    """Queue runs of as many lists of a project, and return their ids."""
    connection_id = await add_connection(database, f"shop {next(_names)}", rate_limit_key=project)
    return [
        await add_run(database, await add_mapping(database, connection_id, list_id=list_id))
        for list_id in range(number)
    ]


async def taken(database: Database, worker: str, room: int) -> list[str]:
    """Have a worker take runs up, and return their ids in that order."""
    return await run_queue.claim(database, worker, room)


async def end(database: Database, ids: Iterable[str]) -> None:
    """End runs."""
    async with database.write() as db:
        for run_id in ids:
            await runs.set_status(db, run_id, RunStatus.SUCCEEDED)


@on_both
async def test_projects_take_turns(database: Database) -> None:
    """Many runs of one project do not keep the runs of others waiting, whoever queued first."""
    many = await queued(database, "many", 5)
    few = [(await queued(database, f"few {number}", 1))[0] for number in range(3)]
    assert await taken(database, "me", 3) == [many[0], *few[:2]]
    assert await taken(database, "other", 2) == [few[2], many[1]]
    await end(database, [many[0]])
    late = await queued(database, "late", 1)
    assert await taken(database, "me", 10) == [*late, *many[2:]]


@on_both
async def test_few_runs_of_a_project_at_once(database: Database) -> None:
    """All workers together execute only so many runs of one project."""
    many = await queued(database, "many", 6)
    assert await taken(database, "me", 3) == many[:3]
    assert await taken(database, "other", 10) == many[3:4]
    await end(database, many[:1])
    assert await taken(database, "me", 10) == many[4:5]


@on_both
async def test_connections_with_one_key_are_one_project(database: Database) -> None:
    """Connections that share a key take turns as one project; those without a key are projects of their own."""
    first, second = await queued(database, "same", 2), await queued(database, "same", 1)
    without, another = await queued(database, "", 1), await queued(database, "", 1)
    assert await taken(database, "me", 3) == [first[0], *without, *another]
    assert await taken(database, "me", 3) == [first[1], *second]


@on_both
async def test_list_has_one_run_at_a_time(database: Database) -> None:
    """Of a list, the oldest run comes first, and no other before it has ended; live runs are left out."""
    mapping = await add_mapping(database)
    first, second = await add_run(database, mapping), await add_run(database, mapping)
    await add_run(database, await add_mapping(database, mapping.connection_id, list_id=7), is_live=True)
    assert await taken(database, "me", 10) == [first]
    assert await taken(database, "me", 10) == []
    await end(database, [first])
    assert await taken(database, "me", 10) == [second]


async def make_room(database: Database, run_id: str) -> None:
    """Let a run make room, as its upload does on PostgreSQL."""
    if not database.is_sqlite:
        async with database.write() as db:
            await run_queue.make_room(db, run_id)


@on_both
async def test_a_run_makes_room(database: Database) -> None:
    """A run that has few requests left makes room for one run of its project."""
    many = await queued(database, "many", 6)
    assert await taken(database, "me", 10) == many[:4]
    await make_room(database, many[0])
    assert await run_queue.claim(database, "me", 10, {many[0]}) == many[4:5]


@on_both
async def test_no_room_for_a_run_of_the_same_list(database: Database) -> None:
    """A run does not make room for one of the same list, which could only wait."""
    mapping = await add_mapping(database)
    first, second = await add_run(database, mapping), await add_run(database, mapping)
    assert await taken(database, "me", 10) == [first]
    await make_room(database, first)
    assert await run_queue.claim(database, "me", 10, {first}) == []
    await end(database, [first])
    assert await taken(database, "me", 10) == [second]


async def test_workers_are_notified_of_room(postgresql_server: str) -> None:
    """The workers of all processes are woken when a run makes room."""
    url = new_postgresql(postgresql_server)
    database, woken = Database(url), asyncio.Event()
    ids = await queued(database, "many", 5)
    assert await taken(database, "me", 9) == ids[:4]
    async with run_queue.listening(database, url, woken), asyncio.timeout(30):
        await woken.wait()  # it listens
        woken.clear()
        await make_room(database, ids[0])
        await woken.wait()
    await database.close()
    without(postgresql_server, url)


async def test_a_run_that_made_room_is_queued_again(postgresql: Database) -> None:
    """A run that made room is taken over like any other, even if its former process makes room again."""
    (run_id,) = await queued(postgresql, "one", 1)
    assert await taken(postgresql, "dead", 1) == [run_id]
    await make_room(postgresql, run_id)
    async with postgresql.write() as db:
        run = await runs.by_id(db, run_id)
        assert run is not None
        await runs.reopen(db, run, None)
    await make_room(postgresql, run_id)
    assert await taken(postgresql, "me", 1) == [run_id]


async def test_two_workers_at_once(database: Database) -> None:
    """Workers that claim at the same time get different runs, and of a project no more than one would."""
    ids = {name: await queued(database, name, 6) for name in "abc"}
    claimed = await asyncio.gather(*(run_queue.claim(database, f"w{number}", 5) for number in range(4)))
    taken_up = [run_id for of_worker in claimed for run_id in of_worker]
    assert len(taken_up) == len(set(taken_up))
    assert all(len(set(taken_up) & set(of_project)) <= 4 for of_project in ids.values())
    rest = await taken(database, "last", 100)
    assert sorted([*taken_up, *rest]) == sorted(run_id for of_project in ids.values() for run_id in of_project[:4])


async def test_two_workers_want_one_lock(postgresql: Database) -> None:
    """A worker that claims a job of a lock, while another's claim of the lock is not committed, gets the other jobs."""
    mapping = await add_mapping(postgresql)
    first, second = await add_run(postgresql, mapping), await add_run(postgresql, mapping)
    (other,) = await queued(postgresql, "other", 1)
    async with postgresql.write() as db:
        assert await job_queue.claim(db, "one", 1) == [first]
        async with postgresql.write() as another:  # the queue shall offer it before the first one
            raised = "UPDATE procrastinate_jobs SET priority = 1000 WHERE args ->> 'run_id' = :run_id"
            await another.execute(text(raised), {"run_id": second})
        claiming = asyncio.create_task(run_queue.claim(postgresql, "two", 5))

        async def waits() -> bool:
            async with postgresql.read() as reading:
                query = "SELECT count(*) FROM pg_locks WHERE NOT granted"
                return bool((await reading.execute(text(query))).scalar_one())

        await until(waits)
    assert await claiming == [other]


#: What happens to a queued run, and the status of its job afterwards.
CHANGES: list[tuple[str, dict[str, Any], str | None]] = [
    ("claimed by the command line", {"worker_id": "me"}, None),
    ("cancelled", {"status": RunStatus.CANCELLED}, None),
    ("frozen", {"phase": RunPhase.FROZEN}, None),
    ("planned", {"status": RunStatus.RUNNING}, "todo"),
    ("waits for approval", {"status": RunStatus.NEEDS_APPROVAL}, None),
]


@pytest.mark.parametrize(("change", "job"), [pytest.param(*rest, id=name) for name, *rest in CHANGES])
async def test_jobs_follow_the_runs(postgresql: Database, change: dict[str, Any], job: str | None) -> None:
    """On PostgreSQL there is a job for a run while a worker may take it up, and while it is at work."""

    async def jobs() -> list[str]:
        async with postgresql.read() as db:
            rows = await db.execute(text("SELECT status::text FROM procrastinate_jobs"))
            return list(rows.scalars())

    (run_id,) = await queued(postgresql, "one", 1)
    assert await jobs() == ["todo"]
    async with postgresql.write() as db:
        await runs.change(db, run_id, **change)
    assert await jobs() == ([] if job is None else [job])
    async with postgresql.write() as db:
        run = await runs.by_id(db, run_id)
        assert run is not None
        await runs.reopen(db, run, None)
        await runs.change(db, run_id, phase=RunPhase.NONE)
    assert await jobs() == ["todo"]
    assert await taken(postgresql, "me", 9) == [run_id]
    assert await jobs() == ["doing"]
    await end(postgresql, [run_id])
    assert await jobs() == []
