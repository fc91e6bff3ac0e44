"""Carrying what the inbox has for a mapping to its list: beginning a run, executing it, adding it to its day."""

import logging
import time

from sqlalchemy.ext.asyncio import AsyncConnection

from core import alerting
from core.engine import Engine
from core.iterable import KeyRefusedError
from core.models.run import Mode, Plan, Request, Run, Status
from core.runs import executor
from core.store import connections, inbox, live_mappings, runs
from core.store.inbox import Allowed
from core.store.mappings import NO_LIST, Mapping, Removals, State

logger = logging.getLogger(__name__)

# Members that a run carries at most, so that it does not keep its list from others for long, and how many of them are
# marked in one transaction, so that new changes need not wait for long.
MOST_MEMBERS = 5_000
MARKED_AT_ONCE = 500
# How a run that is the sum of a day says what it is made of.
SHAPE = "live"


async def begin(engine: Engine, mapping: Mapping) -> str | None:
    """Store a run that carries what waits for a mapping. Returns its id; None where there is nothing to carry, or
    another run of the mapping has not ended.
    """
    run_id = runs.new_id()
    async with engine.database.write() as db:
        now = await live_mappings.lock(db, mapping.id)
        if now is None or not is_open(now) or await live_mappings.unended(db, mapping.id):
            return None
        connection = await connections.by_id(db, now.connection_id)
        assert connection is not None
        claimed = await inbox.claim(db, now.id, run_id, MARKED_AT_ONCE, allowed(now))
        if not claimed:
            return None
        request = Request(path="", live=True, mode=Mode.DELTA, approved=True, allow_empty=True)
        await runs.add(
            db,
            run_id=run_id,
            mapping=now,
            mode=Mode.DELTA.value,
            user_id=connection.user_id.value,
            rate=connection.rate,
            request=request,
            worker=engine.presence.id,
        )
        await runs.change(db, run_id, live=True)
    while (
        claimed % MARKED_AT_ONCE == 0
        and claimed < MOST_MEMBERS
        and (more := await _claim_more(engine, mapping, run_id))
    ):
        claimed += more
    return run_id


async def _claim_more(engine: Engine, mapping: Mapping, run_id: str) -> int:
    async with engine.database.write() as db:
        now = await live_mappings.lock(db, mapping.id)
        if now is None or not is_open(now):
            return 0
        return await inbox.claim(db, now.id, run_id, MARKED_AT_ONCE, allowed(now))


async def execute(engine: Engine, run_id: str) -> Status:
    """Execute a run, and see to what follows from how it ended."""
    status = await executor.execute(engine, run_id)
    await end(engine, run_id)
    return status


async def end(engine: Engine, run_id: str) -> None:
    """Do what follows from the ending of a run. May be called again, and by any process."""
    async with engine.database.read() as db:
        ended = await runs.by_id(db, run_id)
    if ended is not None and ended.live and ended.status is Status.SUCCEEDED:
        while await _mark_done(engine, ended.mapping_id, run_id):
            pass
    async with engine.database.write() as db:
        this = await runs.by_id(db, run_id)
        if this is None or not this.live or await live_mappings.lock(db, this.mapping_id) is None:
            return
        this = await runs.by_id(db, run_id)  # as it is now that nobody else can end it
        if this is None or not this.live:
            return
        if this.status is Status.SUCCEEDED:
            await _add_to_day(db, this)
        elif this.status is Status.CANCELLED:  # whoever did that, what it carried still has to be done
            await inbox.let_go(db, this.id)
            await runs.change(db, this.id, live=False)
        elif this.status is Status.FAILED:
            whole = this.error_code == KeyRefusedError.code  # it concerns every mapping alike, and once is enough
            await alerting.failed(
                db,
                connection_id=this.connection_id,
                mapping_id=None if whole else this.mapping_id,
                run_id=this.id,
                code=this.error_code or "error",
                message=this.error or "The run failed.",
            )


async def _mark_done(engine: Engine, mapping_id: int, run_id: str) -> bool:
    """Note of some of what a run carried that it is on record, which nothing changes any more; is there more of it?"""
    async with engine.database.write() as db:
        return await inbox.done(db, mapping_id, run_id, MARKED_AT_ONCE)


async def give_up(engine: Engine, this: Run) -> None:
    """Cancel a run that stopped: what it carried waits for the next one."""
    async with engine.database.write() as db:
        if this.status is not Status.SUCCEEDED and await runs.reopen(db, this, engine.presence.id) is not None:
            await runs.set_status(db, this.id, Status.CANCELLED)
    await end(engine, this.id)


def is_open(mapping: Mapping) -> bool:
    """Whether what waits for a mapping may be uploaded: somebody approved it, and it is not paused.

    Where its members are to be taken off, that has to be in the inbox first, and what waited is to be dropped.
    """
    is_active = mapping.live and mapping.state is State.ACTIVE and mapping.list_id != NO_LIST
    return is_active and mapping.emptied_to is None


def allowed(mapping: Mapping) -> Allowed:
    """Which changes of a mapping may be uploaded: where removals ask, those that a person has approved."""
    return Allowed(mapping.removals is not Removals.ASK, mapping.approved_until)


async def _add_to_day(db: AsyncConnection, this: Run) -> None:
    day = live_mappings.day_of(this.finished_at or time.time())
    sum_id = await live_mappings.run_of_day(db, this.mapping_id, day)
    if sum_id is None:
        sum_id = await _new_sum(db, this)
        await live_mappings.set_day(db, this.mapping_id, day, run_id=sum_id)
    await alerting.run_succeeded(db, this)
    if this.counters.added + this.counters.updated + this.counters.removed:
        await live_mappings.set_day(db, this.mapping_id, day, last_accepted_at=this.finished_at)
    await live_mappings.add_to(db, this, sum_id)


async def _new_sum(db: AsyncConnection, this: Run) -> str:
    mapping = await live_mappings.lock(db, this.mapping_id)
    assert mapping is not None
    sum_id = runs.new_id()
    await runs.add(
        db,
        run_id=sum_id,
        mapping=mapping,
        mode=this.mode.value,
        user_id=this.user_id.value,
        rate=this.rate,
        request=this.request,
    )
    plan = Plan(shape=SHAPE, audience_id=mapping.audience_id, audience_name=mapping.audience_name)
    await runs.change(
        db,
        sum_id,
        status=Status.SUCCEEDED.value,
        started_at=this.started_at,
        finished_at=this.finished_at,
        plan=plan.model_dump_json(),
    )
    return sum_id
