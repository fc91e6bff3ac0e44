"""More runs of one Iterable project than it may execute at once: some start because others have few requests left."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import text, update

from core.delivery.ending_runs import ENDING_AT_ONCE
from core.lease import LeaseTimes
from core.models.run import RunPhase, RunStatus
from core.store import runs
from core.store.run_turns import RUNS_OF_PROJECT
from core.store.tables import connections as connections_table
from core.store.tables import runs as runs_table
from sandbox.iterable import Fault
from tests.core.crashing import ServeJob
from tests.core.harness import HELD_S, Kept, Sync, addresses, kept_directory, people, syncing, until
from tests.core.workers import PATIENCE_S, finish_all

#: So many send at once: those of the project, and those for which others have made room.
AT_ONCE = RUNS_OF_PROJECT + ENDING_AT_ONCE
#: The runs, each with a list of its own: two for each place, so that another one waits for whichever makes room.
RUNS = 2 * RUNS_OF_PROJECT
#: Who is on each list before. Then two join, and of every other list one leaves.
BEFORE = range(1, 4)
AFTER = (range(1, 6), range(2, 6))
COUNTS = (
    {"members": 5, "added": 2, "unchanged": 3},
    {"members": 4, "left": 1, "added": 2, "removed": 1, "unchanged": 2},
)
#: Requests per second of the connection, so that a run may make room.
RATE = 100.0
SUBSCRIBE = "/api/lists/subscribe"


def lists_of(sync: Sync) -> list[int]:
    """The lists of the runs."""
    return sorted(sync.iterable.state.lists)[-RUNS:]


async def fill_lists(sync: Sync) -> None:
    """Create the lists, with the same people on each."""
    for number in range(RUNS):
        list_id = sync.iterable.state.add_list(f"List {number}").id
        await sync.mirror(people(BEFORE), list_id=list_id)


async def queue_all(sync: Sync) -> None:
    """Queue a run for each list, for any worker."""
    files = [sync.mirror_file(people(after)) for after in AFTER]
    ids = [
        await sync.submit(files[number % 2], list_id=list_id, approved=True)
        for number, list_id in enumerate(lists_of(sync))
    ]
    async with sync.engine.database.write() as db:
        await db.execute(update(connections_table).values(requests_per_second=RATE))
        await db.execute(update(runs_table).where(runs_table.c.id.in_(ids)).values(worker_id=None, rate=RATE))


async def are_sending(sync: Sync) -> bool:
    """Whether more runs are sending than the project may execute at once, because some have made room."""
    async with sync.engine.database.read() as db:
        return [run.phase for run in await runs.unfinished(db)].count(RunPhase.UPLOADING) == AT_ONCE


async def keep_lists(database_url: str | None = None) -> Kept:
    """Fill the lists in a database, and keep that state. On PostgreSQL, the caller copies the database."""
    directory = kept_directory()
    async with syncing(directory, database_url) as sync:
        await fill_lists(sync)
    return Kept(sync.engine.settings.data_dir, sync.iterable.state)


@asynccontextmanager
async def holding(
    directory: Path, database_url: str | None, kept: Kept | None = None, times: LeaseTimes | None = None
) -> AsyncIterator[Sync]:
    """Open an engine whose Iterable answers no additions until its faults are cleared.

    The lists are filled, unless they are in `kept`.
    """
    async with syncing(directory, database_url, kept=kept, times=times) as sync:
        if kept is None:
            await fill_lists(sync)
        sync.iterable.faults.set([Fault("slow", path=SUBSCRIBE, delay=HELD_S)])
        yield sync


@asynccontextmanager
async def crowded(directory: Path, database_url: str | None, kept: Kept | None = None) -> AsyncIterator[Sync]:
    """Do the same, and clear the faults as soon as runs have made room for others."""
    async with holding(directory, database_url, kept) as sync:
        answering = asyncio.create_task(_answer_when_crowded(sync))
        try:
            yield sync
        finally:
            answering.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await answering


async def _answer_when_crowded(sync: Sync) -> None:
    await until(lambda: are_sending(sync), PATIENCE_S)
    sync.iterable.faults.clear()


async def crowd_job(sync: Sync, *, commits: bool = False, report: Path | None = None) -> ServeJob:
    """Queue the runs, for another process that executes them."""
    await queue_all(sync)
    return ServeJob(settings=sync.engine.settings, commits=commits, report=report)


async def problem_of(sync: Sync) -> str:
    """Compare the lists and the runs with what they must be at the end. Returns the first difference, or ""."""
    async with sync.engine.database.read() as db:
        newest = await runs.latest(db, RUNS)
        if not sync.engine.database.is_sqlite:
            jobs = (await db.execute(text("SELECT status, args FROM procrastinate_jobs"))).all()
            if jobs:
                return f"jobs are left: {jobs}"
    for number, run in enumerate(sorted(newest, key=lambda run: run.list_id)):
        after, expected = addresses(AFTER[number % 2]), COUNTS[number % 2]
        counts = {name: number for name, number in run.counters.model_dump().items() if number}
        if run.status is not RunStatus.SUCCEEDED or counts != expected:
            return f"the run of list {run.list_id} {run.status} with {counts}: {run.error}"
        if (on_list := sync.emails(run.list_id)) != after:
            return f"list {run.list_id} differs by {sorted(on_list ^ after)}"
        history = sync.iterable.state.history(run.list_id)
        if moved := [email for email, _, joins, leaves in history if joins > 1 or leaves > 1]:
            return f"list {run.list_id}: {moved} were moved more than once"
    return ""


async def after_a_crash(sync: Sync) -> str:
    """Do what the killed process has left. Returns what is wrong then, or ""."""
    sync.iterable.faults.clear()
    await finish_all(sync.engine)
    if problem := await problem_of(sync):
        return problem
    for _ in range(2):  # the first time, what the killed process had claimed is sent once more
        before = sync.iterable.state.log.total(SUBSCRIBE)
        await queue_all(sync)
        await finish_all(sync.engine)
    return "" if sync.iterable.state.log.total(SUBSCRIBE) == before else "repeated syncs send a request"
