"""Carrying what the inbox has for a mapping to its list: beginning a run, executing it, adding it to its day."""

import logging
import time

from sqlalchemy.ext.asyncio import AsyncConnection

from core import alerting
from core.engine import Engine
from core.models.run import Run, RunPlan, RunRequest, RunStatus, SyncMode
from core.runs import executor
from core.store import connections, inbox, live_mappings, runs
from core.store.inbox import DeliveryFilter
from core.store.mappings import NO_LIST, AudienceMapping, MappingStatus, RemovalPolicy

logger = logging.getLogger(__name__)

# Members that a run carries at most, so that it does not keep its list from others for long, and how many of them are
# marked in one transaction, so that new changes need not wait for long.
MOST_MEMBERS = 5_000
MARKED_AT_ONCE = 500
# How a run that is the sum of a day says what it is made of.
SHAPE = "live"


async def create_micro_batch(engine: Engine, mapping: AudienceMapping) -> str | None:
    """Store a run that carries what waits for a mapping. Returns its id; None where there is nothing to carry, or
    another run of the mapping has not ended.
    """
    run_id = runs.new_id()
    async with engine.database.write() as db:
        now = await live_mappings.lock(db, mapping.id)
        if now is None or not can_deliver(now) or await live_mappings.unended(db, mapping.id):
            return None
        connection = await connections.by_id(db, now.connection_id)
        assert connection is not None
        claimed = await inbox.claim(db, now.id, run_id, MARKED_AT_ONCE, delivery_filter(now))
        if not claimed:
            return None
        request = RunRequest(path="", live=True, mode=SyncMode.DELTA, approved=True, allow_empty=True)
        await runs.add(
            db,
            run_id=run_id,
            mapping=now,
            mode=SyncMode.DELTA.value,
            user_id_field=connection.user_id_field.value,
            rate=connection.requests_per_second,
            request=request,
            worker_id=engine.presence.id,
        )
        await runs.change(db, run_id, is_live=True)
    while (
        claimed % MARKED_AT_ONCE == 0
        and claimed < MOST_MEMBERS
        and (more := await _claim_more(engine, mapping, run_id))
    ):
        claimed += more
    return run_id


async def _claim_more(engine: Engine, mapping: AudienceMapping, run_id: str) -> int:
    async with engine.database.write() as db:
        now = await live_mappings.lock(db, mapping.id)
        if now is None or not can_deliver(now):
            return 0
        return await inbox.claim(db, now.id, run_id, MARKED_AT_ONCE, delivery_filter(now))


async def execute(engine: Engine, run_id: str) -> RunStatus:
    """Execute a run, and see to what follows from how it ended."""
    status = await executor.execute(engine, run_id)
    await finalize(engine, run_id)
    return status


async def finalize(engine: Engine, run_id: str) -> None:
    """Do what follows from the ending of a run. May be called again, and by any process."""
    async with engine.database.read() as db:
        ended = await runs.by_id(db, run_id)
    if ended is not None and ended.is_live and ended.status is RunStatus.SUCCEEDED:
        while await _mark_done(engine, ended.mapping_id, run_id):
            pass
    async with engine.database.write() as db:
        this = await runs.by_id(db, run_id)
        if this is None or not this.is_live or await live_mappings.lock(db, this.mapping_id) is None:
            return
        this = await runs.by_id(db, run_id)  # as it is now that nobody else can end it
        if this is None or not this.is_live:
            return
        if this.status is RunStatus.SUCCEEDED:
            await _merge_into_daily_run(db, this)
        elif this.status is RunStatus.CANCELLED:  # whoever did that, what it carried still has to be done
            await inbox.unclaim(db, this.id)
            await runs.change(db, this.id, is_live=False)
        elif this.status is RunStatus.FAILED:
            await alerting.run_failed(db, this, this.error_code, this.error)


async def _mark_done(engine: Engine, mapping_id: int, run_id: str) -> bool:
    """Note of some of what a run carried that it is on record, which nothing changes any more; is there more of it?"""
    async with engine.database.write() as db:
        return await inbox.mark_delivered(db, mapping_id, run_id, MARKED_AT_ONCE)


async def abandon(engine: Engine, this: Run) -> None:
    """Cancel a run that stopped: what it carried waits for the next one."""
    async with engine.database.write() as db:
        if this.status is not RunStatus.SUCCEEDED and await runs.reopen(db, this, engine.presence.id) is not None:
            await runs.set_status(db, this.id, RunStatus.CANCELLED)
    await finalize(engine, this.id)


def can_deliver(mapping: AudienceMapping) -> bool:
    """Whether what waits for a mapping may be uploaded: somebody approved it, and it is not paused.

    Where its members are to be taken off, that has to be in the inbox first, and what waited is to be dropped.
    """
    is_active = mapping.is_live and mapping.status is MappingStatus.ACTIVE and mapping.list_id != NO_LIST
    return is_active and mapping.bulk_removal_cursor is None


def delivery_filter(mapping: AudienceMapping) -> DeliveryFilter:
    """Which changes of a mapping may be uploaded: where removals ask, those that a person has approved."""
    return DeliveryFilter(mapping.removal_policy is not RemovalPolicy.ASK, mapping.approved_until)


async def _merge_into_daily_run(db: AsyncConnection, this: Run) -> None:
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
        user_id_field=this.user_id_field.value,
        rate=this.rate,
        request=this.request,
    )
    plan = RunPlan(shape=SHAPE, audience_id=mapping.audience_id, audience_name=mapping.audience_name)
    await runs.change(
        db,
        sum_id,
        status=RunStatus.SUCCEEDED,
        started_at=this.started_at,
        finished_at=this.finished_at,
        plan=plan.model_dump_json(),
    )
    return sum_id
