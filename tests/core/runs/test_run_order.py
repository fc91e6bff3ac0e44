"""A list has one run at a time, in the order of submission, whichever process executes them and however they stop."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pytest

from core.connections.environment import environment_connection
from core.delivery.shared_rate_limiter import SharedRateLimiters
from core.engine import open_engine
from core.errors import ConflictError
from core.identity import UserIdField
from core.iterable import DataCenter
from core.models.run import RunRequest, StopReason, SyncMode
from core.planning import batching
from core.runs import commands, executor, worker
from core.runs.submission import submit
from core.store import batches, mappings, runs
from core.store.batches import BatchStatus
from sandbox.iterable import Fault
from tests.core.crashing import crash, job
from tests.core.databases import sampled
from tests.core.harness import (
    LIST,
    OTHER_LIST,
    QUICK,
    Decision,
    Member,
    RetryPolicy,
    RunStatus,
    Sync,
    addresses,
    decide,
    people,
    person,
    queue_run,
    syncing,
    until,
)

SUBSCRIBE = "/api/lists/subscribe"
UNSUBSCRIBE = "/api/lists/unsubscribe"

#: Events at which a process is killed: its run is queued, planning, decided, or uploading.
QUEUED, PLANNING, UPLOADING = 8, 12, 28
AROUND_THE_DECISION = range(19, 24)

#: Retries for as long as anything else takes.
PERSISTENT = RetryPolicy(max_attempts=1_000_000, backoff_initial_s=0.001, backoff_max_s=0.002)


@pytest.fixture
async def sync(tmp_path: Path, database_url: str) -> AsyncIterator[Sync]:
    """An engine on each kind of database."""
    async with syncing(tmp_path, database_url, retry_policy=QUICK) as opened:
        yield opened


@pytest.fixture
async def persistent(tmp_path: Path) -> AsyncIterator[Sync]:
    """An engine that does not give up."""
    async with syncing(tmp_path, retry_policy=PERSISTENT) as opened:
        yield opened


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send ten members per request."""
    monkeypatch.setattr(batching, "BATCH_SIZE", 10)


async def act_during(
    sync: Sync, run_id: str, action: Callable[[], Awaitable[None]], path: str = SUBSCRIBE, *, stops: bool = True
) -> None:
    """Execute a run, and act when Iterable has answered some of its requests and leaves others open.

    If the action `stops` the run, the open requests and all later ones fail until the run has stopped.
    """
    open_requests = Fault("hang", path=path, after=5)
    sync.iterable.faults.set([open_requests])
    execution = asyncio.create_task(worker.start(sync.engine, run_id))

    async def is_halfway() -> bool:
        counters = (await sync.outcome(run_id)).run.counters
        return open_requests.hits > 0 and counters.added + counters.removed > 0

    await until(is_halfway)
    await action()
    if stops:
        sync.iterable.faults.set([Fault("reset", path=path)])
        await execution
    sync.iterable.faults.clear()
    await execution


def runs_on_the_list(sync: Sync) -> list[str]:
    """The first letters of the addresses in each request to the list, one for a sequence of equal ones."""
    identity = sync.iterable.state.project().people.identity
    letters = [(identity(event.numbers[0])[0] or "")[0] for event in sync.iterable.state.lists[LIST].events]
    return [letter for letter, _ in groupby(letters)]


@pytest.mark.extended
async def test_two_runs_at_once_in_one_process(sync: Sync) -> None:
    """Two runs on one list that start at once are executed one after the other."""
    members = {letter: [person(n, email=f"{letter}{n}@example.com") for n in range(60)] for letter in "ab"}
    queued = [await sync.submit(sync.mirror_file(members[name], name), audience=name) for name in "ab"]
    sync.iterable.faults.set([Fault("slow", delay=0.01)])
    assert await asyncio.gather(*(worker.start(sync.engine, each) for each in queued)) == [RunStatus.SUCCEEDED] * 2
    assert sorted(runs_on_the_list(sync)) == ["a", "b"]
    assert sync.emails() == {member.email for letter in "ab" for member in members[letter]}


@pytest.mark.extended
async def test_two_runs_at_once_in_two_processes(tmp_path: Path, database_url: str) -> None:
    """Two processes execute runs on one list one after the other."""
    async with (
        syncing(tmp_path, database_url) as sync,
        open_engine(sync.engine.settings, "other") as other,
    ):
        members = {letter: [person(n, email=f"{letter}{n}@example.com") for n in range(60)] for letter in "ab"}
        one, two = [await sync.submit(sync.mirror_file(members[name], name), audience=name) for name in "ab"]
        async with other.database.write() as db:
            await runs.assign_worker(db, two, other.presence.id)
        sync.iterable.faults.set([Fault("slow", delay=0.01)])
        statuses = await asyncio.gather(executor.execute(sync.engine, one), executor.execute(other, two))
        assert list(statuses) == [RunStatus.SUCCEEDED] * 2
        assert sorted(runs_on_the_list(sync)) == ["a", "b"]
        assert sync.emails() == {member.email for letter in "ab" for member in members[letter]}


@pytest.mark.extended
async def test_failed_delta_is_finished_before_the_next(sync: Sync) -> None:
    """A delta first finishes an earlier one that failed, which it may undo."""
    failed = await sync.submit(sync.delta_file(joined=people(range(40))))
    sync.iterable.faults.set([Fault("error", path=SUBSCRIBE, after=2)])
    await worker.start(sync.engine, failed)
    assert (await sync.outcome(failed)).run.status is RunStatus.FAILED
    sync.iterable.faults.clear()
    outcome = await sync.delta(joined=people(range(50, 53)), left=people(range(30)))
    assert outcome.counts == {"members": 3, "left": 30, "added": 3, "removed": 30}
    assert (await sync.outcome(failed)).counts == {"members": 40, "added": 40}
    assert sync.emails() == addresses(range(30, 40)) | addresses(range(50, 53))


async def test_delta_fails_while_the_earlier_one_fails(sync: Sync) -> None:
    """A delta fails while the earlier one does, and resuming it completes both."""
    failed = await sync.submit(sync.delta_file(joined=people(range(40))))
    sync.iterable.faults.set([Fault("error", path=SUBSCRIBE, after=2)])
    await worker.start(sync.engine, failed)
    second = await sync.delta(left=people(range(30)))
    assert second.run.status is RunStatus.FAILED
    assert failed in (second.run.error or "")
    assert (await sync.resume(second.run.id)).run.status is RunStatus.FAILED
    sync.iterable.faults.clear()
    assert (await sync.resume(second.run.id)).counts == {"left": 30, "removed": 30}
    assert (await sync.outcome(failed)).run.status is RunStatus.SUCCEEDED
    assert sync.emails() == addresses(range(30, 40))


@pytest.mark.extended
async def test_delta_after_one_that_could_not_be_read(sync: Sync) -> None:
    """A delta does not wait for an earlier one whose file could not be read: that has planned no change."""
    path = sync.delta_file(joined=people(range(3)))
    await sync.run(path)
    path.write_text("no audience")
    unreadable = await sync.run(path, mode=SyncMode.DELTA)
    assert (unreadable.run.status, unreadable.run.plan) == (RunStatus.FAILED, None)
    assert (await sync.delta(left=people(range(2)))).counts == {"left": 2, "removed": 2}
    assert (await sync.outcome(unreadable.run.id)).run.attempt == unreadable.run.attempt


async def test_deltas_run_in_order_of_submission(sync: Sync) -> None:
    """A delta that starts early waits for one that was submitted before."""
    first = await sync.submit(sync.delta_file(joined=people(range(20))))
    second = await sync.submit(sync.delta_file(left=people(range(15))))
    later = asyncio.create_task(worker.start(sync.engine, second))

    async def waits() -> bool:
        return (await sync.outcome(second)).run.waiting_for_run_id == first

    await until(waits)
    await worker.start(sync.engine, first)
    assert await later is RunStatus.SUCCEEDED
    assert sync.emails() == addresses(range(15, 20))


async def test_mirror_replaces_an_unfinished_mirror(sync: Sync) -> None:
    """A mirror replaces an earlier mirror that failed."""
    failed = await sync.submit(sync.mirror_file(people(range(60))))
    sync.iterable.faults.set([Fault("error", path=SUBSCRIBE, after=2)])
    await worker.start(sync.engine, failed)
    sync.iterable.faults.clear()
    outcome = await sync.mirror(people(range(30, 70)))
    assert outcome.run.status is RunStatus.SUCCEEDED
    assert outcome.run.counters.missing == 0
    replaced = await sync.outcome(failed)
    assert replaced.run.status is RunStatus.CANCELLED
    assert outcome.run.id in (replaced.run.error or "")
    assert sync.emails() == addresses(range(30, 70))


async def failed_and_unapproved(sync: Sync) -> tuple[str, str]:
    """A delta that failed halfway, and a later mirror that needs approval because of its removals."""
    await sync.mirror(people(range(120)))
    failed = await sync.submit(sync.delta_file(joined=people(range(200, 240))))
    sync.iterable.faults.set([Fault("error", path=SUBSCRIBE, after=2)])
    await worker.start(sync.engine, failed)
    sync.iterable.faults.clear()
    waiting = await sync.mirror(people(range(50)))
    assert waiting.run.status is RunStatus.NEEDS_APPROVAL
    assert (await sync.outcome(failed)).run.status is RunStatus.FAILED
    return failed, waiting.run.id


@pytest.mark.extended
async def test_declined_mirror_replaces_nothing(sync: Sync) -> None:
    """An earlier delta can still be finished after a mirror was declined."""
    failed, waiting = await failed_and_unapproved(sync)
    assert await decide(sync.engine, waiting, approves=False) is Decision.RECORDED
    assert (await sync.resume(failed)).counts == {"members": 40, "added": 40}
    assert sync.emails() == addresses(range(120)) | addresses(range(200, 240))


@pytest.mark.extended
@pytest.mark.parametrize("resumed", sampled([True, False]))
async def test_approved_mirror_replaces_earlier_runs(sync: Sync, resumed: bool) -> None:
    """An approved mirror replaces an earlier run, and is correct even if that was resumed before."""
    failed, waiting = await failed_and_unapproved(sync)
    if resumed:  # the mirror's numbers change, so it needs approval again
        assert (await sync.resume(failed)).run.status is RunStatus.SUCCEEDED
        assert await executor.plan(sync.engine, waiting) is RunStatus.NEEDS_APPROVAL
    assert await decide(sync.engine, waiting) is Decision.RECORDED
    assert await executor.execute(sync.engine, waiting) is RunStatus.SUCCEEDED
    if not resumed:
        assert (await sync.outcome(failed)).run.error == f"Replaced by run {waiting}."
    assert (await sync.outcome(waiting)).run.counters.missing == 0
    assert sync.emails() == addresses(range(50))


async def test_late_mirror_does_not_undo_a_newer_one(sync: Sync) -> None:
    """A mirror that starts after a newer one is replaced and sends nothing."""
    first = await sync.submit(sync.mirror_file(people(range(20))))
    second = await sync.submit(sync.mirror_file(people(range(10, 30))))
    assert await worker.start(sync.engine, second) is RunStatus.SUCCEEDED
    assert await worker.start(sync.engine, first) is RunStatus.CANCELLED
    assert sync.emails() == addresses(range(10, 30))


async def test_concurrent_mirrors_end_with_the_newer_one(sync: Sync) -> None:
    """Of two mirrors of a mapping that start at once, the newer audience is on the list at the end."""
    first = await sync.submit(sync.mirror_file(people(range(20))))
    second = await sync.submit(sync.mirror_file(people(range(10, 30))))
    await asyncio.gather(worker.start(sync.engine, second), worker.start(sync.engine, first))
    assert (await sync.outcome(second)).run.status is RunStatus.SUCCEEDED
    assert sync.emails() == addresses(range(10, 30))


@pytest.mark.extended
async def test_resumed_after_another_mapping_changed_the_list(sync: Sync) -> None:
    """A run that is resumed after another mapping's run plans its rest again, with exact numbers."""
    await sync.mirror(people(range(10)), audience="first")
    run_id = await sync.submit(sync.mirror_file(people(range(5, 65)), "first"), audience="first")
    sync.iterable.faults.set([Fault("error", path=SUBSCRIBE, after=2)])
    await worker.start(sync.engine, run_id)
    sync.iterable.faults.clear()
    halfway = (await sync.outcome(run_id)).counts
    assert 0 < halfway["added"] < 55
    second = [person(1000 + n, email=f"p{n}@example.com", customer_id=f"c{n}") for n in range(60, 80)]
    await sync.mirror(second, audience="second")
    assert (await sync.resume(run_id)).counts == {
        "members": 60,
        "left": 5,
        "added": 50,
        "removed": 5,
        "unchanged": 5,
        "duplicates": 5,
    }
    assert sync.emails() == addresses(range(5, 80))


@pytest.mark.extended
async def test_placeholder_is_renamed_during_its_removal(persistent: Sync) -> None:
    """A leaver whose placeholder another list's run renames is removed under the new address."""
    mpid = UserIdField.MPID
    members = [Member(number) for number in (*range(1000, 1200), 7)]
    await persistent.mirror(members, user_id=mpid)
    await persistent.mirror([Member(7)], user_id=mpid, list_id=OTHER_LIST)
    run_id = await persistent.submit(persistent.mirror_file([Member(1000)]), user_id=mpid, approved=True)

    async def rename() -> None:
        outcome = await persistent.mirror([person(7)], user_id=mpid, list_id=OTHER_LIST)
        assert outcome.counts == {"members": 1, "updated": 1}

    await act_during(persistent, run_id, rename, path=UNSUBSCRIBE, stops=False)
    assert (await persistent.outcome(run_id)).counts == {"members": 1, "left": 200, "removed": 200, "unchanged": 1}
    assert persistent.emails() == {"1000@placeholder.email"}


@pytest.mark.extended
async def test_placeholder_is_renamed_after_an_unanswered_removal(tmp_path: Path) -> None:
    """A leaver whose placeholder is renamed after an unanswered removal is removed under the new address."""
    mpid = UserIdField.MPID
    async with syncing(tmp_path, retry_policy=QUICK) as sync:
        await sync.mirror([Member(1000), Member(7)], user_id=mpid)
        await sync.mirror([Member(7)], user_id=mpid, list_id=OTHER_LIST)
        run_id = await sync.submit(sync.mirror_file([Member(1000)]), user_id=mpid, approved=True)
        sync.iterable.faults.set([Fault("error", path=UNSUBSCRIBE)])
        assert await worker.start(sync.engine, run_id) is RunStatus.FAILED
        sync.iterable.faults.clear()
        async with sync.engine.database.write() as db:  # the state after a process dies before the answer
            open_batches = await batches.open_batches(db, run_id, BatchStatus.PLANNED, limit=10)
            await batches.set_state(db, [batch.id for batch in open_batches], BatchStatus.SENT)
        await sync.mirror([person(7)], user_id=mpid, list_id=OTHER_LIST)
        await sync.mirror([Member(1000)], user_id=mpid, approved=True)
        assert sync.emails() == {"1000@placeholder.email"}


async def test_cancelled_halfway(persistent: Sync) -> None:
    """A run that is cancelled halfway keeps its changes, sends no more, and the next mirror corrects the list."""
    run_id = await persistent.submit(persistent.mirror_file(people(range(900))))

    async def cancel() -> None:
        async with persistent.engine.database.write() as db:
            await runs.request_stop(db, run_id, StopReason.CANCEL)

    await act_during(persistent, run_id, cancel)
    cancelled = await persistent.outcome(run_id)
    assert cancelled.run.status is RunStatus.CANCELLED
    assert 0 < cancelled.counts["added"] < 900
    assert len(persistent.emails()) == cancelled.counts["added"]
    outcome = await persistent.mirror(people(range(100, 950)), approved=True)
    assert outcome.run.counters.missing == 0
    assert persistent.emails() == addresses(range(100, 950))
    assert (await persistent.mirror(people(range(100, 950)))).run.requests == 0


#: Reasons for a long wait: Iterable asks for it, or the rate is low.
WAITS = {
    "throttled": (Fault("throttle", path=SUBSCRIBE, after=1, retry_after=60.0), 0.0),
    "failing": (Fault("error", path=SUBSCRIBE, after=1, status=503, retry_after=60.0), 0.0),
    "paced": (Fault("slow", path=SUBSCRIBE), 0.02),
}
STOPS = [
    ("throttled", "cancel"),
    *(
        pytest.param(wait, stop, marks=pytest.mark.extended)
        for wait, stop in itertools.product(("throttled", "failing", "paced"), ("cancel", "interrupt"))
        if (wait, stop) != ("throttled", "cancel")
    ),
]


async def stop_while_waiting(
    sync: Sync, run_id: str, is_waiting: Callable[[], bool], stop: str = "cancel"
) -> RunStatus:
    """Execute a run, stop it during a wait of a minute, and return its final status."""
    execution = asyncio.create_task(executor.execute(sync.engine, run_id))

    async def condition() -> bool:
        return is_waiting()

    await until(condition)
    if stop == "cancel":
        await commands.cancel(sync.engine, run_id, by="U1", team_id=None)
    else:
        sync.engine.stopping.set()
    async with asyncio.timeout(60):
        return await execution


def forget_pauses(sync: Sync) -> None:
    """Forget how long Iterable wants no requests, as a process that starts later does."""
    sync.engine._rate_limiters = SharedRateLimiters(sync.engine.database)


@pytest.mark.parametrize(("wait", "stop"), STOPS)
async def test_stopped_while_waiting(tmp_path: Path, wait: str, stop: str) -> None:
    """A run that must stop does so at once, even while it waits for a retry or its slot."""
    fault, rate = replace(WAITS[wait][0]), WAITS[wait][1]
    async with syncing(tmp_path, retry_policy=RetryPolicy()) as sync:
        connection = await environment_connection(sync.engine, user_id=None, data_center=DataCenter.US, rate=rate)
        request = RunRequest(path=str(sync.mirror_file(people(range(30)))))
        run_id = (await submit(sync.engine, connection, LIST, request)).run_id
        sync.iterable.faults.set([fault])
        status = await stop_while_waiting(sync, run_id, lambda: fault.hits > 0, stop)
        assert status is (RunStatus.CANCELLED if stop == "cancel" else RunStatus.INTERRUPTED)
        sync.iterable.faults.clear()
        forget_pauses(sync)
        sync.engine.stopping.clear()
        assert (await sync.mirror(people(range(5, 35)), approved=True)).run.counters.missing == 0
        assert sync.emails() == addresses(range(5, 35))


async def test_cancelled_while_reading_the_lists(tmp_path: Path) -> None:
    """A run can be cancelled while it waits to ask Iterable about its list."""
    async with syncing(tmp_path, retry_policy=RetryPolicy()) as sync:
        connection = await environment_connection(sync.engine, user_id=None, data_center=DataCenter.US, rate=0)
        async with sync.engine.database.write() as db:
            mapping_id = await mappings.add(
                db, connection_id=connection.id, list_id=LIST, audience_id=None, audience_name="A"
            )
            mapping = await mappings.by_id(db, mapping_id)
        assert mapping is not None
        request = RunRequest(path=str(sync.mirror_file(people(range(3)))))
        run_id = await queue_run(sync.engine, connection, mapping, request, worker=sync.engine.presence.id)
        fault = Fault("throttle", path="/api/lists", retry_after=60.0)
        sync.iterable.faults.set([fault])
        assert await stop_while_waiting(sync, run_id, lambda: fault.hits > 0) is RunStatus.CANCELLED


@pytest.mark.extended
async def test_cancelled_while_finishing_an_earlier_run(tmp_path: Path) -> None:
    """A run that is cancelled while it finishes an earlier one leaves that one resumable."""
    async with syncing(tmp_path, retry_policy=RetryPolicy()) as sync:
        earlier = await sync.submit(sync.delta_file(joined=people(range(30))))
        async with sync.engine.database.write() as db:
            await runs.set_status(db, earlier, RunStatus.INTERRUPTED)
        later = await sync.submit(sync.delta_file(left=people(range(10))))
        fault = Fault("throttle", path=SUBSCRIBE, retry_after=60.0)
        sync.iterable.faults.set([fault])
        assert await stop_while_waiting(sync, later, lambda: fault.hits > 0) is RunStatus.CANCELLED
        assert (await sync.outcome(earlier)).run.status is RunStatus.INTERRUPTED
        sync.iterable.faults.clear()
        forget_pauses(sync)
        assert (await sync.resume(earlier)).counts == {"members": 30, "added": 30}


async def test_cancelled_run_can_not_be_resumed(persistent: Sync) -> None:
    """A cancelled run can't be resumed."""
    run_id = await persistent.submit(persistent.mirror_file(people(range(3))))
    async with persistent.engine.database.write() as db:
        await runs.request_stop(db, run_id, StopReason.CANCEL)
    assert await worker.start(persistent.engine, run_id) is RunStatus.CANCELLED
    with pytest.raises(ConflictError, match="has ended"):
        await worker.resume(persistent.engine, run_id)
    assert persistent.emails() == set()


async def test_interrupted_and_resumed(persistent: Sync) -> None:
    """A run that is interrupted and resumed ends as if it had not been interrupted."""
    run_id = await persistent.submit(persistent.mirror_file(people(range(300))))

    async def interrupt() -> None:
        persistent.engine.stopping.set()

    await act_during(persistent, run_id, interrupt)
    interrupted = await persistent.outcome(run_id)
    assert interrupted.run.status is RunStatus.INTERRUPTED
    assert 0 < interrupted.counts["added"] < 300
    persistent.engine.stopping.clear()
    assert (await persistent.resume(run_id)).counts == {"members": 300, "added": 300}
    assert persistent.emails() == addresses(range(300))


async def test_resumed_twice_at_once(sync: Sync) -> None:
    """Of two attempts to resume a run at once, one is refused, and each member counts once."""
    run_id = await sync.submit(sync.mirror_file(people(range(100))))
    sync.iterable.faults.set([Fault("error", path=SUBSCRIBE, after=2)])
    await worker.start(sync.engine, run_id)
    sync.iterable.faults.set([Fault("slow", delay=0.01)])
    results = await asyncio.gather(*(worker.resume(sync.engine, run_id) for _ in range(2)), return_exceptions=True)
    assert [type(result) for result in results if isinstance(result, BaseException)] == [ConflictError]
    assert (await sync.outcome(run_id)).counts == {"members": 100, "added": 100}
    assert sync.emails() == addresses(range(100))


async def work_until_ended(sync: Sync) -> RunStatus:
    """Run a worker until the newest run has ended or needs approval. Returns its status."""
    working = asyncio.create_task(worker.run_worker(sync.engine))

    async def has_ended() -> bool:
        async with sync.engine.database.read() as db:
            newest = (await runs.latest(db, 1))[0]
        return not newest.status.is_active and not newest.is_orphan

    await until(has_ended)
    sync.engine.stopping.set()
    await working
    async with sync.engine.database.read() as db:
        return (await runs.latest(db, 1))[0].status


@pytest.mark.parametrize("event", sampled([UPLOADING, QUEUED, PLANNING], 3))
async def test_worker_resumes_the_run_of_a_killed_process(sync: Sync, event: int) -> None:
    """A worker resumes the run of a killed process by itself."""
    await sync.mirror(people(range(40)))
    assert await crash(job(sync, sync.mirror_file(people(range(10, 70))), UserIdField.CUSTOMER_ID), event)
    assert await work_until_ended(sync) is RunStatus.SUCCEEDED
    assert sync.emails() == addresses(range(10, 70))


@pytest.mark.parametrize("event", sampled(AROUND_THE_DECISION, 5))
async def test_killed_process_does_not_bypass_a_guard(tmp_path: Path, event: int) -> None:
    """A run needs its approval even if its process was killed during the decision."""
    async with syncing(tmp_path) as sync:
        await sync.mirror(people(range(10)))
        await crash(job(sync, sync.mirror_file([]), UserIdField.CUSTOMER_ID), event)
        assert await work_until_ended(sync) is RunStatus.NEEDS_APPROVAL
        assert sync.emails() == addresses(range(10))
