"""Executing a run: plan it, then make its changes, with the list held, and every ending on record.

What is done here can be repeated at any point: where a run is, is in the database. `core.workflows` makes sure that it
is repeated when the process dies.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import duckdb
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from core import alerting, keeping
from core.control import rejected_in
from core.engine import Engine
from core.errors import EarlierRunFailedError, EarlierRunWaitsError, StorageError, SyncError
from core.fetch import fetched
from core.iterable import Failure, KeyRefusedError
from core.plan import MEMORY_MB, plan_run, plan_undo, publish, replan_run
from core.plan.planning import Planned
from core.record import StaleError, settle
from core.runs import PROCESS_DIED, Mode, Run, Status
from core.store import barred, connections, erasures, lists, mappings, rejections, runs
from core.store.migrate import describe
from core.store.rejections import Rejection
from core.store.runs import TakenOverError
from core.submit import check_state, know_list
from core.upload import StoppedError, Upload

logger = logging.getLogger(__name__)

T = TypeVar("T")

# How often a run that waits for its list looks again, and a planning looks whether it is to stop, in seconds.
LOOK_AGAIN_S = 0.3
# Members refused for good that are remembered in one transaction.
BARRED_A_WRITE = 1_000

_NOT_YET_PLANNED = (Status.QUEUED, Status.PLANNING)


async def plan(engine: Engine, run_id: str) -> Status:
    """Plan a run, unless that has been done. Returns where it is then: RUNNING means that it may go on."""
    this = await _load(engine, run_id)
    if this.status not in _NOT_YET_PLANNED:
        return this.status
    async with _every_ending_on_record(engine, run_id):
        await _stoppable(engine, run_id, know_list(engine, this))
        while not await _plan(engine, this):
            for earlier in await _earlier(engine, this):
                await _finish_first(engine, this, earlier)
    return (await _load(engine, run_id)).status


async def apply(engine: Engine, run_id: str) -> Status:
    """Make the changes of a planned run. Returns where it is then."""
    this = await _load(engine, run_id)
    while this.status is Status.RUNNING:
        if not await _apply(engine, this):
            logger.info("run %s: an earlier one went on while it waited; planning it anew", run_id)
            await plan(engine, run_id)
        this = await _load(engine, run_id)
    return this.status


async def execute(engine: Engine, run_id: str) -> Status:
    """Plan a run and make its changes."""
    status = await plan(engine, run_id)
    return await apply(engine, run_id) if status is Status.RUNNING else status


async def _apply(engine: Engine, this: Run) -> bool:
    """Make the changes of a planned run. Returns False, with nothing sent, where it has to be planned anew first."""
    run_id = this.id
    async with _every_ending_on_record(engine, run_id), _holding(engine, this):
        this = await _load(engine, run_id)  # as it is after the wait for the list
        if this.status is Status.RUNNING and this.revision is None:
            await _change(engine, run_id, status=Status.QUEUED, plan=None)
            return False
        if this.status is Status.RUNNING:
            if not this.requests:  # one that has begun may finish
                await _check_mapping(engine, this)
            await _name_audience(engine, this)
            await _begin_upload(engine, this)
            while not await _upload(engine, run_id):
                logger.info("run %s: the list was changed by another run; planning the rest anew", run_id)
            await _succeed(engine, run_id)
    return True


async def _begin_upload(engine: Engine, this: Run) -> None:
    """Settle what becomes of a mapping's other runs now that this one writes.

    A whole audience says all that earlier runs would have; while it only waits for approval, they are still needed.
    Of a whole audience that came later and waits, it is not known any more what it would change.
    """
    earlier = await _earlier(engine, this) if this.mode is Mode.MIRROR else []
    async with engine.database.write() as db:
        await _replace(db, earlier, this)
        if not this.request.live:  # a file leaves alone who has changed live since
            await runs.outdate_later(db, this)
        await runs.change(db, this.id, phase="uploading")


async def _replace(db: AsyncConnection, earlier: list[Run], this: Run) -> None:
    for run in earlier:
        await runs.set_status(db, run.id, Status.CANCELLED, error=f"Replaced by run {this.id}.")


async def _plan(engine: Engine, this: Run) -> bool:
    """Plan a run. Returns False, with nothing decided, where an earlier run must be finished first."""
    async with _holding(engine, this):
        if (await _load(engine, this.id)).status not in _NOT_YET_PLANNED:  # any more, after the wait for the list
            return True
        await _check_mapping(engine, this)
        started = this.started_at or time.time()
        await _change(engine, this.id, status=Status.PLANNING, started_at=started, phase="planning")
        async with engine.database.write() as db:
            await settle(db, this.connection_id, this.list_id, this.id)
        planned = await _stoppable(engine, this.id, _read_and_plan(engine, this))
        earlier = [] if this.request.dry_run else await _earlier(engine, this)
        if earlier and planned.mode is not Mode.MIRROR:
            return False
        async with engine.database.write() as db:
            await publish(db, this.id, engine.presence.id, planned)
            if this.request.dry_run:
                await runs.set_status(db, this.id, Status.PLANNED)
            elif planned.plan.guards:
                await runs.set_status(db, this.id, Status.NEEDS_APPROVAL)
            else:
                await _replace(db, earlier, this)
                await runs.change(db, this.id, status=Status.RUNNING.value)
    return True


async def _read_and_plan(engine: Engine, this: Run) -> Planned:
    """Plan a run whose audience may have to be fetched first."""
    data_dir, address = engine.settings.data_dir, this.request.path
    if this.undo_of is not None:
        return await _with_enough_memory(lambda mb: plan_undo(engine.database, data_dir, this, mb))
    if (tried_again := rejected_in(address)) is not None:
        await _let_in_again(engine, this, tried_again)
    async with engine.database.read() as db:
        forgotten = await erasures.forgotten(db, engine.vault)
        refused = await barred.of_connection(db, engine.vault, this.connection_id)
    async with fetched(address, data_dir / keeping.FETCHED / this.id, engine.fetchers) as path:
        here = this.model_copy(update={"request": this.request.model_copy(update={"path": str(path)})})
        return await _with_enough_memory(lambda mb: plan_run(engine.database, data_dir, here, mb, forgotten, refused))


async def _upload(engine: Engine, run_id: str) -> bool:
    """Upload what is left of a run. Returns False where its plan turned out stale."""
    this = await _load(engine, run_id)
    where = (this.connection_id, this.list_id)
    async with engine.database.write() as db:
        await settle(db, *where, run_id)
        state = await lists.get(db, *where)
        connection = await connections.by_id(db, this.connection_id)
        assert state is not None
        assert connection is not None
        if state.revision != this.revision:
            await settle(db, *where, "")
    if state.revision != this.revision:
        data_dir, worker = engine.settings.data_dir, engine.presence.id
        await _with_enough_memory(
            lambda mb: _stoppable(engine, run_id, replan_run(engine.database, data_dir, this, worker, mb))
        )
    async with engine.database.write() as db:
        revision = await lists.bump(db, *where)
        await runs.change(db, run_id, revision=revision)
    async with engine.client(connection, rate=this.rate) as client:
        try:
            await Upload(engine.database, client, this, engine.presence.id, revision, engine.stopping).run()
        except StaleError:
            return False
        except KeyRefusedError:
            async with engine.database.write() as db:
                await connections.refused(db, connection)
            raise
    return True


async def _succeed(engine: Engine, run_id: str) -> None:
    this = await _load(engine, run_id)
    async with engine.database.write() as db:
        if this.counters.missing:
            message = (
                f"The numbers do not add up: {this.counters.missing} members are not accounted for. The list may be "
                "right; run the sync again, and report this with the run's id."
            )
            await runs.set_status(db, run_id, Status.FAILED, error=message, code="not_accounted_for")
            await alerting.run_ended(db, this, Status.FAILED, message, "not_accounted_for")
        else:
            await runs.set_status(db, run_id, Status.SUCCEEDED)
            await alerting.run_ended(db, this, Status.SUCCEEDED, None, None)
    await _bar_refused(engine, this)
    await keeping.clear_old(engine)


async def _bar_refused(engine: Engine, this: Run) -> None:
    """Remember whom Iterable refuses for good: the next run does not send them again as they are."""
    for some in await _refused_for_good(engine, this.id):
        async with engine.database.write() as db:
            await barred.add(db, engine.vault, this.connection_id, some)


async def _let_in_again(engine: Engine, this: Run, rejected_by: str) -> None:
    """Whoever was rejected by a run is tried again: a person has asked for that."""
    for some in await _refused_for_good(engine, rejected_by):
        async with engine.database.write() as db:
            await barred.remove(db, engine.vault, this.connection_id, some)


async def _refused_for_good(engine: Engine, run_id: str) -> list[list[Rejection]]:
    """Whom Iterable refused in a run as people who were forgotten, which is final; in pieces."""
    async with engine.database.read() as db:
        found = [each async for each in rejections.of_run(db, run_id, Failure.FORGOTTEN)]
    return [found[begin : begin + BARRED_A_WRITE] for begin in range(0, len(found), BARRED_A_WRITE)]


async def _earlier(engine: Engine, this: Run) -> list[Run]:
    """Runs of the same mapping that began before this one, sent or would send something, and have not ended."""
    async with engine.database.read() as db:
        found = await runs.unfinished(db, mapping_id=this.mapping_id)
    return [
        run
        for run in found
        if run.created_at < this.created_at
        # an undo that waits is compared once more when it is approved, so it holds up nobody
        and not (run.undo_of is not None and run.status is Status.NEEDS_APPROVAL)
        # what is live waits for no approval of a file, which leaves alone who has changed since
        and not (this.request.live and run.status is Status.NEEDS_APPROVAL)
        and not (run.status is Status.FAILED and run.plan is None)  # nothing of it could be used
    ]


async def _finish_first(engine: Engine, this: Run, earlier: Run) -> None:
    """Finish an earlier run, or wait until whoever is at work on it has, because what comes now only adds to it."""
    if await is_worked_on(engine, earlier):
        await _change(engine, this.id, phase=f"waiting for run {earlier.id}")
        while await is_worked_on(engine, await _load(engine, earlier.id)):
            await _check_stop(engine, this.id)
            await asyncio.sleep(LOOK_AGAIN_S)
        return
    if earlier.status is Status.NEEDS_APPROVAL:
        raise EarlierRunWaitsError(
            f"Run {earlier.id} of the same mapping waits for approval, and what it would do comes first."
        )
    async with engine.database.write() as db:
        if await runs.reopen(db, earlier, engine.presence.id) is None:
            return
    status = await _execute_stoppably(engine, this, earlier.id)
    if status is Status.FAILED and (await _load(engine, earlier.id)).plan is not None:
        error = (await _load(engine, earlier.id)).error
        raise EarlierRunFailedError(
            f"Run {earlier.id} of the same mapping is unfinished, must come first, and failed again: {error}"
        )
    if status is Status.INTERRUPTED:
        raise StoppedError("interrupt")


async def _execute_stoppably(engine: Engine, this: Run, earlier_id: str) -> Status:
    """Execute an earlier run. Where this one is asked to stop meanwhile, both do; the earlier can be resumed."""
    task = asyncio.create_task(execute(engine, earlier_id), name=f"run {earlier_id}")
    try:
        while not (await asyncio.wait([task], timeout=LOOK_AGAIN_S))[0]:
            try:
                await _check_stop(engine, this.id)
            except StoppedError:
                async with engine.database.write() as db:
                    await runs.ask_to_stop(db, earlier_id, "interrupt")
                await task
                raise
        return task.result()
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def is_worked_on(engine: Engine, this: Run) -> bool:
    """Whether a process that is alive has a run in hand."""
    return this.status.is_active and this.worker is not None and not await engine.presence.is_dead(this.worker)


async def _check_mapping(engine: Engine, this: Run) -> None:
    """Raise InputError where the run's mapping must not be synced now."""
    async with engine.database.read() as db:
        target = await mappings.by_id(db, this.mapping_id)
    assert target is not None
    check_state(target)


async def _name_audience(engine: Engine, this: Run) -> None:
    """Record of which audience the mapping is, so that a file of another one is noticed."""
    assert this.plan is not None
    found = (this.plan.audience_id, this.plan.audience_name)
    async with engine.database.write() as db:
        target = await mappings.by_id(db, this.mapping_id)
        assert target is not None
        if None not in (target.audience_id, found[0]) and target.audience_id != found[0]:  # and a person approved it
            await mappings.set_audience(db, target.id, *found)
        else:
            await mappings.name_audience(db, target.id, *found)


@asynccontextmanager
async def _holding(engine: Engine, this: Run) -> AsyncIterator[None]:
    """Hold the run's list for the length of the block: one run at a time for a list, across all processes."""
    where = (this.connection_id, this.list_id)
    while not await _hold(engine, this, where):
        async with engine.database.read() as db:
            state = await lists.get(db, *where)
        assert state is not None
        if state.held_by_worker is not None and await engine.presence.is_dead(state.held_by_worker):
            await engine.presence.bury_dead()
            continue
        if state.held_by_run is not None:
            await _change(engine, this.id, phase=f"waiting for run {state.held_by_run}")
        await _check_stop(engine, this.id)
        await asyncio.sleep(LOOK_AGAIN_S)
    try:
        yield
    finally:
        await _give_back(engine, where)


async def _hold(engine: Engine, this: Run, where: tuple[int, int]) -> bool:
    """Take a list for a run, if nobody has it. Returns whether it is taken now."""
    if where in engine.held:
        return False
    engine.held.add(where)
    try:
        async with engine.database.write() as db:
            if where in engine.not_given_back:
                await lists.let_go(db, *where, engine.presence.id)
            taken = await lists.hold(db, *where, this.id, engine.presence.id)
            if taken:
                await runs.take(db, this.id, engine.presence.id)
    except BaseException:  # and yet it may be taken
        engine.not_given_back.add(where)
        engine.held.discard(where)
        raise
    engine.not_given_back.discard(where)
    if not taken:
        engine.held.discard(where)
    return taken


async def give_back_late(engine: Engine) -> None:
    """Give the lists back that could not be given back when a run had ended: nobody else can have them till then."""
    for where in engine.not_given_back - engine.held:
        engine.held.add(where)
        await _give_back(engine, where)
        engine.not_given_back.discard(where)


async def _give_back(engine: Engine, where: tuple[int, int]) -> None:
    try:
        async with engine.database.write() as db:
            await lists.let_go(db, *where, engine.presence.id)
    except BaseException:
        engine.not_given_back.add(where)
        raise
    finally:
        engine.held.discard(where)


@asynccontextmanager
async def _every_ending_on_record(engine: Engine, run_id: str) -> AsyncIterator[None]:
    """Turn whatever ends the block into a status of the run, with a sentence for a person."""
    try:
        yield
    except StoppedError as stopped:
        if stopped.how == "cancel":
            await _end(engine, run_id, Status.CANCELLED)
        else:
            await _end(engine, run_id, Status.INTERRUPTED, code=PROCESS_DIED if engine.hands_over else None)
    except TakenOverError:
        logger.warning("run %s was taken over by another process", run_id)
    except SyncError as error:
        await _end(engine, run_id, Status.FAILED, error.message, error.code)
    except (DBAPIError, OSError) as error:
        logger.warning("run %s: the database or the disk failed", run_id, exc_info=True)
        await _end(engine, run_id, Status.FAILED, describe(error), "storage")
    except (duckdb.IOException, duckdb.OutOfMemoryException):
        logger.warning("run %s: no room for planning", run_id, exc_info=True)
        message = (
            f"Planning needs more room than {engine.settings.data_dir} has. Free some space there and try again: "
            "nothing has been sent."
        )
        await _end(engine, run_id, Status.FAILED, message, "storage")
    except Exception as error:  # a bug of ours: the person is told, the log has the rest, the run can be resumed
        logger.exception("run %s: unexpected error", run_id)
        message = (
            f"Something unexpected happened ({type(error).__name__}); the log has the details. Try again: it goes on."
        )
        await _end(engine, run_id, Status.FAILED, message, "unexpected")


async def _end(engine: Engine, run_id: str, status: Status, error: str | None = None, code: str | None = None) -> None:
    try:
        async with engine.database.write() as db:
            await runs.set_status(db, run_id, status, error=error, code=code)
            this = await runs.by_id(db, run_id)
            assert this is not None
            await alerting.run_ended(db, this, status, error, code)
    except DBAPIError as failed:
        raise StorageError(describe(failed)) from failed


async def _stoppable(engine: Engine, run_id: str, work: Coroutine[Any, Any, T]) -> T:
    """Do work that takes long, unless the run is asked to stop meanwhile: then raise StoppedError."""
    task = asyncio.create_task(work, name=f"plan {run_id}")
    try:
        while not (await asyncio.wait([task], timeout=LOOK_AGAIN_S))[0]:
            await _check_stop(engine, run_id)
        return await task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _with_enough_memory(plan: Callable[[int], Awaitable[T]]) -> T:
    """Plan within the first of the memory limits that suffices. Raises duckdb.OutOfMemoryException where none does."""
    for memory_mb in MEMORY_MB[:-1]:
        try:
            return await plan(memory_mb)
        except duckdb.OutOfMemoryException:
            logger.info("planning needs more than %s MB of memory", memory_mb)
    return await plan(MEMORY_MB[-1])


async def _check_stop(engine: Engine, run_id: str) -> None:
    stop = (await _load(engine, run_id)).stop
    if stop is not None or engine.stopping.is_set():
        raise StoppedError(stop or "interrupt")


async def _change(engine: Engine, run_id: str, **values: Any) -> None:
    async with engine.database.write() as db:
        await runs.change(db, run_id, **values)


async def _load(engine: Engine, run_id: str) -> Run:
    async with engine.database.read() as db:
        this = await runs.by_id(db, run_id)
    assert this is not None
    return this
