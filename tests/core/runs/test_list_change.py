"""Another list for a mapping: a new mapping takes the place of the former one once it is approved."""

from typing import Any

import pytest

from core.automation import schedules as schedule_commands
from core.automation import sources
from core.automation.schedules import ScheduleOptions
from core.automation.sources import SourceOptions
from core.connections import mapping_lifecycle, mapping_settings
from core.errors import ConflictError, NotFoundError
from core.iterable import IterableList
from core.models.run import RunStatus
from core.runs.mapping_deletion import change_list
from core.store import audit_log, file_sources, ledger, mappings, schedules
from core.store.audit_log import AuditAction
from core.store.mappings import AudienceMapping, MappingStatus
from core.store.schedules import Trigger
from tests.core.harness import LIST, Sync, addresses, people

ASKED: dict[str, Any] = {"by": "U1", "team_id": None, "channel": None}


async def mapping_of(sync: Sync, mapping_id: int) -> AudienceMapping:
    """Return a mapping as it is stored now."""
    async with sync.engine.database.read() as db:
        mapping = await mappings.by_id(db, mapping_id)
    assert mapping is not None
    return mapping


def new_list(sync: Sync) -> IterableList:
    """Create a list in the local Iterable."""
    made = sync.iterable.state.add_list("Other")
    return IterableList(made.id, made.name, "Standard", created_at=made.created_at)


async def test_new_list_takes_the_place(sync: Sync) -> None:
    """The first sync shows what the list will have; its approval moves source and schedules, and archives the former
    mapping, whose people stay on their list."""
    first = (await sync.mirror(people(range(3)), audience="A")).run.mapping_id
    await mapping_settings.edit(sync.engine, first, by="U1", team_id=None, name="Gold", approvers=("U1",))
    former = await mapping_of(sync, first)
    options = SourceOptions(str(sync.directory))
    await sources.set_source(sync.engine, former, options, by="U1", team_id=None, allowed=None)
    await schedule_commands.add(
        sync.engine, former, ScheduleOptions(Trigger.CRON, cron="0 1 * * *", name="Nightly"), by="U1", team_id=None
    )
    target = new_list(sync)
    successor, run_id = await change_list(sync.engine, first, target, empties=False, **ASKED)
    assert run_id is None
    assert (successor.status, successor.replaces, successor.name, successor.approvers) == (
        MappingStatus.PROPOSED,
        first,
        "Gold",
        ("U1",),
    )
    with pytest.raises(ConflictError):
        await change_list(sync.engine, first, target, empties=False, **ASKED)
    assert (await sync.mirror(people(range(3)), audience="A")).run.status is RunStatus.SUCCEEDED  # as before

    waiting = await sync.mirror(people(range(4)), audience="A", list_id=target.id)
    assert (waiting.run.status, waiting.run.mapping_id) == (RunStatus.NEEDS_APPROVAL, successor.id)
    assert (await sync.approve(waiting.run.id)).run.status is RunStatus.SUCCEEDED
    assert sync.emails(target.id) == addresses(range(4))
    assert sync.emails(LIST) == addresses(range(3))
    assert ((await mapping_of(sync, first)).status, (await mapping_of(sync, successor.id)).replaces) == (
        MappingStatus.ARCHIVED,
        None,
    )
    async with sync.engine.database.read() as db:
        moved = await file_sources.get(db, successor.id)
        assert moved is not None
        assert (moved.address, await file_sources.get(db, first)) == (options.address, None)
        assert [each.mapping_id for each in await schedules.everyone(db)] == [successor.id]
        assert (await ledger.size(db, first), await ledger.size(db, successor.id)) == (3, 4)
        (proposed,) = [
            each
            for each in await audit_log.of(db, [f"mapping:{successor.id}"])
            if each.action is AuditAction.MAPPING_PROPOSED
        ]
    assert proposed.after is not None
    assert proposed.after["replaces"] == first


async def test_declined_list_changes_nothing(sync: Sync) -> None:
    """If the new list is declined, the former mapping is synced as before, also after a later approval."""
    first = (await sync.mirror(people(range(3)), audience="A")).run.mapping_id
    successor, _ = await change_list(sync.engine, first, new_list(sync), empties=False, **ASKED)
    decision = {"by": "U2", "comment": None, "team_id": None}
    await mapping_lifecycle.decide_proposal(sync.engine, successor.id, MappingStatus.DECLINED, **decision)  # type: ignore[arg-type]
    assert (await mapping_of(sync, successor.id)).replaces is None
    assert (await mapping_of(sync, first)).status is MappingStatus.ACTIVE
    with pytest.raises(NotFoundError):
        await change_list(sync.engine, 99, new_list(sync), empties=False, **ASKED)
    with pytest.raises(ConflictError, match="declined"):
        await change_list(sync.engine, successor.id, new_list(sync), empties=False, **ASKED)


async def test_former_list_is_emptied(sync: Sync) -> None:
    """With an approval in advance the new mapping takes over at once; a run takes the people off the former list."""
    first = (await sync.mirror(people(range(3)), audience="A")).run.mapping_id
    target = new_list(sync)
    successor, run_id = await change_list(sync.engine, first, target, empties=True, approved=True, **ASKED)
    assert (successor.status, (await mapping_of(sync, first)).status) == (MappingStatus.ACTIVE, MappingStatus.ARCHIVED)
    assert run_id is not None
    assert (await sync.resume(run_id)).run.status is RunStatus.SUCCEEDED
    assert (await sync.mirror(people(range(2)), audience="A", list_id=target.id)).run.status is RunStatus.SUCCEEDED
    assert (sync.emails(LIST), sync.emails(target.id)) == (set(), addresses(range(2)))
    assert (await mapping_of(sync, first)).delete_at is not None
