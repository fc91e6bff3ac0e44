"""Runs, and actions on them: start, approve, cancel, retry, repeat, undo."""

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
    """A file of an audience: its members, and its time (None if the file has none)."""

    name: str
    path: Path
    members: dict[int, Person]
    at: int | None


def write(
    world: World, name: str, mode: SyncMode = SyncMode.MIRROR, shape: Shape = Shape.TABLE, left: Collection[int] = ()
) -> File:
    """Write a source for a run, and record it in the truth."""
    truth, at = world.truth, world.truth.now()
    members = truth.present(name)
    if mode is SyncMode.DELTA:
        members = {number: person for number, person in members.items() if number % 2}
    truth.remember(name, members.values())
    if shape is Shape.KEYLESS:
        truth.keyless.add(name)
    leavers = [truth.people[number] for number in sorted(set(left) - truth.audiences[name])]
    path = world.sources.write(mode, shape, list(members.values()), leavers, at)
    return File(name, path, members, at if shape is Shape.DOWNLOAD and members and mode is not SyncMode.DELTA else None)


async def queue(world: World, file: File, mode: SyncMode, *, asks: bool) -> str | None:
    """Queue a run of a mapping from a file. Returns None if the mapping can't be synced now."""
    mapping = await world.mapping(file.name)
    request = RunRequest(path=str(file.path), audience=file.name, approved=not asks, allow_empty=not asks)
    if mode is not SyncMode.DELTA:
        request = request.model_copy(update={"mode": mode})
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


async def carry_out(world: World, *run_ids: str, trouble: Trouble = QUIET, separate: bool = False) -> None:
    """Execute runs, all at once. `separate`: each in its own process, unless a worker executes them from the queue."""
    await lose_track(world)
    silent = [run for run_id in run_ids if await _must_be_silent(world, run := await world.run(run_id))]
    execution = _work(world, run_ids) if world.queued else _execute(world, run_ids, separate=separate)
    await world.disturbed(execution, trouble, run_ids[0])
    for run in silent:
        assert (await world.run(run.id)).requests == 0, "sent although the mapping is paused"


async def _execute(world: World, run_ids: tuple[str, ...], *, separate: bool) -> None:
    async with AsyncExitStack() as others:
        other_engines = [await others.enter_async_context(world.another()) for _ in run_ids[1:] if separate]
        engines = [world.engine, *(other_engines or [world.engine] * len(run_ids[1:]))]
        executions = [_execute_one(engine, run_id) for engine, run_id in zip(engines, run_ids, strict=True)]
        for result in await asyncio.gather(*executions, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result


async def _execute_one(engine: Engine, run_id: str) -> None:
    async with engine.database.write() as db:
        run = await runs.by_id(db, run_id)
        assert run is not None
        if run.worker_id is None and run.status.is_active:
            assert await runs.claim(db, run.id, run.attempt, engine.presence.id)
    await (micro_batch.execute(engine, run_id) if run.is_live else executor.execute(engine, run_id))


async def _work(world: World, run_ids: tuple[str, ...]) -> None:
    """Run a worker until the queue is empty."""
    engine = world.engine
    for run_id in run_ids:  # as the command line executes what it has submitted
        run = await world.run(run_id)
        if run.worker_id == engine.presence.id and run.status is RunStatus.QUEUED:
            await worker.start(engine, run_id)
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
    """Whether a run must send nothing, because its mapping is paused and it has not begun."""
    mapping = await world.mapping(run.audience or "")
    return mapping is not None and mapping.status is MappingStatus.PAUSED and not run.requests


async def lose_track(world: World) -> None:
    """Mark the live membership as unknown if a file's run of the live mapping is open."""
    mapping = await world.mapping(LIVE)
    if mapping and any(run.mapping_id == mapping.id and not run.is_live for run in await world.unfinished()):
        world.truth.live.mark_unknown()


async def sync(world: World, file: File, mode: SyncMode, *, asks: bool, trouble: Trouble = QUIET) -> Run | None:
    """Run a file. Returns the run's state afterwards, or None if the mapping can't be synced now."""
    run_id = await queue(world, file, mode, asks=asks)
    if run_id is None:
        return None
    await carry_out(world, run_id, trouble=trouble)
    return next((run for run in await world.runs() if run.id == run_id), None)


async def sync_older(world: World, file: File, trouble: Trouble) -> None:
    """Sync a download again, whatever came since.

    For a live mapping it decides only about members without newer changes.
    """
    live = world.truth.live
    has_backlog = file.name == LIVE and await is_waiting(world)
    run = await sync(world, file, SyncMode.MIRROR, asks=False, trouble=trouble)
    if file.name != LIVE or run is None or not trouble.is_quiet or has_backlog:
        return
    assert run.status is RunStatus.SUCCEEDED, run.error
    assert file.at is not None
    live.reset_older(file.members, file.at)


async def is_waiting(world: World) -> bool:
    """Whether the live mapping has pending changes."""
    mapping = await world.mapping(LIVE)
    assert mapping is not None
    async with world.engine.database.read() as db:
        return (await inbox.backlog(db, mapping.id)).size > 0


async def cancel(world: World, run_id: str) -> None:
    """Cancel a run, unless it has ended."""
    try:
        await commands.cancel(world.engine, run_id, **FINAL)
    except InputError:
        run = await world.run(run_id)
        assert not run.status.is_resumable or run.stop_requested is StopReason.CANCEL


async def take_over(world: World) -> None:
    """Resume the runs of dead processes, as a worker does."""
    await lose_track(world)
    await world.engine.presence.reap_dead_workers()
    if world.queued:
        await _work(world, ())
        return
    async with world.engine.database.write() as db:
        orphans = [run for run in await runs.unfinished(db) if run.is_orphan and not run.is_live]
        claimed = [run.id for run in orphans if await runs.reopen(db, run, world.engine.presence.id) is not None]
    for run_id in claimed:
        await carry_out(world, run_id)


async def decide(world: World, run_id: str, trouble: Trouble, *, approved: bool) -> None:
    """Approve a run and execute it, or decline it."""
    if not approved:
        await harness.decide(world.engine, run_id, approves=False, **FINAL)
    elif await harness.decide(world.engine, run_id, **FINAL) is Decision.RECORDED:
        await carry_out(world, run_id, trouble=trouble)


async def retry(world: World, run_id: str, trouble: Trouble = QUIET) -> None:
    """Resume a run that failed or was interrupted."""
    await commands.retry(world.engine, run_id, **FINAL)
    await carry_out(world, run_id, trouble=trouble)


async def retry_rejected(world: World, run_id: str, trouble: Trouble = QUIET) -> None:
    """Send the rejected members of a run again, with the identities of that time."""
    try:
        retry_id = await commands.retry_rejected(world.engine, run_id, channel=None, **FINAL)
    except InputError:  # there are no rejections, another retry is open, or the mapping is paused
        return
    await carry_out(world, retry_id, trouble=trouble)


async def undo_run(world: World, run_id: str, trouble: Trouble) -> None:
    """Request the undo of a run, if possible, and plan it; it is approved most of the time."""
    try:
        undo_id = await undo.undo(world.engine, run_id, by=BY, channel=None, team_id=None)
    except InputError:
        return
    await carry_out(world, undo_id)
    if trouble.seed % 3 and (await world.run(undo_id)).status is RunStatus.NEEDS_APPROVAL:
        await decide(world, undo_id, trouble, approved=True)
