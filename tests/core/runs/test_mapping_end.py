"""Mappings that end: archived and restored, forgotten, or deleted after everyone was taken off the list."""

import time
from typing import Any

import pytest

from core.connections import mapping_end, mapping_settings
from core.errors import ConflictError, InputError
from core.models.run import GuardName, RunStatus
from core.runs import worker
from core.runs.mapping_deletion import request_emptying
from core.runs.undo import undo
from core.store import audit_log, ledger, mappings
from core.store.audit_log import AuditAction
from core.store.mappings import AudienceMapping, MappingStatus
from tests.core.harness import LIST, Outcome, Sync, addresses, people

DAY_S = 24 * 3600.0
ASKED: dict[str, Any] = {"by": "U1", "team_id": None}


async def mapping_of(sync: Sync, mapping_id: int) -> AudienceMapping | None:
    """Return a mapping as it is stored now."""
    async with sync.engine.database.read() as db:
        return await mappings.by_id(db, mapping_id)


async def actions_of(sync: Sync, mapping_id: int) -> list[AuditAction]:
    """Return the audited actions on a mapping, oldest first."""
    async with sync.engine.database.read() as db:
        entries = await audit_log.of(db, [f"mapping:{mapping_id}"])
    return [entry.action for entry in sorted(entries, key=lambda entry: entry.id)]


async def empty(sync: Sync, mapping_id: int) -> Outcome:
    """Ask to take everyone off the list of a mapping, and plan that."""
    run_id = await request_emptying(sync.engine, mapping_id, channel="C1", **ASKED)
    assert await request_emptying(sync.engine, mapping_id, channel="C1", **ASKED) == run_id
    await worker.start(sync.engine, run_id)
    return await sync.outcome(run_id)


async def test_everyone_is_taken_off_first(sync: Sync) -> None:
    """After approval everyone leaves who is not there because of another mapping; an undo brings them back; later the
    mapping is deleted."""
    first = await sync.mirror(people(range(10)), audience="A")
    await sync.mirror(people(range(5, 12)), audience="B")
    mapping_id = first.run.mapping_id
    waiting = await empty(sync, mapping_id)
    assert waiting.run.status is RunStatus.NEEDS_APPROVAL
    assert waiting.run.plan is not None
    assert [guard.name for guard in waiting.run.plan.guards] == [GuardName.EMPTYING]
    # it is compared again when it is approved, so a sync in between counts
    assert (await sync.mirror(people(range(9)), audience="A")).run.status is RunStatus.SUCCEEDED
    assert (await sync.outcome(waiting.run.id)).run.status is RunStatus.NEEDS_APPROVAL
    done = await sync.approve(waiting.run.id)
    if done.run.status is RunStatus.NEEDS_APPROVAL:  # the plan changed
        done = await sync.approve(waiting.run.id)
    assert done.run.status is RunStatus.SUCCEEDED, done.run.error
    assert done.counts == {"left": 9, "removed": 5, "duplicates": 4}
    assert sync.emails() == addresses(range(5, 12))
    ended = await mapping_of(sync, mapping_id)
    assert ended is not None
    assert ended.status is MappingStatus.ARCHIVED
    assert ended.delete_at == pytest.approx(time.time() + 30 * DAY_S, abs=60)
    with pytest.raises(ConflictError, match="is archived"):
        await sync.submit(sync.mirror_file(people(range(3)), "A"), audience="A")

    await mapping_end.restore(sync.engine, mapping_id, **ASKED)
    undo_id = await undo(sync.engine, done.run.id, channel=None, **ASKED)
    await worker.start(sync.engine, undo_id)
    await sync.approve(undo_id)
    assert sync.emails() == addresses(range(12))

    again = await empty(sync, mapping_id)
    assert (await sync.approve(again.run.id)).run.status is RunStatus.SUCCEEDED
    await mapping_end.delete_due(sync.engine)
    assert await mapping_of(sync, mapping_id) is not None
    async with sync.engine.database.write() as db:
        await mappings.change(db, mapping_id, delete_at=time.time() - 60)
    await mapping_end.delete_due(sync.engine)
    assert await mapping_of(sync, mapping_id) is None
    assert sync.emails() == addresses(range(5, 12))
    assert await actions_of(sync, mapping_id) == [
        AuditAction.MAPPING_PROPOSED,
        AuditAction.MAPPING_DELETION_ASKED,
        AuditAction.MAPPING_ARCHIVED,
        AuditAction.MAPPING_RESTORED,
        AuditAction.MAPPING_DELETION_ASKED,
        AuditAction.MAPPING_ARCHIVED,
        AuditAction.MAPPING_REMOVED,
    ]


@pytest.mark.extended
async def test_run_that_is_under_way_when_everyone_was_taken_off(sync: Sync) -> None:
    """It adds no one to the list, and does not keep the mapping from its end."""
    done = await sync.mirror(people(range(3)))
    waiting = await empty(sync, done.run.mapping_id)
    other = await sync.submit(sync.mirror_file(people(range(5))))
    assert (await sync.approve(waiting.run.id)).run.status is RunStatus.SUCCEEDED
    await worker.start(sync.engine, other)
    assert (await sync.outcome(other)).run.status in (RunStatus.FAILED, RunStatus.CANCELLED)
    ended = await mapping_of(sync, done.run.mapping_id)
    assert ended is not None
    assert ended.status is MappingStatus.ARCHIVED
    assert sync.emails() == set()


async def test_paused_mapping_is_emptied(sync: Sync) -> None:
    """Everyone can be taken off the list of a paused mapping; with no one on it, there is nothing to take off."""
    done = await sync.mirror(people(range(3)))
    mapping_id = done.run.mapping_id
    async with sync.engine.database.write() as db:
        await mappings.change(db, mapping_id, status=MappingStatus.PAUSED)
    assert (await sync.approve((await empty(sync, mapping_id)).run.id)).counts == {"left": 3, "removed": 3}
    assert sync.emails() == set()
    with pytest.raises(ConflictError, match="No one is on list"):
        await request_emptying(sync.engine, mapping_id, channel=None, **ASKED)


async def test_archived_mapping_keeps_its_record(sync: Sync) -> None:
    """Archiving cancels what waits, and keeps list and ledger. A restored mapping needs approval again."""
    done = await sync.mirror(people(range(200)))
    mapping_id = done.run.mapping_id
    waiting = await sync.mirror(people(range(20)))
    assert waiting.run.status is RunStatus.NEEDS_APPROVAL
    await mapping_end.archive(sync.engine, mapping_id, **ASKED)
    assert (await sync.outcome(waiting.run.id)).run.status is RunStatus.CANCELLED
    with pytest.raises(ConflictError, match="archived already"):
        await mapping_end.archive(sync.engine, mapping_id, **ASKED)
    with pytest.raises(ConflictError, match="is archived"):
        await mapping_settings.edit(sync.engine, mapping_id, name="VIPs", **ASKED)
    async with sync.engine.database.read() as db:
        assert await ledger.size(db, mapping_id) == 200
    await mapping_end.restore(sync.engine, mapping_id, **ASKED)
    with pytest.raises(ConflictError, match="not archived"):
        await mapping_end.restore(sync.engine, mapping_id, **ASKED)
    again = await sync.mirror(people(range(200)))
    assert again.run.plan is not None
    assert [guard.name for guard in again.run.plan.guards] == [GuardName.NEW_MAPPING]


async def test_forgotten_mapping_leaves_the_list(sync: Sync) -> None:
    """A forgotten mapping is gone with its record, and the people stay on the list."""
    done = await sync.mirror(people(range(4)))
    summary = await mapping_end.forget(sync.engine, done.run.mapping_id, **ASKED)
    assert (summary.members, summary.mapping.list_id) == (4, LIST)
    assert sync.emails() == addresses(range(4))
    assert await mapping_of(sync, done.run.mapping_id) is None
    for act in (mapping_end.archive, mapping_end.restore, mapping_end.forget):
        with pytest.raises(InputError, match="There is no mapping"):
            await act(sync.engine, done.run.mapping_id, **ASKED)


@pytest.mark.extended
async def test_settings_are_edited_with_one_audit_entry(sync: Sync) -> None:
    """What changes is stored and audited once; the limit of removals decides which sync waits."""
    done = await sync.mirror(people(range(200)))
    mapping_id = done.run.mapping_id
    edited = await mapping_settings.edit(sync.engine, mapping_id, name=" VIPs ", max_removed_share=0.6, **ASKED)
    assert (edited.label, edited.max_removed_share) == ("VIPs", 0.6)
    await mapping_settings.edit(sync.engine, mapping_id, name="VIPs", **ASKED)
    async with sync.engine.database.read() as db:
        entries = await audit_log.of(db, [f"mapping:{mapping_id}"])
    (entry,) = [each for each in entries if each.action is AuditAction.MAPPING_CHANGED]
    assert entry.after == {"name": "VIPs", "max_removed_share": 0.6}
    assert (await sync.mirror(people(range(110)))).run.status is RunStatus.SUCCEEDED
    await mapping_settings.edit(sync.engine, mapping_id, max_removed_share=0.0, **ASKED)
    assert (await sync.mirror(people(range(109)))).run.status is RunStatus.NEEDS_APPROVAL
    wrong_ones: list[dict[str, Any]] = [{"name": " "}, {"max_removed_share": 1.5}, {"max_added": -1}]
    for wrong in wrong_ones:
        with pytest.raises(InputError):
            await mapping_settings.edit(sync.engine, mapping_id, **wrong, **ASKED)
