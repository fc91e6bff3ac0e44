"""Runs, their batches and rejections, and the workers that execute them."""

import time
from datetime import UTC, datetime

import pytest

from core.models.batch import Phase
from core.models.run import PROCESS_DIED, Guard, GuardName, Run, RunPlan, RunRequest, RunStatus, StopReason, SyncMode
from core.store import batches, lists, rejections, runs, workers
from core.store.batches import BatchStatus
from core.store.database import Database
from core.store.rejections import Rejection
from core.store.runs import TakenOverError
from tests.core.store.seeds import LIST, add_mapping, add_run, draft

PLAN = RunPlan(
    shape="table",
    file_name="audience.csv",
    as_of=datetime(2025, 1, 1, tzinfo=UTC),
    members=5,
    left=2,
    to_add=3,
    unchanged=1,
    duplicates=1,
    rejected=1,
    guards=(Guard(name=GuardName.MASS_REMOVAL, message="Two of five."),),
)


async def load(database: Database, run_id: str) -> Run:
    """An existing run."""
    async with database.read() as db:
        run = await runs.by_id(db, run_id)
    assert run is not None
    return run


async def test_new_run_is_queued(database: Database) -> None:
    """A new run is queued with its request, and its counters are zero."""
    mapping = await add_mapping(database)
    run = await load(database, await add_run(database, mapping, worker="me"))
    assert (run.status, run.worker_id, run.plan, run.attempt) == (RunStatus.QUEUED, "me", None, 0)
    assert run.request == RunRequest(path="audience.csv")
    assert (run.mapping_id, run.list_id, run.audience) == (mapping.id, LIST, "VIPs")
    assert set(run.counters.model_dump().values()) == {0}


def test_ids_are_easy_to_type() -> None:
    """An id is short, unique, and without letters that look alike."""
    ids = {runs.new_id() for _ in range(100)}
    assert len(ids) == 100
    assert not set("".join(ids)) & set("01lioA")


async def test_run_belongs_to_its_worker(database: Database) -> None:
    """A worker can't change or count a run after another worker has taken it."""
    run_id = await add_run(database, await add_mapping(database))
    async with database.write() as db:
        await runs.assign_worker(db, run_id, "first")
        await runs.count(db, run_id, "first", {"added": 2, "requests": 1})
        await runs.assign_worker(db, run_id, "second")
    with pytest.raises(TakenOverError):
        async with database.write() as db:
            await runs.count(db, run_id, "first", {"added": 5})
    async with database.write() as db:
        await runs.count(db, run_id, "second", {"added": 1})
    run = await load(database, run_id)
    assert (run.counters.added, run.requests) == (3, 1)


async def test_refused_count_rolls_back_its_transaction(database: Database) -> None:
    """A refused count rolls back the whole transaction."""
    run_id = await add_run(database, await add_mapping(database), worker="second")

    async def write() -> None:
        async with database.write() as db:
            await rejections.add(db, run_id, [Rejection("1", None, None, "no_email")])
            await runs.count(db, run_id, "first", {"rejected": 1})

    with pytest.raises(TakenOverError):
        await write()
    async with database.read() as db:
        assert await rejections.by_reason(db, run_id) == {}


async def test_plan_sets_the_counters(database: Database) -> None:
    """The plan sets the counts of members that need no request."""
    run_id = await add_run(database, await add_mapping(database), worker="me")
    async with database.write() as db:
        await runs.set_plan(db, run_id, "me", PLAN, SyncMode.MIRROR, 3)
    run = await load(database, run_id)
    assert (run.plan, run.mode, run.ledger_revision) == (PLAN, SyncMode.MIRROR, 3)
    assert (run.counters.members, run.counters.left, run.counters.missing) == (5, 2, 4)
    assert run.audience == "VIPs"


@pytest.mark.parametrize(("has_plan", "status"), [(False, RunStatus.QUEUED), (True, RunStatus.RUNNING)])
async def test_reopened_run(database: Database, has_plan: bool, status: RunStatus) -> None:
    """A reopened run uploads if it has a plan, and is planned otherwise."""
    run_id = await add_run(database, await add_mapping(database), worker="me")
    async with database.write() as db:
        if has_plan:
            await runs.set_plan(db, run_id, "me", PLAN, SyncMode.MIRROR, 3)
        await runs.request_stop(db, run_id, StopReason.INTERRUPT)
        await runs.set_status(db, run_id, RunStatus.FAILED, error="No.", code="unavailable")
    failed = await load(database, run_id)
    assert failed.finished_at is not None
    async with database.write() as db:
        assert await runs.reopen(db, failed, "other") == 1
    run = await load(database, run_id)
    assert (run.status, run.worker_id, run.attempt) == (status, "other", 1)
    assert (run.stop_requested, run.error, run.error_code, run.finished_at) == (None, None, None, None)


async def test_run_is_reopened_once(database: Database) -> None:
    """Of two attempts to reopen a run, the second fails."""
    stopped = await load(database, await add_run(database, await add_mapping(database)))
    async with database.write() as db:
        assert await runs.reopen(db, stopped, "one") == 1
    async with database.write() as db:
        assert await runs.reopen(db, stopped, "other") is None
    assert (await load(database, stopped.id)).worker_id == "one"


@pytest.mark.parametrize("status", RunStatus)
async def test_finished_at(database: Database, status: RunStatus) -> None:
    """A run has an end time unless it is active."""
    run_id = await add_run(database, await add_mapping(database))
    async with database.write() as db:
        await runs.set_status(db, run_id, status)
    assert ((await load(database, run_id)).finished_at is None) is status.is_active


async def test_unfinished_runs(database: Database) -> None:
    """Resumable runs are listed, oldest first, of one mapping or of all."""
    mapping = await add_mapping(database)
    other = await add_mapping(database, mapping.connection_id)
    ids = {status: await add_run(database, mapping) for status in RunStatus}
    elsewhere = await add_run(database, other)
    async with database.write() as db:
        for status, run_id in ids.items():
            await runs.set_status(db, run_id, status)
        resumable = [ids[status] for status in RunStatus if status.is_resumable]
        assert [run.id for run in await runs.unfinished(db, mapping_id=mapping.id)] == resumable
        assert [run.id for run in await runs.unfinished(db)] == [*resumable, elsewhere]
        newest = [elsewhere, *reversed(ids.values())]
        assert [run.id for run in await runs.latest(db, 3)] == newest[:3]


async def test_expired_runs(database: Database) -> None:
    """Runs that ended for good before a time are found until their details are deleted, and no resumable ones."""
    mapping = await add_mapping(database)
    finished, unapproved, failed, active, empty = [await add_run(database, mapping) for _ in range(5)]
    async with database.write() as db:
        for run_id in (finished, unapproved, failed, active):
            await rejections.add(db, run_id, [Rejection("1", None, None, "no_email")])
        await runs.set_status(db, failed, RunStatus.FAILED)
        await runs.set_status(db, empty, RunStatus.SUCCEEDED)
        await runs.set_status(db, finished, RunStatus.SUCCEEDED)
        await runs.set_status(db, unapproved, RunStatus.NEEDS_APPROVAL)
        later = time.time() + 60
        assert {run_id for run_id, _ in await runs.expired(db, later, later, 10)} == {finished, empty}
        assert await runs.expired(db, time.time() - 60, time.time() - 60, 10) == []
        await runs.mark_purged(db, empty)
        assert [run_id for run_id, _ in await runs.expired(db, later, later, 10)] == [finished]
        await batches.add_drafts(db, finished, [draft(Phase.ADD, 2)])
        await batches.publish(db, finished)
        (sent,) = await batches.open_batches(db, finished, BatchStatus.PLANNED, limit=5)
        await batches.set_state(db, [sent.id], BatchStatus.SENT)
        await runs.mark_purged(db, finished)  # its answer may still arrive
        assert [run_id for run_id, _ in await runs.expired(db, later, later, 10)] == [finished]
        await rejections.drop(db, finished, limit=5)
        assert await runs.expired(db, later, later, 10) == []


async def test_published_drafts_replace_the_plan(database: Database) -> None:
    """Published drafts replace the planned batches of the former plan."""
    run_id = await add_run(database, await add_mapping(database))
    async with database.write() as db:
        await batches.add_drafts(db, run_id, [draft(Phase.ADD, 2, '["old"]'), draft(Phase.ADD, 2, '["sent"]')])
        await batches.publish(db, run_id)
        (_, sent) = await batches.open_batches(db, run_id, BatchStatus.PLANNED, limit=5)
        await batches.set_state(db, [sent.id], BatchStatus.SENT)
        await batches.add_drafts(db, run_id, [draft(Phase.REMOVE, 1, '["new"]'), draft(Phase.ADD, 3, '["more"]')])
        planned = await batches.open_batches(db, run_id, BatchStatus.PLANNED, limit=5)
        assert [batch.members for batch in planned] == ['["old"]']
        await batches.publish(db, run_id)
        planned = await batches.open_batches(db, run_id, BatchStatus.PLANNED, limit=5)
        assert [(batch.phase, batch.sent_size, batch.members) for batch in planned] == [
            (Phase.REMOVE, 1, '["new"]'),
            (Phase.ADD, 3, '["more"]'),
        ]
        assert [batch.members for batch in await batches.open_batches(db, run_id, BatchStatus.SUPERSEDED, limit=5)] == [
            '["old"]'
        ]
        assert [batch.id for batch in await batches.open_batches(db, run_id, BatchStatus.SENT, limit=5)] == [sent.id]


async def test_batches_in_order(database: Database) -> None:
    """Batches are read in the order of storage, by phase, after an id, up to a limit."""
    mapping = await add_mapping(database)
    run_id, other = await add_run(database, mapping), await add_run(database, mapping)
    phases = [Phase.RELEASE, Phase.ADD, Phase.REMOVE, Phase.ADD]
    async with database.write() as db:
        await batches.add_drafts(db, other, [draft(Phase.UPDATE, 1)])
        await batches.add_drafts(db, run_id, [draft(phase, n, f"[{n}]") for n, phase in enumerate(phases)])
        await batches.publish(db, run_id)
        left = await batches.phases_left(db, run_id)
        assert [each.phase for each in left] == [Phase.REMOVE, Phase.ADD, Phase.RELEASE]
        open_batches = await batches.open_batches(db, run_id, BatchStatus.PLANNED, limit=10)
        assert [batch.members for batch in open_batches] == ["[0]", "[1]", "[2]", "[3]"]
        additions = await batches.open_batches(db, run_id, BatchStatus.PLANNED, limit=10, phase=Phase.ADD)
        assert additions == [open_batches[1], open_batches[3]]
        assert await batches.open_batches(db, run_id, BatchStatus.PLANNED, limit=1, after=open_batches[1].id) == [
            open_batches[2]
        ]


async def test_progress(database: Database) -> None:
    """Progress counts the finished changes, and all that are not superseded."""
    run_id = await add_run(database, await add_mapping(database))
    async with database.write() as db:
        assert await batches.progress(db, run_id) == (0, 0)
        await batches.add_drafts(db, run_id, [draft(Phase.ADD, size) for size in (1, 10, 100, 1000)])
        await batches.publish(db, run_id)
        done, sent, superseded, _ = await batches.open_batches(db, run_id, BatchStatus.PLANNED, limit=5)
        for batch, state in ((done, BatchStatus.DONE), (sent, BatchStatus.SENT), (superseded, BatchStatus.SUPERSEDED)):
            await batches.set_state(db, [batch.id], state)
        assert await batches.progress(db, run_id) == (1, 1011)


async def test_batches_are_dropped_in_chunks(database: Database) -> None:
    """Batches in given states are deleted in chunks, with their members."""
    run_id = await add_run(database, await add_mapping(database))
    async with database.write() as db:
        await batches.add_drafts(db, run_id, [draft(Phase.ADD, 1)] * 5)
        assert await batches.drop(db, run_id, [BatchStatus.PLANNED], 10) == 0
        assert await batches.drop(db, run_id, list(BatchStatus), 3) == 3
        assert len(await batches.open_batches(db, run_id, BatchStatus.DRAFT, limit=10)) == 2
        assert await batches.drop(db, run_id, [BatchStatus.DRAFT], 3) == 2


async def test_rejections_are_kept_in_order(database: Database) -> None:
    """Rejections are read in the order of storage, with any letters, also those without a member."""
    run_id = await add_run(database, await add_mapping(database))
    stored = [
        Rejection("-7", "ünïcode 🙂 @example.com", "c'; --", "invalid_email"),
        Rejection(None, None, None, "iterable_unattributed"),
        Rejection("8", None, "\t", "no_email"),
        Rejection("9", None, None, "no_email"),
    ]
    async with database.write() as db:
        await rejections.add(db, run_id, [])
        await rejections.add(db, run_id, stored[:1])
        await rejections.add(db, run_id, stored[1:])
    async with database.read_rows() as db:
        assert [rejection async for rejection in rejections.of_run(db, run_id)] == stored
        counts = await rejections.by_reason(db, run_id)
    assert list(counts.items()) == [("no_email", 2), ("invalid_email", 1), ("iterable_unattributed", 1)]


async def test_many_rejections(database: Database) -> None:
    """Thousands of rejections are stored, counted, and deleted in chunks."""
    run_id = await add_run(database, await add_mapping(database))
    async with database.write() as db:
        await rejections.add(db, run_id, [Rejection(str(n), None, None, "no_email") for n in range(5000)])
        assert await rejections.by_reason(db, run_id) == {"no_email": 5000}
        assert await rejections.drop(db, run_id, limit=3000) == 3000
        assert await rejections.drop(db, run_id, limit=3000) == 2000


async def test_worker_heartbeat(database: Database) -> None:
    """A new worker has a current heartbeat, and is listed until it is removed."""
    async with database.write() as db:
        await workers.add(db, "me#1", "here", "/locks/me")
        added = await workers.by_id(db, "me#1")
        assert added is not None
        assert (added.id, added.place, added.lock_path) == ("me#1", "here", "/locks/me")
        assert -1 < added.silent_for < 60
        assert await workers.beat(db, "me#1")
        assert [worker.id for worker in await workers.everyone(db)] == ["me#1"]
        await workers.remove(db, "me#1")
        assert await workers.by_id(db, "me#1") is None
        assert not await workers.beat(db, "me#1")
        assert await workers.everyone(db) == []


async def test_removed_worker_releases_its_runs_and_lists(database: Database) -> None:
    """The active runs and list locks of a removed worker are released, and no others."""
    mapping = await add_mapping(database)
    elsewhere = await add_mapping(database, mapping.connection_id, list_id=1002)
    ids = {status: await add_run(database, mapping, worker="dead") for status in RunStatus}
    living = await add_run(database, elsewhere, worker="alive")
    async with database.write() as db:
        await workers.add(db, "dead", "here", "/locks/dead")
        await workers.add(db, "alive", "here", "/locks/alive")
        for status, run_id in ids.items():
            await runs.set_status(db, run_id, status)
        assert await lists.acquire(db, mapping.connection_id, LIST, ids[RunStatus.RUNNING], "dead")
        assert await lists.acquire(db, mapping.connection_id, 1002, living, "alive")
        await workers.remove(db, "dead")
        assert await lists.acquire(db, mapping.connection_id, LIST, "another", "alive")
        assert not await lists.acquire(db, mapping.connection_id, 1002, "another", "someone")
    for status, run_id in ids.items():
        run = await load(database, run_id)
        assert run.is_orphan is status.is_active
        if status.is_active:
            assert (run.status, run.worker_id, run.error_code) == (RunStatus.INTERRUPTED, None, PROCESS_DIED)
        else:
            assert (run.status, run.worker_id) == (status, "dead")
    assert (await load(database, living)).worker_id == "alive"
