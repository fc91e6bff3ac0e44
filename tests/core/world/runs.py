"""Runs, and what people do to them: start, approve, cancel, retry, repeat, undo."""

import asyncio
from collections.abc import Collection
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.engine import Engine
from core.errors import InputError
from core.live import micro_batch
from core.models.run import Run, RunRequest, RunStatus, StopReason, SyncMode
from core.runs import commands, executor, undo, worker
from core.runs.submission import submit
from core.store import inbox, runs
from core.store.mappings import MappingStatus
from tests.core import harness
from tests.core.harness import Decision, until
from tests.core.world.faults import QUIET, Trouble
from tests.core.world.people import LISTS, LIVE, Person
from tests.core.world.process import World
from tests.core.world.sources import Shape

BY = "U1"
FINAL: dict[str, Any] = {"by": BY, "team_id": None}


@dataclass(frozen=True)
class File:
    """A file of an audience: what it says, and when (None: it does not say that)."""

    name: str
    path: Path
    members: dict[int, Person]
    at: int | None


def write(
    world: World, name: str, how: SyncMode = SyncMode.MIRROR, shape: Shape = Shape.TABLE, left: Collection[int] = ()
) -> File:
    """Write what a run is told, and note it."""
    truth, at = world.truth, world.truth.now()
    members = truth.present(name)
    if how is SyncMode.DELTA:
        members = {number: person for number, person in members.items() if number % 2}
    truth.say(name, members.values())
    if shape is Shape.KEYLESS:
        truth.keyless.add(name)
    gone = [truth.people[number] for number in sorted(set(left) - truth.audiences[name])]
    path = world.sources.write(how, shape, list(members.values()), gone, at)
    return File(name, path, members, at if shape is Shape.DOWNLOAD and members and how is not SyncMode.DELTA else None)


async def queue(world: World, file: File, how: SyncMode, *, asks: bool) -> str | None:
    """Queue a run of a mapping from a file; None where it may not be synced now."""
    mapping = await world.mapping(file.name)
    request = RunRequest(path=str(file.path), audience=file.name, approved=not asks, allow_empty=not asks)
    if how is not SyncMode.DELTA:
        request = request.model_copy(update={"mode": how})
    try:
        if mapping is not None and (asks or world.queued):
            run_id = await commands.start(world.engine, mapping, request, channel=None, **FINAL)
        else:
            run_id = (await submit(world.engine, await world.connection(), LISTS[file.name], request)).run_id
    except InputError:
        assert mapping is not None
        assert mapping.status in (MappingStatus.DECLINED, MappingStatus.PAUSED)
        return None
    assert mapping is None or mapping.status not in (MappingStatus.DECLINED, MappingStatus.PAUSED)
    return run_id


async def carry_out(world: World, *run_ids: str, trouble: Trouble = QUIET, beside: bool = False) -> None:
    """Execute runs, all at once; `beside`: each by a process of its own, where they are not left to the queue."""
    await lose_track(world)
    silent = [run for run_id in run_ids if await _must_be_silent(world, run := await world.run(run_id))]
    work = _work(world, run_ids) if world.queued else _execute(world, run_ids, beside=beside)
    await world.disturbed(work, trouble, run_ids[0])
    for run in silent:
        assert (await world.run(run.id)).requests == 0, "sent although the mapping is paused"


async def _execute(world: World, run_ids: tuple[str, ...], *, beside: bool) -> None:
    async with AsyncExitStack() as others:
        alone = [await others.enter_async_context(world.another()) for _ in run_ids[1:] if beside]
        engines = [world.engine, *(alone or [world.engine] * len(run_ids[1:]))]
        work = [_execute_one(engine, run_id) for engine, run_id in zip(engines, run_ids, strict=True)]
        for result in await asyncio.gather(*work, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result


async def _execute_one(engine: Engine, run_id: str) -> None:
    async with engine.database.write() as db:
        this = await runs.by_id(db, run_id)
        assert this is not None
        if this.worker_id is None and this.status.is_active:
            assert await runs.claim(db, this, engine.presence.id)
    await (micro_batch.execute(engine, run_id) if this.is_live else executor.execute(engine, run_id))


async def _work(world: World, run_ids: tuple[str, ...]) -> None:
    """Work on the queue until nothing is left to be done there."""
    engine = world.engine
    for run_id in run_ids:  # as the command line does what it has submitted
        this = await world.run(run_id)
        if this.worker_id == engine.presence.id and this.status is RunStatus.QUEUED:
            await worker.start(run_id)
    await engine.presence.reap_dead_workers()

    async def is_idle() -> bool:
        return engine.stopping.is_set() or not [run for run in await world.unfinished() if _is_busy(run)]

    working = asyncio.create_task(worker.run_worker(engine))
    waiting = asyncio.create_task(until(is_idle))
    await asyncio.wait([working, waiting], return_when=asyncio.FIRST_COMPLETED)
    engine.stopping.set()
    await asyncio.gather(working, waiting)
    engine.stopping.clear()
    engine.hands_over = False


def _is_busy(run: Run) -> bool:
    return run.status.is_active or run.is_orphan


async def _must_be_silent(world: World, run: Run) -> bool:
    """Whether a run must not send anything: its mapping is paused, and it has not begun."""
    mapping = await world.mapping(run.audience or "")
    return mapping is not None and mapping.status is MappingStatus.PAUSED and not run.requests


async def lose_track(world: World) -> None:
    """Where a file of the live mapping is at work, or may be, messages alone don't say any more who is a member."""
    mapping = await world.mapping(LIVE)
    if mapping and any(run.mapping_id == mapping.id and not run.is_live for run in await world.unfinished()):
        world.truth.live.lose()


async def sync(world: World, file: File, how: SyncMode, *, asks: bool, trouble: Trouble = QUIET) -> Run | None:
    """A run of a file. Returns it as it is then; None where it may not be synced now."""
    run_id = await queue(world, file, how, asks=asks)
    if run_id is None:
        return None
    await carry_out(world, run_id, trouble=trouble)
    return next((run for run in await world.runs() if run.id == run_id), None)


async def sync_older(world: World, file: File, trouble: Trouble) -> None:
    """Sync a download anew, whatever came since. For a live mapping it decides only about those who are older."""
    live = world.truth.live
    waits = file.name == LIVE and await is_waiting(world)
    this = await sync(world, file, SyncMode.MIRROR, asks=False, trouble=trouble)
    if file.name != LIVE or this is None or not trouble.is_quiet or waits:
        return
    assert this.status is RunStatus.SUCCEEDED, this.error
    assert file.at is not None
    live.know_older(file.members, file.at)


async def is_waiting(world: World) -> bool:
    """Whether there is something for the live mapping that has not been carried."""
    mapping = await world.mapping(LIVE)
    assert mapping is not None
    async with world.engine.database.read() as db:
        return (await inbox.backlog(db, mapping.id)).size > 0


async def cancel(world: World, run_id: str) -> None:
    """Cancel a run, if it has not ended."""
    try:
        await commands.cancel(world.engine, run_id, **FINAL)
    except InputError:
        this = await world.run(run_id)
        assert not this.status.is_resumable or this.stop_requested is StopReason.CANCEL


async def take_over(world: World) -> None:
    """Take up the runs of processes that died, as a worker does that looks for them."""
    await lose_track(world)
    await world.engine.presence.reap_dead_workers()
    if world.queued:
        await _work(world, ())
        return
    async with world.engine.database.write() as db:
        orphans = [run for run in await runs.unfinished(db) if run.is_orphan and not run.is_live]
        taken = [run.id for run in orphans if await runs.reopen(db, run, world.engine.presence.id) is not None]
    for run_id in taken:
        await carry_out(world, run_id)


async def decide(world: World, run_id: str, trouble: Trouble, *, approved: bool) -> None:
    """Approve a run that waits, and execute it; or decline it."""
    if not approved:
        await harness.decide(world.engine, run_id, approves=False, **FINAL)
    elif await harness.decide(world.engine, run_id, **FINAL) is Decision.RECORDED:
        await carry_out(world, run_id, trouble=trouble)


async def retry(world: World, run_id: str, trouble: Trouble = QUIET) -> None:
    """Let a run that failed or was interrupted go on."""
    await commands.retry(world.engine, run_id, **FINAL)
    await carry_out(world, run_id, trouble=trouble)


async def retry_rejected(world: World, run_id: str, trouble: Trouble = QUIET) -> None:
    """Try the members again that a run rejected, as they were then."""
    try:
        again = await commands.retry_rejected(world.engine, run_id, channel=None, **FINAL)
    except InputError:  # it rejected no members, somebody does that already, or the mapping is paused
        return
    await carry_out(world, again, trouble=trouble)


async def take_back(world: World, run_id: str, trouble: Trouble) -> None:
    """Ask for an undo of a run, if that can be, and plan it; mostly it is approved."""
    try:
        undoing = await undo.undo(world.engine, run_id, started_by=BY, channel=None)
    except InputError:
        return
    await carry_out(world, undoing)
    if trouble.seed % 3 and (await world.run(undoing)).status is RunStatus.NEEDS_APPROVAL:
        await decide(world, undoing, trouble, approved=True)
