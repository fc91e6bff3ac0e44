"""An approval covers the plan that was shown: anything else needs approval again."""

import asyncio
import hashlib
import shutil
from pathlib import Path

import pytest

from core.connections.manage import connect, replace_key
from core.engine import open_engine
from core.errors import ConflictError
from core.identity import UserIdField
from core.iterable import DataCenter
from core.models.run import GuardName, Run, RunRequest, SyncMode, digest_of
from core.runs import approval, commands, executor, worker
from core.runs.approval import Decision
from core.runs.submission import submit
from core.store import approvals, audit_log, runs
from core.store.audit_log import AuditAction
from tests.core.databases import sampled
from tests.core.harness import LIST, Outcome, RunStatus, Sync, addresses, people, person, syncing


async def decide(sync: Sync, run: Run, *, approves: bool = True, by: str = "U1") -> Decision:
    """Approve or decline the plan of a run in the state that was read."""
    use_case = approval.approve if approves else approval.decline
    return await use_case(sync.engine, run.id, plan_digest=run.plan_digest, by=by, comment=None, team_id=None)


async def run_until_approval(sync: Sync, path: Path, **options: object) -> Run:
    """Run a file whose plan needs approval."""
    run = (await sync.run(path, **options)).run
    assert run.status is RunStatus.NEEDS_APPROVAL
    return run


async def plan_again(sync: Sync, run_id: str) -> Outcome:
    """Plan a queued run, as a worker does."""
    await executor.execute(sync.engine, run_id)
    return await sync.outcome(run_id)


def guards(run: Run) -> list[GuardName]:
    """The names of the guards of a run's plan."""
    assert run.plan is not None
    return [guard.name for guard in run.plan.guards]


@pytest.mark.extended
async def test_older_of_two_waiting_files_is_approved_first(sync: Sync) -> None:
    """The plan of the newer file becomes stale, and needs approval again with its new numbers."""
    await sync.mirror(people(range(100, 500)))
    older = await run_until_approval(sync, sync.mirror_file(people(range(100, 300))))
    newer = await run_until_approval(sync, sync.mirror_file(people(range(200, 210))))
    assert newer.plan is not None
    assert newer.plan.to_remove == 390
    assert await decide(sync, older) is Decision.RECORDED
    assert await executor.execute(sync.engine, older.id) is RunStatus.SUCCEEDED
    assert await decide(sync, newer) is not Decision.RECORDED
    replanned = (await plan_again(sync, newer.id)).run
    assert replanned.status is RunStatus.NEEDS_APPROVAL
    assert replanned.plan is not None
    assert replanned.plan.to_remove == 190
    assert replanned.plan.replaces is not None
    assert replanned.plan.replaces.to_remove == 390
    assert guards(replanned)[0] is GuardName.CHANGED_PLAN
    assert replanned.plan.guards[0].message.endswith("It was 0 to add, 0 to update and 390 to remove.")
    assert await decide(sync, newer) is Decision.CHANGED
    assert sync.emails() == addresses(range(100, 300))
    assert await decide(sync, replanned) is Decision.RECORDED
    assert await executor.execute(sync.engine, newer.id) is RunStatus.SUCCEEDED
    assert sync.emails() == addresses(range(200, 210))


async def test_changed_plan_has_an_audit_entry(sync: Sync) -> None:
    """A changed plan has an audit entry with the numbers before and after, which Slack's notification uses."""
    await sync.mirror(people(range(100, 500)))
    older = await run_until_approval(sync, sync.mirror_file(people(range(100, 300))))
    newer = await run_until_approval(sync, sync.mirror_file(people(range(200, 210))))
    await decide(sync, older)
    await executor.execute(sync.engine, older.id)
    await plan_again(sync, newer.id)
    async with sync.engine.database.read() as db:
        entries = await audit_log.of(db, [f"run:{newer.id}"])
    (entry,) = [each for each in entries if each.action is AuditAction.RUN_PLAN_CHANGED]
    assert entry.before == {"to_add": 0, "to_update": 0, "to_remove": 390, "to_merge": 0}
    assert entry.after == {"to_add": 0, "to_update": 0, "to_remove": 190, "to_merge": 0}


async def approve_out_of_order(sync: Sync, path: Path) -> Run:
    """Approve a run, and then approve and execute an earlier one of its mapping."""
    await sync.mirror(people(range(400)))
    earlier = await run_until_approval(sync, sync.mirror_file(people(range(100, 300))))
    later = await run_until_approval(sync, path)
    assert await decide(sync, later) is Decision.RECORDED
    assert await decide(sync, earlier) is Decision.RECORDED
    assert await executor.execute(sync.engine, earlier.id) is RunStatus.SUCCEEDED
    return later


async def test_file_is_replaced_behind_an_approved_plan(sync: Sync) -> None:
    """Nothing of a replaced file is sent if its approved plan must be made again."""
    path = sync.mirror_file(people(range(120, 220)))
    later = await approve_out_of_order(sync, path)
    path.write_text(sync.mirror_file(people(range(1000, 1500))).read_text())
    assert await executor.execute(sync.engine, later.id) is RunStatus.NEEDS_APPROVAL
    replanned = (await sync.outcome(later.id)).run
    assert replanned.plan is not None
    assert replanned.plan.to_add == 500
    assert GuardName.CHANGED_PLAN in guards(replanned)
    assert "600 of the changes now were not part of what was approved." in replanned.plan.guards[0].message
    assert replanned.decided_by is None
    assert not replanned.is_approved
    assert sync.emails() == addresses(range(100, 300))


async def test_plan_within_the_approval_is_executed(sync: Sync) -> None:
    """A plan that is made again and contains nothing new is executed without approval."""
    path = sync.mirror_file(people(range(120, 220)))
    later = await approve_out_of_order(sync, path)
    assert await executor.execute(sync.engine, later.id) is RunStatus.SUCCEEDED
    assert (await sync.outcome(later.id)).counts["removed"] == 100
    assert sync.emails() == addresses(range(120, 220))


async def test_other_people_need_approval(sync: Sync) -> None:
    """A new plan with as many removals, but of other people, needs approval."""
    path = sync.mirror_file(people(range(150, 250)))
    later = await approve_out_of_order(sync, path)
    path.write_text(sync.mirror_file(people([*range(100, 199), 1000])).read_text())
    assert await executor.execute(sync.engine, later.id) is RunStatus.NEEDS_APPROVAL
    assert sync.emails() == addresses(range(100, 300))


async def test_new_updates_need_approval(sync: Sync) -> None:
    """A new plan with an update that was not approved needs approval."""
    path = sync.mirror_file(people(range(120, 220)))
    later = await approve_out_of_order(sync, path)
    members = [*people(range(120, 219)), person(219, email="other@example.com")]
    path.write_text(sync.mirror_file(members).read_text())
    assert await executor.execute(sync.engine, later.id) is RunStatus.NEEDS_APPROVAL
    assert sync.emails() == addresses(range(100, 300))


@pytest.mark.extended
async def test_file_that_is_replaced_after_planning_changes_nothing(sync: Sync) -> None:
    """A run sends the approved plan, even if the file was replaced after planning."""
    await sync.mirror(people(range(400)))
    path = sync.mirror_file(people(range(100)))
    run = await run_until_approval(sync, path)
    path.write_text(sync.mirror_file(people(range(1000, 1500))).read_text())
    assert await decide(sync, run) is Decision.RECORDED
    assert await executor.execute(sync.engine, run.id) is RunStatus.SUCCEEDED
    assert sync.emails() == addresses(range(100))


async def test_digest_covers_the_content(sync: Sync) -> None:
    """Two files with the same numbers have different plans, because the digest covers their content."""
    await sync.mirror(people(range(400)))
    first = await run_until_approval(sync, sync.mirror_file(people(range(100))))
    second = await run_until_approval(sync, sync.mirror_file(people(range(100, 200))))
    assert first.plan is not None
    assert second.plan is not None
    assert first.plan.source_digest != second.plan.source_digest
    assert first.plan_digest != second.plan_digest


async def test_digest_covers_each_value(sync: Sync) -> None:
    """Another run, mapping, mode, user id field, ledger revision or number gives another digest."""
    await sync.mirror(people(range(400)))
    run = await run_until_approval(sync, sync.mirror_file(people(range(100))))
    assert run.plan is not None
    assert run.ledger_revision is not None
    assert run.plan_digest == digest_of(run, run.plan, run.mode, run.ledger_revision)
    numbers = ("members", "left", "to_add", "to_update", "to_remove", "unchanged", "rejected", "ledger_size")
    plans = [run.plan.model_copy(update={name: 7_777}) for name in numbers]
    plans.append(run.plan.model_copy(update={"source_digest": "of other bytes"}))
    other_runs: list[dict[str, object]] = [{"id": "another"}, {"mapping_id": 99}, {"user_id_field": UserIdField.MPID}]
    digests = [digest_of(run, plan, run.mode, run.ledger_revision) for plan in plans]
    digests += [
        digest_of(run.model_copy(update=changes), run.plan, run.mode, run.ledger_revision) for changes in other_runs
    ]
    digests += [digest_of(run, run.plan, SyncMode.ADD, run.ledger_revision), digest_of(run, run.plan, run.mode, 99)]
    assert len({run.plan_digest, *digests}) == 1 + len(digests)


async def test_digest_covers_fetched_content(sync: Sync) -> None:
    """The digest covers the content of an audience that is fetched from elsewhere."""
    await sync.mirror(people(range(400)))
    file = sync.mirror_file(people(range(100)))

    async def fetch(_address: str, folder: Path) -> Path:
        return Path(await asyncio.to_thread(shutil.copy, file, folder / "a.csv"))

    sync.engine.fetchers["elsewhere"] = fetch
    run = await run_until_approval(sync, Path("elsewhere:a.csv"))
    assert run.plan is not None
    assert run.plan.source_digest == hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.extended
async def test_approval_in_advance_is_for_one_plan(sync: Sync) -> None:
    """`--yes` approves the first plan; new changes in a later plan need approval."""
    await sync.mirror(people(range(400)))
    path = sync.mirror_file(people(range(120, 220)))
    run_id = await sync.submit(path, approved=True)
    assert await executor.plan(sync.engine, run_id) is RunStatus.RUNNING
    async with sync.engine.database.write() as db:  # as an earlier run does when it begins to write
        await runs.change(db, run_id, ledger_revision=None)
    path.write_text(sync.mirror_file(people(range(1000, 1500))).read_text())
    assert await executor.apply(sync.engine, run_id) is RunStatus.NEEDS_APPROVAL
    assert sync.emails() == addresses(range(400))


@pytest.mark.extended
async def test_shown_plan_is_recorded_for_one_run(sync: Sync) -> None:
    """Which plan a terminal has printed is recorded for its run, and for no other."""
    await sync.mirror(people(range(400)))
    shown, other = [await run_until_approval(sync, sync.mirror_file(people(range(end)))) for end in (100, 50)]
    async with sync.engine.database.write() as db:
        await approvals.set_shown(db, shown.id, shown.plan_digest)
    assert (await sync.outcome(shown.id)).run.shown_digest == shown.plan_digest
    assert (await sync.outcome(other.id)).run.shown_digest is None


@pytest.mark.parametrize("approves", sampled([(True, False), (True, True), (False, False)], 3))
async def test_two_decide_at_once(sync: Sync, approves: tuple[bool, bool]) -> None:
    """If two people decide at the same moment, one decision counts."""
    await sync.mirror(people(range(400)))
    run = await run_until_approval(sync, sync.mirror_file(people(range(100))))
    decisions = await asyncio.gather(*(decide(sync, run, approves=each) for each in approves))
    assert sorted(decisions) == [Decision.RECORDED, Decision.TOO_LATE]


@pytest.mark.parametrize("approves", sampled([True, False]))
async def test_decision_and_cancellation_at_once(sync: Sync, approves: bool) -> None:
    """A run that is decided and cancelled at the same moment ends in exactly one way."""
    await sync.mirror(people(range(400)))
    run = await run_until_approval(sync, sync.mirror_file(people(range(100))))
    decision, cancelled = await asyncio.gather(
        decide(sync, run, approves=approves),
        commands.cancel(sync.engine, run.id, by="U2", team_id=None),
        return_exceptions=True,
    )
    run_after = (await sync.outcome(run.id)).run
    assert run_after.status is RunStatus.CANCELLED
    if approves:
        assert decision in (Decision.RECORDED, Decision.TOO_LATE)
        assert cancelled is True
    else:
        assert (decision is Decision.RECORDED) == run_after.is_declined == isinstance(cancelled, ConflictError)
    assert len(sync.emails()) == 400


@pytest.mark.extended
async def test_approval_while_an_earlier_run_begins(sync: Sync) -> None:
    """An approval at the start of an earlier run covers the shown plan, or is refused."""
    await sync.mirror(people(range(100, 500)))
    older = await run_until_approval(sync, sync.mirror_file(people(range(100, 300))))
    newer = await run_until_approval(sync, sync.mirror_file(people(range(200, 210))))
    assert await decide(sync, older) is Decision.RECORDED
    decision, status = await asyncio.gather(decide(sync, newer), executor.execute(sync.engine, older.id))
    assert status is RunStatus.SUCCEEDED
    later_status = await executor.execute(sync.engine, newer.id)
    if decision is Decision.RECORDED:  # all remaining removals were approved
        assert later_status is RunStatus.SUCCEEDED
        assert sync.emails() == addresses(range(200, 210))
    else:
        assert later_status is RunStatus.NEEDS_APPROVAL
        assert sync.emails() == addresses(range(100, 300))


@pytest.mark.extended
async def test_two_workers_and_two_deciders(tmp_path: Path, database_url: str) -> None:
    """A run that two people approve at once is executed once by two processes."""
    async with (
        syncing(tmp_path, database_url) as sync,
        open_engine(sync.engine.settings, "other") as other_engine,
    ):
        await sync.mirror(people(range(400)))
        run = await run_until_approval(sync, sync.mirror_file(people(range(100))))
        options = {"plan_digest": run.plan_digest, "comment": None, "team_id": None}
        decisions = await asyncio.gather(
            approval.approve(sync.engine, run.id, by="U1", **options),
            approval.approve(other_engine, run.id, by="U2", **options),
        )
        assert sorted(decisions) == [Decision.RECORDED, Decision.TOO_LATE]
        statuses = await asyncio.gather(executor.execute(sync.engine, run.id), executor.execute(other_engine, run.id))
        assert RunStatus.SUCCEEDED in statuses
        assert set(statuses) <= {RunStatus.SUCCEEDED, RunStatus.RUNNING}  # the other process executes it, or has
        finished = (await sync.outcome(run.id)).run
        assert (finished.counters.removed, finished.counters.missing) == (300, 0)
        assert sync.emails() == addresses(range(100))


@pytest.mark.extended
async def test_approval_and_a_new_key_at_once(sync: Sync) -> None:
    """A key can be replaced while a run is approved, and both take effect."""
    connection = (
        await connect(
            sync.engine,
            name="Shop",
            api_key=sync.iterable.key,
            data_center=DataCenter.US,
            user_id_field=UserIdField.CUSTOMER_ID,
            requests_per_second=0.0,
        )
    ).connection
    requests = [RunRequest(path=str(sync.mirror_file(people(numbers)))) for numbers in (range(400), range(100))]
    first = (await submit(sync.engine, connection, LIST, requests[0])).run_id
    assert await worker.start(sync.engine, first) is RunStatus.SUCCEEDED
    run_id = (await submit(sync.engine, connection, LIST, requests[1])).run_id
    assert await worker.start(sync.engine, run_id) is RunStatus.NEEDS_APPROVAL
    run = (await sync.outcome(run_id)).run
    new_key = "00000000000000000000000000007777"
    sync.iterable.state.add_key(new_key, sync.iterable.state.keys[sync.iterable.key].project)
    decision, _ = await asyncio.gather(decide(sync, run), replace_key(sync.engine, connection, new_key, by="U2"))
    assert decision is Decision.RECORDED
    assert await executor.execute(sync.engine, run_id) is RunStatus.SUCCEEDED
    assert sync.emails() == addresses(range(100))


async def test_kept_member_of_another_mapping_needs_approval(sync: Sync) -> None:
    """Adding a member needs approval if the approved plan only kept the member, because of another mapping."""
    shared = [*people(range(20))]
    await sync.mirror(shared, audience="other")
    await sync.mirror(people(range(1000, 1300)), audience="ours")
    others = [*people(range(1000, 1010)), *people(range(2000, 2005))]
    run = await run_until_approval(sync, sync.mirror_file([*shared, *others], "ours"), audience="ours")
    assert await decide(sync, run) is Decision.RECORDED
    assert (await sync.mirror([], audience="other", allow_empty=True)).run.status is RunStatus.SUCCEEDED
    assert await executor.execute(sync.engine, run.id) is RunStatus.NEEDS_APPROVAL
    replanned = (await sync.outcome(run.id)).run
    assert guards(replanned) == [GuardName.CHANGED_PLAN]
    assert replanned.plan is not None
    assert (replanned.plan.to_add, replanned.plan.to_update, replanned.plan.to_remove) == (5 + 20, 0, 290)
    assert "20 of the changes now were not part of what was approved." in replanned.plan.guards[0].message
    assert not sync.emails() & addresses(range(20))
    assert await decide(sync, replanned) is Decision.RECORDED
    assert await executor.execute(sync.engine, run.id) is RunStatus.SUCCEEDED
    assert sync.emails() == {member.email for member in [*shared, *others]}


async def test_resume_needs_approval(sync: Sync) -> None:
    """A run that needs approval can't be resumed without it."""
    await sync.mirror(people(range(400)))
    run = await run_until_approval(sync, sync.mirror_file(people(range(100))))
    with pytest.raises(Exception, match="waits for approval"):
        await worker.resume(sync.engine, run.id)
    assert len(sync.emails()) == 400
