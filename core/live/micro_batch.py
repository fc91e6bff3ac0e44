"""Micro-batches: creating a run from inbox changes, executing it, and adding its numbers to the daily run."""

import logging
from collections.abc import Sequence
from operator import attrgetter

from sqlalchemy.ext.asyncio import AsyncConnection

from core import alerting
from core.engine import Engine
from core.models.run import Run, RunPlan, RunRequest, RunStatus, SyncMode
from core.runs import executor
from core.store import clock, connections, freezes, inbox, live_mappings, runs
from core.store.inbox import DeliveryFilter
from core.store.live_rounds import WaitingChange
from core.store.mappings import NO_LIST, AudienceMapping, FreezeHolds, MappingStatus, RemovalPolicy

logger = logging.getLogger(__name__)

# The maximum of members of one run, so that it does not hold the list lock for long, and of members claimed in one
# transaction, so that the intake can write in between.
MOST_MEMBERS = 5_000
MARKED_AT_ONCE = 500
# The source shape of daily runs.
SHAPE = "live"
#: The request of each run. A person approved it with the mapping.
REQUEST = RunRequest(path="", live=True, mode=SyncMode.DELTA, approved=True, allow_empty=True)

_MEMBER_KEY = attrgetter("member_key")


async def create_micro_batch(engine: Engine, mapping: AudienceMapping) -> str | None:
    """Create a run that delivers the pending changes of a mapping, and return its id.

    Returns None if no change is pending or another live run of the mapping has not ended.
    """
    run_id = runs.new_id()
    async with engine.database.write() as db:
        current = await live_mappings.lock(db, mapping.id)
        if current is None or not can_deliver(current) or await live_mappings.unended(db, mapping.id):
            return None
        connection = await connections.by_id(db, current.connection_id)
        assert connection is not None
        claimed = await inbox.claim(db, current.id, run_id, MARKED_AT_ONCE, await _filter(engine, db, current))
        if not claimed:
            return None
        await runs.add(
            db,
            run_id=run_id,
            mapping=current,
            mode=SyncMode.DELTA.value,
            user_id_field=connection.user_id_field.value,
            rate=connection.requests_per_second,
            request=REQUEST,
            worker_id=engine.presence.id,
            is_live=True,
        )
    while (
        claimed % MARKED_AT_ONCE == 0
        and claimed < MOST_MEMBERS
        and (more := await _claim_more(engine, mapping, run_id))
    ):
        claimed += more
    return run_id


async def _claim_more(engine: Engine, mapping: AudienceMapping, run_id: str) -> int:
    async with engine.database.write() as db:
        current = await live_mappings.lock(db, mapping.id)
        if current is None or not can_deliver(current):
            return 0
        return await inbox.claim(db, current.id, run_id, MARKED_AT_ONCE, await _filter(engine, db, current))


async def _filter(engine: Engine, db: AsyncConnection, mapping: AudienceMapping) -> DeliveryFilter:
    freeze = await freezes.of_mapping(db, mapping.id)
    frozen = None if freeze is None else freeze.holds
    return delivery_filter(mapping, await clock.now(db), engine.settings.firehose_merge_window_s, frozen)


async def execute(engine: Engine, run_id: str) -> RunStatus:
    """Execute a run, finalize it, and return its status."""
    status = await executor.execute(engine, run_id)
    await finalize(engine, run_id)
    return status


async def finalize(engine: Engine, run_id: str) -> None:
    """Update the inbox, the daily run and the alerts after a run has ended. Idempotent; any process may call it."""
    while not await _finalize_next(engine, run_id):
        pass


async def _finalize_next(engine: Engine, run_id: str) -> bool:
    """Mark the next changes of a succeeded run as delivered, or else finalize the run. Returns whether it is final."""
    async with engine.database.write() as db:
        mapping = await live_mappings.lock_of_run(db, run_id)
        run = await runs.by_id(db, run_id)  # under the lock: no other process can finalize it now
        if mapping is None or run is None or not run.is_live:
            return True
        if run.status is RunStatus.SUCCEEDED:
            if await inbox.mark_delivered(db, run.mapping_id, run_id, MARKED_AT_ONCE):
                return False
            await _merge_into_daily_run(db, run, mapping)
        elif run.status is RunStatus.CANCELLED:  # its changes still have to be delivered
            await inbox.unclaim(db, run.id)
            await runs.change(db, run.id, is_live=False)
        elif run.status is RunStatus.FAILED:
            await alerting.run_failed(db, run, run.error_code, run.error)
    return True


async def abandon(engine: Engine, run: Run) -> None:
    """Cancel a stopped run. The next run delivers its changes."""
    async with engine.database.write() as db:
        if run.status is not RunStatus.SUCCEEDED and await runs.reopen(db, run, engine.presence.id) is not None:
            await runs.set_status(db, run.id, RunStatus.CANCELLED)
    await finalize(engine, run.id)


def can_deliver(mapping: AudienceMapping) -> bool:
    """Return whether the pending changes of a mapping may be delivered: it is approved and not paused.

    False during a bulk removal, until all removals are in the inbox.
    """
    is_active = mapping.is_live and mapping.status is MappingStatus.ACTIVE and mapping.list_id != NO_LIST
    return is_active and mapping.bulk_removal_cursor is None


def delivery_filter(
    mapping: AudienceMapping, now: float, merge_window_s: float, frozen: FreezeHolds | None = None
) -> DeliveryFilter:
    """Return the filter for a mapping's changes: with RemovalPolicy.ASK, only approved removals are delivered.

    Changes of the kind `frozen` are not. `now` is in UTC seconds by the database's clock.

    A removal waits for so many seconds. When mParticle merges two profiles, one leaves and the other joins, and both
    are one person: taken off the list and put back, the person would start journeys again. If the other one joins
    meanwhile, both are delivered together. In a bulk removal no one joins, so nothing waits. A removal from further in
    the future does not wait either: the database's clock was set back. (One that arrives after `now` was read is not.)
    """
    removals = mapping.removal_policy is not RemovalPolicy.ASK
    if not merge_window_s or mapping.disconnected_at is not None:
        return DeliveryFilter(removals, mapping.removals_approved_until, frozen=frozen)
    window = (now - merge_window_s, now + merge_window_s)
    return DeliveryFilter(removals, mapping.removals_approved_until, *window, frozen)


def deliverable(changes: Sequence[WaitingChange], allowed: DeliveryFilter) -> list[WaitingChange]:
    """Return the changes of a mapping that may be delivered, in the order of their keys. They are all that wait.

    It is the rule of `core.store.inbox.claim`, for changes in memory. Removals that need an approval are left out.
    """
    joiners = [each for each in changes if each.is_member]
    if len(joiners) == len(changes) and allowed.frozen is None:
        return sorted(changes, key=_MEMBER_KEY)
    emails = {each.email.lower() for each in joiners if each.email is not None}
    customer_ids = {each.customer_id for each in joiners if each.customer_id is not None}

    def joins_as_another(each: WaitingChange) -> bool:
        return (each.email is not None and each.email.lower() in emails) or each.customer_id in customer_ids

    def is_ready(each: WaitingChange) -> bool:
        if allowed.frozen is FreezeHolds.BOTH:
            return False
        if each.is_member:
            return allowed.frozen is not FreezeHolds.ADDITIONS
        if allowed.frozen is FreezeHolds.REMOVALS:
            return False
        if allowed.frozen is FreezeHolds.ADDITIONS and joins_as_another(each):
            return False
        is_over = allowed.held_after is None or not allowed.held_after < each.pending_since <= allowed.held_until
        return is_over or joins_as_another(each)

    return sorted((each for each in changes if is_ready(each)), key=_MEMBER_KEY)


async def _merge_into_daily_run(db: AsyncConnection, run: Run, mapping: AudienceMapping) -> None:
    day = await live_mappings.day_now(db, run.mapping_id, run.finished_at or await clock.now(db))
    daily_run_id = await live_mappings.run_of_day(db, run.mapping_id, day)
    if daily_run_id is None:
        daily_run_id = runs.new_id()
        await add_daily_run(db, daily_run_id, run, mapping)
        await live_mappings.set_day(db, run.mapping_id, day, run_id=daily_run_id)
    await alerting.runs_succeeded(db, [run])
    if run.counters.added + run.counters.updated + run.counters.removed:
        await live_mappings.set_day(db, run.mapping_id, day, last_accepted_at=run.finished_at)
    await live_mappings.add_to(db, run, daily_run_id)


async def add_daily_run(db: AsyncConnection, daily_run_id: str, run: Run, mapping: AudienceMapping) -> None:
    """Store the daily run of the day on which `run` has ended, with no numbers yet."""
    await runs.add(
        db,
        run_id=daily_run_id,
        mapping=mapping,
        mode=run.mode.value,
        user_id_field=run.user_id_field.value,
        rate=run.rate,
        request=run.request,
    )
    plan = RunPlan(shape=SHAPE, audience_id=mapping.audience_id, audience_name=mapping.audience_name)
    await runs.change(
        db,
        daily_run_id,
        status=RunStatus.SUCCEEDED,
        started_at=run.started_at,
        finished_at=run.finished_at,
        plan=plan.model_dump_json(),
    )
