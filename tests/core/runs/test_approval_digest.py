"""An approval is of the plan that was shown: whatever was not part of it is not done without asking once more."""

import asyncio
import hashlib
import shutil
from collections.abc import AsyncIterator
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
from core.store import audit_log, runs
from core.store.audit_log import AuditAction
from tests.core.harness import LIST, Outcome, RunStatus, Sync, people, person, syncing


@pytest.fixture
async def sync(tmp_path: Path, database_url: str) -> AsyncIterator[Sync]:
    """An engine on each kind of database."""
    async with syncing(tmp_path, database_url) as it:
        yield it


def addresses(numbers: range) -> set[str]:
    """The addresses of the people with these numbers."""
    return {f"p{number}@example.com" for number in numbers}


async def decide(sync: Sync, run: Run, *, approves: bool = True, by: str = "U1") -> Decision:
    """Decide about the plan of a run as it was read."""
    use_case = approval.approve if approves else approval.decline
    return await use_case(sync.engine, run.id, plan_digest=run.plan_digest, by=by, comment=None, team_id=None)


async def waiting(sync: Sync, path: Path, **options: object) -> Run:
    """A run that waits for approval."""
    run = (await sync.run(path, **options)).run
    assert run.status is RunStatus.NEEDS_APPROVAL
    return run


async def planned_again(sync: Sync, run_id: str) -> Outcome:
    """Let a queued run be planned, as a worker does."""
    await executor.execute(sync.engine, run_id)
    return await sync.outcome(run_id)


def guards(run: Run) -> list[GuardName]:
    """The guards of a run's plan."""
    assert run.plan is not None
    return [guard.name for guard in run.plan.guards]


async def test_older_of_two_waiting_files_is_approved_first(sync: Sync) -> None:
    """The plan of the newer file is discarded with what was seen of it: it asks again, with the new numbers."""
    await sync.mirror(people(range(100, 500)))
    older = await waiting(sync, sync.mirror_file(people(range(100, 300))))
    newer = await waiting(sync, sync.mirror_file(people(range(200, 210))))
    assert newer.plan is not None
    assert newer.plan.to_remove == 390
    assert await decide(sync, older) is Decision.RECORDED
    assert await executor.execute(sync.engine, older.id) is RunStatus.SUCCEEDED
    assert await decide(sync, newer) is not Decision.RECORDED
    again = (await planned_again(sync, newer.id)).run
    assert again.status is RunStatus.NEEDS_APPROVAL
    assert again.plan is not None
    assert again.plan.to_remove == 190
    assert again.plan.replaces is not None
    assert again.plan.replaces.to_remove == 390
    assert guards(again)[0] is GuardName.CHANGED_PLAN
    assert await decide(sync, newer) is Decision.CHANGED
    assert sync.emails() == addresses(range(100, 300))
    assert await decide(sync, again) is Decision.RECORDED
    assert await executor.execute(sync.engine, newer.id) is RunStatus.SUCCEEDED
    assert sync.emails() == addresses(range(200, 210))


async def test_change_is_on_record_for_those_who_decide(sync: Sync) -> None:
    """That a plan changed is in the audit log, with the numbers before and after: Slack notifies by it."""
    await sync.mirror(people(range(100, 500)))
    older = await waiting(sync, sync.mirror_file(people(range(100, 300))))
    newer = await waiting(sync, sync.mirror_file(people(range(200, 210))))
    await decide(sync, older)
    await executor.execute(sync.engine, older.id)
    await planned_again(sync, newer.id)
    async with sync.engine.database.read() as db:
        entries = await audit_log.of(db, [f"run:{newer.id}"])
    (entry,) = [each for each in entries if each.action is AuditAction.RUN_PLAN_CHANGED]
    assert entry.before == {"to_add": 0, "to_update": 0, "to_remove": 390}
    assert entry.after == {"to_add": 0, "to_update": 0, "to_remove": 190}


async def approved_and_overtaken(sync: Sync, path: Path) -> Run:
    """A run that was approved, and before which an earlier one of its mapping was executed then."""
    await sync.mirror(people(range(400)))
    earlier = await waiting(sync, sync.mirror_file(people(range(100, 300))))
    later = await waiting(sync, path)
    assert await decide(sync, later) is Decision.RECORDED
    assert await decide(sync, earlier) is Decision.RECORDED
    assert await executor.execute(sync.engine, earlier.id) is RunStatus.SUCCEEDED
    return later


async def test_file_is_replaced_behind_an_approved_plan(sync: Sync) -> None:
    """If an approved plan has to be made again and its file is another by now, nothing of the new file is sent."""
    path = sync.mirror_file(people(range(120, 220)))
    later = await approved_and_overtaken(sync, path)
    path.write_text(sync.mirror_file(people(range(1000, 1500))).read_text())
    assert await executor.execute(sync.engine, later.id) is RunStatus.NEEDS_APPROVAL
    again = (await sync.outcome(later.id)).run
    assert again.plan is not None
    assert again.plan.to_add == 500
    assert GuardName.CHANGED_PLAN in guards(again)
    assert again.decided_by is None
    assert not again.is_approved
    assert sync.emails() == addresses(range(100, 300))


async def test_plan_that_stays_within_what_was_approved_goes_on(sync: Sync) -> None:
    """An approved plan that has to be made again and contains nothing new is executed without asking."""
    path = sync.mirror_file(people(range(120, 220)))
    later = await approved_and_overtaken(sync, path)
    assert await executor.execute(sync.engine, later.id) is RunStatus.SUCCEEDED
    assert (await sync.outcome(later.id)).counts["removed"] == 100
    assert sync.emails() == addresses(range(120, 220))


async def test_equal_numbers_of_other_people_are_not_what_was_approved(sync: Sync) -> None:
    """What was approved is compared as sets: as many removals of other people ask again."""
    path = sync.mirror_file(people(range(150, 250)))
    later = await approved_and_overtaken(sync, path)
    path.write_text(sync.mirror_file(people([*range(100, 199), 1000])).read_text())
    assert await executor.execute(sync.engine, later.id) is RunStatus.NEEDS_APPROVAL
    assert sync.emails() == addresses(range(100, 300))


async def test_updates_outside_of_what_was_approved_ask(sync: Sync) -> None:
    """A member whose address is another in the file that is planned again is not changed without asking."""
    path = sync.mirror_file(people(range(120, 220)))
    later = await approved_and_overtaken(sync, path)
    members = [*people(range(120, 219)), person(219, email="other@example.com")]
    path.write_text(sync.mirror_file(members).read_text())
    assert await executor.execute(sync.engine, later.id) is RunStatus.NEEDS_APPROVAL
    assert sync.emails() == addresses(range(100, 300))


async def test_file_that_is_replaced_after_planning_changes_nothing(sync: Sync) -> None:
    """What is sent is the plan that was approved, whatever is in the file by then."""
    await sync.mirror(people(range(400)))
    path = sync.mirror_file(people(range(100)))
    run = await waiting(sync, path)
    path.write_text(sync.mirror_file(people(range(1000, 1500))).read_text())
    assert await decide(sync, run) is Decision.RECORDED
    assert await executor.execute(sync.engine, run.id) is RunStatus.SUCCEEDED
    assert sync.emails() == addresses(range(100))


async def test_plan_names_the_bytes_that_were_read(sync: Sync) -> None:
    """Two files with the same numbers are two plans, because the digest covers what was read."""
    await sync.mirror(people(range(400)))
    first = await waiting(sync, sync.mirror_file(people(range(100))))
    second = await waiting(sync, sync.mirror_file(people(range(100, 200))))
    assert first.plan is not None
    assert second.plan is not None
    assert first.plan.source_digest != second.plan.source_digest
    assert first.plan_digest != second.plan_digest


async def test_digest_covers_what_is_relied_on(sync: Sync) -> None:
    """Another run, mapping, mode, user id field or revision of the ledger, or another number, is another plan."""
    await sync.mirror(people(range(400)))
    run = await waiting(sync, sync.mirror_file(people(range(100))))
    assert run.plan is not None
    assert run.ledger_revision is not None
    assert run.plan_digest == digest_of(run, run.plan, run.mode, run.ledger_revision)
    numbers = ("members", "left", "to_add", "to_update", "to_remove", "unchanged", "rejected", "ledger_size")
    plans = [run.plan.model_copy(update={name: 7_777}) for name in numbers]
    plans.append(run.plan.model_copy(update={"source_digest": "of other bytes"}))
    of_others: list[dict[str, object]] = [{"id": "another"}, {"mapping_id": 99}, {"user_id_field": UserIdField.MPID}]
    found = [digest_of(run, plan, run.mode, run.ledger_revision) for plan in plans]
    found += [digest_of(run.model_copy(update=of), run.plan, run.mode, run.ledger_revision) for of in of_others]
    found += [digest_of(run, run.plan, SyncMode.ADD, run.ledger_revision), digest_of(run, run.plan, run.mode, 99)]
    assert len({run.plan_digest, *found}) == 1 + len(found)


async def test_audience_that_is_fetched_is_named_by_its_bytes(sync: Sync) -> None:
    """The content of an audience that is fetched from elsewhere is part of the plan, as that of a file is."""
    await sync.mirror(people(range(400)))
    here = sync.mirror_file(people(range(100)))

    async def fetch(_address: str, folder: Path) -> Path:
        return Path(await asyncio.to_thread(shutil.copy, here, folder / "a.csv"))

    sync.engine.fetchers["elsewhere"] = fetch
    run = await waiting(sync, Path("elsewhere:a.csv"))
    assert run.plan is not None
    assert run.plan.source_digest == hashlib.sha256(here.read_bytes()).hexdigest()


async def test_approval_in_advance_is_for_one_plan(sync: Sync) -> None:
    """`--yes` approves the plan that is made now; if it has to be made again, what is new asks."""
    await sync.mirror(people(range(400)))
    path = sync.mirror_file(people(range(120, 220)))
    run_id = await sync.submit(path, approved=True)
    assert await executor.plan(sync.engine, run_id) is RunStatus.RUNNING
    async with sync.engine.database.write() as db:  # as an earlier run does that begins to write
        await runs.change(db, run_id, ledger_revision=None)
    path.write_text(sync.mirror_file(people(range(1000, 1500))).read_text())
    assert await executor.apply(sync.engine, run_id) is RunStatus.NEEDS_APPROVAL
    assert sync.emails() == addresses(range(400))


@pytest.mark.parametrize("approves", [(True, True), (True, False), (False, False)])
async def test_two_decide_at_once(sync: Sync, approves: tuple[bool, bool]) -> None:
    """Of two who decide at the same moment one does."""
    await sync.mirror(people(range(400)))
    run = await waiting(sync, sync.mirror_file(people(range(100))))
    decisions = await asyncio.gather(*(decide(sync, run, approves=each) for each in approves))
    assert sorted(decisions) == [Decision.RECORDED, Decision.TOO_LATE]


@pytest.mark.parametrize("approves", [True, False])
async def test_decision_and_cancellation_at_once(sync: Sync, approves: bool) -> None:
    """A run that is decided and cancelled at the same moment ends one way or the other, and not both."""
    await sync.mirror(people(range(400)))
    run = await waiting(sync, sync.mirror_file(people(range(100))))
    decision, cancelled = await asyncio.gather(
        decide(sync, run, approves=approves),
        commands.cancel(sync.engine, run.id, by="U2", team_id=None),
        return_exceptions=True,
    )
    now = (await sync.outcome(run.id)).run
    assert now.status is RunStatus.CANCELLED
    if approves:
        assert decision in (Decision.RECORDED, Decision.TOO_LATE)
        assert cancelled is True
    else:
        assert (decision is Decision.RECORDED) == now.is_declined == isinstance(cancelled, ConflictError)
    assert len(sync.emails()) == 400


async def test_approval_while_an_earlier_run_begins(sync: Sync) -> None:
    """Whoever approves while an earlier run changes the list has approved what was shown, or nothing."""
    await sync.mirror(people(range(100, 500)))
    older = await waiting(sync, sync.mirror_file(people(range(100, 300))))
    newer = await waiting(sync, sync.mirror_file(people(range(200, 210))))
    assert await decide(sync, older) is Decision.RECORDED
    decision, ended = await asyncio.gather(decide(sync, newer), executor.execute(sync.engine, older.id))
    assert ended is RunStatus.SUCCEEDED
    again = await executor.execute(sync.engine, newer.id)
    if decision is Decision.RECORDED:  # all that is left to be removed was approved
        assert again is RunStatus.SUCCEEDED
        assert sync.emails() == addresses(range(200, 210))
    else:
        assert again is RunStatus.NEEDS_APPROVAL
        assert sync.emails() == addresses(range(100, 300))


async def test_two_workers_and_two_deciders(tmp_path: Path, database_url: str) -> None:
    """A run that two people approve at once, in two processes that both work, is executed once."""
    async with (
        syncing(tmp_path, database_url) as sync,
        open_engine(sync.engine.settings, "other") as other,
    ):
        await sync.mirror(people(range(400)))
        run = await waiting(sync, sync.mirror_file(people(range(100))))
        given = {"plan_digest": run.plan_digest, "comment": None, "team_id": None}
        decisions = await asyncio.gather(
            approval.approve(sync.engine, run.id, by="U1", **given), approval.approve(other, run.id, by="U2", **given)
        )
        assert sorted(decisions) == [Decision.RECORDED, Decision.TOO_LATE]
        ended = await asyncio.gather(executor.execute(sync.engine, run.id), executor.execute(other, run.id))
        assert set(ended) == {RunStatus.SUCCEEDED, RunStatus.RUNNING}  # it is the other one's
        done = (await sync.outcome(run.id)).run
        assert (done.counters.removed, done.counters.missing) == (300, 0)
        assert sync.emails() == addresses(range(100))


async def test_approval_and_another_key_at_once(sync: Sync) -> None:
    """A key that is replaced while a run is approved keeps neither from being done."""
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
    asked = [RunRequest(path=str(sync.mirror_file(people(numbers)))) for numbers in (range(400), range(100))]
    first = (await submit(sync.engine, connection, LIST, asked[0])).run_id
    assert await worker.start(first) is RunStatus.SUCCEEDED
    run_id = (await submit(sync.engine, connection, LIST, asked[1])).run_id
    assert await worker.start(run_id) is RunStatus.NEEDS_APPROVAL
    run = (await sync.outcome(run_id)).run
    new = "00000000000000000000000000007777"
    sync.iterable.state.add_key(new, sync.iterable.state.keys[sync.iterable.key].project)
    decision, _ = await asyncio.gather(decide(sync, run), replace_key(sync.engine, connection, new, by="U2"))
    assert decision is Decision.RECORDED
    assert await executor.execute(sync.engine, run_id) is RunStatus.SUCCEEDED
    assert sync.emails() == addresses(range(100))


async def test_plan_after_another_mapping_changed_the_list_stays_within(sync: Sync) -> None:
    """If another mapping of the list was synced meanwhile, whom the plan only kept is not added without asking."""
    shared = [*people(range(20))]
    await sync.mirror(shared, audience="other")
    await sync.mirror(people(range(1000, 1300)), audience="ours")
    run = await waiting(sync, sync.mirror_file([*shared, *people(range(1000, 1010))], "ours"), audience="ours")
    assert await decide(sync, run) is Decision.RECORDED
    assert (await sync.mirror([], audience="other", allow_empty=True)).run.status is RunStatus.SUCCEEDED
    assert await executor.execute(sync.engine, run.id) is RunStatus.NEEDS_APPROVAL
    again = (await sync.outcome(run.id)).run
    assert guards(again) == [GuardName.CHANGED_PLAN]
    assert not sync.emails() & addresses(range(20))
    assert await decide(sync, again) is Decision.RECORDED
    assert await executor.execute(sync.engine, run.id) is RunStatus.SUCCEEDED
    assert sync.emails() == addresses(range(20)) | addresses(range(1000, 1010))


async def test_run_that_waits_does_not_go_on_by_itself(sync: Sync) -> None:
    """A plan that lost its approval is not executed by being resumed."""
    await sync.mirror(people(range(400)))
    run = await waiting(sync, sync.mirror_file(people(range(100))))
    with pytest.raises(Exception, match="waits for approval"):
        await worker.resume(sync.engine, run.id)
    assert len(sync.emails()) == 400
