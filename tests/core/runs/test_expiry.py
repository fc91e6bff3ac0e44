"""A run that is not approved in time expires: it sends nothing, and can't be approved later."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from core.errors import ConflictError, InputError
from core.models.run import RunRequest
from core.runs import approval, commands, executor, undo, worker
from core.runs.approval import Decision
from core.settings import Settings
from core.store import audit_log, mappings, runs
from core.store.audit_log import AuditAction
from core.store.mappings import MappingStatus
from tests.core.harness import RunStatus, Sync, decide, people, person

DAY_S = 86_400.0


async def run_until_approval(sync: Sync, *, days: float) -> str:
    """A run that has needed approval for this many days."""
    await sync.mirror(people(range(3)))
    run_id = (await sync.mirror([])).run.id
    async with sync.engine.database.write() as db:
        await db.execute(
            text("UPDATE runs SET finished_at = finished_at - :wait WHERE id = :id"),
            {"wait": days * DAY_S, "id": run_id},
        )
    return run_id


async def test_expires_after_three_days(sync: Sync) -> None:
    """A run expires after 3 days, with an audit entry; it is neither declined nor cancelled."""
    run_id = await run_until_approval(sync, days=3.01)
    assert await approval.expire_waiting(sync.engine) == 1
    run = (await sync.outcome(run_id)).run
    assert run.status is RunStatus.EXPIRED
    assert run.status.value == "expired"
    assert "within 3 days" in (run.error or "")
    async with sync.engine.database.read() as db:
        entries = await audit_log.of(db, [f"run:{run_id}"])
    assert [each.action for each in entries] == [AuditAction.RUN_STARTED, AuditAction.RUN_EXPIRED]
    with pytest.raises(InputError, match="has ended"):
        await worker.resume(sync.engine, run_id)
    assert len(sync.emails()) == 3


async def test_waits_for_three_days(sync: Sync) -> None:
    """A run does not expire before 3 days."""
    await run_until_approval(sync, days=2.9)
    assert await approval.expire_waiting(sync.engine) == 0


async def test_time_until_expiry_is_a_setting(sync: Sync) -> None:
    """The time until expiry is a setting, in seconds; its default is 3 days."""
    assert Settings.model_fields["approval_expiry_s"].default == 3 * DAY_S
    run_id = await run_until_approval(sync, days=0.5)
    sync.engine.settings = sync.engine.settings.model_copy(update={"approval_expiry_s": 0.25 * DAY_S})
    assert await approval.expire_waiting(sync.engine) == 1
    assert "within 6 hours" in ((await sync.outcome(run_id)).run.error or "")


async def test_late_approval_without_a_worker(sync: Sync) -> None:
    """A late approval is refused even if no worker has expired the run yet."""
    run_id = await run_until_approval(sync, days=4)
    assert await decide(sync.engine, run_id) is Decision.EXPIRED
    assert (await sync.outcome(run_id)).run.status is RunStatus.EXPIRED


async def test_expiry_and_approval_at_once(sync: Sync) -> None:
    """An approval at the moment of the expiry is refused."""
    run_id = await run_until_approval(sync, days=4)
    decision, _ = await asyncio.gather(decide(sync.engine, run_id), approval.expire_waiting(sync.engine))
    assert decision in (Decision.EXPIRED, Decision.TOO_LATE)
    assert (await sync.outcome(run_id)).run.status is RunStatus.EXPIRED


async def test_every_way_to_start_respects_a_pause(sync: Sync) -> None:
    """Every way to start work of a paused mapping is refused with the same error."""
    finished = (await sync.mirror([*people(range(3)), person(9, email=None)])).run
    failed = await sync.submit(sync.directory / "nowhere.csv")
    await worker.start(sync.engine, failed)
    async with sync.engine.database.write() as db:
        await mappings.change(db, finished.mapping_id, status=MappingStatus.PAUSED)
        mapping = await mappings.by_id(db, finished.mapping_id)
    assert mapping is not None
    request = RunRequest(path="a.csv")
    actor: dict[str, Any] = {"by": "U1", "team_id": None}
    attempts = [
        sync.submit(sync.mirror_file(people(range(2)))),
        commands.start(sync.engine, mapping, request, channel=None, **actor),
        commands.repeat(sync.engine, finished.id, channel=None, **actor),
        commands.retry(sync.engine, failed, **actor),
        commands.retry_rejected(sync.engine, finished.id, channel=None, **actor),
        worker.resume(sync.engine, failed),
        undo.undo(sync.engine, finished.id, by="U1", channel=None, team_id=None),
    ]
    for attempt in attempts:
        with pytest.raises(ConflictError, match="is paused, so nothing is sent"):
            await attempt


async def test_partial_run_of_a_paused_mapping_sends_nothing(sync: Sync) -> None:
    """A run that has sent a part sends no more while its mapping is paused."""
    await sync.mirror(people(range(150)))
    run = (await sync.mirror(people(range(10)))).run
    assert await decide(sync.engine, run.id) is Decision.RECORDED
    async with sync.engine.database.write() as db:
        await mappings.change(db, run.mapping_id, status=MappingStatus.PAUSED)
        await runs.change(db, run.id, requests=5)  # as if it had begun
    assert await executor.execute(sync.engine, run.id) is RunStatus.FAILED
    assert "is paused" in ((await sync.outcome(run.id)).run.error or "")
    assert len(sync.emails()) == 150
