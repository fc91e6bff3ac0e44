"""The storage of a plan: drafts of its batches, and its rejections, in short transactions."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import islice

from core.models.batch import Phase
from core.planning import batching
from core.planning.small_workspace import SmallWorkspace
from core.planning.workspace import Workspace, run
from core.store import batches, rejections
from core.store.batches import BatchStatus, Draft
from core.store.database import Database, to_the_end
from core.store.rejections import Rejection
from core.vault import Vault

# Batches in one transaction: about 4 MB, which hold SQLite's write lock for about 25 ms.
BATCHES_A_WRITE = 25
REJECTIONS_A_WRITE = 5_000
BATCHES_A_DROP = 200

_REJECTED = "SELECT member_key, email, customer_id, reason FROM rejected ORDER BY member_key NULLS LAST"
_REJECTED_WITH_WORDS = (
    "SELECT rejected.*, words FROM rejected LEFT JOIN rejection_words USING (member_key) ORDER BY member_key NULLS LAST"
)


@dataclass(frozen=True, slots=True)
class Work:
    """What the batches of a plan take: requests, and of these the renames of placeholders (one request each)."""

    requests: int
    renames: int


async def store_plan(con: Workspace, database: Database, run_id: str, vault: Vault | None) -> Work:
    """Store the rejections of a run and the drafts of its batches. Returns what these take.

    `vault` encrypts their data fields; None: the run sends none.
    """
    if not isinstance(con, SmallWorkspace):
        await store_rejections(con, database, run_id, with_words=vault is not None)
        return await store_batches(con, database, run_id, vault)
    rejected = rejections_of(con)
    drafts = [draft for phase in batching.prepare(con) for draft in batching.iter_drafts(con, phase)]
    await add_plan(database, run_id, rejected, drafts)
    return work_of(drafts)


def rejections_of(con: SmallWorkspace) -> list[Rejection]:
    """Return the rejections of a small planning."""
    return [Rejection(*row) for row in con.execute(_REJECTED).fetchall()]


def work_of(drafts: Sequence[Draft]) -> Work:
    """Return what these batches take."""
    return _with(Work(0, 0), drafts)


async def add_plan(
    database: Database,
    run_id: str,
    rejected: Sequence[Rejection],
    drafts: Sequence[Draft],
    vault: Vault | None = None,
) -> None:
    """Store the rejections of a run and the drafts of its batches in one transaction.

    `vault` encrypts their data fields; None: the run sends none.
    """
    if rejected or drafts:
        await to_the_end(_add_plan(database, run_id, rejected, drafts, vault))


async def _add_plan(
    database: Database, run_id: str, rejected: Sequence[Rejection], drafts: Sequence[Draft], vault: Vault | None
) -> None:
    async with database.write() as db:
        await rejections.add(db, run_id, rejected)
        await batches.add_drafts(db, run_id, drafts, vault)


async def store_rejections(con: Workspace, database: Database, run_id: str, *, with_words: bool = False) -> None:
    """Store the rows of the table `rejected` as the rejections of a run, `with_words` from `rejection_words`."""
    rows = await run(con, lambda: con.cursor().execute(_REJECTED_WITH_WORDS if with_words else _REJECTED))
    while chunk := await run(con, rows.fetchmany, REJECTIONS_A_WRITE):
        await to_the_end(_add_rejections(database, run_id, [Rejection(*row) for row in chunk]))


async def _add_rejections(database: Database, run_id: str, rejected: list[Rejection]) -> None:
    async with database.write() as db:
        await rejections.add(db, run_id, rejected)


async def store_batches(con: Workspace, database: Database, run_id: str, vault: Vault | None = None) -> Work:
    """Store the drafts of all phases and return what they take.

    `vault` encrypts their data fields; None: the run sends none.
    """
    work, with_fields = Work(0, 0), vault is not None
    for phase in await run(con, batching.prepare, con, with_fields=with_fields):
        drafts = batching.iter_drafts(con, phase, with_fields=with_fields)
        async with aclosing(_prefetch(con, drafts)) as pieces:
            async for piece in pieces:
                await to_the_end(_add_drafts(database, run_id, piece, vault))
                work = _with(work, piece)
    return work


def _with(work: Work, drafts: Sequence[Draft]) -> Work:
    """Add what these batches take."""
    renames = sum(draft.sent_size for draft in drafts if draft.phase is Phase.RENAME)
    others = sum(draft.phase not in (Phase.RENAME, Phase.RETAIN, Phase.RELEASE) for draft in drafts)
    return Work(work.requests + renames + others, work.renames + renames)


async def _prefetch(con: Workspace, drafts: Iterator[Draft]) -> AsyncGenerator[list[Draft], None]:
    """Yield drafts in pieces. The next piece is computed while the caller writes the previous one."""
    piece = await run(con, _next_batch, drafts)
    while piece:
        upcoming = asyncio.create_task(run(con, _next_batch, drafts))
        try:
            yield piece
            piece = await upcoming
        finally:  # if the write failed, the workspace must not be closed while it is in use
            upcoming.cancel()
            await asyncio.gather(upcoming, return_exceptions=True)


async def _add_drafts(database: Database, run_id: str, drafts: list[Draft], vault: Vault | None) -> None:
    async with database.write() as db:
        await batches.add_drafts(db, run_id, drafts, vault)


def _next_batch(drafts: Iterator[Draft]) -> list[Draft]:
    return list(islice(drafts, BATCHES_A_WRITE))


async def discard_drafts(database: Database, run_id: str, *, keep_planned: bool = False) -> None:
    """Delete the batches and rejections of an earlier planning of the run. None of them has been sent.

    `keep_planned`: keep the batches of an approved plan, for comparison with the new plan.
    """
    kept = {BatchStatus.PLANNED} if keep_planned else set()
    await drop_batches(database, run_id, [status for status in BatchStatus if status not in kept])
    while await to_the_end(_drop_rejections(database, run_id)) == REJECTIONS_A_WRITE:
        pass


async def _drop_rejections(database: Database, run_id: str) -> int:
    async with database.write() as db:
        return await rejections.drop(db, run_id, limit=REJECTIONS_A_WRITE)


async def drop_batches(database: Database, run_id: str, statuses: list[BatchStatus]) -> None:
    """Delete the batches of a run in one of these statuses."""
    while await to_the_end(_drop_some(database, run_id, statuses)) == BATCHES_A_DROP:
        pass


async def _drop_some(database: Database, run_id: str, statuses: list[BatchStatus]) -> int:
    async with database.write() as db:
        return await batches.drop(db, run_id, statuses, BATCHES_A_DROP)
