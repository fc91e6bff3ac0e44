"""Guards hold a run that may be a mistake until a person approves it."""

from pathlib import Path
from typing import Any, Unpack

import pytest
from sqlalchemy import text

from core.models.run import GuardName
from core.reporting.run_report import RunReport
from core.runs import approval, commands, executor
from core.store import mappings
from core.store.mappings import AudienceMapping, MappingStatus, MappingUpdate, RemovalPolicy
from tests.core.databases import sampled
from tests.core.harness import (
    LIST,
    OTHER_LIST,
    Decision,
    Member,
    Outcome,
    RunStatus,
    Sync,
    decide,
    people,
    person,
    syncing,
)


def guards(outcome: Outcome) -> list[GuardName]:
    """The names of the guards that a run's plan triggered."""
    assert outcome.run.plan is not None
    return [guard.name for guard in outcome.run.plan.guards]


async def approve(sync: Sync, outcome: Outcome) -> Outcome:
    """Approve a run as a person does, and execute it."""
    return await sync.approve(outcome.run.id)


def download(sync: Sync, audience_id: int, name: str, members: list[Member]) -> Path:
    """Write the CSV of an audience download, with the audience's id and name in the file name."""
    path = sync.directory / f"{audience_id}_{name}_172136Nov292018.csv"
    rows = [f"{m.mpid},1543512096000,{m.email},email\n" for m in members]
    path.write_text("mpid,scanned_timestamp_ms,identity_value,identity_type\n" + "".join(rows))
    return path


async def test_empty_audience_needs_approval(sync: Sync) -> None:
    """A whole audience without members needs approval, and sends nothing before."""
    await sync.mirror(people(range(5)))
    outcome = await sync.mirror([])
    assert outcome.run.status is RunStatus.NEEDS_APPROVAL
    assert guards(outcome) == [GuardName.EMPTY_AUDIENCE]
    assert outcome.run.requests == 0
    assert len(sync.emails()) == 5


async def test_plans_are_decided_together_or_not_at_all(sync: Sync) -> None:
    """One decision is about several plans; if one is another than the approver saw, it is about none."""
    waiting = []
    for list_id in (LIST, OTHER_LIST):
        await sync.mirror(people(range(5)), list_id=list_id)
        waiting.append((await sync.mirror([], list_id=list_id)).run)
    seen = [(run.id, run.plan_digest) for run in waiting]

    async def decide_together(plans: list[tuple[str, str | None]]) -> list[bool]:
        await approval.decide_together(sync.engine, plans, approves=True, by="U1", comment=None, team_id=None)
        return [(await sync.outcome(run.id)).run.is_approved for run in waiting]

    assert await decide_together([seen[0], (waiting[1].id, "another")]) == [False, False]
    assert await decide_together(seen) == [True, True]


@pytest.mark.extended
async def test_approval_in_advance_does_not_cover_an_empty_audience(sync: Sync) -> None:
    """Approval in advance does not cover an empty audience, which has its own option."""
    await sync.mirror(people(range(5)))
    assert (await sync.mirror([], approved=True)).run.status is RunStatus.NEEDS_APPROVAL
    outcome = await sync.mirror([], allow_empty=True)
    assert outcome.counts == {"left": 5, "removed": 5}
    assert sync.emails() == set()


async def test_empty_audience_triggers_one_guard(sync: Sync) -> None:
    """An empty audience does not trigger the guard on removals as well."""
    await sync.mirror(people(range(150)))
    assert guards(await sync.mirror([])) == [GuardName.EMPTY_AUDIENCE]
    assert (await sync.mirror([], allow_empty=True)).run.status is RunStatus.SUCCEEDED


async def test_empty_delta_triggers_no_guard(sync: Sync) -> None:
    """A file of changes without any change triggers no guard and changes nothing."""
    await sync.mirror(people(range(5)))
    outcome = await sync.delta()
    assert outcome.run.status is RunStatus.SUCCEEDED
    assert outcome.counts == {}


async def test_approved_run_makes_its_changes(sync: Sync) -> None:
    """An approved run makes exactly the changes of its plan."""
    await sync.mirror(people(range(5)))
    outcome = await approve(sync, await sync.mirror([]))
    assert outcome.run.status is RunStatus.SUCCEEDED
    assert outcome.counts == {"left": 5, "removed": 5}
    assert sync.emails() == set()


@pytest.mark.parametrize(
    ("before", "removed", "needs_approval"),
    [
        pytest.param(100, 99, False, id="a hundred members are too few"),
        pytest.param(101, 20, False, id="just under a fifth", marks=pytest.mark.extended),
        pytest.param(101, 21, True, id="just over a fifth", marks=pytest.mark.extended),
        pytest.param(110, 22, False, id="exactly a fifth"),
        pytest.param(110, 23, True, id="one more than a fifth"),
    ],
)
async def test_mass_removal(sync: Sync, before: int, removed: int, needs_approval: bool) -> None:
    """Removing more than 20 % of more than 100 members needs approval."""
    await sync.mirror(people(range(before)))
    outcome = await sync.mirror(people(range(removed, before)))
    assert guards(outcome) == ([GuardName.MASS_REMOVAL] if needs_approval else [])
    assert outcome.run.status is (RunStatus.NEEDS_APPROVAL if needs_approval else RunStatus.SUCCEEDED)
    assert len(sync.emails()) == (before if needs_approval else before - removed)


@pytest.mark.extended
async def test_mass_removal_by_a_delta(sync: Sync) -> None:
    """The guard covers removals of a delta as well as those of a whole audience."""
    await sync.mirror(people(range(110)))
    outcome = await sync.delta(left=people(range(23)))
    assert guards(outcome) == [GuardName.MASS_REMOVAL]
    assert (await approve(sync, outcome)).counts == {"left": 23, "removed": 23}


@pytest.mark.extended
async def test_mass_removal_approved_in_advance(sync: Sync) -> None:
    """A mass removal that was approved in advance is executed at once."""
    await sync.mirror(people(range(150)))
    outcome = await sync.mirror(people(range(100, 150)), approved=True)
    assert outcome.counts == {"members": 50, "left": 100, "removed": 100, "unchanged": 50}


@pytest.mark.extended
async def test_shared_leavers_are_not_a_mass_removal(sync: Sync) -> None:
    """Leavers who stay on the list because of another mapping do not count towards a mass removal."""
    await sync.mirror(people(range(110)), audience="first")
    await sync.mirror(people(range(110)), audience="second")
    outcome = await sync.mirror(people(range(50, 110)), audience="first")
    assert outcome.counts == {"members": 60, "left": 50, "unchanged": 60, "duplicates": 50}


async def test_other_audience_needs_approval(sync: Sync) -> None:
    """A file of another audience than the mapping's needs approval."""
    await sync.run(download(sync, 11, "VIPs", people(range(5))))
    outcome = await sync.run(download(sync, 12, "Newcomers", people(range(3, 8))))
    assert guards(outcome) == [GuardName.OTHER_AUDIENCE]
    assert len(sync.emails()) == 5
    assert (await approve(sync, outcome)).run.status is RunStatus.SUCCEEDED
    assert sync.emails() == {f"p{n}@example.com" for n in range(3, 8)}


@pytest.mark.extended
@pytest.mark.parametrize("in_advance", sampled([False, True]))
async def test_approved_audience_replaces_the_former(sync: Sync, in_advance: bool) -> None:
    """Once approved, another audience replaces the mapping's former one."""
    await sync.run(download(sync, 11, "VIPs", people(range(5))))
    other = download(sync, 12, "Newcomers", people(range(3, 8)))
    if in_advance:
        await sync.run(other, approved=True)
    else:
        await approve(sync, await sync.run(other))
    assert guards(await sync.run(other)) == []
    assert guards(await sync.run(download(sync, 11, "VIPs", people(range(5))))) == [GuardName.OTHER_AUDIENCE]
    latest = await sync.run(other, dry_run=True)
    async with sync.engine.database.read() as db:
        (mapping,) = await mappings.of_connection(db, latest.run.connection_id, LIST)
    assert (mapping.audience_id, mapping.audience_name) == ("12", "Newcomers")


@pytest.mark.extended
async def test_renamed_audience_is_the_same(sync: Sync) -> None:
    """An audience is identified by its id, so a new name triggers no guard."""
    await sync.run(download(sync, 11, "VIPs", people(range(5))))
    assert guards(await sync.run(download(sync, 11, "Best-customers", people(range(5))))) == []


async def test_dry_run_shows_its_guards(sync: Sync) -> None:
    """A dry run shows its guards, and ends without approval."""
    await sync.mirror(people(range(150)))
    outcome = await sync.mirror(people(range(100, 150)), dry_run=True)
    assert outcome.run.status is RunStatus.PLANNED
    assert guards(outcome) == [GuardName.MASS_REMOVAL]
    assert len(sync.emails()) == 150


@pytest.mark.extended
async def test_dry_run_sets_no_audience(sync: Sync) -> None:
    """A dry run of one audience does not set the mapping's audience."""
    await sync.run(download(sync, 11, "VIPs", people(range(5))), dry_run=True)
    assert guards(await sync.run(download(sync, 12, "Newcomers", people(range(5))))) == []


async def only_mapping(sync: Sync) -> AudienceMapping:
    """The only mapping, to which all runs so far belong."""
    latest = await sync.latest()
    async with sync.engine.database.read() as db:
        (mapping,) = await mappings.of_connection(db, latest.connection_id, LIST)
    return mapping


async def set_mapping(sync: Sync, **values: Unpack[MappingUpdate]) -> None:
    """Change the only mapping."""
    mapping = await only_mapping(sync)
    async with sync.engine.database.write() as db:
        await mappings.change(db, mapping.id, **values)


async def test_proposed_mapping_needs_approval(sync: Sync) -> None:
    """A run of a mapping that is only proposed needs approval, whatever its changes."""
    await sync.mirror([person(1)], dry_run=True)
    await set_mapping(sync, status=MappingStatus.PROPOSED)
    outcome = await sync.mirror([person(1)])
    assert guards(outcome) == [GuardName.NEW_MAPPING]
    assert outcome.run.status is RunStatus.NEEDS_APPROVAL
    assert sync.emails() == set()
    assert (await approve(sync, outcome)).run.status is RunStatus.SUCCEEDED
    assert sync.emails() == {"p1@example.com"}


@pytest.mark.extended
async def test_proposed_mapping_is_approved_in_advance(sync: Sync) -> None:
    """A run of a proposed mapping is executed if it was approved in advance."""
    await sync.mirror([person(1)], dry_run=True)
    await set_mapping(sync, status=MappingStatus.PROPOSED)
    assert guards(await sync.mirror([person(1)], approved=True)) == []
    assert sync.emails() == {"p1@example.com"}


async def test_removals_need_approval(sync: Sync) -> None:
    """With the policy `ask`, a run with removals needs approval, and one without does not."""
    await sync.mirror(people(range(3)))
    await set_mapping(sync, removal_policy=RemovalPolicy.ASK)
    assert guards(await sync.mirror(people(range(4)))) == []
    outcome = await sync.mirror(people(range(3)))
    assert guards(outcome) == [GuardName.REMOVALS]
    assert len(sync.emails()) == 4
    assert (await approve(sync, outcome)).counts == {"members": 3, "left": 1, "removed": 1, "unchanged": 3}
    assert guards(await sync.delta(left=[person(0)], approved=True)) == []


@pytest.mark.extended
async def test_mass_removal_replaces_the_guard_on_removals(sync: Sync) -> None:
    """A mass removal triggers one guard, even with the policy `ask`."""
    await sync.mirror(people(range(150)))
    await set_mapping(sync, removal_policy=RemovalPolicy.ASK)
    assert guards(await sync.mirror(people(range(50)))) == [GuardName.MASS_REMOVAL]


async def test_kept_members_are_never_removed(sync: Sync) -> None:
    """With the policy `keep`, neither a mirror nor a delta removes leavers, not even an empty mirror."""
    await sync.mirror(people(range(150)))
    await set_mapping(sync, removal_policy=RemovalPolicy.KEEP)
    mirror = await sync.mirror([*people(range(100, 150)), person(200)])
    assert (guards(mirror), mirror.counts) == ([], {"members": 51, "added": 1, "unchanged": 50})
    delta = await sync.delta(joined=[person(201)], left=people(range(100)))
    assert (guards(delta), delta.counts) == ([], {"members": 1, "added": 1})
    empty = await sync.mirror([])
    assert (guards(empty), empty.run.status) == ([], RunStatus.SUCCEEDED)
    assert len(sync.emails()) == 152


async def test_kept_member_gets_another_address(sync: Sync) -> None:
    """The policy `keep` does not keep the former address of a member who stays."""
    await sync.mirror(people(range(2)))
    await set_mapping(sync, removal_policy=RemovalPolicy.KEEP)
    outcome = await sync.mirror([person(1, email="new@example.com")])
    assert outcome.counts == {"members": 1, "updated": 1}
    assert sync.emails() == {"p0@example.com", "new@example.com"}


async def test_first_sync_names_the_audience(sync: Sync) -> None:
    """The text about a first sync names the audience, or else its file, and the list."""
    plain = sync.mirror_file(people(range(3)))
    await sync.run(plain, dry_run=True)
    await set_mapping(sync, status=MappingStatus.PROPOSED)
    for file, name in (
        (download(sync, 11, "VIPs", people(range(3))), "VIPs"),
        (plain, plain.name),
    ):
        plan = (await sync.run(file, dry_run=True)).run.plan
        assert plan is not None
        assert plan.guards[0].message == f"First sync of {name} to list {LIST}."


@pytest.mark.extended
async def test_guards_name_no_option(sync: Sync) -> None:
    """The text of a guard fits Slack as well as a terminal: it names no option."""
    await sync.run(download(sync, 11, "VIPs", people(range(150))))
    await set_mapping(sync, status=MappingStatus.PROPOSED, removal_policy=RemovalPolicy.ASK)
    for file in (download(sync, 12, "Newcomers", people(range(3))), sync.mirror_file([])):
        plan = (await sync.run(file, dry_run=True)).run.plan
        assert plan is not None
        assert len(plan.guards) >= 2
        assert not any("--" in guard.message for guard in plan.guards)


@pytest.mark.parametrize("decision", sampled(["approve", "resume", "decline", "cancel"], 4))
async def test_duration_excludes_the_wait_for_approval(tmp_path: Path, database_url: str, decision: str) -> None:
    """The duration of a run excludes the wait for a decision, whatever the decision."""
    async with syncing(tmp_path, database_url) as sync:
        await sync.mirror(people(range(3)))
        unapproved = await sync.mirror([])
        assert unapproved.run.status is RunStatus.NEEDS_APPROVAL
        run_id = unapproved.run.id
        async with sync.engine.database.write() as db:  # planning took 1,000 seconds, and ended 50,000 seconds ago
            earlier = (
                "UPDATE runs SET started_at = finished_at - 51000, finished_at = finished_at - 50000 WHERE id = :id"
            )
            await db.execute(text(earlier), {"id": run_id})
        assert RunReport.of((await sync.outcome(run_id)).run, {}).duration_s == pytest.approx(1000)
        actor: dict[str, Any] = {"by": "U1", "team_id": None}
        if decision == "resume":
            await approve(sync, unapproved)
        elif decision == "approve":
            assert await decide(sync.engine, run_id) is Decision.RECORDED
            await executor.execute(sync.engine, run_id)
        elif decision == "decline":
            assert await decide(sync.engine, run_id, approves=False) is Decision.RECORDED
        else:
            assert await commands.cancel(sync.engine, run_id, **actor)
        decided_run = (await sync.outcome(run_id)).run
        assert decided_run.status is (RunStatus.CANCELLED if decision in ("decline", "cancel") else RunStatus.SUCCEEDED)
        assert RunReport.of(decided_run, {}).duration_s == pytest.approx(1000, abs=100)
