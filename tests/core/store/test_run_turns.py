"""Which run is next: projects take turns, a list has one run at a time, and live runs are left out."""

from collections.abc import Iterable
from itertools import count

from core.models.run import RunStatus
from core.store import run_turns, runs
from core.store.database import Database
from tests.core.databases import on_both
from tests.core.store.seeds import add_connection, add_mapping, add_run

_names = count()


async def queued(database: Database, project: str, number: int) -> list[str]:
    """Queue runs of as many lists of a project, and return their ids."""
    connection_id = await add_connection(database, f"shop {next(_names)}", rate_limit_key=project)
    return [
        await add_run(database, await add_mapping(database, connection_id, list_id=list_id))
        for list_id in range(number)
    ]


async def taken(database: Database, worker: str, room: int, per_project: int = 100) -> list[str]:
    """Have a worker take runs up, and return their ids in that order."""
    async with database.write() as db:
        waiting = await run_turns.next_in_turn(db, worker, room, per_project)
        return [run.id for run in waiting if await run_turns.claim(db, run, worker)]


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
async def test_worker_has_few_runs_of_a_project(database: Database) -> None:
    """A worker takes up only so many runs of one project; another worker may take up others of them."""
    many = await queued(database, "many", 5)
    assert await taken(database, "me", 10, per_project=2) == many[:2]
    assert await taken(database, "me", 10, per_project=2) == []
    assert await taken(database, "other", 10, per_project=2) == many[2:4]


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
    live = await add_run(database, await add_mapping(database, mapping.connection_id, list_id=7))
    async with database.write() as db:
        await runs.change(db, live, is_live=True)
    assert await taken(database, "me", 10) == [first]
    assert await taken(database, "me", 10) == []
    await end(database, [first])
    assert await taken(database, "me", 10) == [second]
